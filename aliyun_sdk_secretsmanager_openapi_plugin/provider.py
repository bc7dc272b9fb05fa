"""A credentials provider of the V2.0 SDKs, for programs that make their own ``CredentialClient``."""

from typing import Optional

from alibabacloud_credentials_api import ICredentialsProvider
from alibabacloud_tea_openapi import client as sdk

from aliyun_sdk_secretsmanager_common_plugin import AccessKey, AKExpireHandler, Lease, ManagedCredentials
from aliyun_sdk_secretsmanager_common_plugin.plugin_kit import KeyProvider
from aliyun_sdk_secretsmanager_common_plugin.sockets import empty_pools

from .errors import OpenApiAkExpireHandler
from .signing import NAME, ManagedKey, current_signature


class ManagedCredentialsProvider(KeyProvider, ICredentialsProvider):  # type: ignore[misc]
    """Gives a ``CredentialClient`` of ``alibabacloud-credentials`` the secret's current key.

    The key is refreshed ahead of its rotation. Unlike a ``managed`` client, a provider cannot repeat a rejected call.
    Therefore, while it is asked for keys, the secret is also read again in the background, at most once in every
    ``provider_refresh_interval`` (60 s). Threads, and asyncio tasks of any event loop, may share a provider. A program
    that asks the ``CredentialClient`` for id, secret and token one by one must ask for the id first.

    Args:
        secret_name: the name of a managed RAM credential in Secrets Manager. The constructor reads it. In an event loop
            it only starts to read, and the first call waits.
        managed_credentials: where to read the secret. None means ``ManagedCredentials.default()``.
        ak_expire_handler: the handler of the ``managed`` client that uses this provider, if one does.

    Raises:
        ConfigurationError: the properties file, the secret's name or the handler is missing or wrong.
        ServerException, ClientException: Secrets Manager refused the request, failed, or did not answer within
            ``fetch_timeout``.
        SecretFormatError: the secret is not a managed RAM credential.

    Example::

        credential = CredentialClient(provider=ManagedCredentialsProvider("my-secret"))
        client = EcsClient(Config(credential=credential, region_id="cn-hangzhou"))
    """

    _HANDLER = OpenApiAkExpireHandler
    _IN_EVENT_LOOPS = True

    def __init__(
        self,
        secret_name: str,
        managed_credentials: Optional[ManagedCredentials] = None,
        ak_expire_handler: Optional[AKExpireHandler] = None,
    ) -> None:
        self._is_alone = ak_expire_handler is None
        self._take_secret(secret_name, ak_expire_handler, managed_credentials)

    @property
    def lease(self) -> Lease:
        """This provider's lease of the secret."""
        return self._lease

    def get_credentials(self) -> ManagedKey:
        """Return the current key."""
        key = self._attempt_key()
        if key is None:
            key = self._lease.provide() if self._is_alone else self._lease.access_key()
        return ManagedKey(key, self)

    async def get_credentials_async(self) -> ManagedKey:
        """As ``get_credentials``, without blocking the event loop."""
        key = self._attempt_key()
        if key is None:
            key = await (self._lease.provide_async() if self._is_alone else self._lease.access_key_async())
        return ManagedKey(key, self)

    def get_provider_name(self) -> str:
        """Return the name of this kind of provider, which the SDKs treat as the credential's type."""
        return NAME

    def _attempt_key(self) -> Optional[AccessKey]:
        """Return the key for the attempt that is being signed, or None outside of a ``managed`` client's call."""
        provider, pull = current_signature.get()
        return pull() if provider is self and pull is not None else None

    def _forget_sockets(self) -> None:
        # The SDK's sessions belong to all of its clients.
        core = getattr(sdk, "DaraCore", None) or sdk.TeaCore
        for session in core._sessions.values():
            for adapter in session.adapters.values():
                empty_pools(adapter)
        core._sessions.clear()
