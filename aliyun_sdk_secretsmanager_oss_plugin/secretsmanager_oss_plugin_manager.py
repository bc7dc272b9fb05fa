"""A door to ``compat.plugin_manager``: programs for the existing plugin import from this module."""

from .compat.plugin_manager import SecretsManagerOssPluginManager

__all__ = ["SecretsManagerOssPluginManager"]
