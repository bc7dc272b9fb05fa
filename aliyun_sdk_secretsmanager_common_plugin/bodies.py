"""Bodies of requests that can be sent again, as a whole or not at all."""

import functools
import inspect
import io
import operator
import os
import tempfile
from collections.abc import Mapping
from typing import IO, TYPE_CHECKING, Any, AsyncIterator, Awaitable, Callable, Iterator, Optional, Tuple

from .exceptions import ReplayError

if TYPE_CHECKING:
    from asyncio import Future, Task

_CHUNK = 64 * 1024


class ReplayableBody:
    """The body of a request. ``rewind`` brings it back to where it was.

    Bytes and seekable bodies cost nothing until then. A body that can be read only once is recorded on a tape while it
    is sent. Errors of a body before it is sent are left to the SDK.

    Args:
        data: the body that an SDK is about to send.
        buffer_bytes: how many bytes of a body that can be read only once are kept in memory.
        spool_bytes: how many of them are kept in a temporary file instead, if there are more; 0 for none.

    Attributes:
        data: the body to send: the given one, or a tape of it.
    """

    def __init__(self, data: Any, buffer_bytes: int, spool_bytes: int) -> None:
        self.data = data
        self._given = data
        self._position: Optional[int] = None
        self._tape: Optional[Tape] = None
        self._is_one_way = False
        if data is None or _is_whole(data):
            return
        self._position = position_of(data)
        if self._position is None:
            self._tape = self._taped(data, buffer_bytes, spool_bytes)
            self._is_one_way = self._tape is None
            self.data = self._tape or data

    def rewind(self) -> Optional[ReplayError]:
        """Bring the body back to where it was at first, or return the reason why that is impossible."""
        if self._is_one_way:
            return ReplayError("a body of this kind can be read only once; give bytes, an open file or a generator")
        if self._tape is not None and self._tape.lost is not None:
            return self._tape.lost
        try:
            if self._position is not None and not _brought_back(self._given, self._position):
                return ReplayError("the seek() of the body did not bring it back to where it was")
            if self._tape is not None:
                self._tape.rewind()
        except Exception as error:
            failure = ReplayError("the body could not be brought back to where it was: {!r}".format(error))
            failure.__cause__ = error.with_traceback(None)  # its frames would keep the body alive
            return failure
        return None

    def close(self) -> None:
        """Release what the tape holds."""
        if self._tape is not None:
            self._tape.close()

    def _taped(self, data: Any, buffer_bytes: int, spool_bytes: int) -> "Optional[Tape]":
        """Return a tape to send instead of ``data``, or None if ``data`` itself must be sent."""
        return taped(data, buffer_bytes, spool_bytes)


class _Recording:
    """What a tape recorded: the first bytes in memory, and in a temporary file what has no room there.

    ``tempfile.SpooledTemporaryFile`` would write the first bytes once more, to the file.
    """

    def __init__(self, buffer_bytes: int) -> None:
        self._room = buffer_bytes
        self._memory = io.BytesIO()
        self._file: Optional[IO[bytes]] = None

    def write(self, chunk: Any) -> None:
        """Add bytes at the end, where everything that was written before has been read."""
        self._room -= memoryview(chunk).nbytes
        if self._room >= 0:
            self._memory.write(chunk)
            return
        if self._file is None:
            self._file = tempfile.TemporaryFile()  # noqa: SIM115
        self._file.write(chunk)

    def read(self, most: int) -> bytes:
        """Return the next bytes: ``most`` of them, or all that are left if these are fewer."""
        chunk = self._memory.read(most)
        if self._file is not None and len(chunk) < most:
            chunk += self._file.read(most - len(chunk))
        return chunk

    def rewind(self) -> None:
        """Read from the beginning again."""
        self._memory.seek(0)
        if self._file is not None:
            self._file.seek(0)

    def close(self) -> None:
        """Release memory and file."""
        self._memory.close()
        if self._file is not None:
            self._file.close()


class Tape:
    """Records a source while it is read, and plays it again after ``rewind``.

    Args:
        source: what is recorded.
        buffer_bytes, spool_bytes: as ``ReplayableBody`` takes them.

    Attributes:
        lost: why it cannot be played again, or None.
        len: the length of the source, if it is known. requests takes the Content-Length from it.
    """

    len: int

    def __init__(self, source: Any, buffer_bytes: int, spool_bytes: int) -> None:
        self._source = source
        self._most = max(buffer_bytes, spool_bytes)
        self._kept = _Recording(buffer_bytes)
        self._size = 0
        self._played = 0  # how many of the recorded bytes were played in this attempt
        self.lost: Optional[ReplayError] = None

    def rewind(self) -> None:
        """Play everything again from the beginning."""
        self._kept.rewind()
        self._played = 0

    def close(self) -> None:
        """Release what was recorded."""
        self.lost = self.lost or ReplayError("the body was closed")
        self._forget()

    def _play(self, most: int) -> bytes:
        chunk = self._kept.read(most)
        self._played += len(chunk)
        return chunk

    def _played_of(self, amt: "Tuple[Optional[int], ...]") -> "Tuple[bytes, Optional[Tuple[Optional[int], ...]]]":
        """Return the recorded part of ``read(*amt)``, and the arguments for reading the rest; None if none is left."""
        if self._played == self._size:
            return b"", amt
        most = amt[0] if amt else None
        if most is None or most < 0:
            return self._play(self._size), amt
        played = self._play(most)
        return played, (most - len(played),) if len(played) < most else None

    def _record(self, piece: Any) -> Any:
        """Record what the source gave, and return it as bytes."""
        if piece is None:  # a non-blocking stream that has no data
            return None
        chunk = piece.encode("utf-8") if isinstance(piece, str) else piece
        if self.lost is None:
            try:
                self._size += memoryview(chunk).nbytes
                self._played = self._size
                if self._size > self._most:
                    self.lost = ReplayError(
                        "the body can be read only once and is larger than the {} bytes that are kept for a replay; "
                        "set replay_spool_bytes, in the properties file or as an argument".format(self._most)
                    )
                else:
                    self._kept.write(chunk)
            except (OSError, TypeError, ValueError, BufferError) as error:
                self.lost = ReplayError("the body can be read only once and could not be kept: {}".format(error))
            if self.lost is not None:
                self._forget()
        return chunk

    def _forget(self) -> None:
        self._kept.close()
        self._size = self._played = 0


class IterableTape(Tape):
    """A tape of an iterable."""

    _iterator: Optional[Iterator[Any]] = None

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> Any:
        if self._played < self._size:
            return self._play(_CHUNK)
        if self._iterator is None:
            self._iterator = iter(self._source)
        return self._record(next(self._iterator))


class FileTape(Tape):
    """A tape of an object with ``read``."""

    def read(self, *amt: Optional[int]) -> Any:
        """Return up to ``amt`` bytes, or all that are left if it is missing, None or negative."""
        played, rest = self._played_of(amt)
        if rest is None:
            return played
        more = self._record(self._source.read(*rest))
        return played + (more or b"") if played else more


class IterableFileTape(FileTape, IterableTape):
    """A tape of an iterable with ``read``. requests looks for both, and which one it uses depends on the body."""


class _AsyncTape(Tape):
    """A tape of an asynchronous source. A task of its own reads the source, from the first piece until the tape closes.

    So the next attempt continues after one that was cancelled amid a read. A generator runs in one task and context.
    """

    _iterator: Any = None
    _reads: Any = None
    _reader: "Optional[Task[None]]" = None
    _pending: "Optional[Future[Any]]" = None

    def close(self) -> None:
        """Release what was recorded, and the source."""
        super().close()
        if self._reader is not None:
            self._reader.cancel()

    async def _read(self, read: Callable[[], Awaitable[Any]]) -> Any:
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
        return self._record(chunk)

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
    """A tape of an object with an asynchronous ``read``."""

    async def read(self, *amt: Optional[int]) -> Any:
        """Return up to ``amt`` bytes, or all that are left if it is missing, None or negative."""
        played, rest = self._played_of(amt)
        if rest is None:
            return played
        more = await self._read(functools.partial(self._source.read, *rest))
        return played + (more or b"") if played else more


class AsyncIterableTape(_AsyncTape):
    """A tape of an asynchronous iterable."""

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> Any:
        if self._played < self._size:
            return self._play(_CHUNK)
        if self._iterator is None:
            self._iterator = self._source.__aiter__()
        return await self._read(self._iterator.__anext__)


class AsyncIterableFileTape(AsyncFileTape, AsyncIterableTape):
    """A tape of an asynchronous iterable with ``read``. SDKs use one of them, and aiohttp the other."""


def taped(source: Any, buffer_bytes: int, spool_bytes: int) -> Optional[Tape]:
    """Return a tape of a source.

    Args:
        source: an object that can be read or iterated, perhaps asynchronously.
        buffer_bytes, spool_bytes: as ``ReplayableBody`` takes them.

    Returns:
        The tape, or None if the source can be neither read nor iterated.
    """
    is_iterable, is_async_iterable = hasattr(source, "__iter__"), hasattr(source, "__aiter__")
    made: Any = None
    if not hasattr(source, "read"):
        made = AsyncIterableTape if is_async_iterable else IterableTape if is_iterable else None
    elif inspect.iscoroutinefunction(source.read):
        made = AsyncIterableFileTape if is_async_iterable else AsyncFileTape
    else:
        made = IterableFileTape if is_iterable else FileTape
    return None if made is None else made(source, buffer_bytes, spool_bytes)


def taped_for_requests(source: Any, buffer_bytes: int, spool_bytes: int) -> Optional[Tape]:
    """Return a tape of a source that requests would get directly, with the length that requests would find.

    Args:
        source: an object that can be read or iterated.
        buffer_bytes, spool_bytes: as ``ReplayableBody`` takes them.

    Returns:
        The tape, or None if the source can be neither read nor iterated.

    Raises:
        Exception: an error of ``source`` that requests would raise as well.
    """
    from requests import utils

    measure: Any = utils.super_len
    try:
        length = measure(source)
    except (TypeError, AttributeError, io.UnsupportedOperation):
        if not hasattr(source, "__iter__"):
            raise
        length = 0
    tape = taped(source, buffer_bytes, spool_bytes)
    if tape is not None and length:
        tape.len = length
    return tape


def position_of(data: Any) -> Optional[int]:
    """Return the position of a body, or None if it cannot seek, or only asynchronously."""
    try:
        if any(map(inspect.iscoroutinefunction, (data.seek, getattr(data, "tell", None)))):
            return None
        if not getattr(data, "seekable", lambda: True)():
            return None
        position = _place(data)
        data.seek(position)
    except Exception:
        return None
    return position


def _place(data: Any) -> int:
    """Return the position of a body from ``tell``, or from ``seek`` if ``tell`` fails."""
    try:
        return operator.index(data.tell())
    except Exception:
        return operator.index(data.seek(0, os.SEEK_CUR))


def _brought_back(data: Any, position: int) -> bool:
    """Seek to a position, and return whether the body is there: some objects only claim to have sought."""
    has_moved = _place(data) != position
    data.seek(position)
    if not has_moved:  # nothing was read, or its position never changes
        data.seek(position + 1)
        has_moved = _place(data) != position
        data.seek(position)
    return has_moved and _place(data) == position


def _is_whole(data: Any) -> bool:
    """Return whether a body is the same after it was sent, as bytes are."""
    if isinstance(data, (str, list, tuple, Mapping)):
        return True
    try:
        memoryview(data)
    except Exception:
        return False
    return not hasattr(data, "read")  # a mapped file has it
