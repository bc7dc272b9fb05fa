"""How fetches use the shared store: who asks Secrets Manager for all processes, who waits, and when the store is off.

The store is a hint. Whatever it does, a fetch goes on to the gateways in time.
"""

import logging
import math
from typing import Any, Callable, Dict, Iterator, List, Optional

from ..access_key import AccessKey
from ..secrecy import log_fields
from . import timing
from .actions import Free, GiveUp, Log, Probe, Share, Take
from .entry import Entry, Fetch, Sent, SharedStoreStats, equal_jitter
from .events import FIRST_READ, Found, Position, StoreEnded


class Breaker:
    """Says whether the store is asked. After a failure it is not, until a probe in the background has worked.

    Attributes:
        is_open: whether the store is left alone. The circuit is open then.
        probe_at: when to try it again, by the monotonic clock; infinite while nothing is to be tried.
    """

    def __init__(self) -> None:
        self._pause = 0.0
        self.is_open = False
        self.probe_at = math.inf

    def failed(self, now: float) -> None:
        """Take note of a failure at ``now``, by the monotonic clock."""
        if now < self.probe_at < math.inf:
            return  # the pause has begun: operations that were under way together fail together
        self._pause = min(2 * self._pause, timing.LONGEST_STORE_PAUSE) or timing.FIRST_STORE_PAUSE
        self.is_open = True
        self.probe_at = now + equal_jitter(self._pause)

    def worked(self) -> None:
        """Take note that the store works."""
        self._pause = 0.0
        self.is_open = False
        self.probe_at = math.inf


class Operation:
    """An operation of the store that is under way.

    Args:
        now: when it begins, by the monotonic clock.
        seconds: its time limit.
        latest: when it ends, even if this process does not run.
        entry: the secret's entry; None for a probe.
        fetch: the fetch that waits for it, None if none does.

    Attributes:
        next_look: when to look whether its time is over.
        is_given_up: whether its time is over.
    """

    def __init__(
        self, now: float, seconds: float, latest: float, entry: Optional[Entry], fetch: Optional[Fetch]
    ) -> None:
        self.began = now
        self.entry = entry
        self.fetch = fetch
        self._slice = seconds / timing.SLICES
        self._slices = timing.SLICES
        self._latest = latest
        self.next_look = now + self._slice
        self.is_given_up = False

    def look(self, now: float) -> bool:
        """Return whether its time is over, at ``next_look`` or later."""
        if now - self.next_look <= timing.LATE * self._slice:
            self._slices -= 1
        self.next_look = now + self._slice
        self.is_given_up = self._slices <= 0 or now >= self._latest
        return self.is_given_up


class Sharer:
    """Lets fetches use the shared store.

    Args:
        timeout: the time limit of an operation, in seconds.
        refresh_interval: the age up to which a stored answer serves a first read, in seconds.
        numbers: gives each operation its number; requests get theirs from it, too.
        do: called with each action.
        ask_gateways: called with an entry, its fetch and the moment when the fetch goes on to the gateways.
        adopt: called with an entry, a newer key that another process fetched, its position, when that fetch began by
            the monotonic clock, and the age in seconds. It ends the entry's fetch if that needs nothing else.
    """

    def __init__(
        self,
        timeout: float,
        refresh_interval: float,
        numbers: Iterator[int],
        do: Callable[[Any], None],
        ask_gateways: Callable[[Entry, Fetch, float], None],
        adopt: Callable[[Entry, AccessKey, Position, float, float], None],
    ) -> None:
        self._timeout = timeout
        self._refresh_interval = refresh_interval
        self._numbers = numbers
        self._do = do
        self._ask_gateways = ask_gateways
        self._adopt = adopt
        self._ahead = 0.0  # seconds by which the store's clock is ahead of the monotonic one, or a little more
        self._operations: Dict[int, Operation] = {}
        self._breaker = Breaker()
        self._logged: Dict[str, float] = {}  # by message, when it was logged last

    def begin(self, entry: Entry, fetch: Fetch, now: float) -> None:
        """Begin a fetch: at the store, or at the gateways while the store is off.

        Args:
            entry: the secret's entry.
            fetch: its fetch.
            now: the moment, in seconds of the monotonic clock.
        """
        if self._breaker.is_open:
            self._ask_gateways(entry, fetch, now)
            return
        max_age = -1.0 if not fetch.may_share else self._refresh_interval if fetch.purpose == FIRST_READ else math.inf
        lease = min(timing.LEASE_SHARE * (fetch.deadline - fetch.began), timing.LONGEST_LEASE)
        fetch.operation = self._begin(entry, fetch, now)
        self._do(Take(fetch.operation, entry.name, entry.sharing.position, max_age, lease))

    def advance(self, entry: Entry, now: float) -> None:
        """Ask the store again for a fetch that waits for another process, if it is time to.

        Args:
            entry: the secret's entry.
            now: the moment, by the monotonic clock.
        """
        fetch = entry.fetch
        if fetch is not None and fetch.look_at is not None and now >= fetch.look_at:
            fetch.look_at = None
            self.begin(entry, fetch, now)

    def look(self, now: float) -> List[Entry]:
        """Give up the operations whose time is over; return the entries whose fetches went on by that."""
        changed: List[Entry] = []
        for number, operation in list(self._operations.items()):
            if not operation.is_given_up and now >= operation.next_look and operation.look(now):
                self._do(GiveUp(number))
                self._failed("no answer within {:.0f} ms".format(1000 * self._timeout), now)
                changed += self._go_on(number, operation, now)
        return changed

    def probe(self, now: float) -> None:
        """Try a store that is off, if it is time to."""
        if now >= self._breaker.probe_at:
            self._breaker.probe_at = math.inf  # until the probe has ended
            self._do(Probe(self._begin(None, None, now)))

    def wake_at(self, is_in_use: bool) -> float:
        """Return when something has to be decided, by the monotonic clock; infinite for never.

        Args:
            is_in_use: whether any secret is in use; otherwise a store that is off can stay so.
        """
        moments = [operation.next_look for operation in self._operations.values() if not operation.is_given_up]
        return min(moments + [self._breaker.probe_at if is_in_use else math.inf])

    def ended(self, event: StoreEnded, now: float) -> Optional[Entry]:
        """Take note that an operation ended; return the entry that it was for, if it is to be looked at.

        Args:
            event: what came of it.
            now: the moment, by the monotonic clock.
        """
        operation = self._operations.pop(event.number, None)
        if operation is None:
            return None  # the parent process began it
        entry, fetch = operation.entry, operation.fetch
        if entry is None:
            self._probed(event, operation, now)
            return None
        if event.ignored:
            self.ignore(entry, event.ignored, now)
        if event.error:
            if not operation.is_given_up:
                self._failed(event.error, now)
            self._go_on(event.number, operation, now)
        elif fetch is not None and entry.fetch is fetch and fetch.operation == event.number:
            fetch.operation = None
            self._taken(entry, fetch, event, operation.began, now)
        elif event.is_leased:
            self._free(entry, now)  # it came too late
        return entry

    def announced(self, entry: Entry, found: Optional[Found], now: float) -> bool:
        """Take an answer that another process announced, if it is newer than what is held, or if nothing is.

        Args:
            entry: the secret's entry.
            found: the answer; None if it could not be read.
            now: the moment, by the monotonic clock.

        Returns:
            Whether the secret is to be read again: the store was emptied, and only it can tell what is newer.
        """
        sharing, fetch = entry.sharing, entry.fetch
        if found is not None and found.position == sharing.position:
            return False  # this process announced it
        sharing.announcements += 1
        if found is None:
            self.ignore(entry, "an announcement that is not sealed with the password", now)
        elif sharing.can_tell(found.position):
            if found.position.is_after(sharing.position):
                self._adopt(entry, found.key, found.position, self._began(found.position, now), found.age)
        elif entry.key is not None and not sharing.is_found_news(found.position, self._began(found.position, now)):
            return False  # it is from before the store was emptied
        elif fetch is None:
            return True
        elif fetch.look_at is not None and entry.key is None:
            self._adopt(entry, found.key, found.position, self._began(found.position, now), found.age)
        elif fetch.look_at is not None:
            fetch.look_at = now
        return False

    def share(self, entry: Entry, request: Sent, key: AccessKey, now: float) -> None:
        """Leave an answer that was stored in the shared store, if its request has a position.

        Args:
            entry: the secret's entry.
            request: the request to a gateway.
            key: the answer's key.
            now: the moment, by the monotonic clock.
        """
        fetch = request.fetch
        if fetch.position is not None and not self._breaker.is_open:
            fetch.is_leased = False  # the lease is freed by the same operation
            self._do(Share(self._begin(entry, None, now), entry.name, key, fetch.position))

    def fetch_ended(self, entry: Entry, fetch: Fetch, now: float) -> None:
        """Free the fetch lease of a fetch that brought nothing to share.

        Args:
            entry: the secret's entry.
            fetch: the fetch that ended.
            now: the moment, by the monotonic clock.
        """
        if fetch.is_leased:
            fetch.is_leased = False
            self._free(entry, now)

    def ignore(self, entry: Entry, why: str, now: float) -> None:
        """Take note of a value that cannot be used.

        Args:
            entry: the secret's entry.
            why: what is wrong with it.
            now: the moment, by the monotonic clock.
        """
        entry.sharing.ignored += 1
        self._log_seldom(logging.WARNING, "secret %r: a value of the shared store was ignored: %s", (entry.name, why),
                         log_fields(entry.name), now)

    def stats(self, entry: Entry) -> SharedStoreStats:
        """Return what the store did for a secret. Any thread may call this."""
        s = entry.sharing
        return SharedStoreStats(
            s.hits, s.misses, s.leases, s.waits, s.announcements, s.ignored, self._breaker.is_open)

    def forget(self, now: float) -> None:
        """Forget what is under way, in a forked child, at ``now`` by the monotonic clock."""
        self._operations.clear()
        if self._breaker.is_open:
            self._breaker.probe_at = min(self._breaker.probe_at, now + timing.FIRST_STORE_PAUSE)

    def _begin(self, entry: Optional[Entry], fetch: Optional[Fetch], now: float) -> int:
        number = next(self._numbers)
        seconds, latest = self._timeout, now + timing.MOST_STRETCH * self._timeout
        if fetch is not None:  # the gateways need the rest of its time
            seconds = min(seconds, timing.OPERATION_SHARE * (fetch.deadline - fetch.began))
            latest = min(latest, max(now + seconds, _wait_until(fetch)))
        self._operations[number] = Operation(now, seconds, latest, entry, fetch)
        return number

    def _free(self, entry: Entry, now: float) -> None:
        if not self._breaker.is_open:
            self._do(Free(self._begin(entry, None, now), entry.name))

    def _began(self, position: Position, now: float) -> float:
        """Return when a position was taken by the monotonic clock, or a little earlier.

        It is never after ``now``, even if the store's clock jumped: no later answer may look older.
        """
        return min(position.time / 1000 - self._ahead, now)

    def _taken(self, entry: Entry, fetch: Fetch, event: StoreEnded, asked: float, now: float) -> None:
        """Go on with a fetch after its ``Take``, which was begun at the moment ``asked``."""
        sharing, found = entry.sharing, event.found
        if found is not None:
            self._ahead = found.position.time / 1000 + found.age - asked
            began = self._began(found.position, now)
            if sharing.is_found_news(found.position, began):
                self._adopt(entry, found.key, found.position, began, found.age)
            else:
                fetch.may_share = False
            fetch.founds += 1
            if entry.fetch is not fetch:
                sharing.hits += 1
            elif fetch.founds < timing.MOST_FOUNDS:
                self.begin(entry, fetch, now)
            else:
                self._ask_gateways(entry, fetch, now)
            return
        assert event.position is not None  # nosec B101  # for the type checker
        self._ahead = event.position.time / 1000 - asked
        fetch.position, fetch.is_leased = event.position, event.is_leased
        if sharing.can_tell(event.position) and not event.position.is_after(sharing.position):
            fetch.position = None  # the store lies: an answer in this position would count as old
        wait_until = _wait_until(fetch)
        if event.is_leased or not fetch.may_share or now >= wait_until:
            sharing.misses += 1
            sharing.leases += event.is_leased
            self._ask_gateways(entry, fetch, now)
        else:
            sharing.waits += not fetch.looks
            delay = equal_jitter(min(timing.FIRST_LOOK_DELAY * 2 ** fetch.looks, timing.LONGEST_LOOK_DELAY))
            fetch.looks += 1
            fetch.look_at = min(now + delay, wait_until)

    def _go_on(self, number: int, operation: Operation, now: float) -> List[Entry]:
        """Let the fetch that waits for an operation go on without it; return its entry."""
        entry, fetch = operation.entry, operation.fetch
        if entry is None or fetch is None or entry.fetch is not fetch or fetch.operation != number:
            return []
        fetch.operation = None
        self._ask_gateways(entry, fetch, now)
        return [entry]

    def _failed(self, why: str, now: float) -> None:
        self._breaker.failed(now)
        self._log_seldom(
            logging.WARNING,
            "the shared store fails; until it works again, each process asks Secrets Manager by itself: %s",
            (why,), {}, now)

    def _probed(self, event: StoreEnded, operation: Operation, now: float) -> None:
        if operation.is_given_up:
            return  # its failure is noted
        if event.error:
            self._failed(event.error, now)
        else:
            self._breaker.worked()
            self._do(Log(logging.INFO, "the shared store works again", (), {}))

    def _log_seldom(self, level: int, message: str, args: Any, fields: Dict[str, Any], now: float) -> None:
        if now >= self._logged.get(message, -math.inf) + timing.WARNING_PERIOD:
            self._logged[message] = now
            self._do(Log(level, message, args, fields))


def _wait_until(fetch: Fetch) -> float:
    """Return until when a fetch waits for other processes, by the monotonic clock."""
    return fetch.began + timing.WAIT_SHARE * (fetch.deadline - fetch.began)
