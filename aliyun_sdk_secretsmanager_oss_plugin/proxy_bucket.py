"""``ProxyBucket``: an ``oss2.Bucket`` that signs with a managed RAM credential."""

from typing import Any, Dict, Optional

import oss2

from aliyun_sdk_secretsmanager_common_plugin import AKExpireHandler, ManagedCredentials

from .managed_auth import ManagedAuth
from .managed_calls import ManagedCalls


class ProxyBucket(ManagedCalls, oss2.Bucket):  # type: ignore[misc]
    """An ``oss2.Bucket`` that is given the name of a secret instead of an ``Auth``.

    Every call is signed with the secret's current key. When OSS rejects it as no longer valid, the key is renewed from
    Secrets Manager and the call repeated, its body whole: bytes and open files are rewound, what can be read only once
    is kept while it is sent. Where that is more than is kept, OSS's own error surfaces with a ``ReplayError`` as its
    cause, nothing is stored, and the next call has the new key.

    Threads may share it. A copy is a client of its own; a client that was given no ``managed_credentials`` can be
    pickled, too, and uses the default ones of the process it gets to. One that was shut down cannot be copied.

    Args:
        secret_name: the name of a managed RAM credential in Secrets Manager. It is read now, so that a wrong
            configuration shows at start.
        endpoint, bucket_name, is_cname, session, connect_timeout, app_name, enable_crc, proxies, region, cloudbox_id:
            as ``oss2.Bucket`` takes them (timeout in seconds).
        ak_expire_handler: decides which errors mean a rejected key; None takes ``OssAkExpireHandler()``.
        managed_credentials: where the secret is read; None takes ``ManagedCredentials.default()``, configured by
            ``managed_credentials_providers.properties``.
        auth_version: the signature: ``v1``, ``v2`` or ``v4``, which needs ``region``.
        replay_buffer_bytes: how much of a body that can be read only once is kept in memory; None as configured.
        replay_spool_bytes: how much of it is kept, beyond that, in a temporary file; 0 is none, None as configured.
        more: the other arguments that the installed ``oss2.Bucket`` takes.

    Attributes:
        secret_name: the one in use; to be read, not set.
        ak_expire_handler: likewise.

    Raises:
        ConfigurationError: the properties file, the secret's name, or ``auth_version`` is missing or wrong.
        ServerException, ClientException: Secrets Manager refused, failed, or did not answer within ``fetch_timeout``.
        SecretFormatError: the secret is no managed RAM credential.

    Example::

        with ProxyBucket("my-secret", "https://oss-cn-hangzhou.aliyuncs.com", "my-bucket") as bucket:
            bucket.put_object("readme.txt", b"...")
    """

    def __init__(
        self,
        secret_name: str,
        endpoint: str,
        bucket_name: str,
        is_cname: bool = False,
        session: Optional[oss2.Session] = None,
        connect_timeout: Optional[float] = None,
        app_name: str = "",
        enable_crc: bool = True,
        proxies: Optional[Dict[str, str]] = None,
        region: Optional[str] = None,
        cloudbox_id: Optional[str] = None,
        ak_expire_handler: Optional[AKExpireHandler] = None,
        managed_credentials: Optional[ManagedCredentials] = None,
        auth_version: str = "v1",
        replay_buffer_bytes: Optional[int] = None,
        replay_spool_bytes: Optional[int] = None,
        **more: Any
    ) -> None:
        # Old versions of oss2 lack some of these.
        newer = {"proxies": proxies, "region": region, "cloudbox_id": cloudbox_id}
        more.update((name, value) for name, value in newer.items() if value is not None)
        super().__init__(
            ManagedAuth(auth_version, region),
            endpoint,
            bucket_name,
            is_cname=is_cname,
            session=session,
            connect_timeout=connect_timeout,
            app_name=app_name,
            enable_crc=enable_crc,
            **more
        )
        self._hold(
            secret_name, session, ak_expire_handler, managed_credentials, replay_buffer_bytes, replay_spool_bytes
        )
