"""Bodies of requests that can be sent again, whole or not at all, in the adapters of oss2."""

from typing import Any, Dict, List, Optional, Tuple

from oss2 import utils

from aliyun_sdk_secretsmanager_common_plugin import ReplayError, bodies

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


class ReplayableBody(bodies.ReplayableBody):
    """The body of a request, as it was given; ``rewind`` makes it so again.

    The adapters are rewound, not replaced, since oss2 reads the crc of the outermost after the call. What an encrypting
    adapter gives is kept on a tape, too, since its cipher cannot go back.

    Args:
        data: the body that oss2 is about to send.
        buffer_bytes, spool_bytes: as the base class takes them.

    Attributes:
        data: what to send instead of the given body; the same, unless it can be read only once.
    """

    def __init__(self, data: Any, buffer_bytes: int, spool_bytes: int) -> None:
        self._adapters: List[Tuple[Any, Dict[str, Any], Optional[int]]] = []
        self._outer = None
        inner = data
        while type(inner) in INNER and getattr(inner, "cipher_callback", None) is None:
            self._note(inner)
            self._outer, inner = inner, getattr(inner, INNER[type(inner)])
        super().__init__(inner, buffer_bytes, spool_bytes)
        if self._outer is not None:
            setattr(self._outer, INNER[type(self._outer)], self.data)
            self.data = data

    def rewind(self) -> Optional[ReplayError]:
        """Make the body what it was at first, or return why that cannot be."""
        lost = super().rewind()
        if lost is not None:
            return lost
        for adapter, state, crc in self._adapters:
            vars(adapter).update(state)
            if crc is not None:
                adapter.crc_callback = type(adapter.crc_callback)(crc)
            # The other adapters report how much was read before they read, so 0 at first, themselves.
            if isinstance(adapter, utils._BytesAndFileAdapter) and adapter.progress_callback is not None:
                adapter.progress_callback(0, adapter.size)
        return None

    def _can_be_taped(self, data: Any) -> bool:
        # requests tells the length of a bare body by these, and a tape must not have them.
        return self._outer is not None or (
            super()._can_be_taped(data) and not hasattr(data, "__len__") and not hasattr(data, "seek"))

    def _note(self, adapter: Any) -> None:
        state = {name: value for name, value in vars(adapter).items() if name in _STATE}
        crc_callback = getattr(adapter, "crc_callback", None)
        self._adapters.append((adapter, state, None if crc_callback is None else crc_callback.crc))
