"""OSS signatures: those of oss2 are accepted. No request that differs in a signed byte is accepted or stored."""
import base64
import hashlib
import itertools
import re
import time

import oss2
import pytest

from aliyun_sdk_secretsmanager_testing import AccessKeyPair

from .conftest import bucket_of
from .sdk_requests import Replayer, changes, recorded

UNSIGNED = {"host", "user-agent", "accept-encoding", "accept", "connection", "content-length"}
VERSIONS = ["v1", "v2", "v4"]
AWKWARD = "a/é 1+2&3=~*'()!/文件 %41;:@,$.txt"
BODY = b"the body"
MD5 = base64.b64encode(hashlib.md5(BODY).digest()).decode()

REFUSALS = {"SignatureDoesNotMatch", "InvalidAccessKeyId", "AccessDenied", "InvalidArgument", "InvalidDigest",
            "RequestTimeTooSkewed", "InvalidObjectName", "NoSuchBucket"}

OPERATIONS = {
    "put": lambda bucket: bucket.put_object("a/é 1", BODY, {
        "Content-MD5": MD5, "Content-Type": "text/plain", "x-oss-meta-some_name": "v 1"}),
    "append": lambda bucket: bucket.append_object("log", 0, BODY, {"Content-MD5": MD5}),
    "get": lambda bucket: bucket.get_object("there", params={"response-content-type": "text/plain"}),
    "list": lambda bucket: bucket.list_objects("a/é &", "/", max_keys=7),
    "head": lambda bucket: bucket.head_object("there"),
    "delete": lambda bucket: bucket.delete_object("there"),
    "acl": lambda bucket: bucket.put_object_acl("there", "public-read"),
}


# Headers that version 1 does not sign.
@pytest.mark.parametrize(("operation", "version"),
    [(operation, "v1") for operation in sorted(OPERATIONS) if operation != "list"]
    + list(itertools.product(("put", "get", "list"), ("v2", "v4"))))
def test_a_recorded_request_is_accepted_as_it_is_and_refused_with_any_signed_byte_changed(cloud, operation, version):
    key = cloud.create_secret("temporary", token=True).current
    bucket_of(cloud, key).put_object("there", b"as it was")

    def send(address):
        auth = bucket_of(cloud, key, version=version).auth
        OPERATIONS[operation](oss2.Bucket(auth, "http://" + address, "bucket", region="cn-hangzhou"))

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


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("token", [False, True])
def test_a_signed_url_is_accepted_and_refused_with_any_byte_changed(cloud, token, version):
    key = cloud.create_secret("other", token=token).current
    bucket = bucket_of(cloud, key, version=version)
    bucket.put_object("a/é", BODY)
    url = bucket.sign_url("GET", "a/é", 600, params={"response-content-type": "text/plain"}, slash_safe=True)
    target = url[len(cloud.oss_endpoint):]
    raw = "GET {} HTTP/1.1\r\nHost: x\r\n\r\n".format(target).encode()
    with Replayer(cloud.oss_endpoint) as replayer:
        assert replayer.send(raw)[2] == BODY
        assert [note for note, changed in changes(raw, UNSIGNED) if replayer.send(changed)[0] < 400] == []


@pytest.mark.parametrize("version", ["v2", "v4"])
def test_a_signed_url_may_sign_further_headers(cloud, key, version):
    bucket = bucket_of(cloud, key, version=version)
    bucket.put_object("key", b"0123456789")
    headers = {"Range": "bytes=2-4", "If-Match": bucket.head_object("key").etag}
    url = bucket.sign_url("GET", "key", 600, headers, additional_headers=["range", "IF-MATCH", "absent"])
    raw = "GET {} HTTP/1.1\r\nHost: x\r\n".format(url[len(cloud.oss_endpoint):]).encode()
    raw += "".join("{}: {}\r\n".format(*item) for item in headers.items()).encode() + b"\r\n"
    with Replayer(cloud.oss_endpoint) as replayer:
        assert replayer.send(raw)[2] == b"234"
        assert [note for note, changed in changes(raw, UNSIGNED) if replayer.send(changed)[0] < 400] == []
        assert replayer.send(raw.replace(b"Range: bytes=2-4\r\n", b""))[0] == 403


@pytest.mark.parametrize("version", ["v2", "v4"])
def test_a_request_may_sign_further_headers(cloud, key, version):
    bucket = bucket_of(cloud, key, version=version)
    bucket.put_object("key", b"0123456789")

    def send(address):
        request = oss2.http.Request("GET", "http://" + address + "/bucket/key", region="cn-hangzhou", product="oss",
                                    headers={"Range": "bytes=2-4", "User-Agent": "me"})
        bucket.auth._sign_request(request, "bucket", "key", in_additional_headers=["range", "user-agent"])
        oss2.http.Session().do_request(request, 5)

    raw = recorded(send)
    assert b"AdditionalHeaders=range;user-agent" in raw or b"AdditionalHeaders:" in raw
    with Replayer(cloud.oss_endpoint) as replayer:
        assert replayer.send(raw)[2] == b"234"
        unsigned = UNSIGNED - {"user-agent"}
        assert [note for note, changed in changes(raw, unsigned) if replayer.send(changed)[0] < 400] == []


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("token", [False, True])
def test_awkward_keys_and_parameters(cloud, version, token):
    key = cloud.create_secret("other", token=token).current
    bucket = bucket_of(cloud, key, version=version)
    bucket.put_object(AWKWARD, BODY, {"x-oss-meta-a": "v  1", "Content-Type": "text/plain; charset=utf-8"})
    assert bucket.get_object(AWKWARD, byte_range=(1, 3)).read() == BODY[1:4]
    assert bucket.head_object(AWKWARD).content_length == len(BODY)
    assert [entry.key for entry in bucket.list_objects("a/é 1+2&", "", AWKWARD[:-1]).object_list] == [AWKWARD]
    assert [entry.key for entry in bucket.list_objects_v2("a/é 1+2&", start_after="a +~*").object_list] == [AWKWARD]
    upload_id = bucket.init_multipart_upload(AWKWARD).upload_id
    bucket.upload_part(AWKWARD, upload_id, 1, BODY)
    assert [part.size for part in oss2.PartIterator(bucket, AWKWARD, upload_id)] == [len(BODY)]
    service = oss2.Service(bucket.auth, cloud.oss_endpoint, region="cn-hangzhou")
    assert [found.name for found in service.list_buckets(prefix="b").buckets] == ["bucket"]
    for safe in (False, True):
        url = bucket.sign_url("GET", AWKWARD, 600, params={"response-content-type": "a b+~/*"}, slash_safe=safe)
        got = oss2.Bucket(oss2.AnonymousAuth(), cloud.oss_endpoint, "bucket").get_object_with_url(url)
        assert (got.read(), got.headers["Content-Type"]) == (BODY, "a b+~/*")
    bucket.batch_delete_objects([AWKWARD])
    assert not bucket.object_exists(AWKWARD)


@pytest.mark.parametrize("version", VERSIONS)
def test_a_signed_url_puts_an_object(cloud, key, version):
    bucket = bucket_of(cloud, key, version=version)
    url = bucket.sign_url("PUT", "key", 600, headers={"Content-Type": "text/plain"})
    bucket.put_object_with_url(url, BODY, headers={"Content-Type": "text/plain"})
    assert cloud.object("bucket", "key") == BODY
    with pytest.raises(oss2.exceptions.SignatureDoesNotMatch):
        bucket.put_object_with_url(url, b"other", headers={"Content-Type": "text/html"})
    assert cloud.object("bucket", "key") == BODY


@pytest.mark.parametrize("version", VERSIONS)
def test_a_signed_url_expires(cloud, clock, key, version):
    bucket = bucket_of(cloud, key, version=version)
    bucket.put_object("key", BODY)
    url = bucket.sign_url("GET", "key", 600)
    clock.advance(700)  # the SDK signs by the machine's clock, which advances meanwhile
    with pytest.raises(oss2.exceptions.AccessDenied, match="expired"):
        bucket.get_object_with_url(url)


def refused(call, *args):
    with pytest.raises(oss2.exceptions.ServerError) as caught:
        call(*args)
    return caught.value


@pytest.mark.parametrize("version", VERSIONS)
def test_an_unknown_key_is_refused_with_its_id(cloud, version):
    error = refused(bucket_of(cloud, AccessKeyPair("LTAIunknownunknown", "x"), version=version).get_object, "key")
    assert (error.status, error.code) == (403, "InvalidAccessKeyId")
    assert error.details["OSSAccessKeyId"] == "LTAIunknownunknown"
    assert error.details["EC"]
    assert error.details["HostId"]
    assert error.request_id


def test_a_refusal_of_head_comes_in_a_header(cloud):
    error = refused(bucket_of(cloud, AccessKeyPair("LTAIunknownunknown", "x")).head_object, "key")
    assert (error.status, error.code) == (403, "InvalidAccessKeyId")


@pytest.mark.parametrize(("version", "start"), [("v1", "PUT\n"), ("v2", "PUT\n"), ("v4", "OSS4-HMAC-SHA256\n")])
def test_a_wrong_secret_is_refused(cloud, key, version, start):
    error = refused(bucket_of(cloud, key._replace(access_key_secret="wrong"), version=version).put_object, "key", b"x")
    assert (error.status, error.code) == (403, "SignatureDoesNotMatch")
    assert error.details["StringToSign"].startswith(start)


@pytest.mark.parametrize("version", VERSIONS)
def test_codes_of_refused_tokens(cloud, clock, version):
    key = cloud.create_secret("temporary", token=True, expires_in=60.0).current
    bucket_of(cloud, key, version=version).put_object("key", b"x")
    for wrong in ("wrong", None):
        error = refused(bucket_of(cloud, key._replace(security_token=wrong), version=version).get_object, "key")
        assert (error.status, error.code) == (403, "InvalidSecurityToken")
    clock.advance(60.0)
    error = refused(bucket_of(cloud, key, version=version).get_object, "key")
    assert (error.status, error.code) == (403, "SecurityTokenExpired")


@pytest.mark.parametrize("version", VERSIONS)
def test_a_refusal_does_not_show_the_token(cloud, version):
    key = cloud.create_secret("temporary", token=True).current._replace(access_key_secret="wrong")
    bucket = bucket_of(cloud, key, version=version)
    assert key.security_token not in str(refused(bucket.get_object, "key").details)
    error = refused(bucket.get_object_with_url, bucket.sign_url("GET", "key", 60))
    assert error.code == "SignatureDoesNotMatch"
    assert key.security_token not in str(error.details)


@pytest.mark.parametrize("version", VERSIONS)
def test_a_date_may_be_fifteen_minutes_off(cloud, clock, key, version):
    bucket = bucket_of(cloud, key, version=version)
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


@pytest.mark.parametrize(("more", "what"), [({"region": "cn-beijing"}, "region"), ({"cloudbox_id": "cb-1"}, "region")])
def test_a_scope_of_another_region_is_refused(cloud, key, more, what):
    bucket = bucket_of(cloud, key, version="v4", **more)
    errors = [refused(bucket.put_object, "key", b"x")]
    errors.append(refused(bucket.get_object_with_url, bucket.sign_url("GET", "key", 60)))
    for error in errors:
        assert (error.status, error.code) == (400, "InvalidArgument")
        assert what in error.message
    with pytest.raises(KeyError):
        cloud.object("bucket", "key")


def test_every_region_of_the_cloud_is_a_scope():
    from aliyun_sdk_secretsmanager_testing import LocalCloud
    with LocalCloud(regions=("cn-hangzhou", "cn-beijing")) as cloud:
        cloud.create_bucket("bucket")
        key = cloud.create_secret("app/key").current
        for region in cloud.regions:
            bucket_of(cloud, key, version="v4", region=region).put_object(region, b"x")
            assert cloud.object("bucket", region) == b"x"



class HashedBody(oss2.AuthV4):
    """Signs a digest of the body, as other clients do."""

    digest = hashlib.sha256(BODY).hexdigest()

    def _sign_request(self, request, bucket_name, key, in_additional_headers=None):
        headers = request.headers

        class Headers(type(headers)):
            def __setitem__(self, name, value):
                super().__setitem__(name, HashedBody.digest if name == "x-oss-content-sha256" else value)

        request.headers = Headers(headers)
        super()._sign_request(request, bucket_name, key, in_additional_headers)


@pytest.mark.parametrize("call", [
    lambda bucket, body: bucket.put_object("key", body),
    lambda bucket, body: bucket.append_object("key", 0, body),
    lambda bucket, body: bucket.put_object("key", iter([body[:3], body[3:]])),
])
def test_a_signed_digest_of_the_body_is_checked_before_anything_is_stored(cloud, key, call):
    auth = HashedBody(key.access_key_id, key.access_key_secret)
    bucket = oss2.Bucket(auth, cloud.oss_endpoint, "bucket", region="cn-hangzhou")
    assert refused(call, bucket, b"another").code == "InvalidDigest"
    with pytest.raises(KeyError):
        cloud.object("bucket", "key")
    call(bucket, BODY)
    assert cloud.object("bucket", "key") == BODY


def test_a_digest_that_is_none_is_refused(cloud, key, monkeypatch):
    auth = HashedBody(key.access_key_id, key.access_key_secret)
    bucket = oss2.Bucket(auth, cloud.oss_endpoint, "bucket", region="cn-hangzhou")
    for wrong in ("", "nonsense", HashedBody.digest.upper()):
        monkeypatch.setattr(HashedBody, "digest", wrong)
        assert refused(bucket.put_object, "key", BODY).code == "InvalidArgument"


@pytest.mark.parametrize(("target", "code"), [
    ("x-oss-signature-version=OSS2", "InvalidArgument"),
    ("x-oss-signature-version=OSS2&x-oss-expires=9999999999", "InvalidArgument"),
    ("x-oss-signature-version=OSS2&x-oss-expires=%D9%A3&x-oss-access-key-id=x", "InvalidArgument"),
    ("x-oss-signature-version=OSS2&x-oss-expires=9999999999&x-oss-access-key-id=x&x-oss-additional-headers=%E6%96%87",
     "InvalidArgument"),
    ("x-oss-signature-version=OSS2&x-oss-expires=9999999999&x-oss-access-key-id=x", "InvalidAccessKeyId"),
    ("x-oss-signature-version=OSS4-HMAC-SHA256", "InvalidArgument"),
    ("x-oss-signature-version=OSS4-HMAC-SHA256&x-oss-expires=604801", "InvalidArgument"),
    ("x-oss-signature-version=OSS4-HMAC-SHA256&x-oss-expires=60&x-oss-date=%D9%A3", "AccessDenied"),
    ("x-oss-signature-version=OSS4-HMAC-SHA256&x-oss-expires=60&x-oss-date=20000101T000000Z", "AccessDenied"),
    ("x-oss-signature-version=OSS4-HMAC-SHA256&x-oss-expires=60&x-oss-date=29990101T000000Z", "RequestTimeTooSkewed"),
    ("x-oss-signature-version=OSS3", "AccessDenied"),
    ("Signature=x&Expires=%D9%A3&OSSAccessKeyId=x", "InvalidArgument"),
])
def test_malformed_urls_are_refused(cloud, target, code):
    with Replayer(cloud.oss_endpoint) as replayer:
        status, headers, body = replayer.send("GET /bucket/key?{} HTTP/1.1\r\nHost: x\r\n\r\n".format(target).encode())
    assert "<Code>{}</Code>".format(code).encode() in body


@pytest.mark.parametrize("value", [
    "OSS2 ", "OSS2 AccessKeyId:a", "OSS2 AccessKeyId:a,Signature:b,Signature:c",
    "OSS2 AccessKeyId:a,Signature:b,Other:c",
    "OSS2 AccessKeyId=a,Signature=b", "OSS4-HMAC-SHA256 ", "OSS4-HMAC-SHA256 Credential=a,Signature=", "OSS5 a:b",
])
def test_malformed_headers_are_refused(cloud, value):
    with Replayer(cloud.oss_endpoint) as replayer:
        raw = "GET /bucket/key HTTP/1.1\r\nHost: x\r\nAuthorization: {}\r\n\r\n".format(value).encode()
        assert b"<Code>InvalidArgument</Code>" in replayer.send(raw)[2]
    assert cloud.calls()[0].access_key_id in (None, "")


@pytest.mark.parametrize("credential", [
    "{id}/{day}/cn-hangzhou/oss", "{id}/20000101/cn-hangzhou/oss/aliyun_v4_request",
    "{id}/{day}/cn-hangzhou/kms/aliyun_v4_request", "{id}/{day}/cn-hangzhou/oss/aws4_request",
    "{id}/{day}/nowhere/oss/aliyun_v4_request",
])
def test_other_scopes_are_refused(cloud, clock, key, credential):
    now = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(clock.time()))
    lines = ["GET /bucket/key HTTP/1.1", "Host: x", "x-oss-date: " + now, "x-oss-content-sha256: UNSIGNED-PAYLOAD",
             "Authorization: OSS4-HMAC-SHA256 Credential={},Signature=00".format(
                 credential.format(id=key.access_key_id, day=now[:8])), "", ""]
    with Replayer(cloud.oss_endpoint) as replayer:
        assert b"<Code>InvalidArgument</Code>" in replayer.send("\r\n".join(lines).encode())[2]
