"""Bodies that are sent again: every adapter of oss2 is back in its first state."""

import inspect
import io
import itertools
import tempfile

import oss2
import pytest
from hypothesis import given
from hypothesis import strategies as st
from oss2 import utils

from aliyun_sdk_secretsmanager_common_plugin import ReplayError
from aliyun_sdk_secretsmanager_oss_plugin.bodies import INNER, ReplayableBody

from ..common.fakes import quick

BUFFER = 100
SPOOL = 400


class Stream:
    """A stream with ``read`` that cannot seek."""

    def __init__(self, content):
        self._file = io.BytesIO(content)

    def read(self, amt=None):
        return self._file.read(-1 if amt is None else amt)


class IterableStream(Stream):
    def __iter__(self):
        return iter(lambda: self._file.read(7), b"")


class SizedStream(Stream):
    """A stream like those of the encoders for multipart forms."""

    def __init__(self, content):
        super().__init__(content)
        self.len = len(content)


def generator(content):
    for at in range(0, len(content), 9):
        yield content[at:at + 9]


def file_at(position):
    def make(content):
        file = io.BytesIO(b"-" * position + content)
        file.seek(position)
        return file

    return make


BODIES = {
    "bytes": lambda content: content,
    "file": file_at(0),
    "file from where it is": file_at(5),
    "sized part of a file": lambda content: oss2.SizedFileAdapter(file_at(3)(content + b"more"), len(content)),
    "sized stream": SizedStream,
    "stream": Stream,
    "generator": generator,
    "iterator": lambda content: iter([content[:10], content[10:]]),
}
CONTENTS = st.integers(0, 3 * BUFFER).map(lambda size: bytes(bytearray(range(256)) * 2)[:size])


def wrapped(body, crc, progress):
    """Wrap a body as ``Bucket.put_object`` does."""
    if progress is not None:
        body = utils.make_progress_adapter(body, progress)
    return utils.make_crc_adapter(body, 17) if crc else body


def read_all(data, amount):
    """Read a body as requests does: in blocks if it has ``read``, otherwise by iteration."""
    if not hasattr(data, "read"):
        return b"".join(data)
    content = b""
    while True:
        chunk = data.read(amount)
        if not chunk:
            return content
        content += chunk


@pytest.mark.parametrize("kind", sorted(BODIES))
@quick
@given(content=CONTENTS, first=st.integers(0, 4 * BUFFER), amount=st.integers(1, 50), crc=st.booleans(),
       progress=st.booleans(), replays=st.integers(1, 3))
def test_body_is_whole_again_wherever_the_first_attempt_stopped(kind, content, first, amount, crc, progress, replays):
    consumed = []
    data = wrapped(BODIES[kind](content), crc, (lambda done, total: consumed.append(done)) if progress else None)
    if isinstance(data, bytes):
        return
    body = ReplayableBody(data, BUFFER, SPOOL)
    fresh_crc = getattr(data, "crc", None) if crc else None

    for _ in range(replays):
        read = 0
        while read < first:
            chunk = body.data.read(amount) if hasattr(body.data, "read") else next(body.data, b"")
            if not chunk:
                break
            read += len(chunk)
        del consumed[:]
        assert body.rewind() is None
        assert not crc or data.crc == fresh_crc
        assert consumed == []  # an exception of the program's callback would look like one of the body
    assert read_all(body.data, amount) == content

    if crc:
        expected = utils.Crc64(17)
        expected(content)
        assert data.crc == expected.crc
    if progress and consumed:  # oss2 reports no progress for an empty body
        assert consumed == sorted(consumed)
        assert consumed[0] == 0
        assert consumed[-1] == len(content)


class TestWhatIsRewoundCostsNothing:
    @pytest.mark.parametrize("body", [None, b"bytes", "text", bytearray(b"x")])
    def test_bytes_are_sent_as_they_were_given(self, body):
        replayable = ReplayableBody(body, BUFFER, SPOOL)

        assert replayable.data is body
        assert replayable.rewind() is None

    def test_a_file_is_not_read_and_not_copied(self):
        class Untouchable(io.BytesIO):
            def read(self, *_):
                raise AssertionError("it was read")

        file = Untouchable(b"content")

        assert ReplayableBody(file, BUFFER, SPOOL).data.file_object is file  # oss2 wraps it in the same adapter


class TestWhatIsKept:
    def fill(self, size, spool=SPOOL, buffer=BUFFER):
        body = ReplayableBody(wrapped(generator(b"x" * size), True, None), buffer, spool)
        assert sum(len(chunk) for chunk in body.data) == size
        return body

    @pytest.mark.parametrize("size", [0, 1, BUFFER - 1, BUFFER, BUFFER + 1, SPOOL - 1, SPOOL])
    def test_up_to_the_spool_it_is_sent_again(self, size):
        body = self.fill(size)

        assert body.rewind() is None
        assert b"".join(body.data) == b"x" * size

    def test_beyond_it_the_error_says_what_to_set(self):
        error = self.fill(SPOOL + 1).rewind()

        assert isinstance(error, ReplayError)
        assert "replay_spool_bytes" in str(error)

    def test_without_a_spool_the_buffer_is_all(self):
        assert self.fill(BUFFER, spool=0).rewind() is None
        assert self.fill(BUFFER + 1, spool=0).rewind() is not None

    def test_the_file_has_no_name_and_is_gone_with_the_call(self, monkeypatch):
        files = []
        make = tempfile.TemporaryFile
        monkeypatch.setattr(tempfile, "TemporaryFile", lambda: files.append(make()) or files[-1])
        body = self.fill(SPOOL)

        body.close()

        assert [file.closed for file in files] == [True]

    def test_the_file_has_only_what_has_no_room_in_memory(self, monkeypatch):
        file = io.BytesIO()
        monkeypatch.setattr(tempfile, "TemporaryFile", lambda: file)

        body = self.fill(SPOOL)

        assert file.tell() == SPOOL - BUFFER // 9 * 9  # pieces of 9 bytes
        assert body.rewind() is None
        assert b"".join(body.data) == b"x" * SPOOL

    def test_a_full_disk_does_not_fail_the_upload(self, monkeypatch):
        class Full(io.BytesIO):
            def write(self, _):
                raise OSError(28, "No space left on device")

        monkeypatch.setattr(tempfile, "TemporaryFile", Full)
        body = self.fill(BUFFER + 1)

        assert "No space left" in str(body.rewind())


class TestEncryption:
    @pytest.mark.parametrize("crc", [True, False])
    def test_what_was_encrypted_is_sent_again_as_it_was(self, crc):
        blocks = itertools.count()  # a cipher that cannot go back

        def encrypt(plain):
            return bytes(bytearray((byte + next(blocks)) % 256 for byte in bytearray(plain)))

        data = utils.make_cipher_adapter(b"plain" * 30, encrypt)
        data = utils.make_crc_adapter(data) if crc else data
        body = ReplayableBody(data, BUFFER, SPOOL)
        first = read_all(body.data, 11)

        assert body.rewind() is None
        assert read_all(body.data, 13) == first != b"plain" * 30


def test_no_adapter_of_the_installed_oss2_is_unknown():
    adapters = {each for name, each in inspect.getmembers(utils, inspect.isclass)
                if name.endswith("Adapter") and each.__module__ == "oss2.utils"}

    assert adapters == set(INNER)
