"""Where a V2.0 client signs and sends: its methods, each call of which is replayed."""

import asyncio
import copy
import functools
import inspect
import time
from contextlib import closing, contextmanager, suppress
from typing import Any, AsyncIterator, Awaitable, Callable, Iterator, Optional, Tuple

from Tea.exceptions import TeaException, UnretryableException

from aliyun_sdk_secretsmanager_common_plugin import AccessKey, Lease
from aliyun_sdk_secretsmanager_common_plugin.bodies import ReplayableBody
from aliyun_sdk_secretsmanager_common_plugin.lease import Pull, result_of

from .managed_credentials_provider import signing

Method = Callable[..., Any]

_END = object()


class Call:
    """One call of a client: the request as the user gave it, and the user's own retries.

    Args:
        client: whose call it is.
        arguments: of the SDK's method, bound to their names.
    """

    def __init__(self, client: Any, arguments: inspect.BoundArguments) -> None:
        self.lease: Lease = client._lease
        self._client = client
        self._arguments = arguments
        given = arguments.arguments["request"]
        self._body = ReplayableBody(given.stream, *client._replay_bytes)
        self._request = arguments.arguments["request"] = copy.copy(given)
        self._request.stream = self._body.data
        self._rpc_headers = client._headers  # the SDK takes them off the client when it signs
        self._key: Optional[AccessKey] = None
        self._failures = 0
        self._delay = 0

    def request(self, method: Method) -> Any:
        """Return what the method returns for the arguments."""
        return method(*self._arguments.args, **self._arguments.kwargs)

    @contextmanager
    def signed(self, pull: Pull) -> Iterator[None]:
        """Let one attempt be signed with one key, the one that is current at the first signature."""
        self._key = None

        def snapshot() -> AccessKey:
            self._key = self._key or pull()
            return self._key

        token = signing.set((self._client._provider, snapshot))
        try:
            yield
        finally:
            with suppress(ValueError):  # of a loop that is gone, the garbage collector ends tasks in another context
                signing.reset(token)

    def answer(self, error: Any) -> Any:
        """Return an error if a service answered it to a signed request, else raise it."""
        if self._key is None or not _is_answer(error):
            raise error
        # The SDK's frames hold the error, and it them: body and key would stay until the garbage collector runs.
        getattr(error, "inner_exception", error).__traceback__ = None
        return error

    def rewind(self) -> Optional[Exception]:
        """Make the request what it was at first, or return why that cannot be."""
        if self._rpc_headers is not None:
            self._client.set_rpc_headers(self._rpc_headers)
        return self._body.rewind()

    @contextmanager
    def retried(self) -> Iterator[None]:
        """Let an error pass as one that the user's ``retry_options`` retry, after ``wait``.

        The SDK itself, which would sign with a rejected key again, tries once.
        """
        try:
            yield
        except Exception as error:
            if not self._is_retried(error):
                raise

    def wait(self) -> None:
        """Wait as the user's ``retry_options`` say."""
        time.sleep(self._delay / 1000)

    async def wait_async(self) -> None:
        """As ``wait``."""
        await asyncio.sleep(self._delay / 1000)

    def close(self) -> None:
        """Let go of what was kept of the body."""
        self._body.close()

    def _is_retried(self, error: Exception) -> bool:
        options = self._client._retries
        if options is None:
            return False
        from alibabacloud_tea_openapi.utils import Utils
        from darabonba.core import DaraCore
        from darabonba.policy.retry import RetryPolicyContext

        if self._key is not None and _is_answer(error) and self.lease.is_rejection(self._key, error):
            return False
        self._failures += 1
        context = RetryPolicyContext(
            retries_attempted=self._failures,
            http_request=getattr(error, "last_request", None),
            exception=getattr(error, "inner_exception", error),
        )
        if not DaraCore.should_retry(options, context) or self.rewind() is not None:
            return False
        self._delay = DaraCore.get_backoff_time(options, context)
        if hasattr(Utils, "apply_retry_headers"):  # else of an SDK that is older
            self._request.headers = dict(self._request.headers or {})
            Utils.apply_retry_headers(self._request.headers, self._failures, self._delay)
        return True


def replayed(method: Method) -> Method:
    """Return a method of the SDK's as one whose calls are replayed."""
    signature = inspect.signature(method)

    @functools.wraps(method)
    def call(self: Any, *args: Any, **kwargs: Any) -> Any:
        with closing(Call(self, signature.bind(self, *args, **kwargs))) as one:
            while True:
                with one.retried():
                    return _replay(one, method)
                one.wait()

    return call


def replayed_async(method: Method) -> Method:
    """As ``replayed``, for a method to be awaited."""
    signature = inspect.signature(method)

    @functools.wraps(method)
    async def call(self: Any, *args: Any, **kwargs: Any) -> Any:
        with closing(Call(self, signature.bind(self, *args, **kwargs))) as one:
            while True:
                with one.retried():
                    return await _replay_async(one, method)
                await one.wait_async()

    return call


def replayed_events(method: Method) -> Method:
    """As ``replayed``, for a method that gives server-sent events: replayed until the first one came."""
    signature = inspect.signature(method)

    @functools.wraps(method)
    def call(self: Any, *args: Any, **kwargs: Any) -> Iterator[Any]:
        def opened(*args: Any, **kwargs: Any) -> Tuple[Any, Any]:
            events = method(*args, **kwargs)
            return next(events, _END), events

        with closing(Call(self, signature.bind(self, *args, **kwargs))) as one:
            while True:
                with one.retried():
                    first, events = _replay(one, opened)
                    with closing(events):
                        if first is not _END:
                            yield first
                            yield from events
                    return
                one.wait()

    return call


def replayed_events_async(method: Method) -> Method:
    """As ``replayed_events``, for an asynchronous generator."""
    signature = inspect.signature(method)

    @functools.wraps(method)
    async def call(self: Any, *args: Any, **kwargs: Any) -> AsyncIterator[Any]:
        async def opened(*args: Any, **kwargs: Any) -> Tuple[Any, Any]:
            events = method(*args, **kwargs)
            async for event in events:
                return event, events
            return _END, events

        with closing(Call(self, signature.bind(self, *args, **kwargs))) as one:
            while True:
                with one.retried():
                    first, events = await _replay_async(one, opened)
                    try:
                        if first is not _END:
                            yield first
                            async for event in events:
                                yield event
                    finally:
                        await events.aclose()
                    return
                await one.wait_async()

    return call


def _replay(call: Call, method: Method) -> Any:
    def send(pull: Pull) -> Tuple[Any, Optional[Exception]]:
        with call.signed(pull):
            try:
                return call.request(method), None
            except TeaException as error:
                return None, call.answer(error)

    return result_of(*call.lease.call(send, call.rewind))


async def _replay_async(call: Call, method: Callable[..., Awaitable[Any]]) -> Any:
    async def send(pull: Pull) -> Tuple[Any, Optional[Exception]]:
        with call.signed(pull):
            try:
                return await call.request(method), None
            except TeaException as error:
                return None, call.answer(error)

    return result_of(*await call.lease.call_async(send, call.rewind))


def _is_answer(error: Exception) -> bool:
    """Return whether a service said it; else the SDK, which could not connect."""
    cause = error.inner_exception if isinstance(error, UnretryableException) else error
    return isinstance(cause, TeaException)
