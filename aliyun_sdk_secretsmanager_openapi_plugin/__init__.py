"""Managed RAM credentials for the V2.0 SDKs (alibabacloud-tea-openapi): ``managed(Client)`` in place of ``Client``."""

import logging

from .managed_client import ManagedClient, managed
from .managed_credentials_provider import ManagedCredentialsProvider
from .openapi_ak_expire_handler import OpenApiAkExpireHandler

__all__ = ["ManagedClient", "ManagedCredentialsProvider", "OpenApiAkExpireHandler", "managed"]

logging.getLogger(__name__).addHandler(logging.NullHandler())
