"""The events that a keeper is told of. Each is plain data; moments are by the monotonic clock unless said."""

from typing import Any, Callable, Iterable, NamedTuple, Optional, Sequence

from ..access_key import AccessKey

FIRST_READ = "first read"
RENEWAL = "renewal"
REFRESH = "refresh"


class Now(NamedTuple):
    """One moment, by both clocks.

    Attributes:
        monotonic: the monotonic clock, in seconds, for deadlines. Only differences mean something.
        time: the wall clock, in seconds since the epoch, for the dates of Secrets Manager.
    """

    monotonic: float
    time: float


class Asked(NamedTuple):
    """Somebody, the asker, asks for a secret.

    Attributes:
        ticket: identifies the asker in ``Answer``; None if nobody waits for an answer.
        purpose: ``FIRST_READ``, ``RENEWAL`` or ``REFRESH``.
        name: the secret's name.
        until: the asker's deadline.
        rejected: for a renewal, the key that a service rejected.
        delays: for a secret that was not read yet, the waits between attempts, in seconds. If empty, each gateway is
            asked once. While a gateway throttles, its pauses count instead.
    """

    ticket: Any
    purpose: str
    name: str
    until: float
    rejected: Optional[AccessKey] = None
    delays: Iterable[float] = ()


class Preload(NamedTuple):
    """Somebody asks for the first reads of several secrets, a few at a time.

    Attributes:
        ticket: answered when every secret was read or could not be; None if nobody waits.
        names: the names of the secrets.
        until: the asker's deadline.
        seconds: how long each first read may take.
        delays: called for each secret; returns its ``delays`` as in ``Asked``.
    """

    ticket: Any
    names: Sequence[str]
    until: float
    seconds: float
    delays: Callable[[], Iterable[float]] = tuple


class Position(NamedTuple):
    """A position in the order that a shared store gives to the answers of Secrets Manager.

    Attributes:
        generation: which count the number is of; a store that was emptied begins another one.
        number: a larger one was taken later.
        time: when it was taken, in milliseconds of the store's clock.
    """

    generation: str
    number: int
    time: int

    def is_after(self, other: "Optional[Position]") -> bool:
        """Return whether it was taken after another position of the same count."""
        return other is not None and self.generation == other.generation and self.number > other.number


class Found(NamedTuple):
    """An answer of Secrets Manager that another process left in the shared store.

    Attributes:
        key: its key.
        position: its position in the store's order.
        age: seconds since that process began to ask, by the store's clock.
    """

    key: AccessKey
    position: Position
    age: float


class Ended(NamedTuple):
    """A request ended, in time or late.

    Attributes:
        request: the request's number.
        key: the key that it brought, None if it failed.
        error: why it failed, None if it did not.
        refresh_at: when the program's own refresh strategy wants the next refresh, in seconds since the epoch; None if
            it has no wish.
        may_be_earlier: whether the keeper may refresh earlier than that.
        is_kept: whether a store of the program's own had the key, so that nobody knows how new it is.
    """

    request: int
    key: Optional[AccessKey]
    error: Optional[Exception] = None
    refresh_at: Optional[float] = None
    may_be_earlier: bool = True
    is_kept: bool = False


class Recovered(NamedTuple):
    """The program's store answered a ``Recover``.

    Attributes:
        name: the secret's name.
        key: the stored key, None if there is none.
        read: when Secrets Manager gave that key, in seconds since the epoch; 0 if nobody knows.
    """

    name: str
    key: Optional[AccessKey]
    read: float = 0.0


class StoreEnded(NamedTuple):
    """An operation of the shared store ended, in time or late.

    Attributes:
        number: the operation's number.
        found: for ``Take``, an answer that may serve.
        position: for ``Take``, if nothing was found: the position that an answer of Secrets Manager will have.
        is_leased: for ``Take``, whether this process is the one that is to ask Secrets Manager.
        ignored: why a stored value could not be used; empty if there was no such value.
        error: why the operation failed; empty if it did not.
    """

    number: int
    found: Optional[Found] = None
    position: Optional[Position] = None
    is_leased: bool = False
    ignored: str = ""
    error: str = ""


class Announced(NamedTuple):
    """Another process announced an answer of Secrets Manager by the shared store.

    Attributes:
        name: the secret's name.
        found: the answer; None if it could not be read.
    """

    name: str
    found: Optional[Found]


class Leased(NamedTuple):
    """A client uses a secret from now on."""

    client: int
    name: str


class Released(NamedTuple):
    """A client was shut down, or dropped."""

    client: int


class Closed(NamedTuple):
    """No client uses any secret of this configuration any more. A later first read puts its secret into use again."""


class Accepted(NamedTuple):
    """A service accepted a call that was signed with a key."""

    name: str
    key: AccessKey


class Signed(NamedTuple):
    """Somebody signed with the key of a secret who will not ask for a renewal if a service rejects that key."""

    name: str


class Ticked(NamedTuple):
    """The moment came that ``wake_at`` named."""


class Forked(NamedTuple):
    """This process is the child of a fork: nothing is in flight, and nobody waits."""
