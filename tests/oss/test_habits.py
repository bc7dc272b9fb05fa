"""What programs do with a Bucket besides calls: with, isinstance, copies, pickles and help."""

import copy
import gc
import io
import pickle
import pydoc
import weakref

import oss2
import pytest

from aliyun_sdk_secretsmanager_common_plugin import ReplayError
from aliyun_sdk_secretsmanager_oss_plugin import (
    ManagedCredentialsProvider,
    OssAkExpireHandler,
    ProxyBucket,
    ProxyCryptoBucket,
)
from tests.conftest import SECRET

COPIES = {
    "copy": copy.copy,
    "deepcopy": copy.deepcopy,
    "pickle": lambda client: pickle.loads(pickle.dumps(client)),
}


@pytest.fixture(params=sorted(COPIES))
def make_copy(request, closing):
    return lambda client: closing(COPIES[request.param](client))


def test_names_its_secret_and_its_handler(make_bucket):
    handler = OssAkExpireHandler()
    bucket = make_bucket(ak_expire_handler=handler)

    assert (bucket.secret_name, bucket.ak_expire_handler) == (SECRET, handler)
    assert isinstance(make_bucket().ak_expire_handler, OssAkExpireHandler)


class Body(io.BytesIO):
    """A body to which a weak reference can be made."""


def test_body_of_a_failed_call_is_let_go_of_without_the_garbage_collector(bucket):
    bucket.bucket_name = "another"
    body = Body(b"content")
    reference = weakref.ref(body)
    gc.collect()
    gc.disable()
    try:
        with pytest.raises(oss2.exceptions.NoSuchBucket):
            bucket.put_object("key", body)
        del body
        assert reference() is None
    finally:
        gc.enable()


def test_body_that_was_closed_before_the_replay_does_not_hide_the_services_error(cloud, bucket):
    class Closing(io.BytesIO):
        def seek(self, *position):
            if cloud.calls("oss"):
                raise ValueError("the file is closed")
            return super(Closing, self).seek(*position)

    cloud.rotate(SECRET)

    with pytest.raises(oss2.exceptions.ServerError) as caught:
        bucket.put_object("key", Closing(b"content"))

    assert isinstance(caught.value.__cause__, ReplayError)
    assert "the file is closed" in str(caught.value.__cause__)


class TestCopies:
    def test_of_a_bucket_is_a_bucket_of_its_own(self, cloud, bucket, make_copy):
        other = make_copy(bucket)
        bucket.shutdown()
        cloud.rotate(SECRET)

        other.put_object("key", iter([b"con", b"tent"]))

        assert isinstance(other, oss2.Bucket)
        assert cloud.object("bucket", "key") == b"content"
        assert other.sign_url("GET", "key", 60)

    def test_that_is_shut_down_leaves_the_other_going(self, cloud, bucket, make_copy):
        make_copy(bucket).shutdown()
        cloud.rotate(SECRET)

        bucket.put_object("key", b"content")

        assert bucket.sign_url("GET", "key", 60)

    def test_of_a_crypto_bucket_say_what_to_do(self, cloud, properties, closing, make_copy, crypto_provider):
        bucket = closing(ProxyCryptoBucket(SECRET, cloud.oss_endpoint, "bucket", crypto_provider))

        with pytest.raises(TypeError, match="make one in each process"):
            make_copy(bucket)

    @pytest.mark.skipif(not hasattr(oss2, "ProviderAuth"), reason="newer versions have it")
    @pytest.mark.parametrize("how", ["deepcopy", "pickle"])
    def test_of_a_plain_bucket_with_a_provider_outlive_it(self, cloud, properties, closing, how):
        provider = closing(ManagedCredentialsProvider(SECRET))
        bucket = oss2.Bucket(oss2.ProviderAuth(provider), cloud.oss_endpoint, "bucket")
        other = COPIES[how](bucket)
        provider.shutdown()
        cloud.rotate(SECRET, grace=60)

        other.put_object("key", b"content")

        assert cloud.object("bucket", "key") == b"content"


def test_help_says_what_the_class_is_for_and_what_it_takes():
    text = pydoc.plain(pydoc.render_doc(ProxyBucket))

    for words in ('with ProxyBucket("my-secret"', "secret_name: the name of a managed RAM credential", "put_object"):
        assert words in text
