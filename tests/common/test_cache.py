"""Contracts 1, 2, 3 and 8: what a read, a renewal and an answer that comes late do to the keys in the cache."""

import itertools
import logging
import threading

import pytest
from aliyunsdkcore.acs_exception.exceptions import ClientException, ServerException
from hypothesis import given
from hypothesis import strategies as st

from aliyun_sdk_secretsmanager_common_plugin import AccessKey, SecretFormatError, flights
from aliyun_sdk_secretsmanager_common_plugin import cache as cache_module
from aliyun_sdk_secretsmanager_common_plugin.cache import Cache
from aliyun_sdk_secretsmanager_common_plugin.secrets_manager import Fetched

from .fakes import FakeClock, Gate, Running, Source, key, quick

NAME = "app/key"
INTERVAL = 3600.0
FETCH_TIMEOUT = 10.0
RENEW_TIMEOUT = 2.0
A, B, C = key("A"), key("B"), key("C")
ERRORS = [
    ServerException("Forbidden.KMS", "not allowed", 403, "request-1"),
    ClientException("SDK.HttpError", "no answer"),
    SecretFormatError("secret 'app/key' is no JSON"),
]


class World:
    """A cache, its clock, its source of keys, and what it scheduled."""

    def __init__(self, clock, answer=A, fetch_timeout=FETCH_TIMEOUT, renew_timeout=RENEW_TIMEOUT):
        self.clock = clock
        self.source = Source(answer)
        self.scheduled = []
        self.cache = Cache(self.source, clock, lambda name, seconds: self.scheduled.append((name, seconds)), INTERVAL,
                           fetch_timeout, renew_timeout)

    def asked(self):
        return len(self.source.asked)

    def renew(self, rejected=A):
        return self.cache.renew(NAME, rejected)


@pytest.fixture
def world(clock):
    return World(clock)


class TestFirstRead:
    def test_fetches_the_key_within_fetch_timeout_and_asks_again_on_failure(self, world):
        assert world.cache.get(NAME) is A

        (asked,) = world.source.asked
        assert (asked.name, asked.timeout, asked.retry) == (NAME, FETCH_TIMEOUT, True)

    def test_happens_once_for_all_waiting_threads(self, clock, waits):
        gate = Gate(A)
        world = World(clock, gate)
        readers = [Running(lambda: world.cache.get(NAME)) for _ in range(16)]
        waits.until_waits(15)

        gate.open()

        assert {id(reader.result()) for reader in readers} == {id(A)}
        assert world.asked() == 1

    def test_happens_once_a_secret(self, world):
        world.source.answer = lambda asked: key(asked.name)

        assert world.cache.get("a") == key("a")
        assert world.cache.get("b") == key("b")
        assert world.cache.get("a") == key("a")
        assert [asked.name for asked in world.source.asked] == ["a", "b"]

    def test_schedules_the_refresh(self, world):
        world.cache.get(NAME)

        assert world.scheduled
        assert world.scheduled[-1][0] == NAME

    def test_error_of_the_leader_is_the_fetchs_own(self, world):
        world.source.answer = ERRORS[0]

        with pytest.raises(ServerException) as caught:
            world.cache.get(NAME)

        assert caught.value is ERRORS[0]

    @pytest.mark.parametrize("error", ERRORS)
    def test_followers_get_a_copy_of_the_leaders_error(self, clock, waits, error):
        gate = Gate(error)
        world = World(clock, gate)
        leader = Running(lambda: world.cache.get(NAME))
        gate.wait_entered()
        followers = [Running(lambda: world.cache.get(NAME)) for _ in range(8)]
        waits.until_waits(8)

        gate.open()

        assert leader.error() is error
        copies = [follower.error() for follower in followers]
        assert len({id(copy) for copy in copies + [error]}) == 9
        for copy in copies:
            assert type(copy) is type(error)
            assert str(copy) == str(error)
            assert vars(copy) == vars(error)
            assert copy.__cause__ is None
            assert copy.__context__ is None
        assert world.asked() == 1

    def test_error_that_cannot_be_copied_reaches_all_the_same(self, clock, waits):
        class Stubborn(Exception):
            def __new__(cls, *args, **kwargs):
                return super(Stubborn, cls).__new__(cls, kwargs["code"])

            def __init__(self, code):
                super(Stubborn, self).__init__(code)

        gate = Gate(Stubborn(code="x"))
        world = World(clock, gate)
        leader = Running(lambda: world.cache.get(NAME))
        gate.wait_entered()
        follower = Running(lambda: world.cache.get(NAME))
        waits.until_waits(1)

        gate.open()

        assert isinstance(leader.error(), Stubborn)
        assert isinstance(follower.error(), Stubborn)

    @pytest.mark.parametrize("error", ERRORS)
    def test_next_reads_raise_the_error_again_at_once_during_the_cool_down(self, world, longest_jitter, error):
        world.source.answer = error
        with pytest.raises(type(error)):
            world.cache.get(NAME)
        world.source.answer = A

        world.clock.advance(0.49)
        with pytest.raises(type(error), match=str(error)[:12]) as caught:
            world.cache.get(NAME)

        assert caught.value is not error
        assert world.asked() == 1
        world.clock.advance(0.02)
        assert world.cache.get(NAME) is A

    def test_cool_down_after_failed_reads_doubles(self, world, longest_jitter):
        world.source.answer = ERRORS[1]
        for asked, delay in enumerate([0.5, 1.0, 2.0, 4.0, 5.0, 5.0], 1):
            with pytest.raises(ClientException):
                world.cache.get(NAME)
            assert world.asked() == asked
            world.clock.advance(delay - 0.01)
            with pytest.raises(ClientException):
                world.cache.get(NAME)
            assert world.asked() == asked
            world.clock.advance(0.02)

    def test_cool_down_after_a_read_that_hung_is_a_quarter_of_a_second(self, world, longest_jitter):
        """Secrets Manager may have come back since it was asked."""
        def hang(asked):
            world.clock.advance(asked.timeout)
            return ERRORS[1]

        world.source.answer = hang
        for asked in (1, 2, 3):
            with pytest.raises(ClientException):
                world.cache.get(NAME)
            world.clock.advance(0.24)
            with pytest.raises(ClientException):
                world.cache.get(NAME)
            assert world.asked() == asked
            world.clock.advance(0.02)

    def test_one_secrets_failure_is_not_anothers(self, world):
        world.source.answer = lambda asked: ERRORS[0] if asked.name == "bad" else A
        with pytest.raises(ServerException):
            world.cache.get("bad")

        assert world.cache.get("good") is A

    def test_follower_does_not_wait_longer_than_fetch_timeout(self, clock):
        gate = Gate(A)
        world = World(clock, gate, fetch_timeout=0.05)
        leader = Running(lambda: world.cache.get(NAME))
        gate.wait_entered()

        follower = Running(lambda: world.cache.get(NAME))

        assert isinstance(follower.error(), ClientException)
        assert NAME in str(follower.error())
        assert leader.alive()
        gate.open()
        assert leader.result() is A
        assert world.asked() == 1

    def test_leader_that_was_interrupted_before_it_began_is_awaited_for_five_seconds_more(self, clock, waits):
        """A signal may end a thread between two lines, so that nobody says that its fetch is over."""
        gate = Gate(C)
        world = World(clock, gate)
        leader = Running(lambda: world.cache.get(NAME))
        gate.wait_entered()
        clock.advance(FETCH_TIMEOUT + 4.9)
        follower = Running(lambda: world.cache.get(NAME))
        waits.until_waits(1)
        clock.advance(0.2)
        world.source.answer = B

        assert Running(lambda: world.cache.get(NAME)).result() is B
        gate.open()
        assert leader.result() is B
        assert follower.result() is B

    def test_interrupted_leader_leaves_the_fetch_to_a_follower(self, clock, waits):
        gate = Gate(KeyboardInterrupt())
        world = World(clock, gate)
        leader = Running(lambda: world.cache.get(NAME))
        gate.wait_entered()
        world.source.answer = A
        follower = Running(lambda: world.cache.get(NAME))
        waits.until_waits(1)

        gate.open()

        assert isinstance(leader.error(), KeyboardInterrupt)
        assert follower.result() is A


class TestCachedRead:
    def test_returns_the_same_object_without_a_fetch(self, read_world):
        assert read_world.cache.get(NAME) is A
        assert read_world.cache.get(NAME) is A
        assert read_world.asked() == 1

    def test_reads_no_clock(self, read_world):
        readings = read_world.clock.readings

        read_world.cache.get(NAME)

        assert read_world.clock.readings == readings

    def test_takes_no_lock(self, clock, waits):
        world = World(clock)
        world.cache.get(NAME)
        acquisitions = waits.acquisitions
        assert acquisitions > 0

        world.cache.get(NAME)
        world.cache.current(NAME)

        assert waits.acquisitions == acquisitions

    @pytest.mark.parametrize("act", [
        lambda world: world.cache.refresh(NAME), lambda world: world.cache.renew(NAME, A)])
    def test_does_not_wait_for_a_refresh_or_a_renewal(self, read_world, act):
        gate = read_world.source.answer = Gate(B)
        other = Running(lambda: act(read_world))
        gate.wait_entered()

        assert Running(lambda: read_world.cache.get(NAME)).result() is A
        assert other.alive()

        gate.open()
        other.result()
        assert read_world.cache.get(NAME) is B

    def test_current_is_the_key_or_none_and_never_a_fetch(self, world):
        assert world.cache.current(NAME) is None
        assert world.asked() == 0
        world.cache.get(NAME)
        assert world.cache.current(NAME) is A

    def test_reader_never_sees_the_id_of_one_version_with_the_secret_of_another(self, world, in_threads):
        """Contract 1: the parts of a key go together."""
        rotations = 300
        world.source.answer = lambda asked: key(str(asked.started), "token-" + str(asked.started))
        world.cache.get(NAME)
        done = threading.Event()
        wrong = []

        def read():
            seen = set()
            while not done.is_set():
                one = world.cache.get(NAME)
                number = one.version_id.split("-")[1]
                if (one.access_key_id, one.access_key_secret, one.security_token) != (
                        key(number).access_key_id, "secret-of-" + number, "token-" + number):
                    wrong.append(one)
                seen.add(number)
            return seen

        def rotate():
            try:
                for _ in range(rotations):
                    assert world.cache.renew(NAME, world.cache.get(NAME)) is not None
            finally:
                done.set()

        in_threads([read] * 4 + [rotate])

        assert wrong == []
        assert world.asked() == rotations + 1


class TestLocking:
    def test_no_lock_is_held_while_fetching(self, clock, waits):
        held = []
        world = World(clock)
        world.source.answer = lambda asked: held.append(waits.held()) or key(str(asked.started))

        first = world.cache.get(NAME)
        world.cache.renew(NAME, first)
        world.cache.refresh(NAME)

        assert held == [False, False, False]

    def test_no_lock_is_held_while_telling_subscribers_and_scheduling(self, clock, waits):
        held = []
        world = World(clock)
        world.cache._schedule = lambda name, seconds: held.append(waits.held())
        world.cache.subscribe(lambda name, new: held.append(waits.held()))

        world.cache.get(NAME)

        assert held
        assert not any(held)

    def test_another_secret_is_read_and_renewed_during_a_hanging_fetch(self, read_world):
        gate = Gate(A)
        read_world.source.answer = lambda asked: gate() if asked.name == "hangs" else B
        hanging = Running(lambda: read_world.cache.get("hangs"))
        gate.wait_entered()

        assert Running(lambda: read_world.renew(A)).result() is B
        assert Running(lambda: read_world.cache.get("other")).result() is B

        assert hanging.alive()
        gate.open()
        hanging.result()


class TestRenew:
    def test_returns_a_new_key_and_stores_it(self, read_world):
        read_world.source.answer = B

        assert read_world.renew(A) is B
        assert read_world.cache.get(NAME) is B

    def test_asks_each_region_once_within_renew_timeout(self, read_world):
        read_world.source.answer = B
        read_world.renew(A)

        asked = read_world.source.asked[-1]
        assert (asked.name, asked.timeout, asked.retry) == (NAME, RENEW_TIMEOUT, False)

    def test_returns_current_key_when_another_thread_already_renewed(self, read_world):
        read_world.source.answer = B
        read_world.renew(A)

        assert read_world.renew(A) is B
        assert read_world.asked() == 2

    def test_happens_once_for_all_threads(self, clock, waits):
        world = World(clock)
        world.cache.get(NAME)
        gate = world.source.answer = Gate(B)
        renewals = [Running(world.renew) for _ in range(16)]
        waits.until_waits(15)

        gate.open()

        assert [renewal.result() for renewal in renewals] == [B] * 16
        assert world.asked() == 2

    def test_key_that_differs_in_the_secret_only_is_a_new_key(self, read_world):
        read_world.source.answer = AccessKey(A.access_key_id, "other secret")

        assert read_world.renew(A).access_key_secret == "other secret"

    def test_same_pair_under_another_version_is_the_same_key(self, read_world):
        read_world.source.answer = AccessKey(A.access_key_id, A.access_key_secret, None, "version-other")

        assert read_world.renew(A) is None

    def test_of_a_secret_that_was_not_read_fetches_it_and_does_not_refresh_it(self, world):
        world.source.answer = B

        assert world.renew(A) is B
        assert world.cache.is_idle(NAME)
        assert world.scheduled == []

    def test_of_a_secret_that_was_not_read_and_cannot_be_has_the_error_each_time(self, world):
        world.source.answer = ERRORS[0]

        for _ in range(2):
            renewal = world.cache.renewal(NAME, A)
            assert (renewal.key, str(renewal.error), renewal.age) == (None, str(ERRORS[0]), None)
        assert world.asked() == 1

    def test_of_a_rejected_older_version_needs_no_fetch(self, read_world):
        read_world.source.answer = B
        read_world.renew(A)
        read_world.source.answer = C
        read_world.renew(B)

        assert read_world.renew(A) is C
        assert read_world.renew(B) is C
        assert read_world.asked() == 3

    def test_twenty_rotations_in_a_minute_are_twenty_renewals(self, read_world):
        current = A
        for number in range(20):
            read_world.source.answer = key(str(number))
            read_world.clock.advance(3)
            renewed = read_world.renew(current)
            assert renewed is read_world.source.answer
            current = renewed

        assert read_world.asked() == 21

    def test_rollback_is_followed(self, read_world):
        read_world.source.answer = B
        assert read_world.renew(A) is B
        read_world.source.answer = A

        assert read_world.renew(B) is A
        assert read_world.cache.get(NAME) is A
        assert read_world.renew(B) is A

    def test_error_of_the_fetch_comes_with_the_renewal_and_is_logged(self, read_world, caplog):
        read_world.source.answer = ERRORS[0]

        renewal = read_world.cache.renewal(NAME, A)

        assert renewal.key is None
        assert str(renewal.error) == str(ERRORS[0])
        assert "not allowed" in caplog.text
        assert repr(NAME) in caplog.text
        assert read_world.cache.get(NAME) is A

    def test_without_news_there_is_no_error(self, read_world):
        renewal = read_world.cache.renewal(NAME, A)

        assert renewal.key is None
        assert renewal.error is None

    def test_joiners_of_a_failing_renewal_get_its_error(self, clock, waits):
        world = World(clock)
        world.cache.get(NAME)
        gate = world.source.answer = Gate(ERRORS[0])
        renewals = [Running(lambda: world.cache.renewal(NAME, A)) for _ in range(8)]
        waits.until_waits(7)

        gate.open()

        results = [renewal.result() for renewal in renewals]
        assert [result.key for result in results] == [None] * 8
        assert {str(result.error) for result in results} == {str(ERRORS[0])}
        assert world.asked() == 2

    def test_logs_show_no_secret(self, read_world, caplog):
        caplog.set_level(logging.DEBUG)
        read_world.source.answer = key("B", token="the-token")
        read_world.renew(A)

        assert "rotated" in caplog.text
        assert "secret-of-B" not in caplog.text
        assert "the-token" not in caplog.text
        assert read_world.source.answer.access_key_id not in caplog.text

    def test_interruption_of_the_leader_passes_and_starts_no_cool_down(self, read_world):
        read_world.source.answer = KeyboardInterrupt()
        with pytest.raises(KeyboardInterrupt):
            read_world.renew(A)
        read_world.source.answer = B

        assert read_world.renew(A) is B


DELAYS = [0.5, 1.0, 2.0, 4.0, 5.0, 5.0, 5.0]


@pytest.fixture(params=["nothing newer", "failed"])
def fruitless(request, read_world):
    """The world, where a renewal brings nothing: the same key, or an error."""
    read_world.source.answer = A if request.param == "nothing newer" else ERRORS[1]
    return read_world


def cool_downs(world, delays, tick=0.001):
    """Check that renewals are answered None at once for each of ``delays`` after a fetch, and then fetch again."""
    for delay in delays:
        asked = world.asked()
        assert world.renew(A) is None
        assert world.asked() == asked + 1, "no fetch when the former cool-down was over"
        assert world.renew(A) is None
        world.clock.advance(delay - tick)
        assert world.renew(A) is None
        assert world.asked() == asked + 1, "a fetch in the cool-down of {} s".format(delay)
        world.clock.advance(2 * tick)


class TestCoolDown:
    def test_doubles_from_half_a_second_to_five(self, fruitless, longest_jitter):
        cool_downs(fruitless, DELAYS)

    def test_is_half_as_long_at_least(self, fruitless, shortest_jitter):
        cool_downs(fruitless, [delay / 2 for delay in DELAYS])

    def test_jitter_is_drawn_evenly_between_half_and_all(self, fruitless, monkeypatch):
        drawn = []
        monkeypatch.setattr(cache_module.random, "uniform", lambda low, high: drawn.append((low, high)) or low)
        fruitless.renew(A)

        low, high = drawn[-1]
        assert high - low == 0.25

    def test_waits_on_no_clock(self, fruitless):
        fruitless.renew(A)
        fruitless.renew(A)

        assert fruitless.clock.sleeps == []

    def test_is_one_secrets_own(self, fruitless):
        fruitless.renew(A)
        fruitless.source.answer = B

        assert fruitless.cache.renew("other", A) is B

    def test_does_not_hold_back_a_key_that_came_meanwhile(self, fruitless):
        fruitless.renew(A)
        fruitless.cache.store(NAME, Fetched(100, B))

        assert fruitless.renew(A) is B

    def test_repeats_the_error_while_it_lasts(self, read_world):
        read_world.source.answer = ERRORS[0]
        read_world.renew(A)

        renewal = read_world.cache.renewal(NAME, A)

        assert renewal.key is None
        assert str(renewal.error) == str(ERRORS[0])
        assert read_world.asked() == 2

    def test_after_a_slow_failure_ends_so_that_calls_succeed_within_six_seconds(self, read_world, longest_jitter):
        """A fetch hung for renew_timeout; Secrets Manager may have come back the moment after it was asked."""
        starts = []

        def hang(asked):
            starts.append(read_world.clock.monotonic())
            read_world.clock.advance(asked.timeout)
            return ERRORS[1]

        read_world.source.answer = hang
        while len(starts) < 8:
            assert read_world.renew(A) is None
            read_world.clock.advance(0.01)

        gaps = [later - earlier for earlier, later in zip(starts, starts[1:])]
        assert max(gaps) < 6 - 0.4
        assert gaps[0] == pytest.approx(RENEW_TIMEOUT + 0.5, abs=0.02)

    def test_new_key_clears_it(self, fruitless, longest_jitter):
        cool_downs(fruitless, DELAYS[:4])
        fruitless.renew(A)
        fruitless.cache.store(NAME, Fetched(100, B))
        asked = fruitless.asked()

        fruitless.source.answer = C
        fruitless.source._starts = itertools.count(200)
        assert fruitless.renew(B) is C
        assert fruitless.asked() == asked + 1

    def test_new_key_makes_the_next_one_short(self, fruitless, longest_jitter):
        cool_downs(fruitless, DELAYS[:4])
        answer = fruitless.source.answer
        fruitless.source.answer = B
        assert fruitless.renew(A) is B
        fruitless.source.answer = A
        assert fruitless.renew(B) is A
        fruitless.source.answer = answer

        cool_downs(fruitless, DELAYS)

    def test_successful_scheduled_refresh_clears_it(self, fruitless, longest_jitter):
        answer = fruitless.source.answer
        cool_downs(fruitless, DELAYS[:4])
        fruitless.renew(A)
        fruitless.source.answer = A

        fruitless.cache.refresh(NAME)

        fruitless.source.answer = answer
        cool_downs(fruitless, DELAYS)

    def test_failed_scheduled_refresh_does_not_clear_it(self, fruitless):
        fruitless.renew(A)
        fruitless.source.answer = ERRORS[1]
        fruitless.cache.refresh(NAME)
        fruitless.source.answer = B

        assert fruitless.renew(A) is None

    def test_failed_scheduled_refresh_starts_none(self, read_world):
        read_world.source.answer = ERRORS[1]
        read_world.cache.refresh(NAME)
        read_world.source.answer = B

        assert read_world.renew(A) is B

    def test_accepted_call_clears_it(self, fruitless, longest_jitter):
        cool_downs(fruitless, DELAYS[:4])
        fruitless.renew(A)

        fruitless.cache.accepted(NAME, A)

        cool_downs(fruitless, DELAYS)

    def test_two_calls_that_are_accepted_at_once_clear_it(self, fruitless):
        """The one finds a cool-down that the other ends before it has the lock."""
        cache = fruitless.cache
        fruitless.renew(A)

        class Lock:
            def __init__(self):
                self._lock = cache._lock

            def __enter__(self):
                cache._lock = self._lock
                cache.accepted(NAME, A)

            def __exit__(self, *exc_info):
                pass

        cache._lock = Lock()
        cache.accepted(NAME, A)

        fruitless.source.answer = B
        assert fruitless.renew(A) is B

    def test_call_accepted_with_a_former_key_does_not_clear_it(self, fruitless):
        fruitless.renew(A)

        fruitless.cache.accepted(NAME, C)

        fruitless.source.answer = B
        assert fruitless.renew(A) is None

    def test_accepted_call_without_one_takes_no_lock(self, clock, waits):
        world = World(clock)
        world.cache.get(NAME)
        acquisitions = waits.acquisitions

        world.cache.accepted(NAME, A)

        assert waits.acquisitions == acquisitions


class TestHungSecretsManager:
    def test_leader_gives_the_fetch_renew_timeout_and_the_next_do_not_wait(self, read_world):
        def hang(asked):
            read_world.clock.advance(asked.timeout)
            return ClientException("SDK.HttpError", "no answer in time")

        read_world.source.answer = hang
        began = read_world.clock.monotonic()

        assert read_world.renew(A) is None
        assert read_world.clock.monotonic() - began == RENEW_TIMEOUT
        assert read_world.renew(A) is None
        assert read_world.clock.monotonic() - began == RENEW_TIMEOUT

    def test_joiner_does_not_wait_longer_than_renew_timeout(self, clock):
        world = World(clock, renew_timeout=0.05)
        world.cache.get(NAME)
        gate = world.source.answer = Gate(B)
        leader = Running(world.renew)
        gate.wait_entered()

        renewal = Running(lambda: world.cache.renewal(NAME, A)).result()

        assert renewal.key is None
        assert isinstance(renewal.error, ClientException)
        assert NAME in str(renewal.error)
        assert leader.alive()
        gate.open()
        assert leader.result() is B
        assert world.asked() == 2

    def test_joiner_of_a_hung_refresh_does_not_wait_longer_either(self, clock):
        world = World(clock, renew_timeout=0.05)
        world.cache.get(NAME)
        gate = world.source.answer = Gate(B)
        refresh = Running(lambda: world.cache.refresh(NAME))
        gate.wait_entered()

        assert Running(world.renew).result() is None

        assert refresh.alive()
        gate.open()
        refresh.result()
        assert world.cache.get(NAME) is B

    def test_answer_that_comes_after_the_deadline_is_used(self, read_world):
        read_world.source.answer = ERRORS[1]
        assert read_world.renew(A) is None

        late = read_world.source.asked[-1]
        late.late(NAME, Fetched(late.started, B))

        assert read_world.cache.get(NAME) is B
        assert read_world.renew(A) is B
        assert read_world.asked() == 2

    def test_late_answer_to_a_first_read_ends_the_failure(self, world):
        world.source.answer = ERRORS[1]
        with pytest.raises(ClientException):
            world.cache.get(NAME)

        late = world.source.asked[-1]
        late.late(NAME, Fetched(late.started, B))

        assert world.cache.get(NAME) is B
        assert world.asked() == 1

    def test_late_answer_with_the_old_key_changes_nothing(self, read_world):
        read_world.source.answer = ERRORS[1]
        read_world.renew(A)
        late = read_world.source.asked[-1]
        late.late(NAME, Fetched(late.started, A))
        read_world.source.answer = B

        assert read_world.renew(A) is None
        assert read_world.cache.get(NAME) is A


class TestRenewalDuringARefresh:
    @pytest.fixture
    def refreshing(self, clock, waits):
        """A world with a scheduled refresh in flight that a renewal has joined."""
        world = World(clock)
        world.cache.get(NAME)
        world.gate = world.source.answer = Gate()
        world.refresh = Running(lambda: world.cache.refresh(NAME))
        world.gate.wait_entered()
        world.renewal = Running(world.renew)
        waits.until_waits(1)
        return world

    def test_which_read_before_the_rotation_asks_again(self, refreshing):
        refreshing.source.answer = B
        refreshing.gate.answer = A
        refreshing.gate.open()

        assert refreshing.renewal.result() is B
        assert refreshing.asked() == 3
        assert refreshing.source.asked[-1].retry is False

    def test_which_brings_the_new_key_takes_it(self, refreshing):
        refreshing.gate.answer = B
        refreshing.gate.open()

        assert refreshing.renewal.result() is B
        assert refreshing.asked() == 2

    def test_which_fails_asks_again(self, refreshing):
        refreshing.source.answer = B
        refreshing.gate.answer = ERRORS[1]
        refreshing.gate.open()

        assert refreshing.renewal.result() is B
        refreshing.refresh.result()


class TestRefresh:
    def test_stores_a_new_key(self, read_world):
        read_world.source.answer = B

        assert read_world.cache.refresh(NAME) is True

        assert read_world.cache.get(NAME) is B

    def test_asks_each_region_once_within_renew_timeout(self, read_world):
        read_world.cache.refresh(NAME)

        asked = read_world.source.asked[-1]
        assert (asked.name, asked.timeout, asked.retry) == (NAME, RENEW_TIMEOUT, False)

    def test_schedules_the_next(self, read_world):
        del read_world.scheduled[:]

        read_world.cache.refresh(NAME)

        (name, seconds), = read_world.scheduled
        assert name == NAME
        assert 0.9 * INTERVAL <= seconds <= INTERVAL

    def test_does_not_wait_for_a_renewal_in_progress(self, read_world):
        gate = read_world.source.answer = Gate(B)
        renewal = Running(read_world.renew)
        gate.wait_entered()
        del read_world.scheduled[:]

        assert Running(lambda: read_world.cache.refresh(NAME)).result() is False

        assert read_world.scheduled == [(NAME, 2.0)]
        assert read_world.asked() == 2
        gate.open()
        renewal.result()

    @pytest.mark.parametrize("error", ERRORS + [SystemExit(1), KeyboardInterrupt(), GeneratorExit(), MemoryError()])
    def test_that_fails_keeps_the_key_and_is_tried_again_whatever_it_raised(self, read_world, error, caplog):
        read_world.source.answer = error
        del read_world.scheduled[:]

        assert read_world.cache.refresh(NAME) is False

        assert read_world.cache.get(NAME) is A
        (name, seconds), = read_world.scheduled
        assert name == NAME
        assert 0 < seconds <= 2
        assert repr(NAME) in caplog.text
        assert "secret-of" not in caplog.text

    def test_backs_off_while_it_fails_and_starts_over_after_success(self, read_world, longest_jitter):
        def delays(count):
            del read_world.scheduled[:]
            read_world.source.answer = ERRORS[1]
            for _ in range(count):
                read_world.cache.refresh(NAME)
            return [seconds for _, seconds in read_world.scheduled]

        assert delays(10) == [2, 4, 8, 16, 32, 64, 128, 256, 300, 300]
        read_world.source.answer = A
        read_world.cache.refresh(NAME)
        assert delays(2) == [2, 4]

    @pytest.mark.parametrize(("seconds", "due"), [(0.5, 1.5), (1.5, 0.5), (3, INTERVAL - 3)])
    def test_is_tried_again_no_sooner_after_a_failure_though_clients_come_and_go(
            self, read_world, longest_jitter, seconds, due):
        read_world.source.answer = ERRORS[1]
        read_world.cache.refresh(NAME)
        read_world.cache.retire(NAME)
        read_world.clock.advance(seconds)

        read_world.cache.get(NAME)

        assert read_world.scheduled[-1] == (NAME, due)

    def test_that_failed_delays_nothing_once_a_renewal_has_read_the_secret(self, read_world, longest_jitter):
        read_world.source.answer = ERRORS[1]
        read_world.cache.refresh(NAME)
        read_world.source.answer = B
        read_world.renew(A)

        assert read_world.scheduled[-1] == (NAME, INTERVAL)

    @pytest.mark.parametrize("error", [
        ServerException("Rejected.Throttling", "too many", 503), ServerException("TooManyRequests", "too many", 429),
    ], ids=["code", "status"])
    def test_that_is_throttled_leaves_the_quota_to_others_for_longer(self, read_world, longest_jitter, error):
        del read_world.scheduled[:]
        read_world.source.answer = error
        for _ in range(6):
            read_world.cache.refresh(NAME)

        assert [seconds for _, seconds in read_world.scheduled] == [30, 60, 120, 240, 300, 300]

    def test_of_a_secret_that_could_not_be_read_yet_is_tried_again(self, world, longest_jitter):
        world.source.answer = ERRORS[1]
        with pytest.raises(ClientException):
            world.cache.get(NAME)

        world.cache.refresh(NAME)

        assert world.scheduled == [(NAME, 2.0)]

    def test_never_backs_off_longer_than_five_minutes(self, read_world, longest_jitter):
        read_world.source.answer = ERRORS[1]
        for _ in range(2000):
            read_world.cache.refresh(NAME)

        assert read_world.scheduled[-1][1] == 300

    def test_of_a_secret_that_nobody_uses_does_nothing(self, read_world):
        read_world.cache.retire(NAME)
        del read_world.scheduled[:]

        assert read_world.cache.refresh(NAME) is False
        assert read_world.cache.refresh("never read") is False

        assert read_world.asked() == 1
        assert read_world.scheduled == []

    def test_that_ends_after_the_secret_was_retired_schedules_nothing(self, read_world):
        for answer in (B, ERRORS[1]):
            read_world.cache.get(NAME)
            gate = read_world.source.answer = Gate(answer)
            refresh = Running(lambda: read_world.cache.refresh(NAME))
            gate.wait_entered()
            read_world.cache.retire(NAME)
            del read_world.scheduled[:]

            gate.open()
            refresh.result()

            assert read_world.scheduled == []
            assert read_world.cache.current(NAME) is None


class TestWhenARefreshIsDue:
    """Contract 6, the cache's part."""

    def due(self, world, **dates):
        world.source.answer = key("A", **dates)
        world.cache.get(NAME)
        return world.scheduled[-1][1]

    def test_after_the_interval_less_a_tenth_for_jitter(self, world, longest_jitter):
        assert self.due(world) == INTERVAL

    def test_after_nine_tenths_of_the_interval_at_least(self, world, shortest_jitter):
        assert self.due(world) == pytest.approx(0.9 * INTERVAL)

    def test_after_half_of_the_interval_at_least_once_a_refresh_had_failed(self, read_world, shortest_jitter):
        read_world.source.answer = ERRORS[1]
        read_world.cache.refresh(NAME)
        read_world.source.answer = A
        read_world.cache.refresh(NAME)
        read_world.cache.retire(NAME)
        read_world.cache.get(NAME)  # as new clients do
        read_world.cache.refresh(NAME)

        assert [seconds for _, seconds in read_world.scheduled[-3:]] == pytest.approx(
            [0.5 * INTERVAL, 0.5 * INTERVAL, 0.9 * INTERVAL])

    def test_after_half_of_the_interval_at_least_once_the_first_read_had_failed(self, world, shortest_jitter):
        world.source.answer = ERRORS[1]
        with pytest.raises(type(ERRORS[1])):
            world.cache.get(NAME)
        world.clock.advance(10)

        assert self.due(world) == pytest.approx(0.5 * INTERVAL)

    def test_a_second_after_the_next_rotation_at_least(self, world, shortest_jitter):
        assert self.due(world, next_rotation=world.clock.time() + 100) == 101

    def test_half_a_minute_after_the_next_rotation_at_most(self, world, longest_jitter):
        assert self.due(world, next_rotation=world.clock.time() + 100) == 130

    def test_not_at_a_rotation_later_than_the_interval(self, world, longest_jitter):
        assert self.due(world, next_rotation=world.clock.time() + 10 * INTERVAL) == INTERVAL

    def test_a_tenth_of_its_time_before_the_expiry_at_least(self, world, shortest_jitter):
        assert self.due(world, expires=world.clock.time() + 1800) == 1800 - 180

    def test_a_fifth_of_its_time_before_the_expiry_at_most(self, world, longest_jitter):
        assert self.due(world, expires=world.clock.time() + 1800) == 1800 - 360

    def test_at_once_where_its_time_is_over(self, read_world):
        read_world.clock.advance(2 * INTERVAL)
        read_world.cache.cool(NAME)

        read_world.cache.get(NAME)

        assert read_world.scheduled[-1] == (NAME, 0.0)

    def test_at_most_ten_minutes_before_the_expiry(self, clock):
        world = World(clock)
        world.cache._refresh_interval = 1e6
        assert 90000 - 600 <= self.due(world, expires=clock.time() + 90000) <= 90000 - 300

    def test_whichever_comes_first(self, world):
        now = world.clock.time()
        assert self.due(world, expires=now + 3000, next_rotation=now + 50) <= 80

    @pytest.mark.parametrize("dates", [{"next_rotation": 1.0}, {"expires": 1.0}, {"expires": float("nan")}])
    def test_dates_that_are_over_do_not_count(self, world, dates, longest_jitter):
        assert self.due(world, **dates) == INTERVAL

    def test_next_reader_of_a_key_that_aged_gets_what_is_left_of_its_time(self, read_world, longest_jitter):
        read_world.cache.retire(NAME)
        read_world.clock.advance(1000)

        read_world.cache.get(NAME)

        assert read_world.scheduled[-1] == (NAME, INTERVAL - 1000)

    def test_newest_dates_count_though_the_key_stays_the_same(self, world):
        world.cache.get(NAME)
        world.source.answer = key("A", next_rotation=world.clock.time() + 100)

        world.cache.refresh(NAME)

        assert world.scheduled[-1][1] <= 130
        assert world.cache.get(NAME).next_rotation is None  # readers keep the object they know

    def test_fleet_that_starts_together_does_not_ask_together(self):
        dues = []
        for _ in range(50):
            dues.append(self.due(World(FakeClock())))

        assert len(set(dues)) == 50
        assert max(dues) - min(dues) > INTERVAL / 50


class TestSlowSubscriber:
    def test_does_not_keep_others_from_the_new_key(self, read_world):
        told = threading.Event()
        read_world.cache.subscribe(lambda name, key: told.wait(10))
        read_world.source.answer = B
        leader = Running(lambda: read_world.cache.renew(NAME, A))

        assert Running(lambda: read_world.cache.renew(NAME, A)).result() == B
        told.set()
        assert leader.result() == B


class TestIdleSecret:
    def test_has_no_current_key(self, read_world):
        read_world.cache.retire(NAME)

        assert read_world.cache.current(NAME) is None

    def test_key_serves_the_next_client_while_it_is_young(self, read_world):
        read_world.cache.retire(NAME)
        read_world.clock.advance(INTERVAL - 1)

        assert read_world.cache.get(NAME) is A
        assert read_world.asked() == 1
        assert read_world.scheduled[-1][1] <= 1

    def test_key_that_is_as_old_as_the_interval_is_read_again(self, read_world):
        read_world.cache.retire(NAME)
        read_world.clock.advance(INTERVAL)
        read_world.source.answer = B

        assert read_world.cache.get(NAME) is B

    def test_age_counts_by_the_wall_clock_too(self, read_world):
        read_world.cache.retire(NAME)
        read_world.clock.jump_time(INTERVAL)
        read_world.source.answer = B

        assert read_world.cache.get(NAME) is B

    def test_old_key_does_not_serve_when_it_cannot_be_read_again(self, read_world):
        read_world.cache.retire(NAME)
        read_world.clock.advance(INTERVAL)
        read_world.source.answer = ERRORS[1]

        with pytest.raises(ClientException):
            read_world.cache.get(NAME)

    def test_key_in_use_serves_however_old(self, read_world):
        read_world.clock.advance(100 * INTERVAL)

        assert read_world.cache.get(NAME) is A
        assert read_world.asked() == 1

    def test_late_answer_is_kept_for_the_next_client_and_not_scheduled(self, read_world):
        read_world.cache.retire(NAME)
        del read_world.scheduled[:]

        read_world.cache.store(NAME, Fetched(100, B))

        assert read_world.scheduled == []
        assert read_world.cache.current(NAME) is None
        assert read_world.cache.get(NAME) is B
        assert read_world.asked() == 1

    def test_stays_idle_where_it_was_retired_amid_its_first_read(self, world):
        gate = world.source.answer = Gate(A)
        reading = Running(lambda: world.cache.get(NAME))
        gate.wait_entered()
        world.cache.retire(NAME)
        gate.open()

        assert reading.result() is A
        assert world.cache.is_idle(NAME)
        assert world.scheduled == []
        assert world.cache.get(NAME) is A
        assert [name for name, _ in world.scheduled] == [NAME]

    def test_stays_idle_where_it_was_retired_before_its_first_read_began(self, world, monkeypatch):
        started = []
        monkeypatch.setattr(flights.threads, "start", started.append)
        world.cache.read_ahead(NAME)
        world.cache.retire(NAME)

        started[0].run()

        assert world.asked() == 1
        assert world.cache.is_idle(NAME)
        assert world.scheduled == []

    def test_is_idle_until_it_is_read_and_again_when_it_is_retired(self, world):
        assert world.cache.is_idle(NAME)
        world.cache.get(NAME)
        assert not world.cache.is_idle(NAME)
        world.cache.retire(NAME)

        assert world.cache.is_idle(NAME)

    def test_retiring_what_was_never_read_is_no_error(self, world):
        world.cache.retire("never read")

        assert world.cache.names() == []


class TestColdCache:
    """Without a refresher's thread, or after a fork: the keys stay, and the next read of each schedules its refresh."""

    @staticmethod
    def fork_in_parent(cache):
        cache.before_fork()
        cache.after_fork_in_parent()

    @staticmethod
    def fork_in_child(cache):
        cache.before_fork()
        cache.after_fork_in_child()

    @pytest.mark.parametrize("cools", [
        lambda cache: cache.cool(NAME), fork_in_parent.__func__, fork_in_child.__func__,
    ], ids=["no thread", "parent", "child"])
    def test_next_read_schedules_the_refresh_and_fetches_nothing(self, read_world, cools):
        del read_world.scheduled[:]

        cools(read_world.cache)

        assert read_world.cache.current(NAME) is None
        assert Running(lambda: read_world.cache.get(NAME)).result() is A
        assert [name for name, _ in read_world.scheduled] == [NAME]
        assert read_world.asked() == 1

    def test_cooling_what_was_never_read_is_no_error(self, world):
        world.cache.cool("never read")

        assert world.cache.names() == []

    def test_child_does_not_wait_for_the_fetch_of_a_thread_that_it_has_not(self, clock):
        gate = Gate(A)
        world = World(clock, gate)
        parents = Running(lambda: world.cache.get(NAME))
        gate.wait_entered()
        self.fork_in_child(world.cache)
        world.source.answer = B

        assert world.cache.get(NAME) is B
        gate.open()
        parents.result()

    def test_child_tells_subscribers_though_a_thread_of_the_parent_was_telling(self, read_world):
        told = []
        slow = Gate()
        read_world.cache.subscribe(lambda name, new: slow() if new == B else told.append(new))
        read_world.source.answer = B
        parents = Running(read_world.renew)
        slow.wait_entered()
        self.fork_in_child(read_world.cache)
        read_world.source.answer = C
        read_world.renew(B)

        assert told == [C]
        slow.open()
        parents.result()


class TestOrder:
    """Contract 8: newer is what started later."""

    def test_answer_of_a_fetch_that_started_earlier_is_not_stored(self, read_world):
        read_world.source.answer = ERRORS[1]
        read_world.renew(A)
        hung = read_world.source.asked[-1]
        read_world.clock.advance(10)
        read_world.source.answer = B
        assert read_world.renew(A) is B

        hung.late(NAME, Fetched(hung.started, A))

        assert read_world.cache.get(NAME) is B

    @quick
    @given(st.permutations(range(2, 9)))
    def test_whatever_the_order_of_answers_the_last_started_so_far_counts(self, order):
        world = World(FakeClock())
        world.cache.get(NAME)
        newest = 0
        for started in order:
            world.cache.store(NAME, Fetched(started, key(str(started))))
            newest = max(newest, started)

            assert world.cache.get(NAME) == key(str(newest))

    @quick
    @given(st.lists(st.tuples(st.integers(2, 30), st.sampled_from([A, B, C])), max_size=20))
    def test_subscribers_hear_of_every_change_and_of_nothing_else(self, answers):
        world = World(FakeClock())
        told = []
        world.cache.subscribe(lambda name, new: told.append(new))
        world.cache.get(NAME)
        expected, newest = [A], 1
        for started, one in answers:
            if started >= newest:
                newest = started
                if one != expected[-1]:
                    expected.append(one)

            world.cache.store(NAME, Fetched(started, one))

            assert world.cache.get(NAME) == expected[-1]
        assert told == expected


class TestSubscribers:
    def test_hear_of_the_first_key_and_of_each_new_one(self, world):
        told = []
        world.cache.subscribe(lambda name, new: told.append((name, new)))
        world.cache.get(NAME)
        world.renew(A)
        world.source.answer = B
        world.clock.advance(10)
        world.renew(A)
        world.cache.refresh(NAME)

        assert told == [(NAME, A), (NAME, B)]

    def test_one_that_fails_is_logged_and_the_others_hear(self, world, caplog):
        told = []

        def fail(name, new):
            raise RuntimeError("cannot keep {}".format(new.access_key_secret))

        world.cache.subscribe(fail)
        world.cache.subscribe(lambda name, new: told.append(new))

        assert world.cache.get(NAME) is A

        assert told == [A]
        assert "a subscriber failed with RuntimeError" in caplog.text
        assert A.access_key_secret not in caplog.text

    def test_may_use_the_cache(self, world):
        seen = []
        world.cache.subscribe(lambda name, new: seen.append((world.cache.get(name), world.cache.renew(name, B))))

        assert Running(lambda: world.cache.get(NAME)).result() is A
        assert seen == [(A, A)]


class TestAgeOfAKeyWithoutNews:
    """What a lease needs to know of a rejected key: whether it is so young that services may not know it yet."""

    def age(self, world, rejected):
        world.source.answer = rejected
        renewal = world.cache.renewal(NAME, rejected)
        assert renewal.key is None
        assert renewal.error is None
        return renewal.age

    def test_first_key_has_none(self, read_world):
        assert self.age(read_world, A) is None

    def test_key_that_replaced_another_has_the_seconds_since(self, read_world):
        read_world.source.answer = B
        read_world.renew(A)
        read_world.clock.advance(29)

        assert self.age(read_world, B) == 29

    def test_is_told_during_the_cool_down_too(self, read_world):
        read_world.source.answer = B
        read_world.renew(A)
        self.age(read_world, B)
        read_world.clock.advance(0.1)
        asked = read_world.asked()

        assert self.age(read_world, B) == pytest.approx(0.1)
        assert read_world.asked() == asked

    def test_is_by_the_monotonic_clock(self, read_world):
        read_world.source.answer = B
        read_world.renew(A)
        read_world.clock.jump_time(1000)

        assert self.age(read_world, B) == 0

    def test_reading_it_again_does_not_make_it_younger(self, read_world):
        read_world.source.answer = B
        read_world.renew(A)
        read_world.clock.advance(20)
        read_world.cache.refresh(NAME)
        read_world.clock.advance(20)

        assert self.age(read_world, B) == 40
