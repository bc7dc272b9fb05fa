"""A credentials provider of alibabacloud-oss-v2, for code that makes its own ``Client``."""

from typing import Any, Optional

from alibabacloud_oss_v2.types import Credentials, CredentialsProvider

from aliyun_sdk_secretsmanager_common_plugin import AccessKey, ManagedCredentials
from aliyun_sdk_secretsmanager_common_plugin.flights import in_event_loop

from .oss_v2_ak_expire_handler import OssV2AkExpireHandler


def credentials_of(key: AccessKey) -> Credentials:
    """Return a key as the SDK's signers take it."""
    return Credentials(key.access_key_id, key.access_key_secret, key.security_token)


class ManagedCredentialsProvider(CredentialsProvider):  # type: ignore[misc]
    """Gives ``Config(credentials_provider=...)`` the secret's current key.

    The key is refreshed ahead of its rotation; calls are not replayed, as those of ``managed`` clients are. Threads and
    clients may share it.

    Args:
        secret_name: the name of a managed RAM credential in Secrets Manager, read now; in an event loop the reading
            only begins, and a call that comes before its end waits for it: there, ``await get_credentials_async()``
            first, since the SDK cannot await a provider.
        managed_credentials: where the secret is read; None takes ``ManagedCredentials.default()``.

    Raises:
        ConfigurationError: the properties file, or the secret's name, is missing or wrong.
        ServerException, ClientException: Secrets Manager refused, failed, or did not answer within ``fetch_timeout``.
        SecretFormatError: the secret is no managed RAM credential.

    Example::

        config = Config(region="cn-hangzhou", credentials_provider=ManagedCredentialsProvider("my-secret"))
        client = Client(config)
    """

    def __init__(self, secret_name: str, managed_credentials: Optional[ManagedCredentials] = None) -> None:
        credentials = managed_credentials or ManagedCredentials.default()
        self._lease = credentials.lease(
            self, secret_name, OssV2AkExpireHandler(), lambda provider: None, wait=not in_event_loop())

    def get_credentials(self) -> Credentials:
        """Return id, secret and token of one version, the current one."""
        return credentials_of(self._lease.access_key())

    async def get_credentials_async(self) -> Credentials:
        """As ``get_credentials``, for a task of an event loop, which it does not block."""
        return credentials_of(await self._lease.access_key_async())

    def shutdown(self) -> None:
        """Release the secret. Idempotent."""
        self._lease.close()

    def __enter__(self) -> "ManagedCredentialsProvider":
        return self

    def __exit__(self, *exc_info: Any) -> None:
        self.shutdown()
