"""Where a program's loader stores secrets."""

import time
from typing import Any, Dict, Optional

from .refresh_strategy import seconds


class CacheSecretStoreStrategy:
    """The base of store strategies. Those of ``aliyun-secret-manager-client`` work as well."""

    def init(self) -> None:
        """Called once, before the first read."""

    def store_secret(self, cache_secret_info: Any) -> None:
        """Store a new secret, a ``CacheSecretInfo``."""
        raise NotImplementedError("a subclass of CacheSecretStoreStrategy defines store_secret(cache_secret_info)")

    def get_cache_secret_info(self, secret_name: str) -> Any:
        """Return the stored ``CacheSecretInfo`` of a secret, or None.

        One that an earlier process stored serves the first read while it is valid.
        """
        raise NotImplementedError("a subclass of CacheSecretStoreStrategy defines get_cache_secret_info(secret_name)")

    def close(self) -> None:
        """Called at shutdown."""


class MonitorCacheSecretStoreStrategy(CacheSecretStoreStrategy):
    """The base of store strategies that refresh secrets themselves."""

    def add_refresh_hook(self, client: Any) -> None:
        """Called once at the start, with an object that has ``get_secret_info(name)`` and ``refresh_now(name)``."""


class MonitorMemoryCacheSecretStoreStrategy(MonitorCacheSecretStoreStrategy):
    """Stores secrets in memory.

    Args:
        queue, monitor_period, monitor_customer_period: not used. They are accepted because existing programs pass them.
    """

    def __init__(self, queue: Any, monitor_period: Any, monitor_customer_period: Any) -> None:
        self.queue = queue
        self.monitor_period = monitor_period
        self.monitor_customer_period = monitor_customer_period
        self.cache_map: Dict[str, Any] = {}

    def add_refresh_hook(self, secret_cache_client: Any) -> None:
        """Do nothing: this package refreshes all secrets."""

    def store_secret(self, cache_secret_info: Any) -> None:
        """Store a secret."""
        self.cache_map[cache_secret_info.secret_info.secret_name] = cache_secret_info

    def get_cache_secret_info(self, secret_name: str) -> Any:
        """Return the stored secret, or None."""
        return self.cache_map.get(secret_name)

    def close(self) -> None:
        """Forget all secrets."""
        self.cache_map.clear()


def judge_secret_expired(rotation_interval: Optional[str], refresh_timestamp: float) -> bool:
    """Return whether ``refresh_timestamp`` is later than one rotation interval from now.

    Args:
        rotation_interval: an interval such as ``604800s``.
        refresh_timestamp: milliseconds since the epoch.

    Raises:
        ValueError: the interval is missing or malformed.
    """
    if not rotation_interval:
        raise ValueError("rotation_interval is {!r}; give an interval such as '604800s'".format(rotation_interval))
    return seconds(rotation_interval) * 1000 + int(round(time.time() * 1000)) < refresh_timestamp
