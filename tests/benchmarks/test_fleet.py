"""The simulation of a small fleet: its results, and whether its time, its waiting and its quota are right."""

import collections
import concurrent.futures
import logging

import pytest

pytest.importorskip("greenlet", reason="it runs the threads of a fleet")

from aliyun_sdk_secretsmanager_common_plugin.keeper import FIRST_READ, timing  # noqa: E402
from aliyun_sdk_secretsmanager_common_plugin.keeper.actions import Request  # noqa: E402
from benchmarks import fleet as fleets  # noqa: E402
from benchmarks.fleet import EVENT, ROTATED, Fleet, Region, Simulation, outage, rotation, start  # noqa: E402

REQUEST = Request(1, "a", 0, 1.0, FIRST_READ)
PROCESSES = 220  # with a quota of one read a second


@pytest.fixture(autouse=True)
def same_luck():
    fleets.random.seed(1)


class TestTime:
    def test_goes_on_to_the_next_moment_and_ends_where_it_is_told_to(self):
        simulation = Simulation()
        seen = []
        for seconds in (5.0, 1.0, 3.0, 100.0):
            simulation.at(seconds, lambda: seen.append(simulation.monotonic()))

        simulation.run(10.0)

        assert seen == [1.0, 3.0, 5.0]
        assert simulation.monotonic() == simulation.time() == 10.0

    def test_others_go_on_while_one_sleeps(self):
        simulation = Simulation()
        seen = []

        def sleeper(name, seconds):
            for _ in range(2):
                simulation.sleep(seconds)
                seen.append((simulation.monotonic(), name))

        simulation.start(lambda: sleeper("slow", 5.0))
        simulation.start(lambda: sleeper("fast", 2.0))
        simulation.run(20.0)

        assert seen == [(2.0, "fast"), (4.0, "fast"), (5.0, "slow"), (10.0, "slow")]


class TestQuota:
    def test_throttles_what_is_more_in_a_second_and_starts_over_with_the_next(self):
        simulation = Simulation()
        region = Region(simulation, 3, {"a": "key"})

        def throttled():
            error = region.ended(REQUEST).error
            return error is not None and error.get_error_code() == "Rejected.Throttling"

        assert [throttled() for _ in range(5)] == [False, False, False, True, True]
        simulation.run(1.0)
        assert not throttled()
        assert (region.asked, region.refused) == ({0: 5, 1: 1}, {0: 2})

    def test_of_a_part_that_is_no_whole_number_is_spread_over_the_seconds(self):
        simulation = Simulation()
        region = Region(simulation, 22.5, {"a": "key"})
        answered = collections.Counter()
        for second in range(4):
            simulation.run(second)
            for _ in range(30):
                answered[second] += region.ended(REQUEST).key is not None

        assert answered == {0: 22, 1: 23, 2: 22, 3: 23}

    @pytest.mark.parametrize("processes, quota", [(100000, 450), (10000, 45), (1000, 4.5), (10, 1)])
    def test_of_a_part_of_the_fleet_is_that_part_of_what_secrets_manager_answers(self, processes, quota):
        fleet = Fleet(processes, 2)

        assert [region.quota for region in fleet.regions] == [quota] * 2


class TestFleet:
    def test_reads_each_secret_once_at_its_start_and_then_once_an_interval(self):
        fleet = Fleet(10)
        with fleet.simulated():
            fleet.regions[0].quota = 1000
            fleet.start(fleets.REFRESH_INTERVAL)
            fleet.simulation.run(10 * fleets.REFRESH_INTERVAL)

        reads = sum(fleet.regions[0].asked.values())
        assert not fleet.regions[0].refused
        assert len(fleet.up) == 10
        assert 9.5 <= reads / 10 / len(fleet.names) <= 11.0

    def test_has_the_key_of_a_scheduled_rotation_within_minutes_without_asking_for_it_again_and_again(self):
        outcome = rotation(PROCESSES, True, False)

        assert 0 < sum(outcome.refused[:120]) < 3 * PROCESSES
        assert outcome.seconds_until(0.99) is not None and outcome.seconds_until(0.99) < 1200
        assert outcome.failed == 0

    def test_calls_fail_no_longer_than_the_quota_makes_them_after_an_emergency(self):
        outcome = rotation(PROCESSES, False, True)

        assert outcome.seconds_until(1.0) < 2 * PROCESSES / outcome.quota
        assert outcome.failed > 0

    def test_recovers_from_an_outage(self):
        outcome = outage(PROCESSES // 10, False)

        assert outcome.seconds_until(1.0) < 1800
        assert outcome.failed == 0

    def test_a_process_that_cannot_start_is_started_again(self):
        outcome = start(PROCESSES // 5, 1.0)

        assert outcome.failed > 0
        assert outcome.seconds_until(0.2) is not None

    def test_patience_lets_all_start_in_one_go(self):
        outcome = start(PROCESSES // 5, 1.0, fetch_timeout=1800.0)

        assert outcome.failed == 0
        assert outcome.seconds_until(1.0) < 1.2 * outcome.processes * fleets.SECRETS / outcome.quota

    def test_one_read_brings_the_new_key_to_all_that_share_a_store(self):
        without, shared = (rotation(1000, False, True, seconds=20.0, whole=1000, secrets=1, stores=stores)
                           for stores in (0, 1))

        assert (sum(without.asked), sum(shared.asked)) == (1000, 1)
        assert len(shared.moments) == 1000
        assert shared.seconds_until(1.0) < 0.2 < without.seconds_until(0.5)
        assert shared.failed == 0
        assert 0 < shared.rejected < 100 < without.rejected

    def test_lost_announcement_costs_a_rejected_call_and_a_look_at_the_store(self):
        outcome = rotation(500, False, True, seconds=60.0, whole=500, secrets=1, stores=1, lost=1.0)

        assert sum(outcome.asked) == 1
        assert outcome.rejected == len(outcome.moments) == 500
        assert outcome.failed == 0
        assert sum(outcome.operations) >= 500

    @pytest.mark.parametrize("what", [fleets.redis_down, fleets.redis_hung])
    def test_works_without_a_store_that_is_gone(self, what):
        outcome = rotation(200, False, True, before=what, seconds=10.0, whole=200, secrets=1, stores=1)

        assert len(outcome.moments) == sum(outcome.asked) == 200
        assert outcome.failed == 0

    def test_starts_with_one_read_of_each_secret_where_there_is_a_store(self):
        outcome = start(100, 10.0, whole=100, stores=1)

        assert len(outcome.moments) == 100
        assert sum(outcome.asked) <= 2 * fleets.SECRETS
        assert outcome.failed == 0

    def test_leaves_the_modules_of_the_product_as_they_were(self):
        with Fleet(1).simulated():
            assert timing.LONGEST_SLEEP > 60.0

        assert timing.LONGEST_SLEEP == 60.0
        assert logging.root.manager.disable == logging.NOTSET

    def test_same_seed_is_the_same_fleet(self):
        reads = []
        for _ in range(2):
            fleets.random.seed(7)
            fleet = Fleet(5)
            with fleet.simulated():
                fleet.rotate(ROTATED, EVENT)
                fleet.start(fleets.REFRESH_INTERVAL)
                fleet.simulation.run(EVENT + 60.0)
            reads.append(sorted(fleet.regions[0].asked.items()))

        assert reads[0] == reads[1]


class TestMain:
    @pytest.fixture(autouse=True)
    def one_scenario_in_this_process(self, monkeypatch):
        monkeypatch.setattr(fleets, "SCENARIOS", {"start-hour": fleets.SCENARIOS["start-hour"]})
        monkeypatch.setattr(fleets.concurrent.futures, "ProcessPoolExecutor", concurrent.futures.ThreadPoolExecutor)

    def test_plays_nothing_again_that_it_kept(self, monkeypatch, tmp_path, capsys):
        arguments = ["--processes", "10", "--cores", "1", "--data", str(tmp_path / "data")]

        fleets.main(arguments)
        first = capsys.readouterr().out
        monkeypatch.delattr(fleets, "play")
        fleets.main(arguments)

        assert "start over an hour" in first
        assert capsys.readouterr().out == first

    def test_plays_only_what_it_is_told_to(self, capsys, monkeypatch):
        monkeypatch.setattr(fleets, "SCENARIOS", {
            name: fleets.Scenario(name, fleets.start, (1.0,), {"secrets": 1}, 10) for name in ("this", "other")})

        fleets.main(["--only", "this", "--cores", "1"])

        shown = capsys.readouterr().out
        assert "this" in shown
        assert "other" not in shown

    def test_a_fleet_is_its_parts_together(self):
        parts = [fleets.Outcome(10, 1.0, [3, 1], [1, 0], [2.0, 7.0], 1, 4.0, 5, [1, 2], [0.5, 0.0]),
                 fleets.Outcome(10, 1.0, [2, 2], [0, 0], [5.0], 2, 6.0, 1, [2, 2], [0.0, 0.25])]

        assert fleets.together(parts) == fleets.Outcome(
            20, 2.0, [5, 3], [1, 0], [2.0, 5.0, 7.0], 3, 6.0, 6, [3, 4], [0.5, 0.25])
