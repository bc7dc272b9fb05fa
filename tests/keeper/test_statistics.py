"""What a program can watch: the statistics of each secret, and the log."""

import logging

import pytest
from aliyunsdkcore.acs_exception.exceptions import ServerException

from aliyun_sdk_secretsmanager_common_plugin import AccessKey
from aliyun_sdk_secretsmanager_common_plugin.keeper import FIRST_READ, REFRESH, RENEWAL, SecretStats

from ..common.fakes import key
from . import world as worlds
from .world import NAME, NEVER, NO_CONNECTION, After

A, B, C = key("A"), key("B"), key("C")
FORBIDDEN = ServerException("Forbidden.KMS", "not allowed", 403, "request-1")


class World(worlds.World):
    """A world that also knows the level of each line of the log."""

    def __init__(self, *answers, **options):
        self.records = []
        super().__init__(*answers, **options)

    def _log(self, action):
        super()._log(action)
        self.records.append((action.level, action.message % action.args))

    def logged(self, level):
        return [line for each, line in self.records if each == level]

    def stats(self, name=NAME):
        """Return a secret's stats, without the next refresh, which has tests of its own."""
        return self.keeper.stats(self.now)[name]._replace(next_refresh=None)

    def rotate_to(self, answer):
        self.gateways[0].answer = answer
        return self.renew(self.keys[NAME])


@pytest.fixture
def unread():
    return World(A)


@pytest.fixture
def world(unread):
    unread.read()
    del unread.records[:]
    return unread


class TestStats:
    def test_no_secret_is_there_before_one_is_asked_for(self, unread):
        assert unread.keeper.stats(unread.now) == {}

    def test_first_read(self, world):
        assert world.stats() == SecretStats("version-A", 0.0, None, 1, 0, 0, 0)

    def test_temporary_key_has_the_time_until_it_expires(self, unread):
        unread.gateways[0].answer = key("A", "token", expires=unread.time + 900.0)
        unread.read()
        unread.pass_time(60.0)

        assert unread.stats().expires_in == 840.0

    def test_each_secret_has_its_own(self, world):
        world.read(name="other")
        world.refresh(name="other")

        assert {name: stats.fetches for name, stats in world.keeper.stats(world.now).items()} == {NAME: 1, "other": 2}

    def test_secret_that_could_not_be_read_is_there_with_its_failures(self, unread):
        unread.gateways[0].answer = FORBIDDEN
        for _ in range(2):  # the second answer comes from the cool-down
            with pytest.raises(ServerException):
                unread.read()

        assert unread.stats() == SecretStats(None, None, None, 1, 1, 0, 0)

    def test_read_of_a_key_that_is_held_counts_nothing(self, world):
        before = world.keeper.stats(world.now)
        for _ in range(100):
            world.ask(FIRST_READ)

        assert world.keeper.stats(world.now) == before

    def test_renewal_that_brings_a_key(self, world):
        world.pass_time(60.0)
        world.rotate_to(B)

        assert world.stats() == SecretStats("version-B", 0.0, None, 2, 0, 1, 1)

    def test_all_is_counted_up(self, world):
        for answer in (B, C):
            world.rotate_to(answer)
        world.refresh()

        assert world.stats() == SecretStats("version-C", 0.0, None, 4, 0, 2, 2)

    def test_renewal_that_finds_nothing_newer_counts_and_the_cool_down_after_it_does_not(self, world):
        world.rotate_to(A)
        world.rotate_to(A)

        assert world.stats() == SecretStats("version-A", 0.0, None, 2, 0, 1, 0)

    def test_renewal_of_a_key_that_was_renewed_meanwhile_is_no_fetch(self, world):
        world.rotate_to(B)
        world.renew(A)

        assert (world.stats().fetches, world.stats().renewals) == (2, 1)

    def test_renewal_of_many_counts_once(self, world):
        world.gateways[0].answer = After(1.0, B)
        askers = [world.ask(RENEWAL, 2.0, rejected=A) for _ in range(8)]
        for asker in askers:
            world.wait_for(asker)

        assert world.stats() == SecretStats("version-B", 0.0, None, 2, 0, 1, 1)

    def test_renewal_that_fails(self, world):
        world.rotate_to(NO_CONNECTION)

        assert world.stats() == SecretStats("version-A", 0.0, None, 2, 1, 1, 0)

    def test_fetch_over_several_gateways_counts_once(self):
        world = World(NO_CONNECTION, A)
        world.read()

        assert len(world.requests) == 2
        assert world.stats() == SecretStats("version-A", 0.0, None, 1, 0, 0, 0)

    def test_refresh(self, world):
        world.refresh()
        world.gateways[0].answer = B
        world.refresh()

        assert world.stats() == SecretStats("version-B", 0.0, None, 3, 0, 0, 1)

    def test_refresh_that_fails_leaves_the_age_of_the_key(self, world):
        world.pass_time(60.0)
        world.gateways[0].answer = NO_CONNECTION
        world.refresh()

        assert world.stats() == SecretStats("version-A", 60.0, None, 2, 1, 0, 0)

    def test_refresh_that_the_floor_holds_back_is_no_fetch(self, world):
        for _ in range(20):
            world.refresh()

        assert world.stats().fetches == 10

    def test_answer_after_the_deadline_is_a_failure_that_rotates(self, world):
        world.rotate_to(NEVER)
        world.end(world.requests[-1].number, B)

        assert world.stats() == SecretStats("version-B", 0.0, None, 2, 1, 1, 1)

    @pytest.mark.parametrize("ago, age", [(7200.0, 7200.0), (None, None)], ids=["it is known when", "it is not"])
    def test_key_that_was_kept_from_before_is_as_old_as_it_is_known_to_be(self, ago, age):
        world = World(NO_CONNECTION, can_recover=True)
        world.kept[NAME] = A, 0.0 if ago is None else world.time + 1.9 - ago
        asker = world.ask(FIRST_READ, 2.0)
        world.wait_for(asker)
        world.stop(1.9 - asker.took)

        assert world.stats() == SecretStats("version-A", age if age is None else pytest.approx(age), None, 1, 1, 0, 0)

    def test_key_that_was_kept_from_before_counts_after_failures(self):
        world = World(FORBIDDEN, can_recover=True)
        world.kept[NAME] = A, 0.0
        world.lease()
        for _ in range(2):
            with pytest.raises(ServerException):
                world.read()
            world.pass_time(10.0)
        world.gateways[0].answer = NO_CONNECTION
        world.read(2.0)

        assert (world.stats().fetches, world.stats().failures) == (3, 3)

    def test_age_is_by_the_clock_that_says_more(self, world):
        world.pass_time(10.0)
        world.jump(1800.0)

        assert world.stats().age == 1810.0

    def test_version_that_holds_the_same_key_is_the_version_but_no_rotation(self, world):
        again = AccessKey(A.access_key_id, A.access_key_secret, None, "version-again")
        world.gateways[0].answer = again
        world.refresh()

        assert (world.stats().version_id, world.stats().rotations) == ("version-again", 0)
        assert world.renew(again).key is None

    def test_secret_that_nobody_uses_stays(self, world):
        world.close()
        world.pass_time(10.0 ** 6)

        assert world.keeper.stats(world.now)[NAME] == SecretStats("version-A", 10.0 ** 6, None, 1, 0, 0, 0)

    def test_snapshot_does_not_change(self, world):
        before = world.keeper.stats(world.now)
        world.rotate_to(B)

        assert before[NAME].version_id == "version-A"
        with pytest.raises(AttributeError):
            before[NAME].fetches = 0

    def test_are_told_while_a_fetch_hangs(self, unread):
        unread.gateways[0].answer = NEVER
        unread.ask(FIRST_READ)

        assert unread.stats() == SecretStats(None, None, None, 0, 0, 0, 0)

    def test_of_a_child_begin_at_0_with_the_version_and_age_of_its_parent(self, world):
        world.rotate_to(B)
        world.pass_time(5.0)
        world.fork()
        assert world.stats() == SecretStats("version-B", 5.0, None, 0, 0, 0, 0)
        world.refresh()

        assert world.stats() == SecretStats("version-B", 0.0, None, 1, 0, 0, 0)

    def test_hold_no_key(self, world):
        assert A.access_key_id not in repr(world.keeper.stats(world.now))
        assert A.access_key_secret not in repr(world.keeper.stats(world.now))


class TestNextRefresh:
    @staticmethod
    def of(world):
        return world.keeper.stats(world.now)[NAME].next_refresh

    @pytest.fixture
    def world(self, world, longest_jitter):
        world.refresh()
        return world

    def test_is_what_is_left(self, world):
        world.stop(600.0)

        assert self.of(world) == 3000.0

    def test_is_by_the_clock_that_is_nearer_and_never_past(self, world):
        world.jump(40.0)
        assert self.of(world) == 3560.0
        world.monotonic += 70.0
        assert self.of(world) == 3530.0
        world.stop(10000.0)

        assert self.of(world) == 0.0

    def test_is_now_while_it_is_refreshed(self, world):
        world.gateways[0].answer = NEVER
        world.pass_time(3600.0)
        assert world.requests[-1].purpose == REFRESH

        assert self.of(world) == 0.0

    def test_is_none_where_nobody_uses_the_secret(self, world):
        world.close()

        assert self.of(world) is None

    def test_is_none_before_the_secret_was_read(self, unread):
        unread.gateways[0].answer = NEVER
        unread.ask(FIRST_READ)

        assert self.of(unread) is None


class TestLog:
    def test_first_read_and_rotation_are_at_info(self, unread):
        unread.read()
        unread.rotate_to(B)

        assert unread.logged(logging.INFO) == [
            "secret 'app/key': read AccessKey(LTAI********789A, version_id='version-A')",
            "secret 'app/key': rotated to AccessKey(LTAI********789B, version_id='version-B')",
        ]

    def test_failed_refresh_is_a_warning_that_says_when_the_next_attempt_is(self, world, longest_jitter):
        world.gateways[0].answer = NO_CONNECTION
        world.refresh()

        (line,) = world.logged(logging.WARNING)
        assert line.startswith("secret 'app/key': refresh failed, the key stays; next attempt in 2.0 s: ")

    def test_failed_renewal_is_a_warning_that_says_why(self, world):
        world.rotate_to(NO_CONNECTION)

        (line,) = world.logged(logging.WARNING)
        assert line == "secret 'app/key': could not renew the rejected key: {}".format(NO_CONNECTION)

    @pytest.mark.parametrize("answer, outcome", [(B, "answered"), (FORBIDDEN, "failed")], ids=["answered", "failed"])
    def test_fetch_is_at_debug_with_its_purpose_and_end(self, world, answer, outcome):
        world.rotate_to(After(0.25, answer))

        lines = [line for line in world.logged(logging.DEBUG) if "fetch" in line]
        assert lines == [
            "secret 'app/key': fetch begins (renewal), 2.0 s at most",
            "secret 'app/key': fetch ends (renewal), {} after 0.250 s".format(outcome),
        ]

    def test_purpose_of_a_first_read_and_of_a_refresh(self, unread):
        unread.read()
        unread.refresh()

        assert [line for line in unread.logged(logging.DEBUG) if "begins" in line] == [
            "secret 'app/key': fetch begins (first read), 10.0 s at most",
            "secret 'app/key': fetch begins (refresh), 2.0 s at most",
        ]

    @pytest.mark.parametrize("answer", [A, NO_CONNECTION], ids=["nothing newer", "failed"])
    def test_cool_down_is_at_debug(self, world, answer, longest_jitter):
        world.rotate_to(answer)

        assert world.logged(logging.DEBUG)[-1] == "secret 'app/key': not asked for again within 0.50 s"

    def test_gateway_that_failed_is_at_debug(self, world):
        world.rotate_to(NO_CONNECTION)

        assert "secret 'app/key': Gateway(r1) failed: {}".format(NO_CONNECTION) in world.logged(logging.DEBUG)

    def test_who_waits_for_the_fetch_of_another_is_at_debug(self, unread):
        unread.gateways[0].answer = NEVER
        for _ in range(3):
            unread.ask(FIRST_READ)

        assert unread.logged(logging.DEBUG).count(
            "secret 'app/key': waiting for the fetch in progress (first read)") == 2

    def test_read_of_a_key_that_is_held_logs_nothing_at_all(self, world):
        world.ask(FIRST_READ)

        assert world.records == []
