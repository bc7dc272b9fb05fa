"""Class methods that make and close clients of aliyun-python-sdk-core."""

import warnings
import weakref
from typing import Any, Optional

from aliyun_sdk_secretsmanager_common_plugin import AKExpireHandler
from aliyun_sdk_secretsmanager_common_plugin.compat.sdk_plugin_manager import SdkPluginManager

from ..client import ProxyAcsClient, ProxyDefaultSdkCoreClient
from .credential_updater import SecretsMangerSdkCorePluginCredentialUpdater


class SecretsManagerSdkCorePluginManager(SdkPluginManager):
    """Makes and closes ``ProxyAcsClient`` objects."""

    ProxyDefaultSdkCoreClient = ProxyDefaultSdkCoreClient

    _client_class = ProxyAcsClient
    _updater_class = SecretsMangerSdkCorePluginCredentialUpdater
    _clients: "weakref.WeakSet[ProxyAcsClient]" = weakref.WeakSet()
    _ak_expire_handler: Optional[AKExpireHandler] = None

    @classmethod
    def get_acs_client(
        cls,
        secret_name: str,
        region_id: str = "cn-hangzhou",
        auto_retry: bool = True,
        max_retry_time: Optional[int] = None,
        user_agent: Optional[str] = None,
        port: int = 80,
        connect_timeout: Optional[float] = None,
        timeout: Optional[float] = None,
        public_key_id: Optional[str] = None,
        private_key: Optional[str] = None,
        session_period: int = 3600,
        debug: bool = False,
        verify: Any = None,
        ak_expire_handler: Optional[AKExpireHandler] = None,
        default_client: Any = None,
    ) -> Any:
        """Return a client that signs with a secret's keys. Deprecated: make a ``ProxyAcsClient`` instead.

        Args:
            ak_expire_handler: None means the handler that ``set_ak_expire_handler`` set.
            default_client: a plain ``AcsClient``, which gets the secret's keys from now on and is returned. It does not
                repeat rejected calls. None makes a ``ProxyAcsClient``.
            secret_name: as for ``ProxyAcsClient``, like all other arguments.

        Raises:
            ConfigurationError, ServerException, ClientException, SecretFormatError: as in ``ProxyAcsClient``.
        """
        warnings.warn("get_acs_client() makes a ProxyAcsClient; write ProxyAcsClient(secret_name, ...)",
                      DeprecationWarning, stacklevel=2)
        if default_client is not None:
            if not isinstance(default_client, ProxyAcsClient):
                cls._keep_up_to_date(cls._updater_class(default_client), secret_name)
            return default_client
        client = ProxyAcsClient(
            secret_name, cls._ak_expire_handler if ak_expire_handler is None else ak_expire_handler,
            region_id=region_id, auto_retry=auto_retry, max_retry_time=max_retry_time, user_agent=user_agent, port=port,
            connect_timeout=connect_timeout, timeout=timeout, public_key_id=public_key_id, private_key=private_key,
            session_period=session_period, debug=debug, verify=verify,
        )
        cls._clients.add(client)
        return client

    @classmethod
    def set_ak_expire_handler(cls, ak_expire_handler: Optional[AKExpireHandler]) -> None:
        """Set the handler of future clients that are made without one."""
        cls._ak_expire_handler = ak_expire_handler
