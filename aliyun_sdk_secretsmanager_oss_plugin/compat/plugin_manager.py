"""Class methods that make and close buckets."""

import warnings
import weakref
from typing import Any, Optional

import oss2

from aliyun_sdk_secretsmanager_common_plugin.compat.plugins_manager import AliyunSdkSecretsManagerPluginsManager
from aliyun_sdk_secretsmanager_common_plugin.compat.sdk_plugin_manager import SdkPluginManager

from ..client import ProxyBucket
from .auth import SecretsMangerPluginAuth
from .credential_updater import SecretsMangerOssPluginCredentialUpdater


class SecretsManagerOssPluginManager(SdkPluginManager):
    """Makes and closes ``ProxyBucket`` objects."""

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
        """Return a bucket that signs with a secret's keys. Deprecated: make a ``ProxyBucket`` instead.

        Args:
            bucket: a plain ``oss2.Bucket``, which gets the secret's keys from now on and is returned. It does not
                repeat rejected calls. None makes a ``ProxyBucket``.
            secret_name: as for ``ProxyBucket``, like all other arguments.

        Raises:
            ConfigurationError, ServerException, ClientException, SecretFormatError: as in ``ProxyBucket``.
        """
        warnings.warn("get_bucket() makes a ProxyBucket; write ProxyBucket(secret_name, endpoint, bucket_name, ...)",
                      DeprecationWarning, stacklevel=2)
        if bucket is not None:
            if not isinstance(bucket, ProxyBucket):
                cls._manage(bucket, secret_name)
            return bucket
        made = ProxyBucket(
            secret_name, endpoint, bucket_name, is_cname=is_cname, session=session, connect_timeout=connect_timeout,
            app_name=app_name, enable_crc=enable_crc)
        cls._clients.add(made)
        return made

    @classmethod
    def _manage(cls, bucket: Any, secret_name: str) -> None:
        key = AliyunSdkSecretsManagerPluginsManager.get_access_key(secret_name)
        auth = SecretsMangerPluginAuth(key.access_key_id, key.access_key_secret)
        # The updater also gives the auth the token, and a key that has been rotated meanwhile.
        cls._keep_up_to_date(cls._updater_class(bucket, auth), secret_name)
        bucket.auth = auth
