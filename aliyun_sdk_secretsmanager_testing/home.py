"""Which requests without a signature a server answers: none that a web page of another host or port sends.

A browser lets any page send requests to this machine. Their ``Origin`` names the page's host and port, which are those
of ``Host`` only if the page comes from the same server. With "DNS rebinding" the page's own name comes to mean this
machine, so that the page could even read the answers; then ``Host`` has that name.
"""
import ipaddress
import re
from typing import Callable, Iterable, Optional

from .http import Answer, Request, json_answer

NAMES = ("127.0.0.1", "localhost", "::1")

_WILDCARDS = frozenset(("0.0.0.0", "::"))  # nosec B104  # to recognize them
_LABEL = r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
_NAME = re.compile(r"({0}(?:\.{0})*)\.?\Z".format(_LABEL))


def host_name(text: str) -> str:
    """Return the name or address of a host in the form that is compared: lower case, no brackets, no dot at its end.

    Raises:
        ValueError: the text is neither a name nor an address.
    """
    name = text.lower()
    try:
        return str(ipaddress.ip_address(name[1:-1] if name[:1] + name[-1:] == "[]" else name))
    except ValueError:
        match = _NAME.match(name)
    if match is None:
        raise ValueError("{!r} is no host: give a name or an address without scheme and port, such as cloud or "
                         "172.17.0.2".format(text))
    return match.group(1)


class AtHome:
    """A handler that refuses requests whose ``Host`` names another host, or whose ``Origin`` is not that of ``Host``.

    Args:
        handler: answers the requests that are not refused.
        names: the names and addresses of this host, in the form of ``host_name``.
    """

    def __init__(self, handler: Callable[[Request], Answer], names: Iterable[str]) -> None:
        self._handler = handler
        self._names = frozenset(names) - _WILDCARDS

    def __call__(self, request: Request) -> Answer:
        host, origin = request.headers.get("host", ""), request.headers.get("origin")
        if _name(host) not in self._names:
            problem = "the Host {!r} is not at home here; at home are {}; to let others in, name them with " \
                      "--allow-host or LocalCloud(allow_hosts=...)".format(host, ", ".join(sorted(self._names)))
        elif origin is not None and origin.lower() not in ("http://" + host.lower(), "https://" + host.lower()):
            problem = "a page of the Origin {!r} may not ask the Host {!r}".format(origin, host)
        else:
            return self._handler(request)
        return json_answer(403, {"error": problem})


def is_from_own_page(request: Request) -> bool:
    """Whether a request that ``AtHome`` let through names the port that it reached, and a page may have sent it.

    Browsers name the page's origin in each POST request, so a POST request without ``Origin`` comes from no page.
    """
    host, has_origin = request.headers.get("host", ""), "origin" in request.headers
    return host.endswith(":{}".format(request.sock.getsockname()[1])) and (has_origin or request.method != "POST")


def _name(host: str) -> Optional[str]:
    """Return the name or address in the value of a Host header, without the port; None where there is none."""
    try:
        return host_name(re.sub(r":[0-9]{0,5}\Z", "", host))
    except ValueError:
        return None
