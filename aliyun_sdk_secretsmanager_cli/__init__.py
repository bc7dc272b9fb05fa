"""The command ``managed-credentials``: ``init``, ``check``, ``refresh`` and ``demo``."""

from .command import main

__all__ = ["main"]
