"""A door to ``compat.cache_hook``: programs for the existing plugin import from this module."""

from ..compat.cache_hook import DefaultSecretsManagerPluginCacheHook

__all__ = ["DefaultSecretsManagerPluginCacheHook"]
