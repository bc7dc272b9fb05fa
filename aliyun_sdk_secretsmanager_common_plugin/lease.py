"""A client's use of one secret: each call signed with one snapshot; if the service rejects it, renew and replay."""

import logging
from typing import Any, Awaitable, Callable, Coroutine, NoReturn, Optional, Set, Tuple, TypeVar

from .access_key import AccessKey
from .ak_expire_handler import AKExpireHandler
from .cache import Cache, Renewal
from .clock import Clock
from .default_ak_expire_handler import DefaultAKExpireHandler
from .exceptions import ManagedCredentialsError, ReplayError

logger = logging.getLogger(__name__)

Result = TypeVar("Result")
# Returns the key to sign with, the current one at that moment.
Pull = Callable[[], AccessKey]
# Signs with one pulled key, and sends; returns the result, and the error if that is what the service answered. Raises
# what is no answer.
Send = Callable[[Pull], Tuple[Result, Optional[Exception]]]
SendAsync = Callable[[Pull], Awaitable[Tuple[Result, Optional[Exception]]]]

MOST_KEYS = 3
# Services learn of a new key within seconds; while it is young, a rejection may only mean that they have not yet.
YOUNG = 30.0
WAITS = (0.2, 0.4, 0.8, 1.6)


class Lease:
    """What a plugin's client holds of its secret. Made by ``ManagedCredentials.lease``.

    A client may be shared by threads, and by tasks of any event loop: nothing is locked while a request is on the
    network. What ends in ``_async`` never blocks the loop: where the secret must be read or the key renewed, that
    happens in a thread, once for all threads and tasks, and goes on for the others when a task is cancelled.

    Args:
        secret_name: the secret.
        cache: where its key is.
        clock: the clocks.
        handler: decides which of a service's errors mean a rejected key.
        released: called once, at ``close``.
        begins: called before each call, if not None.
    """

    def __init__(
        self,
        secret_name: str,
        cache: Cache,
        clock: Clock,
        handler: AKExpireHandler,
        released: Callable[[], Any],
        begins: Optional[Callable[[], Any]] = None,
    ) -> None:
        self.secret_name = secret_name
        self._cache = cache
        self._clock = clock
        self._handler = handler
        self._released = released
        self._begins = begins
        self._closed = False
        # Written by any thread without a lock: it is one reference, and what a race costs is one wait more or less.
        self._accepted: Optional[AccessKey] = None

    def access_key(self) -> AccessKey:
        """Return the current key, to sign one request with.

        Raises:
            ManagedCredentialsError: the client was shut down.
            ServerException, ClientException, SecretFormatError: the secret was not yet read, and cannot be.
        """
        self._begin()
        return self._cache.get(self.secret_name)

    async def access_key_async(self) -> AccessKey:
        """As ``access_key``."""
        self._begin()
        return await self._cache.get_async(self.secret_name)

    def _begin(self) -> None:
        if self._begins is not None:
            self._begins()
        if self._closed:
            raise ManagedCredentialsError(
                "the client of secret {!r} was shut down; make a new one".format(self.secret_name)
            )

    def call(
        self, send: "Send[Result]", rewind: Callable[[], Any]
    ) -> Tuple[Result, Optional[Exception]]:
        """Send a request; while the service rejects its key, renew the key and send the request again.

        Args:
            send: signs with the key that the function it is given returns, and sends.
            rewind: makes the request what it was before ``send``, or returns an exception that says why it cannot, or
                raises it; anything else that it returns means nothing.

        Returns:
            What the last ``send`` returned. Where a renewal failed, or ``rewind``, that is the error's ``__cause__``.
        """
        use = _Use(self._cache, self.secret_name, self.access_key())
        accepted = self._accepted
        result, error = send(use.pull)
        if error is None:
            self._note_accepted(use.key)
            return result, None
        try:
            return _at_once(self._replayed(
                use, accepted, result, error, _awaited(send), rewind, _awaited(self._cache.renewal),
                _awaited(self._clock.sleep)))
        finally:
            error = None  # its traceback leads to this frame: the request would stay until the garbage collector runs

    async def call_async(
        self, send: "SendAsync[Result]", rewind: Callable[[], Any]
    ) -> Tuple[Result, Optional[Exception]]:
        """As ``call``, with a ``send`` to be awaited; ``rewind`` is not."""
        use = _Use(self._cache, self.secret_name, await self.access_key_async())
        accepted = self._accepted
        result, error = await send(use.pull)
        if error is None:
            self._note_accepted(use.key)
            return result, None
        try:
            return await self._replayed(
                use, accepted, result, error, send, rewind, self._cache.renewal_async, self._clock.sleep_async)
        finally:
            error = None

    async def _replayed(
        self,
        use: "_Use",
        accepted: Optional[AccessKey],
        result: Result,
        error: Optional[Exception],
        send: "SendAsync[Result]",
        rewind: Callable[[], Any],
        renew: Callable[[str, AccessKey], Awaitable[Renewal]],
        sleep: Callable[[float], Awaitable[None]],
    ) -> Tuple[Result, Optional[Exception]]:
        """Return what came of a call in the end, of which the first attempt came to ``result`` and ``error``.

        ``accepted`` is the key that was known to be accepted before the last attempt: another call may have had the
        attempt's own accepted meanwhile.
        """
        renewal: Optional[Renewal]
        failure: Any
        try:
            while error is not None:
                key = use.key
                if not self.is_rejection(key, error):
                    return result, error
                if key not in use.rejected:
                    use.rejected.add(key)
                    waits = iter(WAITS)
                    was_accepted = key == accepted
                renewal = await renew(self.secret_name, key)
                if renewal.key is None:
                    may_be_unknown_yet = (
                        renewal.error is None
                        and renewal.age is not None
                        and renewal.age < YOUNG
                        and not was_accepted
                    )
                    wait = next(waits, None) if may_be_unknown_yet else None
                    if wait is None:
                        if renewal.error is not None:
                            error.__cause__ = renewal.error
                        return result, error
                    await sleep(wait)
                elif len(use.rejected) == MOST_KEYS:
                    return result, error
                else:
                    use.key = renewal.key
                try:
                    failure = rewind()
                except Exception as raised:
                    failure = ReplayError("the request could not be made as it was: {!r}".format(raised))
                    failure.__cause__ = raised
                if isinstance(failure, BaseException):
                    logger.warning("secret %r: the key was renewed, but %s", self.secret_name, str(failure))
                    error.__cause__ = failure
                    return result, error
                accepted = self._accepted
                result, error = await send(use.pull)
            self._note_accepted(use.key)
            return result, None
        finally:
            # Their tracebacks lead to this frame: request and key would stay until the garbage collector runs.
            error = renewal = failure = None

    def replay(
        self, send: "Callable[[AccessKey], Result]", rewind: Optional[Callable[[], Any]] = None
    ) -> Result:
        """Return what ``send`` returns; while the service rejects its key, renew the key and call ``send`` again.

        Args:
            send: signs with the key that it is given, and sends; the handler judges what it raises. It begins from the
                request as the user gave it, each time.
            rewind: makes the request so again where ``send`` uses it up, or returns an exception that says why it
                cannot, such as a ``ReplayError``, or raises it; anything else that it returns means nothing.

        Raises:
            ManagedCredentialsError: the client was shut down.
            Exception: what the last ``send`` raised. Where a renewal failed, or ``rewind``, that is its ``__cause__``.
        """

        # In quotes: the annotations of an inner function are evaluated at each call.
        def attempt(pull: "Pull") -> "Tuple[Any, Optional[Exception]]":
            try:
                return send(pull()), None
            except Exception as error:
                return None, error

        return result_of(*self.call(attempt, rewind or (lambda: None)))  # type: ignore[no-any-return]

    async def replay_async(
        self, send: "Callable[[AccessKey], Awaitable[Result]]", rewind: Optional[Callable[[], Any]] = None
    ) -> Result:
        """As ``replay``, with a ``send`` to be awaited; ``rewind`` is not."""

        from asyncio import CancelledError

        async def attempt(pull: "Pull") -> "Tuple[Any, Optional[Exception]]":
            try:
                return await send(pull()), None
            except CancelledError:  # an Exception before Python 3.8
                raise
            except Exception as error:
                return None, error

        return result_of(*await self.call_async(attempt, rewind or (lambda: None)))  # type: ignore[no-any-return]

    def close(self) -> None:
        """Give the secret back; idempotent."""
        if not self._closed:
            self._closed = True
            self._released()

    def _note_accepted(self, key: AccessKey) -> None:
        if key is not self._accepted and key is self._cache.current(self.secret_name):
            self._accepted = key
        self._cache.accepted(self.secret_name, key)

    def is_rejection(self, key: AccessKey, error: Exception) -> bool:
        """Return whether ``error``, which a service answered to a request signed with ``key``, means a rejected key."""
        handler = self._handler
        try:
            if handler.judge_ak_expire(error):
                return True
            return (
                key.security_token is not None
                and isinstance(handler, DefaultAKExpireHandler)
                and type(handler).judge_ak_expire is DefaultAKExpireHandler.judge_ak_expire
                and handler.judge_token_expire(error)
            )
        except Exception:
            logger.exception("secret %r: %s failed; the error counts as none of the key's", self.secret_name,
                             type(handler).__name__)
            return False

    def __reduce__(self) -> NoReturn:
        raise TypeError(
            "the lease of secret {!r} belongs to one client, which cannot be pickled or copied in depth: make a client "
            "in each process".format(self.secret_name)
        )

    def __repr__(self) -> str:
        return "Lease({!r})".format(self.secret_name)


class _Use:
    """The keys of one call.

    Attributes:
        key: the one that was signed with last.
        rejected: those that the service rejected.
    """

    __slots__ = ("_cache", "_secret_name", "key", "rejected")

    def __init__(self, cache: Cache, secret_name: str, key: AccessKey) -> None:
        self._cache = cache
        self._secret_name = secret_name
        self.key = key
        self.rejected: Set[AccessKey] = set()

    def pull(self) -> AccessKey:
        """Return the key to sign with: the current one, of keys that were not tried ``MOST_KEYS`` at most."""
        current = self._cache.current(self._secret_name)
        if current is not None and (len(self.rejected) < MOST_KEYS or current in self.rejected):
            self.key = current
        return self.key


def result_of(result: Any, error: Optional[Exception]) -> Any:
    """Return the result of a call, or raise its error."""
    if error is None:
        return result
    try:
        raise error
    finally:
        del error  # this frame is in its traceback


def _awaited(function: Callable[..., Result]) -> Callable[..., Coroutine[Any, Any, Result]]:
    """Return ``function`` as one to be awaited, which never suspends."""

    async def call(*args: Any) -> Result:
        return function(*args)

    return call


def _at_once(coroutine: "Coroutine[Any, Any, Result]") -> Result:
    """Return what a coroutine that never suspends returns; no event loop is needed."""
    try:
        coroutine.send(None)
    except StopIteration as end:
        return end.value  # type: ignore[no-any-return]
    raise AssertionError("it was suspended")
