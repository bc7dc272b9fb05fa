"""The managed credentials that a program's loader configures. Its strategies decide when secrets are read."""

import json
from typing import Any, Callable, Dict, List, Optional, Sequence, Tuple

from ..access_key import epoch_or_none, parse_secret
from ..ak_expire_handler import AKExpireHandler
from ..exceptions import ConfigurationError
from ..keeper import FIRST_READ
from ..keeper.actions import Request
from ..keeper.events import Ended
from ..lease import Lease
from ..managed_credentials import ManagedCredentials
from ..secrecy import log_fields, logger_of, shown_secret_name
from ..secret_info import CacheSecretInfo, answer_of
from ..secrets_manager import Connections
from ..settings import ClientKeySettings, DedicatedGatewaySettings, IdentitySettings, Settings, settings_from
from .backoff_strategy import FullJitterBackoffStrategy
from .cache_hook import DefaultSecretsManagerPluginCacheHook
from .credentials_provider import SecretExchange, SecretRecoveryStrategy
from .refresh_strategy import RotateAKSecretRefreshSecretStrategy
from .secret_store import MonitorMemoryCacheSecretStoreStrategy

logger = logger_of(__name__)

# The most attempts of a first read that are planned, even for a backoff strategy that never gives up.
MOST_ATTEMPTS = 100
# How long a secret is valid if neither it nor a strategy says so, in milliseconds.
_TTL = 60 * 60 * 1000.0

_STS_KEY_PAIR = {
    "credentials_access_key_id": "sts_access_key_id", "credentials_access_secret": "sts_access_key_secret"
}
# By class of aliyunsdkcore.auth.credentials: the credentials_type, and the attribute for each of its keys.
_IDENTITIES: Dict[str, Tuple[str, Dict[str, str]]] = {
    "AccessKeyCredential": (
        "ak",
        {"credentials_access_key_id": "access_key_id", "credentials_access_secret": "access_key_secret"},
    ),
    "StsTokenCredential": ("sts_token", dict(_STS_KEY_PAIR, credentials_security_token="sts_token")),
    "RamRoleArnCredential": (
        "ram_role",
        dict(_STS_KEY_PAIR, credentials_role_arn="role_arn", credentials_role_session_name="session_role_name"),
    ),
    "EcsRamRoleCredential": ("ecs_ram_role", {"credentials_role_name": "role_name"}),
}


class Strategies:
    """The strategies of a provider, with defaults for those that it leaves out.

    Args:
        provider: the ``SecretsManagerPluginCredentialsProvider`` of a loader, or None for all defaults.
    """

    def __init__(self, provider: Any = None) -> None:
        self.exchange = getattr(provider, "secret_exchange", None) or SecretExchange()
        self.store = getattr(provider, "cache_secret_store_strategy", None) or MonitorMemoryCacheSecretStoreStrategy(
            None, None, None)
        self.hook = getattr(provider, "secretsmanager_plugin_cache_hook", None) or DefaultSecretsManagerPluginCacheHook(
            None, SecretRecoveryStrategy())
        self.backoff = getattr(provider, "back_off_strategy", None) or FullJitterBackoffStrategy()
        self.refresh = getattr(provider, "refresh_secret_strategy", None)

    def init(self) -> None:
        """Initialize all strategies."""
        for strategy in (self.backoff, self.store, self.refresh, self.hook):
            if strategy is not None:
                strategy.init()

    def close(self) -> None:
        """Close all strategies. An error is logged."""
        for strategy in (self.store, self.refresh, self.hook):
            if strategy is not None:
                try:
                    strategy.close()
                except Exception as error:
                    # Neither text nor traceback is logged: they may show a secret.
                    logger.error("%s could not be closed: %s", type(strategy).__name__, type(error).__name__)

    def secret_name(self, user_secret_name: str) -> str:
        """Return the name in Secrets Manager for a program's name of a secret.

        Raises:
            ConfigurationError: there is no such name.
        """
        name = self.exchange.exchange_secret_name(user_secret_name) if user_secret_name else ""
        if not name:
            shown = shown_secret_name(user_secret_name) if isinstance(user_secret_name, str) else user_secret_name
            raise ConfigurationError(
                "secret_name is {!r}, for which {} returns no name in Secrets Manager; name a secret".format(
                    shown, type(self.exchange).__name__))
        return name


class ProvidedCredentials(ManagedCredentials):
    """The managed credentials that a ``SecretsManagerPluginCredentialsProvider`` configures.

    Args:
        provider: the identity, the gateways and the strategies.

    Raises:
        ConfigurationError: the identity or a gateway is missing or wrong.
    """

    def __init__(self, provider: Any) -> None:
        self.strategies = Strategies(provider)
        credentials = provider.credentials
        handed_in = credentials if credentials is not None and not _is_described(credentials) else None
        super().__init__(_settings_of(provider), identity=handed_in, recovery=_RecoveryOfHook(self.strategies.hook))

    def lease(
        self,
        client: Any,
        secret_name: str,
        handler: AKExpireHandler,
        after_fork: Callable[[Any], None],
        wait: bool = True,
    ) -> Lease:
        """Return a lease as the base class does, for the program's name of a secret.

        Args:
            client: as for the base class, like ``handler``, ``after_fork`` and ``wait``.
            secret_name: the program's name, which the ``SecretExchange`` translates.

        Raises:
            ConfigurationError: there is no such name, or an argument is wrong as for the base class.
            ServerException, ClientException, SecretFormatError: the secret cannot be read.
        """
        return super().lease(client, self.strategies.secret_name(secret_name), handler, after_fork, wait)

    def _delays(self) -> Sequence[float]:
        """Return the waits of the backoff strategy between the attempts of a first read, in seconds."""
        delays: List[float] = []
        for attempt in range(MOST_ATTEMPTS):
            delay = self.strategies.backoff.get_wait_time_exponential(attempt) / 1000.0
            if delay < 0:
                break
            delays.append(delay)
        return delays

    def _read(self, gateway: Any, request: Request, connections: Connections) -> Ended:
        if request.purpose == FIRST_READ and self._account.held_key(request.name) is None:
            kept = self._kept(request)
            if kept is not None:
                return kept
        read = super()._read(gateway, request, connections)
        return self._planned(request.name, read, self._runtime.clock.time() * 1000)

    def _kept(self, request: Request) -> Optional[Ended]:
        """Return the key that an earlier process stored, if it is still valid."""
        name = request.name
        strategy = self.strategies.refresh
        try:
            cached = self.strategies.store.get_cache_secret_info(name)
            if cached is None:
                return None
            ttl = strategy.parse_ttl(cached.secret_info) if strategy is not None else 0
            read = epoch_or_none(cached.refresh_time_stamp)
            if read is None or (self._runtime.clock.time() - read) * 1000 > (ttl if ttl > 0 else _TTL):
                return None
            key = parse_secret(name, answer_of(self.strategies.hook.get(cached)))
        except Exception as error:
            # Neither text nor traceback is logged: they may show a secret.
            logger.error("secret %r: the store strategy failed with %s; Secrets Manager is asked", name,
                         type(error).__name__, extra=log_fields(name, error=type(error).__name__))
            return None
        return self._planned(name, Ended(request.number, key, is_kept=True), cached.refresh_time_stamp)

    def _planned(self, name: str, ended: Ended, read: float) -> Ended:
        """Return the end of a request with what the refresh strategy wants; ``read`` is in milliseconds."""
        strategy, key = self.strategies.refresh, ended.key
        if strategy is None or key is None:
            return ended
        # The default strategy knows neither refresh_interval nor when a token expires.
        may_be_earlier = type(strategy) is RotateAKSecretRefreshSecretStrategy
        try:
            due = strategy.parse_next_execute_time(CacheSecretInfo("ACSCurrent", int(read), key.secret_info))
            if due <= 0:
                due = strategy.get_next_execute_time(name, _TTL, int(read))
            return ended._replace(refresh_at=due / 1000.0, may_be_earlier=may_be_earlier)
        except Exception as error:
            logger.error("secret %r: %s failed with %s; the secret is read again after refresh_interval", name,
                         type(strategy).__name__, type(error).__name__,
                         extra=log_fields(name, key, type(error).__name__))
            return ended._replace(refresh_at=0.0, may_be_earlier=may_be_earlier)


class _RecoveryOfHook:
    """A recovery strategy that asks the hook, which may override its own recovery strategy."""

    def __init__(self, hook: Any) -> None:
        self._hook = hook

    def keep_secret(self, secret_info: Any) -> None:
        # Strategies for plugin 0.1.4 do not have keep_secret.
        keep = getattr(getattr(self._hook, "secret_recover_strategy", None), "keep_secret", None)
        if keep is not None:
            keep(secret_info)

    def recover_get_secret(self, secret_name: str) -> Any:
        return self._hook.recovery_get_secret(secret_name)


def _settings_of(provider: Any) -> Settings:
    """Return the settings of a provider, checked like those of a properties file."""
    credentials, instances = provider.credentials, provider.dkms_configs_dict or {}
    keys = _keys_of(credentials)
    regions = [
        {
            "regionId": region.region_id,
            "endpoint": region.endpoint,
            "vpc": bool(region.vpc),
            "caFilePath": getattr(region, "ca_file_path", None),
        }
        # Plugin 0.1.4 lists the dedicated gateways here too.
        for region in provider.region_info_list or () if region not in instances
    ]
    if regions:
        keys["cache_client_region_id"] = json.dumps(regions)
    given = settings_from(
        type(provider).__name__, keys, identity="credentials_type" in keys or credentials is None,
        gateways=bool(regions) or not instances)
    loaded = getattr(provider, "settings", Settings())
    return loaded._replace(
        identity=credentials if isinstance(credentials, IdentitySettings) else given.identity,
        shared_gateways=given.shared_gateways,
        dedicated_gateways=tuple(map(_dedicated_gateway, instances.values())),
        secret_names=tuple(provider.secret_names or ()),
    )


def _is_described(credentials: Any) -> bool:
    """Return whether settings can describe the credentials. If not, they are an identity of the program's own."""
    return isinstance(credentials, IdentitySettings) or bool(_keys_of(credentials))


def _keys_of(credentials: Any) -> Dict[str, str]:
    """Return a credential of ``aliyunsdkcore.auth.credentials`` as keys of a properties file."""
    for name in [each.__name__ for each in type(credentials).__mro__]:
        if name in _IDENTITIES:
            credentials_type, keys = _IDENTITIES[name]
            values = {key: getattr(credentials, attribute) for key, attribute in keys.items()}
            return dict(values, credentials_type=credentials_type)
    return {}


def _dedicated_gateway(config: Any) -> DedicatedGatewaySettings:
    """Return the settings of a ``DKmsConfig``, or of a dedicated gateway from the properties file."""
    if isinstance(config, DedicatedGatewaySettings):
        return config
    return DedicatedGatewaySettings(
        config.region_id,
        config.endpoint,
        ClientKeySettings(config.client_key_file, config.password),
        config.ca_file_path or None,
        bool(config.ignore_ssl_certs),
    )
