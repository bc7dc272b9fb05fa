"""A credentials provider of oss2, for code that builds its own ``oss2.ProviderAuth``."""

from typing import Any, Optional

import oss2

from aliyun_sdk_secretsmanager_common_plugin import ManagedCredentials

from .oss_ak_expire_handler import OssAkExpireHandler

# Versions of oss2 without it have no ProviderAuth either.
CredentialsProvider = getattr(oss2, "CredentialsProvider", object)


class ManagedCredentialsProvider(CredentialsProvider):  # type: ignore[misc, valid-type]
    """Gives ``oss2.ProviderAuth``, ``ProviderAuthV2`` and ``ProviderAuthV4`` the secret's current key.

    The key is refreshed ahead of its rotation; calls are not replayed, as those of ``ProxyBucket`` are. Needs an oss2
    with ``oss2.credentials`` (2.17.0 or newer).

    Args:
        secret_name: the name of a managed RAM credential in Secrets Manager, read now.
        managed_credentials: where the secret is read; None takes ``ManagedCredentials.default()``.

    Raises:
        ConfigurationError, ServerException, ClientException, SecretFormatError: as those of ``ProxyBucket``.

    Example::

        auth = oss2.ProviderAuthV4(ManagedCredentialsProvider("my-secret"))
        bucket = oss2.Bucket(auth, "https://oss-cn-hangzhou.aliyuncs.com", "my-bucket", region="cn-hangzhou")
    """

    def __init__(self, secret_name: str, managed_credentials: Optional[ManagedCredentials] = None) -> None:
        credentials = managed_credentials or ManagedCredentials.default()
        self._lease = credentials.lease(self, secret_name, OssAkExpireHandler(), lambda provider: None)

    def get_credentials(self) -> Any:
        """Return id, secret and token of one version, the current one."""
        key = self._lease.access_key()
        return oss2.credentials.Credentials(key.access_key_id, key.access_key_secret, key.security_token or "")

    def shutdown(self) -> None:
        """Release the secret. Idempotent."""
        self._lease.close()

    def __enter__(self) -> "ManagedCredentialsProvider":
        return self

    def __exit__(self, *exc_info: Any) -> None:
        self.shutdown()
