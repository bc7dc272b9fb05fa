"""Contract 6: one thread, a schedule that follows both clocks, and refreshes that can fail."""

import logging
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aliyun_sdk_secretsmanager_common_plugin import refresher as refresher_module
from aliyun_sdk_secretsmanager_common_plugin.refresher import Refresher

from .fakes import PATIENCE, FakeClock, Gate, Running, quick, threads_named

THREAD = "managed-credentials-refresher"
THREAD_OF_A_REFRESH = "managed-credentials-refresh"


class Refreshes:
    """What jobs call: keeps the names, and lets a test wait until a refresh is over, bookkeeping and all."""

    def __init__(self):
        self.names = []
        self.act = lambda name: None
        self._changed = threading.Condition()
        self._threads = []

    def __call__(self, name):
        with self._changed:
            self.names.append(name)
            self._threads.append(threading.current_thread())
            self._changed.notify_all()
        self.act(name)

    def begun(self, count):
        """Wait until ``count`` refreshes, all in all, began; return the names."""
        with self._changed:
            assert self._changed.wait_for(lambda: len(self.names) >= count, PATIENCE), self.names
            return list(self.names)

    def ended(self, count):
        """Wait until the first ``count`` are over; return the names."""
        self.begun(count)
        for thread in self._threads[:count]:
            thread.join(PATIENCE)
            assert not thread.is_alive()
        return list(self.names)


@pytest.fixture
def refreshes():
    return Refreshes()


@pytest.fixture
def by_hand(clock):
    """A refresher without its thread: a test ticks."""
    refresher = Refresher(clock, lambda: None)
    refresher.park()
    refresher.tick()  # the first one finds the clocks apart, and would do what a test of a later one is about
    return refresher


@pytest.fixture
def make(clock):
    """Make refreshers whose threads end with the test."""
    made = []

    def make_refresher(wakes=lambda: None):
        refresher = Refresher(clock, wakes)
        made.append(refresher)
        return refresher

    yield make_refresher
    for refresher in made:
        refresher.park()


@pytest.fixture
def refresher_threads():
    """Return the refreshers' threads that the test started, once ``count`` of them live."""
    before = set(threading.enumerate())

    def threads():
        return [one for one in threading.enumerate() if one.name == THREAD and one not in before]

    return threads


class TestWhenDue:
    def test_not_before_its_time(self, by_hand, refreshes, clock):
        by_hand.schedule((refreshes, "a"), 100)
        clock.advance(99.9)

        by_hand.tick()

        assert by_hand._running == 0
        assert refreshes.names == []

    def test_runs_at_its_time_in_a_thread_of_its_own(self, by_hand, refreshes, clock):
        by_hand.schedule((refreshes, "a"), 100)
        clock.advance(100)

        by_hand.tick()

        assert refreshes.ended(1) == ["a"]
        assert refreshes._threads[0] is not threading.current_thread()
        assert refreshes._threads[0].daemon

    def test_runs_once(self, by_hand, refreshes, clock):
        by_hand.schedule((refreshes, "a"), 100)
        for _ in range(3):
            clock.advance(100)
            by_hand.tick()
        refreshes.ended(1)
        clock.advance(1000)
        by_hand.tick()

        assert refreshes.names == ["a"]

    @pytest.mark.parametrize("jump", ["jump_time", "jump_monotonic"])
    def test_either_clock_that_jumps_ahead_makes_it_due(self, by_hand, refreshes, clock, jump):
        """The wall clock alone goes on in a suspended machine."""
        by_hand.schedule((refreshes, "a"), 3600)
        by_hand.tick()
        getattr(clock, jump)(3600)

        by_hand.tick()

        assert refreshes.ended(1) == ["a"]

    def test_clock_that_is_set_back_does_not_delay_it(self, by_hand, refreshes, clock):
        by_hand.schedule((refreshes, "a"), 100)
        by_hand.tick()
        clock.jump_time(-10 ** 6)
        clock.advance(100)

        by_hand.tick()

        assert refreshes.ended(1) == ["a"]

    def test_clock_that_was_set_back_before_it_was_scheduled(self, by_hand, refreshes, clock):
        by_hand.tick()
        clock.jump_time(-10 ** 6)
        by_hand.schedule((refreshes, "a"), 100)
        clock.advance(99)
        by_hand.tick()
        assert refreshes.names == []
        clock.advance(1)

        by_hand.tick()

        assert refreshes.ended(1) == ["a"]

    def test_clock_that_jumped_ahead_before_it_was_scheduled(self, by_hand, refreshes, clock):
        by_hand.tick()
        clock.jump_time(10 ** 6)
        by_hand.schedule((refreshes, "a"), 100)
        by_hand.tick()

        clock.advance(99)
        by_hand.tick()

        assert refreshes.names == []

    def test_small_drifts_add_up(self, by_hand, refreshes, clock):
        by_hand.schedule((refreshes, "a"), 1000)
        for _ in range(999):
            clock.advance(0.5)
            clock.jump_time(0.5)
            by_hand.tick()
        clock.advance(2)
        by_hand.tick()

        assert refreshes.ended(1) == ["a"]

    @quick
    @given(
        seconds=st.integers(0, 5000),
        moves=st.lists(st.tuples(
            st.sampled_from(["advance", "jump_time", "jump_monotonic"]), st.integers(-4000, 4000)), max_size=12),
    )
    def test_runs_at_the_first_tick_when_either_clock_says_so(self, seconds, moves):
        clock = FakeClock()
        refresher = Refresher(clock, lambda: None)
        refresher.park()
        started = []
        refresher._start = started.append
        refresher.schedule(("job", "a"), seconds)
        due = (clock.monotonic() + seconds, clock.time() + seconds)
        refresher.tick()
        for name, amount in moves:
            if name != "jump_time":
                amount = abs(amount)
            getattr(clock, name)(amount)
            sleeps = refresher.tick()

            if clock.monotonic() >= due[0] or clock.time() >= due[1]:
                assert started
                return
            assert not started
            assert 0 < sleeps <= 60

    @pytest.mark.parametrize(("seconds", "sleeps"), [(30, 30), (59, 59), (61, 60), (3600, 60)])
    def test_sleeps_until_the_next_is_due_a_minute_at_most(self, by_hand, refreshes, seconds, sleeps):
        by_hand.schedule((refreshes, "later"), 10 ** 6)
        by_hand.schedule((refreshes, "a"), seconds)

        assert by_hand.tick() == sleeps

    def test_sleeps_a_minute_without_jobs(self, by_hand):
        assert by_hand.tick() == 60


class TestSchedule:
    @pytest.mark.parametrize(("first", "second"), [(100, 50), (50, 100)])
    def test_counts_instead_of_the_former_one(self, by_hand, refreshes, clock, first, second):
        by_hand.schedule((refreshes, "a"), first)
        by_hand.schedule((refreshes, "a"), second)
        clock.advance(second - 1)
        by_hand.tick()
        assert refreshes.names == []
        clock.advance(1)
        by_hand.tick()
        assert refreshes.ended(1) == ["a"]
        clock.advance(1000)
        by_hand.tick()

        assert refreshes.names == ["a"]

    def test_in_order_of_time(self, by_hand, refreshes, clock):
        for seconds in (300, 100, 200):
            by_hand.schedule((refreshes, str(seconds)), seconds)
        for count in (1, 2, 3):
            clock.advance(100)
            by_hand.tick()
            refreshes.ended(count)

        assert refreshes.names == ["100", "200", "300"]

    def test_jobs_of_two_caches_with_one_name_are_two(self, by_hand, clock):
        one, other = Refreshes(), Refreshes()
        by_hand.schedule((one, "a"), 10)
        by_hand.schedule((other, "a"), 10)
        clock.advance(10)
        by_hand.tick()

        assert one.ended(1) == other.ended(1) == ["a"]

    def test_cancelled_job_does_not_run(self, by_hand, refreshes, clock):
        by_hand.schedule((refreshes, "a"), 10)
        by_hand.cancel((refreshes, "a"))
        by_hand.cancel((refreshes, "never scheduled"))
        clock.advance(10)
        by_hand.tick()

        assert by_hand._running == 0
        assert refreshes.names == []

    def test_others_run_after_one_was_cancelled(self, by_hand, refreshes, clock):
        for name in "abc":
            by_hand.schedule((refreshes, name), 10)
        by_hand.cancel((refreshes, "b"))
        clock.advance(10)
        by_hand.tick()

        assert sorted(refreshes.ended(2)) == ["a", "c"]

    def test_a_refresh_that_schedules_itself_runs_again(self, by_hand, refreshes, clock):
        refreshes.act = lambda name: by_hand.schedule((refreshes, name), 10)
        by_hand.schedule((refreshes, "a"), 10)
        for count in (1, 2, 3):
            clock.advance(10)
            by_hand.tick()
            assert refreshes.ended(count) == ["a"] * count

    def test_scheduling_again_and_again_does_not_grow(self, by_hand, refreshes):
        for _ in range(5000):
            by_hand.schedule((refreshes, "a"), 10)
            by_hand.tick()

        assert len(by_hand._heap) < 200

    def test_wake_up_does_not_go_through_all_jobs(self, by_hand, refreshes, clock):
        for number in range(100):
            by_hand.schedule((refreshes, str(number)), 1000 + number)
        heap = by_hand._heap
        clock.advance(60)
        clock.jump_time(0.5)
        by_hand.tick()

        assert by_hand._heap is heap

    @pytest.mark.parametrize("fails", [False, True])
    def test_cancelled_while_it_runs_stays_cancelled(self, by_hand, refreshes, clock, fails):
        gate = Gate()

        def act(name):
            gate()
            if fails:
                raise ValueError("x")

        refreshes.act = act
        by_hand.schedule((refreshes, "a"), 10)
        clock.advance(10)
        by_hand.tick()
        gate.wait_entered()
        by_hand.cancel((refreshes, "a"))
        gate.open()
        refreshes.ended(1)
        clock.advance(1000)
        by_hand.tick()

        assert refreshes.names == ["a"]
        assert not by_hand._jobs


class TestDueIn:
    """What the stats say of the next refresh."""

    def test_is_what_is_left(self, by_hand, refreshes, clock):
        by_hand.schedule((refreshes, "a"), 100)
        clock.advance(40)

        assert by_hand.due_in((refreshes, "a")) == 60.0

    def test_is_by_the_clock_that_is_nearer_and_never_past(self, by_hand, refreshes, clock):
        by_hand.schedule((refreshes, "a"), 100)
        clock.jump_time(40)
        assert by_hand.due_in((refreshes, "a")) == 60.0
        clock.jump_monotonic(70)
        assert by_hand.due_in((refreshes, "a")) == 30.0
        clock.advance(1000)

        assert by_hand.due_in((refreshes, "a")) == 0.0

    def test_is_now_while_it_runs(self, by_hand, refreshes, clock):
        gate = refreshes.act = Gate()
        by_hand.schedule((refreshes, "a"), 10)
        clock.advance(10)
        by_hand.tick()
        gate.wait_entered()

        assert by_hand.due_in((refreshes, "a")) == 0.0
        gate.open()
        refreshes.ended(1)

    def test_is_none_of_what_is_not_scheduled(self, by_hand, refreshes):
        by_hand.schedule((refreshes, "a"), 10)
        by_hand.cancel((refreshes, "a"))

        assert by_hand.due_in((refreshes, "a")) is None
        assert by_hand.due_in((refreshes, "never scheduled")) is None


class TestFailingRefresh:
    @pytest.mark.parametrize("error", [
        ValueError("x"), SystemExit(1), KeyboardInterrupt(), GeneratorExit(), MemoryError(), BaseException("x")])
    def test_runs_again_after_a_minute_whatever_it_raised(self, by_hand, refreshes, clock, error, caplog):
        def fail(name):
            raise error

        refreshes.act = fail
        by_hand.schedule((refreshes, "app/key"), 10)
        clock.advance(10)
        by_hand.tick()
        refreshes.ended(1)
        for count in (2, 3):
            clock.advance(59)
            by_hand.tick()
            assert len(refreshes.names) == count - 1
            clock.advance(1)
            by_hand.tick()
            assert refreshes.ended(count) == ["app/key"] * count
        assert "'app/key'" in caplog.text

    def test_own_schedule_of_a_refresh_that_then_fails_counts(self, by_hand, refreshes, clock):
        def fail(name):
            by_hand.schedule((refreshes, name), 5)
            raise ValueError("x")

        refreshes.act = fail
        by_hand.schedule((refreshes, "a"), 10)
        clock.advance(10)
        by_hand.tick()
        refreshes.ended(1)
        clock.advance(5)
        by_hand.tick()

        assert refreshes.ended(2) == ["a", "a"]

    def test_does_not_keep_others_from_running(self, by_hand, refreshes, clock):
        def fail(name):
            if name == "bad":
                raise SystemExit(1)

        refreshes.act = fail
        by_hand.schedule((refreshes, "bad"), 10)
        by_hand.schedule((refreshes, "good"), 20)
        clock.advance(10)
        by_hand.tick()
        refreshes.ended(1)
        clock.advance(10)
        by_hand.tick()

        assert refreshes.ended(2) == ["bad", "good"]

class TestConcurrency:
    def test_a_few_refreshes_run_at_once_and_the_rest_follow(self, by_hand, refreshes, clock):
        limit = refresher_module.CONCURRENT_REFRESHES
        gate = refreshes.act = Gate()
        for number in range(3 * limit):
            by_hand.schedule((refreshes, str(number)), 10)
        clock.advance(10)
        for _ in range(3):
            by_hand.tick()
        assert len(refreshes.begun(limit)) == limit

        gate.open()
        for count in (1, 2, 3):
            refreshes.ended(count * limit)
            by_hand.tick()

        assert sorted(refreshes.names) == sorted(str(number) for number in range(3 * limit))

    @pytest.mark.parametrize("ending", ["done", "failed", "no thread"])
    def test_as_many_run_at_once_after_others_have_ended(self, by_hand, refreshes, clock, monkeypatch, ending):
        def end(*ignored):
            if ending != "done":
                raise RuntimeError("can't start new thread")

        before = threads_named(THREAD_OF_A_REFRESH)
        limit = refresher_module.CONCURRENT_REFRESHES
        refreshes.act = end
        with monkeypatch.context() as patch:
            if ending == "no thread":
                patch.setattr(threading.Thread, "start", end)
            for number in range(limit + 1):
                by_hand.schedule((refreshes, str(number)), 10)
                clock.advance(10)
                by_hand.tick()
                if ending != "no thread":
                    refreshes.ended(number + 1)
                by_hand.cancel((refreshes, str(number)))
        gate = refreshes.act = Gate()
        for number in range(2 * limit):
            by_hand.schedule((refreshes, str(number)), 10)
        clock.advance(10)

        by_hand.tick()

        running = [thread for thread in threads_named(THREAD_OF_A_REFRESH) if thread not in before]
        assert len(running) == limit
        gate.open()
        for thread in running:
            thread.join(PATIENCE)

    def test_a_refresh_that_ends_makes_room_at_once(self, make, refreshes, clock):
        refresher = make()
        limit = refresher_module.CONCURRENT_REFRESHES
        gate = refreshes.act = Gate()
        for number in range(3 * limit):
            refresher.schedule((refreshes, str(number)), 0)
        refreshes.begun(limit)

        gate.open()

        assert len(refreshes.ended(3 * limit)) == 3 * limit

    def test_no_thread_for_a_refresh_postpones_it(self, by_hand, refreshes, clock, monkeypatch, caplog):
        def none_left(thread):
            raise RuntimeError("can't start new thread")

        by_hand.schedule((refreshes, "app/key"), 10)
        clock.advance(10)
        with monkeypatch.context() as patch:
            patch.setattr(threading.Thread, "start", none_left)
            by_hand.tick()
        assert "'app/key'" in caplog.text
        clock.advance(60)

        by_hand.tick()

        assert refreshes.ended(1) == ["app/key"]


class TestThread:
    def test_there_is_none_before_the_first_job(self, make, refresher_threads):
        make()

        assert refresher_threads() == []

    def test_is_one_daemon_whatever_the_number_of_jobs(self, make, refreshes, refresher_threads, in_threads):
        refresher = make()

        in_threads([lambda at=at: refresher.schedule((refreshes, str(at % 20)), 1000) for at in range(40)])

        (thread,) = refresher_threads()
        assert thread.daemon

    def test_does_not_keep_the_program_from_ending(self, make, refreshes, refresher_threads):
        assert not threading.current_thread().daemon
        make().schedule((refreshes, "a"), 1000)

        assert [thread.daemon for thread in refresher_threads()] == [True]

    def test_runs_what_is_due(self, make, refreshes):
        make().schedule((refreshes, "a"), 0)

        assert refreshes.ended(1) == ["a"]

    def test_wakes_up_for_a_job_that_is_due_earlier(self, make, refreshes):
        refresher = make()
        refresher.schedule((refreshes, "later"), 1000)
        refresher.schedule((refreshes, "now"), 0)

        assert refreshes.ended(1) == ["now"]

    def test_is_gone_with_the_last_job(self, make, refreshes, refresher_threads):
        refresher = make()
        for name in "ab":
            refresher.schedule((refreshes, name), 1000)
        (thread,) = refresher_threads()
        refresher.cancel((refreshes, "a"))
        assert thread.is_alive()

        refresher.cancel((refreshes, "b"))

        thread.join(PATIENCE)
        assert not thread.is_alive()

    def test_is_gone_when_the_last_job_is_done(self, make, refreshes, refresher_threads):
        gate = refreshes.act = Gate()
        make().schedule((refreshes, "a"), 0)
        gate.wait_entered()
        (thread,) = refresher_threads()

        gate.open()

        thread.join(PATIENCE)
        assert not thread.is_alive()

    def test_comes_back_with_the_next_job(self, make, refreshes, refresher_threads):
        refresher = make()
        refresher.schedule((refreshes, "a"), 1000)
        (thread,) = refresher_threads()
        refresher.cancel((refreshes, "a"))
        thread.join(PATIENCE)

        refresher.schedule((refreshes, "b"), 0)

        assert refreshes.ended(1) == ["b"]

    def test_calls_wakes_at_each_wake_up(self, make, refreshes):
        woken = threading.Semaphore(0)
        refresher = make(woken.release)
        refresher.schedule((refreshes, "later"), 1000)
        for count in (1, 2, 3):
            refresher.schedule((refreshes, str(count)), 0)
            refreshes.ended(count)
            assert woken.acquire(timeout=PATIENCE)

    @pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
    def test_goes_on_when_wakes_fails(self, make, refreshes):
        failed = threading.Event()

        def fail():
            if not failed.is_set():
                failed.set()
                raise ValueError("a finalizer of the user's")

        refresher = make(fail)
        refresher.schedule((refreshes, "a"), 1000)
        assert failed.wait(PATIENCE)

        refresher.schedule((refreshes, "b"), 0)

        assert refreshes.ended(1) == ["b"]

    def test_that_cannot_start_is_logged_and_tried_again(self, make, refreshes, monkeypatch, caplog):
        def none_left(thread):
            raise RuntimeError("can't start new thread")

        refresher = make()
        with monkeypatch.context() as patch:
            patch.setattr(threading.Thread, "start", none_left)
            assert refresher.schedule((refreshes, "a"), 0) is False
        assert caplog.records[-1].levelno == logging.WARNING
        assert refreshes.names == []

        assert refresher.schedule((refreshes, "b"), 0) is True

        assert sorted(refreshes.ended(2)) == ["a", "b"]


class TestPark:
    def test_returns_when_the_thread_is_gone(self, make, refreshes, refresher_threads):
        refresher = make()
        refresher.schedule((refreshes, "a"), 1000)
        (thread,) = refresher_threads()

        refresher.park()

        assert not thread.is_alive()

    def test_does_not_wait_for_a_refresh_that_hangs(self, make, refreshes):
        gate = refreshes.act = Gate()
        refresher = make()
        refresher.schedule((refreshes, "a"), 0)
        gate.wait_entered()

        Running(refresher.park).result()

        gate.open()
        refreshes.ended(1)

    def test_without_a_thread_is_no_error(self, make):
        refresher = make()
        refresher.park()
        refresher.unpark()

    def test_keeps_threads_from_starting_until_unparked(self, make, refreshes, refresher_threads):
        refresher = make()
        refresher.park()
        refresher.schedule((refreshes, "a"), 0)
        assert refresher_threads() == []
        assert refreshes.names == []

        refresher.unpark()
        refresher.schedule((refreshes, "b"), 0)

        assert sorted(refreshes.ended(2)) == ["a", "b"]

    def test_keeps_the_schedule(self, make, refreshes, clock):
        refresher = make()
        refresher.schedule((refreshes, "a"), 1000)
        refresher.park()
        clock.advance(1000)

        refresher.unpark()
        refresher.schedule((refreshes, "b"), 1000)

        assert refreshes.ended(1) == ["a"]

    def test_unpark_starts_nothing_where_nothing_is_to_do(self, make, refreshes, refresher_threads):
        refresher = make()
        refresher.schedule((refreshes, "a"), 1000)
        refresher.cancel((refreshes, "a"))
        refresher.park()
        refresher.unpark()

        assert refresher_threads() == []


class TestForget:
    def test_starts_over_with_an_empty_schedule(self, by_hand, refreshes, clock):
        by_hand.schedule((refreshes, "a"), 10)
        by_hand.forget()
        by_hand.park()
        clock.advance(10)
        by_hand.tick()
        assert by_hand._running == 0

        by_hand.schedule((refreshes, "b"), 10)
        clock.advance(10)
        by_hand.tick()

        assert refreshes.ended(1) == ["b"]

    def test_still_calls_wakes(self, make, refreshes):
        woken = threading.Event()
        refresher = make(woken.set)
        refresher.forget()
        refresher.schedule((refreshes, "a"), 1000)

        assert woken.wait(PATIENCE)

    def test_does_not_wait_for_a_lock_that_another_thread_of_the_parent_held(self, make, refreshes):
        refresher = make()
        refresher._changed.acquire()

        Running(refresher.forget).result()

        Running(lambda: refresher.schedule((refreshes, "a"), 0)).result()
        assert refreshes.ended(1) == ["a"]
