"""``managed``: clients of alibabacloud-oss-v2 that sign with a managed RAM credential."""

import copy
import functools
import inspect
from typing import Any, Dict, List, Optional, Protocol, Tuple, Type, TypeVar

import requests
from alibabacloud_oss_v2.credentials import CredentialsProviderFunc, StaticCredentialsProvider
from alibabacloud_oss_v2.exceptions import ServiceError

from aliyun_sdk_secretsmanager_common_plugin import AccessKey, AKExpireHandler, Lease, ManagedCredentials
from aliyun_sdk_secretsmanager_common_plugin.lease import result_of
from aliyun_sdk_secretsmanager_common_plugin.plugin_kit import (
    SecretHolder,
    answered,
    answered_async,
    managed_class,
    replay_bytes,
)
from aliyun_sdk_secretsmanager_common_plugin.secrecy import filter_loggers, log_fields, logger_of
from aliyun_sdk_secretsmanager_common_plugin.sockets import fresh_sockets

from .bodies import ReplayableAsyncBody, ReplayableBody, keep_open
from .errors import OssV2AkExpireHandler
from .provider import credentials_of

logger = logger_of(__name__)

filter_loggers("urllib3")  # at DEBUG it logs paths, which hold token and signature

# The HTTP clients that presigning uses. They send nothing, so that a call of theirs says nothing about the key.
PRESIGN = ("_nopHttpClient", "_nopAsyncHttpClient")

AnyClient = TypeVar("AnyClient")
AnyClient_co = TypeVar("AnyClient_co", covariant=True)


class Call:
    """One attempt in terms of the client's ``Retryer``; it is signed and sent again while OSS rejects its key.

    Args:
        context: the context of the SDK's signature, which has the request.
        options: the options of the call.
        replay_bytes: how many bytes of a body that can be read only once are kept: in memory, and in a file.
        body_class: ``ReplayableBody`` or a subclass.
    """

    def __init__(
        self, context: Any, options: Any, replay_bytes: Tuple[int, int], body_class: Type[ReplayableBody]
    ) -> None:
        self._context = context
        self._options = options
        self._given = dict(vars(context))
        self._given_request = dict(vars(context.request), headers=context.request.headers.copy())
        self._body = body_class(context.request.body, *replay_bytes)
        context.request.body = self._body.data

    @property
    def is_only_signed(self) -> bool:
        """Whether the request is never sent."""
        return type(self._options.http_client).__name__ in PRESIGN

    def options(self, key: AccessKey) -> Any:
        """Return the call's options with ``key`` as the key to sign with."""
        options = copy.copy(self._options)
        options.credentials_provider = StaticCredentialsProvider(
            key.access_key_id, key.access_key_secret, key.security_token)
        return options

    def rewind(self) -> Optional[Exception]:
        """Bring the request back to its first state, or return an error that says why that is impossible."""
        self._restore()
        self._context.request.body = self._body.data
        return self._body.rewind()

    def _restore(self) -> None:
        # The signers change headers and URL. A former key's token would stay there.
        vars(self._context).update(self._given)
        vars(self._context.request).update(self._given_request, headers=self._given_request["headers"].copy())

    def __enter__(self) -> "Call":
        return self

    def __exit__(self, exception_type: Any, *exc_info: Any) -> None:
        if exception_type is not None:
            self._restore()
        self._body.close()


class ManagedCalls:
    """A mixin for the SDK's class that sends a client's requests.

    Attributes:
        lease: the client's lease of its secret.
        replay_bytes: as for ``Call``.
    """

    lease: Lease
    replay_bytes: Tuple[int, int]

    def _sent_http_request_once(self, context: Any, options: Any) -> Any:
        once = super()._sent_http_request_once  # type: ignore[misc]
        with Call(context, options, self.replay_bytes, ReplayableBody) as call:
            if call.is_only_signed:
                return once(context, call.options(self.lease.access_key()))
            return result_of(*self.lease.call(
                lambda pull: answered(ServiceError, once, context, call.options(pull())), call.rewind))


class ManagedAsyncCalls:
    """As ``ManagedCalls``, for the class that sends an asynchronous client's requests."""

    lease: Lease
    replay_bytes: Tuple[int, int]

    async def _sent_http_request_once(self, context: Any, options: Any) -> Any:
        once = super()._sent_http_request_once  # type: ignore[misc]
        keep_open(context.request)
        with Call(context, options, self.replay_bytes, ReplayableAsyncBody) as call:
            if call.is_only_signed:
                return await once(context, call.options(await self.lease.access_key_async()))
            return result_of(*await self.lease.call_async(
                lambda pull: answered_async(ServiceError, once, context, call.options(pull())), call.rewind))


_classes: Dict[Any, Any] = {}


def _manage(calls: Any, lease: Lease, replay_bytes: Tuple[int, int]) -> None:
    """Change the class of ``calls``, the object that sends a client's requests, so that it signs and replays them."""
    sdk_class = type(calls)
    mixin = ManagedAsyncCalls if inspect.iscoroutinefunction(sdk_class._sent_http_request_once) else ManagedCalls
    made = _classes.setdefault(sdk_class, type("Managed" + sdk_class.__name__, (mixin, sdk_class), {}))
    calls.__class__ = made
    calls.lease, calls.replay_bytes = lease, replay_bytes


def _unmanaged(calls: Any) -> Any:
    """Return a copy of ``calls`` in the state before ``_manage``."""
    twin = copy.copy(calls)
    twin.__class__ = type(calls).__bases__[1]
    del twin.lease, twin.replay_bytes
    return twin


def _current_credentials(lease: Lease) -> Any:
    return credentials_of(lease.access_key())


def _is_async(client_class: Any) -> bool:
    return inspect.iscoroutinefunction(getattr(client_class, "invoke_operation", None))


class ManagedClient(SecretHolder):
    """A mixin that goes before a client class of alibabacloud-oss-v2; ``managed`` adds it.

    The client signs every request with the secret's current key. If OSS rejects that key as no longer valid, the client
    renews it from Secrets Manager and sends the request again, with its whole body. The caller does not notice a
    rotation, and neither does anything that works through the client: uploaders, downloaders, copiers, paginators,
    ``EncryptionClient(client, ...)``. For any other reason the client's ``Retryer`` retries as usual.

    A copy is an independent client; it has its own connections unless the ``http_client`` was an argument. A client
    that got no ``managed_credentials`` can also be pickled; in another process it uses the default ones there. A client
    that was shut down cannot be copied.

    Args:
        config: as for the client class; it is not changed. Its provider is ignored: the managed key signs.
        secret_name: the name of a managed RAM credential in Secrets Manager. The constructor reads it, so that a wrong
            configuration shows at start. In an event loop it only starts to read, and the first call waits.
        ak_expire_handler: decides which errors mean a rejected key. None means ``OssV2AkExpireHandler()``.
        managed_credentials: where to read the secret. None means ``ManagedCredentials.default()``, which
            ``managed_credentials_providers.properties`` configures.
        replay_buffer_bytes: how many bytes of a body that can be read only once, such as a generator, are kept in
            memory for a replay. None means the configured value.
        replay_spool_bytes: how many bytes of such a body are kept in a temporary file if it does not fit in memory. 0
            means no file, None the configured value. A call with a larger body is not repeated, and its error says so.
        more: other arguments of the client class.

    Attributes:
        secret_name: the secret in use; read-only.
        ak_expire_handler: the handler in use; read-only.

    Raises:
        ConfigurationError: the properties file, the secret's name or the handler is missing or wrong.
        ServerException, ClientException: Secrets Manager refused the request, failed, or did not answer within
            ``fetch_timeout``. These are the classes of ``aliyunsdkcore``.
        SecretFormatError: the secret is not a managed RAM credential.

    Example::

        class ManagedOssClient(ManagedClient, Client):
            \"\"\"The same as ``managed(Client)``, but a type checker also knows its ``with`` and ``shutdown``.\"\"\"
    """

    _HANDLER = OssV2AkExpireHandler
    _IN_EVENT_LOOPS = True

    _client: Any

    def __init__(
        self,
        config: Any,
        secret_name: str,
        ak_expire_handler: Optional[AKExpireHandler] = None,
        managed_credentials: Optional[ManagedCredentials] = None,
        replay_buffer_bytes: Optional[int] = None,
        replay_spool_bytes: Optional[int] = None,
        **more: Any
    ) -> None:
        self._take_secret(secret_name, ak_expire_handler, managed_credentials)
        self._replay_bytes = replay_bytes(self._managed_credentials.settings, replay_buffer_bytes, replay_spool_bytes)
        if getattr(config, "credentials_provider", None) is not None:
            logger.warning("secret %r: the credentials_provider of the client's config is not used; the managed key "
                           "signs", secret_name, extra=log_fields(secret_name))
        super().__init__(config, credentials_provider=self._provider(), **more)  # type: ignore[call-arg]
        self._owns_http_client = config.http_client is None and more.get("http_client") is None
        _manage(self._client, self._lease, self._replay_bytes)

    def _provider(self) -> Any:
        return CredentialsProviderFunc(functools.partial(_current_credentials, self._lease))

    def __getstate__(self) -> Dict[str, Any]:
        state = super().__getstate__()
        calls = state["_client"] = _unmanaged(self._client)
        options = calls._options = copy.copy(calls._options)
        options.credentials_provider = None
        if self._owns_http_client:
            options.http_client = copy.copy(options.http_client)
            # A client without connections opens some when it sends.
            vars(options.http_client).update(session=None, adapter=None)
        return state

    def __setstate__(self, state: Dict[str, Any]) -> None:
        super().__setstate__(state)
        self._client._options.credentials_provider = self._provider()
        _manage(self._client, self._lease, self._replay_bytes)

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if _is_async(cls) and not issubclass(cls, ManagedAsyncClient):
            raise TypeError("{}: mix ManagedAsyncClient, not ManagedClient, into a client class whose methods are "
                            "awaited".format(cls.__name__))

    def shutdown(self) -> None:
        """Release the secret, and close idle connections unless the ``http_client`` was an argument.

        Other clients are not affected. Idempotent. ``await close()`` closes an asynchronous client's connections.
        """
        super().shutdown()
        session = getattr(self._client._options.http_client, "session", None)
        if self._owns_http_client and isinstance(session, requests.Session):
            session.close()

    def _forget_sockets(self) -> None:
        calls = getattr(self, "_client", None)
        if calls is None:  # the process forked within the constructor
            return
        http_client = calls._options.http_client
        session = getattr(http_client, "session", None)
        if isinstance(session, requests.Session):
            fresh_sockets(session)
        elif session is not None and self._owns_http_client:
            _of_parents.append(session)
            http_client.session = None


# Sessions of a parent process's event loops. They are kept because finalizing one would change the set of sockets on
# which the parent's loop waits.
_of_parents: List[Any] = []


class ManagedAsyncClient(ManagedClient):
    """As ``ManagedClient``, for a client class whose methods are awaited. A client is for one event loop."""

    async def close(self) -> None:
        """Release the secret and close the connections, as the end of ``async with`` does."""
        self.shutdown()
        await super().close()  # type: ignore[misc]


class ManagedClass(Protocol[AnyClient_co]):
    """The type of what ``managed`` returns, for type checkers. ``ManagedClient`` describes the arguments."""

    def __call__(
        self,
        config: Any,
        secret_name: str,
        ak_expire_handler: Optional[AKExpireHandler] = None,
        managed_credentials: Optional[ManagedCredentials] = None,
        replay_buffer_bytes: Optional[int] = None,
        replay_spool_bytes: Optional[int] = None,
        **more: Any
    ) -> AnyClient_co:
        """Make a client."""


def managed(client_class: Type[AnyClient]) -> ManagedClass[AnyClient]:
    """Return a subclass of a client class of alibabacloud-oss-v2 whose clients take the name of a secret.

    Args:
        client_class: ``alibabacloud_oss_v2.Client``, ``alibabacloud_oss_v2.aio.AsyncClient``, or a class that sends its
            requests like these.

    Returns:
        The subclass, the same one in every call. ``ManagedClient`` describes it.

    Example::

        with managed(Client)(Config(region="cn-hangzhou"), secret_name="my-secret") as client:
            client.put_object(PutObjectRequest(bucket="my-bucket", key="hello.txt", body=b"hello"))
    """
    mixin = ManagedAsyncClient if _is_async(client_class) else ManagedClient
    return managed_class(managed, mixin, client_class)  # type: ignore[no-any-return]
