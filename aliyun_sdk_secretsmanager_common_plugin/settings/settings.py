"""The keys of a configuration, and the immutable ``Settings`` that their values become."""

import re
from typing import NamedTuple, Optional, Tuple

from ..secrecy import shown_path

DEFAULT_CONFIG_NAME = "managed_credentials_providers.properties"
# The environment variable that names the PEM file of the CAs to trust where the configuration names none.
CA_VARIABLE = "ALIBABA_CLOUD_CA_BUNDLE"

CREDENTIALS_TYPES = (
    "ak", "token", "sts_token", "ram_role", "sts", "ecs_ram_role", "oidc_role_arn", "credentials_uri", "default",
    "client_key",
)
SECRETS_CLIENTS = ("native", "aliyun-secret-manager-client")
KEYS = (
    "credentials_type",
    "credentials_access_key_id", "credentials_access_secret",
    "credentials_access_token_id", "credentials_access_token", "credentials_security_token",
    "credentials_role_arn", "credentials_role_session_name",
    "credentials_policy", "credentials_external_id", "credentials_duration_seconds",
    "credentials_sts_endpoint", "credentials_sts_region_id",
    "credentials_oidc_provider_arn", "credentials_oidc_token_file_path",
    "credentials_role_name", "credentials_uri",
    "client_key_private_key_path", "client_key_password_from_env_variable", "client_key_password_from_file_path",
    "cache_client_region_id", "cache_client_dkms_config_info",
    "secrets_client", "secret_names",
    "cache_file_path", "cache_file_password_from_env_variable", "cache_file_password_from_file_path",
    "shared_store_url", "shared_store_password_from_env_variable", "shared_store_password_from_file_path",
    "shared_store_auth_from_env_variable", "shared_store_auth_from_file_path",
    "shared_store_prefix", "shared_store_timeout_milliseconds",
    "refresh_interval_milliseconds", "provider_refresh_interval_milliseconds", "rotation_interval", "delay_interval",
    "fetch_timeout_milliseconds", "renew_timeout_milliseconds",
    "replay_buffer_bytes", "replay_spool_bytes",
    "monitor_period_milliseconds", "monitor_customer_milliseconds",
)


class ClientKeySettings(NamedTuple):
    """A client key of a KMS application access point: the file that KMS let the user download, and its password."""

    key_file: str
    password: str

    def __repr__(self) -> str:
        return "ClientKeySettings({})".format(shown_path(self.key_file))


class IdentitySettings(NamedTuple):
    """Who we are when we ask Secrets Manager. The fields that ``credentials_type`` does not need are empty.

    ``sts_endpoint`` is a host or host:port, or empty for the library's own default. STS's certificate is verified
    against ``ca_file``, or against the system's CAs if that is None.
    """

    credentials_type: str = ""
    access_key_id: str = ""
    access_key_secret: str = ""
    security_token: str = ""
    role_arn: str = ""
    role_session_name: str = ""
    policy: str = ""
    external_id: str = ""
    duration_seconds: int = 3600
    sts_endpoint: str = ""
    oidc_provider_arn: str = ""
    oidc_token_file: str = ""
    role_name: str = ""
    uri: str = ""
    client_key: Optional[ClientKeySettings] = None
    ca_file: Optional[str] = None

    def __repr__(self) -> str:
        return "IdentitySettings({!r})".format(self.credentials_type)


class SharedGatewaySettings(NamedTuple):
    """A shared gateway of Secrets Manager: one entry of ``cache_client_region_id``."""

    region_id: str
    endpoint: str
    ca_file: Optional[str] = None


class DedicatedGatewaySettings(NamedTuple):
    """The dedicated gateway (DKMS) of a KMS instance: one entry of ``cache_client_dkms_config_info``."""

    region_id: str
    endpoint: str
    client_key: ClientKeySettings
    ca_file: Optional[str] = None
    ignore_certificate: bool = False


class CacheFileSettings(NamedTuple):
    """The cache file, which keeps the last keys for a start during an outage, and the password that encrypts it."""

    path: str
    password: str

    def __repr__(self) -> str:
        return "CacheFileSettings({})".format(shown_path(self.path))


class SharedStoreSettings(NamedTuple):
    """The Redis through which processes share keys.

    ``password`` encrypts the keys. ``auth`` is Redis's own password, if that is not in the URL. ``timeout`` is the
    longest time of one operation, in seconds.
    """

    url: str
    password: str
    auth: Optional[str] = None
    prefix: str = "managed-credentials:"
    timeout: float = 0.2

    @property
    def address(self) -> str:
        """The URL without user, password and parameters, as it may be shown."""
        match = re.match(r"(?a)(\w+://)(?:[^/?#]*@)?((?:[\w.-]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?(?:/[0-9]*)?"
                         r"|/[^?#@]+)(?:\?[^#@]*)?\Z", self.url)
        return match.group(1) + match.group(2) if match else "(a URL of {} characters)".format(len(self.url))

    def __repr__(self) -> str:
        return "SharedStoreSettings({})".format(self.address)


class Settings(NamedTuple):
    """What a configuration says. Times are in seconds.

    ``replay_buffer_bytes`` and ``replay_spool_bytes`` say how much of an OSS body is kept for a replay: in memory, or
    in a temporary file if it is larger.
    """

    identity: IdentitySettings = IdentitySettings()
    shared_gateways: Tuple[SharedGatewaySettings, ...] = ()
    dedicated_gateways: Tuple[DedicatedGatewaySettings, ...] = ()
    secrets_client: str = "native"
    secret_names: Tuple[str, ...] = ()
    refresh_interval: float = 3600.0
    provider_refresh_interval: float = 60.0
    fetch_timeout: float = 10.0
    renew_timeout: float = 2.0
    replay_buffer_bytes: int = 8388608
    replay_spool_bytes: int = 1073741824
    cache_file: Optional[CacheFileSettings] = None
    shared_store: Optional[SharedStoreSettings] = None

    def __repr__(self) -> str:
        regions = ", ".join(gateway.region_id for gateway in self.shared_gateways)
        return "Settings(shared_gateways=[{}], secret_names={!r})".format(regions, list(self.secret_names))
