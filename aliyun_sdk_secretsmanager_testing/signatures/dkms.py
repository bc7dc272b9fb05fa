"""Dedicated KMS, ``dkms-gcs-0.2``: an ``Authorization: Bearer`` header over the body's hash and the ``x-kms-`` headers.

https://www.alibabacloud.com/help/en/kms/
"""
import hashlib

from ..http import Request
from .claim import Claim, Refused, check_date

# The real service spells it so.
KEY_ID = "x-kms-acccesskeyid"

_SCHEME = "Bearer "
_METHOD = "RSA_PKCS1_SHA_256"
_REQUIRED = ("x-kms-apiversion", "x-kms-apiname", "x-kms-signaturemethod", KEY_ID, "content-type", "content-sha256",
             "date", "authorization")


def read(request: Request, now: float) -> Claim:
    """Return the claim of a request, and check its body against its hash.

    Args:
        request: the request.
        now: seconds since 1970.

    Raises:
        Refused: a header is missing or wrong, the Date is more than 15 minutes off, or the body does not match
            Content-SHA256.
    """
    headers = request.headers
    for name in _REQUIRED:
        if not headers.get(name):
            raise Refused("missing", name=name)
    if headers["x-kms-signaturemethod"] != _METHOD:
        raise Refused("unsupported", name="x-kms-signaturemethod")
    if not headers["authorization"].startswith(_SCHEME):
        raise Refused("malformed", name="authorization")
    if hashlib.sha256(request.body()).hexdigest().upper() != headers["content-sha256"]:
        raise Refused("wrong_sha256", name="content-sha256")
    check_date(headers["date"], now)
    return Claim(headers[KEY_ID], headers["authorization"][len(_SCHEME):], compose(request), None, None)


def compose(request: Request) -> bytes:
    """Return the string to sign: method, three headers, the ``x-kms-`` headers, and the path with its query."""
    headers = request.headers
    lines = [request.method] + [headers[name] for name in ("content-sha256", "content-type", "date")]
    lines += [name + ":" + headers[name] for name in sorted(headers) if name.startswith("x-kms-")]
    return "\n".join(lines + [request.target]).encode("latin-1")
