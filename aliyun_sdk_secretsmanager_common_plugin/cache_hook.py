"""A door to ``compat.cache_hook``: programs with a loader import from this module."""

from .compat.cache_hook import DefaultSecretsManagerPluginCacheHook, SecretCacheHook, SecretsManagerPluginCacheHook

__all__ = ["DefaultSecretsManagerPluginCacheHook", "SecretCacheHook", "SecretsManagerPluginCacheHook"]
