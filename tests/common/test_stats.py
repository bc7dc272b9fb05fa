"""What a program can watch: the stats of each secret, the log, and new keys as they come."""

import logging
import threading

import pytest
from aliyunsdkcore.acs_exception.exceptions import ClientException

from aliyun_sdk_secretsmanager_common_plugin import AccessKey, SecretStats
from aliyun_sdk_secretsmanager_common_plugin.cache import Cache, Recovered
from aliyun_sdk_secretsmanager_common_plugin.secrets_manager import Fetched

from .fakes import PATIENCE, Gate, Running, Source, key

NAME = "app/key"
A, B, C = key("A"), key("B"), key("C")
ERROR = ClientException("SDK.HttpError", "no answer")
LOGGER = "aliyun_sdk_secretsmanager_common_plugin"


class World:
    """A cache over a source of keys."""

    def __init__(self, clock, answer=A):
        self.clock = clock
        self.source = Source(answer)
        self.cache = Cache(self.source, clock, lambda name, seconds: None, 3600.0, 10.0, 2.0)

    def stats(self):
        return self.cache.stats()[NAME]

    def rotate_to(self, answer):
        rejected, self.source.answer = self.cache.get(NAME), answer
        return self.cache.renew(NAME, rejected)

    def first_read_fails(self):
        self.source.answer = ERROR
        with pytest.raises(ClientException):
            self.cache.get(NAME)


@pytest.fixture
def world(clock):
    return World(clock)


class TestStats:
    def test_no_secret_is_there_before_one_is_asked_for(self, world):
        assert world.cache.stats() == {}

    def test_first_read(self, read_world):
        assert read_world.cache.stats() == {NAME: SecretStats("version-A", 0.0, None, 1, 0, 0, 0)}

    def test_each_secret_has_its_own(self, read_world):
        read_world.cache.get("other")
        read_world.cache.refresh("other")

        assert {name: stats.fetches for name, stats in read_world.cache.stats().items()} == {NAME: 1, "other": 2}

    def test_secret_that_could_not_be_read_is_there_with_its_failures(self, world):
        world.first_read_fails()

        assert world.stats() == SecretStats(None, None, None, 1, 1, 0, 0)

    def test_error_that_is_raised_again_in_the_cool_down_is_no_fetch(self, world):
        world.first_read_fails()
        world.first_read_fails()

        assert (world.stats().fetches, world.stats().failures) == (1, 1)

    def test_read_of_a_cached_key_counts_nothing(self, read_world):
        before = read_world.cache.stats()
        for _ in range(100):
            read_world.cache.get(NAME)

        assert read_world.cache.stats() == before

    def test_renewal_that_brings_a_key(self, read_world):
        read_world.clock.advance(60)
        read_world.rotate_to(B)

        assert read_world.stats() == SecretStats("version-B", 0.0, None, 2, 0, 1, 1)

    def test_all_is_counted_up(self, read_world):
        for answer in (B, C):
            read_world.rotate_to(answer)
        read_world.cache.refresh(NAME)

        assert read_world.stats() == SecretStats("version-C", 0.0, None, 4, 0, 2, 2)

    def test_renewal_that_finds_nothing_newer_counts_and_the_cool_down_after_it_does_not(self, read_world):
        read_world.rotate_to(A)
        read_world.rotate_to(A)

        assert read_world.stats() == SecretStats("version-A", 0.0, None, 2, 0, 1, 0)

    def test_renewal_of_a_key_that_was_renewed_meanwhile_is_no_fetch(self, read_world):
        read_world.rotate_to(B)
        read_world.cache.renew(NAME, A)

        assert (read_world.stats().fetches, read_world.stats().renewals) == (2, 1)

    def test_renewal_of_many_threads_counts_once(self, clock, waits):
        world = World(clock)
        world.cache.get(NAME)
        gate = world.source.answer = Gate(B)
        renewals = [Running(lambda: world.cache.renew(NAME, A)) for _ in range(8)]
        waits.until_waits(7)
        gate.open()

        assert {renewal.result() for renewal in renewals} == {B}
        assert world.stats() == SecretStats("version-B", 0.0, None, 2, 0, 1, 1)

    def test_renewal_that_fails(self, read_world):
        read_world.rotate_to(ERROR)

        assert read_world.stats() == SecretStats("version-A", 0.0, None, 2, 1, 1, 0)

    def test_refresh(self, read_world):
        read_world.cache.refresh(NAME)
        read_world.source.answer = B
        read_world.cache.refresh(NAME)

        assert read_world.stats() == SecretStats("version-B", 0.0, None, 3, 0, 0, 1)

    def test_refresh_that_fails_leaves_the_age_of_the_key(self, read_world):
        read_world.clock.advance(60)
        read_world.source.answer = ERROR
        read_world.cache.refresh(NAME)

        assert read_world.stats() == SecretStats("version-A", 60.0, None, 2, 1, 0, 0)

    def test_whatever_ends_a_fetch_is_a_failure(self, read_world):
        read_world.source.answer = KeyboardInterrupt()
        with pytest.raises(KeyboardInterrupt):
            read_world.cache.renew(NAME, A)

        assert (read_world.stats().fetches, read_world.stats().failures) == (2, 1)

    def test_answer_after_the_deadline_is_a_failure_that_rotates(self, read_world):
        read_world.rotate_to(ERROR)
        late = read_world.source.asked[-1]
        late.late(NAME, Fetched(late.started, B))

        assert read_world.stats() == SecretStats("version-B", 0.0, None, 2, 1, 1, 1)

    @pytest.mark.parametrize("ago, age", [(7200.0, 7200.0), (None, None)], ids=["it is known when", "it is not"])
    def test_key_that_was_kept_from_before_is_as_old_as_it_is_known_to_be(self, clock, ago, age):
        read = 0.0 if ago is None else clock.time() - ago
        cache = Cache(lambda *args: Recovered(A, read), clock, lambda name, seconds: None, 3600.0, 10.0, 2.0)
        cache.get(NAME)

        assert cache.stats() == {NAME: SecretStats("version-A", age, None, 1, 1, 0, 0)}

    def test_key_that_was_kept_from_before_counts_after_failures(self, clock):
        answers = [ERROR, ERROR, Recovered(A, 0.0)]

        def fetch(*ignored):
            answer = answers.pop(0)
            if answer is ERROR:
                raise answer
            return answer

        cache = Cache(fetch, clock, lambda name, seconds: None, 3600.0, 10.0, 2.0)
        for _ in range(2):
            with pytest.raises(ClientException):
                cache.get(NAME)
            clock.advance(10)
        cache.get(NAME)

        assert (cache.stats()[NAME].fetches, cache.stats()[NAME].failures) == (3, 3)

    def test_age_is_by_the_clock_that_says_more(self, read_world):
        read_world.clock.advance(10)
        read_world.clock.jump_time(3600)

        assert read_world.stats().age == 3610.0

    def test_version_that_holds_the_same_key_is_the_version_but_no_rotation(self, read_world):
        again = AccessKey(A.access_key_id, A.access_key_secret, None, "version-again")
        read_world.source.answer = again
        read_world.cache.refresh(NAME)

        assert (read_world.stats().version_id, read_world.stats().rotations) == ("version-again", 0)
        assert read_world.cache.renewal(NAME, again).key is None

    def test_secret_that_nobody_uses_stays(self, read_world):
        read_world.cache.retire(NAME)
        read_world.clock.advance(10 ** 6)

        assert read_world.stats() == SecretStats("version-A", 10.0 ** 6, None, 1, 0, 0, 0)

    def test_snapshot_does_not_change(self, read_world):
        before = read_world.cache.stats()
        read_world.rotate_to(B)

        assert before == {NAME: SecretStats("version-A", 0.0, None, 1, 0, 0, 0)}
        with pytest.raises(AttributeError):
            before[NAME].fetches = 0

    def test_all_of_a_secret_is_of_one_moment(self, clock):
        world = World(clock, lambda asked: key(str(asked.started)))
        world.cache.get(NAME)
        done = threading.Event()

        def rotate():
            for _ in range(200):
                world.cache.refresh(NAME)
            done.set()

        rotations = Running(rotate)
        while not done.is_set():
            stats = world.stats()
            assert stats.version_id == "version-{}".format(stats.rotations + 1)
        rotations.result()

    def test_are_told_while_a_fetch_hangs(self, clock):
        world = World(clock, Gate(A))
        read = Running(lambda: world.cache.get(NAME))
        world.source.answer.wait_entered()

        assert world.stats() == SecretStats(None, None, None, 0, 0, 0, 0)
        world.source.answer.open()
        read.result()

    def test_hold_no_key(self, read_world):
        assert A.access_key_id not in repr(read_world.cache.stats())
        assert A.access_key_secret not in repr(read_world.cache.stats())


class TestLog:
    @pytest.fixture
    def lines(self, caplog):
        caplog.set_level(logging.DEBUG, LOGGER)
        return lambda level: [record.getMessage() for record in caplog.records if record.levelno == level]

    def test_rotation_is_at_info(self, read_world, lines):
        read_world.rotate_to(B)

        (line,) = lines(logging.INFO)
        assert line == "secret 'app/key': rotated to AccessKey(LTAI********789B, version_id='version-B')"

    def test_failed_refresh_is_a_warning_that_says_when_the_next_attempt_is(self, read_world, lines, longest_jitter):
        read_world.source.answer = ERROR
        read_world.cache.refresh(NAME)

        (line,) = lines(logging.WARNING)
        assert line.startswith("secret 'app/key': refresh failed, the key stays; next attempt in 2.0 s: ")

    @pytest.mark.parametrize("answer, outcome", [(B, "answered"), (ERROR, "failed")], ids=["answered", "failed"])
    def test_fetch_is_at_debug_with_its_purpose_and_end(self, read_world, lines, answer, outcome, longest_jitter):
        read_world.rotate_to(answer)

        assert lines(logging.DEBUG)[:2] == [
            "secret 'app/key': fetch begins (renewal), 2.0 s at most",
            "secret 'app/key': fetch ends (renewal), {} after 0.000 s".format(outcome),
        ]

    def test_purpose_of_a_first_read_and_of_a_refresh(self, world, lines):
        world.cache.get(NAME)
        world.cache.refresh(NAME)

        assert [line for line in lines(logging.DEBUG) if "begins" in line] == [
            "secret 'app/key': fetch begins (first read), 10.0 s at most",
            "secret 'app/key': fetch begins (refresh), 2.0 s at most",
        ]

    @pytest.mark.parametrize("answer", [A, ERROR], ids=["nothing newer", "failed"])
    def test_cool_down_is_at_debug(self, read_world, lines, answer, longest_jitter):
        read_world.rotate_to(answer)

        assert lines(logging.DEBUG)[-1] == "secret 'app/key': not asked for again within 0.50 s"

    def test_who_waits_for_the_fetch_of_another_is_at_debug(self, clock, waits, lines):
        gate = Gate(A)
        world = World(clock, gate)
        readers = [Running(lambda: world.cache.get(NAME)) for _ in range(3)]
        waits.until_waits(2)
        gate.open()

        assert {reader.result() for reader in readers} == {A}
        assert lines(logging.DEBUG).count("secret 'app/key': waiting for the fetch in progress (first read)") == 2

    def test_read_of_a_cached_key_logs_nothing_at_all(self, read_world, lines):
        read_world.cache.get(NAME)

        assert [lines(level) for level in (logging.DEBUG, logging.INFO, logging.WARNING)] == [[], [], []]

    def test_no_lock_is_held_over_a_line(self, clock, waits):
        held = []
        handler = logging.Handler()
        handler.emit = lambda record: held.append((waits.held(), record.getMessage()))
        logger = logging.getLogger(LOGGER)
        level = logger.level
        logger.addHandler(handler)
        logger.setLevel(logging.DEBUG)
        try:
            world = World(clock)
            world.cache.get(NAME)
            world.rotate_to(B)
            world.rotate_to(ERROR)
            world.cache.refresh(NAME)
        finally:
            logger.removeHandler(handler)
            logger.setLevel(level)

        assert len(held) > 8
        assert [line for was_held, line in held if was_held] == []

    @pytest.mark.parametrize("package", ["common_plugin", "sdk_core_plugin", "oss_plugin", "testing"])
    def test_each_package_is_silent_where_the_program_sets_up_no_logging(self, package):
        name = "aliyun_sdk_secretsmanager_" + package
        __import__(name)

        assert any(isinstance(handler, logging.NullHandler) for handler in logging.getLogger(name).handlers)


class TestSubscribers:
    @pytest.fixture
    def told(self, world):
        return []

    def test_one_may_unsubscribe_itself_and_the_others_hear(self, world, told):
        def once(name, new):
            told.append(("once", new))
            world.cache.unsubscribe(once)

        world.cache.subscribe(once)
        world.cache.subscribe(lambda name, new: told.append(("always", new)))
        world.cache.get(NAME)
        world.rotate_to(B)

        assert told == [("once", A), ("always", A), ("always", B)]

    def test_one_that_another_adds_hears_of_the_next_key(self, world, told):
        def add(name, new):
            if new == A:
                world.cache.subscribe(lambda name, new: told.append(new))

        world.cache.subscribe(add)
        world.cache.get(NAME)
        world.rotate_to(B)

        assert told == [B]

    def test_slow_one_holds_up_the_call_that_brought_the_key_and_no_other(self, read_world):
        slow = Gate()
        read_world.cache.subscribe(slow)
        brought = Running(lambda: read_world.rotate_to(B))
        slow.wait_entered()

        assert Running(lambda: read_world.cache.get(NAME)).result() is B
        assert Running(lambda: read_world.rotate_to(C)).result() is C
        assert brought.alive()
        slow.open()
        assert brought.result() is C  # the current one, once it goes on

    def test_slow_one_hears_of_the_newest_key_last(self, read_world, told):
        slow = Gate()

        def keep(name, new):
            if new == B:
                slow()
            told.append(new)

        read_world.cache.subscribe(keep)
        brought = Running(lambda: read_world.rotate_to(B))
        slow.wait_entered()
        read_world.rotate_to(C)
        slow.open()
        brought.result()

        assert told == [B, C]

    def test_slow_one_of_a_secret_holds_up_no_other_secret(self, read_world, told):
        slow = Gate()
        read_world.cache.subscribe(lambda name, new: slow() if name == NAME else told.append(new))
        brought = Running(lambda: read_world.rotate_to(B))
        slow.wait_entered()
        read_world.cache.get("other")

        assert told == [B]
        slow.open()
        brought.result()

    def test_key_that_one_brings_is_told_to_all_after_the_one_that_it_is_told_of(self, read_world, told):
        def renew(name, new):
            if new == B:
                read_world.rotate_to(C)

        read_world.cache.subscribe(renew)
        read_world.cache.subscribe(lambda name, new: told.append(new))
        Running(lambda: read_world.rotate_to(B)).result()

        assert told == [B, C]

    def test_one_that_is_interrupted_is_told_of_the_next_key(self, read_world, told):
        def interrupted(name, new):
            told.append(new)
            if new == B:
                raise KeyboardInterrupt

        read_world.cache.subscribe(interrupted)
        with pytest.raises(KeyboardInterrupt):
            read_world.rotate_to(B)
        read_world.rotate_to(C)

        assert told == [B, C]

    def test_key_that_comes_as_the_telling_ends_is_told(self, read_world, told):
        class Telling:
            """The lock of who tells: before it is free, another thread brings a key, and leaves it to its holder."""

            def __init__(self):
                self._lock = threading.Lock()
                self.acquire = self._lock.acquire

            def release(self):
                if told == [B]:
                    assert Running(lambda: read_world.rotate_to(C)).result() is C
                self._lock.release()

        read_world.cache._entries[NAME].telling = Telling()
        read_world.cache.subscribe(lambda name, new: told.append(new))
        read_world.rotate_to(B)

        assert told == [B, C]

    def test_many_threads_that_bring_keys_tell_them_in_order(self, clock):
        world = World(clock, lambda asked: key(str(asked.started)))
        told = []
        world.cache.subscribe(lambda name, new: told.append(int(new.version_id.split("-")[1])))
        world.cache.get(NAME)

        def rotate():
            for _ in range(50):
                world.cache.renew(NAME, world.cache.get(NAME))

        threads = [threading.Thread(target=rotate, daemon=True) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(PATIENCE * 3)

        assert told == sorted(set(told))
        assert told[-1] == int(world.cache.get(NAME).version_id.split("-")[1])
