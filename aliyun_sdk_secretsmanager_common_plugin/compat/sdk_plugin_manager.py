"""The base of the plugin managers, which make and close clients by class methods."""

import weakref
from typing import Any, Type

from .credential_updater import SecretsMangerPluginCredentialUpdater
from .plugins_manager import AliyunSdkSecretsManagerPluginsManager


class SdkPluginManager:
    """Closes the clients of one SDK. A subclass makes them, and adds them to ``_clients``."""

    _client_class: Type[Any]
    _updater_class: Type[SecretsMangerPluginCredentialUpdater]
    _clients: "weakref.WeakSet[Any]"

    @classmethod
    def close_client(cls, client: Any, secret_name: str) -> None:
        """Shut a client down.

        Args:
            client: a client that this class or the program made.
            secret_name: the program's name of the secret.
        """
        if isinstance(client, cls._client_class):
            client.shutdown()
        else:
            AliyunSdkSecretsManagerPluginsManager.close_secretsmanager_plugin_updater_and_client(
                AliyunSdkSecretsManagerPluginsManager.get_secret_name(secret_name), client)

    @classmethod
    def destroy(cls) -> None:
        """Shut down all clients that this class made."""
        for client in list(cls._clients):
            client.shutdown()
        AliyunSdkSecretsManagerPluginsManager.close_secretsmanager_plugin_updater_and_client_by_updater(
            {cls._updater_class.__name__})

    @staticmethod
    def _keep_up_to_date(updater: SecretsMangerPluginCredentialUpdater, secret_name: str) -> None:
        """Let ``updater`` give its client the current key and every new one."""
        plugin = AliyunSdkSecretsManagerPluginsManager.get_aliyun_sdk_secretsmanager_plugin()
        name = plugin.get_secret_name(secret_name)
        plugin.register(name, updater)
        plugin.bring_up_to_date(name, updater)
