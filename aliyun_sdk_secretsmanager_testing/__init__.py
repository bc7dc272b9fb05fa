"""A local cloud for applications and tests: Secrets Manager, RPC and ROA APIs, OSS, and what gives out identities (STS,
instance metadata, a credentials URI), all on 127.0.0.1, signatures checked.

Example::

    from aliyun_sdk_secretsmanager_testing import Fault, LocalCloud

    with LocalCloud() as cloud:
        cloud.create_secret("app/key")
        cloud.inject("secrets_manager", Fault.status(503))
"""

import logging

from .access_key import AccessKeyPair
from .calls import Call
from .client_key import ClientKeyFile
from .clock import MovableClock, SystemClock
from .cloud import LocalCloud
from .faults import Fault
from .secrets_manager.state import Secret, SecretVersion

__all__ = ["AccessKeyPair", "Call", "ClientKeyFile", "Fault", "LocalCloud", "MovableClock", "Secret", "SecretVersion",
           "SystemClock"]

logging.getLogger(__name__).addHandler(logging.NullHandler())
