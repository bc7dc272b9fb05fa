"""The part of the Protocol Buffers wire format that the dedicated gateway needs: strings and booleans.

https://protobuf.dev/programming-guides/encoding
"""

from typing import Dict, Iterable, Iterator, List, Mapping, Tuple, Union

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5  # wire types


def encode(fields: Mapping[int, Union[str, bool]]) -> bytes:
    """Return a message of ``fields``, by field number. Empty strings and False are defaults, and are left out."""
    message = b""
    for number, value in sorted(fields.items()):
        if value is True:
            message += _varint(number << 3 | _VARINT) + b"\x01"
        elif value:
            content = str(value).encode("utf-8")
            message += _varint(number << 3 | _BYTES) + _varint(len(content)) + content
    return message


def decode(message: bytes, numbers: Iterable[int]) -> Dict[int, List[str]]:
    """Return the strings in a message by field number. A repeated field has several.

    Args:
        message: the encoded message.
        numbers: the fields that are strings. All others are skipped.

    Raises:
        ValueError: the message is malformed.
    """
    texts: Dict[int, List[str]] = {}
    for number, content in _contents(message):
        if number in numbers:
            texts.setdefault(number, []).append(content.decode("utf-8"))
    return texts


def _contents(message: bytes) -> Iterator[Tuple[int, bytes]]:
    """Yield the number and the content of each field of bytes."""
    at = 0
    while at < len(message):
        tag, at = _read_varint(message, at)
        number, wire_type = tag >> 3, tag & 7
        if not number:
            raise ValueError("a field without a number")
        length = {_FIXED64: 8, _FIXED32: 4}.get(wire_type, 0)
        if wire_type in (_VARINT, _BYTES):
            value, at = _read_varint(message, at)
            length = value if wire_type == _BYTES else 0
        elif not length:
            raise ValueError("a field of wire type {}".format(wire_type))
        if at + length > len(message):
            raise ValueError("the message ends within a field")
        if wire_type == _BYTES:
            yield number, message[at:at + length]
        at += length


def _varint(value: int) -> bytes:
    encoded = b""
    while value > 0x7F:
        encoded += bytes([value & 0x7F | 0x80])
        value >>= 7
    return encoded + bytes([value])


def _read_varint(message: bytes, at: int) -> Tuple[int, int]:
    """Return the number at a position, and the position after it."""
    value = 0
    for place in range(10):
        if at + place >= len(message):
            raise ValueError("the message ends within a number")
        byte = message[at + place]
        value |= (byte & 0x7F) << 7 * place
        if byte < 0x80:
            return value, at + place + 1
    raise ValueError("a number of more than 10 bytes")
