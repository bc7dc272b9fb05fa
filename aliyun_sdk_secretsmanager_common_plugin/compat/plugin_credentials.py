"""An AccessKey parsed from a secret's value, and a secret made of an AccessKey, as other plugins use them."""

import json
import sys
import time
import uuid
from typing import Any, Optional

from ..access_key import DATE, can_be_sent, epoch
from ..exceptions import SecretFormatError
from ..secrecy import json_object, mask_access_key_id
from ..secret_info import SecretInfo

_DAY = 24 * 60 * 60
_NO_TIMESTAMP = -1


class SecretsManagerPluginCredentials:
    """An AccessKey with times in milliseconds since the epoch. ``repr`` does not show the secret.

    Args:
        access_key_id: the id.
        access_key_secret: the secret.
        expire_timestamp: when the key expires; -1 for never.
        generate_timestamp: when the key was created.

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
        secret_data: the JSON text of an object with ``AccessKeyId`` and ``AccessKeySecret``, and perhaps
            ``ExpireTimestamp`` and ``GenerateTimestamp``, each a date or milliseconds.

    Raises:
        SecretFormatError: it is empty, is no JSON object, lacks a field, or has one that no request can be signed with.
            The message never shows a value.
        ValueError: a time is neither a date nor milliseconds.
    """
    if not secret_data:
        raise SecretFormatError("the secret's value is empty; give the value of a managed RAM credential")
    data = json_object(secret_data)
    if data is None or "AccessKeyId" not in data or "AccessKeySecret" not in data:
        raise SecretFormatError(
            'the secret\'s value is no JSON object with AccessKeyId and AccessKeySecret; give that of a managed RAM '
            "credential"
        )
    for field in ("AccessKeyId", "AccessKeySecret"):
        if not isinstance(data[field], str) or not can_be_sent(data[field]):
            raise SecretFormatError(
                "the {} in the secret's value is no text, or has a line end, another control character, or one that is "
                "not ASCII; check the secret in Secrets Manager".format(field)
            )
    expire_timestamp, generate_timestamp = (
        default if data.get(field) is None else _milliseconds_of(data[field])
        for field, default in (("ExpireTimestamp", _NO_TIMESTAMP), ("GenerateTimestamp", sys.maxsize))
    )
    return SecretsManagerPluginCredentials(
        data["AccessKeyId"], data["AccessKeySecret"], expire_timestamp, generate_timestamp
    )


def generate_secret_info_by_credentials(secretsmanager_credentials: Any, secret_name: str) -> SecretInfo:
    """Return a secret with an AccessKey, for example for a recovery strategy.

    The secret looks as if it had been created now and would be rotated in a day.

    Args:
        secretsmanager_credentials: an object with ``access_key_id`` and ``access_key_secret``.
        secret_name: the secret's name.

    Raises:
        ValueError: there are no credentials.
    """
    if secretsmanager_credentials is None:
        raise ValueError("secretsmanager_credentials is None; give SecretsManagerPluginCredentials")
    now = time.time()
    return SecretInfo(
        secret_name=secret_name,
        version_id=str(uuid.uuid4()),
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
    return epoch(str(timestamp)) * 1000.0
