"""Reading the bodies of requests piece by piece, so that no body is in memory as a whole."""
import re
from typing import Any

_LONGEST_LINE = 4096


class Incoming:
    """A request's body that is being read.

    Args:
        rfile: the file of the connection.
    """

    def __init__(self, rfile: Any) -> None:
        self._rfile = rfile

    def read(self, most: int) -> bytes:
        """Return the next bytes: at least one and not more than ``most``, or none at the end.

        Raises:
            ValueError: the body is malformed or ended early, as the message says.
        """
        raise NotImplementedError

    def _read(self, size: int) -> bytes:
        data: bytes = self._rfile.read(size)
        if len(data) < size:
            raise ValueError("the body ended early")
        return data


class KnownLength(Incoming):
    """A body with a Content-Length."""

    def __init__(self, rfile: Any, length: int) -> None:
        super().__init__(rfile)
        self._left = length

    def read(self, most: int) -> bytes:
        if self._left < 0:
            raise ValueError("a negative Content-Length")
        data = self._read(min(most, self._left))
        self._left -= len(data)
        return data


class Chunked(Incoming):
    """A body in chunks; a chunk may be larger than the pieces that are read."""

    def __init__(self, rfile: Any) -> None:
        super().__init__(rfile)
        self._left = 0
        self._ended = False

    def read(self, most: int) -> bytes:
        if self._ended:
            return b""
        if not self._left:
            self._left = self._next_size()
            if not self._left:
                self._read_trailers()
                return b""
        data = self._read(min(most, self._left))
        self._left -= len(data)
        if not self._left and self._read(2) != b"\r\n":
            raise ValueError("broken chunks")
        return data

    def _next_size(self) -> int:
        match = re.match(rb"^([0-9A-Fa-f]{1,15})[ \t]*(;.*)?$", self._line())
        if match is None:
            raise ValueError("broken chunks")
        return int(match.group(1), 16)

    def _read_trailers(self) -> None:
        self._ended = True
        while self._line():
            pass

    def _line(self) -> bytes:
        line: bytes = self._rfile.readline(_LONGEST_LINE)
        if not line.endswith(b"\r\n"):
            raise ValueError("broken chunks" if line else "the body ended early")
        return line[:-2]
