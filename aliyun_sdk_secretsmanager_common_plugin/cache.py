"""The AccessKeys by secret name: read, renew, single flight. Knows no network, and takes a clock."""

import logging
import random
import threading
from typing import Callable, Dict, List, NamedTuple, Optional

from .access_key import AccessKey
from .clock import Clock
from .secrets_manager import Fetch, Fetched, equal_jitter, no_answer

logger = logging.getLogger(__name__)

FIRST_COOL_DOWN = 0.5
LONGEST_COOL_DOWN = 5.0
# A cool-down ends by then after its fetch started, however long the fetch hung.
COOL_DOWN_END = 5.5
# How much longer than its timeout a flight may take to end, on a machine that is busy.
FLIGHT_MARGIN = 5.0
FIRST_REFRESH_DELAY = 2.0
LONGEST_REFRESH_DELAY = 300.0
LONGEST_EXPIRY_MARGIN = 600.0

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


class _CoolDown(NamedTuple):
    """While it lasts Secrets Manager is not asked again. ``error`` is None if it had nothing newer."""

    delay: float
    until: float
    error: Optional[Exception]


class _Flight:
    """A fetch in progress: a first read; a renewal, because ``rejected`` was; or ``scheduled``, a refresh."""

    def __init__(self, until: float, rejected: Optional[AccessKey] = None, scheduled: bool = False) -> None:
        self.until = until  # past it the flight does not count: a signal has ended its leader before it began
        self.rejected = rejected
        self.scheduled = scheduled
        self.done = threading.Event()


class _Entry:
    """What is known of one secret."""

    def __init__(self) -> None:
        self.key: Optional[AccessKey] = None
        self.latest: Optional[AccessKey] = None  # equal to key, with the dates of the last answer
        self.started = 0
        self.fetched_monotonic = 0.0
        self.fetched_time = 0.0
        self.replaced_at: Optional[float] = None
        self.flight: Optional[_Flight] = None
        self.refresh_failures = 0
        # Nobody uses the secret: its key is kept for the next client, and not refreshed.
        self.idle = True


class Cache:
    """One entry a secret.

    Args:
        fetch: what reads a secret, such as ``SecretsManager.fetch``.
        clock: the clocks.
        schedule: called with the name of a secret in use and the seconds until it should be refreshed.
        refresh_interval: seconds between refreshes, and the age up to which an unused key serves a new client.
        fetch_timeout: seconds a first read may take.
        renew_timeout: seconds a renewal may take.
    """

    def __init__(
        self,
        fetch: Fetch,
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
        self._keys: Dict[str, AccessKey] = {}
        # Guards what is below, every entry, and writes of _keys; never held over I/O. Reentrant, since the garbage
        # collector may run a finalizer that shuts a client down wherever the lock is held.
        self._lock = threading.RLock()
        self._entries: Dict[str, _Entry] = {}
        self._cool_downs: Dict[str, _CoolDown] = {}

    def get(self, name: str) -> AccessKey:
        """Return the key of secret ``name``: a dictionary read, once the secret was read.

        Raises:
            ServerException, ClientException, SecretFormatError: the first read of the secret failed, now or less than
                a cool-down ago.
        """
        key = self._keys.get(name)
        return key if key is not None else self._read(name)

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
                if entry.key is not None and entry.key != rejected:
                    return Renewal(entry.key)
                cool_down = self._cooling(name)
                if cool_down is not None:
                    replaced_at = entry.replaced_at
                    age = None if replaced_at is None else self._clock.monotonic() - replaced_at
                    return Renewal(None, cool_down.error, age)
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
                waited = not flight.done.wait(max(remaining, 0))
            # A refresh that was in progress may have read before the rotation: then the next round asks again.

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
                delay = min(FIRST_REFRESH_DELAY * 2 ** min(entry.refresh_failures, 16), LONGEST_REFRESH_DELAY)
                entry.refresh_failures += 1
                in_use = not entry.idle
            delay = equal_jitter(delay)
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

    def retire(self, name: str) -> None:
        """Keep the key of a secret that nobody uses now for the next client, without refreshing it."""
        with self._lock:
            self._keys.pop(name, None)
            if name in self._entries:
                self._entries[name].idle = True

    def subscribe(self, subscriber: Subscriber) -> None:
        """Call ``subscriber(name, key)`` on every new key, in the thread that fetched it."""
        self._subscribers.append(subscriber)

    def unsubscribe(self, subscriber: Subscriber) -> None:
        """Undo ``subscribe``."""
        self._subscribers.remove(subscriber)

    def store(self, name: str, fetched: Fetched) -> None:
        """Store an answer, unless that of a fetch that started later was stored; tell subscribers of a new key."""
        self._tell(name, self._store(name, fetched))

    def _store(self, name: str, fetched: Fetched) -> Optional[AccessKey]:
        """Store an answer and schedule the next refresh; return the key if it is new."""
        with self._lock:
            entry = self._entries[name]
            if fetched.started < entry.started:
                return None
            former = entry.key
            entry.started = fetched.started
            entry.latest = fetched.key
            entry.fetched_monotonic, entry.fetched_time = self._clock.monotonic(), self._clock.time()
            entry.refresh_failures = 0
            is_new = former != fetched.key
            if is_new:
                entry.key = fetched.key
                entry.replaced_at = None if former is None else entry.fetched_monotonic
                self._cool_downs.pop(name, None)
            in_use = not entry.idle
            if in_use and entry.key is not None:
                self._keys[name] = entry.key
            refresh_in = self._refresh_delay(entry, fetched.key)
        if in_use:
            self._schedule(name, refresh_in)
        if not is_new:
            return None
        logger.info("secret %r: %s %r", name, "read" if former is None else "rotated to", fetched.key)
        return fetched.key

    def _tell(self, name: str, key: Optional[AccessKey]) -> None:
        if key is not None:
            for subscriber in list(self._subscribers):
                try:
                    subscriber(name, key)
                except Exception as error:
                    # Without the traceback and the text: they may hold the key.
                    logger.error("secret %r: a subscriber failed with %s", name, type(error).__name__)

    def before_fork(self) -> None:
        """Keep other threads from being amid a change while the process forks."""
        self._lock.acquire()

    def after_fork_in_parent(self) -> None:
        """Go on, cold: the next read starts the refresher, whose thread must not run before the fork is over."""
        self._keys.clear()
        self._lock.release()

    def after_fork_in_child(self) -> None:
        """Keep the keys, with a fresh lock and no flight; cold, so that the next read of each schedules its refresh."""
        self._lock = threading.RLock()
        self._keys.clear()
        for entry in self._entries.values():
            entry.flight = None

    def _read(self, name: str) -> AccessKey:
        deadline = self._clock.monotonic() + self._fetch_timeout
        waited = False
        while True:
            with self._lock:
                entry = self._entries.setdefault(name, _Entry())
                if entry.idle and self._age(entry) >= self._refresh_interval:
                    entry.key = None
                entry.idle = False
                if entry.key is not None and entry.latest is not None:
                    key = self._keys[name] = entry.key
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
                waited = not flight.done.wait(max(remaining, 0))
        self._schedule(name, refresh_in)
        return key

    def _lead(self, name: str, flight: _Flight, timeout: float, retry: bool) -> None:
        """Fetch and store, as the one thread that does; wake those who wait. Raises what the fetch raised."""
        began = self._clock.monotonic()
        error: Optional[BaseException] = None
        try:
            new = self._store(name, self._fetch(name, timeout, retry, self.store))
        except BaseException as failure:
            error = failure
            raise
        finally:
            with self._lock:
                entry = self._entries[name]
                if entry.flight is flight:
                    entry.flight = None
                if flight.scheduled:
                    if error is None:
                        self._cool_downs.pop(name, None)
                elif isinstance(error, Exception):
                    self._start_cool_down(name, began, error)
                elif error is None and flight.rejected is not None and entry.key == flight.rejected:
                    self._start_cool_down(name, began, None)
            flight.done.set()
            error = None  # no reference cycle with the traceback
        self._tell(name, new)  # when nobody waits for the flight any more

    def _flight(self, entry: _Entry) -> Optional[_Flight]:
        flight = entry.flight
        return flight if flight is not None and self._clock.monotonic() < flight.until else None

    def _new_flight(
        self, timeout: float, rejected: Optional[AccessKey] = None, scheduled: bool = False
    ) -> _Flight:
        return _Flight(self._clock.monotonic() + timeout + FLIGHT_MARGIN, rejected, scheduled)

    def _start_cool_down(self, name: str, began: float, error: Optional[Exception]) -> None:
        last = self._cool_downs.get(name)
        delay = FIRST_COOL_DOWN if last is None else min(last.delay * 2, LONGEST_COOL_DOWN)
        now = self._clock.monotonic()
        until = min(now + equal_jitter(delay), max(began + COOL_DOWN_END, now + FIRST_COOL_DOWN / 2))
        self._cool_downs[name] = _CoolDown(delay, until, None if error is None else _copy(error))

    def _cooling(self, name: str) -> Optional[_CoolDown]:
        cool_down = self._cool_downs.get(name)
        return cool_down if cool_down is not None and self._clock.monotonic() < cool_down.until else None

    def _age(self, entry: _Entry) -> float:
        """Return seconds since the last fetch, by the clock that says more: one stands still in a suspended machine."""
        return max(self._clock.monotonic() - entry.fetched_monotonic, self._clock.time() - entry.fetched_time)

    def _refresh_delay(self, entry: _Entry, latest: AccessKey) -> float:
        """Return the seconds until a refresh is due, jittered so that a fleet does not ask in step."""
        now = self._clock.time()
        delay = self._refresh_interval * random.uniform(0.9, 1.0) - self._age(entry)
        # Dates that were over when they were read say nothing of when to read again.
        if latest.next_rotation is not None and latest.next_rotation > entry.fetched_time:
            delay = min(delay, latest.next_rotation - now + random.uniform(1.0, 30.0))
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
