"""Uploads over a rotation: every kind of body and call, byte for byte; and refused in every way a server can."""

import alibabacloud_oss_v2 as oss
import pytest
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
# Where the SDK computes no crc, as of what is appended, this goes to requests or aiohttp as it is, and is not kept.
BARE = "file that cannot seek"


def each(bodies, *calls):
    """Parametrize with calls and bodies; requests sends nothing of a list that goes to it as it is."""
    return pytest.mark.parametrize(("call", "kind"), [
        (call, kind) for call in calls for kind in sorted(bodies) if call != "append" or kind not in ("list", BARE)])


class TestByteForByte:
    @VERSIONS
    @each(BODIES, *sorted(CALLS))
    def test_synchronous(self, cloud, make_client, rotate, kind, call, version):
        CALLS[call][0](make_client(signature_version=version), rotate, BODIES[kind](CONTENT))

        assert stored_or_none(cloud) == CALLS[call][1]

    @VERSIONS
    @each(ASYNC_BODIES, *sorted(CALLS))
    def test_asynchronous(self, cloud, with_async_client, rotate, kind, call, version):
        with_async_client(lambda client: ASYNC_CALLS[call](client, rotate, ASYNC_BODIES[kind](CONTENT)),
                          signature_version=version)

        assert stored_or_none(cloud) == CALLS[call][1]

    @pytest.mark.parametrize("kind", sorted(set(BODIES) - {"list", BARE}))
    def test_synchronous_without_crc(self, cloud, make_client, rotate, kind):
        put(make_client(disable_upload_crc64_check=True), rotate, BODIES[kind](CONTENT))

        assert stored_or_none(cloud) == CONTENT

    @pytest.mark.parametrize("kind", sorted(set(ASYNC_BODIES) - {BARE}))
    def test_asynchronous_without_crc(self, cloud, with_async_client, rotate, kind):
        with_async_client(lambda client: put_async(client, rotate, ASYNC_BODIES[kind](CONTENT)),
                          disable_upload_crc64_check=True)

        assert stored_or_none(cloud) == CONTENT

    def test_bare_file_that_cannot_seek_is_sent_once_and_says_so(self, cloud, client, with_async_client, rotate):
        with pytest.raises(OperationError) as caught:
            append(client, rotate, BODIES[BARE](CONTENT))
        assert isinstance(caught.value.unwrap().__cause__, ReplayError)

        async def work(client):
            with pytest.raises(OperationError) as caught:
                await put_async(client, rotate, ASYNC_BODIES[BARE](CONTENT))
            assert isinstance(caught.value.unwrap().__cause__, ReplayError)

        with_async_client(work, disable_upload_crc64_check=True)
        assert stored_or_none(cloud) == b"head"

    @pytest.mark.parametrize("kind", sorted(BODIES))
    def test_progress_of_a_replay_climbs_to_the_end(self, cloud, client, kind):
        cloud.rotate(SECRET)
        written = []

        client.put_object(oss.PutObjectRequest(
            "bucket", "key", body=BODIES[kind](CONTENT), progress_fn=lambda n, done, total: written.append(done)))

        assert written[-1] == len(CONTENT)
        assert written == sorted(written)


class TestRetriesOfTheSdk:
    """They begin from the body as it was given, whatever was kept of it for a replay."""

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
    """The answer comes when it will, the object is right or as it was, and the error is the SDK's own."""

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
                # aiohttp may trip over the end of the connection itself, amid the answer.
                assert isinstance(error.unwrap(), (RequestError, AttributeError))
                assert stored_or_none(cloud) is None
            else:
                assert how != "without an answer"
                assert stored_or_none(cloud) == CONTENT

        with_async_client(work, retry_max_attempts=1)

    @pytest.mark.parametrize("how", ["drained", "half-closed"])
    def test_answer_comes_while_a_generator_of_the_program_waits(self, cloud, with_async_client, rotate, how):
        cloud.refuse_uploads(how)
        ended = []

        async def slow():
            for number, piece in enumerate(pieces(CONTENT)):
                if number == 2:
                    await until(lambda: len(cloud.calls("secrets_manager")) == 2)  # so the first attempt is over
                yield piece
            ended.append(True)

        with_async_client(lambda client: put_async(client, rotate, slow()))

        assert stored_or_none(cloud) == CONTENT
        assert ended == [True]

    @pytest.mark.parametrize("kind", ["file", "generator"])
    def test_key_that_is_refused_when_the_body_has_come(self, cloud, client, kind):
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
