"""Bodies of requests that can be sent again."""

from typing import Any, List, Optional, Tuple

from oss2.utils import _BytesAndFileAdapter

from aliyun_sdk_secretsmanager_common_plugin import ReplayError


class ReplayableBody:
    """The body of a request, as it was given; ``rewind`` makes it so again.

    oss2 wraps a body in adapters that count, report progress and compute the crc, and reads the crc of the outermost
    after the call: so the adapters are rewound, not replaced.
    """

    def __init__(self, data: Any) -> None:
        self._adapters: List[Tuple[_BytesAndFileAdapter, int, Optional[int]]] = []
        while isinstance(data, _BytesAndFileAdapter) and data.cipher_callback is None:
            crc = data.crc_callback.crc if data.crc_callback is not None else None
            self._adapters.append((data, data.offset, crc))
            data = data.data
        self._innermost = data

    def rewind(self) -> Optional[ReplayError]:
        """Make the body what it was at first, or return why that cannot be."""
        if not isinstance(self._innermost, (bytes, str, type(None))):
            return ReplayError(
                "a body of type {} cannot be sent again; repeat the call".format(type(self._innermost).__name__)
            )
        for adapter, offset, crc in self._adapters:
            adapter.offset = offset
            if adapter.crc_callback is not None:
                adapter.crc_callback = type(adapter.crc_callback)(crc)
        return None
