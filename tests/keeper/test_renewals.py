"""Contracts 3, 7 and 8: what a renewal brings, how long it may take, and which answer is the newest."""

import pytest
from aliyunsdkcore.acs_exception.exceptions import ServerException
from hypothesis import given
from hypothesis import strategies as st

from aliyun_sdk_secretsmanager_common_plugin import AccessKey
from aliyun_sdk_secretsmanager_common_plugin.keeper import FIRST_READ, REFRESH, RENEWAL
from aliyun_sdk_secretsmanager_common_plugin.keeper import events as told

from ..common.fakes import key, quick
from .world import NAME, NEVER, NO_CONNECTION, After, World

A, B, C = key("A"), key("B"), key("C")
FORBIDDEN = ServerException("Forbidden.KMS", "not allowed", 403, "request-1")


@pytest.fixture
def world():
    """Everything is as A was read."""
    world = World(A)
    world.read()
    return world


class TestRenewal:
    def test_brings_a_new_key_and_publishes_it(self, world):
        world.gateways[0].answer = B

        renewal = world.renew(A)

        assert (renewal.key, renewal.error) == (B, None)
        assert world.keys == {NAME: B}

    def test_asks_each_region_once_within_its_own_time(self):
        world = World(NO_CONNECTION, NO_CONNECTION)

        assert world.renew(A, 2.0).key is None
        assert world.log == ["r1", "r2"]
        assert {request.purpose for request in world.requests} == {RENEWAL}
        assert all(request.seconds <= 2.0 for request in world.requests)

    def test_of_a_key_that_was_renewed_meanwhile_asks_nobody(self, world):
        world.gateways[0].answer = B
        world.renew(A)

        assert world.renew(A).key is B
        assert world.keeper.renewal(NAME, A, world.now).key is B
        assert len(world.requests) == 2

    def test_of_a_former_version_asks_nobody(self, world):
        for answer in (B, C):
            rejected, world.gateways[0].answer = world.keys[NAME], answer
            world.renew(rejected)

        assert world.renew(A).key is C
        assert world.renew(B).key is C
        assert len(world.requests) == 3

    def test_that_needs_a_fetch_is_not_known_without_one(self, world):
        assert world.keeper.renewal(NAME, A, world.now) is None
        assert world.keeper.renewal("never read", A, world.now) is None

    def test_happens_once_for_all_who_ask(self, world):
        world.gateways[0].answer = After(1.0, B)

        askers = [world.ask(RENEWAL, 2.0, rejected=A) for _ in range(16)]

        assert {world.wait_for(asker).key for asker in askers} == {B}
        assert len(world.requests) == 2

    def test_key_that_differs_in_the_secret_only_is_a_new_key(self, world):
        world.gateways[0].answer = AccessKey(A.access_key_id, "other secret")

        assert world.renew(A).key.access_key_secret == "other secret"

    def test_same_pair_under_another_version_is_the_same_key(self, world):
        world.gateways[0].answer = AccessKey(A.access_key_id, A.access_key_secret, None, "version-other")

        assert world.renew(A).key is None
        assert world.keys[NAME] is A  # readers keep the object that they know

    def test_of_a_secret_that_was_not_read_fetches_it_and_does_not_refresh_it(self):
        world = World(B)

        assert world.renew(A).key is B
        assert world.keys == {}
        assert world.keeper.stats(world.now)[NAME].next_refresh is None

    def test_of_a_secret_that_was_not_read_and_cannot_be_has_the_error_each_time(self):
        world = World(FORBIDDEN)

        for _ in range(2):
            renewal = world.renew(A)
            assert (renewal.key, str(renewal.error), renewal.age) == (None, str(FORBIDDEN), None)
        assert len(world.requests) == 1

    def test_twenty_rotations_in_a_minute_are_twenty_renewals(self, world):
        for number in range(20):
            rejected, world.gateways[0].answer = world.keys[NAME], key(str(number))
            world.pass_time(3.0)
            assert world.renew(rejected).key is world.gateways[0].answer
            world.accept(world.keys[NAME])

        assert len(world.requests) == 21

    def test_follows_a_rollback(self, world):
        world.gateways[0].answer = B
        assert world.renew(A).key is B
        world.gateways[0].answer = A

        assert world.renew(B).key is A
        assert world.keys == {NAME: A}
        assert world.renew(B).key is A

    def test_that_fails_says_why_and_keeps_the_key(self, world):
        world.gateways[0].answer = FORBIDDEN

        renewal = world.renew(A)

        assert renewal.key is None
        assert str(renewal.error) == str(FORBIDDEN)
        (line,) = [line for line in world.lines if "could not renew" in line]
        assert repr(NAME) in line
        assert "not allowed" in line
        assert world.keys == {NAME: A}

    def test_that_fails_gives_each_an_error_of_its_own(self, world):
        world.gateways[0].answer = After(1.0, FORBIDDEN)
        askers = [world.ask(RENEWAL, 2.0, rejected=A) for _ in range(8)]

        renewals = [world.wait_for(asker) for asker in askers]

        assert {str(renewal.error) for renewal in renewals} == {str(FORBIDDEN)}
        assert len({id(renewal.error) for renewal in renewals} | {id(FORBIDDEN)}) == 9
        assert len(world.requests) == 2

    def test_without_news_is_no_error(self, world):
        renewal = world.renew(A)

        assert (renewal.key, renewal.error) == (None, None)

    def test_shows_no_secret_in_the_log(self, world):
        world.gateways[0].answer = key("B", token="the-token")
        world.renew(A)

        text = "\n".join(world.lines)
        assert "rotated" in text
        for word in ("secret-of", "the-token", world.keys[NAME].access_key_id):
            assert word not in text

    def test_of_one_secret_does_not_wait_for_anothers(self, world):
        world.gateways[0].answer = lambda request: NEVER if request.name == "hangs" else B
        hanging = world.ask(RENEWAL, 2.0, "hangs", rejected=A)

        assert world.renew(A).key is B
        assert not hanging.answers

    def test_leaves_readers_the_key_while_it_goes_on(self, world):
        world.gateways[0].answer = NEVER
        world.ask(RENEWAL, 2.0, rejected=A)

        assert world.keys == {NAME: A}
        assert world.ask(FIRST_READ).result() is A


class TestWhereSecretsManagerHangs:
    def test_takes_its_time_and_the_next_ones_take_none(self, world):
        world.gateways[0].answer = NEVER
        asker = world.ask(RENEWAL, 2.0, rejected=A)

        renewal = world.wait_for(asker)

        assert asker.took == 2.0
        assert renewal.key is None
        assert "no answer within 2.0 s from Secrets Manager in r1" in str(renewal.error)
        assert world.ask(RENEWAL, 2.0, rejected=A).answers

    def test_joiner_waits_no_longer_than_its_own_time(self, world):
        world.gateways[0].answer = NEVER
        world.ask(RENEWAL, 2.0, rejected=A)
        joiner = world.ask(RENEWAL, 0.5, rejected=A)

        renewal = world.wait_for(joiner)

        assert joiner.took == 0.5
        assert renewal.key is None
        assert repr(NAME) in str(renewal.error)
        assert len(world.requests) == 2

    def test_joiner_of_a_refresh_waits_no_longer_either(self, world):
        world.gateways[0].answer = NEVER
        refresh = world.ask(REFRESH)
        joiner = world.ask(RENEWAL, 0.5, rejected=A)

        assert world.wait_for(joiner).key is None
        assert joiner.took == 0.5
        assert not refresh.answers

    def test_answer_that_comes_after_the_deadline_is_used(self, world):
        world.gateways[0].answer = NEVER
        assert world.renew(A).key is None

        world.end(world.requests[-1].number, B)

        assert world.keys == {NAME: B}
        assert world.renew(A).key is B
        assert len(world.requests) == 2

    def test_answer_of_a_request_that_was_given_up_is_used(self, world):
        world.gateways[0].answer = NEVER
        world.renew(A)
        number = world.requests[-1].number
        world.pass_time(10.0)
        assert world.given_up == [number]

        world.end(number, B)

        assert world.keys == {NAME: B}

    def test_late_answer_with_the_rejected_key_ends_no_cool_down(self, world):
        world.gateways[0].answer = NEVER
        world.renew(A)
        world.end(world.requests[-1].number, A)
        world.gateways[0].answer = B

        assert world.renew(A).key is None
        assert world.keys == {NAME: A}


class TestDuringARefresh:
    @pytest.fixture
    def refreshing(self, world):
        """A refresh is in flight, and a renewal has joined it."""
        world.gateways[0].answer = NEVER
        world.refresher = world.ask(REFRESH)
        world.renewer = world.ask(RENEWAL, 2.0, rejected=A)
        world.gateways[0].answer = B
        assert len(world.requests) == 2
        return world

    def test_which_read_before_the_rotation_asks_again(self, refreshing):
        refreshing.end(refreshing.requests[-1].number, A)

        assert refreshing.renewer.result().key is B
        assert len(refreshing.requests) == 3
        assert refreshing.requests[-1].purpose == RENEWAL

    def test_which_brings_the_new_key_takes_it(self, refreshing):
        refreshing.end(refreshing.requests[-1].number, C)

        assert refreshing.renewer.result().key is C
        assert len(refreshing.requests) == 2

    def test_which_fails_asks_again(self, refreshing):
        refreshing.end(refreshing.requests[-1].number, NO_CONNECTION)

        assert refreshing.renewer.result().key is B
        assert refreshing.refresher.result() is False


class TestOrder:
    """Contract 8: the request that started later is the newer one."""

    def test_answer_of_a_request_that_started_earlier_is_not_stored(self, world):
        world.gateways[0].answer = NEVER
        world.renew(A)
        hung = world.requests[-1].number
        world.pass_time(10.0)
        world.gateways[0].answer = B
        assert world.renew(A).key is B

        world.end(hung, A)

        assert world.keys == {NAME: B}
        assert [action.key for action in world.told] == [A, B]

    def test_answer_that_is_not_stored_changes_no_date(self, world, longest_jitter):
        world.gateways[0].answer = NEVER
        world.renew(A)
        hung = world.requests[-1].number
        world.pass_time(10.0)
        world.gateways[0].answer = B
        world.renew(A)
        before = world.keeper.stats(world.now)

        world.end(hung, key("A", next_rotation=world.time + 10.0), refresh_at=world.time + 10.0)
        world.close()
        world.read()

        assert world.keeper.stats(world.now) == before

    @quick
    @given(st.permutations(range(7)))
    def test_whatever_the_order_of_answers_the_last_that_started_so_far_counts(self, order):
        world = World(*7 * [NEVER])
        world.ask(FIRST_READ, 60.0)
        world.pass_time(6.0)  # each request is overtaken by the next
        assert len(world.under_way) == 7
        numbers = sorted(world.under_way)
        newest = -1
        for at in order:
            world.end(numbers[at], key(str(at)))
            newest = max(newest, at)

            assert world.keys == {NAME: key(str(newest))}

    @quick
    @given(st.lists(st.tuples(st.integers(0, 6), st.sampled_from([A, B, C])), max_size=7, unique_by=lambda each: each[0]))
    def test_subscribers_hear_of_every_change_and_of_nothing_else(self, answers):
        world = World(*7 * [NEVER])
        world.ask(FIRST_READ, 60.0)
        world.pass_time(6.0)
        numbers = sorted(world.under_way)
        expected, newest = [], -1
        for at, answer in answers:
            if at > newest:
                newest = at
                if [answer] != expected[-1:]:
                    expected.append(answer)

            world.end(numbers[at], answer)

            assert [action.key for action in world.told] == expected
        assert {action.name for action in world.told} <= {NAME}


class TestSubscribers:
    def test_hear_of_the_first_key_and_of_each_new_one(self, world):
        world.renew(A)
        world.gateways[0].answer = B
        world.pass_time(10.0)
        world.renew(A)
        world.refresh()

        assert [(action.name, action.key, action.is_recovered) for action in world.told] == [
            (NAME, A, False), (NAME, B, False)]

    def test_hear_of_a_key_after_readers_have_it_and_before_who_asked(self, world):
        asked = world.ask(RENEWAL, 2.0, rejected=B)
        assert asked.answers
        world.gateways[0].answer = NEVER
        world.ask(RENEWAL, 2.0, rejected=A)
        del world.lines[:]

        actions = world.handle(ended(world, B))

        kinds = [type(action).__name__ for action in actions if type(action).__name__ in ("Publish", "Tell", "Answer")]
        assert kinds == ["Publish", "Tell", "Answer"]

    def test_who_writes_secrets_hears_of_every_answer_that_was_stored(self, world):
        world.refresh()
        world.gateways[0].answer = NO_CONNECTION
        world.refresh()

        assert world.stored == {NAME: 2}


class TestAgeOfAKeyWithoutNews:
    """What a lease needs to know of a rejected key: whether it is so young that services may not know it yet."""

    @staticmethod
    def age(world, rejected):
        world.gateways[0].answer = rejected
        renewal = world.renew(rejected)
        assert (renewal.key, renewal.error) == (None, None)
        return renewal.age

    @pytest.fixture
    def renewed(self, world):
        world.gateways[0].answer = B
        assert world.renew(A).key is B
        return world

    def test_first_key_has_none(self, world):
        assert self.age(world, A) is None

    def test_key_that_replaced_another_has_the_seconds_since(self, renewed):
        renewed.pass_time(29.0)

        assert self.age(renewed, B) == 29.0

    def test_is_told_during_the_cool_down_too(self, renewed):
        self.age(renewed, B)
        renewed.pass_time(0.1)
        asked = len(renewed.requests)

        assert self.age(renewed, B) == pytest.approx(0.1)
        assert renewed.keeper.renewal(NAME, B, renewed.now).age == pytest.approx(0.1)
        assert len(renewed.requests) == asked

    def test_is_by_the_monotonic_clock(self, renewed):
        renewed.jump(1000.0)

        assert self.age(renewed, B) == 0.0

    def test_reading_it_again_does_not_make_it_younger(self, renewed):
        renewed.pass_time(20.0)
        renewed.refresh()
        renewed.pass_time(20.0)

        assert self.age(renewed, B) == 40.0


def ended(world, given):
    """Return the event that says that the last request brought a key."""
    number = world.requests[-1].number
    del world.under_way[number]
    return told.Ended(number, given)
