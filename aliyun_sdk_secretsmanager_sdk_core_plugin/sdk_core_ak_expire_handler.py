"""A door to ``errors``: programs for the existing plugin import from this module."""

from .errors import SdkCoreAKExpireHandler

__all__ = ["SdkCoreAKExpireHandler"]
