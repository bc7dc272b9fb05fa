"""How threads wait for an answer."""

import os
import signal
import threading
import time

import pytest

from aliyun_sdk_secretsmanager_common_plugin.clock import Clock
from aliyun_sdk_secretsmanager_common_plugin.runtime.tickets import Latch, Outcome, Ticket
from tests.common.fakes import PATIENCE, Running


def soon():
    return time.monotonic() + PATIENCE


class TestLatch:
    def test_wait_returns_the_outcome(self):
        latch = Latch()
        waiting = Running(lambda: latch.wait(Clock(), soon()))
        latch.set("outcome")

        assert waiting.result() == "outcome"
        assert latch.wait(Clock(), 0) == "outcome"

    def test_first_outcome_counts(self):
        latch = Latch()
        latch.set(1)
        latch.set(2)

        assert latch.wait(Clock(), soon()) == 1

    def test_many_threads_wait_for_the_same(self, in_threads):
        latch = Latch()
        waiting = [Running(lambda: latch.wait(Clock(), soon())) for _ in range(8)]
        began = time.monotonic()
        latch.set()

        assert [each.result() for each in waiting] == [True] * 8
        assert time.monotonic() - began < 5

    def test_without_one_it_returns_when_the_time_is_over(self):
        assert Latch().wait(Clock(), time.monotonic() + 0.01) is None

    def test_time_is_that_of_the_clock(self, clock):
        latch = Latch()
        waiting = Running(lambda: latch.wait(clock, clock.monotonic() + 100))
        clock.advance(101)

        assert waiting.result() is None

    def test_exception_of_a_signals_handler_passes_at_once_and_the_latch_goes_on(self):
        class Interrupted(Exception):
            pass

        def interrupt(*ignored):
            raise Interrupted

        latch = Latch()
        former = signal.signal(signal.SIGUSR1, interrupt)
        try:
            timer = threading.Timer(0.02, os.kill, (os.getpid(), signal.SIGUSR1))
            began = time.monotonic()
            with pytest.raises(Interrupted):
                timer.start()
                latch.wait(Clock(), soon())
            assert time.monotonic() - began < PATIENCE / 2
        finally:
            signal.signal(signal.SIGUSR1, former)
        latch.set("outcome")
        assert latch.wait(Clock(), soon()) == "outcome"


def test_ticket_of_a_parent_says_in_the_child_to_ask_again():
    ticket = Ticket()
    ticket.forget()

    assert ticket.wait(Clock(), soon()) == Outcome(must_ask_again=True)
