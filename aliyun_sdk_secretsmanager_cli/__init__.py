"""The command ``managed-credentials``: ``init``, ``check`` and ``demo``."""

from .command import main

__all__ = ["main"]
