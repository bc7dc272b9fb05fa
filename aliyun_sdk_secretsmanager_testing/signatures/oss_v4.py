"""OSS signature version 4, in the Authorization header or in the URL: a key of its own for a day and a region.

https://www.alibabacloud.com/help/en/oss/developer-reference/recommend-to-use-signature-version-4
"""
import calendar
import hashlib
import hmac
import re
import time
from typing import Container, Dict, List, NamedTuple, Optional

from ..http import Request
from .claim import WINDOW_SECONDS, Claim, Refused
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

UNSIGNED_PAYLOAD = "UNSIGNED-PAYLOAD"

_VERSION = "OSS4-HMAC-SHA256"
_SCHEME = _VERSION + " "
_PRODUCT = "oss"
_REQUEST = "aliyun_v4_request"
_LONGEST_EXPIRY_SECONDS = 7 * 24 * 3600


class Scope(NamedTuple):
    """What a credential is good for: one key on one day in one region."""

    access_key_id: str
    date: str
    region: str
    product: str
    request: str

    @property
    def signed(self) -> str:
        """As it stands in the string to sign."""
        return "/".join(self[1:])


def matches(request: Request) -> bool:
    """Whether a request carries this signature, in its Authorization header or in its URL."""
    if "authorization" in request.headers:
        return _in_header(request)
    return request.parameter("x-oss-signature-version") == _VERSION


def access_key_id(request: Request) -> str:
    """Whose signature a request says it has; nothing is verified."""
    try:
        credential = _parts(request)["Credential"] if _in_header(request) else request.parameter("x-oss-credential")
    except Refused:
        return ""
    return (credential or "").partition("/")[0]


def read(request: Request, now: float, regions: Container[str]) -> Claim:
    """Read the claim of a request.

    Args:
        now: seconds since 1970.
        regions: one of which must be that of the scope.

    Raises:
        Refused: a part is missing or malformed, the scope is not ours, the date is more than 15 minutes off, or the
            URL has expired.
    """
    return _read_header(request, now, regions) if _in_header(request) else _read_url(request, now, regions)


def body_sha256(request: Request) -> Optional[str]:
    """The digest that a signed body must have, in hexadecimal; None where the body is not signed."""
    claimed = request.headers.get("x-oss-content-sha256", UNSIGNED_PAYLOAD) if matches(request) else UNSIGNED_PAYLOAD
    return None if claimed == UNSIGNED_PAYLOAD else claimed


def _in_header(request: Request) -> bool:
    return request.headers.get("authorization", "").startswith(_SCHEME)


def _parts(request: Request) -> Dict[str, str]:
    return authorization(request, _SCHEME, "=", ("Credential", "Signature"))


def _read_header(request: Request, now: float, regions: Container[str]) -> Claim:
    parts, headers = _parts(request), request.headers
    payload = headers.get("x-oss-content-sha256", "")
    if payload != UNSIGNED_PAYLOAD and not re.match(r"^[0-9a-f]{64}$", payload):
        raise Refused("malformed", name="x-oss-content-sha256")
    date = headers.get("x-oss-date", "")
    if abs(_seconds(date) - now) > WINDOW_SECONDS:
        raise Refused("skewed", request_time=date)
    scope = _scope(parts["Credential"], date, regions)
    names = header_names(parts.get("AdditionalHeaders", ""))
    return _claim(request, scope, parts["Signature"], date, names, payload, headers.get("x-oss-security-token"))


def _read_url(request: Request, now: float, regions: Container[str]) -> Claim:
    date, expires = request.parameter("x-oss-date") or "", seconds(request, "x-oss-expires")
    if not 1 <= expires <= _LONGEST_EXPIRY_SECONDS:
        raise Refused("malformed", name="x-oss-expires")
    signed = _seconds(date)
    if signed - now > WINDOW_SECONDS:
        raise Refused("skewed", request_time=date)
    if signed + expires < now:
        raise Refused("expired")
    scope = _scope(request.parameter("x-oss-credential") or "", date, regions)
    names = header_names(request.parameter(ADDITIONAL_HEADERS) or "")
    payload = request.headers.get("x-oss-content-sha256", UNSIGNED_PAYLOAD)
    return _claim(request, scope, request.parameter(SIGNATURE) or "", date, names, payload,
                  request.parameter("x-oss-security-token"))


def _scope(credential: str, date: str, regions: Container[str]) -> Scope:
    parts = credential.split("/")
    if len(parts) != len(Scope._fields):
        raise Refused("malformed", name="The credential")
    scope = Scope(*parts)
    for what, right in (("date", scope.date == date[:8]), ("region", scope.region in regions),
                        ("product", scope.product == _PRODUCT), ("request", scope.request == _REQUEST)):
        if not right:
            raise Refused("malformed", name="The signing {} of the credential".format(what))
    return scope


def _claim(request: Request, scope: Scope, signature: str, date: str, names: List[str], payload: str,
           token: Optional[str]) -> Claim:
    composed = hashlib.sha256(compose(request, names, payload)).hexdigest()
    string_to_sign = "\n".join((_VERSION, date, scope.signed, composed)).encode("latin-1")
    return Claim(scope.access_key_id, signature, string_to_sign, token,
                 lambda secret: _mac(_signing_key(secret, scope), string_to_sign).hex())


def compose(request: Request, names: List[str], payload: str) -> bytes:
    """The canonical request: method, encoded path, parameters, signed headers, names of the additional ones, payload.

    Args:
        names: of the additional headers.
        payload: what stands for the body.
    """
    def signed(name: str) -> bool:
        return name.startswith("x-oss-") or name in ("content-type", "content-md5") or name in names

    return b"\n".join((
        request.method.encode("latin-1"), encoded(resource(request), "/").encode("ascii"), signed_query(request),
        signed_headers(request, signed), ";".join(names).encode("latin-1"), payload.encode("latin-1")))


def _signing_key(secret: str, scope: Scope) -> bytes:
    key = ("aliyun_v4" + secret).encode("utf-8")
    for part in scope[1:]:
        key = _mac(key, part.encode("latin-1"))
    return key


def _mac(key: bytes, message: bytes) -> bytes:
    return hmac.new(key, message, hashlib.sha256).digest()


def _seconds(date: str) -> int:
    try:
        date.encode("ascii")  # there are other digits, which strptime takes too
        return calendar.timegm(time.strptime(date, "%Y%m%dT%H%M%SZ"))
    except ValueError:
        raise Refused("bad_date") from None
