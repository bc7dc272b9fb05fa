"""The immutable AccessKey that requests are signed with, and how it is parsed from an answer of GetSecretValue."""

import calendar
import datetime
import re
from typing import Any, Mapping, Optional

from .exceptions import ConfigurationError, SecretFormatError
from .secrecy import is_access_key_id, json_object, mask_access_key_id
from .secret_info import SecretInfo

# The format of dates in Secrets Manager, which are UTC.
DATE = "%Y-%m-%dT%H:%M:%SZ"
_DATE = r"(?a)(\d{4})-(\d\d)-(\d\d)T(\d\d):(\d\d):(\d\d)Z\Z"
# Dates outside of 2009, when Alibaba Cloud was founded, to the year 10000 are ignored.
_EARLIEST, _LATEST = 1230768000.0, 253402300800.0
# Characters around a value that were probably copied with it by mistake.
_BLANKS = " \t\r\n"
# A secret type that a message may show. Anything else may be sensitive.
_TYPE = r"[A-Za-z]{0,20}\Z"


class AccessKey:
    """One version of a managed RAM credential. Keys with the same id, secret and token are equal.

    ``repr`` shows neither secret nor token.

    Attributes:
        security_token: the token of temporary credentials, or None.
        version_id: Secrets Manager's id of the version, for logs.
        next_rotation: when Secrets Manager will rotate the secret, in seconds since the epoch, or None.
        expires: when temporary credentials expire, in seconds since the epoch, or None.
        secret_info: the answer of Secrets Manager that the key was parsed from, or None.
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
        answer: the fields ``SecretData``, ``SecretType``, ``VersionId`` and ``NextRotationDate`` (KMS API 2016-01-20,
            GetSecretValue). ``SecretData`` is the JSON text of an object with ``AccessKeyId`` and ``AccessKeySecret``,
            and perhaps ``SecurityToken`` and ``ExpireTimestamp``.

    Raises:
        SecretFormatError: the secret is of another type, is no JSON object, lacks a field, or has one that no request
            can be signed with. The message never shows a value.
    """
    data = _data_of(secret_name, answer)
    parts = {}
    for field in ("AccessKeyId", "AccessKeySecret", "SecurityToken"):
        text = data.get(field)
        parts[field] = text.strip(_BLANKS) if isinstance(text, str) else ""
        if not parts[field] and field != "SecurityToken":
            raise SecretFormatError(
                "the value of secret {!r} has no {}; a managed RAM credential holds AccessKeyId and "
                "AccessKeySecret: check the secret in Secrets Manager".format(secret_name, field)
            )
        if not can_be_sent(parts[field]):
            raise SecretFormatError(
                "the {} in the value of secret {!r} has a line end, another control character, or one that is not "
                "ASCII, so that no request can be signed with it: check the secret in Secrets Manager".format(
                    field, secret_name)
            )
    secret_info = SecretInfo.from_answer(secret_name, answer)
    return AccessKey(
        parts["AccessKeyId"],
        parts["AccessKeySecret"],
        parts["SecurityToken"] or None,
        secret_info.version_id or "",
        epoch_or_none(secret_info.next_rotation_date),
        epoch_or_none(data.get("ExpireTimestamp")),
        secret_info,
    )


def _data_of(secret_name: str, answer: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the object in the value of a managed RAM credential."""
    secret_type = answer.get("SecretType")
    if secret_type not in (None, "RAMCredentials"):
        shown = isinstance(secret_type, str) and re.match(_TYPE, secret_type)
        raise SecretFormatError(
            "secret {!r} is of {}; a managed RAM credential (type 'RAMCredentials') is needed: create one in "
            "Secrets Manager and name it instead".format(
                secret_name, "type {!r}".format(secret_type) if shown else "another type")
        )
    data = json_object(answer.get("SecretData"))
    if data is None:
        raise SecretFormatError(
            "the value of secret {!r} is no JSON object; a managed RAM credential holds "
            '{{"AccessKeyId": ..., "AccessKeySecret": ...}}: name such a secret'.format(secret_name)
        )
    return data


def check_secret_name(secret_name: Any) -> None:
    """Check that a value can be the name of a secret.

    Raises:
        ConfigurationError: it is not a string, is empty, has no UTF-8, or is the id of an AccessKey.
    """
    if not isinstance(secret_name, str):
        raise ConfigurationError("secret_name is of type {}; give the name of a secret in Secrets Manager".format(
            type(secret_name).__name__))
    if not secret_name.strip():
        raise ConfigurationError("secret_name is empty; give the name of a secret in Secrets Manager")
    try:
        secret_name.encode("utf-8")
    except UnicodeEncodeError:
        raise ConfigurationError("secret_name is {}, which was not decoded as UTF-8; give the name of a secret in "
                                 "Secrets Manager".format(ascii(secret_name))) from None
    if is_access_key_id(secret_name.strip()):
        raise ConfigurationError("{} is the id of an AccessKey; give the name of the secret in Secrets Manager that "
                                 "holds the AccessKey".format(mask_access_key_id(secret_name.strip())))


def is_secret_name(value: Any) -> bool:
    """Return whether a value can be the name of a secret, as ``check_secret_name`` checks it."""
    try:
        check_secret_name(value)
    except ConfigurationError:
        return False
    return True


def can_be_sent(text: str) -> bool:
    """Return whether ``text`` may be part of a header: it is ASCII without control characters."""
    return re.match(r"[ -~]*\Z", text) is not None


def epoch(date: str) -> float:
    """Return a date of Secrets Manager in seconds since the epoch.

    Raises:
        ValueError: it is not such a date.
    """
    # strptime takes a lock of the process: a child that was forked while a thread held it would hang.
    fields = re.match(_DATE, date)
    if fields is None:
        raise ValueError("{!r} is no date such as 2026-11-21T10:00:00Z".format(date))
    year, month, day, hour, minute, second = map(int, fields.groups())
    return float(calendar.timegm(datetime.datetime(year, month, day, hour, minute, second).timetuple()))


def epoch_or_none(date: Any) -> Optional[float]:
    """Return a date of Secrets Manager, a UTC text or milliseconds, in seconds since the epoch; None if invalid."""
    try:
        seconds = date / 1000.0 if isinstance(date, (int, float)) else epoch(date)
    except (TypeError, ValueError, OverflowError):
        return None
    return seconds if _EARLIEST <= seconds < _LATEST else None  # False for NaN and True
