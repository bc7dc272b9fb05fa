"""The simulation of a fleet, on a small one: what it says of the product, and that its time, threads and quota are right."""

import concurrent.futures
import logging
import threading

import pytest

pytest.importorskip("greenlet", reason="it runs the threads of a fleet")

from aliyunsdkcore.acs_exception.exceptions import ServerException  # noqa: E402

from aliyun_sdk_secretsmanager_common_plugin import cache, refresher, secrets_manager  # noqa: E402
from benchmarks import fleet as fleets  # noqa: E402
from benchmarks.fleet import EVENT, HOUR, ROTATED, Fleet, Region, Simulation, Threads, outage, rotation, start  # noqa: E402

PROCESSES = 80  # against a quota of one read a second


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

    @pytest.mark.parametrize("set_at, ended", [(3.0, (3.0, True)), (30.0, (7.0, False))], ids=["set", "time is up"])
    def test_event_is_waited_for_until_it_is_set_or_time_is_up(self, set_at, ended):
        simulation = Simulation()
        event = Threads(simulation, simulation.start).Event()
        seen = []

        def wait():
            was_set = event.wait(7.0)
            seen.append((simulation.monotonic(), was_set))

        simulation.start(wait)
        simulation.at(set_at, event.set)
        simulation.run(60.0)

        assert seen == [ended]


class TestQuota:
    def test_throttles_what_is_more_in_a_second_and_starts_over_with_the_next(self):
        simulation = Simulation()
        region = Region(simulation, 3, {"a": "key"})

        def throttled():
            try:
                region.get_secret_value("a", 1.0)
            except ServerException as error:
                return error.get_error_code() == "Rejected.Throttling"
            return False

        assert [throttled() for _ in range(5)] == [False, False, False, True, True]
        simulation.run(1.0)
        assert not throttled()
        assert (region.asked, region.refused) == ({0: 5, 1: 1}, {0: 2})


class TestFleet:
    def test_reads_each_secret_once_at_its_start_and_then_once_an_hour(self):
        fleet = Fleet(10)
        with fleet.simulated():
            fleet.regions[0].quota = 1000
            fleet.start(HOUR)
            fleet.simulation.run(10 * HOUR)

        reads = sum(fleet.regions[0].asked.values())
        assert not fleet.regions[0].refused
        assert len(fleet.up) == 10
        assert 9.5 <= reads / 10 / len(fleet.names) <= 11.0

    def test_has_the_key_of_a_scheduled_rotation_within_minutes_without_asking_for_it_again_and_again(self):
        outcome = rotation(PROCESSES, True, False)

        assert 0 < sum(outcome.refused[:120]) < 2.5 * PROCESSES
        assert outcome.seconds_until(0.99) is not None and outcome.seconds_until(0.99) < 600
        assert outcome.failed == 0

    def test_calls_fail_no_longer_than_the_quota_makes_them_after_an_emergency(self):
        outcome = rotation(PROCESSES, False, True)

        assert outcome.seconds_until(1.0) < 2 * PROCESSES / outcome.quota
        assert outcome.failed > 0

    def test_recovers_from_an_outage(self):
        outcome = outage(PROCESSES // 5, False)

        assert outcome.seconds_until(1.0) < 1800
        assert outcome.failed == 0

    def test_a_process_that_cannot_start_is_started_again(self):
        outcome = start(PROCESSES // 5, 1.0)

        assert outcome.failed > 0
        assert outcome.seconds_until(0.2) is not None

    def test_patience_lets_all_start_in_one_go(self):
        outcome = start(PROCESSES // 5, 1.0, 1800.0)

        assert outcome.failed == 0
        assert outcome.seconds_until(1.0) < 400

    def test_leaves_the_modules_of_the_product_as_they_were(self):
        modules = (cache, refresher, secrets_manager)
        with Fleet(1).simulated():
            assert all(module.threading is not threading for module in modules)

        assert all(module.threading is threading for module in modules)
        assert refresher.LONGEST_SLEEP == 60.0
        assert logging.root.manager.disable == logging.NOTSET

    def test_same_seed_is_the_same_fleet(self):
        reads = []
        for _ in range(2):
            fleets.random.seed(7)
            fleet = Fleet(5)
            with fleet.simulated():
                fleet.rotate(ROTATED, EVENT)
                fleet.start(HOUR)
                fleet.simulation.run(EVENT + 60.0)
            reads.append(sorted(fleet.regions[0].asked.items()))

        assert reads[0] == reads[1]


class TestMain:
    @pytest.fixture(autouse=True)
    def one_scenario_in_this_process(self, monkeypatch):
        monkeypatch.setattr(fleets, "SCENARIOS", {"start-30": fleets.SCENARIOS["start-30"]})
        monkeypatch.setattr(fleets.os, "cpu_count", lambda: 1)
        monkeypatch.setattr(fleets.concurrent.futures, "ProcessPoolExecutor", concurrent.futures.ThreadPoolExecutor)

    def test_plays_nothing_again_that_it_kept(self, monkeypatch, tmp_path, capsys):
        arguments = ["--processes", "10", "--data", str(tmp_path / "data")]

        fleets.main(arguments)
        first = capsys.readouterr().out
        monkeypatch.delattr(fleets, "play")
        fleets.main(arguments)

        assert "start over 30 minutes" in first
        assert capsys.readouterr().out == first

    def test_a_fleet_is_its_parts_together(self):
        parts = [fleets.Outcome(10, 1.0, [3, 1], [1, 0], [2.0, 7.0], 1, 4.0),
                 fleets.Outcome(10, 1.0, [2, 2], [0, 0], [5.0], 2, 6.0)]

        assert fleets.together(parts) == fleets.Outcome(20, 2.0, [5, 3], [1, 0], [2.0, 5.0, 7.0], 3, 6.0)
