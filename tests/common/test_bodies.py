"""Bodies of which the reading is awaited: whole again, or not at all. The others are in tests/oss/test_bodies.py."""

import asyncio
import io

import pytest

from aliyun_sdk_secretsmanager_common_plugin import ReplayError
from aliyun_sdk_secretsmanager_common_plugin.bodies import ReplayableBody

CONTENT = bytes(bytearray(range(256)))


class Stream:
    """As ``aiofiles`` has them: everything is to be awaited, ``seek`` and ``tell``, too."""

    def __init__(self, content=CONTENT):
        self._file = io.BytesIO(content)

    async def read(self, amt=-1):
        return self._file.read(amt)

    async def seek(self, position):
        raise AssertionError("nobody awaits this")

    async def tell(self):
        raise AssertionError("nobody awaits this")


def run(coroutine):
    loop = asyncio.new_event_loop()
    try:
        return loop.run_until_complete(coroutine)
    finally:
        loop.close()


@pytest.mark.parametrize("first", [0, 1, 100, 256, 300])
@pytest.mark.parametrize("amount", [None, -1, 7, 1000])
def test_stream_is_whole_again_wherever_the_first_attempt_stopped(first, amount):
    body = ReplayableBody(Stream(), 16, 1024)

    async def read_all():
        pieces = []
        while True:
            piece = await (body.data.read() if amount is None else body.data.read(amount))
            if not piece:
                return b"".join(pieces)
            pieces.append(piece)

    run(body.data.read(first))
    for _ in range(2):
        assert body.rewind() is None
        assert run(read_all()) == CONTENT
    body.close()


def test_text_is_kept_as_its_bytes():
    class Text:
        async def read(self):
            return "text \u00e9"

    body = ReplayableBody(Text(), 16, 1024)
    read = run(body.data.read())
    body.rewind()

    assert read == "text \u00e9".encode("utf-8")


def test_stream_that_is_larger_than_what_is_kept_is_lost():
    body = ReplayableBody(Stream(), 16, 100)

    assert run(body.data.read()) == CONTENT
    assert isinstance(body.rewind(), ReplayError)
    assert "replay_spool_bytes" in str(body.rewind())
