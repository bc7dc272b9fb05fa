"""Contract 6: when a refresh is due, by the secret's dates, by the program's strategy, and by either clock."""

import pytest
from aliyunsdkcore.acs_exception.exceptions import ServerException
from hypothesis import given
from hypothesis import strategies as st

from aliyun_sdk_secretsmanager_common_plugin.keeper import FIRST_READ, REFRESH
from aliyun_sdk_secretsmanager_common_plugin.keeper import events as told

from ..common.fakes import key, quick
from .world import NAME, NEVER, NO_CONNECTION, After, World

A = key("A")
FORBIDDEN = ServerException("Forbidden.KMS", "not allowed", 403, "request-1")
INTERVAL = 3600.0
NOW = World().time


@pytest.fixture
def world():
    world = World(A)
    world.read()
    world.accept(A)
    return world


def due_in(world):
    """Return the seconds until the next refresh, None if none is planned."""
    return world.keeper.stats(world.now)[NAME].next_refresh


def due(**dates):
    """Return when a secret with some dates is due, after its first read."""
    world = World(key("A", **dates))
    world.read()
    return due_in(world)


class TestDue:
    def test_after_the_interval_less_a_tenth_for_jitter(self, longest_jitter):
        assert due() == INTERVAL

    def test_after_nine_tenths_of_the_interval_at_least(self, shortest_jitter):
        assert due() == pytest.approx(0.9 * INTERVAL)

    def test_after_half_of_the_interval_at_least_once_a_refresh_had_failed(self, world, shortest_jitter):
        world.gateways[0].answer = NO_CONNECTION
        world.refresh()
        world.gateways[0].answer = A
        seen = []
        world.refresh()
        seen.append(due_in(world))
        world.close()
        world.read()  # as new clients do
        seen.append(due_in(world))
        world.refresh()
        seen.append(due_in(world))

        assert seen == pytest.approx([0.5 * INTERVAL, 0.5 * INTERVAL, 0.9 * INTERVAL])

    def test_after_half_of_the_interval_at_least_once_the_first_read_had_failed(self, shortest_jitter):
        world = World(FORBIDDEN)
        with pytest.raises(ServerException):
            world.read()
        world.gateways[0].answer = A
        world.pass_time(1.0)
        world.read()

        assert due_in(world) == pytest.approx(0.5 * INTERVAL)

    def test_a_second_after_the_next_rotation_at_least(self, shortest_jitter):
        assert due(next_rotation=NOW + 100) == 101

    def test_half_a_minute_after_the_next_rotation_at_most(self, longest_jitter):
        assert due(next_rotation=NOW + 100) == 130

    def test_not_at_a_rotation_later_than_the_interval(self, longest_jitter):
        assert due(next_rotation=NOW + 10 * INTERVAL) == INTERVAL

    def test_a_tenth_of_its_time_before_the_expiry_at_least(self, shortest_jitter):
        assert due(expires=NOW + 1800) == 1800 - 180

    def test_a_fifth_of_its_time_before_the_expiry_at_most(self, longest_jitter):
        assert due(expires=NOW + 1800) == 1800 - 360

    def test_at_most_ten_minutes_before_the_expiry(self):
        world = World(key("A", expires=NOW + 90000), refresh_interval=1e6)
        world.read()

        assert 90000 - 600 <= due_in(world) <= 90000 - 300

    def test_whichever_comes_first(self):
        assert due(expires=NOW + 3000, next_rotation=NOW + 50) <= 80
        assert due(expires=NOW + 50, next_rotation=NOW + 3000) <= 50

    @pytest.mark.parametrize("dates", [{"next_rotation": 1.0}, {"expires": 1.0}, {"expires": float("nan")}], ids=str)
    def test_dates_that_were_over_long_before_do_not_count(self, dates, longest_jitter):
        assert due(**dates) == INTERVAL

    def test_no_sooner_than_a_second_after_it_was_read(self):
        assert due(expires=NOW + 0.05) == 1.0

    def test_at_once_where_its_time_is_over(self, world):
        world.fork()
        world.stop(2 * INTERVAL)

        assert world.ask(FIRST_READ).result() is A
        assert len(world.requests) == 2

    def test_next_reader_of_a_key_that_aged_gets_what_is_left_of_its_time(self, world, longest_jitter):
        world.close()
        world.stop(1000.0)
        world.read()

        assert due_in(world) == INTERVAL - 1000

    def test_newest_dates_count_though_the_key_stays_the_same(self, world):
        world.gateways[0].answer = key("A", next_rotation=world.time + 100)
        world.refresh()

        assert due_in(world) <= 130
        assert world.keys[NAME] is A  # readers keep the object that they know

    def test_fleet_that_starts_together_does_not_ask_together(self):
        dues = [due() for _ in range(50)]

        assert len(set(dues)) == 50
        assert max(dues) - min(dues) > INTERVAL / 50

    def test_is_logged(self, longest_jitter):
        world = World(A)
        world.read()

        assert "secret 'app/key': the next refresh is due in 3600.0 s" in world.lines


class TestOverdueRotation:
    """A rotation comes later than Secrets Manager had announced."""

    @staticmethod
    def asked_after(world, seconds):
        """Return the seconds between the requests of the next ``seconds`` seconds."""
        asked = len(world.begun) - 1
        world.pass_time(seconds)
        return [later - earlier for earlier, later in zip(world.begun[asked:], world.begun[asked + 1:])]

    def test_is_asked_about_again_after_5_s_15_s_45_s_up_to_5_min(self, longest_jitter):
        world = World(key("A", next_rotation=NOW + 100))
        world.read()

        assert self.asked_after(world, 1500.0) == pytest.approx([130, 5, 15, 45, 135, 300, 300, 300], abs=1e-5)

    def test_after_half_as_long_at_least(self, shortest_jitter):
        world = World(key("A", next_rotation=NOW + 100))
        world.read()

        waits = self.asked_after(world, 600.0)
        assert waits[:2] == pytest.approx([101, 2.5])
        assert all(2.5 <= wait <= 300 for wait in waits[1:])

    def test_until_the_version_changes(self, longest_jitter):
        world = World(key("A", next_rotation=NOW + 100))
        world.read()
        world.pass_time(140.0)
        world.gateways[0].answer = key("B", next_rotation=NOW + 10 * INTERVAL)
        world.pass_time(20.0)

        assert world.keys[NAME].version_id == "version-B"
        assert due_in(world) > INTERVAL - 60

    @pytest.mark.parametrize("next_rotation", [None, NOW + 100], ids=["without a date", "with the former date"])
    def test_no_longer_whatever_the_new_version_says(self, longest_jitter, next_rotation):
        world = World(key("A", next_rotation=NOW + 100))
        world.read()
        world.pass_time(140.0)
        world.gateways[0].answer = key("B", next_rotation=next_rotation)
        world.pass_time(20.0)

        assert due_in(world) > INTERVAL - 60

    def test_where_the_process_started_after_the_date(self, longest_jitter):
        world = World(key("A", next_rotation=NOW - 60))
        world.read()

        assert self.asked_after(world, 100.0) == pytest.approx([5, 15, 45], abs=1e-5)

    @pytest.mark.parametrize("seconds", [-1800, 1800])
    def test_is_asked_about_as_often_where_the_wall_clock_jumps_meanwhile(self, longest_jitter, seconds):
        world = World(key("A", next_rotation=NOW - 0.9 * INTERVAL))
        world.read()
        world.pass_time(6.0)
        world.jump(seconds)

        assert self.asked_after(world, 205.0) == pytest.approx([15, 45, 135], abs=1e-5)

    def test_is_asked_about_as_often_where_two_slow_regions_answer(self, longest_jitter):
        answer = key("A", next_rotation=NOW + 100)
        world = World(After(1.5, answer), After(1.5, answer))
        world.read()
        world.pass_time(200.0)

        refreshes = [begun for begun, request in zip(world.begun, world.requests) if request.purpose == REFRESH]
        assert world.stored[NAME] == len(world.requests)
        first, second = [later - earlier for earlier, later in zip(refreshes[::2], refreshes[2::2])][:2]
        assert first <= 10
        assert second <= 30

    def test_is_asked_about_as_often_where_a_service_refuses_the_key_meanwhile(self, longest_jitter):
        world = World(key("A", next_rotation=NOW + 100))
        world.read()
        world.pass_time(130.5)
        for _ in range(3):
            world.renew(world.keys[NAME])
            world.pass_time(0.6)

        assert due_in(world) <= 15

    def test_waits_no_longer_where_clients_come_and_go(self, longest_jitter):
        world = World(key("A", next_rotation=NOW - 60))
        world.read()
        for _ in range(8):
            world.close()
            world.pass_time(1.0)
            world.read()

        assert len(world.requests) == 2

    def test_is_asked_about_with_backoff_where_that_fails(self, longest_jitter):
        world = World(key("A", next_rotation=NOW + 100))
        world.read()
        world.pass_time(131.0)
        world.gateways[0].answer = NO_CONNECTION
        world.pass_time(20.0)

        assert world.keys[NAME].version_id == "version-A"
        assert due_in(world) <= 16


class TestStrategyOfTheProgram:
    """The program's own refresh strategy says when the next refresh is due."""

    @staticmethod
    def read(answer=A, **strategy):
        world = World(NEVER)
        world.ask(FIRST_READ)
        world.end(world.requests[-1].number, answer, **strategy)
        return world

    @pytest.mark.parametrize("wanted, may_be_earlier, expected", [
        (100.0, True, 100.0), (100.0, False, 100.0), (10 * INTERVAL, True, INTERVAL),
        (10 * INTERVAL, False, 10 * INTERVAL),
    ])
    def test_counts(self, longest_jitter, wanted, may_be_earlier, expected):
        world = self.read(refresh_at=NOW + wanted, may_be_earlier=may_be_earlier)

        assert due_in(world) == expected

    def test_that_knows_no_expiry_is_overruled_where_it_allows_that(self, longest_jitter):
        answer = key("A", expires=NOW + 1800)

        assert due_in(self.read(answer, refresh_at=NOW + 3000, may_be_earlier=True)) == 1440
        assert due_in(self.read(answer, refresh_at=NOW + 3000, may_be_earlier=False)) == 3000

    def test_whose_time_is_over_does_not_count(self, longest_jitter):
        assert due_in(self.read(refresh_at=NOW - 1, may_be_earlier=False)) == INTERVAL

    def test_that_says_nothing_of_a_later_answer_does_not_count_any_more(self, longest_jitter):
        world = self.read(refresh_at=NOW + 100, may_be_earlier=False)
        world.gateways[0].answer = A
        world.refresh()

        assert due_in(world) == INTERVAL

    def test_of_a_refresh_that_fails_gives_way_to_the_backoff(self, longest_jitter):
        world = self.read(refresh_at=NOW + 100, may_be_earlier=False)
        world.gateways[0].answer = NO_CONNECTION
        world.pass_time(101.0)

        assert due_in(world) == pytest.approx(1.0)


class TestClocks:
    @pytest.fixture
    def world(self, world, longest_jitter):
        world.refresh()
        world.pass_time(1.0)
        world.asked = len(world.requests)
        return world

    def test_wall_clock_that_jumps_ahead_makes_it_due_within_a_minute(self, world):
        """On a suspended machine, it alone goes on."""
        world.jump(INTERVAL)
        world.pass_time(60.0)

        assert len(world.requests) == world.asked + 1

    def test_monotonic_clock_that_jumps_ahead_makes_it_due(self, world):
        world.monotonic += INTERVAL
        world.pass_time(60.0)

        assert len(world.requests) == world.asked + 1

    def test_clock_that_is_set_back_does_not_delay_it(self, world):
        world.jump(-10.0 ** 6)
        world.pass_time(INTERVAL)

        assert len(world.requests) == world.asked + 1

    @pytest.mark.parametrize("seconds", [-10.0 ** 6, 10.0 ** 6])
    def test_clock_that_jumped_before_it_was_read_does_not_count(self, world, seconds):
        world.jump(seconds)
        world.refresh()
        asked = len(world.requests)
        world.pass_time(INTERVAL - 1.0)
        assert len(world.requests) == asked
        world.pass_time(2.0)

        assert len(world.requests) == asked + 1

    def test_small_drifts_add_up(self, world):
        for _ in range(1800):
            world.pass_time(1.0)
            world.jump(1.0)
        world.pass_time(60.0)

        assert len(world.requests) == world.asked + 1

    def test_age_of_a_key_is_by_the_clock_that_says_more(self, world):
        world.close()
        world.jump(1000.0)
        world.read()

        assert due_in(world) == pytest.approx(INTERVAL - 1001.0)

    @quick
    @given(
        seconds=st.integers(2, 5000),
        moves=st.lists(st.tuples(
            st.sampled_from(["pass", "wall", "monotonic"]), st.integers(-4000, 4000)), max_size=12),
    )
    def test_refresh_comes_at_the_first_look_when_either_clock_says_so(self, seconds, moves):
        world = World(NEVER)
        world.ask(FIRST_READ)
        world.end(1, A, refresh_at=world.time + seconds, may_be_earlier=False)
        due_at = (world.monotonic + seconds, world.time + seconds)
        for name, amount in moves:
            if name == "pass":
                world.stop(abs(amount))
            elif name == "monotonic":
                world.monotonic += abs(amount)
            else:
                world.jump(amount)
            world.handle(told.Ticked())

            if world.monotonic >= due_at[0] or world.time >= due_at[1]:
                assert len(world.requests) == 2
                return
            assert len(world.requests) == 1
            assert 0 < world.keeper.wake_at() - world.monotonic <= 60
