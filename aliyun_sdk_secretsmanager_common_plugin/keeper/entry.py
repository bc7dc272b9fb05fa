"""What a keeper knows of one secret: its key, the fetch in progress, the requests under way and who waits."""

import math
import random
from typing import Any, Dict, Iterable, Iterator, List, NamedTuple, Optional, Tuple

from ..access_key import AccessKey
from .events import Asked, Position
from .timing import SPREAD

# This many replaced keys are remembered, to tell a key that comes back from a new one.
MOST_FORMER_KEYS = 8


class Renewal(NamedTuple):
    """The answer to a renewal.

    Attributes:
        key: the key to use instead of the rejected one, or None.
        error: why there is none, if the fetch failed.
        age: if there is no newer key: the seconds since the rejected key replaced another, None for a first key.
    """

    key: Optional[AccessKey]
    error: Optional[Exception] = None
    age: Optional[float] = None


class SecretStats(NamedTuple):
    """The statistics of one secret in this process.

    The counters never fall. In a forked child they start at 0, but version and age are those of the parent's key.

    Attributes:
        version_id: Secrets Manager's id of the version that was read last. None before the first read, empty if
            Secrets Manager gave no id.
        age: seconds since the secret was read last; None if it was not read yet, or the time is not known.
        next_refresh: seconds until the next refresh, 0 if it is running or about to. None if no refresh is planned:
            no client uses the secret, it was not read yet, or it was not used yet in a forked child.
        fetches: fetches that ended, successful or not. A fetch may ask several gateways.
        failures: fetches that failed. One that is answered after its deadline failed, though its answer is used.
        renewals: fetches that were made because a service rejected the key.
        rotations: new keys that replaced another.
        expires_in: seconds until the temporary key expires, negative afterwards. None if the key does not expire.
        shared_store: what the shared store did for the secret; None if there is no such store.
    """

    version_id: Optional[str]
    age: Optional[float]
    next_refresh: Optional[float]
    fetches: int
    failures: int
    renewals: int
    rotations: int
    expires_in: Optional[float] = None
    shared_store: Optional["SharedStoreStats"] = None


class Read:
    """A fetch as the floor counts it.

    Attributes:
        began: when the fetch began, by the monotonic clock.
        new_key: the key that it brought, if the process had never held it. When a service accepts this key, the fetch
            no longer counts.
    """

    __slots__ = ("began", "new_key")

    def __init__(self, began: float) -> None:
        self.began = began
        self.new_key: Optional[AccessKey] = None


class Recovery(NamedTuple):
    """The program's store is being asked for a key, since no gateway answered a first read.

    Attributes:
        failure: the error of the fetch.
        began: when that fetch began.
        until: when the store is waited for no longer.
    """

    failure: Exception
    began: float
    until: float


class Sent:
    """A request that was sent to a gateway and has not ended.

    Attributes:
        number: its number; a larger one started later.
        gateway: the gateway's index in the configuration.
        fetch: the fetch that it was sent for.
        began: when it was sent.
        expires: when it is given up.
    """

    __slots__ = ("number", "gateway", "fetch", "began", "expires", "is_given_up")

    def __init__(self, number: int, gateway: int, fetch: "Fetch", began: float, expires: float) -> None:
        self.number = number
        self.gateway = gateway
        self.fetch = fetch
        self.began = began
        self.expires = expires
        self.is_given_up = False


class Fetch:
    """One read of a secret, over as many gateways and attempts as it takes.

    Args:
        purpose: ``FIRST_READ``, ``RENEWAL`` or ``REFRESH``.
        rejected: the key that a renewal is to replace.
        began: when it begins.
        deadline: when it has failed.
        delays: the waits between its attempts, in seconds.
        ticket: who asked for a refresh; None if the schedule did.
    """

    def __init__(
        self,
        purpose: str,
        rejected: Optional[AccessKey],
        began: float,
        deadline: float,
        delays: Iterable[float] = (),
        ticket: Any = None,
    ) -> None:
        self.purpose = purpose
        self.rejected = rejected
        self.ticket = ticket
        self.is_for_signing = False  # a refresh because of ``Signed``
        # Of the shared store: whether an answer of another process will do; the operation that is waited for; when to
        # ask again while another process has the fetch lease, and how often that was so; how often a stored answer did
        # not end it; the position that the answer will have; and whether this process has the fetch lease.
        self.may_share = True
        self.operation: Optional[int] = None
        self.look_at: Optional[float] = None
        self.looks = 0
        self.founds = 0
        self.position: Optional[Position] = None
        self.is_leased = False
        self.read = Read(began)
        self.began = began
        self.deadline = deadline
        self.delays: Iterator[float] = iter(delays)
        self.resume_at: Optional[float] = None  # when the next attempt begins, between two attempts
        self.refusal: Optional[Exception] = None  # the last error that was an answer of Secrets Manager
        # Of the current attempt, gateways by their index:
        self.to_ask: List[int] = []
        self.waiting: Dict[int, float] = {}  # until when each gateway's answer is waited for
        self.silent: List[int] = []  # the gateways that did not answer in time
        self.errors: List[Exception] = []  # the errors of the others
        self.latest = -1  # the gateway that was asked last
        self.next_at = began  # when the next gateway is asked as well
        self.held: Optional[Tuple[int, float]] = None  # a gateway that has to wait, and until when

    def is_at_store(self) -> bool:
        """Return whether it waits for the shared store, and no gateway is asked yet."""
        return self.operation is not None or self.look_at is not None

    def is_under_way(self) -> bool:
        """Return whether it waits for a gateway, or for its next attempt."""
        return bool(self.waiting) or self.held is not None or self.resume_at is not None

    def has_asked(self, gateway: int) -> bool:
        """Return whether this attempt waits for a gateway, or did so in vain."""
        return gateway in self.waiting or gateway in self.silent

    def forget_asked(self, gateway: int) -> None:
        """Forget that this attempt asked a gateway."""
        self.waiting.pop(gateway, None)
        if gateway in self.silent:
            self.silent.remove(gateway)

    def moments(self) -> List[float]:
        """Return when something about it has to be decided."""
        moments = list(self.waiting.values())
        if self.held is not None:
            moments.append(self.held[1])
        elif self.to_ask:
            moments.append(self.next_at)
        moments += [moment for moment in (self.resume_at, self.look_at) if moment is not None]
        return moments


class SharedStoreStats(NamedTuple):
    """What the shared store did for one secret in this process. The counters never fall.

    Attributes:
        hits: fetches that found their answer in the store.
        misses: fetches that asked Secrets Manager though the store was asked before.
        leases: those among them that had the fetch lease.
        waits: fetches that waited for another process, which had the fetch lease.
        announcements: answers of other processes that were heard of.
        ignored: stored or announced values that could not be used.
        is_off: whether the store is not asked at present, since it failed.
    """

    hits: int = 0
    misses: int = 0
    leases: int = 0
    waits: int = 0
    announcements: int = 0
    ignored: int = 0
    is_off: bool = False


class Sharing:
    """What a keeper knows of one secret in the shared store."""

    __slots__ = ("position", "began", "is_adopted", "hits", "misses", "leases", "waits", "announcements", "ignored")

    def __init__(self) -> None:
        # Of the answer that is held: its position, if it has one, when its fetch began by the monotonic clock, and
        # whether another process made that fetch.
        self.position: Optional[Position] = None
        self.began = -math.inf
        self.is_adopted = False
        self.count_anew()

    def count_anew(self) -> None:
        """Begin with the counters of ``SharedStoreStats`` at 0."""
        self.hits = self.misses = self.leases = self.waits = self.announcements = self.ignored = 0

    def note(self, position: Optional[Position], began: float, is_adopted: bool) -> None:
        """Take note of where the answer that is held now comes from; the arguments are the attributes."""
        self.position, self.began, self.is_adopted = position, began, is_adopted

    def is_news(self, position: Optional[Position], began: float) -> bool:
        """Return whether the fetch of another answer began after that of the answer that is held.

        Args:
            position: the other answer's position, None if it has none.
            began: when its fetch began, by the monotonic clock. It decides where the positions cannot.
        """
        if position is not None and self.can_tell(position):
            return position.is_after(self.position)
        return began > self.began

    def is_found_news(self, position: Position, began: float) -> bool:
        """Return what ``is_news`` does of an answer that the store gave, which may be hostile.

        Only the position is sealed. So the store can lie about the age, but not make the time of an old position later.

        Args:
            position: the answer's position.
            began: when its fetch began, by the monotonic clock.
        """
        is_earlier = self.position is not None and position.time < self.position.time
        return self.is_news(position, began) and (self.can_tell(position) or not is_earlier)

    def can_tell(self, position: Position) -> bool:
        """Return whether a position is of the same count as that of the answer that is held."""
        return self.position is not None and self.position.generation == position.generation


# What entries have where there is no shared store. 10,000 of them share it.
NOT_SHARED = Sharing()


class Entry:
    """What a keeper knows of one secret. The end of a name, ``_monotonic`` or ``_time``, says by which clock."""

    __slots__ = (  # a process may have 10,000 entries
        "name", "key", "version_id", "next_rotation", "expires", "former", "number", "read_monotonic", "read_time",
        "version_time", "replaced_at", "is_recovered", "is_stale", "is_idle", "asks", "fetch", "requests", "failed",
        "has_failed", "recovery", "reads", "cool_until", "cool_delay", "cool_error", "due_monotonic", "due_time",
        "refresh_at", "may_be_earlier", "overdue_since", "spread", "refresh_failures", "retry_at", "is_heeded",
        "signed_from", "signing_delay", "is_due_for_signing", "moment", "fetches",
        "failures", "renewals", "rotations", "sharing",
    )

    def __init__(self, name: str, sharing: Sharing = NOT_SHARED) -> None:
        self.name = name
        self.sharing = sharing
        self.moment: Optional[float] = None  # when the keeper looks at this entry next
        self.is_idle = True  # no client uses the secret
        self.is_heeded = False  # the keeper wants to know when a service accepts the key

        # The key, and what the last answer said of it. That answer's own key may be an equal one.
        self.key: Optional[AccessKey] = None
        self.version_id: Optional[str] = None
        self.next_rotation: Optional[float] = None
        self.expires: Optional[float] = None
        self.former: Tuple[AccessKey, ...] = ()  # the keys before it, the last one last
        self.number = 0  # of the request whose answer was stored last
        self.read_monotonic = 0.0  # when that answer was stored
        self.read_time = 0.0  # 0 if nobody knows
        self.version_time = 0.0  # when the first answer with this key was stored
        self.replaced_at: Optional[float] = None  # when the key replaced another
        self.is_recovered = False  # the key came from the program's store
        self.is_stale = False  # the key is too old for new readers, unless it cannot be read again

        self.reads: Tuple[Read, ...] = ()  # those that the floor counts
        self.has_failed = False  # the last fetch
        # The cool-down: its end, its length before jitter, and the error of the fetch before it, None if that fetch
        # brought the same key.
        self.cool_until = 0.0
        self.cool_delay = 0.0
        self.cool_error: Optional[Exception] = None

        # The wish of the program's own refresh strategy.
        self.refresh_at: Optional[float] = None
        self.may_be_earlier = True
        # When it was first read after the rotation's date without a new version, by the monotonic clock.
        self.overdue_since: Optional[float] = None
        self.spread = SPREAD  # by which part of the interval a refresh may come earlier
        self.refresh_failures = 0  # in a row
        self.retry_at = 0.0  # when a refresh may be tried again after a failure
        self.start_anew()

    def start_anew(self) -> None:
        """Begin with nothing in flight, nobody who waits and the counters of ``SecretStats`` at 0."""
        # Tuples, not lists: 10,000 entries share the empty tuple.
        self.asks: Tuple[Asked, ...] = ()
        self.fetch: Optional[Fetch] = None
        self.requests: Tuple[Sent, ...] = ()
        self.failed: Tuple[float, ...] = ()  # when the last requests failed, since a good answer
        self.recovery: Optional[Recovery] = None
        self.due_monotonic: Optional[float] = None  # when the next refresh is due; None if none is planned
        self.due_time = 0.0
        # A ``Signed`` from this moment on leads to a refresh; None before the first ``Signed``. And how long that
        # moment is after a read, before jitter.
        self.signed_from: Optional[float] = None
        self.signing_delay = 0.0
        self.is_due_for_signing = False  # the refresh that is due
        self.fetches = self.failures = self.renewals = self.rotations = 0
        self.sharing.count_anew()

    def __lt__(self, other: "Entry") -> bool:
        return self.name < other.name  # the order in the heap of entries that are due at one moment

    def live_request(self, gateway: int) -> Optional[Sent]:
        """Return the request to a gateway that was not given up."""
        for request in self.requests:
            if request.gateway == gateway and not request.is_given_up:
                return request
        return None

    def replace_key(self, key: AccessKey, now: float) -> None:
        """Take a key in place of the one before, if there is one.

        Args:
            key: the new key.
            now: the moment, in seconds of the monotonic clock.
        """
        if self.key is not None:
            self.former = (self.former + (self.key,))[-MOST_FORMER_KEYS:]
            self.replaced_at = now
            self.rotations += 1
        self.key = key

    def note_answer(self, key: AccessKey) -> None:
        """Keep what an answer says beside the key itself."""
        if key.version_id != self.version_id:  # an equal text need not be held twice
            self.version_id = key.version_id
        self.next_rotation, self.expires = key.next_rotation, key.expires

    def nothing_happens(self) -> bool:
        """Return whether nothing is in flight and nobody waits."""
        return not self.asks and self.fetch is None and not self.requests and self.recovery is None


def equal_jitter(seconds: float) -> float:
    """Return a random time between half of ``seconds`` and all of it, so that a fleet does not ask in step."""
    return seconds / 2 + random.uniform(0, seconds / 2)  # nosec B311  # jitter


def spread_evenly(low: float, high: float) -> float:
    """Return a random number between the two.

    Args:
        low: the smallest number.
        high: the largest number.
    """
    return random.uniform(low, high)  # nosec B311  # jitter
