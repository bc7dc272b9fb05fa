"""The base of what a program has told of new keys."""

from typing import Any


class SecretsMangerPluginCredentialUpdater:
    """Is told of every new key of a secret. Register it with ``AliyunSdkSecretsManagerPluginsManager``."""

    def get_client(self) -> Any:
        """Return the client that uses the key."""

    def update_credential(self, secret_info: Any) -> None:
        """Let the client use the key in ``secret_info``, a ``SecretInfo``; called in the thread that read it."""
        raise NotImplementedError("a subclass of SecretsMangerPluginCredentialUpdater defines update_credential(...)")

    def close(self) -> None:
        """Called once, when the updater is closed or the manager is shut down."""
