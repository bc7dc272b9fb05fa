"""``managed``: the client class of a V2.0 SDK, with clients that sign with a managed RAM credential."""

import copy
import logging
from typing import Any, Dict, Optional, Protocol, Type, TypeVar

from alibabacloud_credentials.client import Client as CredentialClient

from aliyun_sdk_secretsmanager_common_plugin import AKExpireHandler, ManagedCredentials
from aliyun_sdk_secretsmanager_common_plugin.secrecy import filter_loggers

from .calls import replayed, replayed_async, replayed_events, replayed_events_async
from .managed_credentials_provider import ManagedCredentialsProvider
from .openapi_ak_expire_handler import OpenApiAkExpireHandler

logger = logging.getLogger(__name__)

for sdk in ("alibabacloud-tea", "darabonba-core"):
    filter_loggers(sdk)

# What signs and sends: every call of a client comes through one of these methods, once.
CALLS = ("do_rpcrequest", "do_roarequest", "do_roarequest_with_form", "do_request", "execute")
EVENT_CALLS = ("call_sseapi",)

Client = TypeVar("Client", bound="ManagedClient")
AnyClient = TypeVar("AnyClient")
AnyClient_co = TypeVar("AnyClient_co", covariant=True)


class ManagedClient:
    """Mixed into a client class of a V2.0 SDK, in front of it, as ``managed`` does.

    Every call is signed with the secret's current key. When the service rejects it as no longer valid, the key is
    renewed from Secrets Manager and the call repeated, with its body whole; the caller does not notice a rotation.
    Threads, and tasks of any event loop, may share a client.

    Args:
        config: as the client class takes it; not changed. Credentials in it are not used: the managed key signs.
        secret_name: the name of a managed RAM credential in Secrets Manager. It is read now, so that a wrong
            configuration shows at start; in an event loop the reading only begins, and the first call waits for it.
        ak_expire_handler: decides which errors mean a rejected key; None takes ``OpenApiAkExpireHandler()``.
        managed_credentials: where the secret is read; None takes ``ManagedCredentials.default()``, configured by
            ``managed_credentials_providers.properties``.

    Attributes:
        secret_name: the one in use; to be read, not set.
        ak_expire_handler: likewise.

    Raises:
        ConfigurationError: the properties file, or the secret's name, is missing or wrong.
        ServerException, ClientException: Secrets Manager refused, failed, or did not answer within ``fetch_timeout``;
            those of ``aliyunsdkcore``.
        SecretFormatError: the secret is no managed RAM credential.

    Example::

        class ManagedEcsClient(ManagedClient, EcsClient):
            \"\"\"As ``managed(EcsClient)``; a type checker knows ``with`` and ``shutdown`` of it, too.\"\"\"
    """

    _retries: Any = None

    def __init__(
        self,
        config: Any,
        secret_name: str,
        ak_expire_handler: Optional[AKExpireHandler] = None,
        managed_credentials: Optional[ManagedCredentials] = None,
    ) -> None:
        credentials = managed_credentials or ManagedCredentials.default()
        self.secret_name = secret_name
        self.ak_expire_handler = ak_expire_handler or OpenApiAkExpireHandler()
        self._replay_bytes = credentials.settings.replay_buffer_bytes, credentials.settings.replay_spool_bytes
        self._provider = ManagedCredentialsProvider(secret_name, credentials, self.ak_expire_handler)
        self._lease = self._provider.lease
        super().__init__(_with_credential(config, self._provider, secret_name))  # type: ignore[call-arg]

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
    def _replace(cls, name: str, wrapper: Any) -> None:
        method = getattr(super(ManagedClient, cls), name, None)
        if method is not None:  # else of an SDK that is older
            setattr(cls, name, wrapper(method))

    def _take_retry_options(self, retry_options: Any) -> None:
        self._retries = retry_options

    # The SDK tries each request once, since it would sign again with a key that was rejected: see ``Call.retried``.
    _retry_options: Any = property(lambda self: None, _take_retry_options)

    def shutdown(self) -> None:
        """Release the secret. Other clients go on. Idempotent."""
        self._provider.shutdown()

    def __enter__(self: Client) -> Client:
        return self

    def __exit__(self, *exc_info: Any) -> None:
        self.shutdown()


_classes: Dict[Any, Any] = {}


class ManagedClass(Protocol[AnyClient_co]):
    """What ``managed`` returns, as a type checker sees it: see ``ManagedClient`` for the arguments."""

    def __call__(
        self,
        config: Any,
        secret_name: str,
        ak_expire_handler: Optional[AKExpireHandler] = None,
        managed_credentials: Optional[ManagedCredentials] = None,
    ) -> AnyClient_co:
        """Return a client."""


def managed(client_class: Type[AnyClient]) -> ManagedClass[AnyClient]:
    """Return a subclass of a V2.0 SDK's client class whose clients are given the name of a secret.

    Args:
        client_class: such as ``alibabacloud_ecs20140526.client.Client``.

    Returns:
        The class, the same one each time; see ``ManagedClient``.

    Example::

        with managed(EcsClient)(Config(region_id="cn-hangzhou"), secret_name="my-secret") as client:
            client.describe_regions(DescribeRegionsRequest())
    """
    if client_class not in _classes:
        described = {"__module__": client_class.__module__, "__doc__": ManagedClient.__doc__}
        made = type("Managed" + client_class.__name__, (ManagedClient, client_class), described)
        _classes.setdefault(client_class, made)
    managed_class: ManagedClass[AnyClient] = _classes[client_class]
    return managed_class


def _with_credential(config: Any, provider: ManagedCredentialsProvider, secret_name: str) -> Any:
    """Return a copy of the user's config, with the managed key as its only credential."""
    if config is None:
        return None  # the SDK says so
    credentials = dict.fromkeys(("access_key_id", "access_key_secret", "security_token", "bearer_token", "credential"))
    if any(getattr(config, name, None) for name in credentials):
        logger.warning("secret %r: the other credentials of the client's config are not used; the managed key signs",
                       secret_name)
    twin = copy.copy(config)
    vars(twin).update(credentials, credential=CredentialClient(provider=provider))
    return twin
