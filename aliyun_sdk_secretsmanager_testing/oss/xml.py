"""The XML documents of OSS."""
from html import escape
from typing import Any, List, Optional, Tuple, Union
from urllib.parse import quote
from xml.etree import ElementTree  # nosec B405  # it reads what the tests' own client sends

from ..http import Request

Fields = List[Tuple[str, Any]]


def document(name: str, fields: Union[str, Fields]) -> bytes:
    """Return a document.

    Args:
        name: the name of its element.
        fields: what the element contains: text, or a list of elements as pairs of name and content.
    """
    return ('<?xml version="1.0" encoding="UTF-8"?>\n' + _element(name, fields)).encode("utf-8", "replace")


def parsed(body: bytes) -> Optional[ElementTree.Element]:
    """Parse a document; return None where it is no XML."""
    try:
        return ElementTree.fromstring(body)  # nosec B314  # of the tests' own client
    except ElementTree.ParseError:
        return None


class Names:
    """Writes keys in a document, percent-encoded if the request asks for that: XML cannot hold every character.

    Attributes:
        fields: the field that names the encoding; empty where the request asks for none.
    """

    def __init__(self, request: Request) -> None:
        self._encoding = request.parameter("encoding-type")
        self.fields: Fields = [("EncodingType", self._encoding)] if self._encoding else []

    def __call__(self, key: str) -> str:
        return quote(key, safe="") if self._encoding == "url" else key


def _element(name: str, value: Any) -> str:
    inner = "".join(_element(*field) for field in value) if isinstance(value, list) else escape(str(value), quote=False)
    return "<{0}>{1}</{0}>".format(name, inner)
