"""What works through a client: uploaders, downloaders, copiers, presigners, paginators, files and encryption."""

import hashlib
import io
import os

import alibabacloud_oss_v2 as oss
import pytest
import requests
from alibabacloud_oss_v2.aio import AsyncClient
from alibabacloud_oss_v2.crypto import MasterRsaCipher
from alibabacloud_oss_v2.encryption_client import EncryptionClient, EncryptionMultiPartContext
from alibabacloud_oss_v2.exceptions import OperationError
from Crypto.PublicKey import RSA

from aliyun_sdk_secretsmanager_oss_v2_plugin import ManagedCredentialsProvider
from tests.conftest import SECRET, wait_until
from tests.tasks import run

CONTENT = os.urandom(1 << 20)
PART = 100 * 1024
PUT, GET = oss.PutObjectRequest("bucket", "key"), oss.GetObjectRequest("bucket", "key")


# Asynchronous clients of old versions have neither.
needs_presign = pytest.mark.skipif(not hasattr(AsyncClient, "presign"), reason="alibabacloud-oss-v2 is older than 1.4")


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(CONTENT)
    return str(path)


@pytest.fixture(params=["v1", "v4"])
def client(request, make_client):
    return make_client(signature_version=request.param)


@pytest.fixture
def rotating(cloud):
    """Return a callback that rotates the key twice. One call tries at most three keys."""
    rotations = []

    def rotate(*progress):
        if len(rotations) < 2:
            rotations.append(cloud.rotate(SECRET))

    return rotate


def sha(content):
    return hashlib.sha256(content).hexdigest()


class TestUploader:
    def test_file_in_parts(self, cloud, fetches, client, file, rotating):
        cloud.rotate(SECRET)
        request = oss.PutObjectRequest("bucket", "key", progress_fn=rotating)
        client.uploader(part_size=PART, parallel_num=3).upload_file(request, file)

        assert sha(cloud.object("bucket", "key")) == sha(CONTENT)
        assert fetches() <= 4

    def test_stream_in_parts(self, cloud, client):
        cloud.rotate(SECRET)
        client.uploader(part_size=PART, parallel_num=3).upload_from(PUT, io.BytesIO(CONTENT))

        assert sha(cloud.object("bucket", "key")) == sha(CONTENT)

    def test_checkpoint_of_an_upload_that_failed(self, cloud, client, file, tmp_path):
        key = cloud.secret(SECRET).current.access_key_id
        cloud.when_received(1, lambda: cloud.disable_key(key))
        uploader = client.uploader(part_size=PART, parallel_num=1, enable_checkpoint=True, leave_parts_on_error=True,
                                   checkpoint_dir=str(tmp_path))
        with pytest.raises(Exception, match="InvalidAccessKeyId"):
            uploader.upload_file(PUT, file)
        cloud.rotate(SECRET)
        wait_until(lambda: client._lease._account._renewal_without_fetch(SECRET, client._lease.access_key()) is None)
        uploader.upload_file(PUT, file)

        assert sha(cloud.object("bucket", "key")) == sha(CONTENT)

    def test_put_object_from_file(self, cloud, client, file):
        cloud.rotate(SECRET)
        client.put_object_from_file(PUT, file)

        assert sha(cloud.object("bucket", "key")) == sha(CONTENT)


class TestDownloads:
    @pytest.fixture(autouse=True)
    def stored(self, client, cloud):
        client.put_object(oss.PutObjectRequest("bucket", "key", body=CONTENT))
        cloud.rotate(SECRET)

    def test_downloader_in_parts(self, client, tmp_path, rotating):
        path = tmp_path / "back"
        request = oss.GetObjectRequest("bucket", "key", progress_fn=rotating)
        client.downloader(part_size=PART, parallel_num=3).download_file(request, str(path))

        assert sha(path.read_bytes()) == sha(CONTENT)

    def test_get_object_to_file(self, client, tmp_path):
        path = tmp_path / "back"
        client.get_object_to_file(GET, str(path))

        assert sha(path.read_bytes()) == sha(CONTENT)

    def test_pieces(self, client):
        body = client.get_object(GET).body

        assert b"".join(body.iter_bytes(block_size=10000)) == CONTENT

    def test_file_that_reads_on_demand(self, cloud, client):
        with client.open_file("bucket", "key") as file:
            first = file.read(1000)
            cloud.rotate(SECRET)
            file.seek(500000)
            assert first + file.read(1000) == CONTENT[:1000] + CONTENT[500000:501000]

    def test_copier_in_parts(self, cloud, client):
        request = oss.CopyObjectRequest("bucket", "copy", source_bucket="bucket", source_key="key")
        client.copier(part_size=PART, parallel_num=3, multipart_copy_threshold=PART, disable_shallow_copy=True).copy(
            request)

        assert sha(cloud.object("bucket", "copy")) == sha(CONTENT)

    def test_copier_at_once(self, cloud, client):
        client.copier().copy(oss.CopyObjectRequest("bucket", "copy", source_bucket="bucket", source_key="key"))

        assert sha(cloud.object("bucket", "copy")) == sha(CONTENT)

    def test_existence(self, cloud, client):
        assert client.is_object_exist("bucket", "key")
        cloud.rotate(SECRET)
        assert not client.is_object_exist("bucket", "nothing")
        cloud.rotate(SECRET)
        assert client.is_bucket_exist("bucket")

    def test_in_a_task(self, cloud, with_async_client):
        async def work(client):
            cloud.rotate(SECRET)
            result = await client.get_object(GET)
            pieces = [piece async for piece in await result.body.iter_bytes(block_size=10000)]
            await result.body.close()
            return b"".join(pieces)

        assert sha(with_async_client(work)) == sha(CONTENT)


def test_append_only_file(cloud, client):
    with client.append_file("bucket", "key") as file:
        for piece in (b"a" * 1000, b"b" * 1000, b"c" * 1000):
            cloud.rotate(SECRET)
            file.write(piece)
            file.flush()

    assert cloud.object("bucket", "key") == b"a" * 1000 + b"b" * 1000 + b"c" * 1000


class TestPresigner:
    @pytest.mark.parametrize("token", [False, True])
    def test_url_is_signed_with_the_current_key(self, cloud, make_client, token):
        for version in ("v1", "v4"):
            name = "secret-{}-{}".format(version, token)
            cloud.create_secret(name, token=token)
            client = make_client(name, signature_version=version)
            cloud.rotate(name)
            client.put_object(oss.PutObjectRequest("bucket", "key", body=b"body"))

            presigned = client.presign(GET)

            assert requests.get(presigned.url, headers=presigned.signed_headers, timeout=60).content == b"body"

    @needs_presign
    def test_in_a_task(self, cloud, with_async_client):
        async def work(client):
            cloud.rotate(SECRET)
            await client.put_object(oss.PutObjectRequest("bucket", "key", body=b"body"))
            return await client.presign(GET)

        assert requests.get(with_async_client(work).url, timeout=60).content == b"body"

    @needs_presign
    def test_is_no_acceptance_of_the_key(self, cloud, make_client, with_async_client):
        """Presigning sends nothing, so that it does not make the client treat a young key as accepted."""
        client = make_client()
        client.put_object(oss.PutObjectRequest("bucket", "key", body=b"body"))

        async def work(async_client):
            cloud.rotate(SECRET, propagation=1.0)
            assert client._lease._account.refresh(SECRET)
            client.presign(GET)
            await async_client.presign(GET)
            return client.get_object(GET).body.content, (await async_client.get_object(GET)).status_code

        assert with_async_client(work) == (b"body", 200)


class TestPaginators:
    @pytest.fixture(autouse=True)
    def five_objects(self, client):
        for name in "abcde":
            client.put_object(oss.PutObjectRequest("bucket", name, body=b"body"))

    def pages(self, cloud, paginator, request, values):
        found = []
        for page in paginator.iter_page(request):
            found += list(values(page))
            if len(found) < 5:
                cloud.rotate(SECRET)
        return found

    def test_objects(self, cloud, fetches, client):
        def keys(page):
            return [each.key for each in page.contents]

        for paginator, request in (
            (client.list_objects_paginator(limit=2), oss.ListObjectsRequest("bucket")),
            (client.list_objects_v2_paginator(limit=2), oss.ListObjectsV2Request("bucket")),
        ):
            assert self.pages(cloud, paginator, request, keys) == list("abcde")
        assert fetches() == 5

    def test_uploads_and_parts(self, cloud, client):
        uploads = [client.initiate_multipart_upload(oss.InitiateMultipartUploadRequest("bucket", name)).upload_id
                   for name in "abcde"]
        for number in range(1, 6):
            client.upload_part(oss.UploadPartRequest("bucket", "a", number, uploads[0], body=b"part"))

        assert self.pages(
            cloud, client.list_multipart_uploads_paginator(limit=2), oss.ListMultipartUploadsRequest("bucket"),
            lambda page: [each.key for each in page.uploads]) == list("abcde")
        assert self.pages(
            cloud, client.list_parts_paginator(limit=2), oss.ListPartsRequest("bucket", "a", uploads[0]),
            lambda page: [each.part_number for each in page.parts]) == [1, 2, 3, 4, 5]

    def test_buckets(self, cloud, client):
        assert self.pages(cloud, client.list_buckets_paginator(), oss.ListBucketsRequest(),
                          lambda page: [each.name for each in page.buckets]) == ["bucket"]

    @needs_presign
    def test_in_a_task(self, cloud, with_async_client):
        async def work(client):
            found = []
            async for page in client.list_objects_v2_paginator(limit=2).iter_page(oss.ListObjectsV2Request("bucket")):
                found += [each.key for each in page.contents]
                cloud.rotate(SECRET)
            return found

        assert with_async_client(work) == list("abcde")


@pytest.fixture(scope="module")
def cipher():
    key = RSA.generate(2048)
    return MasterRsaCipher(public_key=key.publickey().export_key().decode(), private_key=key.export_key().decode())


class TestEncryptionClient:
    @pytest.fixture
    def encrypting(self, client, cipher):
        return EncryptionClient(client, cipher)

    @pytest.mark.parametrize("body", [
        lambda: CONTENT, lambda: io.BytesIO(CONTENT), lambda: iter([CONTENT[:1001], CONTENT[1001:]]),
        lambda: [CONTENT[:1001], CONTENT[1001:]]], ids=["bytes", "file", "iterator", "list"])
    def test_what_is_put_comes_back(self, cloud, encrypting, body):
        cloud.rotate(SECRET)
        encrypting.put_object(oss.PutObjectRequest("bucket", "key", body=body()))
        cloud.rotate(SECRET)

        assert sha(encrypting.get_object(GET).body.read()) == sha(CONTENT)
        assert cloud.object("bucket", "key")[:1000] != CONTENT[:1000]

    def test_parts(self, cloud, encrypting):
        size = 4 * 128 * 1024
        upload = encrypting.initiate_multipart_upload(oss.InitiateMultipartUploadRequest(
            "bucket", "key", cse_part_size=size, cse_data_size=len(CONTENT)))
        assert isinstance(upload.cse_multipart_context, EncryptionMultiPartContext)
        parts = []
        for number in (1, 2):
            cloud.rotate(SECRET)
            body = CONTENT[(number - 1) * size:number * size]
            etag = encrypting.upload_part(oss.UploadPartRequest(
                "bucket", "key", number, upload.upload_id, cse_multipart_context=upload.cse_multipart_context,
                body=io.BytesIO(body))).etag
            parts.append(oss.UploadPart(part_number=number, etag=etag))
        encrypting.complete_multipart_upload(oss.CompleteMultipartUploadRequest(
            "bucket", "key", upload.upload_id, complete_multipart_upload=oss.CompleteMultipartUpload(parts=parts)))

        assert sha(encrypting.get_object(GET).body.read()) == sha(CONTENT)

    def test_range(self, cloud, encrypting):
        encrypting.put_object(oss.PutObjectRequest("bucket", "key", body=CONTENT))
        cloud.rotate(SECRET)
        wanted = oss.GetObjectRequest("bucket", "key", range_header="bytes=1001-2000")

        assert encrypting.get_object(wanted).body.read() == CONTENT[1001:2001]


class TestProvider:
    """The provider, for programs that make their own client: the key is current, and calls are not replayed."""

    @pytest.fixture
    def provider(self, properties, closing):
        return closing(ManagedCredentialsProvider(SECRET))

    def test_gives_one_version(self, cloud, provider):
        cloud.create_secret("sts", token=True)
        key = cloud.secret(SECRET).current
        given = provider.get_credentials()
        assert (given.access_key_id, given.access_key_secret, given.security_token) == (
            key.access_key_id, key.access_key_secret, None)
        with ManagedCredentialsProvider("sts") as with_token:
            assert with_token.get_credentials().security_token == cloud.secret("sts").current.security_token

    def test_serves_plain_clients(self, fetches, config, provider):
        oss.Client(config(credentials_provider=provider)).put_object(oss.PutObjectRequest("bucket", "k", body=b"body"))

        async def main():
            async with AsyncClient(config(credentials_provider=provider)) as client:
                return await client.head_object(oss.HeadObjectRequest("bucket", "k"))

        assert run(main()).content_length == 4
        assert fetches() == 1

    def test_replays_nothing_and_follows_what_others_renew(self, cloud, config, provider, make_client):
        plain = oss.Client(config(credentials_provider=provider))
        cloud.rotate(SECRET)
        with pytest.raises(OperationError) as caught:
            plain.put_object(oss.PutObjectRequest("bucket", "key", body=b"body"))
        assert caught.value.unwrap().code == "InvalidAccessKeyId"

        make_client().put_object(oss.PutObjectRequest("bucket", "key", body=b"body"))

        assert plain.get_object(GET).body.content == b"body"

    def test_in_a_loop_is_awaited(self, cloud, fetches, properties, closing):
        async def main():
            return await closing(ManagedCredentialsProvider(SECRET)).get_credentials_async()

        assert run(main()).access_key_id == cloud.secret(SECRET).current.access_key_id
        assert fetches() == 1
