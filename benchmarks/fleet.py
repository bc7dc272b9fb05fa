"""A simulated fleet of up to a million processes, which share the quota of Secrets Manager, and perhaps a store.

Run it with ``nox -s fleet``, which simulates a part of each fleet with its part of the quota, and writes the plots of
the docs. ``-- --processes 100000`` simulates the whole fleet where there is no store. With ``--data DIRECTORY`` a run
continues an earlier one. Keepers and leases are the product's. Time, network and store are simulated in one thread: a
greenlet waits in place of each thread. Without a store, an answer takes no time.
"""

import argparse
import bisect
import collections
import concurrent.futures
import contextlib
import functools
import gc
import heapq
import itertools
import json
import logging
import math
import os
import random
import time
from typing import (
    Any,
    Callable,
    Counter,
    Deque,
    Dict,
    Iterable,
    Iterator,
    List,
    NamedTuple,
    Optional,
    Sequence,
    Set,
    Tuple,
)
from unittest import mock

from aliyunsdkcore.acs_exception.exceptions import ClientException, ServerException
from greenlet import getcurrent, greenlet

from aliyun_sdk_secretsmanager_common_plugin.access_key import AccessKey
from aliyun_sdk_secretsmanager_common_plugin.ak_expire_handler import AKExpireHandler
from aliyun_sdk_secretsmanager_common_plugin.clock import Clock
from aliyun_sdk_secretsmanager_common_plugin.keeper import FIRST_READ, RENEWAL, Keeper, Now, Renewal, timing
from aliyun_sdk_secretsmanager_common_plugin.keeper.actions import (
    Answer,
    Free,
    GiveUp,
    Probe,
    Publish,
    Request,
    Share,
    Take,
    Tell,
)
from aliyun_sdk_secretsmanager_common_plugin.keeper.entry import equal_jitter
from aliyun_sdk_secretsmanager_common_plugin.keeper.events import Accepted, Asked, Closed, Ended, StoreEnded, Ticked
from aliyun_sdk_secretsmanager_common_plugin.keeper.timing import FIRST_READ_DELAYS
from aliyun_sdk_secretsmanager_common_plugin.lease import Lease
from aliyun_sdk_secretsmanager_common_plugin.secrets_manager.gateways import Gateway
from benchmarks.fleet_store import Store

PROCESSES = 100000
SECRETS = 10
# Reads a second of an account in a region; see "Performance data for KMS" in the documentation of KMS.
QUOTA = 450
PART = 10000  # the processes that one core simulates at least, so that chance has no more weight than in a whole fleet
HOUR = 3600.0
REFRESH_INTERVAL = 2 * HOUR  # as docs/fleet.rst advises it for so many processes
FETCH_TIMEOUT = 10.0
RENEW_TIMEOUT = 2.0
STORE_TIMEOUT = 0.2
ANSWER_TIME = 0.03  # seconds of an answer of Secrets Manager where there is a store; the others wait for it meanwhile
START_PAUSE = 0.5  # seconds between two first reads of a process that starts
CALL_INTERVAL = 5.0  # seconds between two calls of a process with one secret
EVENT = REFRESH_INTERVAL + 300.0  # when the event of a scenario happens; before it the processes start evenly
RESTARTS = (10.0, 20.0, 40.0, 80.0, 160.0, 300.0)  # seconds after which Kubernetes starts a failed process again
ROTATED = "secret-0"


class Simulation(Clock):
    """Simulated time, and the greenlets that wait in it."""

    def __init__(self) -> None:
        self._now = 0.0
        self._agenda: List[Tuple[float, int, Callable[..., Any], Tuple[Any, ...]]] = []
        self._order = itertools.count()
        self._ready: Deque[Callable[[], Any]] = collections.deque()
        self._hub = getcurrent()
        # Greenlets are used again, since making one takes as long as most of them run.
        self._idle: List[greenlet] = []

    def monotonic(self) -> float:
        return self._now

    time = monotonic

    def sleep(self, seconds: float) -> None:
        self.at(self._now + seconds, getcurrent().switch)
        self._hub.switch()

    def at(self, moment: float, function: Callable[..., Any], *args: Any) -> None:
        """Call a function, which must not wait, at a moment."""
        heapq.heappush(self._agenda, (moment, next(self._order), function, args))

    def start(self, function: Callable[[], Any]) -> None:
        """Call a function, which may wait, before time advances."""
        self._ready.append(functools.partial(self._begin, function))

    def wake(self, waiting: greenlet) -> None:
        """Continue a greenlet that gave up its turn, before time advances."""
        self._ready.append(waiting.switch)

    def give_up_turn(self) -> None:
        """Wait until something continues this greenlet, such as ``wake``."""
        self._hub.switch()

    def run(self, until: float) -> None:
        """Advance time until then."""
        ready, agenda = self._ready, self._agenda
        while True:
            while ready:
                ready.popleft()()
            if not agenda or agenda[0][0] >= until:
                break
            moment, _, function, args = heapq.heappop(agenda)
            self._now = max(self._now, moment)
            function(*args)
        self._now = until

    def _begin(self, function: Callable[[], Any]) -> None:
        (self._idle.pop() if self._idle else greenlet(self._work, self._hub)).switch(function)

    def _work(self, function: Callable[[], Any]) -> None:
        while True:
            function()
            self._idle.append(getcurrent())
            function = self._hub.switch()


class Region(Gateway):
    """A gateway that answers only as many requests a second as its quota allows.

    Attributes:
        asked: the number of requests by second.
        refused: the number of requests by second that were throttled, or came in an outage.
        is_down: whether there is an outage.

    Args:
        simulation: the simulated time.
        quota: reads a second; with a quota of 1.5 it answers one and two by turns.
        keys: the current keys.
    """

    def __init__(self, simulation: Simulation, quota: float, keys: Dict[str, AccessKey]) -> None:
        self.asked: Counter[int] = collections.Counter()
        self.refused: Counter[int] = collections.Counter()
        self.is_down = False
        self._simulation = simulation
        self.quota = quota
        self._keys = keys

    def ended(self, request: Request) -> Ended:
        """Answer a request, or refuse it."""
        second = int(self._simulation.monotonic())
        self.asked[second] += 1
        answered = int(self.quota * (second + 1)) - int(self.quota * second)
        if not self.is_down and self.asked[second] <= answered:
            return Ended(request.number, self._keys[request.name])
        self.refused[second] += 1
        if self.is_down:
            return Ended(request.number, None, ServerException("ServiceUnavailableTemporary", "down", 503))
        return Ended(request.number, None, ServerException("Rejected.Throttling", "throttled", 429))

    def waiting_for(self) -> str:
        return "a region"


class Process:
    """A process of the fleet: a keeper, and what its runtime does. Leases read and renew through it."""

    __slots__ = (
        "_fleet", "_simulation", "_store", "_keeper", "_keys", "_answers", "_operations", "_wakes_at", "__weakref__")

    def __init__(self, fleet: "Fleet") -> None:
        self._fleet = fleet
        self._simulation = fleet.simulation
        self._store = fleet.store
        self._keeper = Keeper(
            fleet.regions, REFRESH_INTERVAL, RENEW_TIMEOUT,
            store_timeout=None if fleet.store is None else STORE_TIMEOUT)
        self._keys: Dict[str, AccessKey] = {}
        self._answers: Dict[Any, Answer] = {}  # by who asked
        self._operations: Set[int] = set()  # those of the store that go on
        self._wakes_at = float("inf")

    def get(self, name: str) -> AccessKey:
        """Return the key of a secret, which is read first if necessary."""
        key = self._keys.get(name)
        if key is not None:
            return key
        delays = map(equal_jitter, itertools.chain(FIRST_READ_DELAYS, itertools.repeat(FIRST_READ_DELAYS[-1])))
        answer = self._ask(FIRST_READ, name, self._fleet.fetch_timeout, None, delays)
        if answer.error is not None:
            raise answer.error
        return answer.value  # type: ignore[no-any-return]

    def published_key(self, name: str) -> Optional[AccessKey]:
        """Return the key of a secret; None if it was not read."""
        return self._keys.get(name)

    def renew(self, name: str, rejected: AccessKey) -> Renewal:
        """Return the result of the renewal of a rejected key."""
        return self._ask(RENEWAL, name, RENEW_TIMEOUT, rejected).value  # type: ignore[no-any-return]

    def accepted(self, name: str, key: AccessKey) -> None:
        """Tell the keeper that a service accepted a key."""
        self._take(Accepted(name, key))

    def close(self) -> None:
        """Close the keeper, so that nothing is read any more."""
        self._take(Closed())
        if self._store is not None:
            self._store.leave(self)

    def _ask(
        self, purpose: str, name: str, seconds: float, rejected: Optional[AccessKey], delays: Iterable[float] = ()
    ) -> Answer:
        asker = getcurrent()
        self._answers.pop(asker, None)
        self._take(Asked(asker, purpose, name, self._simulation.monotonic() + seconds, rejected, delays))
        while asker not in self._answers:
            self._simulation.give_up_turn()
        return self._answers.pop(asker)

    def _take(self, event: Any) -> None:
        """Give an event to the keeper and carry its actions out."""
        events = collections.deque([event])
        moment = self._simulation.monotonic()
        while events:
            for action in self._keeper.handle(events.popleft(), Now(moment, moment)):
                if isinstance(action, Request):
                    ended = self._fleet.regions[action.gateway].ended(action)
                    if self._store is None:
                        events.append(ended)
                    else:
                        self._simulation.at(moment + self._fleet.answer_time, self._take, ended)
                elif isinstance(action, Publish):
                    if action.key is not None:
                        self._keys[action.name] = action.key
                        if self._store is not None:
                            self._store.listen(self, self._take)
                elif isinstance(action, Tell):
                    self._fleet.note_key(action.name, action.key)
                elif isinstance(action, Answer):
                    self._answers[action.ticket] = action
                    if action.ticket is not getcurrent():
                        self._simulation.wake(action.ticket)
                elif isinstance(action, (Take, Share, Free, Probe)):
                    self._operate(action)
                elif isinstance(action, GiveUp) and action.number in self._operations:
                    self._operations.remove(action.number)
                    events.append(StoreEnded(action.number, error="given up"))
        self._plan()

    def _operate(self, action: Any) -> None:
        """Carry out an operation of the store."""
        self._operations.add(action.number)
        ends_at, ended = self._store.run(self, action)
        if ends_at < math.inf:
            self._simulation.at(ends_at, self._operated, ended)

    def _operated(self, ended: StoreEnded) -> None:
        if ended.number in self._operations:
            self._operations.remove(ended.number)
            self._take(ended)

    def _plan(self) -> None:
        wake_at = self._keeper.wake_at()
        if wake_at is not None and wake_at < self._wakes_at:
            self._wakes_at = wake_at
            self._simulation.at(wake_at, self._wake, wake_at)

    def _wake(self, moment: float) -> None:
        if moment == self._wakes_at:
            self._wakes_at = float("inf")
            wake_at = self._keeper.wake_at()
            if wake_at is not None and wake_at <= moment:
                self._take(Ticked())
            else:  # what was planned has ended meanwhile, such as an operation of the store
                self._plan()


class AnyRejection(AKExpireHandler):
    """A handler for a service whose only error is that it rejects a key."""

    def judge_ak_expire(self, exception: Exception) -> bool:
        return True


class Fleet:
    """Processes that share the quotas of some regions.

    Args:
        processes: the number of processes.
        regions: the number of gateways.
        fetch_timeout: seconds that a first read may take.
        whole: of how many processes these are a part. They have that part of the quota, and of the store.
        secrets: how many secrets each process reads.
        stores: how many stores the whole fleet has, each for a part of it. One of them is simulated.
        lost: the part of the store's announcements that get lost.
        answer_time: seconds that an answer of Secrets Manager takes if there is a store.

    Attributes:
        store: the shared store; None if there is none.
        has_it: when each process got the current key, by the name of the secret.
        failed_calls: how many calls failed because their key was rejected and there was no other.
        rejected_calls: how often a service rejected a key, even if the call then succeeded with another.
        up: when each process had read all its secrets.
        failed_starts: how often a process could not read all its secrets.
    """

    def __init__(
        self,
        processes: int,
        regions: int = 1,
        fetch_timeout: float = FETCH_TIMEOUT,
        whole: int = PROCESSES,
        secrets: int = SECRETS,
        stores: int = 0,
        lost: float = 0.0,
        answer_time: float = ANSWER_TIME,
    ) -> None:
        self.size = processes
        self.answer_time = answer_time
        self.fetch_timeout = fetch_timeout
        self.simulation = Simulation()
        self.names = ["secret-{}".format(number) for number in range(secrets)]
        self._keys: Dict[str, AccessKey] = {}
        self._versions = itertools.count()
        self.has_it: Dict[str, List[float]] = {}
        for name in self.names:
            self.rotate(name)
        quota = max(QUOTA * processes / whole, 1.0)
        self.regions = [Region(self.simulation, quota, self._keys) for _ in range(regions)]
        self.store: Optional[Store] = None
        if stores:
            self.store = Store(self.simulation, 2 * REFRESH_INTERVAL, whole / stores / processes, lost)
        self.up: List[float] = []
        self.failed_starts = 0
        self.failed_calls = 0
        self.rejected_calls = 0
        self._processes: List[Process] = []

    @contextlib.contextmanager
    def simulated(self) -> Iterator[None]:
        """Prepare the process for a simulation. No keeper needs a look for jumps of the clock, as there are none."""
        logging.disable(logging.CRITICAL)
        gc.collect()  # the fleet before
        gc.disable()  # this fleet has no cycles, but a million secrets that a collection would look at
        with mock.patch.object(timing, "LONGEST_SLEEP", float("inf")):
            try:
                yield
            finally:
                gc.enable()
                logging.disable(logging.NOTSET)

    def rotate(self, name: str, next_rotation: Optional[float] = None) -> None:
        """Make a new version of a secret."""
        version = str(next(self._versions))
        self._keys[name] = AccessKey(
            "LTAI5tFleet" + version, "secret of " + version, version_id=version, next_rotation=next_rotation)
        self.has_it[name] = []

    def note_key(self, name: str, key: AccessKey) -> None:
        """Note that a process has a key."""
        if key is self._keys[name]:
            self.has_it[name].append(self.simulation.monotonic())

    def start(self, seconds: float) -> None:
        """Start the processes, evenly over that many seconds from now on."""
        for _ in range(self.size):
            moment = self.simulation.monotonic() + random.uniform(0, seconds)
            self.simulation.at(moment, self.simulation.start, self._start_process)

    def call(self, name: str) -> None:
        """Make each process call with a secret from now on, until a call is accepted."""
        for process in self._processes:
            moment = self.simulation.monotonic() + random.uniform(0, CALL_INTERVAL)
            lease = Lease(name, process, self.simulation, AnyRejection(), lambda: None)
            self.simulation.at(moment, self.simulation.start, lambda lease=lease: self._call(lease))

    def set_outage(self, is_down: bool) -> None:
        for region in self.regions:
            region.is_down = is_down

    def _start_process(self) -> None:
        """Read all secrets one after the other. If one cannot be read, the process ends and is started again."""
        for delay in itertools.chain(RESTARTS, itertools.repeat(RESTARTS[-1])):
            process = Process(self)
            try:
                for name in self.names:
                    process.get(name)
                    self.simulation.sleep(random.uniform(0, 2 * START_PAUSE))
            except (ServerException, ClientException):
                self.failed_starts += 1
                process.close()
            else:
                self._processes.append(process)
                self.up.append(self.simulation.monotonic())
                return
            self.simulation.sleep(delay)

    def _call(self, lease: Lease) -> None:
        def send(pull: Callable[[], AccessKey]) -> Tuple[None, Optional[Exception]]:
            if pull() is self._keys[lease.secret_name]:
                return None, None
            self.rejected_calls += 1
            return None, ServerException("InvalidAccessKeyId.NotFound", "rejected", 404)

        while lease.call(send, lambda: None)[1] is not None:
            self.failed_calls += 1
            self.simulation.sleep(random.uniform(0, 2 * CALL_INTERVAL))


class Outcome(NamedTuple):
    """The result of a scenario.

    Attributes:
        processes: the number of processes.
        quota: the reads a second that all regions together answer.
        asked: the number of reads in each second since the scenario's event.
        refused: how many of these were throttled.
        moments: the seconds after which each process had the key, or had started, in ascending order.
        failed: the number of calls, or of starts, that failed.
        seconds: the CPU time of the simulation, or of its longest part.
        rejected: how often a service rejected the former key, even if the call then succeeded.
        operations: the number of the store's operations in each second since the event, in the whole fleet that has it.
        busy: the seconds for which they kept the store's thread busy.
    """

    processes: int
    quota: float
    asked: List[int]
    refused: List[int]
    moments: List[float]
    failed: int
    seconds: float
    rejected: int = 0
    operations: Sequence[int] = ()
    busy: Sequence[float] = ()

    def most(self) -> float:
        """Return the highest average of reads a second over ten seconds, as a multiple of the quota."""
        return max(sum(self.asked[at:at + 10]) for at in range(0, len(self.asked), 10)) / 10 / self.quota

    def throttled(self) -> float:
        """Return the average number of throttled reads of a process."""
        return sum(self.refused) / self.processes

    def seconds_until(self, share: float) -> Optional[float]:
        """Return the seconds until a share of the processes had the key, or had started; None if it never happened."""
        at = math.ceil(share * self.processes) - 1
        return self.moments[at] if at < len(self.moments) else None


def outcome_of(fleet: Fleet, began: float, moments: Sequence[float], failed: int, clock: float) -> Outcome:
    """Return the result of a simulation.

    Args:
        fleet: the fleet.
        began: the moment of the scenario's event.
        moments: when each process had the key, or had started.
        failed: the number of calls, or of starts, that failed.
        clock: the CPU time of this process before the simulation.
    """
    seconds = range(int(began), int(fleet.simulation.monotonic()))
    store = fleet.store
    return Outcome(
        fleet.size,
        sum(region.quota for region in fleet.regions),
        [sum(region.asked[second] for region in fleet.regions) for second in seconds],
        [sum(region.refused[second] for region in fleet.regions) for second in seconds],
        sorted(moment - began for moment in moments),
        failed,
        time.process_time() - clock,
        fleet.rejected_calls,
        [] if store is None else [int(store.operations[second] * store.slower) for second in seconds],
        [] if store is None else [store.busy[second] for second in seconds],
    )


def day(processes: int, started_over: float) -> Outcome:
    """Simulate a day without rotations, from the start of the processes on."""
    clock, fleet = time.process_time(), Fleet(processes)
    with fleet.simulated():
        fleet.start(started_over)
        fleet.simulation.run(24 * HOUR)
    return outcome_of(fleet, 0.0, fleet.up, fleet.failed_starts, clock)


def rotation(
    processes: int,
    announced: bool,
    rejected: bool,
    before: Callable[[Fleet], None] = lambda fleet: None,
    seconds: float = HOUR,
    **fleet_options: Any,
) -> Outcome:
    """Simulate a rotation of one secret.

    Args:
        processes: the number of processes.
        announced: whether NextRotationDate announced it.
        rejected: whether the services reject the former key from then on.
        before: called a minute before the rotation, to do something to the store.
        seconds: how long the fleet is watched from the rotation on.
        fleet_options: further arguments of ``Fleet``.
    """
    clock, fleet = time.process_time(), Fleet(processes, **fleet_options)
    with fleet.simulated():
        fleet.rotate(ROTATED, EVENT if announced else None)
        fleet.start(REFRESH_INTERVAL)
        fleet.simulation.run(EVENT - 60.0)
        before(fleet)
        fleet.simulation.run(EVENT)
        fleet.rotate(ROTATED)
        if rejected:
            fleet.call(ROTATED)
        fleet.simulation.run(EVENT + seconds)
    return outcome_of(fleet, EVENT, fleet.has_it[ROTATED], fleet.failed_calls, clock)


def outage(processes: int, rejected: bool, **fleet_options: Any) -> Outcome:
    """Simulate the time after an outage in which all refreshes fall due, and a secret is rotated.

    Args:
        processes: the number of processes.
        rejected: whether the services reject the former key. They do so in the last minute only, since every minute
            of it would be the same.
        fleet_options: further arguments of ``Fleet``.
    """
    clock, fleet = time.process_time(), Fleet(processes, **fleet_options)
    end = EVENT + REFRESH_INTERVAL
    with fleet.simulated():
        fleet.start(REFRESH_INTERVAL)
        fleet.simulation.run(EVENT)
        fleet.set_outage(True)
        fleet.rotate(ROTATED)
        fleet.simulation.run(end - 60.0)
        if rejected:
            fleet.call(ROTATED)
        fleet.simulation.run(end)
        fleet.set_outage(False)
        fleet.failed_calls = fleet.rejected_calls = 0
        fleet.simulation.run(end + 2 * HOUR)
    return outcome_of(fleet, end, fleet.has_it[ROTATED], fleet.failed_calls, clock)


def start(processes: int, seconds: float, **fleet_options: Any) -> Outcome:
    """Simulate the start of all processes, of which those that fail are started again.

    Args:
        processes: the number of processes.
        seconds: the seconds over which they start.
        fleet_options: further arguments of ``Fleet``.
    """
    clock, fleet = time.process_time(), Fleet(processes, **fleet_options)
    with fleet.simulated():
        fleet.start(seconds)
        fleet.simulation.run(2 * HOUR)
    return outcome_of(fleet, 0.0, fleet.up, fleet.failed_starts, clock)


def redis_down(fleet: Fleet) -> None:
    """Let the store refuse all connections."""
    assert fleet.store is not None
    fleet.store.go_down()


def redis_hung(fleet: Fleet) -> None:
    """Let the store answer nothing."""
    assert fleet.store is not None
    fleet.store.is_hung = True


def redis_restarted(fleet: Fleet) -> None:
    """Let the store be down for a second, and empty afterwards."""
    assert fleet.store is not None
    fleet.store.go_down()
    fleet.simulation.at(fleet.simulation.monotonic() + 1.0, fleet.store.come_back)


class Scenario(NamedTuple):
    """What is simulated.

    Attributes:
        title: as the table has it.
        function: simulates it.
        arguments: the function's.
        options: further arguments of ``Fleet``, or of the function.
        processes: how many processes are simulated, if that does not depend on the command line.
    """

    title: str
    function: Callable[..., Outcome]
    arguments: Tuple[Any, ...]
    options: Dict[str, Any] = {}
    processes: Optional[int] = None


# One store with its 5,000 processes is simulated, and their part of the quota: for 100,000 processes with 20 stores.
STORES: Dict[str, Any] = {"stores": 20}
GROUP = PROCESSES // 20
EMERGENCY = (False, True)
MINUTES = {"seconds": 120.0}

SCENARIOS: Dict[str, Scenario] = {
    "scheduled": Scenario("scheduled rotation", rotation, (True, False)),
    "scheduled-rejected": Scenario("scheduled rotation, former key rejected", rotation, (True, True)),
    "emergency": Scenario("emergency rotation", rotation, EMERGENCY),
    "emergency-2": Scenario("emergency rotation, 2 regions", rotation, EMERGENCY, {"regions": 2}),
    "start-hour": Scenario("start over an hour", start, (HOUR,)),
    "start": Scenario("start at once", start, (1.0,)),
    "start-patient": Scenario("start at once, fetch_timeout 30 minutes", start, (1.0,), {"fetch_timeout": 1800.0}),
    "day": Scenario("a day, started over an hour", day, (HOUR,)),
    "outage": Scenario("after an outage of two hours", outage, (False,)),
    "outage-rejected": Scenario("after an outage, former key rejected", outage, (True,)),
}
SCENARIOS.update({
    "shared-" + name: SCENARIOS[name]._replace(
        title="shared: " + SCENARIOS[name].title, options=dict(SCENARIOS[name].options, **STORES), processes=GROUP)
    for name in ("scheduled", "scheduled-rejected", "emergency", "emergency-2", "start")})
SCENARIOS.update({
    "shared-start-minute": Scenario("shared: start over a minute", start, (60.0,), STORES, GROUP),
    "shared-start-ten": Scenario("shared: start over ten seconds", start, (10.0,), STORES, GROUP),
    # Where each process tries again and again: a fifth of them, with a fifth of a store.
    "shared-outage": Scenario("shared: after an outage", outage, (False,), STORES, GROUP // 5),
    "shared-outage-rejected": Scenario(
        "shared: after an outage, rejected", outage, (True,), STORES, GROUP // 5),
    "lost-10": Scenario("shared: emergency, 10 % lost", rotation, EMERGENCY, dict(
        STORES, lost=0.1, secrets=1, **MINUTES), GROUP),
    "lost-all": Scenario("shared: emergency, all lost", rotation, EMERGENCY, dict(
        STORES, lost=1.0, secrets=1, **MINUTES), GROUP),
    "redis-down": Scenario("shared: emergency, Redis down", rotation, EMERGENCY, dict(
        STORES, before=redis_down, secrets=1, seconds=400.0), GROUP // 5),
    "redis-hung": Scenario("shared: emergency, Redis hangs", rotation, EMERGENCY, dict(
        STORES, before=redis_hung, secrets=1, seconds=400.0), GROUP // 5),
    "redis-restarted": Scenario("shared: emergency, Redis restarted", rotation, EMERGENCY, dict(
        STORES, before=redis_restarted, secrets=1, **MINUTES), GROUP),
})
# An emergency rotation, by the number of processes: of the fleet and of those that are simulated, and of stores.
SCENARIOS.update({
    "size-{}-{}-{}".format(whole, processes, stores): Scenario(
        "emergency: {:,} processes, {} Redis".format(whole, stores or "no"), rotation, EMERGENCY,
        {"whole": whole, "stores": stores, "secrets": 1, "seconds": 120.0 if stores else HOUR}, processes)
    for whole, processes, stores in (
        (1000, 1000, 0), (10000, 10000, 0), (100000, 2500, 0), (1000000, 2500, 0),
        (1000, 1000, 1), (5000, 5000, 1), (10000, 10000, 1), (20000, 20000, 1), (20000, 5000, 1),
        (100000, 10000, 1), (100000, 5000, 20), (1000000, 5000, 200))})


# The file of each plot, its title, its scenarios, and how many hours it shows.
PLOTS = [
    ("day", "A day", ["day"], 24.0),
    ("rotation", "A rotation", ["scheduled", "scheduled-rejected", "emergency", "emergency-2"], 0.2),
    ("outage", "After an outage of two hours", ["outage", "outage-rejected"], 2.0),
    ("start", "The start of a fleet", ["start", "start-patient", "start-hour"], 2.0),
]
STORE_PLOT = ["size-1000-1000-1", "size-5000-5000-1", "size-1000000-5000-200", "size-100000-10000-1",
              "size-1000-1000-0", "size-10000-10000-0", "size-100000-2500-0", "size-1000000-2500-0"]


def play(scenario: str, processes: int, part: int) -> Outcome:
    """Return the result of a scenario for a part of the fleet, which is the same in each run."""
    played = SCENARIOS[scenario]
    random.seed("{} {}".format(scenario, part))
    return played.function(processes, *played.arguments, **played.options)


def together(parts: Sequence[Outcome]) -> Outcome:
    """Return the result of a fleet from those of its parts, of which each had its part of the quota."""
    return Outcome(
        sum(part.processes for part in parts),
        sum(part.quota for part in parts),
        [sum(second) for second in zip(*(part.asked for part in parts))],
        [sum(second) for second in zip(*(part.refused for part in parts))],
        sorted(itertools.chain.from_iterable(part.moments for part in parts)),
        sum(part.failed for part in parts),
        max(part.seconds for part in parts),
        sum(part.rejected for part in parts),
        [sum(second) for second in zip(*(part.operations for part in parts))],
        [max(second) for second in zip(*(part.busy for part in parts))],
    )


def show(scenario: str, outcome: Outcome) -> None:
    """Print a row."""
    print("{:<42}{:>10}{:>9}{:>8.1f}{:>11.1f}{:>9}{:>9}{:>9}{:>9}{:>9}{:>8}{:>6.0%}{:>8.0f}".format(
        SCENARIOS[scenario].title,
        outcome.processes,
        sum(outcome.asked),
        outcome.most(),
        outcome.throttled(),
        *("never" if seconds is None else "{:.{}f} s".format(seconds, 2 * (seconds < 10))
          for seconds in (outcome.seconds_until(share) for share in (0.5, 0.99, 1.0))),
        outcome.failed,
        outcome.rejected,
        max(outcome.operations, default=0),
        max(outcome.busy, default=0.0),
        outcome.seconds
    ), flush=True)


def main(arguments: Optional[Sequence[str]] = None) -> None:
    """Run all scenarios, print the table, and write the plots."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--processes", type=int, default=PROCESSES // 10,
                        help="how many processes, with their part of the quota (default %(default)s)")
    parser.add_argument("--cores", type=int, default=os.cpu_count() or 1, help="how many cores (default %(default)s)")
    parser.add_argument("--only", metavar="SCENARIO", action="append", choices=SCENARIOS, help="play only this one")
    parser.add_argument("--plots", metavar="DIRECTORY", help="write the plots to this directory")
    parser.add_argument(
        "--data", metavar="DIRECTORY", help="keep the results in this directory, and use those that are there already")
    options = parser.parse_args(arguments)

    print("{:<42}{:>10}{:>9}{:>8}{:>11}{:>9}{:>9}{:>9}{:>9}{:>9}{:>8}{:>6}{:>8}".format(
        "", "processes", "reads", "quotas", "throttled", "half", "99 %", "all", "failed", "rejected", "Redis/s", "busy",
        "CPU s"))
    outcomes: Dict[str, Outcome] = {}
    chosen = [name for name in SCENARIOS if not options.only or name in options.only]
    sizes = {name: SCENARIOS[name].processes or options.processes for name in chosen}
    files = {name: os.path.join(options.data or os.devnull, "{}-{}.json".format(name, sizes[name])) for name in chosen}
    with concurrent.futures.ProcessPoolExecutor(options.cores) as pool:
        running = {}
        for name in chosen:
            if not os.path.exists(files[name]):
                # Who shares a store cannot be simulated in parts.
                parts = 1 if SCENARIOS[name].processes else max(min(options.cores, sizes[name] // PART), 1)
                running[name] = [pool.submit(play, name, sizes[name] // parts, part) for part in range(parts)]
        for name, file in files.items():
            if name not in running:
                with open(file) as kept:
                    outcomes[name] = Outcome(*json.load(kept))
            else:
                outcomes[name] = together([part.result() for part in running[name]])
                if options.data:
                    os.makedirs(options.data, exist_ok=True)
                    with open(file, "w") as kept:
                        json.dump(outcomes[name], kept)
            show(name, outcomes[name])
    if options.plots:
        plot(outcomes, options.plots)


def plot(outcomes: Dict[str, Outcome], directory: str) -> None:
    """Write the plots of the reads a second, and of the processes that had the key, or had started."""
    from benchmarks.plots import figure  # needs matplotlib

    for file, title, names, hours in PLOTS:
        shown = [name for name in names if name in outcomes]
        if not shown:
            continue
        step = max(int(hours * HOUR / 360), 1)
        unit, length = ("hours", HOUR) if hours > 1 else ("seconds", 1.0)
        with figure(directory, file, title, 2) as (reads, has_it):
            for name in shown:
                outcome, label = outcomes[name], SCENARIOS[name].title
                at = range(0, int(hours * HOUR), step)
                reads.plot([second / length for second in at],
                           [sum(outcome.asked[second:second + step]) / step / outcome.quota for second in at],
                           label=label, linewidth=1)
                moments = [moment for moment in outcome.moments if moment < hours * HOUR]
                few = moments[::max(len(moments) // 200, 1)]
                has_it.plot([moment / length for moment in few],
                            [100 * bisect.bisect(outcome.moments, moment) / outcome.processes for moment in few],
                            label=label, linewidth=1)
            reads.axhline(1, color="grey", linestyle=":", linewidth=1)
            reads.set_ylabel("reads a second, in quotas")
            if file != "day":
                reads.set_yscale("symlog", linthresh=1)
            reads.set_ylim(bottom=0)
            reads.legend(fontsize="small", frameon=False)
            has_it.set_ylabel("% " + ("started" if file in ("day", "start") else "with the new key"))
            has_it.set_xlabel(unit)
    shown = [name for name in STORE_PLOT if name in outcomes]
    if not shown:
        return
    with figure(directory, "store", "An emergency rotation, with and without a shared store") as (has_it,):
        for name in shown:
            outcome = outcomes[name]
            few = outcome.moments[::max(len(outcome.moments) // 200, 1)]
            has_it.plot([max(moment, 0.01) for moment in few],
                        [100 * bisect.bisect(outcome.moments, moment) / outcome.processes for moment in few],
                        label=SCENARIOS[name].title.split(": ")[-1], linewidth=1)
        has_it.set_xscale("log")
        has_it.set_xlabel("seconds")
        has_it.set_ylabel("% with the new key")
        has_it.legend(fontsize="small", frameon=False, loc="center left", bbox_to_anchor=(1.0, 0.5))


if __name__ == "__main__":
    main()
