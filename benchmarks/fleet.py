"""A fleet against the quota of Secrets Manager, in simulated time: 100,000 processes with 10 secrets each.

Run it with ``nox -s fleet``, which takes hours and writes the plots of the docs, or with ``-- --processes 2000`` for a
small fleet, whose quota is as much smaller: minutes. With ``--data DIRECTORY`` it goes on where it was ended.
Caches, refreshers, retries, pacing and replays are the product's; time, threads and network are simulated, in one
thread: each thread of the product is a greenlet, an answer takes no time, and is parsed but once.
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
import threading
import time
from typing import Any, Callable, Counter, Deque, Dict, Iterator, List, NamedTuple, Optional, Sequence, Tuple
from unittest import mock

from aliyunsdkcore.acs_exception.exceptions import ClientException, ServerException
from greenlet import getcurrent, greenlet

from aliyun_sdk_secretsmanager_common_plugin import cache, refresher, secrets_manager
from aliyun_sdk_secretsmanager_common_plugin.access_key import AccessKey
from aliyun_sdk_secretsmanager_common_plugin.ak_expire_handler import AKExpireHandler
from aliyun_sdk_secretsmanager_common_plugin.clock import Clock
from aliyun_sdk_secretsmanager_common_plugin.gateways import Gateway
from aliyun_sdk_secretsmanager_common_plugin.lease import Lease

PROCESSES = 100000
SECRETS = 10
QUOTA = 1000  # reads a second that a shared gateway answers
PART = 5000  # processes; where each core can play so many, with their part of the quota, chance weighs no more
HOUR = 3600.0
REFRESH_INTERVAL = HOUR
FETCH_TIMEOUT = 10.0
RENEW_TIMEOUT = 2.0
START_PAUSE = 0.5  # seconds between two first reads of a process that starts
CALL_INTERVAL = 5.0  # seconds between two calls of a process with one secret
EVENT = HOUR + 300.0  # when what a scenario is about happens; the fleet was started over the hour before
RESTARTS = (10.0, 20.0, 40.0, 80.0, 160.0, 300.0)  # after so many seconds Kubernetes starts a process again
ROTATED = "secret-0"


class Simulation(Clock):
    """Simulated time, and the greenlets that wait for a moment of it."""

    def __init__(self) -> None:
        self._now = 0.0
        self._agenda: List[Tuple[float, int, Callable[..., Any], Tuple[Any, ...]]] = []
        self._order = itertools.count()
        self._ready: Deque[Callable[[], Any]] = collections.deque()
        self._hub = getcurrent()
        # Greenlets to use again: a new one takes as long as what most of them do. Those that were made in another one
        # have its depth of recursion, and are kept apart, lest it grows.
        self._idle: List[greenlet] = []
        self._idle_now: List[greenlet] = []

    def monotonic(self) -> float:
        return self._now

    time = monotonic

    def sleep(self, seconds: float) -> None:
        self.at(self._now + seconds, getcurrent().switch)
        self._hub.switch()

    def at(self, moment: float, function: Callable[..., Any], *args: Any) -> None:
        """Call a function at a moment; it may not wait."""
        heapq.heappush(self._agenda, (moment, next(self._order), function, args))

    def start(self, function: Callable[[], Any]) -> None:
        """Call a function, which may wait, before time goes on."""
        self._ready.append(functools.partial(self._begin, function))

    def wake(self, waiting: greenlet) -> None:
        """Let a greenlet that gave up its turn go on, before time does."""
        self._ready.append(waiting.switch)

    def give_up_turn(self) -> None:
        """Wait for ``wake``, or what else the greenlet is called by."""
        self._hub.switch()

    def run(self, until: float) -> None:
        """Let time go on until then."""
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

    def run_now(self, function: Callable[[], Any]) -> None:
        """Call a function, which may not wait, before the caller goes on.

        In a greenlet of its own: the traceback of an error there ends there, as in a thread.
        """
        self._run(function, getcurrent(), self._idle_now)

    def _begin(self, function: Callable[[], Any]) -> None:
        self._run(function, self._hub, self._idle)

    def _run(self, function: Callable[[], Any], then: greenlet, idle: List[greenlet]) -> None:
        (idle.pop() if idle else greenlet(self._work, self._hub)).switch(function, then, idle)

    def _work(self, function: Callable[[], Any], then: greenlet, idle: List[greenlet]) -> None:
        while True:
            function()
            idle.append(getcurrent())
            function, then, idle = then.switch()


class Threads:
    """Stands in for the module ``threading``; nobody ever waits for its locks, as the product holds none over I/O.

    Args:
        simulation: where events are waited for.
        start: called with what a thread that is started runs.
    """

    RLock, Lock = staticmethod(threading.RLock), staticmethod(threading.Lock)

    class Condition(type(threading.RLock())):  # type: ignore[misc]
        notify_all = bool  # does nothing: the refreshers are parked

    def __init__(self, simulation: Simulation, start: Callable[[Callable[[], Any]], Any]) -> None:
        self._simulation = simulation
        self._start = start

    def Thread(self, target: Callable[..., Any], args: Sequence[Any] = (), **_: Any) -> "_Thread":  # noqa: N802
        return _Thread(self._start, target, args)

    def Event(self) -> "_Event":  # noqa: N802
        return _Event(self._simulation)


class _Thread:
    __slots__ = ("_start", "_run")

    def __init__(self, start: Callable[..., Any], target: Callable[..., Any], args: Sequence[Any]) -> None:
        self._start = start
        self._run: Optional[Callable[[], Any]] = functools.partial(target, *args)

    def start(self) -> None:
        run, self._run = self._run, None  # as threads let go of what they ran
        self._start(run)


class _Event:
    __slots__ = ("_simulation", "_is_set", "_waiting")

    def __init__(self, simulation: Simulation) -> None:
        self._simulation = simulation
        self._is_set = False
        self._waiting: List[greenlet] = []

    def is_set(self) -> bool:
        return self._is_set

    def set(self) -> None:
        self._is_set = True
        for waiting in self._waiting:
            self._simulation.wake(waiting)
        self._waiting = []

    def wait(self, timeout: float) -> bool:
        if not self._is_set:
            waiting = getcurrent()
            self._waiting.append(waiting)
            self._simulation.at(self._simulation.monotonic() + timeout, self._time_is_up, waiting)
            self._simulation.give_up_turn()
        return self._is_set

    def _time_is_up(self, waiting: greenlet) -> None:
        if waiting in self._waiting:
            self._waiting.remove(waiting)
            self._simulation.wake(waiting)


class Queues:
    """Stands in for the module ``queue``: who gets finds what is there, since requests are answered at once."""

    class Empty(Exception):
        pass

    class Queue(collections.deque):  # type: ignore[type-arg]
        put = collections.deque.append

        def get(self, timeout: float = 0.0) -> Any:
            return self.popleft()

        def empty(self) -> bool:
            return not self


class Region(Gateway):
    """A gateway that answers as many requests a second as its quota is.

    Attributes:
        asked: by second, the requests.
        refused: by second, those of them that were throttled, or came in an outage.
        is_down: whether there is an outage.
        quota: as below.

    Args:
        simulation: the time.
        quota: reads a second that are answered.
        keys: the current keys.
    """

    def __init__(self, simulation: Simulation, quota: float, keys: Dict[str, AccessKey]) -> None:
        self.asked: Counter[int] = collections.Counter()
        self.refused: Counter[int] = collections.Counter()
        self.is_down = False
        self._simulation = simulation
        self.quota = quota
        self._keys = keys

    def get_secret_value(self, secret_name: str, timeout: float) -> Any:
        second = int(self._simulation.monotonic())
        self.asked[second] += 1
        if not self.is_down and self.asked[second] <= self.quota:
            return self._keys[secret_name]
        self.refused[second] += 1
        if self.is_down:
            raise ServerException("ServiceUnavailableTemporary", "down", 503)
        raise ServerException("Rejected.Throttling", "throttled", 429)


class Process:
    """A process of the fleet: what ``ManagedCredentials`` is made of."""

    __slots__ = ("cache", "_refresher", "_simulation", "_wakes_at", "__weakref__")

    def __init__(self, fleet: "Fleet") -> None:
        self._simulation = fleet.simulation
        self._refresher = refresher.Refresher(fleet.simulation, lambda: None)
        self._refresher.park()  # the simulation ticks
        self._wakes_at = float("inf")
        self.cache = cache.Cache(
            secrets_manager.SecretsManager(fleet.regions, fleet.simulation).fetch,
            fleet.simulation,
            self._schedule,
            REFRESH_INTERVAL,
            fleet.fetch_timeout,
            RENEW_TIMEOUT,
        )
        self.cache.subscribe(fleet.note_key)

    def close(self, names: Sequence[str]) -> None:
        """End: nothing is read any more."""
        for name in names:
            self.cache.retire(name)
            self._refresher.cancel((self._refresh, name))

    def _schedule(self, name: str, seconds: float) -> None:
        self._refresher.schedule((self._refresh, name), seconds)
        self._wake_in(seconds)

    def _wake_in(self, seconds: float) -> None:
        moment = self._simulation.monotonic() + seconds
        if moment < self._wakes_at:
            self._wakes_at = moment
            self._simulation.at(moment, self._wake, moment)

    def _wake(self, moment: float) -> None:
        if moment == self._wakes_at:
            self._wakes_at = float("inf")
            self._wake_in(self._refresher.tick())

    def _refresh(self, name: str) -> None:
        began = self._simulation.monotonic()
        self.cache.refresh(name)
        if self._simulation.monotonic() > began:  # others may have waited for its end
            self._wake_in(0.0)


class AnyRejection(AKExpireHandler):
    """Judges errors of a service that says nothing but that it rejects a key."""

    def judge_ak_expire(self, exception: Exception) -> bool:
        return True


class Fleet:
    """Processes that share the quotas of some regions.

    Args:
        processes: how many.
        regions: how many gateways each of them has.
        fetch_timeout: seconds a first read may take.

    Attributes:
        has_it: by name, when each process got the current key.
        failed_calls: how many calls failed, since their key was rejected and no other came.
        up: when each process had read all its secrets.
        failed_starts: how many times a process could not.
    """

    def __init__(self, processes: int, regions: int = 1, fetch_timeout: float = FETCH_TIMEOUT) -> None:
        self.size = processes
        self.fetch_timeout = fetch_timeout
        self.simulation = Simulation()
        self.names = ["secret-{}".format(number) for number in range(SECRETS)]
        self._keys: Dict[str, AccessKey] = {}
        self._versions = itertools.count()
        self.has_it: Dict[str, List[float]] = {}
        for name in self.names:
            self.rotate(name)
        quota = max(QUOTA * processes / PROCESSES, 1.0)
        self.regions = [Region(self.simulation, quota, self._keys) for _ in range(regions)]
        self.up: List[float] = []
        self.failed_starts = 0
        self.failed_calls = 0
        self._processes: List[Process] = []

    @contextlib.contextmanager
    def simulated(self) -> Iterator[None]:
        """While it lasts, the product's modules have the simulation's threads."""
        threads = Threads(self.simulation, self.simulation.start)
        requests = Threads(self.simulation, self.simulation.run_now)  # each is answered at once
        logging.disable(logging.CRITICAL)
        gc.collect()  # the fleet before
        gc.disable()  # there are no cycles in this one, and a million secrets to look at
        with mock.patch.object(cache, "threading", threads), \
                mock.patch.object(refresher, "threading", threads), \
                mock.patch.object(refresher, "LONGEST_SLEEP", float("inf")), \
                mock.patch.object(secrets_manager, "threading", requests), \
                mock.patch.object(secrets_manager, "queue", Queues), \
                mock.patch.object(secrets_manager, "parse_secret", lambda name, answer: answer):
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
        """Take note that a process has a key."""
        if key is self._keys[name]:
            self.has_it[name].append(self.simulation.monotonic())

    def start(self, seconds: float) -> None:
        """Start the processes, over so many seconds from now."""
        for _ in range(self.size):
            moment = self.simulation.monotonic() + random.uniform(0, seconds)
            self.simulation.at(moment, self.simulation.start, self._start_process)

    def call(self, name: str) -> None:
        """Let each process make calls with a secret from now on, until one is accepted."""
        for process in self._processes:
            moment = self.simulation.monotonic() + random.uniform(0, CALL_INTERVAL)
            lease = Lease(name, process.cache, self.simulation, AnyRejection(), lambda: None)
            self.simulation.at(moment, self.simulation.start, lambda lease=lease: self._call(lease))

    def set_outage(self, is_down: bool) -> None:
        for region in self.regions:
            region.is_down = is_down

    def _start_process(self) -> None:
        """Read all secrets, one after the other; one that cannot be read ends the process, which is started again."""
        for delay in itertools.chain(RESTARTS, itertools.repeat(RESTARTS[-1])):
            process = Process(self)
            try:
                for name in self.names:
                    process.cache.get(name)
                    self.simulation.sleep(random.uniform(0, 2 * START_PAUSE))
            except (ServerException, ClientException):
                self.failed_starts += 1
                process.close(self.names)
            else:
                self._processes.append(process)
                self.up.append(self.simulation.monotonic())
                return
            self.simulation.sleep(delay)

    def _call(self, lease: Lease) -> None:
        def send(pull: Callable[[], AccessKey]) -> Tuple[None, Optional[Exception]]:
            if pull() is self._keys[lease.secret_name]:
                return None, None
            return None, ServerException("InvalidAccessKeyId.NotFound", "rejected", 404)

        while lease.call(send, lambda: None)[1] is not None:
            self.failed_calls += 1
            self.simulation.sleep(random.uniform(0, 2 * CALL_INTERVAL))


class Outcome(NamedTuple):
    """What a scenario came to.

    Attributes:
        processes: how many there were.
        quota: how many reads a second all regions answer.
        asked: the reads, by second since the scenario's event.
        refused: those of them that were throttled.
        moments: in order, the seconds after which each process had the key, or had started.
        failed: calls, or starts, that failed.
        seconds: CPU time that the simulation took, that of the part that took longest.
    """

    processes: int
    quota: float
    asked: List[int]
    refused: List[int]
    moments: List[float]
    failed: int
    seconds: float

    def most(self) -> float:
        """Return the most reads a second, on average over ten seconds, in quotas."""
        return max(sum(self.asked[at:at + 10]) for at in range(0, len(self.asked), 10)) / 10 / self.quota

    def throttled(self) -> float:
        """Return how many reads of a process were throttled, on average."""
        return sum(self.refused) / self.processes

    def seconds_until(self, share: float) -> Optional[float]:
        """Return the seconds until that share of the processes had the key, or had started; None if it never did."""
        at = math.ceil(share * self.processes) - 1
        return self.moments[at] if at < len(self.moments) else None


def outcome_of(fleet: Fleet, began: float, moments: Sequence[float], failed: int, clock: float) -> Outcome:
    """Return what came of a fleet since a moment; ``clock`` is when the simulation was started."""
    seconds = range(int(began), int(fleet.simulation.monotonic()))
    return Outcome(
        fleet.size,
        sum(region.quota for region in fleet.regions),
        [sum(region.asked[second] for region in fleet.regions) for second in seconds],
        [sum(region.refused[second] for region in fleet.regions) for second in seconds],
        sorted(moment - began for moment in moments),
        failed,
        time.process_time() - clock,
    )


def day(processes: int, started_over: float) -> Outcome:
    """A day without rotations, from the start on."""
    clock, fleet = time.process_time(), Fleet(processes)
    with fleet.simulated():
        fleet.start(started_over)
        fleet.simulation.run(24 * HOUR)
    return outcome_of(fleet, 0.0, fleet.up, fleet.failed_starts, clock)


def rotation(processes: int, announced: bool, rejected: bool, regions: int = 1) -> Outcome:
    """A rotation of one secret, announced by its date or not; its former key may be rejected from then on."""
    clock, fleet = time.process_time(), Fleet(processes, regions)
    with fleet.simulated():
        fleet.rotate(ROTATED, EVENT if announced else None)
        fleet.start(HOUR)
        fleet.simulation.run(EVENT)
        fleet.rotate(ROTATED)
        if rejected:
            fleet.call(ROTATED)
        fleet.simulation.run(EVENT + HOUR)
    return outcome_of(fleet, EVENT, fleet.has_it[ROTATED], fleet.failed_calls, clock)


def outage(processes: int, rejected: bool) -> Outcome:
    """What follows an outage of an hour, amid which a secret is rotated.

    Its former key may be rejected in the last minute: an hour of that would be the same minute, again and again.
    """
    clock, fleet = time.process_time(), Fleet(processes)
    end = EVENT + HOUR
    with fleet.simulated():
        fleet.start(HOUR)
        fleet.simulation.run(EVENT)
        fleet.set_outage(True)
        fleet.rotate(ROTATED)
        fleet.simulation.run(end - 60.0)
        if rejected:
            fleet.call(ROTATED)
        fleet.simulation.run(end)
        fleet.set_outage(False)
        fleet.failed_calls = 0
        fleet.simulation.run(end + 2 * HOUR)
    return outcome_of(fleet, end, fleet.has_it[ROTATED], fleet.failed_calls, clock)


def start(processes: int, seconds: float, fetch_timeout: float = FETCH_TIMEOUT) -> Outcome:
    """The start of all processes within so many seconds; those that fail are started again."""
    clock, fleet = time.process_time(), Fleet(processes, fetch_timeout=fetch_timeout)
    with fleet.simulated():
        fleet.start(seconds)
        fleet.simulation.run(2 * HOUR)
    return outcome_of(fleet, 0.0, fleet.up, fleet.failed_starts, clock)


# Of each scenario its name, and what plays it.
SCENARIOS: Dict[str, Tuple[str, Callable[..., Outcome], Tuple[Any, ...]]] = {
    "scheduled": ("scheduled rotation", rotation, (True, False)),
    "scheduled-rejected": ("scheduled rotation, former key rejected", rotation, (True, True)),
    "emergency": ("emergency rotation", rotation, (False, True)),
    "emergency-2": ("emergency rotation, 2 regions", rotation, (False, True, 2)),
    "start-30": ("start over 30 minutes", start, (1800.0,)),
    "start": ("start at once", start, (1.0,)),
    "start-patient": ("start at once, fetch_timeout 30 minutes", start, (1.0, 1800.0)),
    "day": ("a day, started over an hour", day, (HOUR,)),
    "outage": ("after an outage of an hour", outage, (False,)),
    "outage-rejected": ("after an outage, former key rejected", outage, (True,)),
}


# Of each plot its file, title, scenarios, and how many hours of them it shows.
PLOTS = [
    ("day", "A day", ["day"], 24.0),
    ("rotation", "A rotation", ["scheduled", "scheduled-rejected", "emergency", "emergency-2"], 0.1),
    ("outage", "After an outage of an hour", ["outage", "outage-rejected"], 2.0),
    ("start", "The start of a fleet", ["start", "start-patient", "start-30"], 2.0),
]


def play(scenario: str, processes: int, part: int) -> Outcome:
    """Return what came of a scenario to a part of the fleet; the same again in each run."""
    _, function, arguments = SCENARIOS[scenario]
    random.seed("{} {}".format(scenario, part))
    return function(processes, *arguments)


def together(parts: Sequence[Outcome]) -> Outcome:
    """Return what came of a fleet, from what came of its parts, each with its part of the quota."""
    return Outcome(
        sum(part.processes for part in parts),
        sum(part.quota for part in parts),
        [sum(second) for second in zip(*(part.asked for part in parts))],
        [sum(second) for second in zip(*(part.refused for part in parts))],
        sorted(itertools.chain.from_iterable(part.moments for part in parts)),
        sum(part.failed for part in parts),
        max(part.seconds for part in parts),
    )


def show(scenario: str, outcome: Outcome) -> None:
    """Print a row."""
    print("{:<42}{:>10}{:>8.1f}{:>11.1f}{:>9}{:>9}{:>9}{:>9}{:>8.0f}".format(
        SCENARIOS[scenario][0],
        outcome.processes,
        outcome.most(),
        outcome.throttled(),
        *("never" if seconds is None else "{:.0f} s".format(seconds)
          for seconds in (outcome.seconds_until(share) for share in (0.5, 0.99, 1.0))),
        outcome.failed,
        outcome.seconds
    ), flush=True)


def main(arguments: Optional[Sequence[str]] = None) -> None:
    """Print the table, and write plots."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--processes", type=int, default=PROCESSES, help="of the fleet (%(default)s)")
    parser.add_argument("--plots", metavar="DIRECTORY", help="write the plots to this directory")
    parser.add_argument(
        "--data", metavar="DIRECTORY", help="keep what came of each scenario here, and play none that is here already")
    options = parser.parse_args(arguments)

    print("{:<42}{:>10}{:>8}{:>11}{:>9}{:>9}{:>9}{:>9}{:>8}".format(
        "", "processes", "quotas", "throttled", "half", "99 %", "all", "failed", "CPU s"))
    outcomes: Dict[str, Outcome] = {}
    cores = os.cpu_count() or 1
    parts = max(min(cores, options.processes // PART), 1)
    files = {name: os.path.join(options.data or os.devnull, "{}-{}.json".format(name, options.processes))
             for name in SCENARIOS}
    with concurrent.futures.ProcessPoolExecutor(cores) as pool:
        running = {name: [pool.submit(play, name, options.processes // parts, part) for part in range(parts)]
                   for name in SCENARIOS if not os.path.exists(files[name])}
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
    """Write plots of reads a second, and of the processes that had the key, or had started."""
    from benchmarks.plots import figure  # only where matplotlib is

    for file, title, names, hours in PLOTS:
        step = max(int(hours * HOUR / 360), 1)
        unit, length = ("hours", HOUR) if hours > 1 else ("seconds", 1.0)
        with figure(directory, file, title, 2) as (reads, has_it):
            for name in names:
                outcome, label = outcomes[name], SCENARIOS[name][0]
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


if __name__ == "__main__":
    main()
