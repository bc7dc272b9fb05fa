"""HTTP as the services of the local cloud see it: requests, with nothing decoded that is signed, and answers."""
import errno
import socket
import struct
from typing import Any, Callable, Dict, Generator, Iterator, List, Optional, Tuple, Union
from urllib.parse import unquote_plus

from .incoming import Chunked, Incoming, KnownLength

Pieces = Generator[bytes, None, None]
Pairs = List[Tuple[str, Optional[str]]]

PIECE = 64 * 1024

# What becomes of the connection after an early answer.
CLOSED = "closed"
DRAINED = "drained"
HALF_CLOSED = "half-closed"
EARLY = (CLOSED, DRAINED, HALF_CLOSED)


class Dropped(ConnectionResetError):
    """The connection ends without a (whole) answer: by a fault, by the cloud's stop, or because the client left.

    Args:
        why: one word or so, for the log.
    """

    def __init__(self, why: str) -> None:
        # cheroot takes this number for a client that left, and sends nothing more.
        super().__init__(errno.ECONNRESET, why)
        self.why = why

    def end(self, sock: socket.socket) -> None:
        """Do what this end of the connection needs beyond closing it."""


class Reset(Dropped):
    """The connection ends with a TCP RST."""

    def end(self, sock: socket.socket) -> None:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        sock.close()


class Unanswered(Dropped):
    """The connection ends without an answer because the service was told to give none."""


class Watch:
    """Follows a request's body as it comes; this one does nothing."""

    def room(self) -> int:
        """How many bytes may come before it is asked again; at least one."""
        return PIECE

    def came(self, piece: bytes) -> None:
        """More of the body has come."""

    def ended(self) -> None:
        """All of the body has come. May raise the service's error."""


class Request:
    """One request, parsed by cheroot.

    Attributes:
        method: upper case.
        path: of the request line, still percent-encoded.
        query: decoded, in order; the value is None where there is no ``=``.
        headers: by lower-case name; text is latin-1, as on the wire.
        sock: the connection, for faults.
        watch: is told of the body as it comes.
        body_ended: whether all of the body has been read.
    """

    def __init__(self, parsed: Any) -> None:
        self.method: str = parsed.method.decode("latin-1")
        self.target: str = parsed.uri.decode("latin-1")
        self.path, _, query = self.target.partition("?")
        self.query = decoded_pairs(query)
        self.headers: Dict[str, str] = {name.decode("latin-1").lower(): value.decode("latin-1")
                        for name, value in parsed.inheaders.items()}
        self.sock: socket.socket = parsed.conn.socket
        self.watch = Watch()
        self.body_ended = False
        rfile = parsed.conn.rfile
        self._incoming: Incoming = Chunked(rfile) if parsed.chunked_read else KnownLength(
            rfile, int(self.headers.get("content-length", 0)))
        self._body: Optional[bytes] = None

    def parameter(self, name: str) -> Optional[str]:
        """The first value of a query parameter; empty where it has none, None where it is absent."""
        for key, value in self.query:
            if key == name:
                return value or ""
        return None

    @property
    def has_body(self) -> bool:
        """Whether a body has been announced, be it of no bytes in chunks."""
        return self.headers.get("content-length", "0") != "0" or "transfer-encoding" in self.headers

    def pieces(self) -> Iterator[bytes]:
        """The body, once, in pieces of at most 64 KiB.

        Raises:
            Dropped: the client left before the end of its body.
        """
        while not self.body_ended:
            try:
                piece = self._incoming.read(min(PIECE, self.watch.room()))
            except ValueError as error:
                raise Dropped(str(error)) from None
            if not piece:
                self.body_ended = True
                self.watch.ended()
                return
            self.watch.came(piece)
            yield piece

    def body(self) -> bytes:
        """The whole body, for small ones."""
        if self._body is None:
            self._body = b"".join(self.pieces())
        return self._body

    def drain(self) -> None:
        """Read what is left of the body and forget it, so that the client can read the answer."""
        for _ in self.pieces():
            pass


class Answer:
    """What a service answers.

    Args:
        status: HTTP status.
        body: bytes, or pieces with a ``Content-Length`` among the headers.
        code: the service's error code, for the log.
        given: the AccessKey id that the answer hands out, for the log.

    Attributes:
        early: one of ``EARLY`` where the answer does not wait for the request's body; else None.
        unsent: called where the connection ends before a body of bytes has been sent.
    """

    def __init__(self, status: int, body: Union[bytes, Pieces] = b"",
                 headers: Optional[Dict[str, str]] = None, code: str = "", given: Optional[str] = None) -> None:
        self.status = status
        self.body = body
        self.headers = dict(headers or {})
        self.code = code
        self.given = given
        self.early: Optional[str] = None
        self.unsent: Callable[[], Any] = lambda: None
        if isinstance(body, bytes):
            self.headers.setdefault("Content-Length", str(len(body)))


def decoded_pairs(text: str) -> Pairs:
    """Split and decode a query or an ``application/x-www-form-urlencoded`` body.

    Bytes that are no UTF-8 survive as surrogates, so that a signature over them can still be checked.
    """
    pairs: Pairs = []
    for piece in text.split("&"):
        if piece:
            name, equals, value = piece.partition("=")
            pairs.append((_decoded(name), _decoded(value) if equals else None))
    return pairs


def _decoded(text: str) -> str:
    return unquote_plus(text, errors="surrogateescape")


def wire(text: str) -> bytes:
    """Decoded text (of a query or a path) as the bytes that were sent."""
    return text.encode("utf-8", "surrogateescape")
