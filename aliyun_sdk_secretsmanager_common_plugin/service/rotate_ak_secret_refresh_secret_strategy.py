"""The old path of RotateAKSecretRefreshSecretStrategy and parse_next_rotation_time."""

from ..refresh_strategy import RotateAKSecretRefreshSecretStrategy, parse_next_rotation_time

__all__ = ["RotateAKSecretRefreshSecretStrategy", "parse_next_rotation_time"]
