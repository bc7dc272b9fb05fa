"""Names in order, grouped by a delimiter and cut into pages: the same for objects and for uploads."""
from typing import Iterable, List, NamedTuple

from ..http import Request
from .errors import OssError


class Page(NamedTuple):
    """One page of names.

    Attributes:
        keys: single names.
        prefixes: groups.
        next_marker: where the next page begins; empty on the last.
    """

    keys: List[str]
    prefixes: List[str]
    next_marker: str


def page(names: Iterable[str], prefix: str, delimiter: str, marker: str, limit: int) -> Page:
    """Cut a page.

    Args:
        names: all there are.
        marker: the page begins after it.
        limit: how many names and groups at most.
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
    """How many entries a request wants at most.

    Raises:
        OssError: InvalidArgument.
    """
    text = request.parameter(name)
    if not text:
        return usual
    if not text.isdigit() or not 1 <= int(text) <= 1000:
        raise OssError("InvalidArgument", "{} must be 1 to 1000.".format(name), ArgumentName=name, ArgumentValue=text)
    return int(text)
