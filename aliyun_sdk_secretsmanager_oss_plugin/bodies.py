"""Replayable request bodies, inside the adapters in which oss2 wraps a body."""

from typing import Any, Callable, Dict, List, Optional, Tuple

from oss2 import http, utils

from aliyun_sdk_secretsmanager_common_plugin import ReplayError, bodies

# oss2 wraps a body in nested adapters, which count, report progress, compute the crc and encrypt. For the class of each
# adapter: the attribute that holds what the adapter reads from.
INNER = {
    utils._BytesAndFileAdapter: "data",
    utils._FileLikeAdapter: "fileobj",
    utils._IterableAdapter: "iter",
    utils.SizedFileAdapter: "file_object",
}
# The attributes that reading changes in an adapter, besides its crc.
_STATE = ("offset", "discard", "read_all", "progress_callback")


class ReplayableBody(bodies.ReplayableBody):
    """A body that ``rewind`` brings back to its first state.

    The adapters are rewound, not replaced, because oss2 reads the crc of the outermost one after the call. The output
    of an encrypting adapter is kept on a tape, because its cipher cannot go back.

    Args:
        data: the body that oss2 is about to send.
        buffer_bytes, spool_bytes: as for the base class.

    Attributes:
        data: the body to send: the given one, or a tape if that can be read only once.
    """

    def __init__(self, data: Any, buffer_bytes: int, spool_bytes: int) -> None:
        # Each adapter with its state and, if it computes one, its crc.
        self._adapters: List[Tuple[Any, Dict[str, Any], Optional[int]]] = []
        self._outer = None
        if not hasattr(data, "__len__") and hasattr(data, "seek") and hasattr(data, "tell"):
            data = http._convert_request_body(data)  # oss2 does the same later: it measures seekable bodies
        inner = data
        while type(inner) in INNER and getattr(inner, "cipher_callback", None) is None:
            self._note(inner)
            self._outer, inner = inner, getattr(inner, INNER[type(inner)])
        super().__init__(inner, buffer_bytes, spool_bytes)
        if self._outer is not None:
            setattr(self._outer, INNER[type(self._outer)], self.data)
            self.data = data

    def rewind(self) -> Optional[ReplayError]:
        """Bring the body back to its first state, or return an error that says why that is impossible."""
        lost = super().rewind()
        if lost is not None:
            return lost
        for adapter, state, crc in self._adapters:
            vars(adapter).update(state)
            if crc is not None:
                adapter.crc_callback = type(adapter.crc_callback)(crc)
            if isinstance(adapter, utils._BytesAndFileAdapter) and adapter.progress_callback is not None:
                adapter.progress_callback = _from_zero(adapter, adapter.progress_callback)
        return None

    def close(self) -> None:
        """Release what was kept of the body."""
        super().close()
        for adapter, state, _ in self._adapters:
            if "progress_callback" in state:
                adapter.progress_callback = state["progress_callback"]

    def _taped(self, data: Any, buffer_bytes: int, spool_bytes: int) -> Optional[bodies.Tape]:
        if self._outer is None:
            return bodies.taped_for_requests(data, buffer_bytes, spool_bytes)
        return bodies.taped(data, buffer_bytes, spool_bytes)

    def _note(self, adapter: Any) -> None:
        state = {name: value for name, value in vars(adapter).items() if name in _STATE}
        crc_callback = getattr(adapter, "crc_callback", None)
        self._adapters.append((adapter, state, None if crc_callback is None else crc_callback.crc))


def _from_zero(adapter: Any, progress_callback: Callable[[int, int], Any]) -> Callable[[int, int], Any]:
    """Return a callback that first reports 0 bytes, as the other adapters do by themselves.

    It reports when the adapter is read, so that an exception of the program's callback is raised from there.
    """

    def report(consumed: int, total: int) -> None:
        adapter.progress_callback = progress_callback
        progress_callback(0, total)
        progress_callback(consumed, total)

    return report
