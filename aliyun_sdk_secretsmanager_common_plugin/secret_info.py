"""An answer of GetSecretValue as an object. The names are those of ``aliyun-secret-manager-client``."""

import sys
from typing import Any, Dict, Mapping, Optional

# The field of the answer (KMS API 2016-01-20, GetSecretValue) by attribute.
_FIELDS = {
    "version_id": "VersionId",
    "secret_value": "SecretData",
    "secret_data_type": "SecretDataType",
    "create_time": "CreateTime",
    "secret_type": "SecretType",
    "automatic_rotation": "AutomaticRotation",
    "extended_config": "ExtendedConfig",
    "rotation_interval": "RotationInterval",
    "next_rotation_date": "NextRotationDate",
}
# Values that many secrets share. They are interned, so that thousands of secrets hold each value once.
_WORDS = ("secret_data_type", "secret_type", "automatic_rotation", "rotation_interval")


class SecretInfo:
    """One version of a secret. The arguments are the attributes. ``repr`` does not show ``secret_value``."""

    def __init__(
        self,
        secret_name: Optional[str] = None,
        version_id: Any = None,
        secret_value: Optional[str] = None,
        secret_data_type: Optional[str] = None,
        create_time: Optional[str] = None,
        secret_type: Optional[str] = None,
        automatic_rotation: Optional[str] = None,
        extended_config: Optional[str] = None,
        rotation_interval: Optional[str] = None,
        next_rotation_date: Optional[str] = None,
        secret_value_byte_buffer: Optional[bytes] = None,
    ) -> None:
        self.secret_name = secret_name
        self.version_id = version_id
        self.secret_value = secret_value
        self.secret_data_type = secret_data_type
        self.create_time = create_time
        self.secret_type = secret_type
        self.automatic_rotation = automatic_rotation
        self.extended_config = extended_config
        self.rotation_interval = rotation_interval
        self.next_rotation_date = next_rotation_date
        self.secret_value_byte_buffer = secret_value_byte_buffer

    @classmethod
    def from_answer(cls, secret_name: str, answer: Mapping[str, Any]) -> "SecretInfo":
        """Return the secret in an answer of GetSecretValue.

        Args:
            secret_name: the secret's name.
            answer: the fields of the answer. Those that are not strings are left out.
        """
        values: Dict[str, Any] = {
            attribute: answer[field] for attribute, field in _FIELDS.items() if isinstance(answer.get(field), str)}
        values.update((word, sys.intern(values[word])) for word in _WORDS if type(values.get(word)) is str)
        return cls(secret_name, **values)

    def __eq__(self, other: object) -> bool:
        return vars(self) == vars(other) if isinstance(other, SecretInfo) else NotImplemented

    def __hash__(self) -> int:
        return hash((self.secret_name, self.version_id))

    def __repr__(self) -> str:
        return "SecretInfo({!r}, version_id={!r})".format(self.secret_name, self.version_id)


class CacheSecretInfo:
    """A stored secret. The arguments are the attributes.

    Args:
        stage: the version's stage.
        refresh_time_stamp: when the secret was read, in milliseconds since the epoch.
        secret_info: the secret.
    """

    def __init__(
        self, stage: str = "ACSCurrent", refresh_time_stamp: int = 0, secret_info: Optional[SecretInfo] = None
    ) -> None:
        self.stage = stage
        self.refresh_time_stamp = refresh_time_stamp
        self.secret_info = secret_info

    def __repr__(self) -> str:
        return "CacheSecretInfo({!r}, {!r}, {!r})".format(self.stage, self.refresh_time_stamp, self.secret_info)


def answer_of(secret_info: Any) -> Dict[str, Any]:
    """Return the fields of GetSecretValue's answer for a ``SecretInfo``, this package's or the official client's."""
    return {field: getattr(secret_info, attribute, None) or None for attribute, field in _FIELDS.items()}
