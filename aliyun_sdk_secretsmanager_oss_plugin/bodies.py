"""Bodies of requests that can be sent again, whole or not at all."""

import tempfile
from typing import IO, Any, Dict, Iterator, List, Optional, Tuple

from oss2 import utils
from oss2.compat import to_bytes

from aliyun_sdk_secretsmanager_common_plugin import ReplayError

# oss2 wraps a body in adapters, one in another, that count, report progress, compute the crc and encrypt: the class of
# each, and the attribute that holds what it reads from.
INNER = {
    utils._BytesAndFileAdapter: "data",
    utils._FileLikeAdapter: "fileobj",
    utils._IterableAdapter: "iter",
    utils.SizedFileAdapter: "file_object",
}
# What an adapter changes while it is read, besides its crc.
_STATE = ("offset", "discard", "read_all")
_CHUNK = 64 * 1024


class ReplayableBody:
    """The body of a request, as it was given; ``rewind`` makes it so again.

    The adapters are rewound, not replaced, since oss2 reads the crc of the outermost after the call. Bytes and what can
    seek cost nothing until then. What can be read only once is kept on a tape while it is sent, and so is what an
    encrypting adapter gives, since its cipher cannot go back.

    Args:
        data: the body that oss2 is about to send.
        buffer_bytes: how much of a body that can be read only once is kept in memory.
        spool_bytes: how much of it is kept, beyond that, in a temporary file; 0 is none.

    Attributes:
        data: what to send instead of the given body; the same, unless it can be read only once.
    """

    def __init__(self, data: Any, buffer_bytes: int, spool_bytes: int) -> None:
        self.data = data
        self._adapters: List[Tuple[Any, Dict[str, Any], Optional[int]]] = []
        self._seekable: Any = None
        self._position = 0
        self._tape: Optional[Tape] = None
        self._fixed = False
        outer = None
        while type(data) in INNER and getattr(data, "cipher_callback", None) is None:
            self._note(data)
            outer, data = data, getattr(data, INNER[type(data)])
        if data is None or isinstance(data, (bytes, bytearray, memoryview, str)):
            return
        if hasattr(data, "seek") and hasattr(data, "tell") and getattr(data, "seekable", lambda: True)():
            self._seekable, self._position = data, data.tell()
        elif outer is not None:
            self._tape = _tape(data, buffer_bytes, spool_bytes)
            setattr(outer, INNER[type(outer)], self._tape)
        elif (hasattr(data, "read") or hasattr(data, "__iter__")) and not hasattr(data, "__len__") \
                and not hasattr(data, "seek"):
            self.data = self._tape = _tape(data, buffer_bytes, spool_bytes)
        else:
            self._fixed = True

    def rewind(self) -> Optional[ReplayError]:
        """Make the body what it was at first, or return why that cannot be."""
        if self._fixed:
            return ReplayError("a body of this kind can be read only once; give bytes, an open file or a generator")
        if self._tape is not None and self._tape.lost is not None:
            return self._tape.lost
        if self._seekable is not None:
            self._seekable.seek(self._position)
        if self._tape is not None:
            self._tape.rewind()
        for adapter, state, crc in self._adapters:
            vars(adapter).update(state)
            if crc is not None:
                adapter.crc_callback = type(adapter.crc_callback)(crc)
            # The other adapters report how much was read before they read, so 0 at first, themselves.
            if isinstance(adapter, utils._BytesAndFileAdapter) and adapter.progress_callback is not None:
                adapter.progress_callback(0, adapter.size)
        return None

    def close(self) -> None:
        """Let go of what was kept."""
        if self._tape is not None:
            self._tape.close()

    def _note(self, adapter: Any) -> None:
        state = {name: value for name, value in vars(adapter).items() if name in _STATE}
        crc_callback = getattr(adapter, "crc_callback", None)
        self._adapters.append((adapter, state, None if crc_callback is None else crc_callback.crc))


class Tape:
    """What a source gives, kept while it is read, so that it can be given once more.

    Attributes:
        lost: why it cannot be, when more was read than is kept.
    """

    def __init__(self, source: Any, buffer_bytes: int, spool_bytes: int) -> None:
        self._source = source
        self._most = max(buffer_bytes, spool_bytes)
        self._kept: IO[bytes] = tempfile.SpooledTemporaryFile(max_size=buffer_bytes)  # noqa: SIM115
        self._size = 0
        self._given = 0  # how much of what is kept was given in this attempt
        self.lost: Optional[ReplayError] = None

    def __getattr__(self, name: str) -> Any:
        # Such as ``len``, by which requests tells the Content-Length.
        return getattr(self._source, name)

    def rewind(self) -> None:
        """Give everything once more, from the beginning."""
        self._kept.seek(0)
        self._given = 0

    def close(self) -> None:
        """Let go of what was kept."""
        self.lost = self.lost or ReplayError("the body was let go of")
        self._kept.close()
        self._size = self._given = 0

    def _give(self, most: int) -> bytes:
        chunk = self._kept.read(most)
        self._given += len(chunk)
        return chunk

    def _keep(self, chunk: bytes) -> bytes:
        if self.lost is None:
            self._size += len(chunk)
            self._given = self._size
            if self._size > self._most:
                self.lost = ReplayError(
                    "the body can be read only once and is larger than the {} bytes that are kept for a replay; set "
                    "replay_spool_bytes, in the properties file or as an argument".format(self._most)
                )
            else:
                try:
                    self._kept.write(chunk)
                except OSError as error:
                    self.lost = ReplayError(
                        "the body can be read only once and could not be kept in a temporary file: {}".format(error)
                    )
            if self.lost is not None:
                self.close()
        return chunk


class IterableTape(Tape):
    """A tape of what can be iterated."""

    _iterator: Optional[Iterator[bytes]] = None

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        if self._given < self._size:
            return self._give(_CHUNK)
        if self._iterator is None:
            self._iterator = iter(self._source)
        return self._keep(next(self._iterator))


class FileTape(Tape):
    """A tape of what has ``read``."""

    def read(self, amt: Optional[int] = None) -> bytes:
        """Return up to ``amt`` bytes, all that is left if None or negative."""
        everything = amt is None or amt < 0
        if self._given < self._size:
            given = self._give(self._size if everything else amt or 0)
            return given + self._keep(to_bytes(self._source.read())) if everything else given
        return self._keep(to_bytes(self._source.read() if everything else self._source.read(amt)))


class IterableFileTape(FileTape, IterableTape):
    """A tape of what has both; requests looks for both, and prefers one or the other."""


def _tape(source: Any, buffer_bytes: int, spool_bytes: int) -> Tape:
    if not hasattr(source, "read"):
        return IterableTape(source, buffer_bytes, spool_bytes)
    return (IterableFileTape if hasattr(source, "__iter__") else FileTape)(source, buffer_bytes, spool_bytes)
