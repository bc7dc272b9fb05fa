"""Contract 7, and the pace: which requests begin, how long each may live, and how a late answer is used."""

import re

import pytest
from aliyunsdkcore.acs_exception.exceptions import ClientException, ServerException

from aliyun_sdk_secretsmanager_common_plugin.keeper import FIRST_READ, REFRESH, RENEWAL
from aliyun_sdk_secretsmanager_common_plugin.keeper.events import Ended
from aliyun_sdk_secretsmanager_common_plugin.keeper.timing import (
    ARRIVAL,
    GRACE,
    LONGEST_COOL_DOWN,
    MOST_GIVEN_UP,
    PACE,
    PATIENCE,
)

from ..common.fakes import key
from .world import (
    FINAL,
    NAME,
    NEVER,
    NO_CONNECTION,
    THROTTLED,
    TIMED_OUT,
    UNAVAILABLE,
    After,
    World,
)

A, B, C = key("A"), key("B"), key("C")
REFUSED_IDENTITY = ServerException("InvalidSecurityToken.Expired", "it has expired", http_status=400)


def hanging(*answers, **options):
    """Return a world whose secret was read, and whose first region has hung since then."""
    world = World(A, *answers, **options)
    world.read()
    world.gateways[0].answer = NEVER
    return world


def give_up_too_many(world):
    """Refresh until so many requests to the first region hang that it is not asked for a while."""
    while len(world.given_up) <= MOST_GIVEN_UP:
        assert not world.refresh()
        world.pass_time(1.2)
    del world.requests[:]


def give_up_all_but_the_last(world):
    """Refresh until one request less hangs, and another one that will be given up in a tenth of a second."""
    while len(world.given_up) < MOST_GIVEN_UP:
        assert not world.refresh()
        world.pass_time(1.2)
    began = world.monotonic
    assert not world.refresh()
    world.pass_time(began + 2.0 + GRACE - 0.1 - world.monotonic)


class TestPace:
    """The pace is that of one secret over all regions, and only while no good answer comes."""

    @pytest.mark.parametrize("regions", [1, 2, 3, 4, 7])
    def test_three_requests_begin_within_a_second(self, regions, shortest_jitter):
        world = World(*[A] * regions)
        world.read()
        for gateway in world.gateways:
            gateway.answer = NO_CONNECTION
        del world.begun[:]
        for _ in range(8):
            assert not world.refresh()
            world.pass_time(0.25)

        assert min(later - earlier for earlier, later in zip(world.begun, world.begun[3:])) >= PACE
        assert {gateway.region_id for gateway in world.gateways} == set(world.log)

    @pytest.mark.parametrize("regions", [1, 2, 3, 4, 7])
    def test_three_requests_of_a_first_read_begin_within_a_second(self, regions, shortest_jitter):
        world = World(*[NO_CONNECTION] * regions)
        with pytest.raises(ClientException, match="no connection"):
            world.read(seconds=4.0)

        assert min(later - earlier for earlier, later in zip(world.begun, world.begun[3:])) >= PACE
        assert {gateway.region_id for gateway in world.gateways} == set(world.log)

    def test_a_refused_identity_counts_as_three_since_its_gateway_may_ask_twice(self):
        world = World(A)
        world.read()
        world.gateways[0].answer = REFUSED_IDENTITY
        for _ in range(2):
            assert not world.refresh()

        assert world.pauses == [0.0, PACE]

    def test_a_region_after_the_third_is_asked_when_it_may_be(self):
        world = World(*[NO_CONNECTION] * 3 + [A])
        asker = world.ask(FIRST_READ, seconds=2.0)

        assert world.wait_for(asker) == A
        assert asker.took == PACE

    def test_a_region_that_had_to_wait_is_overtaken_no_sooner(self):
        world = World(*[NO_CONNECTION] * 3 + [After(0.9, A), B])

        assert world.read() == A
        assert world.log == ["r1", "r2", "r3", "r4"]

    def test_who_has_not_the_time_to_wait_is_told_so_at_once(self):
        world = World(A, NO_CONNECTION, NO_CONNECTION)
        world.read()
        world.gateways[0].answer = NO_CONNECTION
        world.refresh()
        assert len(world.log) == 4

        renewal = world.renew(A, seconds=1.0)

        assert renewal.error.get_error_code() == "SDK.HttpError"
        assert "'app/key': the last 3 requests to Secrets Manager failed or hang, and Gateway(r" in str(renewal.error)
        assert "may be asked in 1.0 s" in str(renewal.error)
        assert len(world.log) == 4

    def test_counts_from_the_end_of_what_took_long_to_arrive(self):
        world = World(*[After(0.3, NO_CONNECTION)] * 3 + [A])
        asker = world.ask(FIRST_READ, seconds=5.0)

        assert world.wait_for(asker) == A
        assert asker.took == pytest.approx(0.3 + PACE)

    def test_counts_from_when_it_has_arrived_what_is_still_under_way(self):
        world = World(NEVER, NEVER, NEVER, B, C)
        asker = world.ask(FIRST_READ, seconds=1.5)

        assert world.wait_for(asker) == B  # each of the others was overtaken after 0.3 s
        assert asker.took == pytest.approx(ARRIVAL + PACE)

    def test_two_regions_that_have_to_wait_are_both_asked(self):
        world = World(A, FINAL[1], *[NO_CONNECTION] * 3, renew_timeout=10.0)
        world.read()
        world.gateways[0].answer = After(2.7, TIMED_OUT)
        asker = world.ask(REFRESH, seconds=9.0)
        assert not world.wait_for(asker)
        assert asker.took == pytest.approx(9.0 / 5)
        world.gateways[0].answer, world.gateways[1].answer = NO_CONNECTION, B
        began = len(world.log)

        # In its second second it asks three in vain; then the first one, which it found in progress, fails as well.
        assert world.renew(A, seconds=4.0).key == B
        assert world.log[began:] == ["r3", "r4", "r5", "r2"]

    def test_good_answers_are_not_paced(self):
        world = World(A)
        world.read()
        for _ in range(8):
            asker = world.ask(REFRESH)
            assert asker.result()
            assert asker.took == 0.0

    def test_good_answer_ends_it(self):
        world = World(NO_CONNECTION, NO_CONNECTION, A)
        world.read(seconds=1.0)
        world.gateways[2].answer = NO_CONNECTION
        world.refresh(seconds=1.0)

        assert world.log == ["r1", "r2", "r3", "r3", "r1", "r2"]
        assert world.begun[-1] == world.begun[0]

    def test_secrets_have_one_each(self):
        world = World(*[NO_CONNECTION] * 3)
        for name in (NAME, "other"):
            with pytest.raises(ClientException):
                world.read(seconds=1.0, name=name)

        assert len(world.log) == 6
        assert world.begun[-1] == world.begun[0]

    def test_does_not_keep_from_joining_a_request_in_progress(self):
        world = World(A, NEVER, NEVER)
        world.read()
        world.gateways[0].answer = NEVER
        world.refresh(seconds=0.9)

        renewal = world.renew(A, seconds=0.3)

        assert len(world.log) == 4
        assert all(region in str(renewal.error) for region in ("no answer within 0.3 s", "r1", "r2", "r3"))


class TestOneRequest:
    """Contract 7: each secret and gateway has one live request."""

    def test_hanging_request_is_not_followed_by_another_while_it_lives(self):
        world = World(A, renew_timeout=10.0)
        world.read()
        world.gateways[0].answer = NEVER
        for _ in range(3):
            world.refresh(seconds=3.0)

        assert len(world.log) == 2 + 2  # each lives for 4 s

    def test_hanging_request_is_waited_for_again_by_the_fetch_that_began_it(self, longest_jitter):
        world = World(After(7.0, A), THROTTLED)
        asker = world.ask(FIRST_READ, seconds=10.0, delays=(0.5, 1.0, 2.0))

        assert world.wait_for(asker) == A
        assert asker.took == 7.0
        assert world.log.count("r1") == 1

    def test_hanging_request_that_fails_in_a_later_attempt_is_followed_by_another(self, longest_jitter):
        world = World(After(7.0, TIMED_OUT), UNAVAILABLE)
        asker = world.ask(FIRST_READ, seconds=10.0, delays=(0.5, 1.0, 2.0))
        world.gateways[0].answer = B

        assert world.wait_for(asker) == B
        assert asker.took == 8.0

    def test_other_secrets_and_regions_have_their_own(self):
        world = World(NEVER, B)
        world.read()
        world.gateways[1].answer = NO_CONNECTION
        world.gateways[0].answer = C

        assert world.read(name="other") == C
        assert world.log == ["r1", "r2", "r2", "r1"]

    def test_who_finds_one_in_progress_asks_anew_when_it_has_ended(self):
        """It may have read before the rotation."""
        world = World(A, renew_timeout=7.0)
        world.read()
        world.gateways[0].answer = After(7.5, A)
        assert not world.refresh(seconds=7.0)
        world.gateways[0].answer = B
        asker = world.ask(RENEWAL, seconds=9.0, rejected=A)

        assert world.wait_for(asker).key == B
        assert asker.took == 0.5
        assert world.log == ["r1"] * 3
        assert world.gateways[0].seconds[1:] == [7.0, 8.5]

    @pytest.mark.parametrize("then", [NEVER, After(5.2, A)])
    def test_who_finds_one_in_progress_asks_the_next_region_after_a_second(self, then):
        """Whether or not that request ends meanwhile and another follows it."""
        world = World(A, FINAL[1], renew_timeout=10.0)
        world.read()
        world.gateways[0].answer = then
        asker = world.ask(REFRESH, seconds=9.0)
        assert not world.wait_for(asker)
        assert asker.took == 4.5
        world.gateways[0].answer = NEVER
        world.gateways[1].answer = B
        asker = world.ask(RENEWAL, rejected=A)

        assert world.wait_for(asker).key == B
        assert asker.took == 1.0

    def test_who_finds_one_in_progress_asks_anew_even_when_its_share_is_over(self):
        world = World(A, FINAL[1], renew_timeout=10.0)
        world.read()
        world.gateways[0].answer = After(6.0, A)
        asker = world.ask(REFRESH, seconds=9.0)
        assert not world.wait_for(asker)
        assert asker.took == 4.5
        world.gateways[0].answer, world.gateways[1].answer = B, NEVER
        asker = world.ask(RENEWAL, seconds=2.0, rejected=A)

        assert world.wait_for(asker).key == B
        assert asker.took == 1.5

    def test_who_finds_one_in_progress_asks_anew_even_when_that_is_given_up_after_its_share(self):
        world = World(A, FINAL[1], renew_timeout=10.0)
        world.read()
        world.gateways[0].answer = NEVER
        asker = world.ask(REFRESH, seconds=5.0)
        assert not world.wait_for(asker)
        assert asker.took == 2.5
        world.gateways[0].answer, world.gateways[1].answer = B, NEVER
        asker = world.ask(RENEWAL, seconds=4.0, rejected=A)

        assert world.wait_for(asker).key == B
        assert asker.took == 3.5

    def test_who_finds_one_in_progress_and_cannot_ask_anew_in_time_is_told_so_at_once(self, longest_jitter):
        world = hanging()
        world.refresh()
        asker = world.ask(REFRESH, 0.5)
        world.pass_time(0.1)
        world.end(world.requests[-1].number, REFUSED_IDENTITY)

        assert not asker.result()
        assert asker.took == pytest.approx(0.1)

    def test_request_of_an_earlier_fetch_is_no_answer_to_who_asks_later(self):
        world = World(A)
        world.read()
        world.gateways[0].answer = After(0.5, A)
        world.ask(REFRESH)
        asker = world.ask(RENEWAL, rejected=A)
        world.gateways[0].answer = B

        assert world.wait_for(asker).key == B
        assert world.log == ["r1"] * 3

    def test_is_forgotten_in_a_forked_child(self):
        world = World(A)
        world.read()
        world.gateways[0].answer = NEVER
        world.refresh()
        world.fork()
        world.gateways[0].answer = B

        assert world.renew(A).key == B
        world.handle(Ended(2, C))  # the parent sent it
        assert world.keys[NAME] == B


class TestTimeToLive:
    """Contract 7: a request that outlives the deadline of its fetch by a second is given up, whatever it does."""

    def test_is_given_up_a_second_after_the_deadline(self):
        world = World(NEVER)
        with pytest.raises(ClientException):
            world.read(seconds=4.0)
        world.pass_time(GRACE / 2)
        assert world.given_up == []
        world.pass_time(GRACE / 2)

        assert world.given_up == [1]

    def test_is_given_up_once(self):
        world = World(NEVER)
        with pytest.raises(ClientException):
            world.read(seconds=4.0)
        world.pass_time(100.0)

        assert world.given_up == [1]

    def test_one_that_ends_in_time_is_not(self):
        world = World(After(4.5, A))
        with pytest.raises(ClientException):
            world.read(seconds=4.0)
        world.pass_time(100.0)

        assert world.given_up == []

    def test_another_starts_then_for_who_waits(self):
        world = World(A, renew_timeout=3.0)
        world.read()
        world.gateways[0].answer = NEVER
        assert not world.refresh()
        world.gateways[0].answer = B
        asker = world.ask(RENEWAL, seconds=2.0, rejected=A)

        assert world.wait_for(asker).key == B
        assert asker.took == GRACE

    def test_calls_succeed_again_within_5_s_when_the_first_request_hangs_for_good(self):
        """One gateway; each call asks for 2 s at most, as ``renew_timeout`` has it."""
        world = World(A)
        world.read()
        began, gateway = world.monotonic, world.gateways[0]
        gateway.answer = NEVER
        assert world.renew(A).key is None
        gateway.answer = B
        while world.renew(A).key is None:
            world.pass_time(0.1)

        assert world.keys[NAME] == B
        assert world.monotonic - began <= 5.0

    def test_hanging_for_good_two_are_given_up_and_one_lives(self):
        world = hanging()
        for _ in range(20):
            world.refresh()
            world.pass_time(0.2)
            live = [number for number in world.under_way if number not in world.given_up]
            assert len(live) <= 1
            assert len(world.under_way) <= MOST_GIVEN_UP + 1

    def test_past_those_one_more_starts_every_30_s(self):
        world = hanging()
        del world.begun[:]
        until = world.monotonic + 120.0
        while world.monotonic < until:
            world.refresh()
            world.pass_time(1.2)

        assert min(world.pauses[MOST_GIVEN_UP:]) >= PATIENCE
        assert max(world.pauses) < PATIENCE + 5.0

    def test_one_of_those_that_ends_makes_room(self):
        world = hanging()
        give_up_too_many(world)
        assert not world.refresh()
        assert world.log == []
        world.end(2, TIMED_OUT)
        world.gateways[0].answer = B

        assert world.refresh()

    def test_others_are_asked_at_once_meanwhile(self):
        world = hanging(FINAL[1])
        give_up_too_many(world)
        world.gateways[1].answer = B
        asker = world.ask(RENEWAL, rejected=A)

        assert asker.result().key == B
        assert world.log == ["r2"]

    def test_it_is_asked_again_in_time_where_the_others_do_not_answer(self):
        world = hanging(FINAL[1])
        give_up_too_many(world)
        world.gateways[0].answer = B
        until = world.monotonic + PATIENCE + LONGEST_COOL_DOWN
        while world.renew(A).key is None:
            world.pass_time(1.0)

        assert world.monotonic < until

    def test_who_has_not_the_time_to_wait_for_that_is_told_so(self):
        world = hanging()
        give_up_too_many(world)
        renewal = world.renew(A)

        assert re.search(r"failed or hang, and Gateway\(r1\) may be asked in \d+.\d s only", str(renewal.error))

    def test_where_the_last_of_those_is_given_up_the_next_gateway_is_asked_at_once(self, longest_jitter):
        world = hanging(NO_CONNECTION)
        give_up_all_but_the_last(world)
        world.gateways[1].answer = B
        asker = world.ask(REFRESH, 2.0)

        assert world.wait_for(asker)
        assert asker.took == pytest.approx(0.1)

    def test_where_the_last_of_those_is_given_up_a_fetch_without_another_gateway_is_over(self, longest_jitter):
        world = hanging()
        give_up_all_but_the_last(world)
        asker = world.ask(REFRESH, 2.0)

        assert not world.wait_for(asker)
        assert asker.took == pytest.approx(0.1)

    def test_other_gateways_have_their_own(self):
        world = hanging(NEVER)
        for _ in range(5):
            assert not world.refresh()
            world.pass_time(1.2)

        assert world.log.count("r1") - 1 == world.log.count("r2") == MOST_GIVEN_UP + 1

    def test_answer_of_one_that_was_given_up_is_used(self):
        world = World(NEVER)
        with pytest.raises(ClientException):
            world.read(seconds=2.0)
        world.pass_time(10.0)
        world.end(1, A)

        assert world.keys[NAME] == A

    def test_answer_of_one_that_was_given_up_is_not_used_against_a_newer_one(self):
        world = World(NEVER)
        with pytest.raises(ClientException):
            world.read(seconds=2.0)
        world.pass_time(10.0)
        world.gateways[0].answer = B
        assert world.read() == B
        world.end(1, A)

        assert world.keys[NAME] == B

    def test_error_of_one_that_was_given_up_fails_nobody(self):
        world = World(NEVER)
        with pytest.raises(ClientException):
            world.read(seconds=2.0)
        world.pass_time(10.0)
        world.gateways[0].answer = After(0.5, B)
        asker = world.ask(FIRST_READ)
        world.end(1, FINAL[0])

        assert world.wait_for(asker) == B


class TestLateAnswers:
    """Contract 8: the answer to the request that started later is the newer one."""

    def test_is_stored(self):
        world = World(NEVER)
        with pytest.raises(ClientException):
            world.read()
        world.end(1, A)

        assert world.keys[NAME] == A
        assert [tell.key for tell in world.told] == [A]

    def test_of_a_region_that_was_overtaken_is_the_older_one(self):
        world = World(NEVER, B)
        world.read()
        world.end(1, A)

        assert world.keys[NAME] == B

    def test_of_a_region_that_was_asked_later_is_the_newer_one(self):
        world = World(After(1.5, A), NEVER)
        assert world.read() == A
        world.end(2, B)

        assert world.keys[NAME] == B

    def test_that_comes_together_with_the_one_that_won_is_not_lost(self):
        world = World(After(1.5, A), After(0.5, B))
        world.read()

        assert world.keys[NAME] == B

    def test_error_that_comes_late_fails_nobody(self):
        world = hanging()
        assert not world.refresh()
        world.end(2, NO_CONNECTION)
        world.gateways[0].answer = B

        assert world.refresh()
        assert world.keys[NAME] == B

    def test_answers_who_waits_for_a_key_other_than_the_rejected_one(self):
        world = World(A)
        world.read()
        world.gateways[0].answer = NEVER
        world.refresh()
        asker = world.ask(RENEWAL, rejected=A)
        world.end(2, B)

        assert asker.result().key == B

    @pytest.mark.parametrize("purpose", [FIRST_READ, RENEWAL])
    def test_ends_the_fetch_that_asks_for_any_key_or_another(self, purpose):
        """Otherwise a caller whose service rejects that key waits for a fetch that nobody needs."""
        world = World(NEVER, NEVER)
        with pytest.raises(ClientException):
            world.read(seconds=3.0)
        world.pass_time(0.5)
        asker = world.ask(purpose, seconds=10.0, rejected=A if purpose == RENEWAL else None)
        world.end(1, B)
        assert asker.answers
        world.gateways[0].answer = C

        assert world.ask(RENEWAL, rejected=B).result().key == C
        assert world.log == ["r1", "r2", "r1"]

    def test_older_than_the_one_that_was_stored_ends_no_fetch(self, longest_jitter):
        """It says nothing new, so the fetch goes on."""
        world = hanging()
        assert not world.refresh()
        world.gateways[0].answer = A
        assert world.refresh()
        world.close()
        world.pass_time(3700.0)
        world.gateways[0].answer = NEVER
        world.ask(FIRST_READ, seconds=10.0)
        assert world.read(seconds=1.0) is A  # the old key, since it cannot be read in time
        fetches = world.keeper.stats(world.now)[NAME].fetches
        world.end(2, A)

        assert world.keeper.stats(world.now)[NAME].fetches == fetches

    def test_number_of_a_request_grows(self):
        world = World(A)
        world.read()
        world.refresh()

        assert world.requests[0].number < world.requests[1].number
