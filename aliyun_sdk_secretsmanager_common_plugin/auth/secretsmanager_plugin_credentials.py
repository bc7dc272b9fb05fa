"""A door to ``compat.plugin_credentials``: programs for the existing plugin import from this module."""

from ..compat.plugin_credentials import SecretsManagerPluginCredentials

__all__ = ["SecretsManagerPluginCredentials"]
