"""A door to ``compat.credentials_provider``: programs with a loader or a recovery strategy import from this module."""

from .compat.credentials_provider import (
    DefaultPluginCredentialsLoader,
    RegionInfo,
    SecretExchange,
    SecretRecoveryStrategy,
    SecretsManagerPluginCredentialsLoader,
    SecretsManagerPluginCredentialsProvider,
)

__all__ = [
    "DefaultPluginCredentialsLoader",
    "RegionInfo",
    "SecretExchange",
    "SecretRecoveryStrategy",
    "SecretsManagerPluginCredentialsLoader",
    "SecretsManagerPluginCredentialsProvider",
]
