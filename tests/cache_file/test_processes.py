"""Processes that share a cache file, fork, or end at any moment of a write."""

import itertools
import os
import random
import signal
import threading
import time

import pytest

from aliyun_sdk_secretsmanager_common_plugin.clock import Clock
from aliyun_sdk_secretsmanager_common_plugin.stores import cache_file
from tests.common.fakes import PATIENCE, Running

from .files import NAME, OTHER, content_of, put, secret, shows_a_secret, version_in, wait, write


class DyingOs:
    """Replaces a module's ``os``. The process ends at the given step: before a call, or within a write."""

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
    """Run ``function`` in a child, which then exits with status 0. Return the child's pid."""
    child = os.fork()
    if child == 0:
        try:
            function()
            os._exit(0)
        finally:
            os._exit(9)
    return child


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

        assert seen == sorted(seen)  # the old version until the rename, then the new one
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
                time.sleep(random.uniform(0, 0.02))
                os.kill(child, signal.SIGKILL)
                os.waitpid(child, 0)
                last = 1 + len(done.read())

            assert version_in(make()) in (last, last + 1)

    def test_write_at_once_and_none_loses_its_secret(self, make, path):
        def write_some(process):
            file = make()
            for number in range(10):
                write(file, secret(number, "secret-{}-{}".format(process, number)))

        # All start before there is a file, each with its own salt.
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

    def test_fork_waits_for_a_write_in_progress_but_not_for_ever(self, make, monkeypatch):
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

    def test_end_waits_for_a_write_in_progress_and_those_that_end_later_no_longer(self, make, monkeypatch, clock):
        entered, go_on = threading.Event(), threading.Event()
        file = make()
        file.flush()
        monkeypatch.setattr(file, "_replace", lambda content: entered.set() or go_on.wait(PATIENCE))
        file.keep_secret(secret(1))
        assert entered.wait(PATIENCE)
        with monkeypatch.context() as impatient:
            impatient.setattr(cache_file, "END_PATIENCE", 0.01)
            file.flush()
        assert file._writer.is_alive()
        with monkeypatch.context() as later:
            later.setattr(clock, "monotonic", lambda: file._began + cache_file.END_PATIENCE)
            file.flush()
        assert file._writer.is_alive()
        end = Running(file.flush)
        assert end.alive()
        go_on.set()

        end.result()

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
            file.catch_up()  # the lock is free, although the child has inherited its descriptor
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
