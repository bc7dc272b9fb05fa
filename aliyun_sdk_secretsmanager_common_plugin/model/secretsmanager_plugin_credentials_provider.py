"""The old path of SecretsManagerPluginCredentialsProvider."""

from ..credentials_provider import SecretsManagerPluginCredentialsProvider

__all__ = ["SecretsManagerPluginCredentialsProvider"]
