"""The old path of SecretsManagerPluginCredentials."""

from ..plugin_credentials import SecretsManagerPluginCredentials

__all__ = ["SecretsManagerPluginCredentials"]
