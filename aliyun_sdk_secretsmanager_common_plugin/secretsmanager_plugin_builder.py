"""A door to ``compat.plugin_builder``: programs for the existing plugin import from this module."""

from .compat.plugin_builder import SecretsMangerPluginBuilder

__all__ = ["SecretsMangerPluginBuilder"]
