"""``ProxyCryptoBucket``: an ``oss2.CryptoBucket`` that signs with a managed RAM credential."""

from typing import Any, NoReturn, Optional

import oss2

from aliyun_sdk_secretsmanager_common_plugin import AKExpireHandler, ManagedCredentials

from .managed_auth import ManagedAuth
from .managed_calls import ManagedCalls
from .proxy_bucket import ProxyBucket


class ProxyCryptoBucket(ManagedCalls, oss2.CryptoBucket):  # type: ignore[misc]
    """An ``oss2.CryptoBucket``, which encrypts on this side, given the name of a secret instead of an ``Auth``.

    What it encrypts is kept while it is sent, as a body that can be read only once: its cipher cannot go back.

    Args:
        secret_name, ak_expire_handler, managed_credentials, auth_version, replay_buffer_bytes, replay_spool_bytes: as
            ``ProxyBucket`` takes them.
        endpoint, bucket_name, crypto_provider, is_cname, session, connect_timeout, app_name, enable_crc, region: as
            ``oss2.CryptoBucket`` takes them (timeout in seconds).
        more: the other arguments that the installed ``oss2.CryptoBucket`` takes.

    Raises:
        ConfigurationError, ServerException, ClientException, SecretFormatError: as those of ``ProxyBucket``.

    Example::

        bucket = ProxyCryptoBucket("my-secret", "https://oss-cn-hangzhou.aliyuncs.com", "my-bucket", RsaProvider(...))
    """

    def __init__(
        self,
        secret_name: str,
        endpoint: str,
        bucket_name: str,
        crypto_provider: Any,
        is_cname: bool = False,
        session: Optional[oss2.Session] = None,
        connect_timeout: Optional[float] = None,
        app_name: str = "",
        enable_crc: bool = True,
        region: Optional[str] = None,
        ak_expire_handler: Optional[AKExpireHandler] = None,
        managed_credentials: Optional[ManagedCredentials] = None,
        auth_version: str = "v1",
        replay_buffer_bytes: Optional[int] = None,
        replay_spool_bytes: Optional[int] = None,
        **more: Any
    ) -> None:
        if region is not None:
            more["region"] = region
        super().__init__(
            ManagedAuth(auth_version, region),
            endpoint,
            bucket_name,
            crypto_provider,
            is_cname=is_cname,
            session=session,
            connect_timeout=connect_timeout,
            app_name=app_name,
            enable_crc=enable_crc,
            **more
        )
        if not isinstance(self, oss2.Bucket):
            # Old versions hold a bucket instead of being one.
            self.bucket = ProxyBucket(
                secret_name, endpoint, bucket_name, is_cname, session, connect_timeout, app_name, False, region=region,
                ak_expire_handler=ak_expire_handler, managed_credentials=managed_credentials,
                auth_version=auth_version, replay_buffer_bytes=replay_buffer_bytes,
                replay_spool_bytes=replay_spool_bytes,
            )
            self._lease, self.session = self.bucket._lease, self.bucket.session
            self._owns_session = session is None
            return
        self._hold(
            secret_name, session, ak_expire_handler, managed_credentials, replay_buffer_bytes, replay_spool_bytes
        )

    def __getstate__(self) -> NoReturn:
        raise TypeError(
            "a ProxyCryptoBucket cannot be pickled or copied, since the keys of its crypto provider cannot; make one "
            "in each process"
        )
