"""Replayable request bodies, inside the iterators in which alibabacloud-oss-v2 wraps a body."""

from typing import Any, Optional

from aliyun_sdk_secretsmanager_common_plugin import ReplayError, bodies


class ReplayableBody(bodies.ReplayableBody):
    """A body that ``rewind`` brings back to its first state.

    The SDK wraps most bodies in an iterator that passes what it reads to writers, such as the one that computes the
    crc. The iterator stays; the source that it reads from is replaced.

    Args:
        data: the body that the SDK is about to send.
        buffer_bytes, spool_bytes: as for the base class.

    Attributes:
        data: the body to send: the given one, or a tape if that can be read only once.
    """

    def __init__(self, data: Any, buffer_bytes: int, spool_bytes: int) -> None:
        self._tee = data if hasattr(data, "_writers") else None
        self._source = data if self._tee is None else data._data
        super().__init__(self._source, buffer_bytes, spool_bytes)
        if self._tee is not None:
            self._tee._data, self.data = self.data, data

    def rewind(self) -> Optional[ReplayError]:
        """Bring the body back to its first state, or return an error that says why that is impossible."""
        lost = super().rewind()
        if lost is None and self._tee is not None:
            for writer in self._tee._writers:  # in old versions of the SDK, the iterator's own reset omits them
                if hasattr(writer, "reset"):
                    writer.reset()
        return lost

    def close(self) -> None:
        """Release what was kept of the body, and give the SDK's own retries the given body."""
        super().close()
        if self._tee is not None:
            self._tee._data = self._source

    def _taped(self, data: Any, buffer_bytes: int, spool_bytes: int) -> Optional[bodies.Tape]:
        if self._tee is None:
            return self._taped_as_it_is(data, buffer_bytes, spool_bytes)
        if hasattr(self._tee, "_start_offset") and self._tee.seekable():
            return None  # the iterator seeks by itself
        return bodies.taped(data, buffer_bytes, spool_bytes)

    def _taped_as_it_is(self, data: Any, buffer_bytes: int, spool_bytes: int) -> Optional[bodies.Tape]:
        return bodies.taped_for_requests(data, buffer_bytes, spool_bytes)


class ReplayableAsyncBody(ReplayableBody):
    """As ``ReplayableBody``, for aiohttp, which reads a body by its type unless it is an asynchronous iterator."""

    def _taped_as_it_is(self, data: Any, buffer_bytes: int, spool_bytes: int) -> Optional[bodies.Tape]:
        return bodies.taped(data, buffer_bytes, spool_bytes) if hasattr(data, "__aiter__") else None


def keep_open(request: Any) -> None:
    """Let the SDK read the file of an asynchronous request, because aiohttp would close it after one attempt."""
    from alibabacloud_oss_v2.aio.aio_utils import TeeAsyncIterator

    body = request.body
    position = None if hasattr(body, "_writers") else bodies.position_of(body)
    if position is None:
        return
    try:
        read_by_the_sdk = TeeAsyncIterator.from_source(body, [])
        length = len(read_by_the_sdk)
    except Exception:  # the SDK cannot read this file
        body.seek(position)
        return
    request.body = read_by_the_sdk
    request.headers.setdefault("Content-Length", str(length))
