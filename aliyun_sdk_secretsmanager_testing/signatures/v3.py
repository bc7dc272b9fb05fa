"""Signature version 3 of RPC and ROA: an ``Authorization: ACS3-...`` header over the whole request.

https://www.alibabacloud.com/help/en/sdk/product-overview/v3-request-structure-and-signature
"""
from typing import Dict
from urllib.parse import quote, unquote_to_bytes

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, hmac

from ..http import Request, wire
from .claim import Claim, Refused, check_timestamp

_SCHEME = "ACS3-"
_HASHES: Dict[str, hashes.HashAlgorithm] = {"ACS3-HMAC-SHA256": hashes.SHA256()}
_PARTS = ("Credential", "SignedHeaders", "Signature")
_REQUIRED = ("x-acs-action", "x-acs-version", "x-acs-date", "x-acs-signature-nonce", "x-acs-content-sha256")

try:
    hashes.Hash(hashes.SM3())
    _HASHES["ACS3-HMAC-SM3"] = hashes.SM3()
except (AttributeError, UnsupportedAlgorithm):
    pass  # an old cryptography, or an OpenSSL built without it


def matches(request: Request) -> bool:
    """Whether a request has this signature."""
    return request.headers.get("authorization", "").startswith(_SCHEME)


def access_key_id(request: Request) -> str:
    """Return the id of the key that a request names; nothing is verified."""
    return _parts(request).get("Credential", "")


def read(request: Request, now: float) -> Claim:
    """Return the claim of a request, and check its body against x-acs-content-sha256.

    Args:
        request: the request.
        now: seconds since 1970.

    Raises:
        Refused: a header is missing, wrong, or not signed although it must be; x-acs-date is more than 15 minutes
            off; or the body does not match x-acs-content-sha256.
    """
    headers, parts = request.headers, _parts(request)
    algorithm = headers["authorization"].partition(" ")[0]
    if algorithm not in _HASHES:
        raise Refused("unsupported", name="Authorization: {}; sign with {}".format(algorithm, " or ".join(_HASHES)))
    for name in _PARTS:
        if not parts.get(name):
            raise Refused("malformed", name="Authorization has no " + name)
    for name in _REQUIRED:
        if not headers.get(name):
            raise Refused("missing", name=name)
    signed = parts["SignedHeaders"].split(";")
    for name in headers:  # content-type may be unsigned, since the SDKs' HTTP client adds it to an empty body
        if (name == "host" or name.startswith("x-acs-")) and name not in signed:
            raise Refused("malformed", name="SignedHeaders lacks " + name)
    check_timestamp(headers["x-acs-date"], now)
    if _digest(algorithm, request.body()) != headers["x-acs-content-sha256"]:
        raise Refused("wrong_sha256")
    canonical_request = compose(request, parts["SignedHeaders"])
    string_to_sign = "{}\n{}".format(algorithm, _digest(algorithm, canonical_request)).encode("latin-1")
    return Claim(parts["Credential"], parts["Signature"], string_to_sign, headers.get("x-acs-security-token"),
                 lambda secret: _mac(algorithm, secret, string_to_sign), canonical_request,
                 headers["x-acs-signature-nonce"])


def compose(request: Request, signed_headers: str) -> bytes:
    """Return the canonical request: method, path, sorted query, signed headers, their names, and the body's hash."""
    path = "/".join(_encoded(unquote_to_bytes(segment)) for segment in request.path.split("/"))
    query = "&".join(_encoded(name) + "=" + _encoded(value) for name, value in sorted(
        (wire(name), wire(value or "")) for name, value in request.query))
    headers = request.headers
    lines = [request.method, path, query]
    lines += [name + ":" + headers.get(name, "").strip() for name in signed_headers.split(";")]
    lines += ["", signed_headers, headers["x-acs-content-sha256"]]
    return "\n".join(lines).encode("latin-1")


def _parts(request: Request) -> Dict[str, str]:
    pieces = [piece.partition("=") for piece in request.headers["authorization"].partition(" ")[2].split(",")]
    return {name.strip(): value for name, _, value in pieces}


def _encoded(raw: bytes) -> str:
    return quote(raw, safe="~")


def _digest(algorithm: str, data: bytes) -> str:
    digest = hashes.Hash(_HASHES[algorithm])
    digest.update(data)
    return digest.finalize().hex()


def _mac(algorithm: str, secret: str, string_to_sign: bytes) -> str:
    mac = hmac.HMAC(secret.encode("utf-8"), _HASHES[algorithm])
    mac.update(string_to_sign)
    return mac.finalize().hex()
