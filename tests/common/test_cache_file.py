"""The cache file: what it keeps and gives back, what it refuses, and that it is whole whenever its writer dies."""

import base64
import errno
import itertools
import json
import logging
import os
import random
import signal
import stat
import threading
import time

import pytest
from aliyunsdkcore.acs_exception.exceptions import ClientException
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

from aliyun_sdk_secretsmanager_common_plugin import ConfigurationError, cache_file
from aliyun_sdk_secretsmanager_common_plugin.access_key import parse_secret
from aliyun_sdk_secretsmanager_common_plugin.cache import Cache, Recovered
from aliyun_sdk_secretsmanager_common_plugin.cache_file import CacheFile
from aliyun_sdk_secretsmanager_common_plugin.clock import Clock
from aliyun_sdk_secretsmanager_common_plugin.secret_info import SecretInfo, answer_of
from aliyun_sdk_secretsmanager_common_plugin.secrets_manager import Fetched
from aliyun_sdk_secretsmanager_common_plugin.settings import CacheFileSettings, load_settings

from .fakes import PATIENCE, everything_in, key

NAME, OTHER = "app/key", "other/\u5bc6\u94a5"
PASSWORD = "ThePasswordThatNobodyMaySee"
# The last one is none of UTF-8, as an environment variable may hold it.
PASSWORDS = [PASSWORD, "\u5bc6\u7801", "pass\udcffword"]


@pytest.fixture(autouse=True)
def cheap_scrypt(monkeypatch):
    monkeypatch.setattr(cache_file, "COST", {"n": 2, "r": 1, "p": 1})


def secret(version, name=NAME):
    """Return a version of a secret; its value holds the word that must not be shown."""
    return SecretInfo.from_answer(name, {
        "VersionId": "version-{}".format(version),
        "SecretData": json.dumps({"AccessKeyId": "LTAI5t0123456789{}".format(version),
                                  "AccessKeySecret": "secret-of-{}".format(version),
                                  "SecurityToken": "token-of-{}".format(version)}),
        "SecretDataType": "text",
        "SecretType": "RAMCredentials",
        "ExtendedConfig": '{"SecretSubType": "RamUserAccessKey"}',
        "NextRotationDate": "2026-11-28T10:00:00Z",
    })


def shows_a_secret(text):
    return any(word in text for word in ("secret-of", "token-of", "LTAI5t", PASSWORD))


def write(file, *secrets):
    """Have secrets written, and wait until they are."""
    for each in secrets:
        file.keep_secret(each)
    wait(file)


def wait(file):
    writer = None
    while file._writer is not writer:
        writer = file._writer
        writer.join(PATIENCE)
        assert not writer.is_alive(), "still writing"


@pytest.fixture
def path(tmp_path):
    return str(tmp_path / "keys.cache")


@pytest.fixture
def make(path, clock):
    def open_file(password=PASSWORD):
        return CacheFile(CacheFileSettings(path, password), clock)

    return open_file


@pytest.fixture
def refused(make, path, caplog):
    """Open a file that is none to open; return the message, after a look at what could be reported, and at the file."""

    def open_file(password=PASSWORD):
        caplog.set_level(logging.DEBUG)
        before = state_of(path)
        with pytest.raises(ConfigurationError) as caught:
            make(password)
        assert not shows_a_secret(everything_in(caught.value))
        assert not shows_a_secret(caplog.text)
        assert path in str(caught.value)
        assert state_of(path) == before
        return str(caught.value)

    return open_file


def state_of(path):
    status = os.lstat(path)
    return status.st_ino, status.st_mode, status.st_size, status.st_mtime


def content_of(path):
    with open(path, "rb") as file:
        return file.read()


def put(path, content):
    with open(path, "wb") as file:
        file.write(content)


@pytest.fixture
def written(make, path):
    """The content of a file with two secrets."""
    write(make(), secret(1), secret(2, OTHER))
    return content_of(path)


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
            early._writing = True  # as if its writer were amid a write
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
        # The fixture made it cheap for all tests.
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
            with pytest.raises(ConfigurationError, match="is no cache file|is of another format|is cut"):
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
        """Who has the password could seal anything; the entries are bound to their names even so."""
        file = make()
        opened = file._open()
        one, two = opened.entries.values()
        one["sealed"], two["sealed"] = two["sealed"], one["sealed"]
        content = opened.head + b"".join(map(cache_file._line, (one, two)))
        put(path, content + cache_file._line({"seal": cache_file._sealed(opened.cipher, b"", content)}))

        with pytest.raises(ConfigurationError, match="is not what was written"):
            make().recover_get_secret(NAME)

    def test_entry_with_another_time_whatever_the_seal_says(self, make, written, path):
        opened = make()._open()
        for entry in opened.entries.values():
            entry["read"] += 1
        content = opened.head + b"".join(map(cache_file._line, opened.entries.values()))
        put(path, content + cache_file._line({"seal": cache_file._sealed(opened.cipher, b"", content)}))

        with pytest.raises(ConfigurationError, match="is not what was written"):
            make().recover_get_secret(NAME)

    @pytest.mark.parametrize("content", [b"", b"\n", b"\x00" * 100, b"credentials_type=ak\n", b"managed-credentials"],
                             ids=["empty", "line", "zeros", "properties", "beginning"])
    def test_foreign_file(self, path, refused, content):
        put(path, content)

        assert "is no cache file of this package" in refused()

    def test_foreign_file_of_others_is_not_to_be_made_private(self, path, refused):
        put(path, b"root:x:0:0:root:/root:/bin/sh\n")
        os.chmod(path, 0o644)

        assert "is no cache file of this package" in refused()

    @pytest.mark.parametrize("number", [b"0", b"2", b"12", b"x"])
    def test_other_format(self, written, path, refused, number):
        put(path, written.replace(b"format 1\n", b"format " + number + b"\n", 1))

        assert "is of another format than 1" in refused()

    @pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o602, 0o610, 0o777])
    def test_open_to_others(self, written, path, refused, mode):
        os.chmod(path, mode)

        message = refused()

        assert "mode {:o}".format(mode) in message
        assert "chmod 600" in message

    def test_of_another_user(self, written, path, refused, monkeypatch):
        user = os.geteuid()
        monkeypatch.setattr(os, "geteuid", lambda: user + 1)

        assert "belongs to the user {}, and this process is of the user {}".format(user, user + 1) in refused()

    def test_directory(self, path, refused):
        os.mkdir(path)

        assert "is no regular file" in refused()

    def test_pipe_does_not_hang(self, path, refused):
        os.mkfifo(path)

        assert "is no regular file" in refused()

    def test_symbolic_link(self, written, path, refused):
        os.rename(path, path + ".elsewhere")
        os.symlink(path + ".elsewhere", path)

        assert "is a symbolic link" in refused()

    def test_missing_directory(self, path, clock):
        with pytest.raises(ConfigurationError, match="its directory does not exist; create it"):
            CacheFile(CacheFileSettings(os.path.join(path, "keys.cache"), PASSWORD), clock)

    @pytest.mark.parametrize("head", [
        {"n": 1 << 40}, {"n": -2}, {"n": 3}, {"n": "2"}, {"r": 0}, {"p": None}, {"salt": "?"}, {"salt": 5}, None],
        ids=repr)
    def test_second_line_that_cannot_be(self, written, path, refused, head):
        lines = written.splitlines(keepends=True)
        said = json.loads(lines[1].decode("ascii"))
        lines[1] = cache_file._line(dict(said, **head)) if head else b"[]\n"
        put(path, b"".join(lines))

        assert "its second line is damaged" in refused()

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


class DyingOs:
    """In place of a module's ``os``: the process ends at a step, that before a call, or amid a write."""

    def __init__(self, step):
        self._left = step

    def __getattr__(self, name):
        value = getattr(os, name)
        if not callable(value):
            return value

        def call(*arguments, **options):
            self.step()
            result = value(*arguments, **options)
            return DyingFile(result, self) if name == "fdopen" else result

        return call

    def step(self):
        if self._left == 0:
            os._exit(1)
        self._left -= 1


class DyingFile:
    def __init__(self, file, owner):
        self._file = file
        self._owner = owner

    def write(self, content):
        for at in range(0, len(content), 200):
            self._file.write(content[at:at + 200])
            self._file.flush()
            self._owner.step()

    def __enter__(self):
        return self

    def __exit__(self, *exc_info):
        self._file.close()

    def __getattr__(self, name):
        return getattr(self._file, name)


def fork(function):
    """Run ``function`` in a child, which ends with status 0 after it; return the child's pid."""
    child = os.fork()
    if child == 0:
        try:
            function()
            os._exit(0)
        finally:
            os._exit(9)
    return child


def version_in(file):
    return int(file.recover_get_secret(NAME).secret_info.version_id.rpartition("-")[2])


@pytest.mark.filterwarnings("ignore:.*multi-threaded.*:DeprecationWarning")
class TestProcesses:
    @pytest.fixture
    def clock(self):
        return Clock()

    def test_that_ends_at_any_step_of_a_write_leaves_the_old_file_or_the_new_one(self, make, path, monkeypatch):
        file = make()
        write(file, secret(1), secret(7, OTHER))
        old = content_of(path)
        seen = []
        for step in itertools.count():
            put(path, old)

            def write_and_die(step=step):
                monkeypatch.setattr(cache_file, "os", DyingOs(step))
                file._write({NAME: (file._clock.time(), secret(2))})

            _, status = os.waitpid(fork(write_and_die), 0)
            for name in os.listdir(os.path.dirname(path)):
                assert not shows_a_secret(content_of(os.path.join(os.path.dirname(path), name)).decode("ascii"))
            seen.append(version_in(make()))
            assert make().recover_get_secret(OTHER).secret_info == secret(7, OTHER)
            write(file, secret(3))
            assert version_in(make()) == 3
            assert sorted(os.listdir(os.path.dirname(path))) == ["keys.cache", "keys.cache.lock"]
            if status == 0:
                break
            assert os.WEXITSTATUS(status) == 1

        assert seen == sorted(seen)  # old until it is renamed, new from then on
        assert set(seen) == {1, 2}
        assert len(seen) > 20

    def test_that_is_killed_at_any_moment_leaves_the_last_file_or_the_next(self, make):
        def write_for_ever(file, done):
            for version in itertools.count(1):
                file._write({NAME: (time.time(), secret(version))})
                os.write(done, b".")

        file = make()
        for _ in range(25):
            reading, writing = os.pipe()
            child = fork(lambda writing=writing: write_for_ever(file, writing))
            os.close(writing)
            with os.fdopen(reading, "rb", 0) as done:
                assert done.read(1) == b"."
                time.sleep(random.uniform(0, 0.02))  # at any moment
                os.kill(child, signal.SIGKILL)
                os.waitpid(child, 0)
                last = 1 + len(done.read())

            assert version_in(make()) in (last, last + 1)

    def test_write_at_once_and_none_loses_its_secret(self, make, path):
        def write_some(process):
            file = make()
            for number in range(10):
                write(file, secret(number, "secret-{}-{}".format(process, number)))

        # One opens the file before there is one, with a salt of its own.
        children = [fork(lambda process=process: write_some(process)) for process in range(4)]

        assert [os.waitpid(child, 0)[1] for child in children] == [0] * 4
        file = make()
        assert {name: entry["secret"] for name, entry in file._open().entries.items()} == {
            name: name for name in ("secret-{}-{}".format(*both) for both in itertools.product(range(4), range(10)))}

    def test_both_write_after_a_fork(self, make):
        file = make()
        write(file, secret(1))

        def in_child():
            file.after_fork_in_child()
            write(file, secret(2, OTHER))

        child = fork(in_child)
        write(file, secret(3))

        assert os.waitpid(child, 0)[1] == 0
        assert version_in(make()) == 3
        assert make().recover_get_secret(OTHER).secret_info == secret(2, OTHER)

    def test_fork_and_end_wait_for_a_write_in_progress_but_not_for_ever(self, make, monkeypatch):
        entered, go_on = threading.Event(), threading.Event()
        file = make()
        monkeypatch.setattr(file, "_replace", lambda content: entered.set() or go_on.wait(PATIENCE))
        file.await_write()
        file.keep_secret(secret(1))
        assert entered.wait(PATIENCE)
        monkeypatch.setattr(cache_file, "WRITE_PATIENCE", 0.01)
        file.await_write()
        assert file._writer.is_alive()
        monkeypatch.setattr(cache_file, "WRITE_PATIENCE", PATIENCE)
        go_on.set()

        file.await_write()

        assert not file._writer.is_alive()

    def test_forked_amid_a_write_leaves_it_to_the_parent(self, make):
        file = make()
        with file._locked():
            file._writing = True
            file.keep_secret(secret(1))

            def in_child():
                file.after_fork_in_child()
                assert not file._pending
                signal.pause()

            child = fork(in_child)
            file._writing = False
        try:
            file.catch_up()  # the lock is free, although the child has its descriptor
            wait(file)
            assert version_in(make()) == 1
        finally:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)


def test_new_file_is_on_the_disk_before_it_has_the_name_and_the_name_before_the_lock_is_free(make, monkeypatch):
    file = make()
    write(file, secret(1))
    calls = []

    def noting(name, real):
        def call(*arguments):
            calls.append(name)
            return real(*arguments)

        return call

    monkeypatch.setattr(os, "fsync", noting("fsync", os.fsync))
    monkeypatch.setattr(os, "replace", noting("replace", os.replace))
    monkeypatch.setattr(cache_file.fcntl, "flock", noting("flock", cache_file.fcntl.flock))
    write(file, secret(2))

    assert calls == ["flock", "fsync", "replace", "fsync", "flock"]


class TestSettings:
    """The keys of the properties file."""

    @pytest.fixture
    def load(self, tmp_path):
        def load_file(**values):
            values = dict({"credentials_type": "default", "cache_client_region_id": '[{"regionId": "cn-a"}]'}, **values)
            path = tmp_path / "app.properties"
            path.write_text("".join("{}={}\n".format(*item) for item in values.items()))
            return load_settings(str(path)).cache_file

        return load_file

    def test_there_is_none_by_default(self, load):
        assert load() is None

    def test_paths_are_relative_to_the_properties_file(self, load, tmp_path):
        (tmp_path / "password.txt").write_text(PASSWORD + "\n")

        assert load(cache_file_path="keys.cache", cache_file_password_from_file_path="password.txt") == \
            CacheFileSettings(str(tmp_path / "keys.cache"), PASSWORD)

    def test_password_in_a_variable(self, load, tmp_path, monkeypatch):
        monkeypatch.setenv("CACHE_PASSWORD", PASSWORD)

        assert load(cache_file_path="/keys.cache", cache_file_password_from_env_variable="CACHE_PASSWORD") == \
            CacheFileSettings("/keys.cache", PASSWORD)

    @pytest.mark.parametrize("values, words", [
        ({"cache_file_path": "a"},
         ["cache_file_password_from_file_path is missing or empty", "cache_file_path needs it",
          "or cache_file_password_from_env_variable"]),
        ({"cache_file_password_from_env_variable": "A"},
         ["cache_file_path is missing or empty", "cache_file_password_from_env_variable"]),
        ({"cache_file_password_from_file_path": "a"},
         ["cache_file_path is missing or empty", "cache_file_password_from_file_path"]),
        ({"cache_file_path": "a", "cache_file_password_from_env_variable": "A",
          "cache_file_password_from_file_path": "a"},
         ["cache_file_password_from_env_variable is there, and cache_file_password_from_file_path as well"]),
        ({"cache_file_path": "a", "cache_file_password_from_env_variable": "NOT_SET"},
         ["cache_file_password_from_env_variable names the environment variable 'NOT_SET', which is not set"]),
        ({"cache_file_path": "a", "cache_file_password_from_file_path": "missing.txt"},
         ["cache_file_password_from_file_path names the file", "missing.txt", "No such file"]),
    ], ids=["no password", "variable alone", "file alone", "both", "variable not set", "file missing"])
    def test_one_without_the_other_is_an_error_that_says_so(self, load, values, words):
        with pytest.raises(ConfigurationError) as caught:
            load(**values)
        for word in words:
            assert word in str(caught.value)


class TestRecoveredKey:
    """What the cache makes of a key that was kept from before."""

    READ = 1600000000.0

    @pytest.fixture
    def world(self, clock, longest_jitter):
        class World:
            def __init__(self):
                self.answers = [Recovered(key("A"), TestRecoveredKey.READ)]
                self.late = None
                self.scheduled = []
                self.told = []
                self.cache = Cache(self.fetch, clock, lambda name, seconds: self.scheduled.append(seconds), 3600.0, 10.0,
                                   2.0)
                self.cache.subscribe(lambda name, new: self.told.append(new))

            def fetch(self, name, timeout, retry, late):
                answer = self.answers.pop(0)
                if self.late is not None:
                    late(name, self.late)
                if isinstance(answer, Exception):
                    raise answer
                return answer

        return World()

    def test_serves_and_is_told(self, world, clock, caplog):
        caplog.set_level(logging.INFO)

        assert world.cache.get(NAME) == key("A")
        assert world.told == [key("A")]
        assert "recovered" in caplog.text
        stats = world.cache.stats()[NAME]
        assert (stats.age, stats.fetches, stats.failures) == (clock.time() - self.READ, 1, 1)

    def test_is_asked_for_again_after_2_seconds_doubling_to_5_minutes(self, world):
        world.cache.get(NAME)
        for _ in range(9):
            world.answers.append(ClientException("SDK.HttpError", "no answer"))
            world.cache.refresh(NAME)

        assert world.scheduled[-10:] == [2, 4, 8, 16, 32, 64, 128, 256, 300, 300]

    def test_gives_way_to_the_answer_of_any_fetch(self, world):
        world.cache.get(NAME)
        world.answers.append(Fetched(1, key("B")))

        assert world.cache.refresh(NAME)
        assert world.cache.get(NAME) == key("B")
        assert world.scheduled[-1] == 3600
        assert world.told == [key("A"), key("B")]

    def test_that_comes_after_a_late_answer_is_not_used(self, world):
        world.late = Fetched(1, key("B"))

        assert world.cache.get(NAME) == key("B")
        assert world.told == [key("B")]
        assert world.scheduled[-1] == 3600

    def test_is_renewed_as_any_other(self, world):
        first = world.cache.get(NAME)
        world.answers.append(Fetched(1, key("B")))

        assert world.cache.renew(NAME, first) == key("B")

    def test_serves_the_next_client_which_need_not_wait_for_the_outage_again(self, world):
        world.cache.get(NAME)
        world.cache.retire(NAME)

        assert world.cache.get(NAME) == key("A")
        assert world.cache.stats()[NAME].fetches == 1
        assert world.scheduled[-1] == 2
