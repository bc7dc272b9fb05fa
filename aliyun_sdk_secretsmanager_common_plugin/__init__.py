"""Managed RAM credentials of Secrets Manager, for the plugins and programs that use Alibaba Cloud SDKs."""

import logging

from .access_key import AccessKey
from .ak_expire_handler import AKExpireHandler
from .default_ak_expire_handler import DefaultAKExpireHandler
from .exceptions import ConfigurationError, ManagedCredentialsError, ReplayError, SecretFormatError
from .keeper import SecretStats, SharedStoreStats
from .lease import Lease
from .managed_credentials import ManagedCredentials
from .rotation_events import handle_rotation_event
from .settings import ConfigLoader
from .sockets import fresh_sockets
from .version import __version__

__all__ = [
    "AKExpireHandler",
    "AccessKey",
    "ConfigLoader",
    "ConfigurationError",
    "DefaultAKExpireHandler",
    "Lease",
    "ManagedCredentials",
    "ManagedCredentialsError",
    "ReplayError",
    "SecretFormatError",
    "SecretStats",
    "SharedStoreStats",
    "__version__",
    "fresh_sockets",
    "handle_rotation_event",
]

logging.getLogger(__name__).addHandler(logging.NullHandler())
