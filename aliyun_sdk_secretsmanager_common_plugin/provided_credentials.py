"""The managed credentials of a program's own loader: its strategies say what is asked, when, and how often."""

import itertools
import json
import logging
from typing import Any, Callable, Dict, Optional, Tuple

from aliyunsdkcore.acs_exception.exceptions import ClientException, ServerException

from .access_key import AccessKey, parse_secret
from .ak_expire_handler import AKExpireHandler
from .backoff_strategy import FullJitterBackoffStrategy
from .cache_hook import DefaultSecretsManagerPluginCacheHook
from .clock import Clock
from .credentials_provider import SecretExchange, SecretRecoveryStrategy
from .exceptions import ConfigurationError
from .lease import Lease
from .managed_credentials import ManagedCredentials
from .refresh_strategy import RotateAKSecretRefreshSecretStrategy
from .secret_info import CacheSecretInfo, answer_of
from .secret_store import MonitorMemoryCacheSecretStoreStrategy
from .secrets_manager import Fetched, LateAnswer, is_worth_a_region, next_start
from .settings import ClientKeySettings, DedicatedGatewaySettings, IdentitySettings, Settings, settings_from

logger = logging.getLogger(__name__)

# How long a secret is good that says nothing, in milliseconds.
_TTL = 60 * 60 * 1000.0

_STS_KEY_PAIR = {
    "credentials_access_key_id": "sts_access_key_id", "credentials_access_secret": "sts_access_key_secret"
}
# By class: the credentials_type, and the attribute behind each of its keys.
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
_clock = Clock()


class Strategies:
    """Those of a provider, with the default for what it leaves out.

    Args:
        provider: what a loader gave; None takes all defaults.
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
        """Let them begin."""
        for strategy in (self.backoff, self.store, self.refresh, self.hook):
            if strategy is not None:
                strategy.init()

    def close(self) -> None:
        """Let them end."""
        for strategy in (self.store, self.refresh, self.hook):
            if strategy is not None:
                try:
                    strategy.close()
                except Exception as error:
                    # Without the traceback and the text: they may hold what the strategy kept.
                    logger.error("%s could not be closed: %s", type(strategy).__name__, type(error).__name__)

    def secret_name(self, user_secret_name: str) -> str:
        """Return the name in Secrets Manager.

        Raises:
            ConfigurationError: there is none.
        """
        name = self.exchange.exchange_secret_name(user_secret_name) if user_secret_name else ""
        if not name:
            raise ConfigurationError("secret_name is {!r}, which {} takes to no secret; give the name of one".format(
                user_secret_name, type(self.exchange).__name__))
        return name


class ProvidedCredentials(ManagedCredentials):
    """The managed credentials that a ``SecretsManagerPluginCredentialsProvider`` describes.

    Args:
        provider: who asks, where, and the strategies.

    Raises:
        ConfigurationError: who asks, or where, is missing or wrong.
    """

    def __init__(self, provider: Any) -> None:
        self.strategies = Strategies(provider)
        # When the refresh strategy wants each secret to be read again, in seconds since the epoch.
        self._due: Dict[str, float] = {}
        credentials = provider.credentials
        handed_in = credentials if credentials is not None and not _is_described(credentials) else None
        super().__init__(_settings_of(provider), self._fetch, handed_in, recovery=_RecoveryOfHook(self.strategies.hook))

    def lease(
        self,
        client: Any,
        secret_name: str,
        handler: AKExpireHandler,
        after_fork: Callable[[Any], None],
        wait: bool = True,
    ) -> Lease:
        """As the base class, with the program's name of the secret."""
        return super().lease(client, self.strategies.secret_name(secret_name), handler, after_fork, wait)

    def _fetch(self, name: str, timeout: float, retry: bool, late: LateAnswer) -> Fetched:
        if retry:
            return self._first_read(name, timeout, late)
        return self._ask(name, timeout, late)

    def _ask(self, name: str, timeout: float, late: LateAnswer) -> Fetched:
        def planned(name: str, fetched: Fetched) -> None:
            self._plan(name, fetched.key)
            late(name, fetched)

        fetched = self._secrets_manager.fetch(name, timeout, False, planned)
        self._plan(name, fetched.key)
        return fetched

    def _first_read(self, name: str, timeout: float, late: LateAnswer) -> Fetched:
        deadline = _clock.monotonic() + timeout
        started = next_start()
        kept = self._kept(name) if name not in self._due else None
        if kept is not None:
            self._recovered[name] = kept
            return Fetched(started, kept)
        attempts = itertools.count()
        while True:
            try:
                return self._ask(name, deadline - _clock.monotonic(), late)
            except (ServerException, ClientException) as error:
                if not is_worth_a_region(error):
                    raise
                wait = self.strategies.backoff.get_wait_time_exponential(next(attempts)) / 1000.0
                if not 0 <= wait < deadline - _clock.monotonic():
                    raise
            _clock.sleep(wait)

    def _kept(self, name: str) -> Optional[AccessKey]:
        """Return the key that the store strategy kept from an earlier process, if it is still good."""
        strategy = self.strategies.refresh
        try:
            cached = self.strategies.store.get_cache_secret_info(name)
            if cached is None:
                return None
            ttl = strategy.parse_ttl(cached.secret_info) if strategy is not None else 0
            if _clock.time() * 1000 - cached.refresh_time_stamp > (ttl if ttl > 0 else _TTL):
                return None
            key = parse_secret(name, answer_of(self.strategies.hook.get(cached)))
        except Exception as error:
            # Without the traceback and the text: they may hold what the store kept.
            logger.error("secret %r: the store strategy failed with %s; Secrets Manager is asked", name,
                         type(error).__name__)
            return None
        self._plan(name, key, cached.refresh_time_stamp)
        return key

    def _plan(self, name: str, key: AccessKey, read: Optional[float] = None) -> None:
        """Ask the refresh strategy when to read a secret again that was read at ``read``, in milliseconds."""
        strategy = self.strategies.refresh
        if strategy is None:
            return
        read = _clock.time() * 1000 if read is None else read
        try:
            due = strategy.parse_next_execute_time(CacheSecretInfo("ACSCurrent", int(read), key.secret_info))
            if due <= 0:
                due = strategy.get_next_execute_time(name, _TTL, int(read))
            self._due[name] = due / 1000.0
        except Exception as error:
            self._due[name] = 0.0
            logger.error("secret %r: %s failed with %s; the secret is read again after refresh_interval", name,
                         type(strategy).__name__, type(error).__name__)

    def _schedule(self, secret_name: str, seconds: float) -> None:
        # Once the time is there, a refresh that failed comes again as it does without a strategy.
        wanted = self._due.get(secret_name, 0.0) - _clock.time()
        if type(self.strategies.refresh) is RotateAKSecretRefreshSecretStrategy:
            wanted = min(wanted, seconds)  # it knows neither refresh_interval nor when a token ends
        super()._schedule(secret_name, wanted if wanted > 0 else seconds)


class _RecoveryOfHook:
    """The recovery strategy behind a hook, which may have an answer of its own."""

    def __init__(self, hook: Any) -> None:
        self._hook = hook

    def keep_secret(self, secret_info: Any) -> None:
        # Strategies of 0.1.4 do not have it.
        keep = getattr(getattr(self._hook, "secret_recover_strategy", None), "keep_secret", None)
        if keep is not None:
            keep(secret_info)

    def recover_get_secret(self, secret_name: str) -> Any:
        return self._hook.recovery_get_secret(secret_name)


def _settings_of(provider: Any) -> Settings:
    """Return the settings of a provider, checked as those of a properties file."""
    credentials, instances = provider.credentials, provider.dkms_configs_dict or {}
    keys = _keys_of(credentials)
    regions = [
        {
            "regionId": region.region_id,
            "endpoint": region.endpoint,
            "vpc": bool(region.vpc),
            "caFilePath": getattr(region, "ca_file_path", None),
        }
        # 0.1.4 has the dedicated gateways in the list, too.
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
    """Return whether settings can say who asks; else the object itself gives credentials."""
    return isinstance(credentials, IdentitySettings) or bool(_keys_of(credentials))


def _keys_of(credentials: Any) -> Dict[str, str]:
    """Return the keys of a properties file for a credential of ``aliyunsdkcore.auth.credentials``."""
    for name in [each.__name__ for each in type(credentials).__mro__]:
        if name in _IDENTITIES:
            credentials_type, keys = _IDENTITIES[name]
            values = {key: getattr(credentials, attribute) for key, attribute in keys.items()}
            return dict(values, credentials_type=credentials_type)
    return {}


def _dedicated_gateway(config: Any) -> DedicatedGatewaySettings:
    """Return the dedicated gateway of a ``DKmsConfig``; those of a properties file are there already."""
    if isinstance(config, DedicatedGatewaySettings):
        return config
    return DedicatedGatewaySettings(
        config.region_id,
        config.endpoint,
        ClientKeySettings(config.client_key_file, config.password),
        config.ca_file_path or None,
        bool(config.ignore_ssl_certs),
    )
