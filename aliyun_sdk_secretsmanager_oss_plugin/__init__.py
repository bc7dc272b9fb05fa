"""Managed RAM credentials for oss2: ``ProxyBucket`` in place of ``Bucket``."""

import logging

from aliyun_sdk_secretsmanager_common_plugin.plugin_kit import extra

with extra("oss", __name__):
    from .client import ProxyBucket, ProxyCryptoBucket, ProxyService
    from .errors import OssAkExpireHandler
    from .provider import ManagedCredentialsProvider

__all__ = ["ManagedCredentialsProvider", "OssAkExpireHandler", "ProxyBucket", "ProxyCryptoBucket", "ProxyService"]

logging.getLogger(__name__).addHandler(logging.NullHandler())
