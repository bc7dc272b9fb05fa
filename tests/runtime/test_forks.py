"""Contract 9: forks whose hooks nest or are cut short, in handlers, in finalizers, in C, and while the owner works."""

import _imp
import ctypes
import os
import signal
import sys
import threading
import time

import pytest
from aliyunsdkcore.acs_exception.exceptions import ClientException

from aliyun_sdk_secretsmanager_common_plugin import runtime as runtime_module
from aliyun_sdk_secretsmanager_common_plugin import threads
from aliyun_sdk_secretsmanager_common_plugin.keeper.events import FIRST_READ, Asked
from aliyun_sdk_secretsmanager_common_plugin.runtime import Runtime, owner
from tests import forks
from tests.common.fakes import PATIENCE, Gate, Running, key
from tests.conftest import wait_until
from tests.forks import await_ended_threads

NAME = "app/key"

pytestmark = pytest.mark.filterwarnings("ignore:.*multi-threaded.*:DeprecationWarning")
needs_hooks = pytest.mark.skipif(not hasattr(os, "register_at_fork"), reason="hooks for forks came with 3.7")


@pytest.fixture
def short_patience(monkeypatch):
    """A fork that does not end counts as over after a moment."""
    monkeypatch.setattr(owner, "FORK_PATIENCE", 0.05)


def in_child(function):
    """Fork, and return what the function returned; on 3.6 the child notices the fork first, as a client's call does."""

    def begin():
        runtime_module.process.check_process()
        return function()

    return forks.in_child(begin)


def from_another_thread(function):
    return Running(function).result()


class TestHooks:
    def test_owner_rests_in_between(self, credentials, source, runtime):
        credentials.get(NAME)
        runtime.before_fork()
        assert runtime.thread() is None
        reading = Running(lambda: credentials.get("other/key"))
        threading.Event().wait(0.02)
        assert len(source.asked) == 1
        runtime.after_fork_in_parent()

        assert reading.result() == key("other/key")

    def test_owner_starts_afterwards_only_if_somebody_waits(self, credentials, runtime):
        credentials.get(NAME)
        runtime.before_fork()
        runtime.after_fork_in_parent()
        assert runtime.thread() is None

        assert credentials.get(NAME) == key(NAME)
        assert runtime.thread() is not None

    def test_nest(self, credentials, source, runtime):
        """A signal's handler forks while the hook of another fork runs."""
        for _ in range(2):
            runtime.before_fork()
        reading = Running(lambda: credentials.get(NAME))
        runtime.after_fork_in_parent()
        threading.Event().wait(0.02)
        assert reading.alive()
        runtime.after_fork_in_parent()

        assert reading.result() == key(NAME)

    def test_of_several_threads_at_once(self, credentials, runtime, in_threads):
        def fork():
            for _ in range(50):
                runtime.before_fork()
                runtime.after_fork_in_parent()

        reading = Running(lambda: [credentials.refresh("secret-{}".format(number)) for number in range(50)])
        in_threads([fork] * 4)

        assert reading.result() == [True] * 50

    def test_whoever_reads_amid_a_fork_of_its_own_is_answered(self, credentials, runtime):
        """A signal's handler, or the hook of another package, may read a secret during a fork."""
        credentials.get(NAME)
        runtime.before_fork()
        began = time.monotonic()

        assert credentials.get(NAME) == key(NAME)
        assert credentials.get("other/key") == key("other/key")
        assert time.monotonic() - began < owner.FORK_PATIENCE
        runtime.after_fork_in_parent()
        assert from_another_thread(lambda: credentials.get("third/key")) == key("third/key")


class TestExceptionsOutOfHooks:
    """The interpreter writes an exception of a hook to stderr, and forks anyway."""

    @pytest.mark.parametrize("error", [KeyboardInterrupt, ValueError])
    @pytest.mark.parametrize("where", ["await_leaving", "wake", "_executors", "accounts"])
    def test_before_a_fork(self, credentials, runtime, monkeypatch, error, where):
        def fail(*ignored):
            raise error

        credentials.get(NAME)
        with monkeypatch.context() as interrupted:
            interrupted.setattr(owner if where == "await_leaving" else runtime, where, fail)
            with pytest.raises(error):
                runtime.before_fork()
        runtime.after_fork_in_parent()

        assert from_another_thread(lambda: credentials.get("other/key")) == key("other/key")
        assert in_child(lambda: (credentials.get(NAME), credentials.get("other/key"))) == (key(NAME), key("other/key"))
        assert from_another_thread(lambda: credentials.refresh(NAME))

    def test_amid_the_wait_for_the_turn_do_not_leave_it_taken(self, credentials, runtime, monkeypatch):
        class Interrupted:
            """The lock of the turn; a handler raises in this thread as soon as it has it."""

            def __init__(self, lock):
                self._lock = lock
                self.release, self.locked = lock.release, lock.locked

            def acquire(self, *args, **kwargs):
                taken = self._lock.acquire(*args, **kwargs)
                if threading.current_thread() is threading.main_thread():
                    raise KeyboardInterrupt
                return taken

        monkeypatch.setattr(runtime, "_turn", Interrupted(runtime._turn))
        try:
            runtime.before_fork()
        except KeyboardInterrupt:
            pass
        runtime.after_fork_in_parent()

        assert from_another_thread(lambda: credentials.get(NAME)) == key(NAME)

    def test_after_a_fork_stop_others_for_a_while_only(self, credentials, runtime, short_patience):
        runtime.before_fork()  # and an exception skips the hook after it

        assert from_another_thread(lambda: credentials.get(NAME)) == key(NAME)

    def test_after_a_fork_do_not_stop_the_thread_that_forked(self, credentials, runtime):
        runtime.before_fork()
        began = time.monotonic()

        assert credentials.get(NAME) == key(NAME)
        assert from_another_thread(lambda: credentials.get("other/key")) == key("other/key")
        assert time.monotonic() - began < owner.FORK_PATIENCE

    def test_after_a_fork_stop_no_import_for_long(self, runtime, short_patience):
        runtime.before_fork()

        def importing():
            with runtime.importing():
                return "imported"

        assert from_another_thread(importing) == "imported"

    def test_amid_an_import_stop_no_fork_for_long(self, credentials, runtime, short_patience):
        def interrupted():
            runtime.importing().__enter__()

        from_another_thread(interrupted)

        assert in_child(lambda: credentials.get(NAME)) == key(NAME)


class TestImports:
    def test_fork_waits_for_one(self, runtime):
        gate, forked = Gate(), []

        def importing():
            with runtime.importing():
                gate()
                assert not forked

        def fork():
            runtime.before_fork()
            forked.append(True)
            runtime.after_fork_in_parent()

        thread = Running(importing)
        gate.wait_entered()
        forking = Running(fork)
        threading.Event().wait(0.02)
        gate.open()

        thread.result()
        forking.result()

    def test_amid_one_of_its_own_a_thread_may_fork(self, runtime, credentials):
        with runtime.importing():
            assert in_child(lambda: credentials.get(NAME)) == key(NAME)
        with runtime.importing():
            pass


class TestChild:
    def test_has_no_thread_and_starts_none_before_it_reads(self, credentials, runtime):
        credentials.get(NAME)

        def child():
            return runtime.thread(), threading.active_count(), credentials.get(NAME), runtime.thread() is not None

        assert in_child(child) == (None, 1, key(NAME), True)

    def test_has_no_connection_of_its_parent(self, credentials, runtime):
        credentials.get(NAME)
        wait_until(lambda: runtime.workers.wake_at() is not None)

        assert in_child(lambda: runtime.workers.wake_at()) is None

    @needs_hooks
    def test_forked_in_a_handler_while_its_thread_waits_goes_on_by_itself(self, credentials, source):
        """Both the parent and the child return from the same call."""
        gate = source.answer = Gate(key("parent"))
        parent, children = os.getpid(), []

        def fork(*ignored):
            if os.fork() == 0:
                source.answer = key("child")
            else:
                children.append(True)
                gate.open()

        def drill():
            gate.wait_entered()
            os.kill(parent, signal.SIGUSR1)

        former = signal.signal(signal.SIGUSR1, fork)
        interrupting = Running(drill)
        await_ended_threads()
        try:
            value = credentials.get(NAME)
            if os.getpid() != parent:
                os._exit(3 if value == key("child") else 4)
        except BaseException:
            if os.getpid() != parent:
                os._exit(5)
            raise
        finally:
            signal.signal(signal.SIGUSR1, former)

        interrupting.result()
        assert value == key("parent")
        assert os.WEXITSTATUS(os.wait()[1]) == 3

    @pytest.mark.parametrize("name", [NAME, "fetched/key"], ids=["owner", "worker"])
    def test_forked_by_a_finalizer_in_the_thread_that_answers(self, credentials, account, runtime, name):
        """In the parent that thread finishes what it was doing; the child goes on without that."""
        outcome = []

        class Finalized:
            def __init__(self):
                self.forked = None

            def set(self, ignored):
                def child():
                    os.write(writing, b"read" if credentials.get(NAME) == key(NAME) else b"failed")
                    return runtime.thread() is not None

                outcome.append(in_child(child))

        reading, writing = os.pipe()
        credentials.get(NAME)
        runtime.put(account, Asked(Finalized(), FIRST_READ, name, runtime.clock.monotonic() + 10))

        wait_until(lambda: outcome)
        assert outcome == [True]
        assert os.read(reading, 10) == b"read"
        assert credentials.get("other/key") == key("other/key")
        os.close(reading)
        os.close(writing)

    @needs_hooks
    def test_forked_by_a_finalizer_amid_an_event_has_the_keys(self, credentials, account, source, monkeypatch):
        read, settle, outcome = credentials.get(NAME), account._keeper._settle, []

        def child():
            source.answer = ClientException("SDK.HttpError", "no answer")
            try:
                return credentials.get(NAME)
            except ClientException as error:
                return error.get_error_msg()

        def forking(entry):
            if not outcome:
                outcome.append(in_child(child))
            settle(entry)

        monkeypatch.setattr(account._keeper, "_settle", forking)

        assert credentials.get("other/key") == key("other/key")
        assert outcome == [read]

    @needs_hooks
    def test_that_goes_on_in_a_workers_thread_ends_with_it(self, account, runtime):
        class Forking:
            def set(self, ignored):
                child.append(os.fork())

        child = []
        runtime.put(account, Asked(Forking(), FIRST_READ, NAME, runtime.clock.monotonic() + 10))
        wait_until(lambda: child)
        try:
            wait_until(lambda: os.waitpid(child[0], os.WNOHANG)[0])
        except BaseException:
            os.kill(child[0], signal.SIGKILL)
            raise

    @needs_hooks
    def test_that_goes_on_in_the_owners_thread_has_one_owner(self, credentials, account, runtime):
        class Forking:
            def set(self, ignored):
                child.append(os.fork())

        child = []
        reading, writing = os.pipe()
        parent = os.getpid()

        def work():
            runtime.put(account, Asked(Forking(), FIRST_READ, NAME, runtime.clock.monotonic() + 10))
            runtime._thread.work_here(lambda: runtime._work(lambda: bool(child)))
            if os.getpid() != parent:
                try:
                    owned = runtime.thread()
                    assert owned is None
                    assert credentials.get("other/key") == key("other/key")
                    os.write(writing, b"one")
                finally:
                    os._exit(0)

        # The owner works in this thread, as it does where no other can be started: the child then has a stack to return to.
        credentials.get(NAME)
        credentials.close()
        wait_until(lambda: runtime.thread() is None)
        work()

        assert os.read(reading, 10) == b"one"
        os.waitpid(child[0], 0)
        os.close(reading)
        os.close(writing)

    def test_without_hooks_is_noticed_by_the_client_that_is_used(self, credentials, runtime, monkeypatch, clock):
        """Python 3.6 has no hooks, and some servers run none when they fork."""
        credentials.get(NAME)
        with monkeypatch.context() as patched:
            patched.setattr(runtime_module, "process", Runtime(clock))  # what the hooks find

            def child():
                runtime.check_process()
                return credentials.get(NAME), credentials.get("other/key")

            assert in_child(child) == (key(NAME), key("other/key"))


@needs_hooks
@pytest.mark.skipif(sys.platform != "linux", reason="the C library's fork, as servers call it")
class TestForkInC:
    """uWSGI forks in C, and runs only the interpreter's hook in the child."""

    @staticmethod
    def in_child_of_c(function):
        await_ended_threads()
        reading, writing = os.pipe()
        interval = sys.getswitchinterval()
        # A server runs no bytecode between fork and hook. In a child that does, here, no thread may have asked for the
        # interpreter, since it would wait for that thread to take it. So no thread asks for a while.
        sys.setswitchinterval(1000)
        threading.Event().wait(0.01)  # those that had begun to wait get it now
        _imp.acquire_lock()  # the hook in the child releases it, and from 3.13 on it must be held
        child = ctypes.PyDLL(None).fork()
        if child == 0:
            try:
                ctypes.pythonapi.PyOS_AfterFork_Child()
                sys.setswitchinterval(interval)
                os.write(writing, repr(function()).encode("utf-8"))
            finally:
                os._exit(0)
        sys.setswitchinterval(interval)
        _imp.release_lock()
        os.close(writing)
        deadline = Running(lambda: os.waitpid(child, 0)[1])
        try:
            deadline.result()
        except AssertionError:
            os.kill(child, signal.SIGKILL)
            raise
        with os.fdopen(reading, "rb") as file:
            return file.read().decode("utf-8")

    def test_while_the_owner_sleeps(self, credentials):
        credentials.get(NAME)

        child = self.in_child_of_c(lambda: [credentials.get(name) == key(name) for name in (NAME, "other/key")])

        assert child == "[True, True]"
        assert credentials.get(NAME) == key(NAME)

    def test_while_another_thread_waits_for_a_fetch(self, credentials, source):
        gate = source.answer = Gate(key("parent"))
        reading = Running(lambda: credentials.get(NAME))
        gate.wait_entered()

        def child():
            source.answer = key("child")
            return credentials.get(NAME) == key("child")

        assert self.in_child_of_c(child) == "True"
        gate.open()
        assert reading.result() == key("parent")

    @pytest.mark.parametrize("where", ["_settle", "_store", "_answer_asks", "_plan"])
    def test_amid_an_event_that_the_owner_takes(self, credentials, account, source, where):
        """The keeper's state is undefined then; the child keeps the published keys and the leases."""
        read = credentials.get(NAME), credentials.get("third/key")
        keeper = account._keeper
        gate, method = Gate(), getattr(keeper, where)

        def amid(*args):
            gate()
            return method(*args)

        setattr(keeper, where, amid)
        reading = Running(lambda: credentials.get("other/key"))
        gate.wait_entered()

        def child():
            hanging = source.answer = Gate()
            cached = credentials.get(NAME), credentials.get("third/key")
            source.answer = key("new")
            hanging.answer = key("new")
            hanging.open()
            return [cached == read, credentials.renew(NAME, read[0]) == key("new"),
                    credentials.get("other/key") == key("new")]

        assert self.in_child_of_c(child) == "[True, True, True]"
        gate.open()
        assert reading.result() == key("other/key")


@needs_hooks
class TestWaitsBeforeAFork:
    @pytest.mark.skipif(not hasattr(threading, "get_native_id"), reason="came with 3.8; only 3.12 and later warn")
    def test_for_a_thread_that_has_yet_to_leave_after_it_started_another(self, monkeypatch):
        """CPython counts it and warns, even where the thread that it started has ended before."""
        ended, may_leave = threading.Event(), threading.Event()

        class SlowlyStarted(threading.Thread):
            def start(self):
                super().start()
                may_leave.wait(PATIENCE)

        threads.await_leaving()
        with monkeypatch.context() as slow:
            slow.setattr(threading, "Thread", SlowlyStarted)
            threads.start("quick", ended.set, pytest.fail)
            assert ended.wait(PATIENCE)
        began = time.monotonic()
        threads.await_leaving()
        may_leave.set()

        assert time.monotonic() - began >= threads.LEAVING_PATIENCE

    def test_for_callbacks_that_take_a_moment(self, credentials):
        done = []

        def subscriber(name, new):
            threading.Event().wait(0.02)
            done.append(new)

        credentials.get(NAME)
        credentials.subscribe(subscriber)
        credentials._account.begin_first_read("other/key")
        wait_until(lambda: "other/key" in credentials.stats() and credentials.stats()["other/key"].age is not None)

        in_child(lambda: None)

        assert done == [key("other/key")]

    def test_not_long_for_one_that_hangs(self, credentials, clock):
        gate = Gate()
        credentials.subscribe(lambda name, new: gate())
        credentials._account.begin_first_read(NAME)
        gate.wait_entered()
        began = time.monotonic()

        in_child(lambda: None)

        assert time.monotonic() - began < PATIENCE / 2
        gate.open()

    def test_not_for_the_subscriber_that_forks(self, credentials):
        forked = []

        def subscriber(name, new):
            began = time.monotonic()
            forked.append((in_child(lambda: credentials.get("other/key")), time.monotonic() - began))

        credentials.subscribe(subscriber)
        credentials.get(NAME)

        wait_until(lambda: forked)
        ((read, seconds),) = forked[:1]
        assert read == key("other/key")
        assert seconds < owner.FORK_PATIENCE
