"""Uploads during a rotation, with every kind of body and call; and uploads that a server refuses in various ways."""

import io

import alibabacloud_oss_v2 as oss
import pytest
from alibabacloud_oss_v2.credentials import StaticCredentialsProvider
from alibabacloud_oss_v2.exceptions import OperationError, RequestError, ServiceError

from aliyun_sdk_secretsmanager_common_plugin import ReplayError
from aliyun_sdk_secretsmanager_testing import Fault
from tests.conftest import SECRET
from tests.tasks import until

from .bodies import ASYNC_BODIES, BODIES, CONTENT, pieces


def put(client, rotate, body):
    rotate()
    client.put_object(oss.PutObjectRequest("bucket", "key", body=body))


def append(client, rotate, body):
    first = client.append_object(oss.AppendObjectRequest("bucket", "key", position=0, body=b"head"))
    rotate()
    second = client.append_object(oss.AppendObjectRequest(
        "bucket", "key", position=4, init_hash_crc64=first.hash_crc64, body=body))
    client.append_object(oss.AppendObjectRequest(
        "bucket", "key", position=second.next_position, init_hash_crc64=second.hash_crc64, body=b"tail"))


def part(client, rotate, body):
    upload = client.initiate_multipart_upload(oss.InitiateMultipartUploadRequest("bucket", "key")).upload_id
    rotate()
    etag = client.upload_part(oss.UploadPartRequest("bucket", "key", 1, upload, body=body)).etag
    parts = oss.CompleteMultipartUpload(parts=[oss.UploadPart(part_number=1, etag=etag)])
    client.complete_multipart_upload(
        oss.CompleteMultipartUploadRequest("bucket", "key", upload, complete_multipart_upload=parts))


async def put_async(client, rotate, body):
    rotate()
    await client.put_object(oss.PutObjectRequest("bucket", "key", body=body))


async def append_async(client, rotate, body):
    first = await client.append_object(oss.AppendObjectRequest("bucket", "key", position=0, body=b"head"))
    rotate()
    second = await client.append_object(oss.AppendObjectRequest(
        "bucket", "key", position=4, init_hash_crc64=first.hash_crc64, body=body))
    await client.append_object(oss.AppendObjectRequest(
        "bucket", "key", position=second.next_position, init_hash_crc64=second.hash_crc64, body=b"tail"))


async def part_async(client, rotate, body):
    upload = (await client.initiate_multipart_upload(oss.InitiateMultipartUploadRequest("bucket", "key"))).upload_id
    rotate()
    etag = (await client.upload_part(oss.UploadPartRequest("bucket", "key", 1, upload, body=body))).etag
    parts = oss.CompleteMultipartUpload(parts=[oss.UploadPart(part_number=1, etag=etag)])
    await client.complete_multipart_upload(
        oss.CompleteMultipartUploadRequest("bucket", "key", upload, complete_multipart_upload=parts))


CALLS = {"put": (put, CONTENT), "append": (append, b"head" + CONTENT + b"tail"), "part": (part, CONTENT)}
ASYNC_CALLS = {"put": put_async, "append": append_async, "part": part_async}


@pytest.fixture
def rotate(cloud):
    return lambda: cloud.rotate(SECRET)


def stored_or_none(cloud):
    try:
        return cloud.object("bucket", "key")
    except KeyError:
        return None


VERSIONS = pytest.mark.parametrize("version", ["v1", "v4"])
# Where the SDK computes no crc, as for an append, requests or aiohttp gets the body itself. aiohttp reads a body of this
# kind by its type, so that it cannot be kept for a replay.
BARE = "file that cannot seek"


def each(bodies, *calls, without=()):
    """Parametrize with calls and bodies, except for appends of the bodies in ``without``."""
    return pytest.mark.parametrize(("call", "kind"), [
        (call, kind) for call in calls for kind in sorted(bodies) if call != "append" or kind not in without])


class TestByteForByte:
    @VERSIONS
    @each(BODIES, *sorted(CALLS), without=["list"])  # requests does not send a list
    def test_synchronous(self, cloud, make_client, rotate, kind, call, version):
        CALLS[call][0](make_client(signature_version=version), rotate, BODIES[kind](CONTENT))

        assert stored_or_none(cloud) == CALLS[call][1]

    @VERSIONS
    @each(ASYNC_BODIES, *sorted(CALLS), without=[BARE])
    def test_asynchronous(self, cloud, with_async_client, rotate, kind, call, version):
        with_async_client(lambda client: ASYNC_CALLS[call](client, rotate, ASYNC_BODIES[kind](CONTENT)),
                          signature_version=version)

        assert stored_or_none(cloud) == CALLS[call][1]

    @pytest.mark.parametrize("kind", sorted(set(BODIES) - {"list"}))
    def test_synchronous_without_crc(self, cloud, make_client, rotate, kind):
        put(make_client(disable_upload_crc64_check=True), rotate, BODIES[kind](CONTENT))

        assert stored_or_none(cloud) == CONTENT

    @pytest.mark.parametrize("kind", sorted(set(ASYNC_BODIES) - {BARE}))
    def test_asynchronous_without_crc(self, cloud, with_async_client, rotate, kind):
        with_async_client(lambda client: put_async(client, rotate, ASYNC_BODIES[kind](CONTENT)),
                          disable_upload_crc64_check=True)

        assert stored_or_none(cloud) == CONTENT

    def test_bare_file_that_cannot_seek_is_sent_once_by_tasks_and_says_so(self, cloud, with_async_client, rotate):
        async def work(client):
            with pytest.raises(OperationError) as caught:
                await put_async(client, rotate, ASYNC_BODIES[BARE](CONTENT))
            assert isinstance(caught.value.unwrap().__cause__, ReplayError)

        with_async_client(work, disable_upload_crc64_check=True)
        assert stored_or_none(cloud) is None

    @pytest.mark.parametrize("kind", sorted(BODIES))
    def test_progress_of_a_replay_climbs_to_the_end(self, cloud, client, kind):
        cloud.rotate(SECRET)
        written = []

        client.put_object(oss.PutObjectRequest(
            "bucket", "key", body=BODIES[kind](CONTENT), progress_fn=lambda n, done, total: written.append(done)))

        assert written[-1] == len(CONTENT)
        assert written == sorted(written)


class Odd(io.BytesIO):
    """A file with unusual methods: each of ``methods`` raises or returns the value that is given for it."""

    def __init__(self, **methods):
        super().__init__(CONTENT)
        self._methods = methods

    def _odd(self, name, *args):
        if name not in self._methods:
            return getattr(super(), name)(*args)
        if isinstance(self._methods[name], type):
            raise self._methods[name]("the body's own")
        return self._methods[name]

    def seek(self, *args):
        return self._odd("seek", *args)

    def tell(self):
        return self._odd("tell")

    def seekable(self):
        return self._odd("seekable")


class SizedOdd(Odd):
    def __len__(self):
        return len(CONTENT)


ODD = {
    "tell raises UnsupportedOperation": lambda: Odd(tell=io.UnsupportedOperation),
    "neither works": lambda: Odd(tell=io.UnsupportedOperation, seek=io.UnsupportedOperation, seekable=False),
    "it cannot seek": lambda: Odd(seekable=False),
    "sized, tell raises OSError": lambda: SizedOdd(tell=OSError),
    "sized, tell raises ValueError": lambda: SizedOdd(tell=ValueError),
    "sized, tell raises AttributeError": lambda: SizedOdd(tell=AttributeError),
    "sized, tell gives None": lambda: SizedOdd(tell=None),
    "sized, seek and tell raise": lambda: SizedOdd(seek=ValueError, tell=RuntimeError, seekable=False),
}


class TestOddFile:
    """The first attempt sends what the plain client sends; a replay sends the whole body."""

    @pytest.mark.parametrize("kind", sorted(ODD))
    def test_is_stored_as_by_the_plain_client(self, cloud, config, client, kind):
        key = cloud.secret(SECRET).current
        provider = StaticCredentialsProvider(key.access_key_id, key.access_key_secret)
        put(oss.Client(config(credentials_provider=provider)), lambda: None, ODD[kind]())
        expected = cloud.object("bucket", "key")
        client.delete_object(oss.DeleteObjectRequest("bucket", "key"))

        put(client, lambda: None, ODD[kind]())

        assert cloud.object("bucket", "key") == expected == CONTENT

    @pytest.mark.parametrize("kind", sorted(ODD))
    def test_is_stored_whole_over_a_rotation(self, cloud, client, rotate, kind):
        put(client, rotate, ODD[kind]())

        assert stored_or_none(cloud) == CONTENT

    @pytest.mark.parametrize("kind", ["it cannot seek", "neither works"])
    def test_is_stored_whole_though_nobody_computes_a_crc(self, cloud, make_client, rotate, kind):
        put(make_client(disable_upload_crc64_check=True), rotate, ODD[kind]())

        assert stored_or_none(cloud) == CONTENT

    @pytest.mark.parametrize("kind", sorted(ODD))
    def test_in_a_task(self, cloud, with_async_client, rotate, kind):
        with_async_client(lambda client: put_async(client, rotate, ODD[kind]()))

        assert stored_or_none(cloud) == CONTENT

    def test_whose_methods_do_nothing_is_not_sent_again(self, cloud, make_client, rotate):
        with pytest.raises(OperationError) as caught:
            put(make_client(), rotate, SizedOdd(seek=0, tell=0))

        assert caught.value.unwrap().code == "InvalidAccessKeyId"
        assert isinstance(caught.value.unwrap().__cause__, ReplayError)
        assert stored_or_none(cloud) is None


class TestProgressFunctionThatRaises:
    """The body's own exception is raised, and nothing is stored."""

    @pytest.fixture
    def progress(self):
        reports = []

        def progress(number, written, total):
            reports.append(written)
            if reports.count(written) == 2:  # in the replay
                raise ZeroDivisionError("the function's own")

        return progress

    @pytest.mark.parametrize("kind", sorted(BODIES))
    def test_in_the_replay(self, cloud, client, rotate, progress, kind):
        rotate()
        with pytest.raises(OperationError) as caught:
            client.put_object(oss.PutObjectRequest("bucket", "key", body=BODIES[kind](CONTENT), progress_fn=progress))

        assert isinstance(caught.value.unwrap(), ZeroDivisionError)
        assert stored_or_none(cloud) is None

    def test_at_once(self, cloud, client, rotate):
        rotate()
        with pytest.raises(OperationError) as caught:
            client.put_object(oss.PutObjectRequest(
                "bucket", "key", body=CONTENT, progress_fn=lambda number, written, total: 1 // 0))

        assert isinstance(caught.value.unwrap(), ZeroDivisionError)
        assert stored_or_none(cloud) is None


class TestRetriesOfTheSdk:
    """The SDK's retries begin with the given body, whatever was kept of it for a replay."""

    @pytest.mark.parametrize("kind", ["bytes", "file", "list"])
    def test_after_a_rotation_and_a_503_at_once(self, cloud, client, kind):
        body = BODIES[kind](CONTENT)
        cloud.rotate(SECRET)
        cloud.inject("oss", Fault.throttling(), times=1)
        put(client, lambda: None, body)

        assert stored_or_none(cloud) == CONTENT

    def test_bare_file_in_a_task_has_its_length_and_stays_open(self, cloud, with_async_client, rotate):
        sent = []

        async def work(client):
            http_client = client._client._options.http_client
            plain = http_client.send

            def send(request, **more):
                sent.append(request.headers.get("Content-Length"))
                return plain(request, **more)

            http_client.send = send
            body = ASYNC_BODIES["file from where it is"](CONTENT)
            await put_async(client, rotate, body)
            return body.closed

        assert not with_async_client(work, disable_upload_crc64_check=True)
        assert sent == [str(len(CONTENT))] * 2


class TestLargerThanWhatIsKept:
    def test_is_sent_once_and_says_so(self, cloud, make_client, rotate):
        client = make_client(spool=100)

        with pytest.raises(OperationError) as caught:
            put(client, rotate, BODIES["generator"](CONTENT))

        assert caught.value.unwrap().code == "InvalidAccessKeyId"
        assert "replay_spool_bytes" in str(caught.value.unwrap().__cause__)
        assert stored_or_none(cloud) is None

    def test_in_a_task(self, cloud, with_async_client, rotate):
        async def work(client):
            with pytest.raises(OperationError) as caught:
                await put_async(client, rotate, ASYNC_BODIES["async generator"](CONTENT))
            assert "replay_spool_bytes" in str(caught.value.unwrap().__cause__)

        with_async_client(work, spool=100)
        assert stored_or_none(cloud) is None

    def test_is_stored_where_the_key_is_good(self, cloud, make_client):
        put(make_client(spool=100), lambda: None, BODIES["generator"](CONTENT))

        assert stored_or_none(cloud) == CONTENT


class TestRefusals:
    """Whenever the answer comes, the object is complete or unchanged, and the error is the SDK's own."""

    @pytest.mark.parametrize("how", ["drained", "closed", "half-closed", "without an answer"])
    @pytest.mark.parametrize("kind", ["file", "generator"])
    def test_synchronous(self, cloud, make_client, rotate, kind, how):
        cloud.refuse_uploads(how)
        client = make_client(retry_max_attempts=1)
        try:
            put(client, rotate, BODIES[kind](CONTENT))
        except OperationError as error:
            assert how != "drained"
            assert isinstance(error.unwrap(), RequestError)
            assert stored_or_none(cloud) is None
        else:
            assert how != "without an answer"
            assert stored_or_none(cloud) == CONTENT

    @pytest.mark.parametrize("how", ["drained", "closed", "half-closed", "without an answer"])
    @pytest.mark.parametrize("kind", ["file", "async generator"])
    def test_asynchronous(self, cloud, with_async_client, rotate, kind, how):
        cloud.refuse_uploads(how)

        async def work(client):
            try:
                await put_async(client, rotate, ASYNC_BODIES[kind](CONTENT))
            except OperationError as error:
                assert how != "drained"
                # The connection may end while aiohttp reads the answer.
                assert isinstance(error.unwrap(), (RequestError, AttributeError))
                assert stored_or_none(cloud) is None
            else:
                assert how != "without an answer"
                assert stored_or_none(cloud) == CONTENT

        with_async_client(work, retry_max_attempts=1)

    @pytest.mark.parametrize("how", ["drained", "half-closed"])
    def test_answer_comes_while_a_generator_of_the_program_waits(self, cloud, fetches, with_async_client, rotate, how):
        cloud.refuse_uploads(how)
        ended = []

        async def slow():
            for number, piece in enumerate(pieces(CONTENT)):
                if number == 2:
                    await until(lambda: fetches() == 2)  # the first attempt is over
                yield piece
            ended.append(True)

        with_async_client(lambda client: put_async(client, rotate, slow()))

        assert stored_or_none(cloud) == CONTENT
        assert ended == [True]

    @pytest.mark.parametrize("kind", ["file", "generator"])
    def test_key_that_is_rejected_when_the_body_has_come(self, cloud, client, kind):
        cloud.refuse_uploads("after the body", recheck=True)
        cloud.when_received(len(CONTENT) // 2, lambda: cloud.rotate(SECRET))

        put(client, lambda: None, BODIES[kind](CONTENT))

        assert stored_or_none(cloud) == CONTENT


def test_generator_that_fails_is_not_sent_again(cloud, client, rotate):
    def failing():
        yield b"a"
        raise KeyError("the program's own")

    with pytest.raises(OperationError) as caught:
        put(client, rotate, failing())

    assert isinstance(caught.value.unwrap(), (KeyError, RequestError, ServiceError))
    assert stored_or_none(cloud) is None
