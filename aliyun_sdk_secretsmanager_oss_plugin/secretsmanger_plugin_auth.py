"""A door to ``compat.auth``: programs for the existing plugin import from this module."""

from .compat.auth import SecretsMangerPluginAuth

__all__ = ["SecretsMangerPluginAuth"]
