"""A credentials provider of oss2, for programs that make their own ``oss2.ProviderAuth``."""

from typing import Any

import oss2

from aliyun_sdk_secretsmanager_common_plugin.plugin_kit import KeyProvider

from .errors import OssAkExpireHandler

# Old versions of oss2 have neither this class nor a ProviderAuth.
CredentialsProvider = getattr(oss2, "CredentialsProvider", object)


class ManagedCredentialsProvider(KeyProvider, CredentialsProvider):  # type: ignore[misc, valid-type]
    """Gives ``oss2.ProviderAuth``, ``ProviderAuthV2`` and ``ProviderAuthV4`` the secret's current key.

    The key is refreshed ahead of its rotation. Unlike ``ProxyBucket``, a provider cannot repeat a rejected call.
    Therefore, while it is asked for keys, the secret is also read again in the background, at most once in every
    ``provider_refresh_interval`` (60 s). Needs oss2 2.17.0 or newer, which has ``oss2.credentials``.

    Args:
        secret_name: the name of a managed RAM credential in Secrets Manager. The constructor reads it.
        managed_credentials: where to read the secret. None means ``ManagedCredentials.default()``.

    Raises:
        ConfigurationError, ServerException, ClientException, SecretFormatError: as in ``ProxyBucket``.

    Example::

        auth = oss2.ProviderAuthV4(ManagedCredentialsProvider("my-secret"))
        bucket = oss2.Bucket(auth, "https://oss-cn-hangzhou.aliyuncs.com", "my-bucket", region="cn-hangzhou")
    """

    _HANDLER = OssAkExpireHandler

    def get_credentials(self) -> Any:
        """Return id, secret and token of the current key."""
        key = self._lease.provide()
        return oss2.credentials.Credentials(key.access_key_id, key.access_key_secret, key.security_token or "")
