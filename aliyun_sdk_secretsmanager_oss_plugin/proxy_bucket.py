"""``ProxyBucket``: an ``oss2.Bucket`` that signs with a managed RAM credential."""

from typing import Any, Dict, Optional, Tuple

import oss2
from requests.structures import CaseInsensitiveDict

from aliyun_sdk_secretsmanager_common_plugin import AKExpireHandler, ManagedCredentials
from aliyun_sdk_secretsmanager_common_plugin.lease import Pull
from aliyun_sdk_secretsmanager_common_plugin.secrecy import filter_loggers
from aliyun_sdk_secretsmanager_common_plugin.sockets import fresh_sockets

from .bodies import ReplayableBody
from .managed_auth import AttemptHeaders, ManagedAuth
from .oss_ak_expire_handler import OssAkExpireHandler

filter_loggers("oss2")


class ProxyBucket(oss2.Bucket):  # type: ignore[misc]
    """An ``oss2.Bucket`` that is given the name of a secret instead of an ``Auth``.

    Every call is signed (V1) with the secret's current key. When OSS rejects it as no longer valid, the key is renewed
    from Secrets Manager and the call repeated, with a body of ``bytes`` or ``str``, or without one. Any other body is
    not sent again: OSS's error surfaces, nothing is stored, and the next call has the new key.

    Args:
        secret_name: the name of a managed RAM credential in Secrets Manager. It is read now, so that a wrong
            configuration shows at start.
        endpoint, bucket_name, is_cname, session, connect_timeout, app_name, enable_crc, proxies, region, cloudbox_id:
            as ``oss2.Bucket`` takes them (timeout in seconds).
        ak_expire_handler: decides which errors mean a rejected key; None takes ``OssAkExpireHandler()``.
        managed_credentials: where the secret is read; None takes ``ManagedCredentials.default()``, configured by
            ``managed_credentials_providers.properties``.
        more: the other arguments that the installed ``oss2.Bucket`` takes.

    Raises:
        ConfigurationError: the properties file, or the secret's name, is missing or wrong.
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
        **more: Any
    ) -> None:
        super().__init__(
            ManagedAuth(lambda: self._lease.access_key()),
            endpoint,
            bucket_name,
            is_cname=is_cname,
            session=session,
            connect_timeout=connect_timeout,
            app_name=app_name,
            enable_crc=enable_crc,
            proxies=proxies,
            region=region,
            cloudbox_id=cloudbox_id,
            **more
        )
        self._owns_session = session is None
        credentials = managed_credentials or ManagedCredentials.default()
        self._lease = credentials.lease(
            self, secret_name, ak_expire_handler or OssAkExpireHandler(), _after_fork_in_child
        )
        self.auth = ManagedAuth(self._lease.access_key)  # without a reference back to the bucket

    def shutdown(self) -> None:
        """Release the secret, and close the session's idle connections unless it was given. Idempotent."""
        self._lease.close()
        if self._owns_session:
            self.session.session.close()

    def __enter__(self) -> "ProxyBucket":
        return self

    def __exit__(self, *exc_info: Any) -> None:
        self.shutdown()

    def _do(self, method: str, bucket_name: str, key: str, **kwargs: Any) -> Any:
        # Every signed call of oss2 comes through here.
        given = kwargs.pop("headers", None)
        params = kwargs.pop("params", None)
        body = ReplayableBody(kwargs.get("data"))
        headers = AttemptHeaders()

        def send(pull: Pull) -> Tuple[Any, Optional[Exception]]:
            nonlocal headers
            headers = AttemptHeaders(given)
            headers.pull = pull
            try:
                return super(ProxyBucket, self)._do(
                    method, bucket_name, key, headers=headers, params=dict(params or {}), **kwargs
                ), None
            except oss2.exceptions.ServerError as error:
                return None, error

        try:
            response, error = self._lease.call(send, body.rewind)
        finally:
            if isinstance(given, CaseInsensitiveDict):  # oss2 signs such headers in place
                given.clear()
                given.update(headers)
        if error is not None:
            raise error
        return response


def _after_fork_in_child(bucket: ProxyBucket) -> None:
    fresh_sockets(bucket.session.session)
