"""A door to ``compat.secret_store``: programs with a loader import from this module."""

from .compat.secret_store import (
    CacheSecretStoreStrategy,
    MonitorCacheSecretStoreStrategy,
    MonitorMemoryCacheSecretStoreStrategy,
)

__all__ = ["CacheSecretStoreStrategy", "MonitorCacheSecretStoreStrategy", "MonitorMemoryCacheSecretStoreStrategy"]
