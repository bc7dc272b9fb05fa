"""A local cloud for applications and tests, on 127.0.0.1.

It has Secrets Manager, RPC and ROA APIs, OSS, and three services that give out credentials: STS, the metadata service
of an ECS instance, and a credentials URI. It checks all signatures.

Example::

    from aliyun_sdk_secretsmanager_testing import Fault, LocalCloud

    with LocalCloud() as cloud:
        cloud.create_secret("app/key")
        cloud.inject("secrets_manager", Fault.status(503))
"""

import importlib
import logging
import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any, List

if TYPE_CHECKING:
    from .access_key import AccessKeyPair
    from .calls import Call
    from .client_key import ClientKeyFile
    from .clock import MovableClock, SystemClock
    from .cloud import LocalCloud
    from .faults import Fault
    from .secrets_manager.state import Secret, SecretVersion

__all__ = ["AccessKeyPair", "Call", "ClientKeyFile", "Fault", "LocalCloud", "MovableClock", "Secret", "SecretVersion",
           "SystemClock"]

_HOMES = {
    "AccessKeyPair": "access_key",
    "Call": "calls",
    "ClientKeyFile": "client_key",
    "Fault": "faults",
    "LocalCloud": "cloud",
    "MovableClock": "clock",
    "Secret": "secrets_manager.state",
    "SecretVersion": "secrets_manager.state",
    "SystemClock": "clock",
}


class _Package(ModuleType):
    """This package. It imports a name when that is first used, since pytest loads the package at every start.

    A function ``__getattr__`` of the module would do the same, but Python 3.6 does not know that.
    """

    def __getattr__(self, name: str) -> Any:
        if name not in _HOMES:
            raise AttributeError("module {!r} has no attribute {!r}".format(__name__, name))
        found = getattr(importlib.import_module("{}.{}".format(__name__, _HOMES[name])), name)
        setattr(self, name, found)
        return found

    def __dir__(self) -> List[str]:
        return sorted(set(super().__dir__()).union(__all__))


sys.modules[__name__].__class__ = _Package
logging.getLogger(__name__).addHandler(logging.NullHandler())
