"""A door to ``compat.secret_store``: programs for the existing plugin import from this module."""

from ..compat.secret_store import MonitorMemoryCacheSecretStoreStrategy, judge_secret_expired

__all__ = ["MonitorMemoryCacheSecretStoreStrategy", "judge_secret_expired"]
