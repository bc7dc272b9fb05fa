"""HTTP requests and answers as the services of the local cloud see them. Nothing that is signed is decoded."""
import errno
import json
import socket
import struct
from typing import Any, Callable, Dict, Generator, Iterator, List, Optional, Tuple, Union
from urllib.parse import unquote_plus

from .incoming import Chunked, Incoming, KnownLength

Pieces = Generator[bytes, None, None]
Pairs = List[Tuple[str, Optional[str]]]

PIECE = 64 * 1024

# What the server does with the connection after an answer that did not wait for the body.
CLOSED = "closed"
DRAINED = "drained"
HALF_CLOSED = "half-closed"
EARLY = (CLOSED, DRAINED, HALF_CLOSED)


class Dropped(ConnectionResetError):
    """The connection ends without a whole answer: because of a fault, or because the cloud stops or the client left.

    Args:
        why: the reason in a word or two, for the log.
    """

    def __init__(self, why: str) -> None:
        # With this error number cheroot assumes that the client left, and sends nothing more.
        super().__init__(errno.ECONNRESET, why)
        self.why = why

    def end(self, sock: socket.socket) -> None:
        """Do what has to be done before the connection is closed."""


class Reset(Dropped):
    """The connection ends with a TCP RST."""

    def end(self, sock: socket.socket) -> None:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        sock.close()


class Unanswered(Dropped):
    """The connection ends without an answer because the service is set to give none."""


class Watch:
    """Is told about a request's body while that is read. This base class does nothing."""

    def room(self) -> int:
        """Return how many bytes may be read before this is called again; at least one."""
        return PIECE

    def came(self, piece: bytes) -> None:
        """Take note of bytes that were read."""

    def ended(self) -> None:
        """Take note of the end of the body. This may raise the service's error."""


class Request:
    """One request, parsed by cheroot.

    Attributes:
        method: in upper case.
        target: path and query as they were sent.
        path: still percent-encoded.
        query: decoded, in the order in which it was sent; a value is None where there is no ``=``.
        headers: by name in lower case, decoded as latin-1.
        sock: the connection.
        watch: is told about the body while that is read.
        body_ended: whether the body was read to its end.
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
        """Return the first value of a query parameter; empty where it has no value, None where it is absent."""
        for key, value in self.query:
            if key == name:
                return value or ""
        return None

    @property
    def has_body(self) -> bool:
        """Whether the headers announce a body; a chunked one may turn out to be empty."""
        return self.headers.get("content-length", "0") != "0" or "transfer-encoding" in self.headers

    def pieces(self) -> Iterator[bytes]:
        """Read the body, in pieces of at most 64 KiB.

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
        """Return the whole body, for services whose bodies are small."""
        if self._body is None:
            self._body = b"".join(self.pieces())
        return self._body

    def drain(self) -> None:
        """Read the rest of the body and discard it, so that the client can read the answer."""
        for _ in self.pieces():
            pass


class Answer:
    """The answer of a service.

    Args:
        status: HTTP status.
        body: bytes, or an iterator of pieces. With pieces, the headers must have a ``Content-Length``.
        headers: the headers.
        code: the service's error code, for the log.
        given: the AccessKey id that the answer contains, for the log.

    Attributes:
        early: one of ``EARLY`` where the answer does not wait for the request's body; else None.
        unsent: is called if the connection ends before the answer was sent; only for a body of bytes.
        head_pieces: divides status line and headers into pieces, and waits between them; None sends them at once.
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
        self.head_pieces: Optional[Callable[[bytes], Pieces]] = None
        if isinstance(body, bytes):
            self.headers.setdefault("Content-Length", str(len(body)))


def json_answer(status: int, document: Dict[str, Any], code: str = "", given: Optional[str] = None) -> Answer:
    """Return an answer whose body is JSON; see ``Answer``."""
    return Answer(status, json.dumps(document).encode("ascii"), {"Content-Type": "application/json"}, code, given)


def decoded_pairs(text: str) -> Pairs:
    """Split and decode a query or an ``application/x-www-form-urlencoded`` body.

    Bytes that are no UTF-8 become surrogates, so that a signature over them can still be checked.
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
    """Return the bytes that were sent for decoded text of a query or a path."""
    return text.encode("utf-8", "surrogateescape")
