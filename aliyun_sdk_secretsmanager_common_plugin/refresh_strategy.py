"""A door to ``compat.refresh_strategy``: programs with a loader import from this module."""

from .compat.refresh_strategy import RefreshSecretStrategy, RotateAKSecretRefreshSecretStrategy

__all__ = ["RefreshSecretStrategy", "RotateAKSecretRefreshSecretStrategy"]
