"""The class methods for a process's secrets, with a loader and updaters of the program's own."""

import contextlib
import os
import threading
import warnings
from typing import Any, Iterable, List, Optional

from ..access_key import AccessKey, parse_secret
from ..default_ak_expire_handler import DefaultAKExpireHandler
from ..exceptions import SecretFormatError
from ..managed_credentials import ManagedCredentials
from ..runtime import process
from ..secret_info import answer_of
from .plugin_credentials import (
    SecretsManagerPluginCredentials,
    generate_credentials_by_secret,
    generate_secret_info_by_credentials,
)
from .provided_credentials import ProvidedCredentials, Strategies


class _Registered:
    """A registered updater. As the client of a lease it keeps the secret in use."""

    def __init__(self, credentials: ManagedCredentials, secret_name: str, updater: Any) -> None:
        self.secret_name = secret_name
        self.updater = updater
        # ProvidedCredentials.lease would translate the name a second time.
        self.lease = ManagedCredentials.lease(
            credentials, self, secret_name, DefaultAKExpireHandler(), lambda client: None)


class AliyunSdkSecretsManagerPlugin:
    """The state of ``AliyunSdkSecretsManagerPluginsManager`` between ``init`` and ``shutdown``.

    Args:
        loader: the loader that ``init`` was given, or None.
    """

    def __init__(self, loader: Any = None) -> None:
        self._has_loader = loader is not None
        if loader is None:
            self._credentials = ManagedCredentials.default()
            self._strategies = Strategies()
        else:
            provided = ProvidedCredentials(loader.load())
            self._credentials, self._strategies = provided, provided.strategies
        self._hook = self._strategies.hook
        self._registered: List[_Registered] = []
        self._strategies.init()
        self._credentials.subscribe(self._take)
        if self._has_loader:
            add_refresh_hook = getattr(self._strategies.store, "add_refresh_hook", None)
            if add_refresh_hook is not None:
                add_refresh_hook(self)
            ManagedCredentials.set_default(self._credentials)
            self._credentials._preload()

    def get_secret_name(self, user_secret_name: str) -> str:
        """Return the name in Secrets Manager for a program's name of a secret."""
        return self._strategies.secret_name(user_secret_name)

    def get_secret_info(self, secret_name: str) -> Any:
        """Return the ``SecretInfo`` of a secret by the program's name."""
        name = self.get_secret_name(secret_name)
        key = self._credentials.get(name)
        cached = self._strategies.store.get_cache_secret_info(name)
        if cached is None:  # read before this manager subscribed
            self._take(name, key)
            cached = self._strategies.store.get_cache_secret_info(name)
        kept = None if cached is None else self._hook.get(cached)
        # The store may still have the former key: storing the new one failed, or updaters are just being told.
        return kept if _is_of(kept, name, key) else _secret_info(name, key)

    def refresh_now(self, secret_name: str) -> bool:
        """Refresh a secret now by its name in Secrets Manager, and return whether that succeeded."""
        return self._credentials.refresh(secret_name)

    def register(self, secret_name: str, updater: Any) -> None:
        """Tell an updater of new keys of a secret, and keep the secret in use.

        Args:
            secret_name: the secret's name in Secrets Manager.
            updater: a ``SecretsMangerPluginCredentialUpdater``.
        """
        self._registered.append(_Registered(self._credentials, secret_name, updater))
        self._hook.register_secretsmanager_plugin_updater(secret_name, updater)

    def bring_up_to_date(self, secret_name: str, updater: Any) -> None:
        """Give a registered updater the current key, and any that follows meanwhile.

        Args:
            secret_name: the secret's name in Secrets Manager.
            updater: the updater.
        """
        told: Optional[AccessKey] = None
        key = self._credentials.get(secret_name)
        while key != told:
            updater.update_credential(_secret_info(secret_name, key))
            told, key = key, self._credentials.get(secret_name)

    def close_updaters_of(self, secret_name: str, client: Any) -> None:
        """Close the updaters of a client.

        Args:
            secret_name: the secret's name in Secrets Manager.
            client: the client.
        """
        closed = [each for each in list(self._registered)
                  if each.secret_name == secret_name and each.updater.get_client() is client]
        try:
            self._hook.close_secretsmanager_plugin_updater_and_client(secret_name, client)
        finally:
            self._release(closed)

    def close_updaters(self, names: Iterable[str]) -> None:
        """Close the updaters whose class has one of the names."""
        closed = [each for each in list(self._registered) if type(each.updater).__name__ in names]
        try:
            self._hook.close_secretsmanager_plugin_updater_and_client_by_updater(names)
        finally:
            self._release(closed)

    def close(self) -> None:
        """Close strategies and updaters. Secrets that no client uses are no longer refreshed."""
        if process.chosen is self._credentials and self._has_loader:
            ManagedCredentials.set_default(None)
        self._credentials.unsubscribe(self._take)
        try:
            self._strategies.close()
        finally:
            self._release(list(self._registered))
            if not self._credentials._account.clients:
                self._credentials.close()

    def _release(self, closed: List[_Registered]) -> None:
        for each in closed:
            each.lease.close()
            with contextlib.suppress(ValueError):  # another thread is closing it
                self._registered.remove(each)

    def _take(self, name: str, key: AccessKey) -> None:
        """Give a new key to the hook and the store. Whichever threads do so at once, the newest key comes last."""
        newest: Optional[AccessKey] = key
        while newest is not None:
            key = newest
            cached = self._hook.put(_secret_info(name, key))
            if cached is not None:
                self._strategies.store.store_secret(cached)
            newest = self._credentials._account.published_key(name)
            if newest == key:
                return


def _secret_info(name: str, key: AccessKey) -> Any:
    # A key from the program's own fetch function has no answer of Secrets Manager.
    return key.secret_info or generate_secret_info_by_credentials(key, name)


def _is_of(secret_info: Any, name: str, key: AccessKey) -> bool:
    try:
        return parse_secret(name, answer_of(secret_info)) == key
    except SecretFormatError:
        return False


class AliyunSdkSecretsManagerPluginsManager:
    """The secrets of the process, for clients that a program updates itself. Proxies do not need this class.

    Example::

        AliyunSdkSecretsManagerPluginsManager.init()
        access_key = AliyunSdkSecretsManagerPluginsManager.get_access_key("my-secret")
    """

    _plugin: Optional[AliyunSdkSecretsManagerPlugin] = None
    _lock = threading.RLock()  # guards _plugin

    @classmethod
    def init(cls, loader: Any = None) -> None:
        """Initialize the class, unless it is already. The other methods do so when they are called first.

        Args:
            loader: a ``SecretsManagerPluginCredentialsLoader``, which returns the configuration for this class and for
                all proxies that are made later. None uses ``ManagedCredentials.default()``.

        Raises:
            ConfigurationError: the properties file, or what the loader returns, is missing or wrong.
        """
        with cls._lock:
            if cls._plugin is None:
                cls._plugin = AliyunSdkSecretsManagerPlugin(loader)

    @classmethod
    def get_aliyun_sdk_secretsmanager_plugin(cls) -> AliyunSdkSecretsManagerPlugin:
        """Return the object behind the class methods."""
        plugin = cls._plugin
        while plugin is None:
            cls.init()
            plugin = cls._plugin
        return plugin

    @classmethod
    def get_access_key(cls, secret_name: str) -> SecretsManagerPluginCredentials:
        """Return the current key of a secret: the id and the secret of one version.

        Raises:
            ServerException, ClientException, SecretFormatError: the first read of the secret failed.
        """
        return generate_credentials_by_secret(cls.get_secret_info(secret_name).secret_value)

    @classmethod
    def get_access_key_id(cls, secret_name: str) -> str:
        """Return the id of the current key. Deprecated: use ``get_access_key``."""
        _warn_of_halves()
        return cls.get_access_key(secret_name).access_key_id

    @classmethod
    def get_access_key_secret(cls, secret_name: str) -> str:
        """Return the secret of the current key. Deprecated: use ``get_access_key``."""
        _warn_of_halves()
        return cls.get_access_key(secret_name).access_key_secret

    @classmethod
    def get_secret_info(cls, secret_name: str) -> Any:
        """Return the current version of a secret, a ``SecretInfo``.

        Raises:
            ServerException, ClientException, SecretFormatError: the first read of the secret failed.
        """
        return cls.get_aliyun_sdk_secretsmanager_plugin().get_secret_info(secret_name)

    @classmethod
    def get_secret_name(cls, secret_name: str) -> str:
        """Return the name in Secrets Manager for a program's name, by the loader's ``SecretExchange``.

        Raises:
            ConfigurationError: there is no such name.
        """
        return cls.get_aliyun_sdk_secretsmanager_plugin().get_secret_name(secret_name)

    @classmethod
    def refresh_secret_info(cls, secret_name: str) -> None:
        """Refresh a secret now, by its name in Secrets Manager. A failure is logged, and the key stays."""
        cls.get_aliyun_sdk_secretsmanager_plugin().refresh_now(secret_name)

    @classmethod
    def register_secretsmanager_plugin_updater(cls, secret_name: str, plugins_updater: Any) -> None:
        """Tell an updater of every new key from now on.

        Args:
            secret_name: the secret's name in Secrets Manager. Its first read happens now, if it has not yet.
            plugins_updater: a ``SecretsMangerPluginCredentialUpdater``.
        """
        cls.get_aliyun_sdk_secretsmanager_plugin().register(secret_name, plugins_updater)

    @classmethod
    def close_secretsmanager_plugin_updater_and_client(cls, secret_name: str, client: Any) -> None:
        """Close the updaters of a client.

        Args:
            secret_name: the secret's name in Secrets Manager.
            client: the client. Those updaters are closed whose ``get_client()`` returns it.
        """
        if cls._plugin is not None:
            cls._plugin.close_updaters_of(secret_name, client)

    @classmethod
    def close_secretsmanager_plugin_updater_and_client_by_updater(cls, updater_names: Iterable[str]) -> None:
        """Close the updaters whose class has one of the names."""
        if cls._plugin is not None:
            cls._plugin.close_updaters(updater_names)

    @classmethod
    def shutdown(cls) -> None:
        """Close updaters and strategies, and forget the loader. Proxies continue to work. Idempotent."""
        with cls._lock:
            plugin, cls._plugin = cls._plugin, None
        if plugin is not None:
            plugin.close()

    @classmethod
    def _after_fork_in_child(cls) -> None:
        cls._lock = threading.RLock()


def _warn_of_halves() -> None:
    warnings.warn(
        "a rotation between get_access_key_id() and get_access_key_secret() makes them return parts of two keys; use "
        "get_access_key(), which returns both parts of one key",
        DeprecationWarning,
        stacklevel=3,
    )


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=AliyunSdkSecretsManagerPluginsManager._after_fork_in_child)
