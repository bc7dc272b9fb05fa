"""Keeps a plain ``AcsClient`` up to date."""

from typing import Any

from aliyunsdkcore.client import AcsClient

from aliyun_sdk_secretsmanager_common_plugin.access_key import parse_secret
from aliyun_sdk_secretsmanager_common_plugin.secret_info import answer_of
from aliyun_sdk_secretsmanager_common_plugin.secretsmanager_plugin_credential_updater import (
    SecretsMangerPluginCredentialUpdater,
)

from .proxy_acs_client import ProxyAcsClient, _CurrentSigner


class SecretsMangerSdkCorePluginCredentialUpdater(SecretsMangerPluginCredentialUpdater):
    """Gives an ``AcsClient`` every new key. Its calls are not repeated, as those of ``ProxyAcsClient`` are.

    Args:
        client: the client.
    """

    def __init__(self, client: AcsClient) -> None:
        self._client = client

    def get_client(self) -> AcsClient:
        """Return the client."""
        return self._client

    def update_credential(self, secret_info: Any) -> None:
        """Let the calls to come be signed with the key in ``secret_info``.

        Raises:
            SecretFormatError: there is none in it.
        """
        if isinstance(self._client, ProxyAcsClient):
            return  # it has the current key, and keeps none
        key = parse_secret(secret_info.secret_name, answer_of(secret_info))
        self._client._signer = _CurrentSigner(lambda: key)
        # For get_access_key() and get_access_secret().
        self._client._ak, self._client._secret = key.access_key_id, key.access_key_secret

    def close(self) -> None:
        """Close the client's idle connections."""
        self._client.session.close()
