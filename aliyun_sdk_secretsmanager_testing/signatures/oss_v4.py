"""Version 4 of OSS's signature: HMAC-SHA256 with a key that is derived for one day and one region.

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
    OssSignature,
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
_PRODUCT = "oss"
_REQUEST = "aliyun_v4_request"
_LONGEST_EXPIRY_SECONDS = 7 * 24 * 3600


class Scope(NamedTuple):
    """The scope of a credential: one key on one day in one region."""

    access_key_id: str
    date: str
    region: str
    product: str
    request: str

    @property
    def signed(self) -> str:
        """The scope as it is in the string to sign."""
        return "/".join(self[1:])


class OssV4(OssSignature):
    """Version 4.

    Args:
        regions: the regions that a signature may be for.
    """

    PREFIX = _VERSION + " "

    def __init__(self, regions: Container[str]) -> None:
        self._regions = regions

    def access_key_id(self, request: Request) -> str:
        try:
            credential = self._parts(request)["Credential"] if self._in_header(request) \
                else request.parameter("x-oss-credential")
        except Refused:
            return ""
        return (credential or "").partition("/")[0]

    def body_sha256(self, request: Request) -> Optional[str]:
        """Return the SHA-256 that the body must have, in hexadecimal; None where the body is not signed."""
        claimed = request.headers.get("x-oss-content-sha256", UNSIGNED_PAYLOAD)
        return claimed if self.matches(request) and claimed != UNSIGNED_PAYLOAD else None

    def _parts(self, request: Request) -> Dict[str, str]:
        return authorization(request, self.PREFIX, "=", ("Credential", "Signature"))

    def _read_header(self, request: Request, now: float) -> Claim:
        parts, headers = self._parts(request), request.headers
        payload = headers.get("x-oss-content-sha256", "")
        if payload != UNSIGNED_PAYLOAD and not re.match(r"^[0-9a-f]{64}$", payload):
            raise Refused("malformed", name="x-oss-content-sha256")
        date = headers.get("x-oss-date", "")
        if abs(_seconds(date) - now) > WINDOW_SECONDS:
            raise Refused("skewed", request_time=date)
        scope = _scope(parts["Credential"], date, self._regions)
        names = header_names(parts.get("AdditionalHeaders", ""))
        return _claim(request, scope, parts["Signature"], date, names, payload, headers.get("x-oss-security-token"))

    def _read_url(self, request: Request, now: float) -> Claim:
        date, expires = request.parameter("x-oss-date") or "", seconds(request, "x-oss-expires")
        if not 1 <= expires <= _LONGEST_EXPIRY_SECONDS:
            raise Refused("malformed", name="x-oss-expires")
        signed = _seconds(date)
        if signed - now > WINDOW_SECONDS:
            raise Refused("skewed", request_time=date)
        if signed + expires < now:
            raise Refused("expired")
        scope = _scope(request.parameter("x-oss-credential") or "", date, self._regions)
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
    """Return the canonical request.

    It has the method, the encoded path, the parameters, the signed headers, the names of the additional ones, and the
    payload.

    Args:
        request: the request.
        names: the names of the additional headers.
        payload: the SHA-256 of the body in hexadecimal, or ``UNSIGNED-PAYLOAD``.
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
        date.encode("ascii")  # strptime takes the digits of other scripts, too
        return calendar.timegm(time.strptime(date, "%Y%m%dT%H%M%SZ"))
    except ValueError:
        raise Refused("bad_date") from None
