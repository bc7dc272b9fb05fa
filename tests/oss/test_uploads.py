"""Uploads during a rotation: for every kind of body and every call, the object is complete."""

import functools
import hashlib
import io
import os

import oss2
import pytest

from aliyun_sdk_secretsmanager_common_plugin import ReplayError
from tests.conftest import SECRET

from .test_bodies import BODIES

CONTENT = bytes(bytearray(range(256))) * 400


def put(bucket, body):
    bucket.put_object("key", body)


def append(bucket, body):
    first = bucket.append_object("key", 0, b"head")
    bucket.cloud.rotate(SECRET)
    second = bucket.append_object("key", 4, body, init_crc=first.crc)
    third = bucket.append_object("key", second.next_position, b"tail", init_crc=second.crc)
    assert third.next_position == 8 + len(CONTENT)


def part(bucket, body):
    upload = bucket.init_multipart_upload("key").upload_id
    bucket.cloud.rotate(SECRET)
    uploaded = bucket.upload_part("key", upload, 1, body)
    bucket.complete_multipart_upload("key", upload, [oss2.models.PartInfo(1, uploaded.etag)])


CALLS = {"put": (put, CONTENT), "append": (append, b"head" + CONTENT + b"tail"), "part": (part, CONTENT)}


@pytest.mark.parametrize(("call", "enable_crc"), [
    ("put", True), ("append", True), ("part", True),
    pytest.param("put", False, marks=pytest.mark.matrix), ("append", False),
    pytest.param("part", False, marks=pytest.mark.matrix),
])
@pytest.mark.parametrize("kind", sorted(BODIES))
def test_body_is_stored_byte_for_byte(cloud, make_bucket, kind, call, enable_crc):
    if kind == "stream" and not enable_crc:
        pytest.skip("requests sends nothing of what has neither length nor iterator, with oss2.Bucket too")
    upload, stored = CALLS[call]
    bucket = make_bucket(enable_crc=enable_crc)
    bucket.cloud = cloud
    cloud.rotate(SECRET)

    upload(bucket, BODIES[kind](CONTENT))

    assert cloud.object("bucket", "key") == stored


def put_without_crc(bucket, body):
    bucket.enable_crc = False
    bucket.put_object("key", body)


WITHOUT_CRC = {
    "put": put_without_crc,
    "append": lambda bucket, body: bucket.append_object("key", 0, body),
    "append with crc": lambda bucket, body: bucket.append_object("key", 0, body, init_crc=0),
}


def cloud_has_the_object(cloud):
    try:
        return bool(cloud.object("bucket", "key")) or True
    except KeyError:
        return False


@pytest.mark.parametrize("kind", sorted(BODIES))
def test_progress_of_a_replay_begins_at_0_and_climbs(cloud, make_bucket, kind):
    bucket = make_bucket()
    cloud.rotate(SECRET)
    consumed = []

    bucket.put_object("key", BODIES[kind](CONTENT), progress_callback=lambda done, total: consumed.append(done))

    falls = [at for at in range(1, len(consumed)) if consumed[at] < consumed[at - 1]]
    assert len(falls) == 1
    assert consumed[falls[0]] == 0
    assert consumed[-1] == len(CONTENT)


WORKS = "as that of a file"


class Sized:
    """A stream with a length and unusual methods. A method that is None is missing."""

    def __init__(self, content=CONTENT, seek=None, tell=None):
        self._file = io.BytesIO(content)
        self._size = len(content)
        for name, odd in (("seek", seek), ("tell", tell)):
            if odd is not None:
                setattr(self, name, functools.partial(self._do, name, odd))

    def _do(self, name, odd, *args):
        if odd is WORKS:
            return getattr(self._file, name)(*args)
        if isinstance(odd, type):
            raise odd("the body's own")
        return odd

    def __len__(self):
        return self._size

    def __iter__(self):
        return iter(lambda: self._file.read(1000), b"")

    def read(self, amt=None):
        return self._file.read(-1 if amt is None else amt)


class Shrinking:
    """A stream whose ``len`` is the number of bytes left, as in some libraries' multipart encoders."""

    def __init__(self, content=CONTENT):
        self._file = io.BytesIO(content)

    @property
    def len(self):
        return len(CONTENT) - self._file.tell()

    def __iter__(self):
        return iter(lambda: self._file.read(1000), b"")

    def read(self, amt=None):
        return self._file.read(-1 if amt is None else amt)


ODD = {
    "seek works, tell does not": lambda: Sized(seek=WORKS, tell=OSError),
    "neither works": lambda: Sized(seek=OSError, tell=OSError),
    "seek fails, tell works": lambda: Sized(seek=ValueError, tell=WORKS),
    "seek without tell": lambda: Sized(seek=WORKS),
    "sized": Sized,
    "shrinking": Shrinking,
}


@pytest.mark.parametrize("kind", sorted(ODD))
@pytest.mark.parametrize("call", sorted(WITHOUT_CRC))
class TestOddBody:
    """The first attempt sends what ``oss2.Bucket`` sends; a replay sends the whole body."""

    def test_is_stored_as_by_the_plain_bucket(self, cloud, make_bucket, kind, call):
        key = cloud.secret(SECRET).current
        plain = oss2.Bucket(oss2.Auth(key.access_key_id, key.access_key_secret), cloud.oss_endpoint, "bucket")
        WITHOUT_CRC[call](plain, ODD[kind]())
        expected = cloud.object("bucket", "key")
        plain.delete_object("key")

        WITHOUT_CRC[call](make_bucket(), ODD[kind]())

        assert cloud.object("bucket", "key") == expected == CONTENT

    def test_is_stored_whole_over_a_rotation(self, cloud, fetches, make_bucket, kind, call):
        bucket = make_bucket()
        cloud.rotate(SECRET)

        WITHOUT_CRC[call](bucket, ODD[kind]())

        assert cloud.object("bucket", "key") == CONTENT
        assert fetches() == 2

    def test_is_stored_whole_where_the_key_is_rejected_amid_it(self, cloud, make_bucket, kind, call):
        cloud.refuse_uploads("after the body", recheck=True)
        cloud.when_received(len(CONTENT) // 2, lambda: cloud.rotate(SECRET))

        WITHOUT_CRC[call](make_bucket(), ODD[kind]())

        assert cloud.object("bucket", "key") == CONTENT


@pytest.mark.parametrize("call", sorted(WITHOUT_CRC))
def test_body_whose_seek_does_nothing_is_not_sent_again(cloud, make_bucket, call):
    bucket = make_bucket()
    cloud.rotate(SECRET)

    with pytest.raises(oss2.exceptions.ServerError) as caught:
        WITHOUT_CRC[call](bucket, Sized(seek=0, tell=0))

    assert caught.value.code == "InvalidAccessKeyId"
    assert isinstance(caught.value.__cause__, ReplayError)
    assert not cloud_has_the_object(cloud)


class TestProgressCallbackThatRaises:
    """The body's own exception is raised, and nothing is stored."""

    @pytest.fixture
    def upload(self, cloud, make_bucket):
        def do(kind, progress, **arguments):
            bucket = make_bucket(**arguments)
            cloud.rotate(SECRET)
            with pytest.raises(ZeroDivisionError) as caught:
                bucket.put_object("key", BODIES[kind](CONTENT), progress_callback=progress)
            assert not cloud_has_the_object(cloud)
            return caught.value

        return do

    @pytest.mark.parametrize("enable_crc", [True, False])
    @pytest.mark.parametrize("kind", sorted(BODIES))
    def test_in_the_replay_as_it_begins(self, upload, kind, enable_crc):
        if kind == "stream" and not enable_crc:
            pytest.skip("requests sends nothing of what has neither length nor iterator, with oss2.Bucket too")
        consumed = []

        def progress(done, total):
            if consumed and done < consumed[-1]:
                raise ZeroDivisionError("the callback's own")
            consumed.append(done)

        error = upload(kind, progress, enable_crc=enable_crc)

        assert consumed[-1] > 0
        assert error.__cause__ is error.__context__ is None

    def test_at_its_first_report(self, upload):
        upload("bytes", lambda done, total: 1 // 0)

    def test_in_the_replay_as_it_ends(self, upload):
        ends = []

        def progress(done, total):
            if done == total:
                ends.append(done)
            return 1 // (2 - len(ends))

        upload("file", progress)


class TestFiles:
    @pytest.fixture
    def path(self, tmp_path):
        path = tmp_path / "large"
        path.write_bytes(os.urandom(1 << 20) * 3)
        return str(path)

    def sha(self, path):
        with open(path, "rb") as file:
            return hashlib.sha256(file.read()).hexdigest()

    def stored(self, cloud, key="key"):
        return hashlib.sha256(cloud.object("bucket", key)).hexdigest()

    def test_put_object_from_file(self, cloud, make_bucket, path):
        bucket = make_bucket()
        cloud.rotate(SECRET)

        bucket.put_object_from_file("key", path)

        assert self.stored(cloud) == self.sha(path)

    def test_traffic_limit(self, cloud, make_bucket, path):
        bucket = make_bucket()
        cloud.rotate(SECRET)

        bucket.put_object_from_file("key", path, headers={"x-oss-traffic-limit": str(100 * 1024 * 8)})

        assert self.stored(cloud) == self.sha(path)

    def test_resumable_upload_and_download_with_threads(self, cloud, fetches, make_bucket, path, tmp_path):
        bucket = make_bucket()
        rotations = []

        def rotate_now_and_then(consumed, total):
            if consumed and len(rotations) < 2:  # one call tries at most three keys
                rotations.append(cloud.rotate(SECRET))

        oss2.resumable_upload(bucket, "key", path, multipart_threshold=1 << 20, part_size=200 * 1024, num_threads=3,
                              store=oss2.ResumableStore(root=str(tmp_path)), progress_callback=rotate_now_and_then)
        assert self.stored(cloud) == self.sha(path)
        cloud.rotate(SECRET)
        oss2.resumable_download(bucket, "key", path + ".back", multiget_threshold=1 << 20, part_size=200 * 1024,
                                num_threads=3, store=oss2.ResumableDownloadStore(root=str(tmp_path)))

        assert self.sha(path + ".back") == self.sha(path)
        assert len(rotations) == 2
        assert 2 <= fetches() <= 4  # several rotations may come between two calls

    def test_get_object_to_file(self, cloud, make_bucket, path):
        bucket = make_bucket()
        bucket.put_object_from_file("key", path)
        cloud.rotate(SECRET)

        bucket.get_object_to_file("key", path + ".back")

        assert self.sha(path + ".back") == self.sha(path)

    def test_a_stream_that_was_opened_is_read_on(self, cloud, make_bucket, path):
        bucket = make_bucket()
        bucket.put_object_from_file("key", path)
        stream = bucket.get_object("key")
        first = stream.read(1000)
        cloud.rotate(SECRET)

        assert hashlib.sha256(first + stream.read()).hexdigest() == self.sha(path)
