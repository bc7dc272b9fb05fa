"""``managed``: a client class of alibabacloud-oss-v2, with clients that sign with a managed RAM credential."""

import functools
import inspect
import logging
from typing import Any, Dict, List, Optional, Protocol, Type, TypeVar

import requests
from alibabacloud_oss_v2.credentials import CredentialsProviderFunc

from aliyun_sdk_secretsmanager_common_plugin import AKExpireHandler, Lease, ManagedCredentials
from aliyun_sdk_secretsmanager_common_plugin.flights import in_event_loop
from aliyun_sdk_secretsmanager_common_plugin.sockets import fresh_sockets

from .calls import manage
from .managed_credentials_provider import credentials_of
from .oss_v2_ak_expire_handler import OssV2AkExpireHandler

logger = logging.getLogger(__name__)

AnyManagedClient = TypeVar("AnyManagedClient", bound="ManagedClient")
AnyClient = TypeVar("AnyClient")
AnyClient_co = TypeVar("AnyClient_co", covariant=True)


def _is_async(client_class: Any) -> bool:
    return inspect.iscoroutinefunction(getattr(client_class, "invoke_operation", None))


class ManagedClient:
    """Mixed into a client class of alibabacloud-oss-v2, in front of it, as ``managed`` does.

    Every request is signed with the secret's current key. When OSS rejects it as no longer valid, the key is renewed
    from Secrets Manager and the request repeated, with its body whole; the caller does not notice a rotation, nor does
    what works through the client: uploaders, downloaders, copiers, paginators, ``EncryptionClient(client, ...)``.
    Retries for other reasons are the client's ``Retryer``'s, as ever.

    Args:
        config: as the client class takes it; not changed. A provider in it is not used: the managed key signs.
        secret_name: the name of a managed RAM credential in Secrets Manager. It is read now, so that a wrong
            configuration shows at start; in an event loop the reading only begins, and the first call waits for it.
        ak_expire_handler: decides which errors mean a rejected key; None takes ``OssV2AkExpireHandler()``.
        managed_credentials: where the secret is read; None takes ``ManagedCredentials.default()``, configured by
            ``managed_credentials_providers.properties``.
        replay_buffer_bytes: how much of a body that can be read only once, such as a generator, is kept in memory for a
            replay; None takes the properties file's.
        replay_spool_bytes: how much of it is kept, beyond that, in a temporary file; 0 is none. A body that is larger
            is not replayed: its error says so.
        more: the other arguments of the client class.

    Attributes:
        secret_name: the one in use; to be read, not set.
        ak_expire_handler: likewise.

    Raises:
        ConfigurationError: the properties file, or the secret's name, is missing or wrong.
        ServerException, ClientException: Secrets Manager refused, failed, or did not answer within ``fetch_timeout``;
            those of ``aliyunsdkcore``.
        SecretFormatError: the secret is no managed RAM credential.

    Example::

        class ManagedOssClient(ManagedClient, Client):
            \"\"\"As ``managed(Client)``; a type checker knows ``with`` and ``shutdown`` of it, too.\"\"\"
    """

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
        credentials = managed_credentials or ManagedCredentials.default()
        settings = credentials.settings
        self.secret_name = secret_name
        self.ak_expire_handler = ak_expire_handler or OssV2AkExpireHandler()
        self._lease = credentials.lease(
            self, secret_name, self.ak_expire_handler, _forget_sockets, wait=not in_event_loop())
        if getattr(config, "credentials_provider", None) is not None:
            logger.warning("secret %r: the credentials_provider of the client's config is not used; the managed key "
                           "signs", secret_name)
        provider = CredentialsProviderFunc(functools.partial(_credentials, self._lease))
        super().__init__(config, credentials_provider=provider, **more)  # type: ignore[call-arg]
        self._owns_http_client = config.http_client is None and more.get("http_client") is None
        manage(self._client, self._lease, (
            settings.replay_buffer_bytes if replay_buffer_bytes is None else replay_buffer_bytes,
            settings.replay_spool_bytes if replay_spool_bytes is None else replay_spool_bytes))

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if _is_async(cls) and not issubclass(cls, ManagedAsyncClient):
            raise TypeError("{}: mix ManagedAsyncClient, not ManagedClient, into a client class whose methods are "
                            "awaited".format(cls.__name__))

    def shutdown(self) -> None:
        """Release the secret, and close the idle connections unless they are an ``http_client``'s that was given.

        Other clients go on. Idempotent. Those of an asynchronous client are closed by ``await close()``.
        """
        self._lease.close()
        session = getattr(self._client._options.http_client, "session", None)
        if self._owns_http_client and isinstance(session, requests.Session):
            session.close()

    def __enter__(self: AnyManagedClient) -> AnyManagedClient:
        return self

    def __exit__(self, *exc_info: Any) -> None:
        self.shutdown()


class ManagedAsyncClient(ManagedClient):
    """As ``ManagedClient``, for a client class whose methods are awaited; to be used in one event loop, as that is."""

    async def close(self) -> None:
        """Release the secret, and close the connections; ``async with`` does so, too."""
        self.shutdown()
        await super().close()  # type: ignore[misc]


class ManagedClass(Protocol[AnyClient_co]):
    """What ``managed`` returns, as a type checker sees it: see ``ManagedClient`` for the arguments."""

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
        """Return a client."""


_managed_classes: Dict[Any, Any] = {}


def managed(client_class: Type[AnyClient]) -> ManagedClass[AnyClient]:
    """Return a subclass of a client class of alibabacloud-oss-v2 whose clients are given the name of a secret.

    Args:
        client_class: ``alibabacloud_oss_v2.Client``, ``alibabacloud_oss_v2.aio.AsyncClient``, or one that makes its
            calls as these do.

    Returns:
        The class, the same one each time; see ``ManagedClient``.

    Example::

        with managed(Client)(Config(region="cn-hangzhou"), secret_name="my-secret") as client:
            client.put_object(PutObjectRequest(bucket="my-bucket", key="hello.txt", body=b"hello"))
    """
    if client_class not in _managed_classes:
        described = {"__module__": client_class.__module__, "__doc__": ManagedClient.__doc__}
        base = ManagedAsyncClient if _is_async(client_class) else ManagedClient
        made = type("Managed" + client_class.__name__, (base, client_class), described)
        _managed_classes.setdefault(client_class, made)
    managed_class: ManagedClass[AnyClient] = _managed_classes[client_class]
    return managed_class


def _credentials(lease: Lease) -> Any:
    return credentials_of(lease.access_key())


# Sessions of event loops of a parent process: to finalize one would change what the parent's loop waits for.
_of_parents: List[Any] = []


def _forget_sockets(client: ManagedClient) -> None:
    """Let a client go on in a forked child without the sockets of its parent."""
    calls = getattr(client, "_client", None)
    if calls is None:  # forked while it is made
        return
    http_client = calls._options.http_client
    session = getattr(http_client, "session", None)
    if isinstance(session, requests.Session):
        fresh_sockets(session)
    elif session is not None and client._owns_http_client:
        _of_parents.append(session)
        http_client.session = None
