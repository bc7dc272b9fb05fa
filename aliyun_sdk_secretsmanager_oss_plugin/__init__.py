"""Managed RAM credentials for oss2: ``ProxyBucket`` in place of ``Bucket``."""

import logging

from .oss_ak_expire_handler import OssAkExpireHandler
from .proxy_bucket import ProxyBucket

__all__ = ["OssAkExpireHandler", "ProxyBucket"]

logging.getLogger(__name__).addHandler(logging.NullHandler())
