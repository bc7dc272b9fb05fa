"""Id and secret in a secret's value, as plugins of their own read them, and a secret made of them."""

import json
import sys
import time
import uuid
from typing import Any, Optional

from .access_key import DATE, epoch
from .exceptions import SecretFormatError
from .secrecy import json_object, mask_access_key_id
from .secret_info import SecretInfo

_DAY = 24 * 60 * 60
_NO_TIMESTAMP = -1


class SecretsManagerPluginCredentials:
    """An AccessKey, its times in milliseconds since the epoch; the secret is never in ``repr``.

    Args:
        access_key_id: the id.
        access_key_secret: the secret.
        expire_timestamp: when it ends, -1 if it does not.
        generate_timestamp: when it was made.

    Raises:
        ValueError: the id or the secret is empty.
    """

    def __init__(
        self,
        access_key_id: str,
        access_key_secret: str,
        expire_timestamp: float,
        generate_timestamp: float = sys.maxsize,
    ) -> None:
        if not access_key_id:
            raise ValueError("access_key_id is empty; give the id of an AccessKey")
        if not access_key_secret:
            raise ValueError("access_key_secret is empty; give the secret of the AccessKey")
        self.access_key_id = access_key_id
        self.access_key_secret = access_key_secret
        self.expire_timestamp = expire_timestamp
        self.generate_timestamp = generate_timestamp

    def __repr__(self) -> str:
        return "SecretsManagerPluginCredentials({})".format(mask_access_key_id(self.access_key_id))


def generate_credentials_by_secret(secret_data: Optional[str]) -> SecretsManagerPluginCredentials:
    """Return the AccessKey in a secret's value.

    Args:
        secret_data: ``{"AccessKeyId", "AccessKeySecret"[, "ExpireTimestamp", "GenerateTimestamp"]}``, a JSON text, with
            dates or milliseconds.

    Raises:
        SecretFormatError: it is empty, no JSON object, or lacks a key; the message does not show it.
        ValueError: a time is none.
    """
    if not secret_data:
        raise SecretFormatError("the secret's value is empty; give the value of a managed RAM credential")
    data = json_object(secret_data)
    if data is None or "AccessKeyId" not in data or "AccessKeySecret" not in data:
        raise SecretFormatError(
            'the secret\'s value is no JSON object with AccessKeyId and AccessKeySecret; give that of a managed RAM '
            "credential"
        )
    expire_timestamp, generate_timestamp = (
        default if data.get(field) is None else _milliseconds_of(data[field])
        for field, default in (("ExpireTimestamp", _NO_TIMESTAMP), ("GenerateTimestamp", sys.maxsize))
    )
    return SecretsManagerPluginCredentials(
        data["AccessKeyId"], data["AccessKeySecret"], expire_timestamp, generate_timestamp
    )


def generate_secret_info_by_credentials(secretsmanager_credentials: Any, secret_name: str) -> SecretInfo:
    """Return a secret of an AccessKey, as if made now and to be rotated in a day, such as for a recovery strategy.

    Args:
        secretsmanager_credentials: what has an ``access_key_id`` and an ``access_key_secret``.
        secret_name: its name.

    Raises:
        ValueError: there are no credentials.
    """
    if secretsmanager_credentials is None:
        raise ValueError("secretsmanager_credentials is None; give SecretsManagerPluginCredentials")
    now = time.time()
    return SecretInfo(
        secret_name=secret_name,
        version_id=uuid.uuid4(),
        secret_value=json.dumps({
            "AccessKeyId": secretsmanager_credentials.access_key_id,
            "AccessKeySecret": secretsmanager_credentials.access_key_secret,
        }),
        secret_data_type="text",
        create_time=time.strftime(DATE, time.gmtime(now)),
        secret_type="RAMCredentials",
        automatic_rotation="Enabled",
        extended_config="",
        rotation_interval="{}s".format(_DAY),
        next_rotation_date=time.strftime(DATE, time.gmtime(now + _DAY)),
    )


def _milliseconds_of(timestamp: Any) -> float:
    if isinstance(timestamp, (int, float)) and not isinstance(timestamp, bool):
        return timestamp
    return milliseconds(str(timestamp))


def milliseconds(date: str) -> float:
    """Return a date of Secrets Manager in milliseconds since the epoch.

    Raises:
        ValueError: it is none.
    """
    return epoch(date) * 1000.0
