"""The old path of DefaultSecretsManagerPluginCacheHook."""

from ..cache_hook import DefaultSecretsManagerPluginCacheHook

__all__ = ["DefaultSecretsManagerPluginCacheHook"]
