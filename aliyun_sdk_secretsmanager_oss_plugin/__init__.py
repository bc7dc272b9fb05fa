"""Managed RAM credentials for oss2: ``ProxyBucket`` in place of ``Bucket``."""

import logging

from .managed_credentials_provider import ManagedCredentialsProvider
from .oss_ak_expire_handler import OssAkExpireHandler
from .proxy_bucket import ProxyBucket
from .proxy_crypto_bucket import ProxyCryptoBucket
from .proxy_service import ProxyService

__all__ = ["ManagedCredentialsProvider", "OssAkExpireHandler", "ProxyBucket", "ProxyCryptoBucket", "ProxyService"]

logging.getLogger(__name__).addHandler(logging.NullHandler())
