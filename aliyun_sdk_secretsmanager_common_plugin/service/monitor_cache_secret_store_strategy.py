"""The old path of MonitorCacheSecretStoreStrategy."""

from ..secret_store import MonitorCacheSecretStoreStrategy

__all__ = ["MonitorCacheSecretStoreStrategy"]
