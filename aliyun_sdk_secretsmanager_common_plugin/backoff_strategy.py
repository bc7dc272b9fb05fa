"""A door to ``compat.backoff_strategy``: programs with a loader import from this module."""

from .compat.backoff_strategy import BackoffStrategy, FullJitterBackoffStrategy

__all__ = ["BackoffStrategy", "FullJitterBackoffStrategy"]
