"""HTTP as the services of the local cloud see it: a request, of which nothing is lost that is signed, and an answer."""
import errno
import socket
import struct
from typing import Any, Dict, Generator, Iterator, List, Optional, Tuple, Union
from urllib.parse import unquote_plus

Pieces = Generator[bytes, None, None]
Pairs = List[Tuple[str, Optional[str]]]

PIECE = 64 * 1024


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


class Request:
    """One request, parsed by cheroot.

    Attributes:
        method: upper case.
        path: of the request line, still percent-encoded.
        query: decoded, in order; the value is None where there is no ``=``.
        headers: by lower-case name; text is latin-1, as on the wire.
        sock: the connection, for faults.
    """

    def __init__(self, parsed: Any) -> None:
        self.method: str = parsed.method.decode("latin-1")
        self.target: str = parsed.uri.decode("latin-1")
        self.path, _, query = self.target.partition("?")
        self.query = decoded_pairs(query)
        self.headers: Dict[str, str] = {name.decode("latin-1").lower(): value.decode("latin-1")
                                        for name, value in parsed.inheaders.items()}
        self.sock: socket.socket = parsed.conn.socket
        self._chunked: bool = parsed.chunked_read
        self._rfile = parsed.rfile
        self._drained = False
        self._body: Optional[bytes] = None

    def parameter(self, name: str) -> Optional[str]:
        """The first value of a query parameter; empty where it has none, None where it is absent."""
        for key, value in self.query:
            if key == name:
                return value or ""
        return None

    def pieces(self) -> Iterator[bytes]:
        """The body, once, in pieces of at most 64 KiB.

        Raises:
            Dropped: the client left before the end of its body.
        """
        while not self._drained:
            try:
                piece = self._rfile.read(PIECE)
                if not piece:
                    self._end()
                    return
            except ValueError:  # cheroot: broken chunks
                raise Dropped("broken body")
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

    def _end(self) -> None:
        self._drained = True
        if self._chunked:
            for _ in self._rfile.read_trailer_lines():
                pass
        elif self._rfile.remaining:
            raise Dropped("the body ended early")


class Answer:
    """What a service answers.

    Args:
        status: HTTP status.
        body: bytes, or pieces with a ``Content-Length`` among the headers.
        code: the service's error code, for the log.
        given: the AccessKey id that the answer hands out, for the log.
    """

    def __init__(self, status: int, body: Union[bytes, Pieces] = b"",
                 headers: Optional[Dict[str, str]] = None, code: str = "", given: Optional[str] = None) -> None:
        self.status = status
        self.body = body
        self.headers = dict(headers or {})
        self.code = code
        self.given = given
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
