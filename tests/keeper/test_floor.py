"""Contract 15: at most 10 reads that lead nowhere begin in any 10 s, whatever other rule allows more."""

import pytest
from aliyunsdkcore.acs_exception.exceptions import ServerException

from aliyun_sdk_secretsmanager_common_plugin.keeper import FIRST_READ, REFRESH, RENEWAL

from ..common.fakes import key
from .world import NAME, NEVER, NO_CONNECTION, World

A, B, C = key("A"), key("B"), key("C")
FORBIDDEN = ServerException("Forbidden.KMS", "not allowed", 403, "request-1")
INTERVAL = 3600.0


def rotating():
    """A gateway's answers: a new key each time."""
    numbers = iter(range(10 ** 6))
    return lambda request: key(str(next(numbers)))


def most_in_ten_seconds(moments):
    """Return the largest number of moments within any 10 s; ``moments`` are in order."""
    return max(sum(1 for each in moments if begin <= each < begin + 10.0) for begin in moments)


@pytest.fixture
def world():
    world = World(A)
    world.read()
    world.accept(A)
    return world


def renew_until_held_back(world):
    """Reject each key as soon as it comes, until no new one comes; return how many reads that took."""
    asked = len(world.requests)
    while world.renew(world.keys[NAME]).key is not None:
        assert len(world.requests) - asked < 100
    return len(world.requests) - asked


class TestFloor:
    def test_keys_that_no_service_accepts_are_read_ten_times(self, world):
        world.gateways[0].answer = rotating()

        assert renew_until_held_back(world) == 10

    def test_read_may_begin_when_the_first_of_ten_is_ten_seconds_ago(self, world):
        world.gateways[0].answer = rotating()
        renew_until_held_back(world)
        world.pass_time(9.99)
        assert world.renew(world.keys[NAME]).key is None

        world.pass_time(0.02)

        assert world.renew(world.keys[NAME]).key is not None

    def test_holds_for_any_ten_seconds(self, world):
        world.gateways[0].answer = rotating()
        asked = len(world.requests)
        for _ in range(600):
            world.renew(world.keys[NAME])
            world.pass_time(0.1)

        reads = world.begun[asked:]
        assert len(reads) >= 60
        assert most_in_ten_seconds(reads) == 10

    def test_two_dead_keys_that_take_turns_count(self, world):
        flips = iter(range(10 ** 6))
        world.gateways[0].answer = lambda request: (B, A)[next(flips) % 2]

        assert renew_until_held_back(world) == 10

    def test_one_read_counts_once_however_many_gateways_it_asks(self):
        """Each time the first gateway fails, and the second one answers."""
        numbers = iter(range(10 ** 6))

        def answer(request):
            return NO_CONNECTION if request.number % 2 else key(str(next(numbers)))

        world = World(answer, answer)
        world.read()
        world.accept(world.keys[NAME])

        assert renew_until_held_back(world) == 20
        assert world.keeper.stats(world.now)[NAME].fetches == 11

    def test_failed_reads_count(self, world):
        world.gateways[0].answer = FORBIDDEN
        asked = len(world.requests)
        for _ in range(600):
            world.renew(A)
            world.accept(A)  # so that the cool-down stays short
            world.pass_time(0.1)

        reads = world.begun[asked:]
        assert most_in_ten_seconds(reads) == 10

    def test_is_of_each_secret(self, world):
        world.gateways[0].answer = rotating()
        renew_until_held_back(world)

        assert world.read(name="other") is not None
        assert world.renew(world.keys["other"], name="other").key is not None


class TestRealRotations:
    def test_do_not_count_once_a_service_accepts_the_key(self, world):
        world.gateways[0].answer = rotating()
        for _ in range(100):
            assert world.renew(world.keys[NAME]).key is not None
            world.accept(world.keys[NAME])

        assert len(world.requests) == 101

    def test_do_not_count_though_the_next_one_has_come_when_the_service_says_so(self, world):
        """Calls overlap: one is accepted just when another has renewed the key."""
        world.gateways[0].answer = rotating()
        for _ in range(100):
            former = world.keys[NAME]
            assert world.renew(former).key is not None
            world.accept(former)

        assert len(world.requests) == 101

    def test_do_not_count_from_when_the_read_began_that_brought_the_key(self, world):
        """It is not the last read, if the answer came late."""
        world.gateways[0].answer = NEVER
        renewal = world.ask(RENEWAL, 2.0, rejected=A)
        world.wait_for(renewal)
        late = world.requests[-1].number
        refresh = world.ask(REFRESH, 2.0)
        world.end(late, B)
        world.accept(B)
        world.end(world.requests[-1].number, B)
        assert refresh.result()
        world.gateways[0].answer = B
        world.pass_time(8.1)  # since the renewal began ten seconds and more, since the refresh began less

        assert sum(world.refresh() for _ in range(20)) == 9

    def test_of_keys_that_the_process_had_before_count(self, world):
        """A rollback brings a key that is not new."""
        flips = iter(range(10 ** 6))
        world.gateways[0].answer = lambda request: (B, A)[next(flips) % 2]
        reads = 0
        while world.renew(world.keys[NAME]).key is not None:
            world.accept(world.keys[NAME])
            reads += 1
            assert reads < 100

        assert reads == 11  # B was new once

    def test_key_that_a_service_accepted_is_heeded_no_longer(self, world):
        world.gateways[0].answer = B
        world.renew(A)
        assert world.heeded == {NAME}

        world.accept(B)

        assert world.heeded == set()


class TestWhoIsHeldBack:
    @pytest.fixture
    def floored(self, world):
        world.gateways[0].answer = rotating()
        renew_until_held_back(world)
        return world

    def test_renews_without_an_error_and_learns_the_age_of_the_key(self, floored):
        floored.pass_time(1.0)
        asker = floored.ask(RENEWAL, 2.0, rejected=floored.keys[NAME])

        renewal = asker.result()

        assert (renewal.key, renewal.error) == (None, None)
        assert renewal.age == pytest.approx(1.0)

    def test_has_the_key_that_is_held_where_another_was_refused(self, floored):
        assert floored.renew(A).key is floored.keys[NAME]

    def test_reads_a_key_that_is_held(self, floored):
        assert floored.ask(FIRST_READ).result() is floored.keys[NAME]

    def test_refreshes_not_and_keeps_the_key(self, floored):
        asked = len(floored.requests)

        assert floored.refresh() is False
        assert len(floored.requests) == asked
        assert NAME in floored.keys

    def test_refresh_follows_when_the_floor_allows_it(self, floored, longest_jitter):
        asked = len(floored.requests)
        floored.refresh()
        floored.pass_time(9.9)
        assert len(floored.requests) == asked
        floored.pass_time(0.2)

        assert len(floored.requests) == asked + 1

    def test_new_client_has_the_key_though_it_is_old(self):
        world = World(A, refresh_interval=1.0)
        for _ in range(10):
            client = world.lease()
            assert world.read() is A
            world.release(client)
            world.pass_time(0.5)
            client = world.lease()
            world.release(client)
            world.pass_time(0.5)
        world.gateways[0].answer = NO_CONNECTION
        asked = len(world.requests)

        world.lease()
        reader = world.ask(FIRST_READ)

        assert reader.result() is A
        assert len(world.requests) - asked <= 1

    def test_clients_that_come_and_go_with_a_short_interval_never_fail(self):
        """With 20 renewals a second beside them."""
        world = World(rotating(), refresh_interval=1.0)
        for _ in range(600):
            client = world.lease()
            current = world.read()
            world.renew(current)
            world.release(client)
            world.pass_time(0.05)

        assert most_in_ten_seconds(world.begun) <= 10

    def test_names_without_a_key_are_asked_for_without_an_end_and_nothing_grows(self):
        world = World(FORBIDDEN)
        for _ in range(1000):
            world.ask(FIRST_READ)
            world.pass_time(1.0)

        assert len(world.requests) > 150
        assert len(world.keeper._entries[NAME].reads) <= 10

    @pytest.mark.parametrize("pause", [0.05, 0.3, 0.55, 1.3])
    def test_names_without_a_key_stay_below_it_by_their_cool_downs(self, shortest_jitter, pause):
        world = World(FORBIDDEN)
        for _ in range(int(60.0 / pause)):
            world.ask(FIRST_READ)
            world.pass_time(pause)

        assert most_in_ten_seconds(world.begun) <= 10


class TestSchedule:
    def test_of_an_answer_that_expires_at_once_is_one_read_a_second(self):
        world = World(lambda request: key("A", expires=world.time + 0.05))
        world.read()
        world.pass_time(60.0)

        assert most_in_ten_seconds(world.begun) <= 10
        assert len(world.begun) >= 55

    def test_counts_with_what_clients_ask(self):
        world = World(lambda request: key("A", expires=world.time + 0.05))
        world.read()
        for _ in range(300):
            world.refresh()
            world.renew(A)
            world.pass_time(0.1)

        assert most_in_ten_seconds(world.begun) <= 10

    def test_refresh_that_waited_for_its_turn_counts_too(self, longest_jitter):
        """Four refreshes hang; meanwhile the reads of the fifth reach the floor."""
        world = World(NEVER, renew_timeout=30.0)
        names = ["hangs-{}".format(number) for number in range(4)]
        for name in names + [NAME]:
            world.ask(FIRST_READ, name=name)
            world.end(world.requests[-1].number, A)
            world.pass_time(0.1)
        world.accept(A)
        world.stop(INTERVAL)
        world.pass_time(0.0)
        assert [request.name for request in world.requests[5:]] == names
        world.gateways[0].answer = FORBIDDEN
        for _ in range(10):
            world.renew(A)
            world.accept(A)
            world.pass_time(0.51)
        reads = [request for request in world.requests[9:] if request.name == NAME]
        assert len(reads) == 10

        for number in sorted(world.under_way):
            world.end(number, A)  # now it is its turn
        world.pass_time(4.8)
        assert len(world.requests) == 19
        world.pass_time(1.2)

        assert world.requests[-1].purpose == REFRESH
        assert len(world.requests) == 20


class TestHeed:
    def test_forgotten_name_is_heeded_no_more(self):
        world = World(FORBIDDEN)
        with pytest.raises(ServerException):
            world.read()
        world.pass_time(60.0)

        assert world.known_names() == []
        assert world.heeded == set()

    def test_old_reads_are_no_reason_to_be_told_of_accepted_calls(self):
        world = World(A)
        world.read()
        world.gateways[0].answer = B
        world.renew(A)
        world.gateways[0].answer = C
        world.renew(B)
        world.pass_time(60.0)

        world.accept(C)

        assert world.heeded == set()
