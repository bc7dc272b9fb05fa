"""The other clients of oss2, the versions of the signature, and the provider for programs that make an auth."""

import inspect

import oss2
import pytest
import requests

from aliyun_sdk_secretsmanager_common_plugin import ConfigurationError
from aliyun_sdk_secretsmanager_oss_plugin import (
    ManagedCredentialsProvider,
    ProxyBucket,
    ProxyCryptoBucket,
    ProxyService,
)
from tests.conftest import SECRET

VERSIONS = {"v1": {}, "v2": {"auth_version": "v2"}}
if hasattr(oss2, "AuthV4"):
    VERSIONS["v4"] = {"auth_version": "v4", "region": "cn-hangzhou"}


@pytest.fixture(params=sorted(VERSIONS))
def signature(request):
    return VERSIONS[request.param]


@pytest.fixture
def url_signature(signature):
    if signature.get("auth_version") == "v4" and oss2.__version__.startswith("2.17."):
        pytest.skip("oss2 2.17 signs no URLs with V4")
    return signature


class TestSignatures:
    def test_calls_over_a_rotation(self, cloud, fetches, make_bucket, signature):
        bucket = make_bucket(**signature)
        bucket.put_object("a/b c+\u4f60", b"content")
        cloud.rotate(SECRET)

        assert bucket.get_object("a/b c+\u4f60", byte_range=(1, 3)).read() == b"ont"
        assert [info.key for info in bucket.list_objects(prefix="a/").object_list] == ["a/b c+\u4f60"]
        assert fetches() == 2

    def test_head_and_exists(self, cloud, fetches, make_bucket, signature):
        bucket = make_bucket(**signature)
        bucket.put_object("key", b"content")
        cloud.rotate(SECRET)
        assert bucket.head_object("key").content_length == 7
        cloud.rotate(SECRET)

        assert bucket.object_exists("key")
        assert not bucket.object_exists("another")
        assert fetches() == 3

    def test_token(self, cloud, make_bucket, signature):
        cloud.create_secret("sts", token=True)
        bucket = make_bucket("sts", **signature)
        cloud.rotate("sts")

        bucket.put_object("key", b"content")

        assert bucket.get_object("key").read() == b"content"

    def test_signed_urls_are_signed_with_the_current_key(self, cloud, make_bucket, url_signature):
        bucket = make_bucket(**url_signature)
        bucket.put_object("key", b"content")
        cloud.rotate(SECRET)
        bucket.head_object("key")

        assert requests.get(bucket.sign_url("GET", "key", 60)).content == b"content"

    def test_put_object_with_url_is_untouched(self, cloud, make_bucket, url_signature):
        bucket = make_bucket(**url_signature)
        url = bucket.sign_url("PUT", "key", 60)

        bucket.put_object_with_url(url, iter([b"con", b"tent"]))

        assert cloud.object("bucket", "key") == b"content"

    def test_sign_rtmp_url(self, cloud, make_bucket, signature):
        new = cloud.rotate(SECRET)
        bucket = make_bucket(**signature)

        assert "OSSAccessKeyId=" + new.access_key_id in bucket.sign_rtmp_url("channel", "list", 60)


class TestWrongSignatures:
    def test_unknown(self, make_bucket):
        with pytest.raises(ConfigurationError, match="v1, v2, v4"):
            make_bucket(auth_version="v3")

    @pytest.mark.skipif("v4" not in VERSIONS, reason="this oss2 lacks V4")
    def test_v4_without_a_region(self, make_bucket):
        with pytest.raises(ConfigurationError, match="region"):
            make_bucket(auth_version="v4")

    def test_one_that_the_installed_oss2_lacks(self, make_bucket, monkeypatch):
        monkeypatch.delattr(oss2, "AuthV4", raising=False)

        with pytest.raises(ConfigurationError, match="pip install"):
            make_bucket(auth_version="v4", region="cn-hangzhou")


class TestCalls:
    def test_symlink(self, cloud, make_bucket):
        bucket = make_bucket()
        bucket.put_object("key", b"content")
        cloud.rotate(SECRET)
        bucket.put_symlink("key", "link")
        cloud.rotate(SECRET)

        assert bucket.get_symlink("link").target_key == "key"

    def test_process_object(self, cloud, make_bucket):
        bucket = make_bucket()
        bucket.put_object("key", b"content")
        cloud.rotate(SECRET)

        result = bucket.process_object("key", "image/resize,w_1|sys/saveas,o_a2V5Mg==,b_YnVja2V0")

        assert result.status == 200

    @pytest.mark.skipif(not hasattr(oss2.Bucket, "select_object"), reason="this oss2 selects nothing")
    def test_select_object(self, cloud, make_bucket):
        bucket = make_bucket()
        bucket.put_object("table.csv", b"a,b\n1,2\n")
        cloud.rotate(SECRET)

        assert b"1,2" in bucket.select_object("table.csv", "select * from ossobject").read()


class TestService:
    def test_over_a_rotation(self, cloud, properties, closing, signature):
        service = closing(ProxyService(SECRET, cloud.oss_endpoint, **signature))
        assert isinstance(service, oss2.Service)
        cloud.rotate(SECRET)

        assert [bucket.name for bucket in service.list_buckets().buckets] == ["bucket"]

    def test_iterator(self, cloud, properties, closing):
        service = closing(ProxyService(SECRET, cloud.oss_endpoint))
        cloud.create_bucket("bucket2")
        names = []
        for bucket in oss2.BucketIterator(service, max_keys=1):
            names.append(bucket.name)
            cloud.rotate(SECRET)

        assert names == ["bucket", "bucket2"]

    def test_unknown_arguments_fail_as_those_of_oss2(self, cloud, properties):
        with pytest.raises(TypeError, match="is_round"):
            ProxyService(SECRET, cloud.oss_endpoint, is_round=True)


class TestCryptoBucket:
    @pytest.fixture
    def make_crypto_bucket(self, cloud, properties, closing, crypto_provider):
        def make(**arguments):
            return closing(ProxyCryptoBucket(SECRET, cloud.oss_endpoint, "bucket", crypto_provider, **arguments))

        return make

    @pytest.mark.parametrize("enable_crc", [True, False])
    def test_put_and_get_over_a_rotation(self, cloud, make_crypto_bucket, enable_crc):
        bucket = make_crypto_bucket(enable_crc=enable_crc)
        assert isinstance(bucket, oss2.CryptoBucket)
        plain = b"plain text" * 5000
        cloud.rotate(SECRET)

        bucket.put_object("key", plain)

        assert cloud.object("bucket", "key") != plain
        assert bucket.get_object("key").read() == plain

    @pytest.mark.skipif(not hasattr(oss2.CryptoBucket, "init_multipart_upload"), reason="this oss2 encrypts no parts")
    def test_multipart(self, cloud, make_crypto_bucket):
        bucket = make_crypto_bucket()
        plain = b"p" * (200 * 1024)
        arguments = inspect.signature(bucket.init_multipart_upload).parameters
        context = oss2.models.MultipartUploadCryptoContext(data_size=len(plain), part_size=100 * 1024)
        upload = bucket.init_multipart_upload("key", **(
            {"upload_context": context} if "upload_context" in arguments else {})).upload_id
        parts = []
        for number in (1, 2):
            cloud.rotate(SECRET)
            part = bucket.upload_part("key", upload, number, plain[:100 * 1024], upload_context=context)
            parts.append(oss2.models.PartInfo(number, part.etag))
        bucket.complete_multipart_upload("key", upload, parts)

        assert bucket.get_object("key").read() == plain


@pytest.mark.skipif(not hasattr(oss2, "ProviderAuth"), reason="this oss2 takes no providers")
class TestProvider:
    @pytest.mark.parametrize("name", ["ProviderAuth", "ProviderAuthV2", "ProviderAuthV4"])
    def test_auth_of_the_users_own_signs_with_the_current_key(self, cloud, properties, closing, name):
        provider = closing(ManagedCredentialsProvider(SECRET))
        auth = getattr(oss2, name)(provider)
        bucket = oss2.Bucket(auth, cloud.oss_endpoint, "bucket", region="cn-hangzhou")
        bucket.put_object("key", b"content")
        cloud.rotate(SECRET, grace=60)
        proxy = closing(ProxyBucket(SECRET, cloud.oss_endpoint, "bucket"))
        cloud.rotate(SECRET)
        proxy.head_object("key")  # renews the key for all clients of the secret

        assert bucket.get_object("key").read() == b"content"

    def test_token(self, cloud, properties, closing):
        secret = cloud.create_secret("sts", token=True)
        credentials = closing(ManagedCredentialsProvider("sts")).get_credentials()

        assert credentials.get_access_key_id() == secret.current.access_key_id
        assert credentials.get_security_token() == secret.current.security_token
