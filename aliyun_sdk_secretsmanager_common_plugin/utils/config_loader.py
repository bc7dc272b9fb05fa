"""The documented path of ConfigLoader."""

from ..settings import ConfigLoader

__all__ = ["ConfigLoader"]
