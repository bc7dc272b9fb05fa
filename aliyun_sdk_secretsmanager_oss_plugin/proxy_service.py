"""``ProxyService``: an ``oss2.Service`` that signs with a managed RAM credential."""

from typing import Any, Optional

import oss2

from aliyun_sdk_secretsmanager_common_plugin import AKExpireHandler, ManagedCredentials

from .managed_auth import ManagedAuth
from .managed_calls import ManagedCalls


class ProxyService(ManagedCalls, oss2.Service):  # type: ignore[misc]
    """An ``oss2.Service`` that is given the name of a secret instead of an ``Auth``.

    Args:
        secret_name, ak_expire_handler, managed_credentials, auth_version: as ``ProxyBucket`` takes them.
        endpoint, session, connect_timeout, app_name, region: as ``oss2.Service`` takes them (timeout in seconds).
        more: the other arguments that the installed ``oss2.Service`` takes.

    Raises:
        ConfigurationError, ServerException, ClientException, SecretFormatError: as those of ``ProxyBucket``.

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
            ManagedAuth(auth_version, region),
            endpoint,
            session=session,
            connect_timeout=connect_timeout,
            app_name=app_name,
            **more
        )
        self._hold(secret_name, session, ak_expire_handler, managed_credentials, None, None)
