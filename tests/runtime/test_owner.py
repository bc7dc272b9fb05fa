"""The owner: when its thread exists, which errors it survives, and who does its work where no thread can be started."""

import functools
import gc
import threading
import time
import weakref

import pytest
from aliyunsdkcore.acs_exception.exceptions import ClientException

from aliyun_sdk_secretsmanager_common_plugin import ManagedCredentials, ManagedCredentialsError
from aliyun_sdk_secretsmanager_common_plugin.keeper.events import FIRST_READ, REFRESH, Asked, Ticked
from aliyun_sdk_secretsmanager_common_plugin.runtime import Runtime, owner
from aliyun_sdk_secretsmanager_common_plugin.settings import Settings
from aliyun_sdk_secretsmanager_common_plugin.threads import SoleThread
from tests.common.fakes import PATIENCE, Gate, Running, key
from tests.conftest import wait_until

NAME = "app/key"


class Answered:
    """A ticket that calls a function in the thread that answers, as a finalizer may be called there.

    The owner's thread answers if the key is held. If it has to be fetched, the worker does, unless the owner is busy.
    """

    def __init__(self, function=lambda: None):
        self._function = function
        self.outcome = None
        self.error = None
        self.done = threading.Event()

    def set(self, outcome):
        self.outcome = outcome
        try:
            self._function()
        except BaseException as error:
            self.error = error
        self.done.set()

    def ask(self, runtime, account, purpose=FIRST_READ, name=NAME):
        runtime.put(account, Asked(self, purpose, name, runtime.clock.monotonic() + 10))
        assert self.done.wait(PATIENCE)
        return self


class TestThread:
    def test_is_there_from_the_first_read_on(self, credentials, runtime):
        assert runtime.thread() is None
        credentials.get(NAME)

        assert runtime.thread().name == "managed-credentials-owner"
        assert runtime.thread().daemon

    def test_ends_with_the_last_use_and_starts_again(self, credentials, runtime):
        for _ in range(3):
            credentials.get(NAME)
            assert runtime.thread() is not None
            credentials.close()
            wait_until(lambda: runtime.thread() is None)

    def test_is_one_for_all_accounts(self, credentials, runtime, source):
        accounts = [ManagedCredentials(Settings(), source) for _ in range(5)]
        for each in accounts + [credentials]:
            each.get(NAME)
        accounts[0].close()

        assert runtime.thread() is not None
        assert len([each for each in threading.enumerate() if each is runtime.thread()]) == 1

    def test_second_runtime_is_another_world(self, credentials, clock, runtime):
        other = Runtime(clock)
        credentials.get(NAME)

        assert other.thread() is None
        assert other.accounts() == []
        assert runtime.accounts() == [credentials._account]

    def test_puts_by_many_threads_at_once_lose_nothing(self, account, runtime, in_threads):
        def ask(at):
            tickets = [Answered() for _ in range(50)]
            for ticket in tickets:
                runtime.put(account, Asked(ticket, FIRST_READ, "secret-{}".format(at), runtime.clock.monotonic() + 10))
            return all(ticket.done.wait(PATIENCE) for ticket in tickets)

        assert in_threads([lambda at=at: ask(at) for at in range(8)]) == [True] * 8

    def test_account_that_nobody_holds_goes_when_nothing_is_planned(self, runtime, source):
        credentials = ManagedCredentials(Settings(), source)
        credentials.get(NAME)
        account = weakref.ref(credentials._account)
        credentials.close()
        wait_until(lambda: runtime.thread() is None)
        del credentials

        wait_until(lambda: gc.collect() is not None and account() is None)
        assert runtime.accounts() == []


class TestFaults:
    def test_of_this_package_are_logged_and_the_thread_goes_on(self, credentials, account, runtime, monkeypatch, caplog):
        credentials.get(NAME)
        thread = runtime.thread()
        with monkeypatch.context() as patched:
            patched.setattr(account._keeper, "handle", lambda event, now: 1 / 0)
            runtime.put(account, Ticked())
            wait_until(lambda: "ZeroDivisionError was raised while Ticked was taken" in caplog.text)

        assert credentials.get("other/key") == key("other/key")
        assert runtime.thread() is thread

    def test_that_come_again_and_again_keep_no_core_busy(self, credentials, account, runtime, clock, monkeypatch, caplog):
        credentials.get(NAME)
        told = []

        def fail(event, now):
            told.append(event)
            raise ValueError

        with monkeypatch.context() as patched:
            patched.setattr(account._keeper, "handle", fail)
            clock.advance(3600)
            runtime.wake()
            wait_until(lambda: told)
            threading.Event().wait(0.05)

            assert len(told) == 1
            clock.advance(1)
            runtime.wake()
            wait_until(lambda: len(told) == 2)

    def test_of_one_account_are_none_of_anothers(self, credentials, runtime, source, monkeypatch):
        other = ManagedCredentials(Settings(), source)
        monkeypatch.setattr(other._account._keeper, "handle", lambda event, now: 1 / 0)
        runtime.put(other._account, Ticked())

        assert credentials.get(NAME) == key(NAME)


class Planned:
    """In place of an account: each event says when its next tick is due; None for never."""

    def __init__(self):
        self.moment = None
        self.ticks = 0
        self.taken = []

    def take(self, event):
        if isinstance(event, Ticked):
            self.ticks += 1
            self.moment = None
        else:
            moment = event() if callable(event) else event
            self.moment = moment
            self.taken.append(moment)

    def wake_at(self):
        return self.moment


class TestWorkerWakesTheOwner:
    """A worker that brings an answer wakes it only where it would end or look too late by itself."""

    @pytest.fixture
    def planned(self, runtime, clock):
        """The owner sleeps until an hour from now."""
        planned = Planned()
        runtime.put(planned, clock.monotonic() + 3600)
        wait_until(lambda: runtime._sleeps_until == clock.monotonic() + 3600)
        yield planned
        runtime.put(planned, None)

    @pytest.fixture
    def wakes(self, runtime, monkeypatch):
        wakes, wake = [], runtime.wake
        monkeypatch.setattr(runtime, "wake", lambda: (wakes.append(threading.get_ident()), wake()))
        return wakes

    @pytest.mark.parametrize("seconds", [3600, 7200])
    def test_not_where_that_looks_early_enough(self, runtime, planned, clock, wakes, seconds):
        runtime.put_from_worker(planned, clock.monotonic() + seconds)

        assert planned.taken == [clock.monotonic() + 3600, clock.monotonic() + seconds]
        assert wakes == []

    def test_where_something_is_due_earlier(self, runtime, planned, clock):
        runtime.put_from_worker(planned, clock.monotonic())

        wait_until(lambda: planned.ticks == 1)

    def test_where_the_owner_is_late(self, runtime, planned, clock, monkeypatch):
        """The clock was advanced, and the owner sleeps on."""
        clock.advance(7200)
        runtime.put_from_worker(planned, clock.monotonic() - 10)

        wait_until(lambda: planned.ticks == 1)

    def test_where_an_idle_worker_is_to_end_earlier(self, runtime, planned, clock, monkeypatch):
        monkeypatch.setattr(runtime.workers, "wake_at", lambda: clock.monotonic() + 10)
        runtime.put_from_worker(planned, clock.monotonic() + 7200)

        wait_until(lambda: runtime._sleeps_until == clock.monotonic() + 10)

    def test_where_nothing_is_planned_any_more(self, runtime, planned):
        runtime.put_from_worker(planned, None)

        wait_until(lambda: runtime.thread() is None)

    def test_where_it_has_ended_before_a_fork(self, runtime, planned, clock):
        runtime.before_fork()
        runtime.after_fork_in_parent()
        assert runtime.thread() is None
        runtime.put_from_worker(planned, clock.monotonic() + 3600)

        assert runtime.thread() is not None

    def test_where_a_thread_of_the_program_does_its_work(self, runtime, clock):
        planned = Planned()
        runtime._inbox.append((planned, clock.monotonic() + 3600))
        driving = Running(lambda: runtime._thread.work_here(lambda: runtime._work(lambda: len(planned.taken) == 2)))
        wait_until(lambda: len(planned.taken) == 1)
        runtime.put_from_worker(planned, clock.monotonic() + 7200)

        driving.result()

    def test_not_while_a_fork_is_in_progress(self, runtime, planned, clock, wakes):
        runtime.before_fork()
        del wakes[:]
        runtime.put_from_worker(planned, clock.monotonic())

        assert wakes == []
        assert runtime.thread() is None
        runtime.after_fork_in_parent()
        wait_until(lambda: planned.ticks == 1)

    def test_where_others_put_events_meanwhile(self, runtime, planned, clock, wakes):
        """The worker takes only what was there: its own next job may wait."""
        gate = Gate(clock.monotonic() + 7200)
        working = Running(lambda: runtime.put_from_worker(planned, gate))
        gate.wait_entered()
        runtime.put_from_worker(planned, clock.monotonic() + 9000)
        gate.open()
        working.result()

        assert len(wakes) == 1
        wait_until(lambda: len(planned.taken) == 3)

    def test_and_takes_what_others_put_at_the_last_moment(self, runtime, planned, clock, monkeypatch):
        """The other worker finds the turn taken, and leaves its event."""
        owner_has_work, events = runtime._owner_has_work, [clock.monotonic() + 9000]

        def put_meanwhile():
            while events:
                Running(functools.partial(runtime.put_from_worker, planned, events.pop())).result()
            return owner_has_work()

        monkeypatch.setattr(runtime, "_owner_has_work", put_meanwhile)
        runtime.put_from_worker(planned, clock.monotonic() + 7200)

        assert len(planned.taken) == 3

    def test_that_starts_amid_a_fork_and_ends_before_it(self, runtime, planned, clock):
        gate = Gate(clock.monotonic())
        runtime.put(planned, None)
        wait_until(lambda: runtime.thread() is None)
        working = Running(lambda: runtime.put_from_worker(planned, gate))
        gate.wait_entered()
        forking = Running(lambda: (runtime.before_fork(), runtime.thread(), runtime.after_fork_in_parent()))
        wait_until(runtime._is_forking)
        gate.open()
        working.result()

        assert forking.result()[1] is None


class TestWorker:
    def test_that_brings_an_answer_gives_it_while_the_owner_is_free(self, account, runtime):
        answered = []
        Answered(lambda: answered.append(threading.current_thread().name)).ask(runtime, account)

        assert answered == ["managed-credentials-fetch"]

    def test_leaves_it_to_the_owner_where_that_is_not(self, credentials, account, runtime, source):
        credentials.get(NAME)
        answered, fetching, gate = [], Gate(), Gate()
        source.answer = lambda asked: fetching() or key(asked.name)
        ticket = Answered(lambda: answered.append(threading.current_thread().name))
        runtime.put(account, Asked(ticket, FIRST_READ, "other/key", runtime.clock.monotonic() + 10))
        fetching.wait_entered()
        runtime.put(account, Asked(Answered(gate), FIRST_READ, NAME, runtime.clock.monotonic() + 10))
        gate.wait_entered()
        fetching.open()
        wait_until(lambda: runtime._inbox)  # the worker has left it there
        gate.open()

        assert ticket.done.wait(PATIENCE)
        assert answered == ["managed-credentials-owner"]


@pytest.mark.parametrize("name", [NAME, "fetched/key"], ids=["owner", "worker"])
class TestFinalizersInTheThreadThatAnswers:
    """The garbage collector may run a finalizer in any thread, so in one that changes keepers, too."""

    def test_that_wait_for_an_answer_are_refused_and_the_others_are_served(self, credentials, account, runtime, name):
        credentials.get(NAME)
        ticket = Answered(lambda: credentials.get("other/key")).ask(runtime, account, name=name)

        assert isinstance(ticket.error, ManagedCredentialsError)
        assert "a finalizer" in str(ticket.error)
        assert credentials.get("other/key") == key("other/key")

    def test_that_read_what_is_held_get_it(self, credentials, account, runtime, name):
        credentials.get(NAME)
        read = []
        ticket = Answered(lambda: read.append(credentials.get(NAME))).ask(runtime, account, name=name)

        assert ticket.error is None
        assert read == [key(NAME)]

    def test_that_shut_down_and_close_do(self, credentials, account, runtime, name):
        credentials.get(NAME)
        ticket = Answered(credentials.close).ask(runtime, account, name=name)

        assert ticket.error is None
        wait_until(lambda: runtime.thread() is None)


class TestAsker:
    def test_leaves_when_its_time_is_over_though_the_owner_has_none(self, credentials, account, runtime, clock, monkeypatch):
        """If the owner is stuck, a read raises, a renewal brings no key, and a refresh returns False."""
        credentials.get(NAME)
        gate = Gate()
        runtime.put(account, Asked(Answered(gate), FIRST_READ, NAME, clock.monotonic() + 10))
        gate.wait_entered()
        reading = Running(lambda: credentials.get("other/key"))
        renewing = Running(lambda: account.renew(NAME, key(NAME)))
        refreshing = Running(lambda: account.refresh(NAME))
        threading.Event().wait(0.02)
        clock.advance(12)

        assert isinstance(reading.error(), ClientException)
        assert "no answer within 10.0 s" in str(renewing.result().error) + str(reading.error())
        assert refreshing.result() is False
        gate.open()

    def test_leaves_when_its_time_is_over_though_it_does_the_owners_work(self, credentials, runtime, clock, no_threads):
        """At the interpreter's end, a worker that will not run again may have the turn."""
        with runtime._turn:
            reading = Running(lambda: credentials.get(NAME))
            wait_until(lambda: runtime._inbox)
            clock.advance(12)

            assert isinstance(reading.error(), ClientException)

    def test_keeps_no_ticket(self, credentials, account, source):
        credentials.get(NAME)
        credentials.refresh(NAME)
        source.answer = ClientException("SDK.HttpError", "no answer")
        with pytest.raises(ClientException):
            credentials.get("other/key")

        assert account._tickets == {}
        assert account._task_tickets == {}


class TestWhereNoThreadCanBeHad:
    def test_asker_does_the_owners_work(self, credentials, account, runtime, no_threads, source):
        with pytest.raises(ClientException, match="new thread"):
            credentials.get(NAME)

        assert account.renew(NAME, key("A")).key is None
        assert source.asked == []

    def test_and_others_who_wait_meanwhile_are_answered(self, credentials, no_threads, in_threads):
        def read(name):
            with pytest.raises(ClientException, match="new thread"):
                credentials.get(name)
            return name

        names = ["secret-{}".format(number) for number in range(8)]

        assert in_threads([lambda name=name: read(name) for name in names]) == names

    def test_what_was_put_is_taken_when_there_are_threads_again(self, credentials, account, runtime, monkeypatch):
        with monkeypatch.context() as patched:
            patched.setattr(owner.SoleThread, "ensure", lambda thread: False)
            account.begin_first_read(NAME)
        assert account.published_key(NAME) is None

        assert credentials.get("other/key") == key("other/key")
        wait_until(lambda: account.published_key(NAME) == key(NAME))


class TestEnd:
    def test_waits_for_subscribers_to_be_told(self, credentials, runtime, account):
        told = []

        def subscriber(name, new):
            threading.Event().wait(0.05)
            told.append(new)

        credentials.subscribe(subscriber)
        account.begin_first_read(NAME)
        wait_until(lambda: account.published_key(NAME) is not None)

        runtime.at_exit()

        assert told == [key(NAME)]

    def test_does_not_wait_long_for_one_that_hangs(self, credentials, runtime, account, clock):
        gate = Gate()
        credentials.subscribe(lambda name, new: gate())
        account.begin_first_read(NAME)
        gate.wait_entered()
        ending = Running(runtime.at_exit)
        threading.Event().wait(0.02)
        clock.advance(owner.AT_EXIT_PATIENCE + 0.1)

        ending.result()
        gate.open()

    def test_without_a_client_takes_no_time(self, runtime):
        began = time.monotonic()
        runtime.at_exit()

        assert time.monotonic() - began < 1


def test_refresh_that_nobody_awaits_is_no_matter(account, runtime):
    assert Answered().ask(runtime, account, REFRESH).outcome.value is True


def test_thread_that_came_too_late_does_not_count_as_there(monkeypatch):
    """Two threads that put an event each may start a thread each; the second one finds no work, and ends."""
    work = []
    done = threading.Event()
    sole = SoleThread("test-sole", lambda: work and (work.pop(), done.set()), lambda: bool(work))
    work.append(True)
    sole.ensure()
    assert done.wait(10)
    wait_until(lambda: not sole._token.locked())
    sole._started = time.monotonic()  # as the second one sets it, before its thread runs

    sole._run()

    assert not sole.is_there()
