"""The old path of MonitorMemoryCacheSecretStoreStrategy and judge_secret_expired."""

from ..secret_store import MonitorMemoryCacheSecretStoreStrategy, judge_secret_expired

__all__ = ["MonitorMemoryCacheSecretStoreStrategy", "judge_secret_expired"]
