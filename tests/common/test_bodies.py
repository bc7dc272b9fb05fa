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


def unfinished_tasks(loop):
    all_tasks = asyncio.all_tasks if hasattr(asyncio, "all_tasks") else asyncio.Task.all_tasks  # Python 3.6
    return [task for task in all_tasks(loop) if not task.done()]


def run(coroutine):
    """Run a coroutine in an event loop of its own; no task may be left."""
    loop = asyncio.new_event_loop()
    try:
        result = loop.run_until_complete(coroutine)
        assert not unfinished_tasks(loop)
        return result
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

    async def attempts():
        await body.data.read(first)
        for _ in range(2):
            assert body.rewind() is None
            assert await read_all() == CONTENT
        body.close()

    run(attempts())


def test_text_is_kept_as_its_bytes():
    class Text:
        async def read(self, amt):
            return "text \u00e9"

    body = ReplayableBody(Text(), 16, 1024)

    async def attempts():
        for _ in range(2):
            assert await body.data.read(7) == "text \u00e9".encode("utf-8")
            body.rewind()
        body.close()

    run(attempts())


def test_stream_that_is_larger_than_what_is_kept_is_lost():
    body = ReplayableBody(Stream(), 16, 100)

    async def attempt():
        assert await body.data.read() == CONTENT
        assert await body.data.read() == b""
        body.close()

    run(attempt())
    assert isinstance(body.rewind(), ReplayError)
    assert "replay_spool_bytes" in str(body.rewind())


class Pieces:
    """What ``async for`` reads, each piece when it is let go."""

    def __init__(self, content=CONTENT):
        self._pieces = [content[at:at + 7] for at in range(0, len(content), 7)]
        self.free = None
        self.awaited = 0

    def __aiter__(self):
        return self

    async def __anext__(self):
        self.awaited += 1
        if self.free is not None:
            await self.free.wait()
        if not self._pieces:
            raise StopAsyncIteration
        return self._pieces.pop(0)


async def rest_of(pieces):
    found = []
    async for piece in pieces:
        found.append(piece)
    return b"".join(found)


@pytest.mark.parametrize("first", [0, 1, 3, 37, 40])
def test_pieces_are_whole_again_wherever_the_first_attempt_stopped(first):
    body = ReplayableBody(Pieces(), 16, 1024)

    async def attempts():
        for _ in range(min(first, 37)):
            await body.data.__anext__()
        if first > 37:
            await rest_of(body.data)
        for _ in range(2):
            assert body.rewind() is None
            assert await rest_of(body.data) == CONTENT
        body.close()

    run(attempts())


def test_attempt_that_is_cancelled_amid_a_piece_costs_nothing_of_it():
    source = Pieces()
    body = ReplayableBody(source, 16, 1024)

    async def attempts():
        await body.data.__anext__()
        source.free = asyncio.Event()
        first = asyncio.ensure_future(body.data.__anext__())
        while source.awaited < 2:
            await asyncio.sleep(0)
        first.cancel()
        with pytest.raises(asyncio.CancelledError):
            await first
        assert body.rewind() is None
        source.free.set()
        assert await rest_of(body.data) == CONTENT
        body.close()

    run(attempts())


def test_source_is_let_go_of_with_the_body():
    source = Pieces()
    body = ReplayableBody(source, 16, 1024)

    async def attempts():
        source.free = asyncio.Event()
        first = asyncio.ensure_future(body.data.__anext__())
        while not source.awaited:
            await asyncio.sleep(0)
        body.close()
        with pytest.raises(asyncio.CancelledError):
            await first

    run(attempts())


def test_pieces_that_are_larger_than_what_is_kept_are_lost():
    body = ReplayableBody(Pieces(), 16, 100)

    assert run(rest_of(body.data)) == CONTENT
    assert "replay_spool_bytes" in str(body.rewind())


class TestGenerator:
    """It is at home in one task and one context, as without a tape, whatever becomes of the attempts."""

    def test_finds_itself_in_one_task_and_context(self):
        variable = pytest.importorskip("contextvars").ContextVar("variable", default=None)

        async def generator():
            task, token = asyncio.current_task(), variable.set(b"0123")
            yield variable.get()
            assert asyncio.current_task() is task
            yield variable.get()
            variable.reset(token)

        body = ReplayableBody(generator(), 16, 1024)

        async def attempts():
            first = asyncio.ensure_future(body.data.__anext__())
            assert await first == b"0123"
            assert body.rewind() is None
            assert await rest_of(body.data) == b"01230123"
            body.close()

        run(attempts())

    @pytest.mark.parametrize("first", [1, 2], ids=["between two pieces", "amid a piece"])
    def test_is_closed_with_the_body(self, first):
        ended = []

        async def generator():
            try:
                yield b"piece"
                await asyncio.Event().wait()
            finally:
                await asyncio.sleep(0)
                ended.append(True)

        body = ReplayableBody(generator(), 16, 1024)

        async def attempt():
            for _ in range(first):
                reading = asyncio.ensure_future(body.data.__anext__())
                await asyncio.wait([reading], timeout=0.01)
            body.close()
            for late in (reading,) if first == 2 else (body.data.__anext__(), body.data.__anext__()):
                with pytest.raises(asyncio.CancelledError):
                    await asyncio.wait_for(late, 20)
            while len(unfinished_tasks(asyncio.get_event_loop())) > 1:
                await asyncio.sleep(0)

        run(attempt())
        assert ended == [True]

    def test_is_whole_though_it_is_larger_than_what_is_kept(self):
        async def generator():
            for at in range(0, len(CONTENT), 7):
                yield CONTENT[at:at + 7]

        body = ReplayableBody(generator(), 16, 100)

        assert run(rest_of(body.data)) == CONTENT

    def test_that_fails_fails_again(self):
        async def generator():
            yield b"piece"
            raise KeyError("the program's own")

        body = ReplayableBody(generator(), 16, 1024)

        async def attempts():
            for _ in range(2):
                with pytest.raises(KeyError):
                    await rest_of(body.data)
                assert body.rewind() is None
            body.close()

        run(attempts())
