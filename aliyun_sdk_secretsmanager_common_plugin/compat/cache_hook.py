"""The hook that is called with every new secret, and tells updaters of it."""

import os
import threading
import time
from typing import Any, Dict, Iterable, List

from ..secrecy import log_fields, logger_of
from ..secret_info import CacheSecretInfo

logger = logger_of(__name__)

_lock = threading.RLock()  # guards removals from plugins_updater_dict


class SecretCacheHook:
    """The base of hooks. Those of ``aliyun-secret-manager-client`` work as well."""

    def init(self) -> None:
        """Called once, before the first read."""

    def put(self, secret_info: Any) -> Any:
        """Return what the store strategy shall store of a new secret, a ``SecretInfo``, or None for nothing."""
        raise NotImplementedError("a subclass of SecretCacheHook defines put(secret_info)")

    def get(self, cache_secret_info: Any) -> Any:
        """Return the ``SecretInfo`` in what the store strategy stored. Called each time it is read."""
        raise NotImplementedError("a subclass of SecretCacheHook defines get(cache_secret_info)")

    def recovery_get_secret(self, secret_name: str) -> Any:
        """Return the ``SecretInfo`` to use while no region answers, or None."""

    def close(self) -> None:
        """Called at shutdown."""


class SecretsManagerPluginCacheHook(SecretCacheHook):
    """A hook with a list of updaters for each secret."""

    def __init__(self) -> None:
        self.plugins_updater_dict: Dict[str, List[Any]] = {}

    def register_secretsmanager_plugin_updater(self, secret_name: str, plugins_updater: Any) -> None:
        """Tell an updater of the new keys of a secret from now on.

        Args:
            secret_name: the secret's name in Secrets Manager.
            plugins_updater: a ``SecretsMangerPluginCredentialUpdater``.
        """
        self.plugins_updater_dict.setdefault(secret_name, []).append(plugins_updater)

    def close_secretsmanager_plugin_updater_and_client(self, secret_name: str, client: Any) -> int:
        """Close the updaters of a secret that belong to a client.

        Args:
            secret_name: the secret's name in Secrets Manager.
            client: the client. Those updaters are closed whose ``get_client()`` returns it.

        Returns:
            How many updaters the secret has left.
        """
        self._close(secret_name, [each for each in self._updaters(secret_name) if each.get_client() is client])
        return len(self._updaters(secret_name))

    def close_secretsmanager_plugin_updater_and_client_by_updater(self, updater_names: Iterable[str]) -> int:
        """Close the updaters whose class has one of the names, and return how many are left."""
        for secret_name in list(self.plugins_updater_dict):
            self._close(secret_name,
                        [each for each in self._updaters(secret_name) if type(each).__name__ in updater_names])
        return sum(map(len, list(self.plugins_updater_dict.values())))

    def _updaters(self, secret_name: str) -> List[Any]:
        return list(self.plugins_updater_dict.get(secret_name, ()))

    def _close(self, secret_name: str, updaters: List[Any]) -> None:
        for updater in updaters:
            if not self._remove(secret_name, updater):
                continue  # another thread is closing it
            try:
                updater.close()
            except Exception as error:
                logger.error("secret %r: %s could not be closed: %s", secret_name, type(updater).__name__,
                             type(error).__name__, extra=log_fields(secret_name, error=type(error).__name__))

    def _remove(self, secret_name: str, updater: Any) -> bool:
        # By identity, unlike list.remove: updaters may define equality.
        with _lock:
            updaters = self.plugins_updater_dict[secret_name]
            for index, each in enumerate(updaters):
                if each is updater:
                    del updaters[index]
                    return True
        return False


class DefaultSecretsManagerPluginCacheHook(SecretsManagerPluginCacheHook):
    """Stores secrets as they are.

    Args:
        queue: not used. It is accepted because existing programs pass one; errors are logged.
        secret_recover_strategy: a ``SecretRecoveryStrategy``.
    """

    def __init__(self, queue: Any, secret_recover_strategy: Any) -> None:
        super().__init__()
        self.queue = queue
        self.secret_recover_strategy = secret_recover_strategy

    def put(self, secret_info: Any) -> Any:
        """Tell the secret's updaters of it, and return it with the current time."""
        for updater in self._updaters(secret_info.secret_name):
            try:
                updater.update_credential(secret_info)
            except Exception as error:
                # Neither text nor traceback is logged: they may show the secret.
                logger.error("secret %r: %s failed with %s; its client keeps the former key",
                             secret_info.secret_name, type(updater).__name__, type(error).__name__,
                             extra=log_fields(secret_info.secret_name, error=type(error).__name__))
        return CacheSecretInfo("ACSCurrent", int(round(time.time() * 1000)), secret_info)

    def get(self, cache_secret_info: Any) -> Any:
        """Return the secret."""
        return cache_secret_info.secret_info

    def recovery_get_secret(self, secret_name: str) -> Any:
        """Return the secret of the recovery strategy."""
        return self.secret_recover_strategy.recover_get_secret(secret_name)

    def close(self) -> None:
        """Close all updaters."""
        for secret_name in list(self.plugins_updater_dict):
            self._close(secret_name, self._updaters(secret_name))


def _after_fork_in_child() -> None:
    global _lock
    _lock = threading.RLock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)
