"""Asynchronous bodies and unusual files: each is replayed as a whole or not at all. Other bodies are in tests/oss."""

import array
import asyncio
import importlib
import io
import sys

import pytest

from aliyun_sdk_secretsmanager_common_plugin import ReplayError
from aliyun_sdk_secretsmanager_common_plugin.bodies import ReplayableBody

CONTENT = bytes(bytearray(range(256)))


class Stream:
    """A file as ``aiofiles`` opens it: all methods are asynchronous, ``seek`` and ``tell`` as well."""

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
    """Run a coroutine in a new event loop, and check that no task is left."""
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
    """An asynchronous iterable. Each piece waits for ``free``, if that is set."""

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
    """A generator runs in one task and one context, as it does without a tape, however the attempts end."""

    @pytest.mark.skipif(sys.version_info < (3, 7), reason="tasks have no contexts there")
    def test_finds_itself_in_one_task_and_context(self):
        variable = importlib.import_module("contextvars").ContextVar("variable", default=None)

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
            for seconds in (20, 0.01)[:first]:  # the second piece never comes
                reading = asyncio.ensure_future(body.data.__anext__())
                await asyncio.wait([reading], timeout=seconds)
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


class Odd:
    """A file with unusual methods: ``methods`` says what they return or raise instead."""

    def __init__(self, **methods):
        self._file = io.BytesIO(b"-----" + CONTENT)
        self._file.seek(5)
        self._methods = methods

    def _do(self, name, *args):
        if name not in self._methods:
            return getattr(self._file, name)(*args)
        odd = self._methods[name]
        if isinstance(odd, type):
            raise odd("the body's own")
        return odd(*args) if callable(odd) else odd

    def read(self, *args):
        return self._do("read", *args)

    def seek(self, *args):
        return self._do("seek", *args)

    def tell(self):
        return self._do("tell")

    def seekable(self):
        return self._do("seekable")


RAISED = [OSError, io.UnsupportedOperation, ValueError, AttributeError, TypeError, RuntimeError]


class TestOddFile:
    """An unusual file is replayed as a whole, or not sent again."""

    @pytest.mark.parametrize("tell", RAISED + [None, "5", 5.5, object()])
    def test_whose_tell_says_nothing_is_brought_back_by_what_seek_says(self, tell):
        file = Odd(tell=tell)
        body = ReplayableBody(file, 16, 1024)

        assert body.data is file
        for _ in range(2):
            assert body.data.read() == CONTENT
            assert body.rewind() is None

    @pytest.mark.parametrize("seek", RAISED + [lambda *args: int("x")])
    @pytest.mark.parametrize("tell", [ValueError, lambda: 5], ids=["tell fails", "tell works"])
    def test_that_cannot_seek_is_kept(self, seek, tell):
        body = ReplayableBody(Odd(seek=seek, tell=tell), 16, 1024)

        for _ in range(2):
            assert body.data.read() == CONTENT
            assert body.rewind() is None

    @pytest.mark.parametrize("seekable", [False, None, 0] + RAISED)
    def test_that_says_that_it_cannot_seek_is_kept(self, seekable):
        body = ReplayableBody(Odd(seekable=seekable), 16, 1024)

        for _ in range(2):
            assert body.data.read() == CONTENT
            assert body.rewind() is None

    def test_that_only_says_to_have_sought_is_not_sent_again(self):
        body = ReplayableBody(Odd(seek=lambda *args: 5), 16, 1024)
        body.data.read(9)

        assert "did not bring it back" in str(body.rewind())

    @pytest.mark.parametrize("tell", [ValueError, lambda: 0, lambda: 5])
    @pytest.mark.parametrize("read", [0, 9, 999])
    def test_whose_methods_do_nothing_is_not_sent_again(self, tell, read):
        body = ReplayableBody(Odd(seek=lambda *args: 0, tell=tell), 16, 1024)
        body.data.read(read)

        assert isinstance(body.rewind(), ReplayError)

    @pytest.mark.parametrize("content", [b"", b"x", CONTENT], ids=len)
    def test_of_which_nothing_was_read_is_where_it_was(self, content):
        body = ReplayableBody(io.BytesIO(content), 16, 1024)

        assert body.rewind() is None
        assert body.data.read() == content

    @pytest.mark.parametrize("error", RAISED)
    def test_that_cannot_seek_back_is_not_sent_again(self, error):
        file = Odd()
        body = ReplayableBody(file, 16, 1024)
        body.data.read(9)
        file._methods["seek"] = error

        failure = body.rewind()

        assert isinstance(failure, ReplayError)
        assert isinstance(failure.__cause__, error)

    def test_that_is_closed_meanwhile_is_not_sent_again(self):
        file = io.BytesIO(CONTENT)
        body = ReplayableBody(file, 16, 1024)
        file.close()

        assert isinstance(body.rewind(), ReplayError)

    @pytest.mark.parametrize("end", [None, b"", ""], ids=repr)
    def test_ends_as_it_will(self, end):
        pieces = [CONTENT, end] * 3
        body = ReplayableBody(Odd(seekable=False, read=lambda *args: pieces.pop(0)), 16, 1024)

        assert body.data.read(1000) == CONTENT
        assert not body.data.read(1000)

    @pytest.mark.parametrize("piece", [bytearray(b"ab"), memoryview(b"ab"), memoryview(b"a-b-")[::2]], ids=type)
    def test_that_gives_other_bytes_gives_them_again(self, piece):
        pieces = [piece, b""]
        body = ReplayableBody(Odd(seekable=False, read=lambda *args: pieces.pop(0)), 16, 1024)
        assert body.data.read(1000) is piece

        lost = body.rewind()

        assert isinstance(lost, ReplayError) if lost else body.data.read(2) == b"ab"

    def test_whose_pieces_are_none_of_bytes_is_sent_once(self):
        piece = object()
        body = ReplayableBody(Odd(seekable=False, read=lambda *args: piece), 16, 1024)

        assert body.data.read(1000) is piece
        assert "could not be kept" in str(body.rewind())

    @pytest.mark.parametrize("arguments", [(), (None,), (-1,), (7,)], ids=str)
    def test_is_read_as_the_sdk_reads_it(self, arguments):
        seen = []
        body = ReplayableBody(Odd(seekable=False, read=lambda *args: seen.append(args) or b""), 16, 1024)

        body.data.read(*arguments)

        assert seen == [arguments]


@pytest.mark.parametrize("kept", [0, 1, 10, 256])
@pytest.mark.parametrize("amount", [None, 1, 11, 256, 300])
def test_read_of_a_replay_is_no_shorter_than_the_first(kept, amount):
    """SDKs that know the length of a body take a short read for the end."""
    body = ReplayableBody(Odd(seekable=False), 16, 1024)
    body.data.read(kept)
    body.rewind()

    assert body.data.read(amount) == CONTENT[:amount]
    assert body.data.read() == (b"" if amount is None else CONTENT[amount:])


@pytest.mark.parametrize("whole", [
    [b"a", b"b"], (b"a",), {"a": "b"}, array.array("b", [1, 2]), memoryview(b"ab")], ids=type)
def test_what_sending_leaves_as_it_was_is_sent_again_as_it_is(whole):
    body = ReplayableBody(whole, 16, 1024)

    assert body.data is whole
    assert body.rewind() is None
