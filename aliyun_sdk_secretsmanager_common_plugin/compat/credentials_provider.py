"""A program's own loader, and the configuration that it returns: identity, gateways and strategies."""

import queue
from typing import Any, Iterable, List, Mapping, Optional

from aliyunsdkcore.auth.credentials import AccessKeyCredential

from ..settings import Settings, load_settings
from .backoff_strategy import FullJitterBackoffStrategy
from .cache_hook import DefaultSecretsManagerPluginCacheHook
from .refresh_strategy import RotateAKSecretRefreshSecretStrategy
from .secret_store import MonitorMemoryCacheSecretStoreStrategy


class RegionInfo:
    """A shared gateway of Secrets Manager. The attributes are the arguments.

    Args:
        region_id: the region.
        vpc: whether to use the endpoint within a VPC.
        endpoint: host or host:port; None for the region's default.
        ca_file_path: the PEM file of the CAs to trust; None for those of the system.
    """

    def __init__(
        self,
        region_id: str,
        vpc: bool = False,
        endpoint: Optional[str] = None,
        ca_file_path: Optional[str] = None,
    ) -> None:
        self.region_id = region_id
        self.vpc = vpc
        self.endpoint = endpoint
        self.ca_file_path = ca_file_path

    def __repr__(self) -> str:
        return "RegionInfo({!r}, vpc={!r}, endpoint={!r})".format(self.region_id, self.vpc, self.endpoint)


class SecretExchange:
    """Translates the program's names of secrets to their names in Secrets Manager."""

    def exchange_secret_name(self, user_secret_name: str) -> str:
        """Return the name in Secrets Manager. By default it is the same."""
        return user_secret_name


class SecretRecoveryStrategy:
    """Stores secrets, to use them while no region of Secrets Manager answers the first read."""

    def keep_secret(self, secret_info: Any) -> None:
        """Store a new secret, a ``SecretInfo``. By default this does nothing.

        This is called in a thread of its own. The call that read the secret waits for it at most one second.
        """

    def recover_get_secret(self, secret_name: str) -> Any:
        """Return the ``SecretInfo`` to use, a ``CacheSecretInfo`` with the time of its read, or None (the default).

        This is called in a thread of its own when half a second of ``fetch_timeout`` is left. The first read waits no
        longer. A result that comes later serves the next read.
        """
        return None


class SecretsManagerPluginCredentialsProvider:
    """The configuration that a loader returns. The arguments are the attributes. None means the default.

    Args:
        credentials: the identity: a credential of ``aliyunsdkcore.auth.credentials``, or what ``ManagedCredentials``
            takes as ``identity``. Dedicated gateways need none.
        region_info_list: the shared gateways, ``RegionInfo`` objects.
        secret_names: the secrets to read at the start.
        secret_exchange: a ``SecretExchange``.
        cache_secret_store_strategy: a ``CacheSecretStoreStrategy``.
        secretsmanager_plugin_cache_hook: a ``SecretsManagerPluginCacheHook``.
        back_off_strategy: a ``BackoffStrategy``, for first reads.
        refresh_secret_strategy: a ``RefreshSecretStrategy``.
        dkms_configs_dict: the dedicated gateways, ``DKmsConfig`` objects by region.

    Attributes:
        settings: the other keys of the properties file, if the provider was made from one.
    """

    def __init__(
        self,
        credentials: Any = None,
        region_info_list: Optional[Iterable[Any]] = None,
        secret_names: Optional[Iterable[str]] = None,
        secret_exchange: Any = None,
        cache_secret_store_strategy: Any = None,
        secretsmanager_plugin_cache_hook: Any = None,
        back_off_strategy: Any = None,
        refresh_secret_strategy: Any = None,
        dkms_configs_dict: Optional[Mapping[Any, Any]] = None,
    ) -> None:
        self.credentials = credentials
        self.region_info_list = region_info_list
        self.secret_names = secret_names
        self.secret_exchange = secret_exchange
        self.cache_secret_store_strategy = cache_secret_store_strategy
        self.secretsmanager_plugin_cache_hook = secretsmanager_plugin_cache_hook
        self.back_off_strategy = back_off_strategy
        self.refresh_secret_strategy = refresh_secret_strategy
        self.dkms_configs_dict = dkms_configs_dict
        self.settings = Settings()


class SecretsManagerPluginCredentialsLoader:
    """The base of a program's own loaders."""

    def load(self) -> Any:
        """Return a ``SecretsManagerPluginCredentialsProvider``."""
        raise NotImplementedError("a subclass of SecretsManagerPluginCredentialsLoader defines load()")


class DefaultPluginCredentialsLoader(SecretsManagerPluginCredentialsLoader):
    """Reads the properties file, for programs that change parts of it."""

    def load(self) -> SecretsManagerPluginCredentialsProvider:
        """Return the configuration of the properties file, with the default strategies.

        Raises:
            ConfigurationError: the file cannot be read, or a key is missing or wrong.
        """
        settings = load_settings()
        regions: List[RegionInfo] = [
            RegionInfo(gateway.region_id, endpoint=gateway.endpoint, ca_file_path=gateway.ca_file)
            for gateway in settings.shared_gateways
        ]
        messages: Any = queue.Queue(1000)
        identity = settings.identity
        provider = SecretsManagerPluginCredentialsProvider(
            # Programs may read a key pair as plugin 0.1.4 gives it. Other identities are this package's own.
            AccessKeyCredential(identity.access_key_id, identity.access_key_secret)
            if identity.credentials_type in ("ak", "token") else identity,
            regions,
            list(settings.secret_names),
            SecretExchange(),
            MonitorMemoryCacheSecretStoreStrategy(messages, None, None),
            DefaultSecretsManagerPluginCacheHook(messages, SecretRecoveryStrategy()),
            FullJitterBackoffStrategy(),
            RotateAKSecretRefreshSecretStrategy(),
            {RegionInfo(each.region_id, endpoint=each.endpoint): each for each in settings.dedicated_gateways},
        )
        provider.settings = settings
        return provider
