"""A door to ``client``: programs for the existing plugin import from this module."""

from .client import ProxyAcsClient, ProxyDefaultSdkCoreClient

__all__ = ["ProxyAcsClient", "ProxyDefaultSdkCoreClient"]
