"""When a secret is read again."""

import json
import random
import time
from typing import Any

from .plugin_credentials import milliseconds

_LARGEST_DISTURBANCE = 10 * 60 * 1000


class RefreshSecretStrategy:
    """The base of strategies; those of ``aliyun-secret-manager-client`` do as well. All times are milliseconds."""

    def init(self) -> None:
        """Called once, before the first read."""

    def get_next_execute_time(self, secret_name: str, ttl: float, offset: float) -> float:
        """Return when to read a secret again that does not say so, since the epoch.

        Args:
            secret_name: the secret.
            ttl: how long it is kept.
            offset: when it was read, since the epoch.
        """
        raise NotImplementedError("a subclass of RefreshSecretStrategy defines get_next_execute_time(...)")

    def parse_next_execute_time(self, cache_secret_info: Any) -> float:
        """Return when to read a secret again, since the epoch; nothing above 0 asks ``get_next_execute_time``."""
        raise NotImplementedError("a subclass of RefreshSecretStrategy defines parse_next_execute_time(...)")

    def parse_ttl(self, secret_info: Any) -> float:
        """Return how long a secret is good that the store strategy kept from an earlier process; -1 if unknown."""
        raise NotImplementedError("a subclass of RefreshSecretStrategy defines parse_ttl(secret_info)")

    def close(self) -> None:
        """Called at shutdown."""


class RotateAKSecretRefreshSecretStrategy(RefreshSecretStrategy):
    """Reads a secret again some minutes after its rotation, and after an interval at the latest.

    Args:
        rotation_interval: that interval, in milliseconds.
        delay_interval: how long after the rotation, in milliseconds.
    """

    def __init__(self, rotation_interval: float = 21600000, delay_interval: float = 300000) -> None:
        self.rotation_interval = rotation_interval
        self.delay_interval = delay_interval
        # So that a fleet that was started together does not ask together.
        self.random_disturbance = random.randint(0, _LARGEST_DISTURBANCE)  # nosec B311  # jitter

    def get_next_execute_time(self, secret_name: str, ttl: float, offset: float) -> float:
        """Return the end of ``ttl``, counted from ``offset``, or from now where that is over."""
        now = _now()
        return (offset if ttl + offset > now else now) + ttl + self.random_disturbance

    def parse_next_execute_time(self, cache_secret_info: Any) -> float:
        """Return the time after the rotation, or the end of the interval where that comes first."""
        now = _now()
        rotation = parse_next_rotation_time(cache_secret_info.secret_info)
        interval_ends = now + self.rotation_interval + self.random_disturbance
        if not now < rotation < interval_ends:
            return interval_ends
        return rotation + self.delay_interval + self.random_disturbance

    def parse_ttl(self, secret_info: Any) -> float:
        """Return the rotation interval of an AccessKey of a RAM user, or what the secret's value says, else -1."""
        if _is_ram_user_access_key(secret_info):
            if not secret_info.rotation_interval:
                return self.rotation_interval + self.random_disturbance
            return seconds(secret_info.rotation_interval) * 1000 + self.random_disturbance
        interval = json.loads(secret_info.secret_value).get("refreshInterval")
        return seconds(interval) * 1000 + self.random_disturbance if interval else -1


def parse_next_rotation_time(secret_info: Any) -> float:
    """Return when a secret will be rotated, in milliseconds since the epoch, -1 if nobody says."""
    if secret_info.next_rotation_date:
        return milliseconds(secret_info.next_rotation_date)
    timestamp = json.loads(secret_info.secret_value).get("scheduleRotateTimestamp")
    return -1 if timestamp is None else timestamp * 1000


def seconds(interval: str) -> int:
    """Return the seconds in an interval of Secrets Manager, such as ``604800s``.

    Raises:
        ValueError: it is none.
    """
    return int(interval.replace("s", ""))


def _is_ram_user_access_key(secret_info: Any) -> bool:
    if secret_info.secret_type != "RAMCredentials" or secret_info.extended_config is None:
        return False
    return bool(json.loads(secret_info.extended_config).get("SecretSubType") == "RamUserAccessKey")


def _now() -> int:
    return int(round(time.time() * 1000))
