"""Managed RAM credentials for aliyun-python-sdk-core: ``ProxyAcsClient`` in place of ``AcsClient``."""

import logging

from .client import ProxyAcsClient
from .errors import SdkCoreAKExpireHandler

__all__ = ["ProxyAcsClient", "SdkCoreAKExpireHandler"]

logging.getLogger(__name__).addHandler(logging.NullHandler())
