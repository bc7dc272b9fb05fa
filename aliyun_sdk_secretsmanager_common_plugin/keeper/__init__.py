"""What a process holds of each secret, and what it does next: decisions without I/O, threads, locks or a clock."""

from .entry import Renewal, SecretStats, SharedStoreStats
from .events import FIRST_READ, REFRESH, RENEWAL, Now
from .keeper import Keeper

__all__ = ["FIRST_READ", "Keeper", "Now", "REFRESH", "RENEWAL", "Renewal", "SecretStats", "SharedStoreStats"]
