"""OSS signature V1: oss2's own is accepted, and nothing that differs from it in one byte is, nor is anything stored."""
import base64
import hashlib
import re

import oss2
import pytest

from aliyun_sdk_secretsmanager_testing import AccessKeyPair

from .conftest import bucket_of
from .sdk_requests import Replayer, changes, recorded

UNSIGNED = {"host", "user-agent", "accept-encoding", "accept", "connection", "content-length"}
BODY = b"the body"
MD5 = base64.b64encode(hashlib.md5(BODY).digest()).decode()

REFUSALS = {"SignatureDoesNotMatch", "InvalidAccessKeyId", "AccessDenied", "InvalidArgument", "InvalidDigest",
            "RequestTimeTooSkewed", "InvalidObjectName", "NoSuchBucket"}

OPERATIONS = {
    "put": lambda bucket: bucket.put_object("a/é 1", BODY, {
        "Content-MD5": MD5, "Content-Type": "text/plain", "x-oss-meta-some_name": "v 1"}),
    "append": lambda bucket: bucket.append_object("log", 0, BODY, {"Content-MD5": MD5}),
    "get": lambda bucket: bucket.get_object("there", params={"response-content-type": "text/plain"}),
    "head": lambda bucket: bucket.head_object("there"),
    "delete": lambda bucket: bucket.delete_object("there"),
    "acl": lambda bucket: bucket.put_object_acl("there", "public-read"),
}


@pytest.mark.parametrize("operation", sorted(OPERATIONS))
def test_a_recorded_request_is_accepted_as_it_is_and_refused_with_any_signed_byte_changed(cloud, operation):
    key = cloud.create_secret("temporary", token=True).current
    bucket_of(cloud, key).put_object("there", b"as it was")

    def send(address):
        OPERATIONS[operation](oss2.Bucket(bucket_of(cloud, key).auth, "http://" + address, "bucket"))

    raw = recorded(send)
    with Replayer(cloud.oss_endpoint) as replayer:
        accepted = []
        for note, changed in changes(raw, UNSIGNED):
            status, headers, body = replayer.send(changed)
            if status < 400:
                accepted.append(note)
            _check_refusal(headers, body, note)
        assert accepted == []
        assert cloud.object("bucket", "there") == b"as it was"
        for name in ("a/é 1", "log"):
            with pytest.raises(KeyError):
                cloud.object("bucket", name)
        assert replayer.send(raw)[0] in (200, 204)


def _check_refusal(headers, body, note):
    if "x-oss-err" in headers:
        body = base64.b64decode(headers["x-oss-err"])
    if body.startswith(b"<?xml"):
        assert re.search("<Code>(.*)</Code>", body.decode()).group(1) in REFUSALS, (note, body)


@pytest.mark.parametrize("token", [False, True])
def test_a_signed_url_is_accepted_and_refused_with_any_byte_changed(cloud, token):
    key = cloud.create_secret("other", token=token).current
    bucket = bucket_of(cloud, key)
    bucket.put_object("a/é", BODY)
    url = bucket.sign_url("GET", "a/é", 600, params={"response-content-type": "text/plain"}, slash_safe=True)
    target = url[len(cloud.oss_endpoint):]
    raw = "GET {} HTTP/1.1\r\nHost: x\r\n\r\n".format(target).encode()
    with Replayer(cloud.oss_endpoint) as replayer:
        assert replayer.send(raw)[2] == BODY
        assert [note for note, changed in changes(raw, UNSIGNED) if replayer.send(changed)[0] < 400] == []


def test_a_signed_url_puts_an_object(cloud, bucket):
    url = bucket.sign_url("PUT", "key", 600, headers={"Content-Type": "text/plain"})
    bucket.put_object_with_url(url, BODY, headers={"Content-Type": "text/plain"})
    assert cloud.object("bucket", "key") == BODY
    with pytest.raises(oss2.exceptions.SignatureDoesNotMatch):
        bucket.put_object_with_url(url, b"other", headers={"Content-Type": "text/html"})
    assert cloud.object("bucket", "key") == BODY


def test_a_signed_url_expires(cloud, clock, bucket):
    bucket.put_object("key", BODY)
    url = bucket.sign_url("GET", "key", 600)
    clock.advance(601)
    with pytest.raises(oss2.exceptions.AccessDenied, match="expired"):
        bucket.get_object_with_url(url)


def refused(call, *args):
    with pytest.raises(oss2.exceptions.ServerError) as caught:
        call(*args)
    return caught.value


def test_an_unknown_key_is_refused_with_its_id(cloud, key):
    error = refused(bucket_of(cloud, AccessKeyPair("LTAIunknownunknown", "x")).get_object, "key")
    assert (error.status, error.code) == (403, "InvalidAccessKeyId")
    assert error.details["OSSAccessKeyId"] == "LTAIunknownunknown"
    assert error.details["EC"] and error.details["HostId"] and error.request_id


def test_a_refusal_of_head_comes_in_a_header(cloud):
    error = refused(bucket_of(cloud, AccessKeyPair("LTAIunknownunknown", "x")).head_object, "key")
    assert (error.status, error.code) == (403, "InvalidAccessKeyId")


def test_a_wrong_secret_is_refused(cloud, key):
    error = refused(bucket_of(cloud, key._replace(access_key_secret="wrong")).put_object, "key", b"x")
    assert (error.status, error.code) == (403, "SignatureDoesNotMatch")
    assert error.details["StringToSign"].startswith("PUT\n")


def test_codes_of_refused_tokens(cloud, clock):
    key = cloud.create_secret("temporary", token=True, expires_in=60.0).current
    bucket_of(cloud, key).put_object("key", b"x")
    for wrong in ("wrong", None):
        error = refused(bucket_of(cloud, key._replace(security_token=wrong)).get_object, "key")
        assert (error.status, error.code) == (403, "InvalidSecurityToken")
    clock.advance(60.0)
    error = refused(bucket_of(cloud, key).get_object, "key")
    assert (error.status, error.code) == (403, "SecurityTokenExpired")


def test_a_refusal_does_not_show_the_token(cloud):
    key = cloud.create_secret("temporary", token=True).current
    error = refused(bucket_of(cloud, key._replace(access_key_secret="wrong")).get_object, "key")
    assert key.security_token not in str(error.details)


def test_a_date_may_be_fifteen_minutes_off(cloud, clock, bucket):
    clock.advance(14 * 60)
    bucket.put_object("key", b"x")
    clock.advance(2 * 60)
    error = refused(bucket.put_object, "key", b"y")
    assert (error.status, error.code) == (403, "RequestTimeTooSkewed")
    assert cloud.object("bucket", "key") == b"x"


def test_an_unsigned_request_is_refused(cloud):
    error = refused(oss2.Bucket(oss2.AnonymousAuth(), cloud.oss_endpoint, "bucket").get_object, "key")
    assert (error.status, error.code) == (403, "AccessDenied")


def test_the_applications_own_key_may_not_use_oss(cloud):
    error = refused(bucket_of(cloud, cloud.identity).get_object, "key")
    assert (error.status, error.code) == (403, "AccessDenied")


def test_a_refused_body_is_read_to_its_end_so_that_the_connection_lives_on(cloud, key):
    bucket = bucket_of(cloud, key._replace(access_key_secret="wrong"))
    body = b"x" * 300000
    for data in (body, iter([body, body])):
        assert refused(bucket.put_object, "key", data).code == "SignatureDoesNotMatch"
    with pytest.raises(KeyError):
        cloud.object("bucket", "key")
