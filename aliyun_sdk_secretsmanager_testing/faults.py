"""Faults that a service of the local cloud can have, and which of them it has when."""
import math
import select
import socket
import threading
import time
from typing import Any, Callable, Dict, List, NamedTuple, Optional

from .http import Answer, Dropped, Pieces, Request, Reset

THROTTLING = "throttling"
FORBIDDEN = "forbidden"

_POLL_SECONDS = 0.05

Refuse = Callable[[Request, int, str], Answer]


class Fault:
    """One kind of fault; made by one of the class methods.

    Attributes:
        kind: its class method's name.
        settings: that method's arguments.
    """

    def __init__(self, kind: str, **settings: Any) -> None:
        self.kind = kind
        self.settings: Dict[str, Any] = settings

    def __repr__(self) -> str:
        shown = ", ".join("{}={!r}".format(*item) for item in sorted(self.settings.items()))
        return "Fault.{}({})".format(self.kind, shown)

    @classmethod
    def status(cls, status: int, code: str = "ServiceUnavailableTemporary") -> "Fault":
        """An error answer of the service's own shape.

        Args:
            status: HTTP status, 400 to 599.
            code: error code.
        """
        if not 400 <= status <= 599:
            raise ValueError("an error status is 400 to 599, not {}".format(status))
        return cls("status", status=status, code=code)

    @classmethod
    def throttling(cls) -> "Fault":
        """The service's own answer to too many requests (``Rejected.Throttling`` of Secrets Manager)."""
        return cls("throttling")

    @classmethod
    def forbidden(cls) -> "Fault":
        """The service's own answer to a caller without permission (``Forbidden.NoPermission`` of Secrets Manager)."""
        return cls("forbidden")

    @classmethod
    def html(cls, status: int = 200) -> "Fault":
        """A page, such as a proxy or a login portal sends it."""
        return cls("html", status=status)

    @classmethod
    def body(cls, body: bytes, status: int = 200, content_type: str = "application/json") -> "Fault":
        """Any answer."""
        return cls("body", body=body, status=status, content_type=content_type)

    @classmethod
    def reset(cls) -> "Fault":
        """The connection is reset (TCP RST) instead of an answer."""
        return cls("reset")

    @classmethod
    def hang(cls) -> "Fault":
        """No answer until the fault is cleared (then the right one), the cloud stops, or the client leaves."""
        return cls("hang")

    @classmethod
    def slow(cls, seconds: float) -> "Fault":
        """The right answer, that many seconds late (or when the fault is cleared)."""
        return cls("slow", seconds=_duration(seconds))

    @classmethod
    def drip(cls, seconds: float) -> "Fault":
        """The right answer, its body byte by byte over that many seconds (the rest at once if the fault is cleared)."""
        return cls("drip", seconds=_duration(seconds))

    @classmethod
    def cut(cls) -> "Fault":
        """The connection is closed before the whole of the right answer has been sent."""
        return cls("cut")

    @classmethod
    def refuse(cls) -> "Fault":
        """Nobody listens: connections are refused; open ones are closed."""
        return cls("refuse")

    @classmethod
    def expired_certificate(cls) -> "Fault":
        """HTTPS with a certificate that is out of date; open connections are closed."""
        return cls("expired_certificate")

    @classmethod
    def untrusted_certificate(cls) -> "Fault":
        """HTTPS with a certificate of an unknown authority; open connections are closed."""
        return cls("untrusted_certificate")

    @property
    def of_server(self) -> bool:
        """Whether it is a fault of the listening socket, which no request reaches."""
        return self.kind in ("refuse", "expired_certificate", "untrusted_certificate")

    def act(self, request: Request, released: threading.Event, answer: Callable[[], Answer], refuse: Refuse) -> Answer:
        """Treat one request with this fault.

        Args:
            released: set when the fault is cleared.
            answer: gives the right answer.
            refuse: gives an error answer of the service's shape, from status (0: the service's own) and code.

        Raises:
            Dropped: the connection ends without an answer.
        """
        return _ACTS[self.kind](self, request, released, answer, refuse)


def _duration(seconds: float) -> float:
    if not 0 <= seconds < math.inf:
        raise ValueError("seconds must be a number of 0 or more, not {!r}".format(seconds))
    return float(seconds)


def _status(fault: Fault, request: Request, _released: threading.Event, _answer: Callable[[], Answer],
            refuse: Refuse) -> Answer:
    return refuse(request, fault.settings["status"], fault.settings["code"])


def _throttling(_fault: Fault, request: Request, _released: threading.Event, _answer: Callable[[], Answer],
                refuse: Refuse) -> Answer:
    return refuse(request, 0, THROTTLING)


def _forbidden(_fault: Fault, request: Request, _released: threading.Event, _answer: Callable[[], Answer],
               refuse: Refuse) -> Answer:
    return refuse(request, 0, FORBIDDEN)


def _html(fault: Fault, _request: Request, _released: threading.Event, _answer: Callable[[], Answer],
          _refuse: Refuse) -> Answer:
    page = b"<html><head><title>Bad Gateway</title></head><body><h1>nginx</h1></body></html>"
    return Answer(fault.settings["status"], page, {"Content-Type": "text/html"}, code="html")


def _body(fault: Fault, _request: Request, _released: threading.Event, _answer: Callable[[], Answer],
          _refuse: Refuse) -> Answer:
    return Answer(fault.settings["status"], fault.settings["body"], {"Content-Type": fault.settings["content_type"]},
                  code="body")


def _reset(_fault: Fault, _request: Request, _released: threading.Event, _answer: Callable[[], Answer],
           _refuse: Refuse) -> Answer:
    raise Reset("reset")


def _hang(_fault: Fault, request: Request, released: threading.Event, answer: Callable[[], Answer],
          _refuse: Refuse) -> Answer:
    _wait(request.sock, math.inf, released)
    return answer()


def _slow(fault: Fault, request: Request, released: threading.Event, answer: Callable[[], Answer],
          _refuse: Refuse) -> Answer:
    _wait(request.sock, fault.settings["seconds"], released)
    return answer()


def _drip(fault: Fault, request: Request, released: threading.Event, answer: Callable[[], Answer],
          _refuse: Refuse) -> Answer:
    whole = answer()
    body = _whole_body(whole)

    def drops() -> Pieces:
        for index in range(len(body)):
            _wait(request.sock, fault.settings["seconds"] / len(body), released)
            if released.is_set():
                yield body[index:]
                return
            yield body[index:index + 1]

    whole.body = drops()
    return whole


def _cut(_fault: Fault, request: Request, _released: threading.Event, answer: Callable[[], Answer],
         _refuse: Refuse) -> Answer:
    whole = answer()
    body = _whole_body(whole)
    # An answer without a body promises one too: half of nothing could not be told from the whole.
    whole.headers["Content-Length"] = str(len(body) + 1)
    request.drain()

    def half() -> Pieces:
        yield body[:len(body) // 2]
        raise Dropped("cut")

    whole.body = half()
    return whole


_ACTS = {"status": _status, "throttling": _throttling, "forbidden": _forbidden, "html": _html, "body": _body,
         "reset": _reset, "hang": _hang, "slow": _slow, "drip": _drip, "cut": _cut}


def _whole_body(answer: Answer) -> bytes:
    return answer.body if isinstance(answer.body, bytes) else b"".join(answer.body)


def _wait(sock: socket.socket, seconds: float, released: threading.Event) -> None:
    """Wait in real time, whatever the cloud's clock says, for the client waits in real time too.

    Raises:
        Dropped: the client left meanwhile.
    """
    deadline = time.monotonic() + seconds
    while not released.is_set():
        left = deadline - time.monotonic()
        if left <= 0:
            break
        released.wait(min(left, _POLL_SECONDS))
        if _peer_left(sock):
            break
    if _peer_left(sock):
        raise Dropped("the client left")


def _peer_left(sock: socket.socket) -> bool:
    # Only Linux tells of a peer that left while there is still unread data; elsewhere a hanging request stays
    # until it is let go.
    hangup = getattr(select, "POLLRDHUP", 0)
    if not hangup:
        return False
    poll = select.poll()
    poll.register(sock, hangup)
    return bool(poll.poll(0))


class Span(NamedTuple):
    """When something was so: from ``start`` to before ``end``, monotonic seconds."""

    start: float
    end: float

    def holds(self, moment: float) -> bool:
        return self.start <= moment < self.end


class Injection:
    """A fault in force at one service (and region) for a time."""

    def __init__(self, fault: Fault, service: str, region: Optional[str], quota: "Quota", started: float) -> None:
        self.fault = fault
        self.service = service
        self.region = region
        self.quota = quota
        self.span = Span(started, math.inf)
        self.released = threading.Event()

    @property
    def active(self) -> bool:
        """Whether it is in force still."""
        return self.span.end == math.inf


class Quota:
    """How many requests a fault still has for all its regions together; None is any number."""

    def __init__(self, left: Optional[int]) -> None:
        self.left = left


class FaultBoard:
    """The faults in force and those that were.

    Where a service has several, the first injected acts first; one without a count acts until it is cleared.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._injections: List[Injection] = []

    def inject(self, fault: Fault, service: str, regions: List[Optional[str]], times: Optional[int],
               now: float) -> None:
        """Put a fault in force."""
        quota = Quota(times)
        with self._lock:
            self._injections += [Injection(fault, service, region, quota, now) for region in regions]

    def take(self, service: str, region: Optional[str], now: float) -> Optional[Injection]:
        """The fault that the next request meets; one that has a count is counted down."""
        with self._lock:
            for injection in self._injections:
                if injection.active and not injection.fault.of_server and injection.service == service \
                        and injection.region in (None, region):
                    self._count_down(injection.quota, now)
                    return injection
        return None

    def clear(self, service: Optional[str], region: Optional[str], now: float) -> None:
        """End faults, and let their hanging requests go."""
        with self._lock:
            for injection in self._injections:
                if service in (None, injection.service) and region in (None, injection.region):
                    self._end(injection, now)
                    injection.released.set()

    def of_server(self, service: str, region: Optional[str]) -> List[str]:
        """The kinds of the socket faults in force at a service."""
        with self._lock:
            return [injection.fault.kind for injection in self._injections
                    if injection.active and injection.fault.of_server and injection.service == service
                    and injection.region == region]

    def spans(self, service: str, region: Optional[str], kind: Optional[str] = None) -> List[Span]:
        """When a service had faults, or faults of one kind."""
        with self._lock:
            return [injection.span for injection in self._injections
                    if injection.service == service and injection.region == region
                    and kind in (None, injection.fault.kind)]

    def _count_down(self, quota: Quota, now: float) -> None:
        if quota.left is None:
            return
        quota.left -= 1
        if quota.left == 0:
            for injection in self._injections:
                if injection.quota is quota:
                    self._end(injection, now)

    @staticmethod
    def _end(injection: Injection, now: float) -> None:
        if injection.active:
            injection.span = injection.span._replace(end=now)
