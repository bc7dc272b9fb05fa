"""The base of updaters, which the program registers to be told of new keys."""

from typing import Any


class SecretsMangerPluginCredentialUpdater:
    """Gives a client every new key of a secret. Register it with ``AliyunSdkSecretsManagerPluginsManager``."""

    def get_client(self) -> Any:
        """Return the client that uses the key."""

    def update_credential(self, secret_info: Any) -> None:
        """Let the client use the key in ``secret_info``, a ``SecretInfo``.

        This is called in a thread of its own. The call that renewed the key waits for it at most one second.
        """
        raise NotImplementedError("a subclass of SecretsMangerPluginCredentialUpdater defines update_credential(...)")

    def close(self) -> None:
        """Called once, when the updater is closed or the manager shuts down."""
