"""A credentials provider of alibabacloud-oss-v2, for programs that make their own ``Client``."""

from alibabacloud_oss_v2.types import Credentials, CredentialsProvider

from aliyun_sdk_secretsmanager_common_plugin import AccessKey
from aliyun_sdk_secretsmanager_common_plugin.plugin_kit import KeyProvider

from .errors import OssV2AkExpireHandler


def credentials_of(key: AccessKey) -> Credentials:
    """Return a key in the form that the SDK's signers expect."""
    return Credentials(key.access_key_id, key.access_key_secret, key.security_token)


class ManagedCredentialsProvider(KeyProvider, CredentialsProvider):  # type: ignore[misc]
    """Gives ``Config(credentials_provider=...)`` the secret's current key.

    The key is refreshed ahead of its rotation. Unlike a ``managed`` client, a provider cannot repeat a rejected call.
    Therefore, while it is asked for keys, the secret is also read again in the background, at most once in every
    ``provider_refresh_interval`` (60 s). Threads and clients may share a provider.

    Args:
        secret_name: the name of a managed RAM credential in Secrets Manager. The constructor reads it. In an event loop
            it only starts to read. The SDK cannot await a provider, so that a call then would block the loop until the
            secret has been read: ``await get_credentials_async()`` before the first call.
        managed_credentials: where to read the secret. None means ``ManagedCredentials.default()``.

    Raises:
        ConfigurationError: the properties file or the secret's name is missing or wrong.
        ServerException, ClientException: Secrets Manager refused the request, failed, or did not answer within
            ``fetch_timeout``.
        SecretFormatError: the secret is not a managed RAM credential.

    Example::

        config = Config(region="cn-hangzhou", credentials_provider=ManagedCredentialsProvider("my-secret"))
        client = Client(config)
    """

    _HANDLER = OssV2AkExpireHandler
    _IN_EVENT_LOOPS = True

    def get_credentials(self) -> Credentials:
        """Return id, secret and token of the current key."""
        return credentials_of(self._lease.provide())

    async def get_credentials_async(self) -> Credentials:
        """As ``get_credentials``, without blocking the event loop."""
        return credentials_of(await self._lease.provide_async())
