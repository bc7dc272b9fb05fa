"""Managed RAM credentials for aliyun-python-sdk-core: ``ProxyAcsClient`` in place of ``AcsClient``."""

import logging

from .proxy_acs_client import ProxyAcsClient
from .sdk_core_ak_expire_handler import SdkCoreAKExpireHandler

__all__ = ["ProxyAcsClient", "SdkCoreAKExpireHandler"]

logging.getLogger(__name__).addHandler(logging.NullHandler())
