"""What OSS signature versions have in common: the parts of a header, and text in the form that is signed."""
import re
from typing import Callable, Dict, Iterable, List, NoReturn, Tuple
from urllib.parse import quote, unquote_to_bytes

from ..http import Request, wire
from .claim import Refused

SIGNATURE = "x-oss-signature"
ADDITIONAL_HEADERS = "x-oss-additional-headers"


def seconds(request: Request, name: str) -> int:
    """A parameter that is a number of seconds.

    Raises:
        Refused: it is none.
    """
    text = request.parameter(name) or ""
    if not re.match(r"^[0-9]{1,12}$", text):
        raise Refused("malformed", name=name)
    return int(text)


def authorization(request: Request, scheme: str, separator: str, required: Iterable[str]) -> Dict[str, str]:
    """The named parts of an Authorization header, ``scheme name=value,name=value``.

    Args:
        scheme: with the space that follows it.
        separator: between a name and its value.
        required: the names that must be there; ``AdditionalHeaders`` may be.

    Raises:
        Refused: a part is missing, unknown or there twice.
    """
    found: Dict[str, str] = {}
    for part in request.headers["authorization"][len(scheme):].split(","):
        name, sign, value = part.strip().partition(separator)
        if not (sign and value) or name in found:
            _malformed()
        found[name] = value
    if not set(required) <= set(found) <= set(required) | {"AdditionalHeaders"}:
        _malformed()
    return found


def header_names(text: str) -> List[str]:
    """The names in a list of additional headers, as they are signed: lower case and sorted.

    Raises:
        Refused: one can be no header's.
    """
    names = sorted(name.strip().lower() for name in text.split(";")) if text else []
    if not all(re.match(r"^[!#$%&'*+.^_`|~0-9a-z-]+$", name) for name in names):
        raise Refused("malformed", name="AdditionalHeaders")
    return names


def signed_headers(request: Request, signed: Callable[[str], bool]) -> bytes:
    """A line for each header that is signed."""
    headers = request.headers
    return "".join("{}:{}\n".format(name, headers[name]) for name in sorted(headers) if signed(name)).encode("latin-1")


def resource(request: Request) -> bytes:
    """The path that is signed, decoded: a bucket is signed with its slash, however it was written."""
    path = unquote_to_bytes(request.path)
    return path + b"/" if path.count(b"/") == 1 and path != b"/" else path


def signed_query(request: Request) -> bytes:
    """All parameters but the signature, encoded and sorted."""
    pairs: List[Tuple[str, str]] = sorted((encoded(wire(name)), encoded(wire(value or "")))
                                          for name, value in request.query if name != SIGNATURE)
    return "&".join(name + "=" + value if value else name for name, value in pairs).encode("ascii")


def encoded(raw: bytes, safe: str = "") -> str:
    """Percent-encoded as RFC 3986 has it."""
    return quote(raw, safe=safe + "~")  # 3.6 still encodes "~"


def _malformed() -> NoReturn:
    raise Refused("malformed", name="Authorization")
