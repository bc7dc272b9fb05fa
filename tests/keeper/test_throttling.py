"""What the keeper does where Secrets Manager throttles: it slows down, and reads as soon as the quota allows."""

import pytest
from aliyunsdkcore.acs_exception.exceptions import ServerException

from aliyun_sdk_secretsmanager_common_plugin import AccessKey
from aliyun_sdk_secretsmanager_common_plugin.keeper import FIRST_READ, RENEWAL
from aliyun_sdk_secretsmanager_common_plugin.keeper.timing import FIRST_THROTTLED_PAUSE

from .world import NEVER, NO_CONNECTION, THROTTLED, After, World

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


def test_other_secrets_wait_and_then_one_of_them_tries_first():
    world = World(THROTTLED)
    askers = [world.ask(FIRST_READ, name=NAMES[0])]
    askers += [world.ask(FIRST_READ, name=name) for name in NAMES[1:]]
    assert len(world.requests) == 1

    world.gateways[0].answer = NEVER
    world.pass_time(FIRST_THROTTLED_PAUSE)
    assert len(world.requests) == 2

    world.gateways[0].answer = A
    world.end(world.requests[-1].number, A)
    for asker in askers:
        assert world.wait_for(asker) == A
        assert asker.took <= 2 * FIRST_THROTTLED_PAUSE


def test_one_that_hangs_when_it_tries_keeps_the_others_for_no_longer_than_a_pause():
    world = World(THROTTLED)
    world.ask(FIRST_READ, name=NAMES[0])
    askers = [world.ask(FIRST_READ, name=name) for name in NAMES[1:]]

    world.gateways[0].answer = NEVER
    world.pass_time(FIRST_THROTTLED_PAUSE * (len(askers) + 1))

    assert {request.name for request in world.requests} == set(NAMES)


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

    assert world.log[1:] == ["r1", "r2"] + ["r2"] * (len(NAMES) - 1)


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
    # In a second at most those that were under way when the quota was used up, and then one for each pause.
    assert quota.refused < 16 * 1000 / 40
