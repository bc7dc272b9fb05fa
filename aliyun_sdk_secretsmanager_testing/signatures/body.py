"""The check of a body by its Content-MD5, for schemes that do not sign the body itself."""
import base64
import hashlib

from ..http import Request
from .claim import Refused


def check_body(request: Request) -> None:
    """Check a body against its Content-MD5, if it has one.

    Raises:
        Refused: the body has another MD5.
    """
    claimed = request.headers.get("content-md5")
    if claimed is None:
        return
    digest = hashlib.md5(request.body()).digest()  # nosec B324  # Content-MD5 is one
    if base64.b64encode(digest).decode("ascii") != claimed:
        raise Refused("wrong_md5")
