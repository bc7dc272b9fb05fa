"""The properties file and the environment, as one validated, immutable ``Settings``."""

from .files import system_ca
from .loading import ConfigLoader, load_settings, properties_path, settings_from
from .settings import (
    CREDENTIALS_TYPES,
    KEYS,
    CacheFileSettings,
    ClientKeySettings,
    DedicatedGatewaySettings,
    IdentitySettings,
    Settings,
    SharedGatewaySettings,
    SharedStoreSettings,
)

__all__ = [
    "CREDENTIALS_TYPES",
    "KEYS",
    "CacheFileSettings",
    "ClientKeySettings",
    "ConfigLoader",
    "DedicatedGatewaySettings",
    "IdentitySettings",
    "Settings",
    "SharedGatewaySettings",
    "SharedStoreSettings",
    "load_settings",
    "properties_path",
    "settings_from",
    "system_ca",
]
