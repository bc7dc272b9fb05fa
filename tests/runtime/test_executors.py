"""Subscribers, strategies and log handlers: each has a thread of its own, and delays no other."""

import gc
import logging
import threading
import time
import weakref

import pytest

from aliyun_sdk_secretsmanager_common_plugin.clock import Clock
from aliyun_sdk_secretsmanager_common_plugin.runtime.account import TELLING_PATIENCE
from aliyun_sdk_secretsmanager_common_plugin.runtime.executors import SerialExecutor
from tests.common.fakes import PATIENCE, Gate, Running, key, threads_named
from tests.conftest import wait_until

NAME = "app/key"


def soon():
    return time.monotonic() + PATIENCE


def lose_patience(clock, waiting):
    """Advance the clock until a call no longer waits for subscribers."""
    while waiting.alive():
        clock.advance(TELLING_PATIENCE + 0.1)
        waiting.join(1)


class TestSerialExecutor:
    def test_runs_callbacks_in_order(self):
        executor, done = SerialExecutor("test-executor"), []
        callbacks = [executor.submit(lambda number=number: done.append(number)) for number in range(100)]

        assert callbacks[-1].wait(Clock(), soon())
        assert done == list(range(100))

    def test_has_a_daemon_thread_while_there_are_callbacks(self):
        executor, gate = SerialExecutor("test-executor-with-a-thread"), Gate()
        executor.submit(gate)
        gate.wait_entered()
        (thread,) = threads_named("test-executor-with-a-thread")
        assert thread.daemon
        gate.open()

        thread.join(PATIENCE)
        assert not thread.is_alive()
        assert executor.submit(lambda: None).wait(Clock(), soon())

    def test_one_that_blocks_stops_no_other(self):
        gate, others = Gate(), [SerialExecutor("test-executor") for _ in range(8)]
        for _ in range(8):
            SerialExecutor("test-executor").submit(gate)
        gate.wait_entered()

        assert all(executor.submit(lambda: None).wait(Clock(), soon()) for executor in others)
        gate.open()

    @pytest.mark.parametrize("error", [ValueError, SystemExit, KeyboardInterrupt])
    def test_callback_that_raises_is_logged_without_its_text_and_the_next_one_is_run(self, error, caplog):
        def fail():
            raise error("secret-of-somebody")

        executor = SerialExecutor("test-executor")
        failed = executor.submit(fail)
        following = executor.submit(lambda: None)

        assert failed.wait(Clock(), soon())
        assert following.wait(Clock(), soon())
        (record,) = caplog.records
        assert (record.levelno, record.name) == (logging.ERROR, "aliyun_sdk_secretsmanager_common_plugin.runtime.executors")
        assert error.__name__ in record.getMessage()
        assert "secret-of" not in caplog.text

    def test_callback_does_not_wait_for_those_behind_it(self):
        executor = SerialExecutor("test-executor")
        began = time.monotonic()
        waited = []
        callback = executor.submit(lambda: waited.append(executor.submit(lambda: None).wait(Clock(), soon())))

        assert callback.wait(Clock(), soon())
        assert waited == [None]
        assert time.monotonic() - began < PATIENCE / 2

    def test_that_has_done_its_callbacks_keeps_nothing_of_them(self):
        class Function:
            def __call__(self):
                pass

        executor, callback = SerialExecutor("test-executor"), Function()
        reference = weakref.ref(callback)
        executor.submit(callback).wait(Clock(), soon())
        executor.submit(lambda: None).wait(Clock(), soon())
        del callback

        wait_until(lambda: gc.collect() is not None and reference() is None)

    def test_forgets_in_a_child_what_its_parent_was_to_do(self):
        executor, gate, done = SerialExecutor("test-executor"), Gate(), []
        executor.submit(gate)
        gate.wait_entered()
        executor.submit(lambda: done.append("the parent's"))
        executor.reset()

        assert executor.submit(lambda: done.append("the child's")).wait(Clock(), soon())
        assert done == ["the child's"]
        gate.open()

    def test_where_no_thread_can_be_had_runs_callbacks_in_the_caller(self, no_threads):
        done = []
        SerialExecutor("test-executor").submit(lambda: done.append(threading.current_thread()))

        assert done == [threading.current_thread()]


class TestSubscribers:
    def rotate(self, credentials, source, name=NAME):
        source.answer = key("new-{}".format(len(source.asked)))
        assert credentials.renew(name, credentials.get(name)) == source.answer
        return source.answer

    def test_know_of_a_key_when_the_call_that_brought_it_returns(self, credentials, source):
        told = []
        credentials.subscribe(lambda name, new: told.append((name, new)))
        credentials.get(NAME)

        for _ in range(5):
            new = self.rotate(credentials, source)
            assert told[-1] == (NAME, new)

    def test_that_block_hold_up_a_call_for_a_moment_and_no_other_subscriber(self, credentials, source, clock):
        gate, told = Gate(), []
        for _ in range(4):
            credentials.subscribe(lambda name, new: gate())
        credentials.subscribe(lambda name, new: told.append(new))
        reading = Running(lambda: credentials.get(NAME))
        gate.wait_entered()
        wait_until(lambda: told)
        assert reading.alive()
        lose_patience(clock, reading)

        assert reading.result() == key(NAME)
        new = Running(lambda: self.rotate(credentials, source))
        wait_until(lambda: len(told) == 2)
        lose_patience(clock, new)
        assert new.result() == told[-1]
        gate.open()

    def test_that_block_stop_no_refresh_of_other_secrets(self, credentials, source, clock, runtime):
        gate = Gate()
        for _ in range(4):
            credentials.subscribe(lambda name, new: gate())
        names = ["secret-{}".format(number) for number in range(8)]
        reading = [Running(lambda name=name: credentials.get(name)) for name in names]
        wait_until(lambda: len(source.asked) == 8)
        for each in reading:
            lose_patience(clock, each)
            each.result()

        clock.advance(3600)
        runtime.wake()

        wait_until(lambda: len(source.asked) == 16)
        gate.open()

    def test_may_read_renew_and_make_clients(self, credentials, source):
        read = []

        def subscriber(name, new):
            if name == NAME:
                read.append((credentials.get("other/key"), credentials.renew(NAME, key("older"))))

        credentials.subscribe(subscriber)
        began = time.monotonic()
        credentials.get(NAME)

        assert read == [(key("other/key"), key(NAME))]
        assert time.monotonic() - began < TELLING_PATIENCE

    def test_that_fails_is_logged_without_the_key_and_others_are_told(self, credentials, caplog):
        def fail(name, new):
            raise ValueError(repr(new), new.access_key_secret)

        told = []
        credentials.subscribe(fail)
        credentials.subscribe(lambda name, new: told.append(new))
        credentials.get(NAME)

        assert told == [key(NAME)]
        assert "a subscriber failed with ValueError" in caplog.text
        assert "secret-of" not in caplog.text

    def test_is_told_no_more_once_it_is_unsubscribed(self, credentials, source):
        told = []

        def subscriber(name, new):
            told.append(new)

        credentials.subscribe(subscriber)
        credentials.get(NAME)
        credentials.unsubscribe(subscriber)
        self.rotate(credentials, source)

        assert told == [key(NAME)]


class TestLogHandlers:
    def test_may_read_the_secret_that_the_line_is_about(self, credentials, source):
        """A call logs its own lines; all others are logged in a thread that nobody waits for."""
        read = []

        class Handler(logging.Handler):
            def emit(self, record):
                if len(read) < 20:
                    read.append(None)
                    read[-1] = credentials.get(NAME)

        logger = logging.getLogger("aliyun_sdk_secretsmanager_common_plugin.keeper")
        handler, level = Handler(), logger.level
        logger.addHandler(handler)
        logger.setLevel(logging.DEBUG)
        try:
            assert Running(lambda: credentials.get(NAME)).result() == key(NAME)
            wait_until(lambda: len(read) >= 3 and all(read))
        finally:
            logger.removeHandler(handler)
            logger.setLevel(level)

    def test_one_whose_lock_somebody_holds_who_waits_for_a_key_is_no_deadlock(self, credentials, caplog):
        caplog.set_level(logging.DEBUG, "aliyun_sdk_secretsmanager_common_plugin")
        with caplog.handler.lock:
            assert credentials.get(NAME) == key(NAME)
