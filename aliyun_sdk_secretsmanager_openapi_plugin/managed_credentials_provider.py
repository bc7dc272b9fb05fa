"""A credentials provider of the V2.0 SDKs, for code that builds its own ``CredentialClient``."""

import weakref
from contextvars import ContextVar
from typing import Any, Callable, Dict, Optional, Tuple

from alibabacloud_credentials_api import ICredentials, ICredentialsProvider
from alibabacloud_tea_openapi import client as sdk

from aliyun_sdk_secretsmanager_common_plugin import AccessKey, AKExpireHandler, ManagedCredentials
from aliyun_sdk_secretsmanager_common_plugin.flights import in_event_loop
from aliyun_sdk_secretsmanager_common_plugin.lease import Pull
from aliyun_sdk_secretsmanager_common_plugin.sockets import empty_pools

from .openapi_ak_expire_handler import OpenApiAkExpireHandler

# In this thread or task: the provider whose key signs a request, and where it gets it.
signing: ContextVar[Tuple[Any, Optional[Pull]]] = ContextVar("managed_credentials_signing", default=(None, None))
# The provider whose id was read last, weakly, and of whose key secret and token are, until each was read once.
_read: ContextVar[Tuple[Callable[[], Any], Dict[str, AccessKey]]] = ContextVar(
    "managed_credentials_read", default=(lambda: None, {}))

NAME = "managed"


class ManagedKey(ICredentials):  # type: ignore[misc]
    """Id, secret and token of one version.

    Gateways of some products ask a ``CredentialClient`` for the three one after another, and it a provider each time.
    The id is to be read first: the next secret and the next token are then those of that id.

    Args:
        key: the version.
        provider: who gives it.
    """

    def __init__(self, key: AccessKey, provider: ICredentialsProvider) -> None:
        self._key = key
        self._provider = provider
        self._id_was_read = False

    def get_access_key_id(self) -> str:
        """Return the id."""
        self._id_was_read = True
        _read.set((weakref.ref(self._provider), {"secret": self._key, "token": self._key}))
        return self._key.access_key_id

    def get_access_key_secret(self) -> str:
        """Return the secret."""
        return self._version("secret").access_key_secret

    def get_security_token(self) -> Optional[str]:
        """Return the token, None if there is none."""
        return self._version("token").security_token

    def get_provider_name(self) -> str:
        """Return what the SDKs say of the key's origin in a header."""
        return NAME

    def _version(self, part: str) -> AccessKey:
        provider, keys = _read.get()
        key = keys.get(part)
        if key is None or provider() is not self._provider or self._id_was_read and key is not self._key:
            return self._key
        _read.set((provider, {other: keys[other] for other in keys if other != part}))
        return key


class ManagedCredentialsProvider(ICredentialsProvider):  # type: ignore[misc]
    """Gives a ``CredentialClient`` of ``alibabacloud-credentials`` the secret's current key.

    The key is refreshed ahead of its rotation; calls are not replayed, as those of ``managed`` clients are. Threads,
    and tasks of any event loop, may share it. Code that asks the ``CredentialClient`` for id, secret and token, one
    after another, is to read the id first.

    Args:
        secret_name: the name of a managed RAM credential in Secrets Manager, read now; in an event loop the reading
            only begins, and the first call waits for it.
        managed_credentials: where the secret is read; None takes ``ManagedCredentials.default()``.
        ak_expire_handler: of the client whose calls are replayed, if there is one.

    Attributes:
        lease: the use of the secret.

    Raises:
        ConfigurationError: the properties file, or the secret's name, is missing or wrong.
        ServerException, ClientException: Secrets Manager refused, failed, or did not answer within ``fetch_timeout``.
        SecretFormatError: the secret is no managed RAM credential.

    Example::

        credential = CredentialClient(provider=ManagedCredentialsProvider("my-secret"))
        client = EcsClient(Config(credential=credential, region_id="cn-hangzhou"))
    """

    def __init__(
        self,
        secret_name: str,
        managed_credentials: Optional[ManagedCredentials] = None,
        ak_expire_handler: Optional[AKExpireHandler] = None,
    ) -> None:
        credentials = managed_credentials or ManagedCredentials.default()
        handler = ak_expire_handler or OpenApiAkExpireHandler()
        self.lease = credentials.lease(self, secret_name, handler, _forget_sockets, wait=not in_event_loop())

    def get_credentials(self) -> ManagedKey:
        """Return the current version."""
        return ManagedKey(self._signs() or self.lease.access_key(), self)

    async def get_credentials_async(self) -> ManagedKey:
        """As ``get_credentials``."""
        return ManagedKey(self._signs() or await self.lease.access_key_async(), self)

    def get_provider_name(self) -> str:
        """Return what the SDKs take for the credential's type."""
        return NAME

    def shutdown(self) -> None:
        """Release the secret. Idempotent."""
        self.lease.close()

    def _signs(self) -> Optional[AccessKey]:
        """Return the key of the attempt that is being signed, None if there is none."""
        provider, pull = signing.get()
        return pull() if provider is self and pull is not None else None

    def __enter__(self) -> "ManagedCredentialsProvider":
        return self

    def __exit__(self, *exc_info: Any) -> None:
        self.shutdown()


def _forget_sockets(client: Any) -> None:
    """Let the SDK go on in a forked child without the sockets of its parent: all clients share its sessions."""
    core = getattr(sdk, "DaraCore", None) or sdk.TeaCore
    for session in core._sessions.values():
        for adapter in session.adapters.values():
            empty_pools(adapter)
    core._sessions.clear()
