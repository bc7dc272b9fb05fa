"""A door to ``compat.refresh_strategy``: programs for the existing plugin import from this module."""

from ..compat.refresh_strategy import RotateAKSecretRefreshSecretStrategy, parse_next_rotation_time

__all__ = ["RotateAKSecretRefreshSecretStrategy", "parse_next_rotation_time"]
