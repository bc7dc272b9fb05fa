"""Managed RAM credentials for alibabacloud-oss-v2: ``managed(Client)`` in place of ``Client``."""

import logging

from .managed_client import ManagedAsyncClient, ManagedClient, managed
from .managed_credentials_provider import ManagedCredentialsProvider
from .oss_v2_ak_expire_handler import OssV2AkExpireHandler

__all__ = ["ManagedAsyncClient", "ManagedClient", "ManagedCredentialsProvider", "OssV2AkExpireHandler", "managed"]

logging.getLogger(__name__).addHandler(logging.NullHandler())
