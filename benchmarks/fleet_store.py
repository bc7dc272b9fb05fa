"""The shared store of a simulated fleet: it does what the scripts of ``stores/redis_store.py`` do, and as slowly."""

import collections
import math
import random
from typing import Any, Callable, Counter, Dict, List, NamedTuple, Optional, Tuple

from aliyun_sdk_secretsmanager_common_plugin.access_key import AccessKey
from aliyun_sdk_secretsmanager_common_plugin.keeper.actions import Probe, Share, Take
from aliyun_sdk_secretsmanager_common_plugin.keeper.events import Announced, Found, Position, StoreEnded

# Seconds from a process to Redis, or back.
AWAY = 0.0005
# Seconds for which a process keeps a connection that it does not use.
KEPT = 10.0
# A listener that lost its connection connects again after a pause. It doubles between these two, in seconds.
PAUSES = (0.5, 30.0)
GROUPS = 50  # an announcement reaches so many parts of a fleet one after the other


class Costs(NamedTuple):
    """Seconds of Redis's one thread, as ``benchmarks.fleet_redis`` measured them.

    Attributes:
        found: a ``Take`` that finds an answer.
        taken: a ``Take`` that brings a position.
        shared: a ``Share``, without the announcement.
        told: an announcement, for each process that hears it.
        other: another operation.
        connected: a new connection.
    """

    found: float = 45e-6
    taken: float = 51e-6
    shared: float = 46e-6
    told: float = 17e-6
    other: float = 29e-6
    connected: float = 105e-6


MEASURED = Costs()


class Hash:
    """What Redis holds of a secret; the attributes are named after the fields in ``stores/redis_store.py``."""

    def __init__(self, generation: str) -> None:
        self.generation = generation
        self.count = 0
        self.number = 0
        self.taken = 0
        self.key: Optional[AccessKey] = None
        self.until = 0.0


class Store:
    """A simulated Redis, with one thread that does one thing after the other.

    Args:
        simulation: the simulated time.
        life: seconds for which a hash lasts.
        slower: how many times longer everything takes: for a part of a fleet, which has that part of a Redis.
        lost: the part of the announcements that get lost, for each process.
        costs: how long everything takes.

    Attributes:
        slower: how many times longer everything takes.
        operations: how many operations there were, by second.
        busy: the seconds that they took, by the second in which they came.
        is_hung: whether it accepts everything, and answers nothing.
    """

    def __init__(
        self, simulation: Any, life: float, slower: float = 1.0, lost: float = 0.0, costs: Costs = MEASURED
    ) -> None:
        self._simulation = simulation
        self._life = life
        self._lost = lost
        self._costs = Costs(*(slower * cost for cost in costs))
        self.slower = slower
        self._hashes: Dict[str, Hash] = {}
        self._leases: Dict[str, Tuple[Any, float]] = {}  # the owner, and when the lease ends
        self._listeners: Dict[Any, Callable[[Announced], None]] = {}
        self._wanted: Dict[Any, Callable[[Announced], None]] = {}
        self._used: Dict[Any, float] = {}  # when each process used its connection last
        self._free_at = 0.0
        self._down_since: Optional[float] = None
        self.is_hung = False
        self.operations: Counter[int] = collections.Counter()
        self.busy: Counter[int] = collections.Counter()

    def run(self, owner: Any, action: Any) -> Tuple[float, StoreEnded]:
        """Carry out an action; return when its end is known, and what came of it.

        Args:
            owner: the process.
            action: a ``Take``, ``Share``, ``Free`` or ``Probe``.
        """
        now = self._simulation.monotonic()
        if self._down_since is not None:
            return now + AWAY, StoreEnded(action.number, error="down")
        if now > self._used.get(owner, -math.inf) + KEPT:
            self._spend(self._costs.connected)
        self._used[owner] = now
        if self.is_hung:
            return math.inf, StoreEnded(action.number, error="hung")
        self.operations[int(now)] += 1
        ended: StoreEnded = getattr(self, "_" + type(action).__name__.lower())(owner, action)
        return self._free_at + AWAY, ended

    def listen(self, owner: Any, heard: Callable[[Announced], None]) -> None:
        """Tell a process of all announcements from now on.

        Args:
            owner: the process.
            heard: called with each ``Announced``.
        """
        if owner not in self._wanted:
            self._wanted[owner] = heard
            self._connect(owner)

    def leave(self, owner: Any) -> None:
        """Forget a process that ended."""
        for each in (self._wanted, self._listeners, self._used):
            each.pop(owner, None)  # type: ignore[attr-defined]

    def go_down(self) -> None:
        """Refuse all connections from now on."""
        self._down_since = self._simulation.monotonic()
        self._listeners.clear()

    def come_back(self) -> None:
        """Accept connections again, with nothing in store."""
        now = self._simulation.monotonic()
        assert self._down_since is not None
        pause = min(max(now - self._down_since, PAUSES[0]), PAUSES[1])
        self._down_since, self._free_at = None, now
        for each in (self._hashes, self._leases, self._used):
            each.clear()  # type: ignore[attr-defined]
        for owner in self._wanted:
            self._simulation.at(now + random.uniform(pause / 2, pause), self._connect, owner)

    def _connect(self, owner: Any) -> None:
        if self._down_since is None and owner in self._wanted:
            self._spend(self._costs.connected)
            self._listeners[owner] = self._wanted[owner]

    def _spend(self, seconds: float) -> float:
        """Keep Redis busy; return when it is through."""
        now = self._simulation.monotonic()
        self.busy[int(now)] += seconds  # type: ignore[assignment]
        self._free_at = max(now + AWAY, self._free_at) + seconds
        return self._free_at

    def _hash(self, name: str, now: float) -> Optional[Hash]:
        held = self._hashes.get(name)
        return held if held is not None and now < held.until else None

    def _take(self, owner: Any, action: Take) -> StoreEnded:
        name, known = action.name, action.known
        held = self._hash(name, self._free_at)
        generation, number = ("", 0) if known is None else known[:2]
        at = int(1000 * max(self._free_at, self._simulation.monotonic() + AWAY))
        if held is not None and held.key is not None and at - held.taken <= 1000 * action.max_age and (
                held.generation != generation or held.number > number):
            self._spend(self._costs.found)
            place = Position(held.generation, held.number, held.taken)
            return StoreEnded(action.number, Found(held.key, place, (at - held.taken + 1) / 1000))
        now = self._spend(self._costs.taken)
        if held is None:
            held = self._hashes[name] = Hash("%032x" % random.getrandbits(128))
        if held.generation == generation:
            held.count = max(held.count, number)
        held.count += 1
        held.until = now + self._life
        holder, until = self._leases.get(name, (None, 0.0))
        may = holder is owner or now >= until
        if may:
            self._leases[name] = owner, now + action.lease
        return StoreEnded(action.number, position=Position(held.generation, held.count, at), is_leased=may)

    def _share(self, owner: Any, action: Share) -> StoreEnded:
        name, (generation, number, taken) = action.name, action.position
        now = self._spend(self._costs.shared)
        held = self._hash(name, now)
        if held is None:
            held = self._hashes[name] = Hash(generation)
            held.count = number
        if held.generation == generation and number > held.number:
            held.number, held.taken, held.key, held.until = number, taken, action.key, now + self._life
            self._announce(now, Announced(name, Found(action.key, action.position, 0.0)))
        self._free(owner, action, 0.0)
        return StoreEnded(action.number)

    def _free(self, owner: Any, action: Any, seconds: Optional[float] = None) -> StoreEnded:
        self._spend(self._costs.other if seconds is None else seconds)
        if self._leases.get(action.name, (None, 0.0))[0] is owner:
            del self._leases[action.name]
        return StoreEnded(action.number)

    def _probe(self, owner: Any, action: Probe) -> StoreEnded:
        self._spend(self._costs.other)
        return StoreEnded(action.number)

    def _announce(self, now: float, announced: Announced) -> None:
        """Tell all listeners, one part after the other, while Redis does nothing else."""
        listeners = list(self._listeners.items())
        size = max(len(listeners) // GROUPS, 1)
        for first in range(0, len(listeners), size):
            group = listeners[first:first + size]
            heard_at = now + (first + len(group)) * self._costs.told + AWAY
            self._simulation.at(heard_at, self._tell, group, announced)
        self._spend(len(listeners) * self._costs.told)

    def _tell(self, group: List[Tuple[Any, Callable[[Announced], None]]], announced: Announced) -> None:
        for owner, heard in group:
            if owner in self._listeners and random.random() >= self._lost:
                heard(announced)
