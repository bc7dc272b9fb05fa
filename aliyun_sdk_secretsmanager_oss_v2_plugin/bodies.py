"""Bodies of requests that can be sent again, whole or not at all, in the iterators of alibabacloud-oss-v2."""

from typing import Any, Optional

from aliyun_sdk_secretsmanager_common_plugin import ReplayError, bodies


class ReplayableBody(bodies.ReplayableBody):
    """The body of a request, as it was given; ``rewind`` makes it so again.

    Most bodies come in an iterator of the SDK's that tells others what it gives, such as the one that computes the crc;
    it stays, and what it reads from is replaced.

    Args:
        data: the body that the SDK is about to send.
        buffer_bytes, spool_bytes: as the base class takes them.

    Attributes:
        data: what to send instead of the given body; the same, unless it can be read only once.
    """

    def __init__(self, data: Any, buffer_bytes: int, spool_bytes: int) -> None:
        self._tee = data if hasattr(data, "_writers") else None
        self._source = data if self._tee is None else data._data
        super().__init__(self._source, buffer_bytes, spool_bytes)
        if self._tee is not None:
            self._tee._data, self.data = self.data, data

    def rewind(self) -> Optional[ReplayError]:
        """Make the body what it was at first, or return why that cannot be."""
        lost = super().rewind()
        if lost is None and self._tee is not None:
            for writer in self._tee._writers:  # the iterator's own reset forgets them in old versions
                if hasattr(writer, "reset"):
                    writer.reset()
        return lost

    def close(self) -> None:
        """Let go of what was kept, and let the SDK's own retries have what was given."""
        super().close()
        if self._tee is not None:
            self._tee._data = self._source

    def _can_be_taped(self, data: Any) -> bool:
        # requests tells the length of a bare body by these, and a tape must not have them.
        return self._tee is not None or (
            super()._can_be_taped(data) and not hasattr(data, "__len__") and not hasattr(data, "seek"))


def keep_open(request: Any) -> None:
    """Have a file of an asynchronous request read by the SDK, as most are: aiohttp closes it after one attempt."""
    from alibabacloud_oss_v2.aio.aio_utils import TeeAsyncIterator

    body = request.body
    if bodies.can_seek(body) and not hasattr(body, "_writers"):
        request.body = TeeAsyncIterator.from_source(body, [])
        request.headers.setdefault("Content-Length", str(len(request.body)))
