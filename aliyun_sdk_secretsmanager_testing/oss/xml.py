"""The XML documents that OSS speaks."""
from html import escape
from typing import Any, List, Optional, Tuple, Union
from urllib.parse import quote
from xml.etree import ElementTree  # nosec B405  # it reads what the tests' own client sends

Fields = List[Tuple[str, Any]]


def document(name: str, fields: Union[str, Fields]) -> bytes:
    """Write a document; what an element holds is text or a list of fields, whose names may come again."""
    return ('<?xml version="1.0" encoding="UTF-8"?>\n' + _element(name, fields)).encode("utf-8", "replace")


def parsed(body: bytes) -> Optional[ElementTree.Element]:
    """Read a document; None where it is none."""
    try:
        return ElementTree.fromstring(body)  # nosec B314  # of the tests' own client
    except ElementTree.ParseError:
        return None


def named(key: str, encoding: Optional[str]) -> str:
    """A key inside a document: percent-encoded where the request asked for it, as XML cannot hold every character."""
    return quote(key, safe="") if encoding == "url" else key


def _element(name: str, value: Any) -> str:
    inner = "".join(_element(*field) for field in value) if isinstance(value, list) else escape(str(value), quote=False)
    return "<{0}>{1}</{0}>".format(name, inner)
