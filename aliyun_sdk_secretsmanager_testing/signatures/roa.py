"""ROA style, signature version 1.0: an ``Authorization: acs`` header over method, headers and resource.

https://www.alibabacloud.com/help/en/sdk/product-overview/roa-mechanism
"""
from typing import Iterator
from urllib.parse import unquote_to_bytes

from ..http import Pairs, Request, wire
from .body import check_body
from .claim import Claim, Refused, check_date, mac

_SCHEME = "acs "
_DIGESTS = {"": "sha1", "HMAC-SHA1": "sha1", "HMAC-SHA256": "sha256"}


def matches(request: Request) -> bool:
    """Whether a request is of this style."""
    return request.headers.get("authorization", "").startswith(_SCHEME)


def read(request: Request, now: float) -> Claim:
    """Return the claim of an ROA request, and check its body against Content-MD5.

    Args:
        request: the request.
        now: seconds since 1970.

    Raises:
        Refused: a header is missing or wrong, the Date is more than 15 minutes off, or the body does not match
            Content-MD5.
    """
    headers = request.headers
    access_key_id, colon, signature = headers["authorization"][len(_SCHEME):].partition(":")
    if not (access_key_id and colon and signature):
        raise Refused("malformed", name="Authorization")
    digest = _DIGESTS.get(headers.get("x-acs-signature-method", ""))
    if digest is None:
        raise Refused("unsupported", name="x-acs-signature-method")
    if not headers.get("date"):
        raise Refused("missing", name="Date")
    check_date(headers["date"], now)
    check_body(request)
    string_to_sign = compose(request)
    return Claim(access_key_id, signature, string_to_sign, headers.get("x-acs-security-token"),
                 lambda secret: mac(str(digest), secret, string_to_sign), nonce=headers.get("x-acs-signature-nonce"))


def compose(request: Request) -> bytes:
    """Return the string to sign: method, four headers, the ``x-acs-`` headers, and the decoded resource."""
    headers = request.headers
    lines = [request.method] + [headers.get(name, "") for name in ("accept", "content-md5", "content-type", "date")]
    lines += [name + ":" + headers[name] for name in sorted(headers) if name.startswith("x-acs-")]
    return "\n".join(lines).encode("latin-1") + b"\n" + _resource(request)


def _resource(request: Request) -> bytes:
    path = unquote_to_bytes(request.path)
    query = b"&".join(_signed(request.query))
    return path + b"?" + query if query else path


def _signed(query: Pairs) -> Iterator[bytes]:
    for name, value in sorted(query, key=lambda pair: pair[0]):
        yield wire(name) if value is None else wire(name + "=" + value)
