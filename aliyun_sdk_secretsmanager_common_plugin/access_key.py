"""The secret's value: an immutable AccessKey, parsed from what GetSecretValue answers."""

import calendar
import datetime
import re
from typing import Any, Mapping, Optional

from .exceptions import SecretFormatError
from .secrecy import json_object, mask_access_key_id
from .secret_info import SecretInfo

# Dates of Secrets Manager, in UTC.
DATE = "%Y-%m-%dT%H:%M:%SZ"
_DATE = r"(?a)(\d{4})-(\d\d)-(\d\d)T(\d\d):(\d\d):(\d\d)Z\Z"


class AccessKey:
    """One version of a managed RAM credential. Equal keys sign alike: id, secret and token are compared.

    Attributes:
        access_key_id: the id.
        access_key_secret: the secret; never in ``repr``.
        security_token: the token of temporary credentials, else None; never in ``repr``.
        version_id: Secrets Manager's id of the version, for logs.
        next_rotation: when Secrets Manager will rotate it, in seconds since the epoch, or None.
        expires: when temporary credentials end, in seconds since the epoch, or None.
        secret_info: the secret as Secrets Manager answered it, or None.
    """

    __slots__ = (
        "access_key_id", "access_key_secret", "security_token", "version_id", "next_rotation", "expires", "secret_info"
    )

    access_key_id: str
    access_key_secret: str
    security_token: Optional[str]
    version_id: str
    next_rotation: Optional[float]
    expires: Optional[float]
    secret_info: Optional[SecretInfo]

    def __init__(
        self,
        access_key_id: str,
        access_key_secret: str,
        security_token: Optional[str] = None,
        version_id: str = "",
        next_rotation: Optional[float] = None,
        expires: Optional[float] = None,
        secret_info: Optional[SecretInfo] = None,
    ) -> None:
        values = (access_key_id, access_key_secret, security_token, version_id, next_rotation, expires, secret_info)
        for name, value in zip(self.__slots__, values):
            object.__setattr__(self, name, value)

    def __setattr__(self, name: str, value: Any) -> None:
        raise AttributeError("an AccessKey is immutable")

    def __delattr__(self, name: str) -> None:
        raise AttributeError("an AccessKey is immutable")

    def __eq__(self, other: object) -> bool:
        if self is other:
            return True
        if not isinstance(other, AccessKey):
            return NotImplemented
        return (
            self.access_key_id == other.access_key_id
            and self.access_key_secret == other.access_key_secret
            and self.security_token == other.security_token
        )

    def __hash__(self) -> int:
        return hash(self.access_key_id)

    def __reduce__(self) -> Any:
        return AccessKey, tuple(getattr(self, name) for name in self.__slots__)

    def __repr__(self) -> str:
        return "AccessKey({}, version_id={!r})".format(mask_access_key_id(self.access_key_id), self.version_id)


def parse_secret(secret_name: str, answer: Mapping[str, Any]) -> AccessKey:
    """Return the AccessKey in an answer of GetSecretValue.

    Args:
        secret_name: the secret's name, for messages.
        answer: the answer's fields: ``SecretData``, a JSON text ``{"AccessKeyId", "AccessKeySecret"
            [, "SecurityToken", "ExpireTimestamp"]}``, ``SecretType``, ``VersionId``, ``NextRotationDate``
            (KMS API 2016-01-20, GetSecretValue).

    Raises:
        SecretFormatError: the secret is of another type, is no JSON object, or lacks a key. The message names the
            secret and never shows its value.
    """
    secret_type = answer.get("SecretType")
    if secret_type not in (None, "RAMCredentials"):
        raise SecretFormatError(
            "secret {!r} is of type {!r}; a managed RAM credential (type 'RAMCredentials') is needed: create one in "
            "Secrets Manager and name it instead".format(secret_name, secret_type)
        )
    data = json_object(answer.get("SecretData"))
    if data is None:
        raise SecretFormatError(
            "the value of secret {!r} is no JSON object; a managed RAM credential holds "
            '{{"AccessKeyId": ..., "AccessKeySecret": ...}}: name such a secret'.format(secret_name)
        )
    for field in ("AccessKeyId", "AccessKeySecret"):
        if not isinstance(data.get(field), str) or not data[field].strip():
            raise SecretFormatError(
                "the value of secret {!r} has no {}; a managed RAM credential holds AccessKeyId and "
                "AccessKeySecret: check the secret in Secrets Manager".format(secret_name, field)
            )
    token = data.get("SecurityToken")
    return AccessKey(
        data["AccessKeyId"].strip(),
        data["AccessKeySecret"].strip(),
        token if isinstance(token, str) and token else None,
        str(answer.get("VersionId") or ""),
        _epoch_or_none(answer.get("NextRotationDate")),
        _epoch_or_none(data.get("ExpireTimestamp")),
        SecretInfo.from_answer(secret_name, answer),
    )


def epoch(date: str) -> float:
    """Return a date of Secrets Manager in seconds since the epoch.

    Raises:
        ValueError: it is none.
    """
    # Not by strptime: a child that is forked while a thread holds its lock, the process's only one, would hang.
    fields = re.match(_DATE, date)
    if fields is None:
        raise ValueError("{!r} is no date such as 2026-11-21T10:00:00Z".format(date))
    year, month, day, hour, minute, second = map(int, fields.groups())
    return float(calendar.timegm(datetime.datetime(year, month, day, hour, minute, second).timetuple()))


def _epoch_or_none(date: Any) -> Optional[float]:
    """Return a date of Secrets Manager (UTC text, or milliseconds) in seconds since the epoch, None if it is none."""
    try:
        if isinstance(date, (int, float)) and not isinstance(date, bool):
            return date / 1000.0
        return epoch(date)
    except (TypeError, ValueError, OverflowError):
        return None
