"""The bodies of requests, which are received and checked, and of answers, which may be ranges of objects."""
import base64
import binascii
import re
from typing import Dict, Optional, Tuple

from ..http import PIECE, Answer, Request
from .content import Content
from .errors import OssError
from .state import StoredObject

_KEPT = ("content-type", "cache-control", "content-disposition", "content-encoding", "content-language", "expires",
         "x-oss-storage-class")


def received(request: Request) -> Content:
    """Receive the whole body of a request, and check it against its Content-MD5.

    Raises:
        OssError: MissingContentLength or InvalidDigest.
        Dropped: the client left before the end of the body.
    """
    headers = request.headers
    if "content-length" not in headers and "transfer-encoding" not in headers:
        raise OssError("MissingContentLength")
    content = Content().append(request.pieces())
    claimed = headers.get("content-md5")
    if claimed is not None and _decoded(claimed) != content.md5:
        raise OssError("InvalidDigest", "The Content-MD5 you specified did not match what we received.")
    return content


def kept_headers(request: Request) -> Dict[str, str]:
    """Return the headers of a request that are stored with the object."""
    kept = {name: value for name, value in request.headers.items() if name in _KEPT or name.startswith("x-oss-meta-")}
    kept.setdefault("content-type", "application/octet-stream")
    return kept


def object_headers(stored: StoredObject) -> Dict[str, str]:
    """Return the headers that describe an object."""
    headers = dict(stored.headers)
    headers.update({"Content-Length": str(stored.content.size), "ETag": '"{}"'.format(stored.etag),
                    "Last-Modified": stored.last_modified, "x-oss-object-type": stored.kind,
                    "x-oss-storage-class": stored.storage_class, "x-oss-hash-crc64ecma": str(stored.content.crc64),
                    "Accept-Ranges": "bytes"})
    if stored.tags:
        headers["x-oss-tagging-count"] = str(len(stored.tags))
    if stored.restored:
        headers["x-oss-restore"] = 'ongoing-request="false"'
    if stored.kind == "Appendable":
        headers["x-oss-next-append-position"] = str(stored.content.size)
    return headers


def given(request: Request, stored: StoredObject) -> Answer:
    """Return the answer with an object, or with the range of it that a request asks for."""
    content, headers = stored.content, object_headers(stored)
    size = content.size
    wanted = _range(request, size)
    start, stop = wanted or (0, size)
    if wanted:
        headers["Content-Range"] = "bytes {}-{}/{}".format(start, stop - 1, size)
    headers["Content-Length"] = str(stop - start)
    whole = stop - start <= PIECE
    return Answer(206 if wanted else 200, content.read(start, stop) if whole else content.pieces(start, stop), headers)


def _range(request: Request, size: int) -> Optional[Tuple[int, int]]:
    """Return start and stop of the range that a request asks for; None for the whole object.

    A range that is not within the object is ignored, unless the request has ``x-oss-range-behavior: standard``:
    https://www.alibabacloud.com/help/en/oss/developer-reference/getobject
    """
    match = re.match(r"^bytes=(\d*)-(\d*)$", request.headers.get("range", ""))
    if not match or match.group(1) == match.group(2) == "":
        return None
    first, last = match.groups()
    start = int(first) if first else max(size - int(last), 0)
    stop = int(last) + 1 if first and last else size
    standard = request.headers.get("x-oss-range-behavior") == "standard"
    if start >= min(stop, size):
        if standard:
            raise OssError("InvalidRange", ActualObjectSize=str(size))
        return None
    if stop > size and not standard:
        return None
    return start, min(stop, size)


def _decoded(md5: str) -> bytes:
    try:
        return base64.b64decode(md5)
    except binascii.Error:
        raise OssError("InvalidDigest") from None
