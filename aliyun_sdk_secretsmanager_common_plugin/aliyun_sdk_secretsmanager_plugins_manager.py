"""A door to ``compat.plugins_manager``: programs for the existing plugin import from this module."""

from .compat.plugins_manager import AliyunSdkSecretsManagerPlugin, AliyunSdkSecretsManagerPluginsManager

__all__ = ["AliyunSdkSecretsManagerPlugin", "AliyunSdkSecretsManagerPluginsManager"]
