"""Events that Alibaba Cloud sends when Secrets Manager has rotated a secret: the secret is read again at once."""

import re
from typing import Any, List, Mapping, Optional, Union

from aliyunsdkcore.acs_exception.exceptions import ClientException, ServerException

from . import runtime
from .access_key import is_secret_name
from .exceptions import ManagedCredentialsError
from .managed_credentials import ManagedCredentials
from .runtime import Account
from .secrecy import json_object, log_fields, logger_of

logger = logger_of(__name__)

# The types of EventBridge, and the names of CloudMonitor.
SUCCESS = ("kms:CloudMonitor:Secret[RotateSecret:Success]", "Secret:RotateSecret:Success")
FAILURE = ("kms:CloudMonitor:Secret[RotateSecret:Failure]", "Secret:RotateSecret:Failure")

# EventBridge sends no larger event. An ARN has at most some 100 characters beside the name of the secret.
MOST_BYTES = 64 * 1024
LONGEST_NAME = 256
# A blank comes first in an example of Alibaba Cloud.
_ARN_OF_SECRET = r" *acs:kms:[^:]*:[^:]*:secret/."


def handle_rotation_event(event: Union[bytes, str, Mapping[str, Any]]) -> List[str]:
    """Read the secret that an event says was rotated: the new key is there before a service rejects the old one.

    The secret is read from Secrets Manager by each ``ManagedCredentials`` of the process that holds it, under its name
    or its ARN. If none holds it, each one reads it. If there is none, ``ManagedCredentials.default()`` does. Nothing in
    the event is believed: all that happens is a read of a secret of this name.

    This waits for Secrets Manager, so a task of asyncio calls it in an executor.

    Args:
        event: the event of EventBridge or CloudMonitor: the JSON text, its bytes, or the object in it.

    Returns:
        The names of the secrets that were read. It is empty if the read failed, if another thread is reading the secret
        just then, if the secret was read without result ten times in ten seconds, if the rotation failed, or if the
        event is about something else. A warning says that a read or a rotation failed.

    Raises:
        ValueError: the event is no JSON object, is larger than 64 KiB, or says that a secret was rotated without its
            name.
        ConfigurationError: there is no ``ManagedCredentials``, and the default one cannot be made.

    Example::

        handle_rotation_event(request.get_data())
    """
    outer = _object_in(event)
    if outer is None:
        raise ValueError("the event is no JSON object of at most {} bytes; send the whole event of EventBridge or "
                         "CloudMonitor".format(MOST_BYTES))
    inner = _object_in(outer.get("data")) or {}
    kinds = [outer.get("type"), outer.get("name"), inner.get("name")]
    names = _names_in(outer, inner)
    if any(kind in FAILURE for kind in kinds):
        logger.warning("the rotation of secret %r failed, and its key stays; the KMS console says why",
                       names[0] if names else "(without a name)", extra=log_fields(names[0] if names else ""))
        return []
    if not any(kind in SUCCESS for kind in kinds):
        return []
    if not names:
        raise ValueError("the event says that a secret was rotated, but names none: neither secretName nor resourceId "
                         "nor subject has the name or ARN of a secret")
    return _refresh(names)


def _object_in(value: Any) -> Optional[Mapping[str, Any]]:
    """Return an object, or the one in a JSON text of reasonable length; None if there is none."""
    if isinstance(value, Mapping):
        return value
    return json_object(value) if isinstance(value, (bytes, str)) and len(value) <= MOST_BYTES else None


def _names_in(outer: Mapping[str, Any], inner: Mapping[str, Any]) -> List[str]:
    """Return the names under which the program may know the secret, the plain one first."""
    content = _object_in(inner.get("content")) or _object_in(outer.get("content")) or {}
    places = (inner.get("resourceId"), outer.get("resourceId"), outer.get("subject"))
    arns = [arn.strip() for arn in places if isinstance(arn, str) and re.match(_ARN_OF_SECRET, arn)]
    names: List[Any] = [content.get("secretName")] + [arn.partition(":secret/")[2] for arn in arns] + arns
    return list(dict.fromkeys(name for name in names if _is_name(name)))


def _is_name(name: Any) -> bool:
    return is_secret_name(name) and len(name) <= LONGEST_NAME and name.isprintable()


def _refresh(names: List[str]) -> List[str]:
    """Read a secret in each configuration that holds it, else in all; return the names under which it was read."""
    process = runtime.process
    process.check_process()
    if not process.accounts():
        ManagedCredentials.default()
    accounts = process.accounts()
    held = [(account, name) for account in accounts for name in names if account.held_key(name) is not None]
    chosen = held or [(account, names[0]) for account in accounts]
    return list(dict.fromkeys(name for account, name in chosen if _is_read(account, name)))


def _is_read(account: Account, name: str) -> bool:
    try:
        return account.refresh(name)
    except (ServerException, ClientException, ManagedCredentialsError) as error:  # of a secret that is not held
        logger.warning("secret %r was rotated, but cannot be read: %s", name, error,
                       extra=log_fields(name, error=error))
        return False
