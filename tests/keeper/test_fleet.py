"""Several processes with one store: how often Secrets Manager is asked, and what never happens to any of them."""

import random

import pytest
from hypothesis import HealthCheck
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from aliyun_sdk_secretsmanager_common_plugin.keeper import REFRESH, entry, keeper, sharing

from .breakages import assert_found, changed
from .fleet import INTERVAL, STORE_TIMEOUT, Fleet, version_key
from .world import NAME


@pytest.fixture
def fleet():
    """Twenty processes that have read the secret."""
    random.seed(19)
    fleet = Fleet(20)
    fleet.start()
    fleet.pass_time(2.0)
    assert fleet.requests() == 1
    return fleet


def held(fleet):
    return {process.keys[NAME].version_id for process in fleet.processes}


class TestTwentyProcesses:
    def test_of_a_rotation_hear_from_the_first_that_is_refused(self, fleet):
        fleet.rotate()
        fleet.processes[3].renew_current()
        fleet.pass_time(0.5)

        assert held(fleet) == {"2"}
        assert fleet.requests() == 2

    def test_that_are_refused_at_once_ask_once(self, fleet):
        fleet.rotate()
        askers = fleet.renew()
        fleet.pass_time(1.0)

        assert {asker.result().key for asker in askers} == {version_key(2)}
        assert fleet.requests() == 2

    def test_that_hear_nothing_ask_once_all_the_same(self, fleet):
        for process in fleet.processes:
            process.is_deaf = True
        fleet.rotate()
        fleet.renew()
        fleet.pass_time(1.0)

        assert held(fleet) == {"2"}
        assert fleet.requests() == 2

    def test_do_not_each_ask_while_secrets_manager_lags(self, fleet):
        """It does not know of the rotation yet."""
        fleet.renew()
        fleet.pass_time(0.2)

        assert fleet.requests() - 1 <= 4

    def test_refresh_once_an_interval(self, fleet):
        fleet.pass_time(20 * INTERVAL)

        assert 20 <= fleet.requests() - 1 <= 24

    def test_start_with_one_request_also_when_the_one_that_asks_dies(self):
        fleet = Fleet(20)
        fleet.processes[0].network = "held"
        fleet.processes[0].ask("first read", 10.0)
        fleet.pass_time(0.1)
        dead = fleet.processes.pop(0)
        fleet.store._time = lambda: fleet.processes[0].time
        fleet.start()
        fleet.pass_time(4.5)

        assert held(fleet) == {"1"}
        assert fleet.requests() + len(dead.requests) == 2


counts = st.integers(0, 2)


class FleetMachine(RuleBasedStateMachine):
    """Three processes, of which each may lose Secrets Manager, the store or the announcements for a while."""

    keeper_class = keeper.Keeper

    @initialize(number=st.integers(0, 2 ** 16))
    def begin(self, number):
        random.seed(number)
        self.fleet = Fleet(3, self.keeper_class)

    @rule(at=counts)
    def read(self, at):
        process = self.fleet.processes[at]
        if NAME not in process.keys:
            process.ask("first read", 10.0, delays=(0.5, 1.0))

    @rule(at=counts)
    def have_the_key_rejected(self, at):
        self.fleet.processes[at].renew_current()

    @rule(at=counts)
    def refresh_by_hand(self, at):
        self.fleet.processes[at].ask(REFRESH, 2.0)

    @rule()
    def rotate(self):
        self.fleet.rotate()

    @rule(at=counts, network=st.sampled_from(["good", "good", "bad", "held"]), seconds=st.sampled_from([0.02, 0.7, 1.5]))
    def change_the_network(self, at, network, seconds):
        process = self.fleet.processes[at]
        process.network, process.seconds = network, seconds

    @rule(at=counts, mode=st.sampled_from(["works", "works", "fails", "hangs"]), is_deaf=st.booleans())
    def change_the_way_to_the_store(self, at, mode, is_deaf):
        process = self.fleet.processes[at]
        process.store_mode, process.is_deaf = mode, is_deaf

    @rule()
    def empty_the_store(self):
        self.fleet.store.flush()

    @rule(delay=st.sampled_from([0.01, 0.5, 3.0]))
    def change_how_long_announcements_take(self, delay):
        self.fleet.delay = delay

    @rule(at=counts)
    def fork(self, at):
        process = self.fleet.processes[at]
        process.askers = []
        process.fork()
        assert not process.keeper._sharer._operations, "it waits for what its parent began"

    @rule(at=counts, which=st.integers(1, 10), in_store=st.booleans())
    def put_back_what_was_announced(self, at, which, in_store):
        """A hostile Redis repeats what it has heard, or puts it back."""
        for announced in self.fleet.announced[-which:][:1]:
            if in_store:
                self.fleet.store.held(NAME).answer = announced.found.position, announced.found.key
            else:
                self.fleet.processes[at].handle(announced)

    @rule(at=counts)
    def an_announcement_overtakes_an_answer(self, at):
        slow, quick = self.fleet.processes[at], self.fleet.processes[at - 1]
        slow.network, slow.seconds, quick.network, quick.seconds = "good", 1.5, "good", 0.02
        slow.ask(REFRESH, 2.0)
        self.fleet.pass_time(0.3)
        self.fleet.rotate()
        quick.ask(REFRESH, 2.0)
        self.fleet.pass_time(2.0)

    @rule(seconds=st.sampled_from([0.01, 0.3, 1.0, 5.0, 40.0, 700.0]))
    def wait(self, seconds):
        self.fleet.pass_time(seconds)

    @rule()
    def all_is_well_again(self):
        """Then a rotation reaches each process that is refused, and the others too."""
        for process in self.fleet.processes:
            process.network, process.seconds, process.store_mode, process.is_deaf = "good", 0.02, "works", False
        self.fleet.delay = 0.01
        self.fleet.pass_time(60.0)
        self.fleet.rotate()
        readers = [process for process in self.fleet.processes if NAME in process.keys]
        for _ in range(4):
            for process in readers:
                if process.keys[NAME] != version_key(self.fleet.version):
                    process.renew_current()
            self.fleet.pass_time(6.0)
        for process in readers:
            assert process.keys[NAME] == version_key(self.fleet.version), "the rotation was not followed"
            stats = process.keeper.stats(process.now)[NAME]
            assert not stats.shared_store.is_off, "the store is not used again"

    @invariant()
    def nobody_waits_past_the_deadline_or_is_answered_twice(self):
        for process in self.fleet.processes:
            for asker in process.askers:
                assert len(asker.answers) <= 1
                assert asker.answers or process.monotonic < asker.event.until, "{} waits".format(asker.event)
                if asker.answers and asker.event.purpose == "renewal" and asker.answers[0].value.key is not None:
                    assert asker.answers[0].value.key != asker.event.rejected
            process.askers = [asker for asker in process.askers if not asker.answers]

    @invariant()
    def no_process_goes_back_to_an_older_key(self):
        for process in self.fleet.processes:
            assert process.versions == sorted(process.versions), process.versions
            del process.versions[:-1]

    @invariant()
    def no_call_pays_for_the_store_but_once(self):
        """An operation that hangs is given up in its time."""
        for process in self.fleet.processes:
            for operation in process.keeper._sharer._operations.values():
                late = process.monotonic - operation.began
                assert operation.is_given_up or late <= STORE_TIMEOUT + 0.01, "an operation of {} s".format(late)


FleetMachine.TestCase.settings = hypothesis_settings(
    max_examples=60, stateful_step_count=50, deadline=None, database=None, derandomize=True,
    suppress_health_check=[HealthCheck.too_slow])
TestFleetMachine = FleetMachine.TestCase


@pytest.mark.matrix
@pytest.mark.parametrize("part", range(4))
def test_a_hundred_thousand_steps_of_a_fleet(part):
    """Each run takes other steps."""
    run_state_machine_as_test(FleetMachine, settings=hypothesis_settings(
        FleetMachine.TestCase.settings, max_examples=500, derandomize=False, report_multiple_bugs=False))


BREAKAGES = {
    "an older announcement is followed": (sharing, "if found.position.is_after(sharing.position):", "if True:"),
    "a late answer undoes an announced one": (
        keeper, "not sharing.is_adopted or sharing.is_news(request.fetch.position, request.began)", "True"),
    "a store that hangs is waited for": (sharing, "and operation.look(now):", "and False:"),
    "a store that failed is never used again": (sharing, "            self._breaker.worked()\n", ""),
    "a fetch ends at the store": (
        sharing, "        fetch.operation = None\n        self._ask_gateways(entry, fetch, now)\n        return [entry]",
        "        return [entry]"),
    "an emptied store makes new keys look old": (
        entry, "        return began > self.began\n", "        return self.position is None\n"),
    "an emptied store makes old keys look new": (entry, "        return began > self.began\n", "        return True\n"),
    "an announced key has no place": (keeper, "        entry.sharing.note(position, began, True)\n", ""),
    "who waits for another process is forgotten": (
        sharing, "            fetch.look_at = min(now + delay, wait_until)\n", "            fetch.look_at = now + 1e9\n"),
    "a child waits for its parent's store": (sharing, "        self._operations.clear()\n", ""),
}


def test_breakages_are_of_the_keeper_as_it_is():
    for breakage in BREAKAGES.values():
        changed(*breakage)


@pytest.mark.matrix
@pytest.mark.parametrize("breakage", sorted(BREAKAGES))
def test_the_machine_finds(breakage):
    assert_found(FleetMachine, BREAKAGES[breakage], 1000)
