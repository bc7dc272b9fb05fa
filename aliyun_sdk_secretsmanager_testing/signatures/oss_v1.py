"""Version 1 of OSS's signature: HMAC-SHA1.

https://www.alibabacloud.com/help/en/oss/developer-reference/include-signatures-in-the-authorization-header and
https://www.alibabacloud.com/help/en/oss/developer-reference/ddd-signatures-to-urls
"""
from typing import Optional

from ..http import Request, wire
from .claim import Claim, Refused, check_date, mac
from .oss_parts import OssSignature, resource, seconds

# Query parameters that are part of the signed resource.
_SUBRESOURCES = """
acl accessPoint accessPointPolicy append asyncFetch bucketArchiveDirectRead bucketInfo callback callback-var cname comp
continuation-token cors delete encryption endTime group httpsConfig img inventory inventoryId lifecycle link live
location logging metaQuery objectInfo objectMeta partNumber policy position publicAccessBlock qos qosInfo qosRequester
redundancyTransition referer regionList replication replicationLocation replicationProgress requestPayment
requesterQosInfo resourceGroup resourcePool resourcePoolBuckets resourcePoolInfo response-cache-control
response-content-disposition response-content-encoding response-content-language response-content-type response-expires
restore security-token sequential startTime stat status style styleName symlink tagging transferAcceleration uploadId
uploads versionId versioning versions vod website worm wormExtend wormId x-oss-ac-forward-allow x-oss-ac-source-ip
x-oss-ac-subnet-mask x-oss-ac-vpc-id x-oss-access-point-name x-oss-async-process x-oss-process
x-oss-redundancy-transition-taskid x-oss-request-payer x-oss-target-redundancy-type x-oss-traffic-limit
x-oss-write-get-object-response
"""
SUBRESOURCES = frozenset(_SUBRESOURCES.split())


class OssV1(OssSignature):
    """Version 1."""

    PREFIX = "OSS "

    def access_key_id(self, request: Request) -> str:
        if self._in_header(request):
            return request.headers["authorization"][len(self.PREFIX):].partition(":")[0]
        return request.parameter("OSSAccessKeyId") or ""

    def _in_url(self, request: Request) -> bool:
        return request.parameter("Signature") is not None

    def _read_header(self, request: Request, now: float) -> Claim:
        headers = request.headers
        key, colon, signature = headers["authorization"][len(self.PREFIX):].partition(":")
        if not (key and colon and signature):
            raise Refused("malformed", name="Authorization")
        date = headers.get("x-oss-date") or headers.get("date", "")
        check_date(date, now)
        # alibabacloud-oss-v2 sends the token by the name that it has in a URL, and does not sign it.
        token = headers.get("x-oss-security-token") or headers.get("security-token")
        return _claim(request, key, signature, date, token)

    def _read_url(self, request: Request, now: float) -> Claim:
        expires = seconds(request, "Expires")
        key = request.parameter("OSSAccessKeyId")
        if not key:
            raise Refused("malformed", name="OSSAccessKeyId")
        if expires < now:
            raise Refused("expired")
        return _claim(request, key, request.parameter("Signature") or "", request.parameter("Expires") or "",
                      request.parameter("security-token"))


def _claim(request: Request, key: str, signature: str, date: str, token: Optional[str]) -> Claim:
    string_to_sign = compose(request, date)
    return Claim(key, signature, string_to_sign, token, lambda secret: mac("sha1", secret, string_to_sign))


def compose(request: Request, date: str) -> bytes:
    """Return the string to sign.

    It has the method, Content-MD5, Content-Type, the date, the ``x-oss-`` headers, and the decoded resource.

    Args:
        request: the request.
        date: the date in its header, or the time at which its URL expires.
    """
    headers = request.headers
    lines = [request.method, headers.get("content-md5", ""), headers.get("content-type", ""), date]
    lines += [name + ":" + headers[name] for name in sorted(headers) if name.startswith("x-oss-")]
    return "\n".join(lines).encode("latin-1") + b"\n" + _resource(request)


def _resource(request: Request) -> bytes:
    path = resource(request)
    signed = sorted((name, value) for name, value in
                    ((name, value or "") for name, value in request.query) if name in SUBRESOURCES)
    query = b"&".join(wire(name + "=" + value if value else name) for name, value in signed)
    return path + b"?" + query if query else path
