"""Files that are refused, and stay as they are."""

import json
import os

import pytest

from aliyun_sdk_secretsmanager_common_plugin import ConfigurationError
from aliyun_sdk_secretsmanager_common_plugin.settings import CacheFileSettings
from aliyun_sdk_secretsmanager_common_plugin.stores import cache_file
from aliyun_sdk_secretsmanager_common_plugin.stores.cache_file import CacheFile

from .files import NAME, PASSWORD, content_of, put, secret, state_of, write


class TestRefusal:
    def test_wrong_password(self, written, refused):
        assert "the password does not open it" in refused("another password")

    def test_wrong_password_shows_at_the_start_also_without_an_entry(self, make, path, refused):
        file = make()
        file._write({})

        assert "the password does not open it" in refused("another password")

    def test_cut_anywhere(self, written, path, make):
        for length in list(range(0, len(written), 7)) + [len(written) - 1]:
            put(path, written[:length])
            with pytest.raises(ConfigurationError, match="is not a cache file|has another format|is truncated"):
                make()
            assert content_of(path) == written[:length]

    def test_changed_anywhere(self, written, path, make):
        for at in list(range(0, len(written), 7)) + [len(written) - 1]:
            changed = written[:at] + bytes([written[at] ^ 1]) + written[at + 1:]
            put(path, changed)
            with pytest.raises(ConfigurationError):
                make()
            assert content_of(path) == changed

    def test_with_an_entry_taken_out_doubled_or_added(self, written, path, refused):
        lines = written.splitlines(keepends=True)
        for changed in ([0, 1, 2, 4], [0, 1, 4], [0, 1, 2, 2, 3, 4], [0, 1, 3, 2, 4], [0, 1, 2, 3, 4, 2], [0, 1, 2, 3]):
            put(path, b"".join(lines[at] for at in changed))
            refused()

    def test_entry_under_another_name_whatever_the_seal_says(self, make, written, path):
        """Even with the password, an entry cannot be moved to another name."""
        file = make()
        opened = file._open()
        one, two = opened.entries.values()
        one["sealed"], two["sealed"] = two["sealed"], one["sealed"]
        content = opened.head + b"".join(map(cache_file._line, (one, two)))
        put(path, content + cache_file._line({"seal": cache_file._sealed(opened.cipher, b"", content)}))

        with pytest.raises(ConfigurationError, match="entry of secret 'app/key' is damaged"):
            make().recover_get_secret(NAME)

    def test_entry_with_another_time_whatever_the_seal_says(self, make, written, path):
        opened = make()._open()
        for entry in opened.entries.values():
            entry["read"] += 1
        content = opened.head + b"".join(map(cache_file._line, opened.entries.values()))
        put(path, content + cache_file._line({"seal": cache_file._sealed(opened.cipher, b"", content)}))

        with pytest.raises(ConfigurationError, match="entry of secret 'app/key' is damaged"):
            make().recover_get_secret(NAME)

    @pytest.mark.parametrize("content", [b"", b"\n", b"\x00" * 100, b"credentials_type=ak\n", b"managed-credentials"],
                             ids=["empty", "line", "zeros", "properties", "beginning"])
    def test_foreign_file(self, path, refused, content):
        put(path, content)

        assert "is not a cache file of this package" in refused()

    def test_foreign_file_of_others_is_not_to_be_made_private(self, path, refused):
        put(path, b"root:x:0:0:root:/root:/bin/sh\n")
        os.chmod(path, 0o644)

        assert "is not a cache file of this package" in refused()

    @pytest.mark.parametrize("number", [b"0", b"2", b"12", b"x"])
    def test_other_format(self, written, path, refused, number):
        put(path, written.replace(b"format 1\n", b"format " + number + b"\n", 1))

        assert "has another format than 1" in refused()

    @pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o602, 0o610, 0o777])
    def test_open_to_others(self, written, path, refused, mode):
        os.chmod(path, mode)

        message = refused()

        assert "mode {:o}".format(mode) in message
        assert "chmod 600" in message

    def test_of_another_user(self, written, path, refused, monkeypatch):
        user = os.geteuid()
        monkeypatch.setattr(os, "geteuid", lambda: user + 1)

        assert "belongs to user {}, but this process runs as user {}".format(user, user + 1) in refused()

    def test_directory(self, path, refused):
        os.mkdir(path)

        assert "is not a regular file" in refused()

    def test_pipe_does_not_hang(self, path, refused):
        os.mkfifo(path)

        assert "is not a regular file" in refused()

    def test_symbolic_link(self, written, path, refused):
        os.rename(path, path + ".elsewhere")
        os.symlink(path + ".elsewhere", path)

        assert "is a symbolic link" in refused()

    def test_missing_directory(self, path, clock):
        with pytest.raises(ConfigurationError, match="its directory does not exist; create it"):
            CacheFile(CacheFileSettings(os.path.join(path, "keys.cache"), PASSWORD), clock)

    @pytest.mark.parametrize("head", [
        {"n": 1 << 40}, {"n": -2}, {"n": 3}, {"n": "2"}, {"r": 0}, {"p": None}, {"salt": "?"}, {"salt": 5}, None,
        {"n": -2, "r": -1}, {"n": True}, {"n": 2.0}, {"n": 1e308, "r": 1e308}, {"n": float("nan")}, {"r": float("inf")},
        {"p": 10 ** 400}, {"n": 1 << 70, "r": 2 ** -60}, {"p": 1 << 22}, {"n": 1 << 21}, {"r": 1 << 21}, {"salt": "\u5bc6"}],
        ids=lambda head: repr(head)[:40])
    def test_second_line_that_cannot_be(self, written, path, refused, head):
        lines = written.splitlines(keepends=True)
        said = json.loads(lines[1].decode("ascii"))
        lines[1] = cache_file._line(dict(said, **head)) if head else b"[]\n"
        put(path, b"".join(lines))

        assert "its second line is damaged" in refused()

    def test_cost_that_openssl_does_not_take(self, written, path, refused):
        put(path, written.replace(b'"n": 2', b'"n": %d' % (1 << 17), 1))

        assert "scrypt cannot get the memory that it needs (n=131072, r=1, p=1)" in refused()

    def test_second_line_of_a_deep_json(self, written, path, refused):
        lines = written.splitlines(keepends=True)
        put(path, lines[0] + b"[" * 100000 + b"\n" + b"".join(lines[2:]))

        assert "its second line is damaged" in refused()

    @pytest.mark.parametrize("line", [
        b"[" * 100000, b"[]", b"no JSON", b"\xff", b"{}", b'{"secret": 5, "read": 1}', b'{"secret": "x", "read": NaN}',
        b'{"secret": "x", "read": 1e999}', b'{"secret": "x", "read": "1"}', b'{"secret": "x", "read": -1}',
        b'{"secret": "x", "read": 1' + 400 * b"0" + b"}"], ids=lambda line: repr(line)[:40])
    def test_entry_that_is_none_whatever_the_seal_says(self, make, written, path, refused, line):
        opened = make()._open()
        content = opened.head + line + b"\n"
        put(path, content + cache_file._line({"seal": cache_file._sealed(opened.cipher, b"", content)}))

        assert "an entry is damaged" in refused()

    def test_name_that_no_file_can_have(self, tmp_path, clock):
        for name in ("keys\x00.cache", "keys\ud800.cache", "k" * 300):
            with pytest.raises(ConfigurationError, match="no file can have this name|File name too long"):
                CacheFile(CacheFileSettings(str(tmp_path / name), PASSWORD), clock)

    def test_system_without_file_locks(self, make, monkeypatch):
        monkeypatch.setattr(cache_file, "fcntl", None)

        with pytest.raises(ConfigurationError, match="cache_file_path needs file locks"):
            make()

    @pytest.mark.parametrize("spoil", [
        lambda path: os.chmod(path, 0o644),
        lambda path: put(path, b"something else\n"),
        lambda path: put(path, content_of(path)[:-10]),
        lambda path: (os.rename(path, path + ".elsewhere"), os.symlink(path + ".elsewhere", path)),
        lambda path: (os.unlink(path), os.mkdir(path)),
    ], ids=["open to others", "foreign", "cut", "link", "directory"])
    def test_file_that_was_spoilt_since_is_not_written_over(self, make, path, caplog, spoil):
        file = make()
        write(file, secret(1))
        spoil(path)
        before = state_of(path)
        write(file, secret(2))

        assert "the cache file {} could not be written".format(path) in caplog.text
        assert state_of(path) == before
        with pytest.raises(ConfigurationError):
            file.recover_get_secret(NAME)

    def test_file_that_another_password_made_meanwhile_is_not_written_over(self, make, path, caplog):
        file = make()
        write(make("another password"), secret(1))
        write(file, secret(2))

        assert "the password does not open it" in caplog.text
        assert make("another password").recover_get_secret(NAME).secret_info == secret(1)
