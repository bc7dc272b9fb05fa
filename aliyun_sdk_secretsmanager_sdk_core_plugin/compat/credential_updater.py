"""Gives a plain ``AcsClient`` each new key."""

from typing import Any

from aliyunsdkcore.client import AcsClient

from aliyun_sdk_secretsmanager_common_plugin.access_key import parse_secret
from aliyun_sdk_secretsmanager_common_plugin.compat.credential_updater import SecretsMangerPluginCredentialUpdater
from aliyun_sdk_secretsmanager_common_plugin.secret_info import answer_of

from ..client import ProxyAcsClient
from ..signing import CurrentSigner


class SecretsMangerSdkCorePluginCredentialUpdater(SecretsMangerPluginCredentialUpdater):
    """Gives an ``AcsClient`` each new key. Unlike a ``ProxyAcsClient``, that client does not repeat rejected calls.

    Args:
        client: the ``AcsClient``.
    """

    def __init__(self, client: AcsClient) -> None:
        self._client = client

    def get_client(self) -> AcsClient:
        """Return the client."""
        return self._client

    def update_credential(self, secret_info: Any) -> None:
        """Let the client sign its next calls with the key in ``secret_info``.

        Raises:
            SecretFormatError: ``secret_info`` contains no key.
        """
        if isinstance(self._client, ProxyAcsClient):
            return  # it reads the current key by itself
        key = parse_secret(secret_info.secret_name, answer_of(secret_info))
        self._client._signer = CurrentSigner(lambda: key)
        # get_access_key() and get_access_secret() return these.
        self._client._ak, self._client._secret = key.access_key_id, key.access_key_secret

    def close(self) -> None:
        """Close the client's idle connections."""
        self._client.session.close()
