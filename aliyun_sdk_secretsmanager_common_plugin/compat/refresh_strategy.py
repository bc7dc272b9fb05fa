"""When a secret is refreshed."""

import random
import time
from typing import Any

from ..access_key import epoch_or_none
from ..secrecy import json_object

_LARGEST_DISTURBANCE = 10 * 60 * 1000


class RefreshSecretStrategy:
    """The base of refresh strategies. Those of ``aliyun-secret-manager-client`` work as well.

    All times are milliseconds, and points in time are milliseconds since the epoch.
    """

    def init(self) -> None:
        """Called once, before the first read."""

    def get_next_execute_time(self, secret_name: str, ttl: float, offset: float) -> float:
        """Return when to refresh a secret for which ``parse_next_execute_time`` gives no time.

        Args:
            secret_name: the secret's name.
            ttl: how long the secret is valid.
            offset: when it was read.
        """
        raise NotImplementedError("a subclass of RefreshSecretStrategy defines get_next_execute_time(...)")

    def parse_next_execute_time(self, cache_secret_info: Any) -> float:
        """Return when to refresh a secret, or 0 or less to let ``get_next_execute_time`` decide."""
        raise NotImplementedError("a subclass of RefreshSecretStrategy defines parse_next_execute_time(...)")

    def parse_ttl(self, secret_info: Any) -> float:
        """Return how long a secret is valid that an earlier process stored; -1 if unknown."""
        raise NotImplementedError("a subclass of RefreshSecretStrategy defines parse_ttl(secret_info)")

    def close(self) -> None:
        """Called at shutdown."""


class RotateAKSecretRefreshSecretStrategy(RefreshSecretStrategy):
    """Refreshes a secret some minutes after its rotation, but not later than after an interval.

    Args:
        rotation_interval: the interval, in milliseconds.
        delay_interval: the time after the rotation, in milliseconds.
    """

    def __init__(self, rotation_interval: float = 21600000, delay_interval: float = 300000) -> None:
        self.rotation_interval = rotation_interval
        self.delay_interval = delay_interval
        # Spreads the refreshes of processes that were started together.
        self.random_disturbance = random.randint(0, _LARGEST_DISTURBANCE)  # nosec B311  # jitter

    def get_next_execute_time(self, secret_name: str, ttl: float, offset: float) -> float:
        """Return the end of ``ttl`` counted from ``offset``, or from now if that has passed.

        Args:
            secret_name: not used.
            ttl: how long the secret is valid, in milliseconds.
            offset: when it was read, in milliseconds since the epoch.
        """
        now = _now()
        return (offset if ttl + offset > now else now) + ttl + self.random_disturbance

    def parse_next_execute_time(self, cache_secret_info: Any) -> float:
        """Return a time after the rotation, or the end of the interval if that is earlier."""
        now = _now()
        rotation = parse_next_rotation_time(cache_secret_info.secret_info)
        interval_ends = now + self.rotation_interval + self.random_disturbance
        if not now < rotation < interval_ends:
            return interval_ends
        return rotation + self.delay_interval + self.random_disturbance

    def parse_ttl(self, secret_info: Any) -> float:
        """Return the rotation interval of a RAM user's AccessKey, or the one in another secret's value, or -1."""
        if _is_ram_user_access_key(secret_info):
            interval, default = secret_info.rotation_interval, self.rotation_interval + self.random_disturbance
        else:
            interval, default = (json_object(secret_info.secret_value) or {}).get("refreshInterval"), -1
        try:
            return seconds(interval) * 1000 + self.random_disturbance
        except (AttributeError, ValueError):  # missing or malformed
            return default


def parse_next_rotation_time(secret_info: Any) -> float:
    """Return when a secret will be rotated, in milliseconds since the epoch; -1 if unknown."""
    rotation = epoch_or_none(secret_info.next_rotation_date)
    if rotation is not None:
        return rotation * 1000
    timestamp: Any = (json_object(secret_info.secret_value) or {}).get("scheduleRotateTimestamp")
    is_date = isinstance(timestamp, (int, float)) and epoch_or_none(timestamp * 1000) is not None
    return timestamp * 1000 if is_date else -1


def seconds(interval: str) -> int:
    """Return the seconds in an interval of Secrets Manager, such as ``604800s``.

    Raises:
        ValueError: it is malformed.
    """
    return int(interval.replace("s", ""))


def _is_ram_user_access_key(secret_info: Any) -> bool:
    if secret_info.secret_type != "RAMCredentials" or secret_info.extended_config is None:
        return False
    return (json_object(secret_info.extended_config) or {}).get("SecretSubType") == "RamUserAccessKey"


def _now() -> int:
    return int(round(time.time() * 1000))
