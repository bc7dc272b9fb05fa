"""OSS signature version 2, in the Authorization header or in the URL: HMAC-SHA256 over all parameters.

https://www.alibabacloud.com/help/en/oss/developer-reference/signature-version-2
"""
from typing import Dict, List, Optional

from ..http import Request
from .claim import Claim, Refused, check_date, mac
from .oss_parts import (
    ADDITIONAL_HEADERS,
    SIGNATURE,
    authorization,
    encoded,
    header_names,
    resource,
    seconds,
    signed_headers,
    signed_query,
)

_SCHEME = "OSS2 "
_VERSION = "OSS2"


def matches(request: Request) -> bool:
    """Whether a request carries this signature, in its Authorization header or in its URL."""
    if "authorization" in request.headers:
        return _in_header(request)
    return request.parameter("x-oss-signature-version") == _VERSION


def access_key_id(request: Request) -> str:
    """Whose signature a request says it has; nothing is verified."""
    if _in_header(request):
        try:
            return _parts(request)["AccessKeyId"]
        except Refused:
            return ""
    return request.parameter("x-oss-access-key-id") or ""


def read(request: Request, now: float) -> Claim:
    """Read the claim of a request.

    Args:
        now: seconds since 1970.

    Raises:
        Refused: a part is missing or malformed, the date is more than 15 minutes off, or the URL has expired.
    """
    return _read_header(request, now) if _in_header(request) else _read_url(request, now)


def _in_header(request: Request) -> bool:
    return request.headers.get("authorization", "").startswith(_SCHEME)


def _parts(request: Request) -> Dict[str, str]:
    return authorization(request, _SCHEME, ":", ("AccessKeyId", "Signature"))


def _read_header(request: Request, now: float) -> Claim:
    parts, headers = _parts(request), request.headers
    date = headers.get("date", "")
    check_date(date, now)
    names = header_names(parts.get("AdditionalHeaders", ""))
    return _claim(request, parts["AccessKeyId"], parts["Signature"], date, names, headers.get("x-oss-security-token"))


def _read_url(request: Request, now: float) -> Claim:
    expires, key = seconds(request, "x-oss-expires"), request.parameter("x-oss-access-key-id")
    if not key:
        raise Refused("malformed", name="x-oss-access-key-id")
    if expires < now:
        raise Refused("expired")
    names = header_names(request.parameter(ADDITIONAL_HEADERS) or "")
    return _claim(request, key, request.parameter(SIGNATURE) or "", request.parameter("x-oss-expires") or "", names,
                  request.parameter("security-token"))


def _claim(request: Request, key: str, signature: str, date: str, names: List[str], token: Optional[str]) -> Claim:
    string_to_sign = compose(request, date, names)
    return Claim(key, signature, string_to_sign, token, lambda secret: mac("sha256", secret, string_to_sign))


def compose(request: Request, date: str, names: List[str]) -> bytes:
    """The string to sign: method, Content-MD5, Content-Type, date, signed headers, their names, the encoded resource.

    Args:
        date: of the header, or when the URL expires.
        names: of the additional headers.
    """
    headers = request.headers
    lines = [request.method, headers.get("content-md5", ""), headers.get("content-type", ""), date, ""]
    query = signed_query(request)
    return b"".join((
        "\n".join(lines).encode("latin-1"),
        signed_headers(request, lambda name: name.startswith("x-oss-") or name in names),
        ";".join(names).encode("latin-1") + b"\n",
        encoded(resource(request)).encode("ascii"), b"?" + query if query else b""))
