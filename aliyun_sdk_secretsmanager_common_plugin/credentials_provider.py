"""What a program's own loader gives: who asks, where, and the strategies."""

import queue
from typing import Any, Iterable, List, Mapping, Optional

from aliyunsdkcore.auth.credentials import AccessKeyCredential

from .backoff_strategy import FullJitterBackoffStrategy
from .cache_hook import DefaultSecretsManagerPluginCacheHook
from .refresh_strategy import RotateAKSecretRefreshSecretStrategy
from .secret_store import MonitorMemoryCacheSecretStoreStrategy
from .settings import Settings, load_settings


class RegionInfo:
    """A shared gateway of Secrets Manager. The attributes are the arguments.

    Args:
        region_id: the region.
        vpc: whether to use the endpoint within a VPC.
        endpoint: host or host:port, None for the region's own.
        ca_file_path: PEM file of the CAs to trust, None for the system's.
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
    """The names of secrets: as the program gives them, and in Secrets Manager."""

    def exchange_secret_name(self, user_secret_name: str) -> str:
        """Return the name in Secrets Manager; the same, unless a subclass says otherwise."""
        return user_secret_name


class SecretRecoveryStrategy:
    """What to use while no region of Secrets Manager answers the first read of a secret."""

    def keep_secret(self, secret_info: Any) -> None:
        """Keep a new secret of Secrets Manager, a ``SecretInfo``; called as subscribers are, in the way of the call.

        Nothing is done, unless a subclass says otherwise.
        """

    def recover_get_secret(self, secret_name: str) -> Any:
        """Return a ``SecretInfo``, or a ``CacheSecretInfo``, which says when it was read.

        None, unless a subclass says otherwise. ``fetch_timeout`` does not bound it: the first read waits for its end.
        """
        return None


class SecretsManagerPluginCredentialsProvider:
    """What a loader gives. The attributes are the arguments; where one is None, the default serves.

    Args:
        credentials: who asks: a credential of ``aliyunsdkcore.auth.credentials``, or what ``ManagedCredentials`` takes
            as ``identity``; dedicated gateways need none.
        region_info_list: the shared gateways, ``RegionInfo`` objects.
        secret_names: which secrets are read at the start.
        secret_exchange: the names of secrets in Secrets Manager.
        cache_secret_store_strategy: where secrets are kept.
        secretsmanager_plugin_cache_hook: what is called with every secret.
        back_off_strategy: how long a first read waits between attempts.
        refresh_secret_strategy: when a secret is read again.
        dkms_configs_dict: the dedicated gateways, ``DKmsConfig`` objects by region.

    Attributes:
        settings: what a properties file says besides, if the provider was made from one.
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
    """The base of a program's own loader."""

    def load(self) -> Any:
        """Return a ``SecretsManagerPluginCredentialsProvider``."""
        raise NotImplementedError("a subclass of SecretsManagerPluginCredentialsLoader defines load()")


class DefaultPluginCredentialsLoader(SecretsManagerPluginCredentialsLoader):
    """Reads the properties file, for programs that change some of it."""

    def load(self) -> SecretsManagerPluginCredentialsProvider:
        """Return what the properties file says, with the default strategies.

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
            # 0.1.4's for a key pair, as programs may read it; the others are ours.
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
