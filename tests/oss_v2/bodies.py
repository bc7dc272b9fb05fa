"""The kinds of bodies that programs give to alibabacloud-oss-v2, all with the same content."""

import io
import tempfile

CONTENT = (b"0123456789abcdef" * 16) * 400


class IterableStream:
    """A stream with ``read`` that cannot seek."""

    def __init__(self, content):
        self._file = io.BytesIO(content)

    def read(self, amt=None):
        return self._file.read(-1 if amt is None else amt)

    def __iter__(self):
        return iter(lambda: self._file.read(7000), b"")


class Pipe(io.RawIOBase):
    """A stream whose ``seekable`` returns False, like that of a socket or a process."""

    def __init__(self, content):
        self._file = io.BytesIO(content)

    def readable(self):
        return True

    def readinto(self, buffer):
        return self._file.readinto(buffer)


class AsyncIterator:
    def __init__(self, content):
        self._pieces = iter(pieces(content))

    def __aiter__(self):
        return self

    async def __anext__(self):
        for piece in self._pieces:
            return piece
        raise StopAsyncIteration


def pieces(content):
    return [content[at:at + 9000] for at in range(0, len(content), 9000)]


def file_at(position):
    def make(content):
        file = tempfile.TemporaryFile()
        file.write(b"-" * position + content)
        file.seek(position)
        return file

    return make


async def async_generator(content):
    for piece in pieces(content):
        yield piece


async def async_generator_of_str(content):
    for piece in pieces(content):
        yield piece.decode("ascii")


BODIES = {
    "bytes": lambda content: content,
    "str": lambda content: content.decode("ascii"),
    "file": file_at(0),
    "file from where it is": file_at(5),
    "file in memory": io.BytesIO,
    "file that cannot seek": lambda content: io.BufferedReader(Pipe(content)),
    "stream": IterableStream,
    "generator": lambda content: (piece for piece in pieces(content)),
    "generator of str": lambda content: (piece.decode("ascii") for piece in pieces(content)),
    "list": pieces,
}
ASYNC_BODIES = {
    "bytes": BODIES["bytes"],
    "str": BODIES["str"],
    "file": file_at(0),
    "file from where it is": file_at(5),
    "file in memory": io.BytesIO,
    "file that cannot seek": BODIES["file that cannot seek"],
    "async generator": async_generator,
    "async generator of str": async_generator_of_str,
    "async iterator": AsyncIterator,
}
