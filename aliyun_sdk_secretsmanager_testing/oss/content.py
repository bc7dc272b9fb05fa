"""The bytes of objects, which are in a file from 1 MiB on, so that they need little memory."""
import functools
import hashlib
import tempfile
from typing import Any, Callable, Iterator

from ..guarded import Guarded
from ..http import PIECE, Pieces

_IN_MEMORY = 1024 * 1024


class Content(Guarded):
    """Bytes that can be appended to, with their MD5 and CRC-64 (ECMA-182, as in ``x-oss-hash-crc64ecma``)."""

    def __init__(self) -> None:
        super().__init__()
        self._file: Any = tempfile.SpooledTemporaryFile(max_size=_IN_MEMORY)  # noqa: SIM115 - lives as long as this
        self._md5 = hashlib.md5()  # nosec B324  # the ETag of OSS is one
        self.size = 0
        self.crc64 = 0

    @property
    def md5(self) -> bytes:
        """The digest of all bytes."""
        return self._md5.digest()

    def sha256(self) -> str:
        """Return the digest of all bytes in hexadecimal. It is computed here, since it is seldom needed."""
        digest = hashlib.sha256()
        for piece in self.pieces(0, self.size):
            digest.update(piece)
        return digest.hexdigest()

    def append(self, pieces: Iterator[bytes]) -> "Content":
        """Append bytes, and return this object."""
        for piece in pieces:
            with self.lock:
                self._file.seek(self.size)
                self._file.write(piece)
                self._md5.update(piece)
                self.crc64 = _crc64()(piece, self.crc64)
                self.size += len(piece)
        return self

    def pieces(self, start: int, stop: int) -> Pieces:
        """Yield the bytes from ``start`` to before ``stop`` in pieces."""
        while start < stop:
            with self.lock:
                self._file.seek(start)
                piece: bytes = self._file.read(min(PIECE, stop - start))
            yield piece
            start += len(piece)

    def read(self, start: int, stop: int) -> bytes:
        """Return the bytes from ``start`` to before ``stop``."""
        return b"".join(self.pieces(start, stop))


@functools.lru_cache(maxsize=None)
def _crc64() -> Callable[[bytes, int], int]:
    import crcmod
    crc: Callable[[bytes, int], int] = crcmod.mkCrcFun(0x142F0E1EBA9EA3693, initCrc=0, rev=True,
                                                       xorOut=0xFFFFFFFFFFFFFFFF)
    return crc
