"""Managed RAM credentials for alibabacloud-oss-v2: ``managed(Client)`` in place of ``Client``."""

import logging

from aliyun_sdk_secretsmanager_common_plugin.plugin_kit import extra

with extra("oss-v2", __name__, python=(3, 8)):
    from .client import ManagedAsyncClient, ManagedClient, managed
    from .errors import OssV2AkExpireHandler
    from .provider import ManagedCredentialsProvider

__all__ = ["ManagedAsyncClient", "ManagedClient", "ManagedCredentialsProvider", "OssV2AkExpireHandler", "managed"]

logging.getLogger(__name__).addHandler(logging.NullHandler())
