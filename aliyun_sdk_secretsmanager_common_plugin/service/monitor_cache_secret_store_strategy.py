"""A door to ``compat.secret_store``: programs for the existing plugin import from this module."""

from ..compat.secret_store import MonitorCacheSecretStoreStrategy

__all__ = ["MonitorCacheSecretStoreStrategy"]
