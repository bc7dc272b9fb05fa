"""What the keeper does where Secrets Manager throttles: it slows down, and reads as soon as the quota allows."""

import random

import pytest
from aliyunsdkcore.acs_exception.exceptions import ClientException, ServerException

from aliyun_sdk_secretsmanager_common_plugin import AccessKey
from aliyun_sdk_secretsmanager_common_plugin.keeper import FIRST_READ, RENEWAL
from aliyun_sdk_secretsmanager_common_plugin.keeper.timing import FIRST_THROTTLED_PAUSE

from .world import FINAL, NAME, NEVER, NO_CONNECTION, THROTTLED, After, World

A, B = AccessKey("LTAI-a", "secret"), AccessKey("LTAI-b", "secret")
NAMES = ["app/{}".format(number) for number in range(6)]


class Quota:
    """A gateway's answer: so many reads in each second of the clock."""

    def __init__(self, reads):
        self._reads = reads
        self._second = None
        self.refused = 0

    def __call__(self, world):
        second = int(world.monotonic)
        if second != self._second:
            self._second, self._left = second, self._reads
        self._left -= 1
        self.refused += self._left < 0
        return A if self._left >= 0 else THROTTLED


@pytest.mark.parametrize("error", [THROTTLED, ServerException("TooManyRequests", "too many", 429)], ids=["code", "429"])
def test_first_read_goes_on_until_the_quota_allows_however_few_attempts_it_has(error):
    world = World(error)
    asker = world.ask(FIRST_READ, seconds=10.0)
    world.pass_time(5.0)
    world.gateways[0].answer = A

    assert world.wait_for(asker) == A
    assert asker.took < 10.0


def test_first_read_that_is_throttled_to_the_end_says_so():
    world = World(THROTTLED)
    asker = world.ask(FIRST_READ, seconds=3.0)

    with pytest.raises(ServerException, match="Rejected.Throttling"):
        world.wait_for(asker)


def test_others_wait_in_line_and_the_first_of_them_tries():
    world = World(THROTTLED)
    for name in ["z"] + NAMES:
        world.ask(FIRST_READ, name=name)
    assert [request.name for request in world.requests] == ["z"]

    world.gateways[0].answer = NEVER
    world.pass_time(FIRST_THROTTLED_PAUSE)
    assert [request.name for request in world.requests] == ["z", "z"]


def test_with_each_answer_of_secrets_manager_two_go_on():
    world = World(THROTTLED)
    askers = [world.ask(FIRST_READ, name=name) for name in NAMES]
    world.gateways[0].answer = After(0.01, A)
    sizes = []
    while not all(asker.answers for asker in askers):
        world.pass_time(0.01)
        sizes += [len(world.under_way)] if world.under_way else []

    assert sizes == [1, 2, 3]  # of six: one tries, then two, then the other three
    assert all(asker.took < 2 * FIRST_THROTTLED_PAUSE for asker in askers)


def test_refusal_is_an_answer_and_the_others_are_told_theirs():
    world = World(THROTTLED)
    askers = [world.ask(FIRST_READ, name=name) for name in NAMES]
    world.gateways[0].answer = FINAL[0]

    for asker in askers:
        with pytest.raises(ServerException, match="Forbidden.KMS"):
            world.wait_for(asker)
        assert asker.took < 2 * FIRST_THROTTLED_PAUSE


def test_pause_doubles_while_whoever_tries_is_throttled(longest_jitter):
    world = World(THROTTLED)
    for name in NAMES:
        world.ask(FIRST_READ, seconds=20.0, name=name)
    world.pass_time(14.0)

    assert world.pauses == [0.25, 0.5, 1.0, 2.0, 4.0, 4.0]


def test_one_that_hangs_when_it_tries_keeps_the_others_for_no_longer_than_a_pause():
    world = World(THROTTLED)
    for name in NAMES:
        world.ask(FIRST_READ, name=name)

    world.gateways[0].answer = NEVER
    world.pass_time(FIRST_THROTTLED_PAUSE * (len(NAMES) + 1))

    assert {request.name for request in world.requests} == set(NAMES)


def test_who_leaves_early_is_told_of_the_throttling():
    world = World(THROTTLED)
    world.ask(FIRST_READ, name=NAMES[0])
    short = world.ask(FIRST_READ, seconds=0.1, name=NAMES[0])

    with pytest.raises(ServerException, match="Rejected.Throttling"):
        world.wait_for(short)


def test_answer_from_elsewhere_lets_the_next_one_try(longest_jitter):
    world = World(NEVER)
    world.ask(FIRST_READ, seconds=0.1, name=NAMES[0])
    world.pass_time(0.7)
    late = world.requests[0].number
    world.gateways[0].answer = THROTTLED
    world.ask(FIRST_READ, name=NAMES[1])
    first, second = (world.ask(FIRST_READ, name=name) for name in (NAMES[0], NAMES[2]))
    world.gateways[0].answer = A

    world.end(late, A)

    assert world.wait_for(first) == world.wait_for(second) == A
    assert second.took <= FIRST_THROTTLED_PAUSE


def test_child_of_a_fork_asks_at_once():
    world = World(THROTTLED)
    world.ask(FIRST_READ, seconds=60.0, name=NAMES[0])
    world.pass_time(10.0)

    world.fork()
    world.gateways[0].answer = A

    assert world.wait_for(world.ask(FIRST_READ, name=NAMES[1])) == A


@pytest.mark.parametrize("regions", [1, 2])
def test_programs_own_store_is_asked_when_the_time_is_over(regions):
    world = World(*[THROTTLED] * regions, can_recover=True)
    world.kept[NAME] = A, 1600000000.0
    asker = world.ask(FIRST_READ, seconds=10.0)

    assert world.wait_for(asker) == A
    assert len(world.recoveries) == 1


def test_renewal_without_a_key_is_not_repeated():
    world = World(THROTTLED)

    renewal = world.renew(A)

    assert isinstance(renewal.error, ServerException)
    assert len(world.requests) == 1


@pytest.mark.parametrize("seed", range(20))
def test_attempt_that_joins_requests_of_a_former_fetch_ends(seed):
    random.seed(seed)
    world = World(NEVER, NEVER)
    world.ask(FIRST_READ, 0.5)
    world.pass_time(1.0)
    asker = world.ask(FIRST_READ, 0.75)
    world.pass_time(0.38)
    for gateway in world.gateways:
        gateway.answer = THROTTLED

    world.end(1, THROTTLED)
    world.pass_time(0.1)
    world.end(2, THROTTLED)

    with pytest.raises((ServerException, ClientException)):
        world.wait_for(asker)
    assert asker.took <= 0.75


def test_secret_that_had_no_turn_before_its_deadline_was_throttled_too():
    world = World(THROTTLED)
    world.ask(FIRST_READ, name=NAMES[0])
    late = world.ask(FIRST_READ, seconds=FIRST_THROTTLED_PAUSE / 4, name=NAMES[1])

    with pytest.raises(ServerException, match="Rejected.Throttling"):
        world.wait_for(late)
    assert len(world.requests) == 1


def test_renewal_does_not_wait_since_a_call_waits_for_it():
    world = World(A)
    world.read(name=NAMES[0])
    world.gateways[0].answer = THROTTLED
    world.ask(FIRST_READ, name=NAMES[1])
    world.gateways[0].answer = B

    asker = world.ask(RENEWAL, name=NAMES[0], rejected=A)

    assert world.wait_for(asker).key == B
    assert asker.took == 0.0


def test_key_that_is_held_is_not_asked_for_again_at_once_when_its_refresh_was_throttled():
    world = World(A)
    world.read()
    world.gateways[0].answer = THROTTLED
    world.refresh()
    asked = len(world.requests)

    world.pass_time(10.0)

    assert len(world.requests) == asked


def test_while_one_region_throttles_the_others_are_asked_at_once():
    world = World(A, After(1.0, A))
    world.read(name="other")
    world.gateways[0].answer = THROTTLED

    for name in NAMES:
        world.ask(FIRST_READ, name=name)

    assert world.log[1:] == ["r1", "r2"] * len(NAMES)


def test_while_all_regions_throttle_each_is_tried():
    world = World(THROTTLED, THROTTLED)
    asker = world.ask(FIRST_READ, name=NAMES[0])
    world.pass_time(5.0)

    assert world.log.count("r1") > 2 < world.log.count("r2")
    world.gateways[1].answer = A
    assert world.wait_for(asker) == A


def test_other_errors_make_nobody_wait():
    world = World(NO_CONNECTION)
    for name in NAMES:
        world.ask(FIRST_READ, name=name)

    assert len(world.requests) == len(NAMES)


def test_many_secrets_are_read_as_fast_as_the_quota_allows_and_none_fails():
    world, quota, names = World(A), Quota(40), ["app/{}".format(number) for number in range(1000)]
    world.gateways[0].answer = lambda request: quota(world)
    began = world.monotonic

    world.wait_for(world.preload(names, until=100.0))

    stats = world.keeper.stats(world.now)
    assert sorted(stats) == sorted(names)
    assert not any(each.failures for each in stats.values())
    assert world.monotonic - began < 1.3 * 1000 / 40
    assert quota.refused < 1000 / 3
