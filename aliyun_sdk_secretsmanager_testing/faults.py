"""The faults that services of the local cloud can have, and when each service has which."""
import math
import select
import socket
import threading
import time
from typing import Any, Callable, Dict, List, NamedTuple, Optional

from .guarded import Guarded
from .http import Answer, Dropped, Pieces, Request, Reset

THROTTLING = "throttling"
FORBIDDEN = "forbidden"

_POLL_SECONDS = 0.05
_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"

Refuse = Callable[[Request, int, str], Answer]


class Fault:
    """A fault of a service. The class methods make them.

    Attributes:
        kind: the name of the class method.
        settings: the arguments of the class method.
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

        Raises:
            ValueError: the status is another one.
        """
        return cls("status", status=_checked_status(status, 400), code=code)

    @classmethod
    def throttling(cls) -> "Fault":
        """The service's own error for too many requests, ``Rejected.Throttling`` for Secrets Manager."""
        return cls("throttling")

    @classmethod
    def forbidden(cls) -> "Fault":
        """The service's own error for a missing permission, ``Forbidden.NoPermission`` for Secrets Manager."""
        return cls("forbidden")

    @classmethod
    def html(cls, status: int = 200) -> "Fault":
        """An HTML page, as a proxy or a login portal sends it.

        Args:
            status: HTTP status, 200 to 599.
        """
        return cls("html", status=_checked_status(status, 200))

    @classmethod
    def body(cls, body: bytes, status: int = 200, content_type: str = "application/json") -> "Fault":
        """An answer with any body.

        Args:
            body: the body.
            status: HTTP status, 200 to 599.
            content_type: the header ``Content-Type``.
        """
        return cls("body", body=body, status=_checked_status(status, 200), content_type=content_type)

    @classmethod
    def reset(cls) -> "Fault":
        """No answer; the connection is reset (TCP RST)."""
        return cls("reset")

    @classmethod
    def hang(cls) -> "Fault":
        """No answer until the fault is cleared, and then the right one."""
        return cls("hang")

    @classmethod
    def slow(cls, seconds: float) -> "Fault":
        """The right answer, late: after that many seconds, or once the fault is cleared."""
        return cls("slow", seconds=_checked_seconds(seconds))

    @classmethod
    def drip(cls, seconds: float) -> "Fault":
        """The right answer, but its body comes byte by byte over that many seconds.

        Once the fault is cleared, the rest comes at once.
        """
        return cls("drip", seconds=_checked_seconds(seconds))

    @classmethod
    def drip_head(cls, seconds: float) -> "Fault":
        """The right answer, but its status line and headers come byte by byte over that many seconds.

        The body then comes at once. Once the fault is cleared, so does the rest of the headers.
        """
        return cls("drip_head", seconds=_checked_seconds(seconds))

    @classmethod
    def continues(cls) -> "Fault":
        """``100 Continue`` again and again until the fault is cleared, and then the right answer."""
        return cls("continues")

    @classmethod
    def cut(cls) -> "Fault":
        """Half of the right answer; then the connection is closed."""
        return cls("cut")

    @classmethod
    def refuse(cls) -> "Fault":
        """New connections are refused, and open ones are closed."""
        return cls("refuse")

    @classmethod
    def expired_certificate(cls) -> "Fault":
        """The server's certificate has expired; open connections are closed."""
        return cls("expired_certificate")

    @classmethod
    def untrusted_certificate(cls) -> "Fault":
        """The server's certificate is of an unknown authority; open connections are closed."""
        return cls("untrusted_certificate")

    @property
    def of_server(self) -> bool:
        """Whether it is a fault of the listening socket, so that no request reaches the service."""
        return self.kind in ("refuse", "expired_certificate", "untrusted_certificate")

    def act(self, request: Request, released: threading.Event, answer: Callable[[], Answer], refuse: Refuse) -> Answer:
        """Answer one request the way this fault does.

        Args:
            request: the request.
            released: is set when the fault is cleared.
            answer: makes the right answer.
            refuse: makes an error answer of the service's own shape, from a status and a code. With status 0 the
                code is ``THROTTLING`` or ``FORBIDDEN``, and the service chooses its own status and code.

        Returns:
            What is sent.

        Raises:
            Dropped: the connection ends without an answer.
        """
        answered: Answer = getattr(_Meeting(self, request, released, answer, refuse), self.kind)()
        return answered


class _Meeting:
    """One request that meets a fault; for each kind of fault it has the method of that name."""

    def __init__(self, fault: Fault, request: Request, released: threading.Event, answer: Callable[[], Answer],
                 refuse: Refuse) -> None:
        self._settings = fault.settings
        self._request = request
        self._released = released
        self._answer = answer
        self._refuse = refuse

    def status(self) -> Answer:
        return self._refuse(self._request, self._settings["status"], self._settings["code"])

    def throttling(self) -> Answer:
        return self._refuse(self._request, 0, THROTTLING)

    def forbidden(self) -> Answer:
        return self._refuse(self._request, 0, FORBIDDEN)

    def html(self) -> Answer:
        page = b"<html><head><title>Bad Gateway</title></head><body><h1>nginx</h1></body></html>"
        return Answer(self._settings["status"], page, {"Content-Type": "text/html"}, code="html")

    def body(self) -> Answer:
        return Answer(self._settings["status"], self._settings["body"],
                      {"Content-Type": self._settings["content_type"]}, code="body")

    def reset(self) -> Answer:
        raise Reset("reset")

    def hang(self) -> Answer:
        self._wait(math.inf)
        return self._answer()

    def slow(self) -> Answer:
        self._wait(self._settings["seconds"])
        return self._answer()

    def drip(self) -> Answer:
        answer = self._answer()
        answer.body = self._drops(_whole_body(answer))
        return answer

    def drip_head(self) -> Answer:
        answer = self._answer()
        answer.head_pieces = self._drops
        return answer

    def continues(self) -> Answer:
        while not self._released.is_set():
            self._wait(_POLL_SECONDS)
            self._request.sock.sendall(_CONTINUE)
        return self._answer()

    def cut(self) -> Answer:
        answer = self._answer()
        body = _whole_body(answer)
        # One byte more than there is, so that an empty body is cut short, too.
        answer.headers["Content-Length"] = str(len(body) + 1)
        self._request.drain()

        def half() -> Pieces:
            yield body[:len(body) // 2]
            raise Dropped("cut")

        answer.body = half()
        return answer

    def _drops(self, whole: bytes) -> Pieces:
        for index in range(len(whole)):
            self._wait(self._settings["seconds"] / len(whole))
            if self._released.is_set():
                yield whole[index:]
                return
            yield whole[index:index + 1]

    def _wait(self, seconds: float) -> None:
        """Wait until the time is over or the fault is cleared.

        This is real time whatever the cloud's clock says, for the client waits in real time, too.

        Raises:
            Dropped: the client left meanwhile.
        """
        sock = self._request.sock
        deadline = time.monotonic() + seconds
        while not self._released.is_set() and time.monotonic() < deadline and not _peer_left(sock):
            self._released.wait(max(0.0, min(deadline - time.monotonic(), _POLL_SECONDS)))
        if _peer_left(sock):
            raise Dropped("the client left")


def _whole_body(answer: Answer) -> bytes:
    return answer.body if isinstance(answer.body, bytes) else b"".join(answer.body)


def _peer_left(sock: socket.socket) -> bool:
    # Only Linux reports a peer that left while there is still unread data. Elsewhere a hanging request stays until
    # the fault is cleared.
    hangup = getattr(select, "POLLRDHUP", 0)
    if not hangup:
        return False
    poll = select.poll()
    poll.register(sock, hangup)
    return bool(poll.poll(0))


def _checked_seconds(seconds: float) -> float:
    if not 0 <= seconds < math.inf:
        raise ValueError("seconds must be a number of 0 or more, not {!r}".format(seconds))
    return float(seconds)


def _checked_status(status: int, least: int) -> int:
    if not least <= status <= 599:
        raise ValueError("the status must be {} to 599, not {!r}".format(least, status))
    return status


class Span(NamedTuple):
    """A time from ``start`` until just before ``end``, in monotonic seconds."""

    start: float
    end: float

    def holds(self, moment: float) -> bool:
        return self.start <= moment < self.end


class Quota:
    """How many more requests may meet a fault, in all its regions together; None is any number."""

    def __init__(self, left: Optional[int]) -> None:
        self.left = left


class Injection:
    """A fault of one service, or of one of its regions, and when it was active."""

    def __init__(self, fault: Fault, service: str, region: Optional[str], quota: Quota, started: float,
                 until: Optional[float]) -> None:
        self.fault = fault
        self.service = service
        self.region = region
        self.quota = quota
        self.span = Span(started, math.inf)
        self.until = until
        self.released = threading.Event()

    @property
    def active(self) -> bool:
        return self.span.end == math.inf

    def end(self, now: float) -> None:
        if self.active:
            self.span = self.span._replace(end=now)


class FaultBoard(Guarded):
    """The active faults and the former ones.

    Where a service has several, the one that was injected first acts first.
    """

    def __init__(self) -> None:
        super().__init__()
        self._injections: List[Injection] = []

    def inject(self, fault: Fault, service: str, regions: List[Optional[str]], times: Optional[int],
               now: float, until: Optional[float]) -> List[Injection]:
        """Make a fault active.

        Args:
            fault: the fault.
            service: the service that has it.
            regions: the regions that have it; ``[None]`` where the service has no regions.
            times: how many requests meet it; None is all until it is cleared.
            now: monotonic seconds.
            until: when it will be ended, in seconds since 1970, to be shown; None is not known.

        Returns:
            The fault in each of the regions.
        """
        quota = Quota(times)
        injected = [Injection(fault, service, region, quota, now, until) for region in regions]
        with self.lock:
            self._injections += injected
        return injected

    def active(self) -> List[Injection]:
        """Return the active faults, the oldest first."""
        with self.lock:
            return [injection for injection in self._injections if injection.active]

    def take(self, service: str, region: Optional[str], now: float) -> Optional[Injection]:
        """Return the fault that the next request of a service meets, and count that request."""
        with self.lock:
            for injection in self._injections:
                if injection.active and not injection.fault.of_server and injection.service == service \
                        and injection.region in (None, region):
                    self._count_down(injection.quota, now)
                    return injection
        return None

    def clear(self, service: Optional[str], region: Optional[str], now: float) -> None:
        """End faults, and let the requests go on that hang in them; None is all services, or all regions."""
        with self.lock:
            self.end([injection for injection in self._injections
                      if service in (None, injection.service) and region in (None, injection.region)], now)

    def end(self, injections: List[Injection], now: float) -> None:
        """End some faults, and let the requests go on that hang in them."""
        with self.lock:
            for injection in injections:
                injection.end(now)
                injection.released.set()

    def of_server(self, service: str, region: Optional[str]) -> List[str]:
        """Return the kinds of a service's active faults of the listening socket."""
        with self.lock:
            return [injection.fault.kind for injection in self._of(service, region)
                    if injection.active and injection.fault.of_server]

    def spans(self, service: str, region: Optional[str], kind: Optional[str] = None) -> List[Span]:
        """Return when a service had faults, or faults of one kind."""
        with self.lock:
            return [injection.span for injection in self._of(service, region) if kind in (None, injection.fault.kind)]

    def _of(self, service: str, region: Optional[str]) -> List[Injection]:
        return [injection for injection in self._injections
                if injection.service == service and injection.region == region]

    def _count_down(self, quota: Quota, now: float) -> None:
        if quota.left is None:
            return
        quota.left -= 1
        if quota.left == 0:
            for injection in self._injections:
                if injection.quota is quota:
                    injection.end(now)
