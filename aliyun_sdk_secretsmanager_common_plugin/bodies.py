"""Bodies of requests that can be sent again, whole or not at all."""

import inspect
import tempfile
from typing import IO, TYPE_CHECKING, Any, AsyncIterator, Awaitable, Callable, Iterator, Optional, Union

from .exceptions import ReplayError

if TYPE_CHECKING:
    from asyncio import Future, Task

_CHUNK = 64 * 1024


class ReplayableBody:
    """The body of a request, as it was given; ``rewind`` makes it so again.

    Bytes and what can seek cost nothing until then. What can be read only once is kept on a tape while it is sent.

    Args:
        data: the body that an SDK is about to send.
        buffer_bytes: how much of a body that can be read only once is kept in memory.
        spool_bytes: how much of it is kept, beyond that, in a temporary file; 0 is none.

    Attributes:
        data: what to send instead of the given body; the same, unless it can be read only once.
    """

    def __init__(self, data: Any, buffer_bytes: int, spool_bytes: int) -> None:
        self.data = data
        self._seekable: Any = None
        self._position = 0
        self._tape: Optional[Tape] = None
        self._fixed = False
        if data is None or isinstance(data, (bytes, bytearray, memoryview, str)):
            return
        if can_seek(data):
            self._seekable, self._position = data, data.tell()
        elif self._can_be_taped(data):
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
        return None

    def close(self) -> None:
        """Let go of what was kept."""
        if self._tape is not None:
            self._tape.close()

    def _can_be_taped(self, data: Any) -> bool:
        return hasattr(data, "read") or hasattr(data, "__iter__") or hasattr(data, "__aiter__")


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
        self._forget()

    def _give(self, most: int) -> bytes:
        chunk = self._kept.read(most)
        self._given += len(chunk)
        return chunk

    def _keep(self, given: Union[bytes, str]) -> bytes:
        chunk = given.encode("utf-8") if isinstance(given, str) else given
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
                self._forget()
        return chunk

    def _forget(self) -> None:
        self._kept.close()
        self._size = self._given = 0


class IterableTape(Tape):
    """A tape of what can be iterated."""

    _iterator: Optional[Iterator[Any]] = None

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
            return given + self._keep(self._source.read()) if everything else given
        return self._keep(self._source.read() if everything else self._source.read(amt))


class IterableFileTape(FileTape, IterableTape):
    """A tape of what has both; requests looks for both, and prefers one or the other."""


class _AsyncTape(Tape):
    """A tape of what is awaited, in a task of its own that begins with the first piece and ends with the tape.

    An attempt may be cancelled meanwhile, and the next goes on; a generator runs in one task and context all along.
    """

    _iterator: Any = None
    _reads: Any = None
    _reader: "Optional[Task[None]]" = None
    _pending: "Optional[Future[Any]]" = None

    def close(self) -> None:
        """Let go of what was kept, and of the source."""
        super().close()
        if self._reader is not None:
            self._reader.cancel()

    async def _read(self, read: Callable[[], Awaitable[Any]]) -> bytes:
        import asyncio

        if self._reader is None:
            self._reads = asyncio.Queue()
            self._reader = asyncio.ensure_future(self._run())
        if self._pending is None:
            self._pending = asyncio.get_event_loop().create_future()
            self._reads.put_nowait((read, self._pending))
        pending = self._pending
        await asyncio.wait([pending, self._reader], return_when=asyncio.FIRST_COMPLETED)
        if not pending.done():
            raise asyncio.CancelledError
        chunk = pending.result()
        self._pending = None
        return self._keep(chunk)

    async def _run(self) -> None:
        try:
            while True:
                read, pending = await self._reads.get()
                try:
                    pending.set_result(await read())
                except Exception as error:
                    pending.set_exception(error)
                    return
        finally:
            if hasattr(self._iterator, "aclose"):
                await self._iterator.aclose()


class AsyncFileTape(_AsyncTape):
    """A tape of what has a ``read`` to be awaited."""

    async def read(self, amt: Optional[int] = None) -> bytes:
        """Return up to ``amt`` bytes, all that is left if None or negative."""
        everything = amt is None or amt < 0
        if self._given < self._size:
            given = self._give(self._size if everything else amt or 0)
            return given + await self._read(self._source.read) if everything else given
        return await self._read(self._source.read if everything else lambda: self._source.read(amt))


class AsyncIterableTape(_AsyncTape):
    """A tape of what can be iterated by ``async for``."""

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        if self._given < self._size:
            return self._give(_CHUNK)
        if self._iterator is None:
            self._iterator = self._source.__aiter__()
        return await self._read(self._iterator.__anext__)


def _tape(source: Any, buffer_bytes: int, spool_bytes: int) -> Tape:
    if not hasattr(source, "read"):
        made: Any = AsyncIterableTape if hasattr(source, "__aiter__") else IterableTape
    elif inspect.iscoroutinefunction(source.read):
        made = AsyncFileTape
    else:
        made = IterableFileTape if hasattr(source, "__iter__") else FileTape
    return made(source, buffer_bytes, spool_bytes)  # type: ignore[no-any-return]


def can_seek(data: Any) -> bool:
    """Return whether a body can be rewound by ``seek``, without awaiting it."""
    return (
        hasattr(data, "seek")
        and hasattr(data, "tell")
        and not inspect.iscoroutinefunction(data.tell)
        and bool(getattr(data, "seekable", lambda: True)())
    )
