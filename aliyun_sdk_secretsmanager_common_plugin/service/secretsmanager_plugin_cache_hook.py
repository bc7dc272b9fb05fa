"""The old path of SecretsManagerPluginCacheHook."""

from ..cache_hook import SecretsManagerPluginCacheHook

__all__ = ["SecretsManagerPluginCacheHook"]
