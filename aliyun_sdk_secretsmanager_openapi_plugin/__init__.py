"""Managed RAM credentials for the V2.0 SDKs (alibabacloud-tea-openapi): ``managed(Client)`` in place of ``Client``."""

import logging

from aliyun_sdk_secretsmanager_common_plugin.plugin_kit import extra

with extra("openapi", __name__, python=(3, 8)):
    from .client import ManagedClient, managed
    from .errors import OpenApiAkExpireHandler
    from .provider import ManagedCredentialsProvider

__all__ = ["ManagedClient", "ManagedCredentialsProvider", "OpenApiAkExpireHandler", "managed"]

logging.getLogger(__name__).addHandler(logging.NullHandler())
