"""Contract 6: while somebody signs who does not renew, the secret is refreshed in addition to its schedule."""

import pytest

from ..common.fakes import key
from .world import NAME, NEVER, NO_CONNECTION, THROTTLED, World

A, B = key("A"), key("B")
INTERVAL = 60.0


@pytest.fixture
def world():
    world = World(A)
    world.lease()
    world.read()
    return world


def sign_for(world, seconds, each=1.0):
    """Sign again and again."""
    until = world.monotonic + seconds
    while world.monotonic < until:
        world.sign()
        world.pass_time(each)


def due_in(world):
    return world.keeper.stats(world.now)[NAME].next_refresh


def gaps(world):
    """Return the seconds between the requests."""
    return [later - earlier for earlier, later in zip(world.begun, world.begun[1:])]


class TestSigning:
    def test_at_the_very_moment_is_followed_by_a_read(self, world, longest_jitter):
        world.pass_time(1.0)
        world.sign()
        moment = world.signed_from[NAME]
        asked = len(world.requests)
        world.pass_time(moment - world.monotonic)
        assert world.monotonic == moment
        world.sign()

        assert len(world.requests) == asked + 1

    def test_is_followed_by_a_read_each_interval(self, world):
        sign_for(world, 10 * INTERVAL)

        assert 8 <= len(gaps(world)) <= 10
        assert min(gaps(world)) >= INTERVAL

    def test_spreads_the_reads_of_a_fleet(self):
        worlds = [World(A) for _ in range(20)]
        for world in worlds:
            world.lease()
            world.read()
            sign_for(world, 1.2 * INTERVAL, 0.1)

        assert len({gaps(world)[0] for world in worlds}) > 10

    def test_brings_the_new_key(self, world):
        sign_for(world, 10)
        world.gateways[0].answer = B

        sign_for(world, 1.2 * INTERVAL)

        assert world.keys[NAME] == B

    def test_that_stopped_costs_no_read(self, world):
        sign_for(world, 10)

        world.pass_time(20 * INTERVAL)

        assert len(world.requests) == 1

    def test_after_a_pause_is_followed_by_one_read_at_once(self, world):
        sign_for(world, 10)
        world.pass_time(10 * INTERVAL)

        sign_for(world, 10)

        assert len(world.requests) == 2

    def test_begins_with_a_read_where_the_key_is_older(self, world):
        world.pass_time(10 * INTERVAL)

        world.sign()
        world.pass_time(1)

        assert len(world.requests) == 2

    def test_tells_the_keeper_once_an_interval(self, world):
        world.sign()

        assert world.signed_from[NAME] >= world.monotonic + INTERVAL

    def test_counts_any_other_read(self, world):
        sign_for(world, 0.9 * INTERVAL)
        world.renew(A)
        read = world.monotonic

        sign_for(world, 0.9 * INTERVAL)

        assert world.begun[-1] <= read

    def test_of_a_secret_that_nobody_holds_is_followed_by_nothing(self, world):
        world.close()
        world.pass_time(10 * INTERVAL)

        world.sign()
        world.pass_time(1)

        assert len(world.requests) == 1

    def test_of_an_unknown_secret_is_followed_by_nothing(self, world):
        world.sign("unknown")
        world.pass_time(1)

        assert world.known_names() == [NAME]

    def test_in_a_forked_child_goes_on(self, world):
        sign_for(world, 10)
        world.fork()
        world.read()

        sign_for(world, 1.2 * INTERVAL)

        assert len(world.requests) == 2

    def test_where_the_interval_is_longer_than_that_of_refreshes_changes_nothing(self, longest_jitter):
        world = World(A, provider_refresh_interval=10 * 3600.0)
        world.lease()
        world.read()

        sign_for(world, 2.5 * 3600.0, 60)

        assert [round(gap) for gap in gaps(world)] == [3600, 3600]

    def test_in_ten_thousand_secrets_asks_few_at_a_time(self):
        world = World(A)
        names = [str(number) for number in range(200)]
        for name in names:
            world.lease(name)
            world.read(name=name)
        world.gateways[0].answer = NEVER
        world.pass_time(1.2 * INTERVAL)

        for name in names:
            world.sign(name)

        assert len(world.requests) == 204


class TestReadThatFails:
    def test_leaves_the_schedule_as_it_was(self, world, longest_jitter):
        world.gateways[0].answer = NO_CONNECTION

        sign_for(world, 3 * INTERVAL)

        assert due_in(world) > 3000
        assert all(gap >= INTERVAL for gap in gaps(world))
        assert world.keys[NAME] == A

    def test_at_last_gives_way_to_the_schedule(self, world):
        world.gateways[0].answer = NO_CONNECTION

        sign_for(world, 2 * 3600.0, 10)
        world.gateways[0].answer = B
        sign_for(world, 400, 10)

        assert world.keys[NAME] == B

    def test_by_throttling_doubles_the_interval_up_to_that_of_refreshes(self, longest_jitter):
        world = World(A, refresh_interval=100 * 3600.0)
        world.lease()
        world.read()
        world.gateways[0].answer = THROTTLED

        sign_for(world, 20 * INTERVAL)

        for gap, doubled in zip(gaps(world), (1, 2, 4, 8)):
            assert gap == pytest.approx(1.1 * doubled * INTERVAL, abs=4)

    def test_by_throttling_is_doubled_no_further_than_the_interval_of_refreshes(self, longest_jitter):
        world = World(A, refresh_interval=300.0)
        world.lease()
        world.read()
        world.gateways[0].answer = THROTTLED

        sign_for(world, 200 * INTERVAL)

        assert max(gaps(world)) <= 1.1 * 300 + 4

    def test_by_throttling_ends_with_a_good_answer(self, world, longest_jitter):
        world.gateways[0].answer = THROTTLED
        sign_for(world, 4 * INTERVAL)
        world.gateways[0].answer = A
        sign_for(world, 5 * INTERVAL)
        begun = len(world.begun)

        sign_for(world, 5 * INTERVAL)

        assert len(world.begun) - begun >= 4

    def test_does_not_hurry_the_attempts_of_a_schedule_that_fails(self, world):
        world.gateways[0].answer = NO_CONNECTION
        world.refresh()
        for _ in range(5):
            world.pass_time(60)
        begun = len(world.begun)
        retry = due_in(world)

        world.sign()
        world.pass_time(min(retry, 30) / 2)

        assert len(world.begun) == begun
