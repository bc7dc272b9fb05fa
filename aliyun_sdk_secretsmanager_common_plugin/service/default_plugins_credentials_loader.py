"""The old path of DefaultPluginCredentialsLoader."""

from ..credentials_provider import DefaultPluginCredentialsLoader

__all__ = ["DefaultPluginCredentialsLoader"]
