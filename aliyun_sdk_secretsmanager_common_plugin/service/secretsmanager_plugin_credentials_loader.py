"""The old path of SecretsManagerPluginCredentialsLoader."""

from ..credentials_provider import SecretsManagerPluginCredentialsLoader

__all__ = ["SecretsManagerPluginCredentialsLoader"]
