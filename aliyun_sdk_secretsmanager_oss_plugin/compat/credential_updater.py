"""Gives a plain ``oss2.Bucket`` each new key."""

from typing import Any

import oss2

from aliyun_sdk_secretsmanager_common_plugin.access_key import parse_secret
from aliyun_sdk_secretsmanager_common_plugin.compat.credential_updater import SecretsMangerPluginCredentialUpdater
from aliyun_sdk_secretsmanager_common_plugin.secret_info import answer_of


class SecretsMangerOssPluginCredentialUpdater(SecretsMangerPluginCredentialUpdater):
    """Gives the ``auth`` of a bucket each new key. Unlike a ``ProxyBucket``, the bucket does not repeat rejected calls.

    Args:
        bucket: the bucket.
        plugins_auth: the bucket's ``auth``, a ``SecretsMangerPluginAuth``.
    """

    def __init__(self, bucket: oss2.Bucket, plugins_auth: Any) -> None:
        self._bucket = bucket
        self._auth = plugins_auth

    def get_client(self) -> oss2.Bucket:
        """Return the bucket."""
        return self._bucket

    def update_credential(self, secret_info: Any) -> None:
        """Let the bucket sign its next calls with the key in ``secret_info``.

        Raises:
            SecretFormatError: ``secret_info`` contains no key.
        """
        key = parse_secret(secret_info.secret_name, answer_of(secret_info))
        # A program's own auth may not accept a token.
        token = () if key.security_token is None else (key.security_token,)
        self._auth.switch_credentials(key.access_key_id, key.access_key_secret, *token)
