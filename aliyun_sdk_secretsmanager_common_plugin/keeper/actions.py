"""The actions that a keeper wants carried out. Each is plain data."""

from typing import Any, Dict, NamedTuple, Optional, Tuple

from ..access_key import AccessKey
from .events import Position


class Publish(NamedTuple):
    """Let readers find this key under the secret's name. None removes the name, so that the next reader has to ask."""

    name: str
    key: Optional[AccessKey]


class Request(NamedTuple):
    """Ask a gateway for a secret.

    Attributes:
        number: identifies the request in ``Ended`` and ``GiveUp``. A larger number started later.
        name: the secret's name.
        gateway: the gateway's index in the configuration.
        seconds: how long the gateway may take.
        purpose: as in ``Asked``.
    """

    number: int
    name: str
    gateway: int
    seconds: float
    purpose: str


class Take(NamedTuple):
    """Take a newer answer from the shared store, or a position in its order, and the fetch lease if it is free.

    Who has the fetch lease asks Secrets Manager, for all processes that use the store.

    Attributes:
        number: identifies the operation in ``StoreEnded`` and ``GiveUp``.
        name: the secret's name.
        known: the position of the answer that is held; None if it has none.
        max_age: the largest age of an answer that may serve, in seconds; negative for none.
        lease: how long the fetch lease lasts, in seconds.
    """

    number: int
    name: str
    known: Optional[Position]
    max_age: float
    lease: float


class Share(NamedTuple):
    """Leave an answer in the shared store, announce it, and free the fetch lease.

    Attributes:
        number: as in ``Take``.
        name: the secret's name.
        key: the answer's key.
        position: its position, which ``Take`` brought.
    """

    number: int
    name: str
    key: AccessKey
    position: Position


class Free(NamedTuple):
    """Free the fetch lease of a secret: no answer came. ``number`` is as in ``Take``."""

    number: int
    name: str


class Probe(NamedTuple):
    """Try whether the shared store works again. ``number`` is as in ``Take``."""

    number: int


class GiveUp(NamedTuple):
    """Close the socket of a request, or of an operation of the shared store, that outlived its time.

    If it brings an answer all the same, that is used.
    """

    number: int


class Recover(NamedTuple):
    """Ask the program's store for a secret's key, since no gateway answered; ``failure`` is that error."""

    name: str
    failure: Exception


class Answer(NamedTuple):
    """Answer an asker.

    Attributes:
        ticket: the asker's.
        value: for a first read the key, for a renewal the ``Renewal``, for a refresh whether it read the secret.
        error: the exception to raise instead. A refresh has one only if the secret was not read before. No other asker
            gets the same object.
    """

    ticket: Any
    value: Any = None
    error: Optional[Exception] = None


class Tell(NamedTuple):
    """Tell the subscribers of a new key.

    Attributes:
        name: the secret's name.
        key: the key.
        is_recovered: whether the key came from the program's store, so that it need not be stored again.
    """

    name: str
    key: AccessKey
    is_recovered: bool


class Stored(NamedTuple):
    """An answer of Secrets Manager was stored, be its key new or not: the cache file may catch up."""

    name: str


class Heed(NamedTuple):
    """From now on ``Accepted`` of the secret's current key is wanted, or not."""

    name: str
    wanted: bool


class HeedSigned(NamedTuple):
    """From this moment on, by the monotonic clock, ``Signed`` is wanted of the secret."""

    name: str
    moment: float


class Log(NamedTuple):
    """Write a line to the log. ``fields`` are its ``extra``."""

    level: int
    message: str
    args: Tuple[Any, ...]
    fields: Dict[str, Any]
