"""Where secrets are kept as they were answered."""

import time
from typing import Any, Dict, Optional

from .refresh_strategy import seconds


class CacheSecretStoreStrategy:
    """The base of strategies; those of ``aliyun-secret-manager-client`` do as well."""

    def init(self) -> None:
        """Called once, before the first read."""

    def store_secret(self, cache_secret_info: Any) -> None:
        """Keep a secret, a ``CacheSecretInfo``; called on every new one."""
        raise NotImplementedError("a subclass of CacheSecretStoreStrategy defines store_secret(cache_secret_info)")

    def get_cache_secret_info(self, secret_name: str) -> Any:
        """Return the ``CacheSecretInfo`` that is kept of a secret, None if there is none.

        One that an earlier process kept serves the first read while it is good.
        """
        raise NotImplementedError("a subclass of CacheSecretStoreStrategy defines get_cache_secret_info(secret_name)")

    def close(self) -> None:
        """Called at shutdown."""


class MonitorCacheSecretStoreStrategy(CacheSecretStoreStrategy):
    """The base of strategies that may read secrets anew."""

    def add_refresh_hook(self, client: Any) -> None:
        """Called once, at the start, with an object that has ``get_secret_info(name)`` and ``refresh_now(name)``."""


class MonitorMemoryCacheSecretStoreStrategy(MonitorCacheSecretStoreStrategy):
    """Keeps secrets in memory.

    Args:
        queue, monitor_period, monitor_customer_period: taken for programs that give them, and not used: secrets are
            always read ahead of their rotation.
    """

    def __init__(self, queue: Any, monitor_period: Any, monitor_customer_period: Any) -> None:
        self.queue = queue
        self.monitor_period = monitor_period
        self.monitor_customer_period = monitor_customer_period
        self.cache_map: Dict[str, Any] = {}

    def add_refresh_hook(self, secret_cache_client: Any) -> None:
        """Do nothing: secrets are always read ahead of their rotation."""

    def store_secret(self, cache_secret_info: Any) -> None:
        """Keep a secret."""
        self.cache_map[cache_secret_info.secret_info.secret_name] = cache_secret_info

    def get_cache_secret_info(self, secret_name: str) -> Any:
        """Return what is kept of a secret, None if there is nothing."""
        return self.cache_map.get(secret_name)

    def close(self) -> None:
        """Forget all."""
        self.cache_map.clear()


def judge_secret_expired(rotation_interval: Optional[str], refresh_timestamp: float) -> bool:
    """Return whether ``refresh_timestamp`` is further off than the rotation interval.

    Args:
        rotation_interval: such as ``604800s``.
        refresh_timestamp: in milliseconds since the epoch.

    Raises:
        ValueError: the interval is none.
    """
    if not rotation_interval:
        raise ValueError("rotation_interval is {!r}; give one such as '604800s'".format(rotation_interval))
    return seconds(rotation_interval) * 1000 + int(round(time.time() * 1000)) < refresh_timestamp
