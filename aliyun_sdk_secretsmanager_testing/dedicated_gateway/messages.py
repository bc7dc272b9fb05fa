"""The messages of a dedicated gateway, in the wire format of Protocol Buffers.

https://protobuf.dev/programming-guides/encoding/
"""
from typing import Any, Dict, Iterator, List, Tuple, Union

_VARINT, _FIXED64, _LENGTH, _FIXED32 = 0, 1, 2, 5

# The names of the fields in the order of their numbers, from 1 on.
REQUEST = ("SecretName", "VersionStage", "VersionId", "FetchExtendedConfig")
RESPONSE = ("SecretName", "SecretType", "SecretData", "SecretDataType", "VersionStages", "VersionId", "CreateTime",
            "RequestId", "LastRotationDate", "NextRotationDate", "ExtendedConfig", "AutomaticRotation",
            "RotationInterval")
ERROR = ("StatusCode", "ErrorCode", "ErrorMessage", "RequestId")


def encode(fields: Tuple[str, ...], values: Dict[str, Any]) -> bytes:
    """Return a message.

    Args:
        fields: the names of its fields in the order of their numbers.
        values: the values by name: text, whole numbers of 0 or more, or lists of these.
    """
    message = b""
    for number, name in enumerate(fields, 1):
        given = values.get(name, [])
        for value in given if isinstance(given, list) else [given]:
            if isinstance(value, int):
                message += _varint(number << 3 | _VARINT) + _varint(value)
            else:
                raw = value.encode("utf-8")
                message += _varint(number << 3 | _LENGTH) + _varint(len(raw)) + raw
    return message


def decode_request(message: bytes) -> Dict[str, Any]:
    """Return the fields of a ``GetSecretValueRequest`` by name; unknown fields are ignored.

    Raises:
        ValueError: the message is malformed.
    """
    found: Dict[str, Any] = dict(zip(REQUEST, ("", "", "", False)))
    for number, value in _fields(message):
        if 1 <= number <= len(REQUEST):
            name = REQUEST[number - 1]
            if isinstance(value, int) != isinstance(found[name], bool):
                raise ValueError("{} is of another type".format(name))
            found[name] = bool(value) if isinstance(value, int) else value.decode("utf-8")
    return found


def _fields(message: bytes) -> Iterator[Tuple[int, Union[int, bytes]]]:
    at = 0
    while at < len(message):
        tag, at = _read_varint(message, at)
        kind = tag & 7
        if kind == _VARINT:
            value, at = _read_varint(message, at)
            yield tag >> 3, value
            continue
        if kind == _LENGTH:
            size, at = _read_varint(message, at)
        elif kind in (_FIXED32, _FIXED64):
            size = 4 if kind == _FIXED32 else 8
        else:
            raise ValueError("there is no wire type {}".format(kind))
        if at + size > len(message):
            raise ValueError("the message ends early")
        yield tag >> 3, message[at:at + size]
        at += size


def _read_varint(message: bytes, at: int) -> Tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        if at >= len(message):
            raise ValueError("the message ends early")
        value |= (message[at] & 0x7F) << shift
        at += 1
        if message[at - 1] < 0x80:
            return value, at
    raise ValueError("a number is too long")


def _varint(value: int) -> bytes:
    encoded: List[int] = []
    while value > 0x7F:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes(encoded + [value])
