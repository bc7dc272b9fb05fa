"""``managed``: clients of the V2.0 SDKs that sign with a managed RAM credential."""

import asyncio
import copy
import functools
import inspect
import time
from contextlib import closing, contextmanager, suppress
from typing import Any, AsyncIterator, Awaitable, Callable, Iterator, Optional, Protocol, Tuple, Type, TypeVar

from alibabacloud_credentials.client import Client as CredentialClient
from Tea.exceptions import TeaException, UnretryableException

from aliyun_sdk_secretsmanager_common_plugin import AccessKey, AKExpireHandler, Lease, ManagedCredentials
from aliyun_sdk_secretsmanager_common_plugin.bodies import ReplayableBody
from aliyun_sdk_secretsmanager_common_plugin.lease import Pull, result_of
from aliyun_sdk_secretsmanager_common_plugin.plugin_kit import SecretHolder, managed_class, replay_bytes
from aliyun_sdk_secretsmanager_common_plugin.secrecy import filter_loggers, log_fields, logger_of

from .errors import OpenApiAkExpireHandler
from .provider import ManagedCredentialsProvider
from .signing import current_signature

logger = logger_of(__name__)

for sdk in ("alibabacloud-tea", "darabonba-core", "urllib3"):  # urllib3 logs paths, which hold token and signature
    filter_loggers(sdk)

# The methods that sign and send. Every call of a client goes through one of them, once.
CALLS = ("do_rpcrequest", "do_roarequest", "do_roarequest_with_form", "do_request", "execute")
EVENT_CALLS = ("call_sseapi",)

Method = Callable[..., Any]
AnyClient = TypeVar("AnyClient")
AnyClient_co = TypeVar("AnyClient_co", covariant=True)

_END = object()


class Call:
    """One call of a client, which can be sent again.

    Args:
        client: the client.
        arguments: the bound arguments of the SDK's method.
    """

    def __init__(self, client: Any, arguments: inspect.BoundArguments) -> None:
        self._lease: Lease = client._lease
        self._client = client
        self._arguments = arguments
        given = arguments.arguments["request"]
        self._body = ReplayableBody(given.stream, *client._replay_bytes)
        self._request = arguments.arguments["request"] = copy.copy(given)
        self._request.stream = self._body.data
        self._rpc_headers = client._headers  # the SDK removes them from the client when it signs
        self._key: Optional[AccessKey] = None
        self._failures = 0
        self._delay = 0  # in milliseconds

    def send(self, method: Method) -> Any:
        """Send the request, and replay it while the service rejects its key; return what ``method`` returns."""

        def attempt(pull: Pull) -> Tuple[Any, Optional[Exception]]:
            with self._signed(pull):
                try:
                    return method(*self._arguments.args, **self._arguments.kwargs), None
                except TeaException as error:
                    return None, self._answer(error)

        return result_of(*self._lease.call(attempt, self._rewind))

    async def send_async(self, method: Callable[..., Awaitable[Any]]) -> Any:
        """As ``send``, with a method that is awaited."""

        async def attempt(pull: Pull) -> Tuple[Any, Optional[Exception]]:
            with self._signed(pull):
                try:
                    return await method(*self._arguments.args, **self._arguments.kwargs), None
                except TeaException as error:
                    return None, self._answer(error)

        return result_of(*await self._lease.call_async(attempt, self._rewind))

    @contextmanager
    def retried(self) -> Iterator[None]:
        """Suppress an error that the program's ``retry_options`` retry; then ``wait``, and send again.

        The SDK itself tries each request once, because it would sign a retry with the rejected key.
        """
        try:
            yield
        except Exception as error:
            if not self._is_retried(error):
                raise

    def wait(self) -> None:
        """Wait before a retry, for as long as ``retry_options`` say."""
        time.sleep(self._delay / 1000)

    async def wait_async(self) -> None:
        """As ``wait``, without blocking the event loop."""
        await asyncio.sleep(self._delay / 1000)

    def close(self) -> None:
        """Release what was kept of the body."""
        self._body.close()

    @contextmanager
    def _signed(self, pull: Pull) -> Iterator[None]:
        """Sign an attempt with one key: the key that is current at the first signature."""
        self._key = None

        def snapshot() -> AccessKey:
            self._key = self._key or pull()
            return self._key

        former = current_signature.set((self._client._provider, snapshot))
        try:
            yield
        finally:
            # A task whose loop was closed is ended by the garbage collector, in another context.
            with suppress(ValueError):
                current_signature.reset(former)

    def _answer(self, error: Any) -> Any:
        """Return ``error`` if a service answered it to a signed request; raise it otherwise."""
        if self._key is None or not _is_answer(error):
            raise error
        # The SDK's frames and the error refer to each other. Without this, the garbage collector would have to free the
        # body and the key.
        getattr(error, "inner_exception", error).__traceback__ = None
        return error

    def _rewind(self) -> Optional[Exception]:
        """Bring the request back to its first state, or return an error that says why that is impossible."""
        if self._rpc_headers is not None:
            self._client.set_rpc_headers(self._rpc_headers)
        return self._body.rewind()

    def _is_retried(self, error: Exception) -> bool:
        options = self._client._retries
        if options is None:
            return False
        from alibabacloud_tea_openapi.utils import Utils
        from darabonba.core import DaraCore
        from darabonba.policy.retry import RetryPolicyContext

        if self._key is not None and _is_answer(error) and self._lease.is_rejection(self._key, error):
            return False
        self._failures += 1
        context = RetryPolicyContext(
            retries_attempted=self._failures,
            http_request=getattr(error, "last_request", None),
            exception=getattr(error, "inner_exception", error),
        )
        if not DaraCore.should_retry(options, context) or self._rewind() is not None:
            return False
        self._delay = DaraCore.get_backoff_time(options, context)
        if hasattr(Utils, "apply_retry_headers"):  # old versions of the SDK do not have it
            self._request.headers = dict(self._request.headers or {})
            Utils.apply_retry_headers(self._request.headers, self._failures, self._delay)
        return True


def replayed(method: Method) -> Method:
    """Wrap a method of the SDK, so that its calls are replayed."""
    signature = inspect.signature(method)

    @functools.wraps(method)
    def call(self: Any, *args: Any, **kwargs: Any) -> Any:
        with closing(Call(self, signature.bind(self, *args, **kwargs))) as one:
            while True:
                with one.retried():
                    return one.send(method)
                one.wait()

    return call


def replayed_async(method: Method) -> Method:
    """As ``replayed``, for a method that is awaited."""
    signature = inspect.signature(method)

    @functools.wraps(method)
    async def call(self: Any, *args: Any, **kwargs: Any) -> Any:
        with closing(Call(self, signature.bind(self, *args, **kwargs))) as one:
            while True:
                with one.retried():
                    return await one.send_async(method)
                await one.wait_async()

    return call


def replayed_events(method: Method) -> Method:
    """As ``replayed``, for a generator of server-sent events. After the first event a call is not replayed."""
    signature = inspect.signature(method)

    def opened(*args: Any, **kwargs: Any) -> Tuple[Any, Any]:
        events = method(*args, **kwargs)
        return next(events, _END), events

    @functools.wraps(method)
    def call(self: Any, *args: Any, **kwargs: Any) -> Iterator[Any]:
        with closing(Call(self, signature.bind(self, *args, **kwargs))) as one:
            while True:
                with one.retried():
                    first, events = one.send(opened)
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

    async def opened(*args: Any, **kwargs: Any) -> Tuple[Any, Any]:
        events = method(*args, **kwargs)
        async for event in events:
            return event, events
        return _END, events

    @functools.wraps(method)
    async def call(self: Any, *args: Any, **kwargs: Any) -> AsyncIterator[Any]:
        with closing(Call(self, signature.bind(self, *args, **kwargs))) as one:
            while True:
                with one.retried():
                    first, events = await one.send_async(opened)
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


def _is_answer(error: Exception) -> bool:
    """Return whether a service answered ``error``. The SDK itself raises others, such as "no connection"."""
    cause = error.inner_exception if isinstance(error, UnretryableException) else error
    return isinstance(cause, TeaException)


class ManagedClient(SecretHolder):
    """A mixin that goes before a client class of a V2.0 SDK; ``managed`` adds it.

    The client signs every call with the secret's current key. If the service rejects that key as no longer valid, the
    client renews it from Secrets Manager and sends the call again, with its whole body. The caller does not notice a
    rotation.

    Threads, and asyncio tasks of any event loop, may share a client. A copy is an independent client. A client that got
    no ``managed_credentials`` can also be pickled; in another process it uses the default ones there. A client that was
    shut down cannot be copied.

    Args:
        config: as for the client class; it is not changed. Its credentials are ignored: the managed key signs.
        secret_name: the name of a managed RAM credential in Secrets Manager. The constructor reads it, so that a wrong
            configuration shows at start. In an event loop it only starts to read, and the first call waits.
        ak_expire_handler: decides which errors mean a rejected key. None means ``OpenApiAkExpireHandler()``.
        managed_credentials: where to read the secret. None means ``ManagedCredentials.default()``, which
            ``managed_credentials_providers.properties`` configures.

    Attributes:
        secret_name: the secret in use; read-only.
        ak_expire_handler: the handler in use; read-only.

    Raises:
        ConfigurationError: the properties file, the secret's name or the handler is missing or wrong.
        ServerException, ClientException: Secrets Manager refused the request, failed, or did not answer within
            ``fetch_timeout``. These are the classes of ``aliyunsdkcore``.
        SecretFormatError: the secret is not a managed RAM credential.

    Example::

        class ManagedEcsClient(ManagedClient, EcsClient):
            \"\"\"The same as ``managed(EcsClient)``, but a type checker also knows its ``with`` and ``shutdown``.\"\"\"
    """

    _retries: Any = None
    _HANDLER = OpenApiAkExpireHandler
    _HELD = ("_lease", "_provider", "_credential")

    def __init__(
        self,
        config: Any,
        secret_name: str,
        ak_expire_handler: Optional[AKExpireHandler] = None,
        managed_credentials: Optional[ManagedCredentials] = None,
    ) -> None:
        self._take_secret(secret_name, ak_expire_handler, managed_credentials)
        self._replay_bytes = replay_bytes(self._managed_credentials.settings)
        super().__init__(_with_credential(config, self._credential, secret_name))  # type: ignore[call-arg]

    def _hold(self) -> None:
        self._provider = ManagedCredentialsProvider(
            self.secret_name, self._managed_credentials, self.ak_expire_handler)
        self._lease = self._provider.lease
        self._credential = CredentialClient(provider=self._provider)

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if ManagedClient in cls.__bases__:
            for name in CALLS:
                cls._replace(name, replayed)
                cls._replace(name + "_async", replayed_async)
            for name in EVENT_CALLS:
                cls._replace(name, replayed_events)
                cls._replace(name + "_async", replayed_events_async)

    @classmethod
    def _replace(cls, name: str, wrapper: Callable[[Method], Method]) -> None:
        method = getattr(super(ManagedClient, cls), name, None)
        if method is not None:  # old versions of the SDK do not have all of them
            setattr(cls, name, wrapper(method))

    def _take_retry_options(self, retry_options: Any) -> None:
        self._retries = retry_options

    # The SDK sees None, and so tries each request once. ``Call.retried`` applies the options.
    _retry_options: Any = property(lambda self: None, _take_retry_options)


class ManagedClass(Protocol[AnyClient_co]):
    """The type of what ``managed`` returns, for type checkers. ``ManagedClient`` describes the arguments."""

    def __call__(
        self,
        config: Any,
        secret_name: str,
        ak_expire_handler: Optional[AKExpireHandler] = None,
        managed_credentials: Optional[ManagedCredentials] = None,
    ) -> AnyClient_co:
        """Make a client."""


def managed(client_class: Type[AnyClient]) -> ManagedClass[AnyClient]:
    """Return a subclass of a V2.0 SDK's client class whose clients take the name of a secret.

    Args:
        client_class: the client class, such as ``alibabacloud_ecs20140526.client.Client``.

    Returns:
        The subclass, the same one in every call. ``ManagedClient`` describes it.

    Example::

        with managed(EcsClient)(Config(region_id="cn-hangzhou"), secret_name="my-secret") as client:
            client.describe_regions(DescribeRegionsRequest())
    """
    return managed_class(managed, ManagedClient, client_class)  # type: ignore[no-any-return]


def _with_credential(config: Any, credential: CredentialClient, secret_name: str) -> Any:
    """Return a copy of the program's config whose only credential is the managed key."""
    if config is None:
        return None  # the SDK raises an error
    credentials = dict.fromkeys(("access_key_id", "access_key_secret", "security_token", "bearer_token", "credential"))
    if any(getattr(config, name, None) for name in credentials):
        logger.warning("secret %r: the other credentials of the client's config are not used; the managed key signs",
                       secret_name, extra=log_fields(secret_name))
    twin = copy.copy(config)
    vars(twin).update(credentials, credential=credential)
    return twin
