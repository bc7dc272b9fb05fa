"""The AccessKeys by secret name: read, renew, single flight. Knows no network, and takes a clock."""

import logging
import random
import threading
from typing import Callable, Dict, List, NamedTuple, Optional, Union

from .access_key import AccessKey
from .clock import Clock
from .flights import Flights
from .secrets_manager import Fetched, LateAnswer, equal_jitter, is_throttling, no_answer

logger = logging.getLogger(__name__)

FIRST_COOL_DOWN = 0.5
LONGEST_COOL_DOWN = 5.0
# A cool-down ends by then after its fetch started, however long the fetch hung.
COOL_DOWN_END = 5.5
# How much longer than its timeout a flight may take to end, on a machine that is busy.
FLIGHT_MARGIN = 5.0
FIRST_REFRESH_DELAY = 2.0
# Where a fleet asks for more than its quota, whoever asks again soon takes the turn of another.
FIRST_THROTTLED_REFRESH_DELAY = 30.0
LONGEST_REFRESH_DELAY = 300.0
LONGEST_EXPIRY_MARGIN = 600.0
# Up to which part of the interval a refresh comes earlier, so that a fleet does not ask in step. After an outage all of
# it reads within minutes, and would again each interval.
SPREAD = 0.1
SPREAD_AFTER_FAILURE = 0.5

Subscriber = Callable[[str, AccessKey], None]
Schedule = Callable[[str, float], None]


class Renewal(NamedTuple):
    """What a renewal came to.

    Attributes:
        key: the key to use instead of the rejected one, or None.
        error: why there is none, if the fetch failed.
        age: where there is nothing newer, the seconds since the rejected key replaced another, None for a first key.
    """

    key: Optional[AccessKey]
    error: Optional[Exception] = None
    age: Optional[float] = None


class SecretStats(NamedTuple):
    """What became of one secret in this process.

    The counters never fall; in a forked child they start at 0, while version and age are those of the parent's key.

    Attributes:
        version_id: Secrets Manager's id of the version that was read last, None if none was yet; empty if it gave none.
        age: seconds since the secret was read last, None if it was not yet, or it is not known when.
        next_refresh: seconds until it is read again, 0 if it is being refreshed, or about to be; None where that is not
            planned: no client uses it any more, or it was not read yet, or not yet used in a forked child.
        fetches: reads that ended, well or not, each over as many gateways as it took.
        failures: those that failed; one that is answered after its deadline has failed, though the answer is used.
        renewals: those that were made because a service rejected the key.
        rotations: new keys that replaced another.
    """

    version_id: Optional[str]
    age: Optional[float]
    next_refresh: Optional[float]
    fetches: int
    failures: int
    renewals: int
    rotations: int


class Recovered(NamedTuple):
    """An AccessKey that was kept from before, while no region answers a first read; it is asked for again soon.

    Attributes:
        key: the key.
        read: when Secrets Manager gave it, in seconds since the epoch, 0 if nobody knows.
    """

    key: AccessKey
    read: float


class _CoolDown(NamedTuple):
    """While it lasts Secrets Manager is not asked again. ``error`` is None if it had nothing newer."""

    delay: float
    until: float
    error: Optional[Exception]


class _Flight:
    """A fetch in progress: a first read; a renewal, because ``rejected`` was; or ``scheduled``, a refresh."""

    def __init__(self, until: float, rejected: Optional[AccessKey], scheduled: bool) -> None:
        self.until = until  # past it the flight does not count: a signal has ended its leader before it began
        self.rejected = rejected
        self.scheduled = scheduled
        self.purpose = "refresh" if scheduled else "first read" if rejected is None else "renewal"
        self.done = threading.Event()


class _Entry:
    """What is known of one secret."""

    __slots__ = (
        "key", "latest", "started", "fetched_monotonic", "fetched_time", "replaced_at", "flight", "failing", "spread",
        "refresh_failures", "retry_at", "recovered", "idle", "news", "telling", "fetches", "failures", "renewals",
        "rotations"
    )

    def __init__(self) -> None:
        self.key: Optional[AccessKey] = None
        self.latest: Optional[AccessKey] = None  # equal to key, with the dates of the last answer
        self.started = 0
        self.fetched_monotonic = 0.0
        self.fetched_time = 0.0
        self.replaced_at: Optional[float] = None
        self.flight: Optional[_Flight] = None
        self.failing = False  # the last fetch failed
        self.spread = SPREAD
        self.refresh_failures = 0
        self.retry_at = 0.0  # when a refresh that failed may be tried again
        self.recovered = False  # Secrets Manager did not answer: the key was kept from before
        # Nobody uses the secret: its key is kept for the next client, and not refreshed.
        self.idle = True
        self.news: List[AccessKey] = []  # what subscribers are to be told, by the thread that holds telling
        self.telling = threading.Lock()
        self.start_counting()

    def start_counting(self) -> None:
        """Set the counters of ``SecretStats`` to 0."""
        self.fetches = self.failures = self.renewals = self.rotations = 0


class _Keys(Dict[str, AccessKey]):
    """Keys by secret name; one that is not there is read."""

    def __init__(self, read: Callable[[str], AccessKey]) -> None:
        super().__init__()
        self._read = read

    def __missing__(self, name: str) -> AccessKey:
        return self._read(name)


class Cache:
    """One entry a secret.

    Attributes:
        get: returns the key of a secret by its name, a dictionary read once the secret was read; raises
            ServerException, ClientException, SecretFormatError: the first read of the secret failed, now or less than
            a cool-down ago.

    Args:
        fetch: what reads a secret, such as ``SecretsManager.fetch``; it may give what was kept from before.
        clock: the clocks.
        schedule: called with the name of a secret in use and the seconds until it should be refreshed.
        refresh_interval: seconds between refreshes, and the age up to which an unused key serves a new client.
        fetch_timeout: seconds a first read may take.
        renew_timeout: seconds a renewal may take.
    """

    def __init__(
        self,
        fetch: Callable[[str, float, bool, LateAnswer], Union[Fetched, Recovered]],
        clock: Clock,
        schedule: Schedule,
        refresh_interval: float,
        fetch_timeout: float,
        renew_timeout: float,
    ) -> None:
        self._fetch = fetch
        self._clock = clock
        self._schedule = schedule
        self._refresh_interval = refresh_interval
        self._fetch_timeout = fetch_timeout
        self._renew_timeout = renew_timeout
        self._subscribers: List[Subscriber] = []
        # What readers read, without the lock: the keys of the secrets in use.
        self._keys = _Keys(self._first_read)
        self.get: Callable[[str], AccessKey] = self._keys.__getitem__  # itself: a frame would take most of the time
        # Guards what is below, every entry, and writes of _keys; never held over I/O. Reentrant, since the garbage
        # collector may run a finalizer that shuts a client down wherever the lock is held.
        self._lock = threading.RLock()
        self._entries: Dict[str, _Entry] = {}
        self._cool_downs: Dict[str, _CoolDown] = {}
        self._flights = Flights()  # of tasks of event loops

    async def get_async(self, name: str) -> AccessKey:
        """As ``get``."""
        key = self._keys.get(name)
        if key is None:
            self._use(name)
            key, error = await self._flights.join(name, lambda: self._read(name))
            if error is not None:
                raise _copy(error)
        return key

    def read_ahead(self, name: str) -> None:
        """Begin the first read of a secret, unless it was read, and do not wait for it."""
        if name not in self._keys:
            self._use(name)
            self._flights.start(name, lambda: self._read(name))

    def current(self, name: str) -> Optional[AccessKey]:
        """Return the key of a secret in use, as ``get``, but None instead of reading the secret."""
        return self._keys.get(name)

    def renew(self, name: str, rejected: AccessKey) -> Optional[AccessKey]:
        """Return the key to use instead of ``rejected``, None if there is none for now.

        A fetch happens only where the current key is the rejected one, once for all threads, and not in the cool-down
        after one that brought nothing. Takes at most ``renew_timeout``.
        """
        return self.renewal(name, rejected).key

    def renewal(self, name: str, rejected: AccessKey) -> Renewal:
        """As ``renew``, with the error of the fetch, if that is why there is no key."""
        deadline = self._clock.monotonic() + self._renew_timeout
        waited = False
        while True:
            remaining = deadline - self._clock.monotonic()
            with self._lock:
                entry = self._entries.setdefault(name, _Entry())
                known = self._known_renewal(name, entry, rejected)
                if known is not None:
                    return known
                flight = self._flight(entry)
                leads = flight is None and remaining > 0
                if leads:
                    flight = entry.flight = self._new_flight(remaining, rejected)
            if leads and flight is not None:
                try:
                    self._lead(name, flight, remaining, retry=False)
                except Exception as error:
                    logger.warning("secret %r: could not renew the rejected key: %s", name, error)
            elif flight is None or waited:
                return Renewal(None, no_answer("any region", name, self._renew_timeout))
            else:
                logger.debug("secret %r: waiting for the fetch in progress (%s)", name, flight.purpose)
                waited = not flight.done.wait(max(remaining, 0))
            # A refresh that was in progress may have read before the rotation: then the next round asks again.

    async def renewal_async(self, name: str, rejected: AccessKey) -> Renewal:
        """As ``renewal``."""
        with self._lock:
            renewal = self._known_renewal(name, self._entries.setdefault(name, _Entry()), rejected)
        if renewal is None:
            renewal, error = await self._flights.join((name, rejected), lambda: self.renewal(name, rejected))
            if error is not None:
                return Renewal(None, error)
        return renewal

    def refresh(self, name: str) -> bool:
        """Fetch a secret in use because it is due, and schedule the next time, whatever happens.

        Returns:
            Whether this call fetched it.
        """
        with self._lock:
            entry = self._entries.get(name)
            if entry is None or entry.idle:
                return False
            leads = self._flight(entry) is None
            if leads:
                flight = entry.flight = self._new_flight(self._renew_timeout, scheduled=True)
        if not leads:
            self._schedule(name, FIRST_REFRESH_DELAY)
            return False
        try:
            # No longer than a renewal: one that finds a hung refresh must wait for it.
            self._lead(name, flight, self._renew_timeout, retry=False)
        except BaseException as error:
            with self._lock:
                first = FIRST_THROTTLED_REFRESH_DELAY if is_throttling(error) else FIRST_REFRESH_DELAY
                delay = min(first * 2 ** min(entry.refresh_failures, 16), LONGEST_REFRESH_DELAY)
                delay = equal_jitter(delay)
                entry.refresh_failures += 1
                entry.retry_at = self._clock.monotonic() + delay
                in_use = not entry.idle
            logger.warning("secret %r: refresh failed, the key stays; next attempt in %.1f s: %s", name, delay, error)
            if in_use:
                self._schedule(name, delay)
            return False
        return True

    def accepted(self, name: str, key: AccessKey) -> None:
        """End the cool-down of a secret, since a service accepted its current key."""
        if name in self._cool_downs:
            with self._lock:
                if self._entries[name].key == key:
                    self._cool_downs.pop(name, None)

    def is_idle(self, name: str) -> bool:
        """Return whether nobody uses the secret."""
        with self._lock:
            entry = self._entries.get(name)
            return entry is None or entry.idle

    def names(self) -> List[str]:
        """Return the names of the secrets that were read."""
        with self._lock:
            return list(self._entries)

    def stats(self) -> Dict[str, SecretStats]:
        """Return what became of each secret, all at one moment; ``next_refresh`` is the schedule's to say."""
        with self._lock:
            return {
                name: SecretStats(
                    None if entry.latest is None else entry.latest.version_id,
                    self._age(entry) if entry.fetched_time else None,
                    None,
                    entry.fetches,
                    entry.failures,
                    entry.renewals,
                    entry.rotations,
                )
                for name, entry in self._entries.items()
            }

    def retire(self, name: str) -> None:
        """Keep the key of a secret that nobody uses now for the next client, without refreshing it."""
        with self._lock:
            self._keys.pop(name, None)
            if name in self._entries:
                self._entries[name].idle = True

    def cool(self, name: str) -> None:
        """Let the next read of a secret schedule its refresh, since there is no thread for it now."""
        with self._lock:
            self._keys.pop(name, None)

    def subscribe(self, subscriber: Subscriber) -> None:
        """Call ``subscriber(name, key)`` on every new key, in the thread that fetched it or tells of one before it."""
        self._subscribers.append(subscriber)

    def unsubscribe(self, subscriber: Subscriber) -> None:
        """Undo ``subscribe``."""
        self._subscribers.remove(subscriber)

    def store(self, name: str, fetched: Fetched) -> None:
        """Store an answer, unless that of a fetch that started later was stored; tell subscribers of a new key."""
        self._store(name, fetched)
        self._tell(name)

    def _store(self, name: str, fetched: Union[Fetched, Recovered]) -> None:
        """Store an answer and schedule the next refresh."""
        with self._lock:
            entry = self._entries[name]
            former = entry.key
            if isinstance(fetched, Recovered):
                if former is not None:  # a late answer came after all
                    return
                entry.fetched_time = fetched.read
                entry.failures += 1
            else:
                if fetched.started < entry.started:
                    return
                entry.started = fetched.started
                entry.fetched_time = self._clock.time()
            entry.latest = fetched.key
            entry.fetched_monotonic = self._clock.monotonic()
            entry.spread = SPREAD_AFTER_FAILURE if entry.failing or entry.recovered else SPREAD
            entry.recovered = isinstance(fetched, Recovered)
            entry.refresh_failures = int(entry.recovered)
            is_new = former != fetched.key
            if is_new:
                entry.key = fetched.key
                entry.news.append(fetched.key)
                entry.replaced_at = None if former is None else entry.fetched_monotonic
                entry.rotations += former is not None
                self._cool_downs.pop(name, None)
            in_use = not entry.idle
            if in_use and entry.key is not None:
                self._keys[name] = entry.key
            refresh_in = self._refresh_delay(entry, fetched.key)
        if in_use:
            self._schedule(name, refresh_in)
        if is_new:
            logger.info("secret %r: %s %r", name, "recovered" if entry.recovered else
                        "read" if former is None else "rotated to", fetched.key)

    def _tell(self, name: str) -> None:
        """Tell subscribers of the new keys, the newest last: one thread at a time tells of those of a secret."""
        entry = self._entries[name]
        telling = entry.telling  # a subscriber may fork: the child has another
        while entry.news and telling.acquire(False):
            try:
                while entry.news:
                    key = entry.news.pop(0)
                    for subscriber in list(self._subscribers):
                        try:
                            subscriber(name, key)
                        except Exception as error:
                            # Without the traceback and the text: they may hold the key.
                            logger.error("secret %r: a subscriber failed with %s", name, type(error).__name__)
            finally:
                telling.release()

    def before_fork(self) -> None:
        """Keep other threads from being amid a change while the process forks."""
        self._lock.acquire()

    def after_fork_in_parent(self) -> None:
        """Go on, cold: the next read starts the refresher, whose thread must not run before the fork is over."""
        self._keys.clear()
        self._lock.release()

    def after_fork_in_child(self) -> None:
        """Keep the keys, with a fresh lock and no flight; cold, so that the next read of each schedules its refresh."""
        self._flights = Flights()
        self._lock = threading.RLock()
        self._keys.clear()
        for entry in self._entries.values():
            entry.flight = None
            entry.telling = threading.Lock()
            entry.start_counting()

    def _known_renewal(self, name: str, entry: _Entry, rejected: AccessKey) -> Optional[Renewal]:
        """Return what a renewal comes to without a fetch, None if it takes one."""
        if entry.key is not None and entry.key != rejected:
            return Renewal(entry.key)
        cool_down = self._cooling(name)
        if cool_down is None:
            return None
        age = None if entry.replaced_at is None else self._clock.monotonic() - entry.replaced_at
        return Renewal(None, cool_down.error, age)

    def _first_read(self, name: str) -> AccessKey:
        self._use(name)
        return self._read(name)

    def _use(self, name: str) -> None:
        """Take note that a secret is in use, before it is read: it may be retired before that ends, or begins."""
        with self._lock:
            entry = self._entries.setdefault(name, _Entry())
            # What was kept from before is old, but new clients need not wait for an outage each.
            age = self._clock.monotonic() - entry.fetched_monotonic if entry.recovered else self._age(entry)
            if entry.idle and age >= self._refresh_interval:
                entry.key = None
            entry.idle = False

    def _read(self, name: str) -> AccessKey:
        deadline = self._clock.monotonic() + self._fetch_timeout
        waited = False
        while True:
            with self._lock:
                entry = self._entries[name]
                if entry.key is not None and entry.latest is not None:
                    key = entry.key
                    if entry.idle:
                        return key
                    self._keys[name] = key
                    refresh_in = self._refresh_delay(entry, entry.latest)
                    break
                remaining = deadline - self._clock.monotonic()
                flight = self._flight(entry)
                cool_down = self._cooling(name)
                leads = flight is None
                if flight is None:
                    if cool_down is not None and cool_down.error is not None:
                        raise _copy(cool_down.error)
                    flight = entry.flight = self._new_flight(remaining)
            if leads:
                try:
                    self._lead(name, flight, remaining, retry=True)
                except Exception:
                    if entry.key is None:  # else a late answer came after all
                        raise
            elif waited:
                raise no_answer("any region", name, self._fetch_timeout)
            else:
                logger.debug("secret %r: waiting for the fetch in progress (%s)", name, flight.purpose)
                waited = not flight.done.wait(max(remaining, 0))
        self._schedule(name, refresh_in)
        return key

    def _lead(self, name: str, flight: _Flight, timeout: float, retry: bool) -> None:
        """Fetch and store, as the one thread that does; wake those who wait. Raises what the fetch raised."""
        logger.debug("secret %r: fetch begins (%s), %.1f s at most", name, flight.purpose, timeout)
        began = self._clock.monotonic()
        cool_down: Optional[float] = None
        error: Optional[BaseException] = None
        try:
            self._store(name, self._fetch(name, timeout, retry, self.store))
        except BaseException as failure:
            error = failure
            raise
        finally:
            with self._lock:
                entry = self._entries[name]
                if entry.flight is flight:
                    entry.flight = None
                entry.failing = error is not None
                entry.fetches += 1
                entry.failures += error is not None
                entry.renewals += flight.rejected is not None
                if flight.scheduled:
                    if error is None:
                        self._cool_downs.pop(name, None)
                elif isinstance(error, Exception):
                    cool_down = self._start_cool_down(name, began, error)
                elif error is None and flight.rejected is not None and entry.key == flight.rejected:
                    cool_down = self._start_cool_down(name, began, None)
            flight.done.set()
            logger.debug("secret %r: fetch ends (%s), %s after %.3f s", name, flight.purpose,
                         "answered" if error is None else "failed", self._clock.monotonic() - began)
            if cool_down is not None:
                logger.debug("secret %r: not asked for again within %.2f s", name, cool_down)
            error = None  # no reference cycle with the traceback
        self._tell(name)  # when nobody waits for the flight any more

    def _flight(self, entry: _Entry) -> Optional[_Flight]:
        flight = entry.flight
        return flight if flight is not None and self._clock.monotonic() < flight.until else None

    def _new_flight(
        self, timeout: float, rejected: Optional[AccessKey] = None, scheduled: bool = False
    ) -> _Flight:
        return _Flight(self._clock.monotonic() + timeout + FLIGHT_MARGIN, rejected, scheduled)

    def _start_cool_down(self, name: str, began: float, error: Optional[Exception]) -> float:
        """Start the next cool-down, and return its seconds."""
        last = self._cool_downs.get(name)
        delay = FIRST_COOL_DOWN if last is None else min(last.delay * 2, LONGEST_COOL_DOWN)
        now = self._clock.monotonic()
        until = min(now + equal_jitter(delay), max(began + COOL_DOWN_END, now + FIRST_COOL_DOWN / 2))
        self._cool_downs[name] = _CoolDown(delay, until, None if error is None else _copy(error))
        return until - now

    def _cooling(self, name: str) -> Optional[_CoolDown]:
        cool_down = self._cool_downs.get(name)
        return cool_down if cool_down is not None and self._clock.monotonic() < cool_down.until else None

    def _age(self, entry: _Entry) -> float:
        """Return seconds since the last fetch, by the clock that says more: one stands still in a suspended machine."""
        return max(self._clock.monotonic() - entry.fetched_monotonic, self._clock.time() - entry.fetched_time)

    def _refresh_delay(self, entry: _Entry, latest: AccessKey) -> float:
        """Return the seconds until a refresh is due, jittered so that a fleet does not ask in step."""
        backoff = entry.retry_at - self._clock.monotonic()
        if entry.refresh_failures and backoff > 0:  # however often clients come and go, or the process forks
            return backoff
        if entry.recovered:
            return equal_jitter(FIRST_REFRESH_DELAY)
        now = self._clock.time()
        delay = self._refresh_interval * random.uniform(1.0 - entry.spread, 1.0) - self._age(entry)  # nosec B311  # jitter
        # Dates that were over when they were read say nothing of when to read again.
        if latest.next_rotation is not None and latest.next_rotation > entry.fetched_time:
            delay = min(delay, latest.next_rotation - now + random.uniform(1.0, 30.0))  # nosec B311  # jitter
        if latest.expires is not None and latest.expires > entry.fetched_time:
            margin = min((latest.expires - entry.fetched_time) / 5, LONGEST_EXPIRY_MARGIN)
            delay = min(delay, latest.expires - now - equal_jitter(margin))
        return max(delay, 0.0)


def _copy(error: Exception) -> Exception:
    """Return ``error`` again, without traceback and chain: each reader raises one of its own."""
    try:
        copy = type(error).__new__(type(error), *error.args)
        copy.__dict__.update(error.__dict__)
    except Exception:
        return error  # of a class that cannot be made so
    return copy
