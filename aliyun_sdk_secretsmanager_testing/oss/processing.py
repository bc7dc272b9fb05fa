"""``x-oss-process``: ProcessObject and SelectObject."""
import base64
import re
import struct
import zlib
from typing import Tuple

from ..http import PIECE, Answer, Pieces, Request, json_answer
from .bodies import received
from .content import Content
from .errors import OssError
from .objects import store_object
from .state import Store, StoredObject
from .xml import parsed

_DATA_FRAME = 0x800001
_END_FRAME = 0x800005
_FRAME_VERSION = 1
# Type, length of the payload, checksum of the header (unused); then the payload, then its CRC-32.
_FRAME_HEAD = struct.Struct(">III")
_OFFSET = struct.Struct(">Q")
_CHECKSUM = struct.Struct(">I")
_END = struct.Struct(">QQI")
_FRAME_SIZE = _FRAME_HEAD.size + _CHECKSUM.size

_EVERYTHING = re.compile(r"^\s*select\s+\*\s+from\s+ossobject\s*;?\s*$", re.IGNORECASE)


def process(store: Store, request: Request, bucket: str, key: str) -> Answer:
    """``ProcessObject`` with ``sys/saveas``. Nothing is processed: it saves a copy of the source."""
    content = received(request)
    wanted = content.read(0, content.size).decode("utf-8", "replace")
    match = re.match(r"^x-oss-process=.*\|sys/saveas,(.*)$", wanted)
    if match is None:
        raise OssError("InvalidArgument", "The process must end with |sys/saveas.")
    named = dict(part.partition("_")[::2] for part in match.group(1).split(","))
    target, target_bucket = _text(named.get("o", "")), _text(named.get("b", "")) or bucket
    if not target:
        raise OssError("InvalidArgument", "sys/saveas must name an object.")
    with store.lock:
        source = store.bucket(bucket).resolved(key)
        copy = Content().append(source.content.pieces(0, source.content.size))
        stored = StoredObject(copy, "Normal", dict(source.headers), store.clock.time())
        store_object(store, request, target_bucket, target, stored)
    return json_answer(200, {"bucket": target_bucket, "fileSize": copy.size, "object": target, "status": "OK"})


def select(store: Store, request: Request, bucket: str, key: str) -> Answer:
    """``SelectObject`` of CSV, for the expression ``select * from ossobject`` only."""
    body = received(request)
    root = parsed(body.read(0, body.size))
    if root is None or root.tag != "SelectRequest":
        raise OssError("MalformedXML")
    if not _EVERYTHING.match(_text(root.findtext("Expression") or "")) or "range" in request.headers:
        raise OssError("NotImplemented", "The local cloud knows only: select * from ossobject")
    with store.lock:
        content = store.bucket(bucket).resolved(key).content
        size = content.size
    raw = (root.findtext("OutputSerialization/OutputRawData") or "").lower() == "true"
    pieces, length = (content.pieces(0, size), size) if raw else _framed(content, size)
    return Answer(206, pieces, {"Content-Length": str(length), "Content-Type": "application/octet-stream",
                                "x-oss-select-output-raw": "true" if raw else "false"})


def _framed(content: Content, size: int) -> Tuple[Pieces, int]:
    """Return all data in frames, and the length of all frames together."""
    def frames() -> Pieces:
        offset = 0
        for piece in content.pieces(0, size):
            offset += len(piece)
            yield _frame(_DATA_FRAME, _OFFSET.pack(offset) + piece)
        yield _frame(_END_FRAME, _END.pack(size, size, 200))

    count = -(-size // PIECE)
    return frames(), size + count * (_FRAME_SIZE + _OFFSET.size) + _FRAME_SIZE + _END.size


def _frame(kind: int, payload: bytes) -> bytes:
    head = _FRAME_HEAD.pack(_FRAME_VERSION << 24 | kind, len(payload), 0)
    return head + payload + _CHECKSUM.pack(zlib.crc32(payload) & 0xFFFFFFFF)


def _text(encoded: str) -> str:
    """Decode text in Base64, of the usual alphabet or that of URLs, with or without padding."""
    try:
        return base64.urlsafe_b64decode(
            encoded.replace("+", "-").replace("/", "_") + "=" * (-len(encoded) % 4)).decode("utf-8")
    except ValueError:
        raise OssError("InvalidArgument", "There is text that is not in Base64.") from None
