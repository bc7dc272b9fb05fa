"""Contract 3: after a renewal that brought no newer key, Secrets Manager is not asked for a while."""

import random

import pytest
from aliyunsdkcore.acs_exception.exceptions import ServerException

from aliyun_sdk_secretsmanager_common_plugin.keeper import RENEWAL

from ..common.fakes import key
from .world import NAME, NEVER, NO_CONNECTION, World, timing_out

A, B, C = key("A"), key("B"), key("C")
FORBIDDEN = ServerException("Forbidden.KMS", "not allowed", 403, "request-1")
DELAYS = [0.5, 1.0, 2.0, 4.0, 5.0, 5.0, 5.0]


@pytest.fixture
def world():
    world = World(A)
    world.read()
    return world


@pytest.fixture(params=["nothing newer", "failed"])
def fruitless(request, world):
    """A renewal brings no newer key: it brings the same key, or an error."""
    world.gateways[0].answer = A if request.param == "nothing newer" else FORBIDDEN
    return world


def cool_downs(world, delays, tick=0.001):
    """Check that renewals are answered None at once for each of ``delays`` after a fetch, and then fetch again."""
    for delay in delays:
        asked = len(world.requests)
        assert world.renew(A).key is None
        assert len(world.requests) == asked + 1, "no fetch when the former cool-down was over"
        assert world.renew(A).key is None
        world.pass_time(delay - tick)
        again = world.ask(RENEWAL, 2.0, rejected=A)
        assert again.result().key is None
        assert world.keeper.renewal(NAME, A, world.now) is not None
        assert len(world.requests) == asked + 1, "a fetch in the cool-down of {} s".format(delay)
        world.pass_time(2 * tick)


class TestLength:
    def test_doubles_from_half_a_second_to_five(self, fruitless, longest_jitter):
        cool_downs(fruitless, DELAYS)

    def test_is_half_as_long_at_least(self, fruitless, shortest_jitter):
        cool_downs(fruitless, [delay / 2 for delay in DELAYS])

    def test_jitter_is_drawn_evenly_between_half_and_all(self, fruitless, monkeypatch):
        drawn = []
        monkeypatch.setattr(random, "uniform", lambda low, high: drawn.append((low, high)) or low)
        fruitless.gateways[0].answer = NEVER
        asker = fruitless.ask(RENEWAL, 2.0, rejected=A)
        del drawn[:]
        fruitless.end(fruitless.requests[-1].number, FORBIDDEN)

        assert asker.answers
        assert drawn[-1] == (0, 0.25)

    def test_after_a_slow_failure_ends_so_that_calls_succeed_within_six_seconds(self, world, longest_jitter):
        """The fetch hung until its deadline. Secrets Manager may have come back just after it was asked."""
        world.gateways[0].answer = timing_out
        starts = []
        while len(starts) < 8:
            asked = len(world.requests)
            assert world.renew(A, 2.0).key is None
            starts += world.begun[asked:]
            world.pass_time(0.01)

        gaps = [later - earlier for earlier, later in zip(starts, starts[1:])]
        assert max(gaps) < 6 - 0.4
        assert gaps[0] == pytest.approx(2.5, abs=0.02)


class TestWhileItLasts:
    def test_is_one_secrets_own(self, fruitless):
        fruitless.renew(A)
        fruitless.gateways[0].answer = B

        assert fruitless.renew(A, name="other").key is B

    def test_repeats_the_error(self, world):
        world.gateways[0].answer = FORBIDDEN
        world.renew(A)

        renewal = world.renew(A)

        assert (renewal.key, str(renewal.error)) == (None, str(FORBIDDEN))
        assert len(world.requests) == 2

    def test_holds_back_no_key_that_came_meanwhile(self, fruitless):
        fruitless.gateways[0].answer = NEVER
        assert fruitless.renew(A).key is None
        fruitless.end(fruitless.requests[-1].number, B)

        assert fruitless.renew(A).key is B

    def test_readers_have_the_key(self, fruitless):
        fruitless.renew(A)

        assert fruitless.keys == {NAME: A}


class TestEnd:
    def test_new_key_clears_it(self, fruitless, longest_jitter):
        cool_downs(fruitless, DELAYS[:3])
        fruitless.gateways[0].answer = NEVER
        fruitless.renew(A)  # brings nothing: another cool-down begins
        asked = len(fruitless.requests)

        fruitless.end(fruitless.requests[-1].number, B)
        fruitless.gateways[0].answer = C

        assert fruitless.renew(B).key is C
        assert len(fruitless.requests) == asked + 1

    def test_new_key_makes_the_next_one_short(self, fruitless, longest_jitter):
        cool_downs(fruitless, DELAYS[:4])
        answer = fruitless.gateways[0].answer
        fruitless.gateways[0].answer = B
        assert fruitless.renew(A).key is B
        fruitless.gateways[0].answer = A
        assert fruitless.renew(B).key is A
        fruitless.gateways[0].answer = answer

        cool_downs(fruitless, DELAYS[:4])

    def test_successful_refresh_clears_it(self, fruitless, longest_jitter):
        answer = fruitless.gateways[0].answer
        cool_downs(fruitless, DELAYS[:4])
        fruitless.renew(A)
        fruitless.gateways[0].answer = A

        assert fruitless.refresh()

        fruitless.gateways[0].answer = answer
        cool_downs(fruitless, DELAYS[:4])

    def test_failed_refresh_does_not_clear_it(self, fruitless):
        fruitless.renew(A)
        fruitless.gateways[0].answer = NO_CONNECTION
        fruitless.refresh()
        fruitless.gateways[0].answer = B

        assert fruitless.renew(A).key is None

    def test_failed_refresh_starts_none(self, world):
        world.gateways[0].answer = NO_CONNECTION
        world.refresh()
        world.gateways[0].answer = B

        assert world.renew(A).key is B


class TestAcceptedCalls:
    """One service rejects a key that another accepts. That costs one fetch each cool-down, and no more."""

    def test_end_the_doubling_and_not_the_cool_down(self, fruitless, longest_jitter):
        cool_downs(fruitless, DELAYS[:3])
        asked = len(fruitless.requests)
        fruitless.renew(A)

        fruitless.accept(A)
        fruitless.pass_time(DELAYS[3] - 0.01)
        fruitless.renew(A)
        assert len(fruitless.requests) == asked + 1
        fruitless.pass_time(0.02)

        cool_downs(fruitless, DELAYS[:3])

    def test_with_a_former_key_change_nothing(self, fruitless, longest_jitter):
        cool_downs(fruitless, DELAYS[:2])
        fruitless.accept(C)

        cool_downs(fruitless, DELAYS[2:4])

    def test_of_a_secret_that_nobody_read_change_nothing(self, world):
        world.accept(A, name="never read")

        assert world.known_names() == [NAME]

    def test_are_asked_for_while_they_matter(self, fruitless):
        fruitless.accept(A)
        assert fruitless.heeded == set()
        fruitless.renew(A)
        assert fruitless.heeded == {NAME}

        fruitless.accept(A)

        assert fruitless.heeded == set()

    def test_are_asked_for_no_longer_once_a_refresh_has_ended_the_cool_down(self, world):
        world.accept(A)
        world.renew(A)
        assert world.heeded == {NAME}

        assert world.refresh()

        assert world.heeded == set()

    def test_beside_refused_ones_cost_few_reads(self, fruitless):
        """At most one fetch each cool-down, and no more than contract 15 allows."""
        asked = len(fruitless.requests)
        for _ in range(300):
            fruitless.renew(A)
            fruitless.accept(A)
            fruitless.pass_time(0.1)

        reads = fruitless.begun[asked:]
        assert 20 <= len(reads) <= 31
        assert min(later - earlier for earlier, later in zip(reads, reads[1:])) >= 0.25
