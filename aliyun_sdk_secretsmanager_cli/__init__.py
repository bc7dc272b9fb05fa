"""The command ``managed-credentials``: ``check`` tries a configuration, ``demo`` shows a rotation under load."""

from .command import main

__all__ = ["main"]
