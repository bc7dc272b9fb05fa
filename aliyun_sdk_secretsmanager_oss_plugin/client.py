"""Clients of oss2 that sign with a managed RAM credential: ``ProxyBucket``, ``ProxyCryptoBucket``, ``ProxyService``."""

import copy
from typing import Any, Callable, Dict, NoReturn, Optional, Tuple

import oss2
from requests.structures import CaseInsensitiveDict

from aliyun_sdk_secretsmanager_common_plugin import AKExpireHandler, ManagedCredentials
from aliyun_sdk_secretsmanager_common_plugin.lease import Pull, result_of
from aliyun_sdk_secretsmanager_common_plugin.plugin_kit import SecretHolder, answered, replay_bytes
from aliyun_sdk_secretsmanager_common_plugin.secrecy import filter_loggers
from aliyun_sdk_secretsmanager_common_plugin.sockets import fresh_sockets

from .bodies import ReplayableBody
from .errors import OssAkExpireHandler
from .signing import AttemptHeaders, ManagedAuth

filter_loggers("oss2")
filter_loggers("urllib3")  # at DEBUG it logs paths, which hold token and signature


def _keep_headers(make_exception: Callable[[Any], Exception]) -> Callable[[Any], Exception]:
    """Add the answer's headers to the errors of old versions of oss2: for a HEAD they contain the error's code."""

    def with_headers(resp: Any) -> Exception:
        error = make_exception(resp)
        error.headers = resp.headers  # type: ignore[attr-defined]
        return error

    return with_headers


if not hasattr(oss2.exceptions.ServerError(403, {}, b"", {}), "headers"):
    oss2.exceptions.make_exception = _keep_headers(oss2.exceptions.make_exception)


class ManagedCalls(SecretHolder):
    """A mixin for a client class of oss2: signs each call with the secret's current key, and replays rejected calls."""

    _HANDLER = OssAkExpireHandler

    auth: ManagedAuth
    session: Any

    def _hold_secret(
        self,
        secret_name: str,
        session: Optional[oss2.Session],
        ak_expire_handler: Optional[AKExpireHandler],
        managed_credentials: Optional[ManagedCredentials],
        replay_buffer_bytes: Optional[int] = None,
        replay_spool_bytes: Optional[int] = None,
    ) -> None:
        """Read the secret, after oss2's constructor has checked its arguments."""
        self._owns_session = session is None
        self._take_secret(secret_name, ak_expire_handler, managed_credentials)
        self._replay_bytes = replay_bytes(self._managed_credentials.settings, replay_buffer_bytes, replay_spool_bytes)

    def _hold(self) -> None:
        super()._hold()
        self.auth.pull = self._lease.access_key

    def __getstate__(self) -> Dict[str, Any]:
        state = super().__getstate__()
        state["auth"] = copy.copy(self.auth)
        del state["auth"].pull
        return state

    def shutdown(self) -> None:
        """Release the secret, and close idle connections unless the session was an argument. Idempotent."""
        super().shutdown()
        if self._owns_session:
            self.session.session.close()

    def _forget_sockets(self) -> None:
        fresh_sockets(self.session.session)

    def _do(self, method: str, bucket_name: str, key: str, **kwargs: Any) -> Any:
        # Every signed call of oss2 goes through this method.
        given = kwargs.pop("headers", None)
        params = kwargs.pop("params", None)
        body = ReplayableBody(kwargs.pop("data", None), *self._replay_bytes)
        headers = given

        # The annotations are quoted because Python evaluates those of an inner function in every call.
        def send(pull: "Pull") -> "Tuple[Any, Optional[Exception]]":
            nonlocal headers
            headers = AttemptHeaders(given)
            headers.pull = pull
            return answered(
                oss2.exceptions.ServerError, super(ManagedCalls, self)._do,  # type: ignore[misc]
                method, bucket_name, key, data=body.data, headers=headers, params=dict(params or {}), **kwargs)

        try:
            return result_of(*self._lease.call(send, body.rewind))
        finally:
            body.close()
            if isinstance(given, CaseInsensitiveDict) and headers is not given:
                # oss2 would have signed these headers in place.
                given.clear()
                given.update(headers)


class ProxyBucket(ManagedCalls, oss2.Bucket):  # type: ignore[misc]
    """An ``oss2.Bucket`` that takes the name of a secret instead of an ``Auth``.

    The bucket signs every call with the secret's current key. If OSS rejects that key as no longer valid, the bucket
    renews it from Secrets Manager and sends the call again, with its whole body. For that, bytes and open files are
    rewound, and a body that can be read only once is kept while it is sent. If such a body is larger than what may be
    kept, the call fails with OSS's own error, whose cause is a ``ReplayError``. Nothing is stored then, and the next
    call is signed with the new key.

    Threads may share a bucket. A copy is an independent client. A bucket that got no ``managed_credentials`` can also
    be pickled; in another process it uses the default ones there. A bucket that was shut down cannot be copied.

    Args:
        secret_name: the name of a managed RAM credential in Secrets Manager. The constructor reads it, so that a wrong
            configuration shows at start.
        endpoint, bucket_name, is_cname, session, app_name, enable_crc, proxies, region, cloudbox_id: as for
            ``oss2.Bucket``.
        connect_timeout: in seconds, as for ``oss2.Bucket``.
        ak_expire_handler: decides which errors mean a rejected key. None means ``OssAkExpireHandler()``.
        managed_credentials: where to read the secret. None means ``ManagedCredentials.default()``, which
            ``managed_credentials_providers.properties`` configures.
        auth_version: the version of the signature: ``v1``, ``v2`` or ``v4``. ``v4`` needs ``region``.
        replay_buffer_bytes: how many bytes of a body that can be read only once are kept in memory. None means the
            configured value.
        replay_spool_bytes: how many bytes of such a body are kept in a temporary file if it does not fit in memory. 0
            means no file, None the configured value.
        more: other arguments of the installed ``oss2.Bucket``.

    Attributes:
        secret_name: the secret in use; read-only.
        ak_expire_handler: the handler in use; read-only.

    Raises:
        ConfigurationError: the properties file, the secret's name, the handler or ``auth_version`` is missing or wrong.
        ServerException, ClientException: Secrets Manager refused the request, failed, or did not answer within
            ``fetch_timeout``.
        SecretFormatError: the secret is not a managed RAM credential.

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
        # Old versions of oss2 do not have all of these.
        newer = {"proxies": proxies, "region": region, "cloudbox_id": cloudbox_id}
        more.update((name, value) for name, value in newer.items() if value is not None)
        super().__init__(
            ManagedAuth(auth_version, region), endpoint, bucket_name, is_cname=is_cname, session=session,
            connect_timeout=connect_timeout, app_name=app_name, enable_crc=enable_crc, **more)
        self._hold_secret(
            secret_name, session, ak_expire_handler, managed_credentials, replay_buffer_bytes, replay_spool_bytes)


class ProxyCryptoBucket(ManagedCalls, oss2.CryptoBucket):  # type: ignore[misc]
    """An ``oss2.CryptoBucket``, which encrypts in this process, that takes the name of a secret instead of an ``Auth``.

    The encrypted body is kept while it is sent, like a body that can be read only once, because its cipher cannot go
    back.

    Args:
        secret_name, ak_expire_handler, managed_credentials, auth_version, replay_buffer_bytes, replay_spool_bytes: as
            for ``ProxyBucket``.
        endpoint, bucket_name, crypto_provider, is_cname, session, app_name, enable_crc, region: as for
            ``oss2.CryptoBucket``.
        connect_timeout: in seconds, as for ``oss2.CryptoBucket``.
        more: other arguments of the installed ``oss2.CryptoBucket``.

    Raises:
        ConfigurationError, ServerException, ClientException, SecretFormatError: as in ``ProxyBucket``.

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
            ManagedAuth(auth_version, region), endpoint, bucket_name, crypto_provider, is_cname=is_cname,
            session=session, connect_timeout=connect_timeout, app_name=app_name, enable_crc=enable_crc, **more)
        if isinstance(self, oss2.Bucket):
            self._hold_secret(
                secret_name, session, ak_expire_handler, managed_credentials, replay_buffer_bytes, replay_spool_bytes)
            return
        # In old versions of oss2 a CryptoBucket has a bucket instead of being one.
        self.bucket = ProxyBucket(
            secret_name, endpoint, bucket_name, is_cname, session, connect_timeout, app_name, False, region=region,
            ak_expire_handler=ak_expire_handler, managed_credentials=managed_credentials, auth_version=auth_version,
            replay_buffer_bytes=replay_buffer_bytes, replay_spool_bytes=replay_spool_bytes)
        self.secret_name = secret_name
        self._lease, self.session = self.bucket._lease, self.bucket.session
        self._owns_session = session is None

    def __getstate__(self) -> NoReturn:
        raise TypeError(
            "a ProxyCryptoBucket cannot be pickled or copied, since the keys of its crypto provider cannot; make one "
            "in each process"
        )


class ProxyService(ManagedCalls, oss2.Service):  # type: ignore[misc]
    """An ``oss2.Service`` that takes the name of a secret instead of an ``Auth``.

    Args:
        secret_name, ak_expire_handler, managed_credentials, auth_version: as for ``ProxyBucket``.
        endpoint, session, app_name, region: as for ``oss2.Service``.
        connect_timeout: in seconds, as for ``oss2.Service``.
        more: other arguments of the installed ``oss2.Service``.

    Raises:
        ConfigurationError, ServerException, ClientException, SecretFormatError: as in ``ProxyBucket``.

    Example::

        with ProxyService("my-secret", "https://oss-cn-hangzhou.aliyuncs.com") as service:
            service.list_buckets()
    """

    def __init__(
        self,
        secret_name: str,
        endpoint: str,
        session: Optional[oss2.Session] = None,
        connect_timeout: Optional[float] = None,
        app_name: str = "",
        region: Optional[str] = None,
        ak_expire_handler: Optional[AKExpireHandler] = None,
        managed_credentials: Optional[ManagedCredentials] = None,
        auth_version: str = "v1",
        **more: Any
    ) -> None:
        if region is not None:
            more["region"] = region
        super().__init__(
            ManagedAuth(auth_version, region), endpoint, session=session, connect_timeout=connect_timeout,
            app_name=app_name, **more)
        self._hold_secret(secret_name, session, ak_expire_handler, managed_credentials)
