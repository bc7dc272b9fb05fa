"""What the plugins' class methods for making and closing clients share."""

import weakref
from typing import Any, Type

from .aliyun_sdk_secretsmanager_plugins_manager import AliyunSdkSecretsManagerPluginsManager
from .secretsmanager_plugin_credential_updater import SecretsMangerPluginCredentialUpdater


class SdkPluginManager:
    """Closes the clients of one SDK. A subclass makes them, names their class, and keeps them in ``_clients``."""

    _client_class: Type[Any]
    _updater_class: Type[SecretsMangerPluginCredentialUpdater]
    _clients: "weakref.WeakSet[Any]"

    @classmethod
    def close_client(cls, client: Any, secret_name: str) -> None:
        """Shut a client down."""
        if isinstance(client, cls._client_class):
            client.shutdown()
        else:
            AliyunSdkSecretsManagerPluginsManager.close_secretsmanager_plugin_updater_and_client(
                AliyunSdkSecretsManagerPluginsManager.get_secret_name(secret_name), client)

    @classmethod
    def destroy(cls) -> None:
        """Shut all clients down that came from here."""
        for client in list(cls._clients):
            client.shutdown()
        AliyunSdkSecretsManagerPluginsManager.close_secretsmanager_plugin_updater_and_client_by_updater(
            {cls._updater_class.__name__})

    @staticmethod
    def _keep_up_to_date(updater: SecretsMangerPluginCredentialUpdater, secret_name: str) -> None:
        """Let ``updater`` give its client the current key, and every new one."""
        plugin = AliyunSdkSecretsManagerPluginsManager.get_aliyun_sdk_secretsmanager_plugin()
        name = plugin.get_secret_name(secret_name)
        plugin.register(name, updater)
        plugin.bring_up_to_date(name, updater)
