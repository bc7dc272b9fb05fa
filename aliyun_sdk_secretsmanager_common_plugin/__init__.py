"""Managed RAM credentials of Secrets Manager, for the plugins and programs that use Alibaba Cloud SDKs."""

import logging

from .access_key import AccessKey
from .ak_expire_handler import AKExpireHandler
from .default_ak_expire_handler import DefaultAKExpireHandler
from .exceptions import ConfigurationError, ManagedCredentialsError, ReplayError, SecretFormatError
from .keeper import SecretStats
from .lease import Lease
from .managed_credentials import ManagedCredentials
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
    "__version__",
    "fresh_sockets",
]

logging.getLogger(__name__).addHandler(logging.NullHandler())
