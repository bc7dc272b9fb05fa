"""A client's use of one secret: a call is signed with one key; if the service rejects it, renewed and sent again."""

import weakref
from typing import Any, Awaitable, Callable, Generator, List, NamedTuple, Optional, Set, Tuple, TypeVar

from .access_key import AccessKey
from .ak_expire_handler import AKExpireHandler
from .clock import Clock
from .default_ak_expire_handler import DefaultAKExpireHandler
from .exceptions import ManagedCredentialsError, ReplayError
from .keeper import Renewal
from .runtime import Account, require_task
from .secrecy import log_fields, logger_of

logger = logger_of(__name__)

Result = TypeVar("Result")
# Returns the key to sign with: the current one at that moment.
Pull = Callable[[], AccessKey]
# Signs with one pulled key, and sends. Returns the result, and the error if the service answered one; raises every
# error that is no answer of the service.
Send = Callable[[Pull], Tuple[Result, Optional[Exception]]]
SendAsync = Callable[[Pull], Awaitable[Tuple[Result, Optional[Exception]]]]

# Different keys that one call tries.
MOST_KEYS = 3
# Seconds for which services may not know a new key yet: a rejection may mean no more than that.
YOUNG = 30.0
# Seconds that a call waits before each further attempt with such a key.
WAITS = (0.2, 0.4, 0.8, 1.6)


class Attempt(NamedTuple):
    """A step of a call: sign with the key that ``pull`` returns, and send."""

    pull: Pull


class Renew(NamedTuple):
    """A step of a call: get another key instead of the rejected one."""

    key: AccessKey


class Wait(NamedTuple):
    """A step of a call: wait until services may know a young key."""

    seconds: float


class Lease:
    """The use of one secret by one client of a plugin. ``ManagedCredentials.lease`` makes it.

    Threads, and tasks of asyncio of any loop, may share a client: nothing is locked while a request is on the network.
    Methods whose names end in ``_async`` never block the loop. A read or renewal that they need runs in a thread, once
    for all threads and tasks, and goes on for the others if a task is cancelled.

    Args:
        secret_name: the secret.
        account: holds the secret's key.
        clock: the clocks.
        handler: decides which errors of a service mean a rejected key.
        released: called at each ``close``.
        begins: called before each call, if not None.
    """

    def __init__(
        self,
        secret_name: str,
        account: Account,
        clock: Clock,
        handler: AKExpireHandler,
        released: Callable[[], Any],
        begins: Optional[Callable[[], Any]] = None,
    ) -> None:
        self.secret_name = secret_name
        self._account = account
        self._clock = clock
        self._handler = handler
        self._released = released
        self._begins = begins
        self._closed = False
        # The key of the last accepted call. Threads write it without a lock: a race costs one wait more or less.
        self._accepted: Optional[AccessKey] = None
        # The handler's judgement of each error that is still alive: it is asked once about each.
        self._judged: "weakref.WeakKeyDictionary[Exception, bool]" = weakref.WeakKeyDictionary()

    def access_key(self) -> AccessKey:
        """Return the current key, to sign one request with.

        Raises:
            ManagedCredentialsError: the client was shut down.
            ServerException, ClientException, SecretFormatError: the secret was not yet read, and cannot be.
        """
        self.require_open()
        return self._account.get(self.secret_name)

    async def access_key_async(self) -> AccessKey:
        """Return what ``access_key`` returns, in a task of asyncio; elsewhere raise a ManagedCredentialsError."""
        require_task()
        self.require_open()
        return await self._account.get_async(self.secret_name)

    def provide(self) -> AccessKey:
        """Return the current key for code that signs by itself, and does not tell whether the key is rejected.

        The secret is therefore read again in the background, at most once in each ``provider_refresh_interval``. This
        method never waits for that. It raises what ``access_key`` raises.
        """
        access_key = self.access_key()
        self._account.signed(self.secret_name)
        return access_key

    async def provide_async(self) -> AccessKey:
        """Return what ``provide`` returns, in a task of asyncio; elsewhere raise a ManagedCredentialsError."""
        access_key = await self.access_key_async()
        self._account.signed(self.secret_name)
        return access_key

    def rejected(self, access_key: Any) -> None:
        """Report that a service rejected a key. If it is the current one, it is renewed in the background.

        Args:
            access_key: the key, anything with an ``access_key_id``, or the id itself.

        Raises:
            ManagedCredentialsError: the client was shut down.
        """
        self.require_open()
        current = self._account.held_key(self.secret_name)
        if current is not None and current.access_key_id == getattr(access_key, "access_key_id", access_key):
            self._account.begin_renewal(self.secret_name, current)

    def require_open(self) -> None:
        """Check that the client was not shut down, without waiting for the secret.

        Raises:
            ManagedCredentialsError: the client was shut down.
        """
        if self._begins is not None:
            self._begins()
        if self._closed:
            raise ManagedCredentialsError(
                "the client of secret {!r} was shut down; make a new one".format(self.secret_name))

    def call(self, send: "Send[Result]", rewind: Callable[[], Any]) -> Tuple[Result, Optional[Exception]]:
        """Send a request. While the service rejects its key, renew the key and send the request again.

        Args:
            send: signs with the key that its argument returns, sends, and returns the result, and the service's error
                or None; it raises what is no answer of the service.
            rewind: restores the request to what it was before ``send``. If it cannot, it raises an exception, or
                returns one that says why; any other return value is ignored.

        Returns:
            What the last ``send`` returned. If a renewal or ``rewind`` failed, that is the ``__cause__`` of the error.

        Raises:
            ManagedCredentialsError: the client was shut down.
            ServerException, ClientException, SecretFormatError: the secret was not yet read, and cannot be.
            BaseException: what ``send`` raised.
        """
        steps = self._steps(self.access_key(), rewind)
        answer: Any = None
        try:
            while True:
                try:
                    step = steps.send(answer)
                except StopIteration as end:
                    return end.value  # type: ignore[no-any-return]
                if type(step) is Attempt:
                    answer = send(step.pull)
                elif type(step) is Renew:
                    answer = self._account.renew(self.secret_name, step.key)
                else:
                    self._clock.sleep(step.seconds)
        finally:
            steps.close()
            answer = None  # an error's traceback holds this frame, which would keep the request alive

    async def call_async(
        self, send: "SendAsync[Result]", rewind: Callable[[], Any]
    ) -> Tuple[Result, Optional[Exception]]:
        """Do what ``call`` does, in a task of asyncio, with a ``send`` that is awaited; ``rewind`` is not awaited.

        Args:
            send: as ``call`` takes it, but returns an awaitable.
            rewind: as ``call`` takes it.

        Returns:
            What ``call`` returns.

        Raises:
            ManagedCredentialsError: the client was shut down, or the caller is no task of asyncio.
            ServerException, ClientException, SecretFormatError: the secret was not yet read, and cannot be.
            BaseException: what ``send`` raised.
        """
        steps = self._steps(await self.access_key_async(), rewind)
        answer: Any = None
        try:
            while True:
                try:
                    step = steps.send(answer)
                except StopIteration as end:
                    return end.value  # type: ignore[no-any-return]
                if type(step) is Attempt:
                    answer = await send(step.pull)
                elif type(step) is Renew:
                    answer = await self._account.renew_async(self.secret_name, step.key)
                else:
                    await self._clock.sleep_async(step.seconds)
        finally:
            steps.close()
            answer = None

    def _steps(self, key: AccessKey, rewind: Callable[[], Any]) -> Generator[Any, Any, Any]:
        """Decide what happens to a call; return what ``call`` returns.

        Yields ``Attempt``, and expects what ``send`` returned; ``Renew``, and expects a ``Renewal``; or ``Wait``. Each
        key is sent once, and once after each of its waits. So this ends.
        """
        last = key  # the key that was signed with last
        rejected: Set[AccessKey] = set()

        def pull() -> AccessKey:
            """Return the key to sign with: the current one, unless the service rejected it, or too many others."""
            nonlocal last
            current = self._account.published_key(self.secret_name)
            if current is not None and current not in rejected and len(rejected) < MOST_KEYS:
                last = current
            return last

        try:
            while True:
                accepted = self._accepted
                result, error = yield Attempt(pull)
                if error is None:
                    self._note_accepted(last)
                    return result, None
                key = last
                if not self.is_rejection(key, error):
                    return result, error
                if key not in rejected:
                    rejected.add(key)
                    waits = iter(WAITS)
                    # What was known before the attempt counts: another call may have had the key accepted meanwhile.
                    was_accepted = key == accepted
                renewal = yield Renew(key)
                if renewal.key is None:
                    wait = None if was_accepted or not _is_young(renewal) else next(waits, None)
                    if wait is None:
                        if renewal.error is not None:
                            error.__cause__ = renewal.error
                        return result, error
                    yield Wait(wait)
                elif renewal.key in rejected or len(rejected) == MOST_KEYS:
                    return result, error
                else:
                    last = renewal.key
                if not self._is_rewound(rewind, key, error):
                    return result, error
        finally:
            result = error = renewal = None  # their tracebacks hold this frame, which would keep request and key alive

    def _is_rewound(self, rewind: Callable[[], Any], key: AccessKey, error: Exception) -> bool:
        """Rewind a request; if that fails, make the failure the ``__cause__`` of the service's error."""
        try:
            try:
                failure = rewind()
            except Exception as raised:
                if _is_of_a_signal(raised):
                    raise
                failure = ReplayError("the request could not be restored: {!r}".format(raised))
                failure.__cause__ = raised
            if isinstance(failure, BaseException):
                logger.warning("secret %r: the key was renewed, but %s", self.secret_name, str(failure),
                               extra=log_fields(self.secret_name, key, failure))
                error.__cause__ = failure
                return False
            logger.info("secret %r: a service rejected %r; the call is sent again", self.secret_name, key,
                        extra=log_fields(self.secret_name, key))
            return True
        finally:
            failure = error = None  # type: ignore[assignment]  # their tracebacks hold this frame

    def replay(self, send: "Callable[[AccessKey], Result]", rewind: Optional[Callable[[], Any]] = None) -> Result:
        """Return what ``send`` returns. While the service rejects its key, renew the key and call ``send`` again.

        Args:
            send: signs with the key that it is given, and sends; the handler judges what it raises. Each time it
                begins with the request as the user gave it.
            rewind: restores the request, if ``send`` uses it up. If it cannot, it raises an exception, or returns one
                that says why, such as a ``ReplayError``; any other return value is ignored.

        Raises:
            ManagedCredentialsError: the client was shut down.
            ServerException, ClientException, SecretFormatError: the secret was not yet read, and cannot be.
            Exception: what the last ``send`` raised. If a renewal or ``rewind`` failed, that is its ``__cause__``.
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
        """Do what ``replay`` does, in a task of asyncio, with a ``send`` that is awaited; ``rewind`` is not awaited.

        Args:
            send: as ``replay`` takes it, but returns an awaitable.
            rewind: as ``replay`` takes it.

        Returns:
            What the last ``send`` returned.

        Raises:
            ManagedCredentialsError: the client was shut down, or the caller is no task of asyncio, as under trio.
            ServerException, ClientException, SecretFormatError: the secret was not yet read, and cannot be.
            Exception: what the last ``send`` raised. If a renewal or ``rewind`` failed, that is its ``__cause__``.
        """
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
        """Release the secret. Idempotent."""
        self._closed = True
        self._released()  # each time: an exception may have cut the last one short

    def _note_accepted(self, key: AccessKey) -> None:
        if key is not self._accepted and key is self._account.published_key(self.secret_name):
            self._accepted = key
        self._account.accepted(self.secret_name, key)

    def is_rejection(self, key: AccessKey, error: Exception) -> bool:
        """Return whether an error means a rejected key.

        Args:
            key: the key that the request was signed with.
            error: what the service answered to the request.
        """
        try:
            judged = self._judged.get(error)
            if judged is None:
                judged = self._judged[error] = self._judge(key, error)
            return judged
        except TypeError:  # objects of some classes have no weak references
            return self._judge(key, error)

    def _judge(self, key: AccessKey, error: Exception) -> bool:
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
        except Exception as raised:
            if _is_of_a_signal(raised):
                raise
            logger.exception("secret %r: %s failed; the error does not count as a rejected key", self.secret_name,
                             type(handler).__name__, extra=log_fields(self.secret_name, key))
            return False

    def __reduce__(self) -> Any:
        raise TypeError(
            "the lease of secret {!r} belongs to one client, which cannot be pickled or copied in depth: make a client "
            "in each process".format(self.secret_name)
        )

    def __repr__(self) -> str:
        return "Lease({!r})".format(self.secret_name)


def result_of(result: Any, error: Optional[Exception]) -> Any:
    """Return the result of a call, or raise its error.

    Args:
        result: what the call returned.
        error: the error that the service answered, or None.

    Raises:
        Exception: ``error``, if there is one.
    """
    if error is None:
        return result
    try:
        raise error
    finally:
        del error  # its traceback holds this frame


def _is_young(renewal: Renewal) -> bool:
    """Return whether services may not know the rejected key yet."""
    return renewal.error is None and renewal.age is not None and renewal.age < YOUNG


def _is_of_a_signal(error: BaseException) -> bool:
    """Return whether a signal's handler raised an error, such as a time limit: the code it interrupted did not fail."""
    import signal

    handlers: List[Any] = [signal.getsignal(number) for number in range(1, signal.NSIG)]
    called = [getattr(each, "func", each) for each in handlers if callable(each)]  # "func" of a functools.partial
    codes = {getattr(part, "__code__", None) for each in called for part in (each, each.__call__)}
    traceback = error.__traceback__
    while traceback is not None and traceback.tb_frame.f_code not in codes:
        traceback = traceback.tb_next
    return traceback is not None
