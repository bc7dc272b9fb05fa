"""RPC style, signature version 1.0: parameters in the query or a form, one of them the signature over all others.

https://www.alibabacloud.com/help/en/sdk/product-overview/rpc-mechanism
"""
from typing import Callable, Dict, Optional
from urllib.parse import quote

from ..http import Pairs, Request, decoded_pairs, wire
from .body import check_body
from .claim import Claim, Refused, check_timestamp, mac

_DIGESTS = {"HMAC-SHA1": "sha1", "HMAC-SHA256": "sha256"}
_RSA = "SHA256withRSA"
_REQUIRED = ("Action", "Version", "AccessKeyId", "Timestamp", "SignatureMethod", "SignatureVersion", "SignatureNonce",
             "Signature")


def parameters(request: Request) -> Pairs:
    """Return all parameters of a request: those of the query, and those of the body if it is a form."""
    pairs = list(request.query)
    if is_form(request):
        pairs += decoded_pairs(request.body().decode("latin-1"))
    return pairs


def is_form(request: Request) -> bool:
    """Whether the body is a form; its parameters are signed, too."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    return kind == "application/x-www-form-urlencoded"


def read(request: Request, now: float) -> Claim:
    """Return the claim of an RPC request, and check its body against Content-MD5.

    Args:
        request: the request.
        now: seconds since 1970.

    Raises:
        Refused: a parameter is missing or wrong, the Timestamp is more than 15 minutes off, or the body does not match
            Content-MD5.
    """
    pairs = parameters(request)
    given: Dict[str, str] = {name: value or "" for name, value in pairs}
    for name in _REQUIRED:
        if not given.get(name):
            raise Refused("missing", name=name)
    if given["SignatureMethod"] not in _DIGESTS and given["SignatureMethod"] != _RSA:
        raise Refused("unsupported", name="SignatureMethod")
    if given["SignatureMethod"] == _RSA and given.get("SignatureType") != "PRIVATEKEY":
        raise Refused("unsupported", name="SignatureType")
    if given["SignatureVersion"] != "1.0":
        raise Refused("unsupported", name="SignatureVersion")
    check_timestamp(given["Timestamp"], now)
    check_body(request)
    string_to_sign = compose(request.method, pairs)
    return Claim(given["AccessKeyId"], given["Signature"], string_to_sign, given.get("SecurityToken") or None,
                 _hmac(given["SignatureMethod"], string_to_sign), nonce=given["SignatureNonce"])


def compose(method: str, pairs: Pairs) -> bytes:
    """Return the string to sign: ``METHOD&%2F&`` and the sorted, twice encoded parameters other than Signature."""
    signed = sorted((name, value or "") for name, value in pairs if name != "Signature")
    canonical = "&".join(_encoded(name) + "=" + _encoded(value) for name, value in signed)
    return "{}&%2F&{}".format(method, _encoded(canonical)).encode("latin-1")


def _hmac(method: str, string_to_sign: bytes) -> Optional[Callable[[str], str]]:
    if method == _RSA:
        return None
    return lambda secret: mac(_DIGESTS[method], secret + "&", string_to_sign)


def _encoded(text: str) -> str:
    # RFC 3986 leaves "~" alone; Python 3.6 would encode it.
    return quote(wire(text), safe="~")
