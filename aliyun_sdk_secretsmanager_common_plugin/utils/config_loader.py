"""A door to ``settings``: programs for the existing plugin import from this module."""

from ..settings import ConfigLoader

__all__ = ["ConfigLoader"]
