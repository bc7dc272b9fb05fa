"""What a cache file stores and returns, what it shows to others, and writes that fail."""

import base64
import errno
import json
import logging
import os
import stat
import threading

import pytest
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

from aliyun_sdk_secretsmanager_common_plugin.access_key import parse_secret
from aliyun_sdk_secretsmanager_common_plugin.secret_info import answer_of
from aliyun_sdk_secretsmanager_common_plugin.settings import CacheFileSettings
from aliyun_sdk_secretsmanager_common_plugin.stores import cache_file
from tests.common.fakes import PATIENCE

from .files import NAME, OTHER, PASSWORD, PASSWORDS, content_of, put, secret, shows_a_secret, wait, write


class TestKeeping:
    def test_secret_is_recovered_whole_with_the_time_when_it_was_read(self, make, clock):
        write(make(), secret(1))
        clock.advance(3600)

        kept = make().recover_get_secret(NAME)

        assert kept.secret_info == secret(1)
        assert kept.refresh_time_stamp == (clock.time() - 3600) * 1000
        assert parse_secret(NAME, answer_of(kept.secret_info)).security_token == "token-of-1"

    @pytest.mark.parametrize("password", PASSWORDS, ids=["ascii", "chinese", "no utf-8"])
    def test_with_any_password(self, make, password):
        write(make(password), secret(1))

        assert make(password).recover_get_secret(NAME).secret_info == secret(1)

    def test_names_of_any_kind(self, make):
        names = [NAME, OTHER, "a\nb", '"', "\ud800", "-" * 192]
        write(make(), *[secret(at, name) for at, name in enumerate(names)])

        file = make()
        assert [file.recover_get_secret(name).secret_info for name in names] == [
            secret(at, name) for at, name in enumerate(names)]

    def test_nothing_is_recovered_of_a_missing_file_or_of_another_secret(self, make, path):
        file = make()
        assert file.recover_get_secret(NAME) is None
        assert not os.path.exists(path)
        write(file, secret(1))

        assert file.recover_get_secret(OTHER) is None

    def test_newest_version_is_kept(self, make):
        file = make()
        write(file, secret(1))
        write(file, secret(2))

        assert make().recover_get_secret(NAME).secret_info == secret(2)

    def test_instances_that_share_the_file_keep_each_others_secrets(self, make):
        one, two = make(), make()
        write(one, secret(1))
        write(two, secret(2, OTHER))
        write(one, secret(3))

        assert make().recover_get_secret(NAME).secret_info == secret(3)
        assert make().recover_get_secret(OTHER).secret_info == secret(2, OTHER)

    def test_what_another_process_read_later_stays(self, make, clock):
        late, early = make(), make()
        with early._lock:
            early._writing = True  # as during a write
            early.keep_secret(secret(1))
            clock.advance(1)
            write(late, secret(2))
            early._writing = False
        early.catch_up()
        wait(early)

        assert make().recover_get_secret(NAME).secret_info == secret(2)

    def test_time_that_is_still_to_come_does_not_keep_a_new_key_out(self, make, clock):
        clock.jump_time(86400)
        write(make(), secret(1))
        clock.jump_time(-86400)
        write(make(), secret(2))

        assert make().recover_get_secret(NAME).secret_info == secret(2)

    def test_what_comes_while_it_is_written_is_written_together_next(self, make, monkeypatch):
        file = make()
        entered, go_on, writes = threading.Event(), threading.Event(), []
        replace = file._replace

        def slow_replace(content):
            writes.append(content)
            entered.set()
            assert go_on.wait(PATIENCE)
            replace(content)

        monkeypatch.setattr(file, "_replace", slow_replace)
        file.keep_secret(secret(0))
        assert entered.wait(PATIENCE)
        for number in range(50):
            file.keep_secret(secret(number, "secret-{}".format(number % 10)))
        go_on.set()
        wait(file)

        assert len(writes) == 2
        assert make().recover_get_secret("secret-9").secret_info == secret(49, "secret-9")

    def test_keeping_waits_for_no_disk(self, make, monkeypatch):
        entered, go_on = threading.Event(), threading.Event()
        monkeypatch.setattr(os, "fsync", lambda descriptor: entered.set() or go_on.wait(PATIENCE))
        file = make()

        file.keep_secret(secret(1))

        assert entered.wait(PATIENCE)
        file.keep_secret(secret(2))
        go_on.set()
        wait(file)
        assert file.recover_get_secret(NAME).secret_info == secret(2)

    def test_file_and_lock_are_the_owners_alone_whatever_the_umask(self, make, path):
        umask = os.umask(0)
        try:
            write(make(), secret(1))
        finally:
            os.umask(umask)

        assert [stat.S_IMODE(os.stat(path + end).st_mode) for end in ("", ".lock")] == [0o600, 0o600]
        assert sorted(os.listdir(os.path.dirname(path))) == ["keys.cache", "keys.cache.lock"]

    def test_what_a_killed_process_left_is_gone_with_the_next_write(self, make, path):
        put(path + ".new", b"half")
        write(make(), secret(1))

        assert not os.path.exists(path + ".new")

    def test_key_is_derived_once_a_process(self, make, monkeypatch):
        write(make(), secret(1))
        derived = []
        derive = Scrypt.derive
        monkeypatch.setattr(Scrypt, "derive", lambda self, password: derived.append(1) or derive(self, password))
        file = make()
        for version in range(5):
            write(file, secret(version))
            file.recover_get_secret(NAME)

        assert len(derived) == 1

    def test_key_is_derived_at_the_start_where_there_is_no_file_yet(self, make, monkeypatch):
        derived = []
        derive = Scrypt.derive
        monkeypatch.setattr(Scrypt, "derive", lambda self, password: derived.append(1) or derive(self, password))
        file = make()
        assert len(derived) == 1
        write(file, secret(1))

        assert len(derived) == 1

    def test_cost_and_salt_are_those_of_the_file(self, make, monkeypatch, path):
        write(make(), secret(1))
        monkeypatch.setattr(cache_file, "COST", {"n": 4, "r": 2, "p": 1})
        write(make(), secret(2))

        head = json.loads(content_of(path).splitlines()[1].decode("ascii"))
        assert (head["n"], head["r"], head["p"]) == (2, 1, 1)
        assert len(base64.b64decode(head["salt"])) == 16

    def test_cost_by_default_takes_32_mebibytes(self):
        # cheap_scrypt patches the constant in all tests.
        source = open(cache_file.__file__, encoding="utf-8").read()

        assert 'COST = {"n": 1 << 15, "r": 8, "p": 1}' in source


class TestSecrecy:
    def test_file_shows_nothing_but_names_and_times(self, written):
        assert not shows_a_secret(written.decode("ascii"))
        assert [sorted(json.loads(line)) for line in written.decode("ascii").splitlines()[1:]] == [
            ["n", "p", "r", "salt"], ["read", "sealed", "secret"], ["read", "sealed", "secret"], ["seal"]]

    def test_no_nonce_is_used_twice(self, make, path):
        file = make()
        nonces = []
        for _ in range(3):
            write(file, secret(1))
            lines = [json.loads(line) for line in content_of(path).decode("ascii").splitlines()[2:]]
            nonces += [base64.b64decode(line.get("sealed") or line["seal"])[:12] for line in lines]

        assert len(set(nonces)) == 6

    def test_object_shows_no_password_and_no_key(self, make):
        file = make()
        write(file, secret(1))

        assert not shows_a_secret(repr(file) + str(file) + repr(CacheFileSettings("keys.cache", PASSWORD)))

    def test_error_of_anything_else_is_not_shown(self, make, monkeypatch, caplog):
        def fail(cipher, data, bound):
            raise ValueError(data)

        file = make()
        monkeypatch.setattr(cache_file, "_sealed", fail)
        write(file, secret(1))

        assert "could not be written" in caplog.text
        assert "ValueError" in caplog.text
        assert not shows_a_secret(caplog.text)


class TestFailedWrite:
    @pytest.mark.parametrize("call, problem", [
        ("fsync", errno.ENOSPC), ("replace", errno.EACCES), ("open", errno.EROFS)])
    def test_is_a_warning_and_leaves_the_file_as_it_was(self, make, path, monkeypatch, caplog, call, problem):
        file = make()
        write(file, secret(1))
        real = getattr(os, call)

        def fail(*arguments, **options):
            if call != "open" or arguments[0] == path + ".new":
                raise OSError(problem, os.strerror(problem))
            return real(*arguments, **options)

        with monkeypatch.context() as broken:
            broken.setattr(os, call, fail)
            write(file, secret(2))

        (record,) = [one for one in caplog.records if "could not be written" in one.getMessage()]
        assert record.levelno == logging.WARNING
        assert os.strerror(problem) in record.getMessage()
        assert not shows_a_secret(caplog.text)
        assert sorted(os.listdir(os.path.dirname(path))) == ["keys.cache", "keys.cache.lock"]
        assert make().recover_get_secret(NAME).secret_info == secret(1)

    def test_directory_that_cannot_be_read_is_none(self, make, path, monkeypatch, caplog):
        file = make()
        real = os.open

        def fail(name, *arguments):
            if name == os.path.dirname(path):
                raise PermissionError(errno.EACCES, "Permission denied")
            return real(name, *arguments)

        with monkeypatch.context() as broken:
            broken.setattr(os, "open", fail)
            write(file, secret(1))

        assert "could not be written" not in caplog.text
        assert make().recover_get_secret(NAME).secret_info == secret(1)

    def test_is_made_up_for(self, make, monkeypatch):
        file = make()

        def fail(*ignored):
            raise OSError(errno.ENOSPC, "No space left on device")

        with monkeypatch.context() as broken:
            broken.setattr(os, "fsync", fail)
            write(file, secret(1), secret(2, OTHER))
            write(file, secret(3))
        file.catch_up()
        wait(file)

        assert make().recover_get_secret(NAME).secret_info == secret(3)
        assert make().recover_get_secret(OTHER).secret_info == secret(2, OTHER)

    def test_of_a_file_that_was_deleted_makes_it_anew_with_all_keys(self, make, path):
        file = make()
        write(file, secret(1), secret(2, OTHER))
        os.unlink(path)
        file.catch_up()
        wait(file)

        assert make().recover_get_secret(NAME).secret_info == secret(1)
        assert make().recover_get_secret(OTHER).secret_info == secret(2, OTHER)

    def test_for_want_of_threads_is_a_warning(self, make, monkeypatch, caplog):
        file = make()

        def fail(self):
            raise RuntimeError("can't start new thread")

        with monkeypatch.context() as broken:
            broken.setattr(threading.Thread, "start", fail)
            file.keep_secret(secret(1))
        assert "can't start new thread" in caplog.text
        file.catch_up()
        wait(file)

        assert make().recover_get_secret(NAME).secret_info == secret(1)

    def test_lock_that_another_process_does_not_let_go(self, make, clock, caplog):
        file, other = make(), make()
        with other._locked():
            write(file, secret(1))
        assert "another process has held" in caplog.text
        assert clock.sleeps
        file.catch_up()
        wait(file)

        assert make().recover_get_secret(NAME).secret_info == secret(1)

    def test_lock_that_is_a_link_is_not_followed(self, make, path, caplog):
        os.symlink(path + ".elsewhere", path + ".lock")
        write(make(), secret(1))

        assert "could not be written" in caplog.text
        assert not os.path.exists(path + ".elsewhere")
