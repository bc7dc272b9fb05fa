"""What all versions of OSS's signature share: where it is, its parts, and text in the form that is signed."""
import re
from typing import Callable, Dict, Iterable, List, NoReturn, Tuple
from urllib.parse import quote, unquote_to_bytes

from ..http import Request, wire
from .claim import Claim, Refused

SIGNATURE = "x-oss-signature"
ADDITIONAL_HEADERS = "x-oss-additional-headers"


class OssSignature:
    """One version of the signature, which is in the Authorization header or in the URL.

    Attributes:
        PREFIX: how the Authorization header begins.
    """

    PREFIX: str

    def matches(self, request: Request) -> bool:
        """Whether a request has a signature of this version."""
        return self._in_header(request) if "authorization" in request.headers else self._in_url(request)

    def access_key_id(self, request: Request) -> str:
        """Return the AccessKey id that a request names; nothing is verified. Empty where it names none."""
        raise NotImplementedError

    def read(self, request: Request, now: float) -> Claim:
        """Return the claim of a request.

        Args:
            request: a request with a signature of this version.
            now: seconds since 1970.

        Raises:
            Refused: a part is missing or malformed, the date is more than 15 minutes off, or the URL has expired.
        """
        return self._read_header(request, now) if self._in_header(request) else self._read_url(request, now)

    def _in_header(self, request: Request) -> bool:
        return request.headers.get("authorization", "").startswith(self.PREFIX)

    def _in_url(self, request: Request) -> bool:
        """Whether a request without an Authorization header is signed in its URL."""
        return request.parameter("x-oss-signature-version") == self.PREFIX.strip()

    def _read_header(self, request: Request, now: float) -> Claim:
        raise NotImplementedError

    def _read_url(self, request: Request, now: float) -> Claim:
        raise NotImplementedError


def seconds(request: Request, name: str) -> int:
    """Return a parameter that is a number of seconds.

    Raises:
        Refused: it is no such number.
    """
    text = request.parameter(name) or ""
    if not re.match(r"^[0-9]{1,12}$", text):
        raise Refused("malformed", name=name)
    return int(text)


def authorization(request: Request, prefix: str, separator: str, required: Iterable[str]) -> Dict[str, str]:
    """Return the parts of an Authorization header by name; it has the form ``PREFIX name=value,name=value``.

    Args:
        request: the request.
        prefix: how the header begins, with the space.
        separator: what is between a name and its value.
        required: the names that must be there; ``AdditionalHeaders`` may be there as well.

    Raises:
        Refused: a part is missing, unknown or repeated.
    """
    found: Dict[str, str] = {}
    for part in request.headers["authorization"][len(prefix):].split(","):
        name, sign, value = part.strip().partition(separator)
        if not (sign and value) or name in found:
            _malformed()
        found[name] = value
    if not set(required) <= set(found) <= set(required) | {"AdditionalHeaders"}:
        _malformed()
    return found


def header_names(text: str) -> List[str]:
    """Return the names in a list of additional headers the way they are signed: in lower case and sorted.

    Raises:
        Refused: one of them cannot be the name of a header.
    """
    names = sorted(name.strip().lower() for name in text.split(";")) if text else []
    if not all(re.match(r"^[!#$%&'*+.^_`|~0-9a-z-]+$", name) for name in names):
        raise Refused("malformed", name="AdditionalHeaders")
    return names


def signed_headers(request: Request, signed: Callable[[str], bool]) -> bytes:
    """Return a line for each header that is signed."""
    headers = request.headers
    return "".join("{}:{}\n".format(name, headers[name]) for name in sorted(headers) if signed(name)).encode("latin-1")


def resource(request: Request) -> bytes:
    """Return the decoded path that is signed; a bucket is signed with a slash at its end, even if sent without."""
    path = unquote_to_bytes(request.path)
    return path + b"/" if path.count(b"/") == 1 and path != b"/" else path


def signed_query(request: Request) -> bytes:
    """Return all parameters but the signature, encoded and sorted."""
    pairs: List[Tuple[str, str]] = sorted((encoded(wire(name)), encoded(wire(value or "")))
                                          for name, value in request.query if name != SIGNATURE)
    return "&".join(name + "=" + value if value else name for name, value in pairs).encode("ascii")


def encoded(raw: bytes, safe: str = "") -> str:
    """Return bytes percent-encoded by RFC 3986, which leaves "~" alone; Python 3.6 would encode it."""
    return quote(raw, safe=safe + "~")


def _malformed() -> NoReturn:
    raise Refused("malformed", name="Authorization")
