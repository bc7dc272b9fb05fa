"""Version 2 of OSS's signature: HMAC-SHA256 over all parameters.

https://www.alibabacloud.com/help/en/oss/developer-reference/signature-version-2
"""
from typing import Dict, List, Optional

from ..http import Request
from .claim import Claim, Refused, check_date, mac
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


class OssV2(OssSignature):
    """Version 2."""

    PREFIX = "OSS2 "

    def access_key_id(self, request: Request) -> str:
        if not self._in_header(request):
            return request.parameter("x-oss-access-key-id") or ""
        try:
            return self._parts(request)["AccessKeyId"]
        except Refused:
            return ""

    def _parts(self, request: Request) -> Dict[str, str]:
        return authorization(request, self.PREFIX, ":", ("AccessKeyId", "Signature"))

    def _read_header(self, request: Request, now: float) -> Claim:
        parts, headers = self._parts(request), request.headers
        date = headers.get("date", "")
        check_date(date, now)
        names = header_names(parts.get("AdditionalHeaders", ""))
        return _claim(request, parts["AccessKeyId"], parts["Signature"], date, names,
                      headers.get("x-oss-security-token"))

    def _read_url(self, request: Request, now: float) -> Claim:
        expires, key = seconds(request, "x-oss-expires"), request.parameter("x-oss-access-key-id")
        if not key:
            raise Refused("malformed", name="x-oss-access-key-id")
        if expires < now:
            raise Refused("expired")
        names = header_names(request.parameter(ADDITIONAL_HEADERS) or "")
        return _claim(request, key, request.parameter(SIGNATURE) or "", request.parameter("x-oss-expires") or "",
                      names, request.parameter("security-token"))


def _claim(request: Request, key: str, signature: str, date: str, names: List[str], token: Optional[str]) -> Claim:
    string_to_sign = compose(request, date, names)
    return Claim(key, signature, string_to_sign, token, lambda secret: mac("sha256", secret, string_to_sign))


def compose(request: Request, date: str, names: List[str]) -> bytes:
    """Return the string to sign.

    It has the method, Content-MD5, Content-Type, the date, the signed headers, the names of the additional ones, and
    the encoded resource.

    Args:
        request: the request.
        date: the date in its header, or the time at which its URL expires.
        names: the names of the additional headers.
    """
    headers = request.headers
    lines = [request.method, headers.get("content-md5", ""), headers.get("content-type", ""), date, ""]
    query = signed_query(request)
    return b"".join((
        "\n".join(lines).encode("latin-1"),
        signed_headers(request, lambda name: name.startswith("x-oss-") or name in names),
        ";".join(names).encode("latin-1") + b"\n",
        encoded(resource(request)).encode("ascii"), b"?" + query if query else b""))
