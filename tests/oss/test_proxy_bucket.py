"""Calls of a bucket during a rotation of its key."""

import inspect

import oss2
import pytest
from oss2.headers import OSS_SECURITY_TOKEN
from requests.structures import CaseInsensitiveDict

from aliyun_sdk_secretsmanager_common_plugin import ReplayError
from aliyun_sdk_secretsmanager_testing import Fault
from tests.conftest import SECRET


@pytest.fixture
def rotated(cloud, bucket):
    """A bucket whose key OSS no longer knows."""
    cloud.rotate(SECRET)
    return bucket


@pytest.mark.parametrize("enable_crc", [True, False])
@pytest.mark.parametrize("body", [b"", b"bytes", "text \u4f60", b"x" * 300000])
class TestPut:
    def test_body_is_stored_whole(self, cloud, fetches, make_bucket, body, enable_crc):
        bucket = make_bucket(enable_crc=enable_crc)
        cloud.rotate(SECRET)

        result = bucket.put_object("key", body)

        assert result.status == 200
        assert cloud.object("bucket", "key") == (body if isinstance(body, bytes) else body.encode("utf-8"))
        assert fetches() == 2

    def test_progress_and_crc_are_of_the_last_attempt(self, cloud, make_bucket, body, enable_crc):
        bucket = make_bucket(enable_crc=enable_crc)
        cloud.rotate(SECRET)
        progress = []

        bucket.put_object("key", body, progress_callback=lambda *consumed: progress.append(consumed))

        size = len(body if isinstance(body, bytes) else body.encode("utf-8"))
        if size:
            assert progress[-1] == (size, size)
        assert len(cloud.object("bucket", "key")) == size


class TestCalls:
    def test_get(self, cloud, bucket):
        bucket.put_object("key", b"content")
        cloud.rotate(SECRET)

        assert bucket.get_object("key").read() == b"content"

    def test_range(self, cloud, bucket):
        bucket.put_object("key", b"content")
        cloud.rotate(SECRET)

        assert bucket.get_object("key", byte_range=(1, 3)).read() == b"ont"

    def test_head(self, cloud, bucket):
        bucket.put_object("key", b"content")
        cloud.rotate(SECRET)

        assert bucket.head_object("key").content_length == 7

    def test_object_exists(self, cloud, bucket):
        bucket.put_object("key", b"content")
        cloud.rotate(SECRET)

        assert bucket.object_exists("key")
        assert not bucket.object_exists("another")

    def test_append(self, cloud, bucket):
        first = bucket.append_object("key", 0, b"one")
        cloud.rotate(SECRET)

        second = bucket.append_object("key", 3, b"two", init_crc=first.crc)

        assert second.next_position == 6
        assert cloud.object("bucket", "key") == b"onetwo"

    def test_multipart(self, cloud, bucket):
        upload = bucket.init_multipart_upload("key").upload_id
        cloud.rotate(SECRET)
        part = bucket.upload_part("key", upload, 1, b"part" * 50000)
        cloud.rotate(SECRET)

        bucket.complete_multipart_upload("key", upload, [oss2.models.PartInfo(1, part.etag)])

        assert cloud.object("bucket", "key") == b"part" * 50000

    def test_batch_delete(self, cloud, bucket):
        for key in "abc":
            bucket.put_object(key, b"")
        cloud.rotate(SECRET)

        assert sorted(bucket.batch_delete_objects(["a", "b"]).deleted_keys) == ["a", "b"]
        assert [info.key for info in bucket.list_objects().object_list] == ["c"]

    def test_iterator_over_a_rotation_between_pages(self, cloud, bucket):
        for number in range(5):
            bucket.put_object("key{}".format(number), b"")
        keys = []

        for info in oss2.ObjectIterator(bucket, max_keys=2):
            keys.append(info.key)
            cloud.rotate(SECRET)

        assert keys == ["key{}".format(number) for number in range(5)]

    def test_signed_url_is_good_for_the_current_key(self, cloud, bucket):
        import requests

        bucket.put_object("key", b"content")
        cloud.rotate(SECRET)
        bucket.head_object("key")

        assert requests.get(bucket.sign_url("GET", "key", 60)).content == b"content"

    def test_other_errors_surface_as_oss2_raises_them(self, fetches, bucket):
        with pytest.raises(oss2.exceptions.NoSuchKey):
            bucket.get_object("nothing")

        assert fetches() == 1

    def test_no_connection_is_a_request_error(self, cloud, fetches, bucket):
        cloud.inject("oss", Fault.refuse())

        with pytest.raises(oss2.exceptions.RequestError):
            bucket.get_object("key")

        assert fetches() == 1


class TestBodiesThatAreNotKept:
    """A body that can be read only once and is larger than what the bucket keeps."""

    @pytest.fixture
    def small(self, cloud, make_bucket):
        bucket = make_bucket(replay_buffer_bytes=4, replay_spool_bytes=0)
        bucket.append_object("appended", 0, b"one")
        cloud.rotate(SECRET)
        return bucket

    def test_put_surfaces_the_error_of_oss_and_stores_nothing(self, cloud, small, caplog):
        with pytest.raises(oss2.exceptions.ServerError) as caught:
            small.put_object("key", iter([b"con", b"tent"]))

        assert caught.value.code == "InvalidAccessKeyId"
        assert isinstance(caught.value.__cause__, ReplayError)
        assert "replay_spool_bytes" in str(caught.value.__cause__)
        assert "replay_spool_bytes" in caplog.text
        with pytest.raises(KeyError):
            cloud.object("bucket", "key")

    def test_append_appends_nothing(self, cloud, small):
        with pytest.raises(oss2.exceptions.ServerError):
            small.append_object("appended", 3, iter([b"twelve", b"more"]))

        assert cloud.object("bucket", "appended") == b"one"

    def test_the_key_is_renewed_for_the_next_call(self, cloud, fetches, small):
        with pytest.raises(oss2.exceptions.ServerError):
            small.put_object("key", iter([b"con", b"tent"]))

        small.put_object("key", b"content")

        assert fetches() == 2
        assert [call.status for call in cloud.calls("oss")][-2:] == [403, 200]

    def test_without_a_rotation_it_is_stored(self, cloud, make_bucket):
        make_bucket(replay_buffer_bytes=4, replay_spool_bytes=0).put_object("key", iter([b"con", b"tent"]))

        assert cloud.object("bucket", "key") == b"content"

    def test_the_limits_are_keys_of_the_properties_file(self, cloud, tmp_path, make_bucket):
        cloud.write_properties(tmp_path, replay_buffer_bytes=4, replay_spool_bytes=0)
        bucket = make_bucket()
        cloud.rotate(SECRET)

        with pytest.raises(oss2.exceptions.ServerError):
            bucket.put_object("key", iter([b"con", b"tent"]))


class TestHeaders:
    def test_headers_of_the_user_are_left_as_oss2_leaves_them(self, cloud, rotated):
        headers = {"x-oss-meta-a": "1"}

        rotated.put_object("key", b"content", headers=headers)

        assert headers == {"x-oss-meta-a": "1"}
        assert rotated.head_object("key").headers["x-oss-meta-a"] == "1"

    def test_headers_that_oss2_signs_in_place_hold_the_last_attempt(self, cloud, rotated):
        headers = CaseInsensitiveDict()

        rotated._do("GET", "bucket", "", headers=headers, params={"location": ""})

        assert cloud.secret(SECRET).current.access_key_id in headers["authorization"]

    def test_token_of_the_former_key_is_gone(self, cloud, make_bucket):
        cloud.create_secret("sts", token=True)
        bucket = make_bucket("sts")
        headers = CaseInsensitiveDict()
        bucket._do("GET", "bucket", "", headers=headers, params={"location": ""})
        assert OSS_SECURITY_TOKEN in headers
        cloud.rotate("sts", token=False)

        bucket.put_object("key", b"content")

        assert cloud.object("bucket", "key") == b"content"

    def test_rotated_token_is_used(self, cloud, make_bucket):
        cloud.create_secret("sts", token=True)
        bucket = make_bucket("sts")
        cloud.rotate("sts")

        bucket.put_object("key", b"content")

        assert cloud.object("bucket", "key") == b"content"


class TestConstructor:
    def test_it_is_a_bucket(self, bucket):
        assert isinstance(bucket, oss2.Bucket)

    def test_arguments_of_the_installed_oss2_pass_through(self, make_bucket):
        bucket = make_bucket(connect_timeout=7, app_name="app", enable_crc=False)

        assert (bucket.timeout, bucket.app_name, bucket.enable_crc) == (7, "app", False)

    def test_newer_arguments_pass_through_where_oss2_has_them(self, make_bucket):
        given = {"region": "cn-hangzhou", "proxies": {"http": "http://p"}, "is_verify_object_strict": False}
        known = inspect.signature(oss2.Bucket.__init__).parameters
        given = {name: value for name, value in given.items() if name in known}

        bucket = make_bucket(**given)

        assert {name: getattr(bucket, name) for name in given} == given

    def test_unknown_arguments_fail_as_those_of_oss2(self, make_bucket):
        with pytest.raises(TypeError, match="is_round"):
            make_bucket(is_round=True)

    def test_a_session_of_the_users_own_stays_open(self, cloud, make_bucket):
        session = oss2.Session()
        first, second = make_bucket(session=session), make_bucket(session=session)
        second.put_object("key", b"content")
        pool = session.session.get_adapter("http://").poolmanager
        first.shutdown()

        assert len(pool.pools) == 1
        assert second.get_object("key").read() == b"content"
