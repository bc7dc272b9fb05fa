"""A door to ``client``: programs for the existing plugin import from this module."""

from .client import ProxyBucket

__all__ = ["ProxyBucket"]
