"""Buckets by class methods."""

import warnings
import weakref
from typing import Any, Optional

import oss2

from aliyun_sdk_secretsmanager_common_plugin.aliyun_sdk_secretsmanager_plugins_manager import (
    AliyunSdkSecretsManagerPluginsManager,
)
from aliyun_sdk_secretsmanager_common_plugin.sdk_plugin_manager import SdkPluginManager

from .proxy_bucket import ProxyBucket
from .secretsmanager_oss_plugin_credential_updater import SecretsMangerOssPluginCredentialUpdater
from .secretsmanger_plugin_auth import SecretsMangerPluginAuth


class SecretsManagerOssPluginManager(SdkPluginManager):
    """Makes ``ProxyBucket`` objects, and closes them."""

    _client_class = ProxyBucket
    _updater_class = SecretsMangerOssPluginCredentialUpdater
    _clients: "weakref.WeakSet[ProxyBucket]" = weakref.WeakSet()

    @classmethod
    def get_bucket(
        cls,
        endpoint: str,
        bucket_name: str,
        secret_name: str,
        is_cname: bool = False,
        session: Optional[oss2.Session] = None,
        connect_timeout: Optional[float] = None,
        app_name: str = "",
        enable_crc: bool = True,
        bucket: Any = None,
    ) -> Any:
        """Return a bucket of a secret; deprecated.

        Args:
            bucket: a plain ``oss2.Bucket`` that is to have the secret's keys from now on, and is returned; its calls
                are not repeated. None makes a ``ProxyBucket``.
            secret_name: as ``ProxyBucket`` takes it; the others, too.

        Raises:
            ConfigurationError, ServerException, ClientException, SecretFormatError: as those of ``ProxyBucket``.
        """
        warnings.warn("get_bucket() makes a ProxyBucket; write ProxyBucket(secret_name, endpoint, bucket_name, ...)",
                      DeprecationWarning, stacklevel=2)
        if bucket is not None:
            if not isinstance(bucket, ProxyBucket):
                cls._manage(bucket, secret_name)
            return bucket
        made = ProxyBucket(
            secret_name,
            endpoint,
            bucket_name,
            is_cname=is_cname,
            session=session,
            connect_timeout=connect_timeout,
            app_name=app_name,
            enable_crc=enable_crc,
        )
        cls._clients.add(made)
        return made

    @classmethod
    def _manage(cls, bucket: Any, secret_name: str) -> None:
        key = AliyunSdkSecretsManagerPluginsManager.get_access_key(secret_name)
        auth = SecretsMangerPluginAuth(key.access_key_id, key.access_key_secret)
        # The key may have been rotated meanwhile, and have a token.
        cls._keep_up_to_date(cls._updater_class(bucket, auth), secret_name)
        bucket.auth = auth
