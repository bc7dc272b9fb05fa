"""What vouches for a body that is not itself part of a string to sign."""
import base64
import hashlib

from ..http import Request
from .claim import Refused


def check_body(request: Request) -> None:
    """Check a body against its Content-MD5, if it has one.

    Raises:
        Refused: it is another body.
    """
    claimed = request.headers.get("content-md5")
    if claimed is None:
        return
    digest = hashlib.md5(request.body()).digest()  # nosec B324  # Content-MD5 is one
    if base64.b64encode(digest).decode("ascii") != claimed:
        raise Refused("wrong_md5")
