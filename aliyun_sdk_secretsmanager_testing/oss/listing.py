"""Lists of names that are grouped by a delimiter and divided into pages, for objects and for uploads."""
from typing import Iterable, List, NamedTuple

from ..http import Request
from .errors import OssError


class Page(NamedTuple):
    """One page of names.

    Attributes:
        keys: the names that are in no group.
        prefixes: the groups.
        next_marker: the marker of the next page; empty on the last page.
    """

    keys: List[str]
    prefixes: List[str]
    next_marker: str


def page(names: Iterable[str], prefix: str, delimiter: str, marker: str, limit: int) -> Page:
    """Return one page.

    Args:
        names: all names.
        prefix: only names that begin with it are listed.
        delimiter: names that are equal up to their first delimiter after the prefix form a group; empty for no groups.
        marker: the page begins after this name or group.
        limit: the most names and groups on the page.
    """
    keys: List[str] = []
    prefixes: List[str] = []
    last = marker
    for name in sorted(names):
        if not name.startswith(prefix) or name <= marker:
            continue
        cut = name.find(delimiter, len(prefix)) if delimiter else -1
        group = name[:cut + len(delimiter)] if cut >= 0 else ""
        if group and (group == marker or group in prefixes[-1:]):
            continue
        if len(keys) + len(prefixes) == limit:
            return Page(keys, prefixes, last)
        (prefixes if group else keys).append(group or name)
        last = group or name
    return Page(keys, prefixes, "")


def limit(request: Request, name: str, usual: int) -> int:
    """Return the most entries that a request asks for.

    Args:
        request: the request.
        name: the name of the parameter.
        usual: the number if the request has no such parameter.

    Raises:
        OssError: InvalidArgument.
    """
    text = request.parameter(name)
    if not text:
        return usual
    if not text.isdigit() or not 1 <= int(text) <= 1000:
        raise OssError("InvalidArgument", "{} must be 1 to 1000.".format(name), ArgumentName=name, ArgumentValue=text)
    return int(text)
