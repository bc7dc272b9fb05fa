"""Keeps a plain ``oss2.Bucket`` up to date."""

from typing import Any

import oss2

from aliyun_sdk_secretsmanager_common_plugin.access_key import parse_secret
from aliyun_sdk_secretsmanager_common_plugin.secret_info import answer_of
from aliyun_sdk_secretsmanager_common_plugin.secretsmanager_plugin_credential_updater import (
    SecretsMangerPluginCredentialUpdater,
)


class SecretsMangerOssPluginCredentialUpdater(SecretsMangerPluginCredentialUpdater):
    """Gives the ``auth`` of a bucket every new key. Its calls are not repeated, as those of ``ProxyBucket`` are.

    Args:
        bucket: the bucket.
        plugins_auth: its ``auth``, a ``SecretsMangerPluginAuth``.
    """

    def __init__(self, bucket: oss2.Bucket, plugins_auth: Any) -> None:
        self._bucket = bucket
        self._auth = plugins_auth

    def get_client(self) -> oss2.Bucket:
        """Return the bucket."""
        return self._bucket

    def update_credential(self, secret_info: Any) -> None:
        """Let the calls to come be signed with the key in ``secret_info``.

        Raises:
            SecretFormatError: there is none in it.
        """
        key = parse_secret(secret_info.secret_name, answer_of(secret_info))
        # An auth of the program's own may take no token.
        token = () if key.security_token is None else (key.security_token,)
        self._auth.switch_credentials(key.access_key_id, key.access_key_secret, *token)
