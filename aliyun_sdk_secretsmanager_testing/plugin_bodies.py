"""Bodies of all kinds that programs give to an SDK, by name; each function makes one from its content."""

import io
import tempfile
from typing import Any, Callable, Dict, Iterator


class OneWay:
    """A stream that can be read only once."""

    def __init__(self, content: bytes) -> None:
        self._file = io.BytesIO(content)

    def read(self, amount: int = -1) -> bytes:
        """Return that many bytes, or the rest."""
        return self._file.read(-1 if amount is None else amount)

    def __iter__(self) -> Iterator[bytes]:
        return iter(lambda: self.read(7000), b"")


def _file(content: bytes, skipped: bytes = b"") -> Any:
    file = tempfile.TemporaryFile()
    file.write(skipped + content)
    file.seek(len(skipped))
    return file


BODIES: Dict[str, Callable[[bytes], Any]] = {
    "bytes": bytes,
    "file": _file,
    "file from where it is": lambda content: _file(content, b"-----"),
    "stream": OneWay,
    "generator": lambda content: (content[at:at + 9000] for at in range(0, len(content), 9000)),
}
