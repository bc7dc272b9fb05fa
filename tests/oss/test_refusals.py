"""Uploads that a server refuses in various ways: the object is complete or unchanged, and the error is oss2's own."""

import hashlib

import oss2
import pytest

from tests.conftest import SECRET

from .test_bodies import BODIES
from .test_uploads import CALLS, CONTENT

# A server may answer before it has read the whole body, and then close the connection. It depends on the timing whether
# the client sees the answer or only the closed connection.
TIMELY = ("after the body", "drained")
HOWS = TIMELY + ("closed", "half-closed", "without an answer")
KINDS = ("bytes", "file", "sized part of a file", "sized stream", "generator")
VERSIONS = [version for version, name in (("v1", "Auth"), ("v2", "AuthV2"), ("v4", "AuthV4")) if hasattr(oss2, name)]
# All calls with all kinds of bodies take more than a minute. ``nox -s oss`` runs them with several versions of oss2.
every_combination = pytest.mark.parametrize(("version", "kind", "call"), [
    pytest.param(version, kind, call, marks=[] if (version, call) == ("v1", "put") and kind in ("file", "generator")
                 else pytest.mark.matrix)
    for version in VERSIONS for kind in KINDS for call in sorted(CALLS)
])


def stored_or_none(cloud):
    try:
        return cloud.object("bucket", "key")
    except KeyError:
        return None


@pytest.fixture
def upload(cloud, make_bucket):
    """Upload a body; return oss2's error, if there was one."""

    def do(kind, call, version):
        bucket = make_bucket(auth_version=version, region="cn-hangzhou" if version == "v4" else None)
        bucket.cloud = cloud
        cloud.rotate(SECRET)
        try:
            CALLS[call][0](bucket, BODIES[kind](CONTENT))
        except oss2.exceptions.OssError as error:
            return error
        return None

    return do


@every_combination
@pytest.mark.parametrize("how", HOWS)
def test_object_is_right_or_as_it_was(cloud, upload, version, kind, call, how):
    cloud.refuse_uploads(how)

    error = upload(kind, call, version)

    if error is None:
        assert how != "without an answer"
        assert stored_or_none(cloud) == CALLS[call][1]
    else:
        assert how not in TIMELY
        assert isinstance(error, oss2.exceptions.RequestError)
        assert stored_or_none(cloud) in (None, b"head")


@every_combination
def test_key_that_is_rejected_when_the_body_has_come(cloud, upload, version, kind, call):
    cloud.refuse_uploads("after the body", recheck=True)
    cloud.when_received(len(CONTENT) // 2, lambda: cloud.rotate(SECRET))

    assert upload(kind, call, version) is None

    assert stored_or_none(cloud) == CALLS[call][1]


@pytest.mark.matrix
@pytest.mark.parametrize("how", HOWS)
@pytest.mark.parametrize("version", VERSIONS)
def test_resumable_upload_that_is_refused(cloud, make_bucket, tmp_path, version, how):
    bucket = make_bucket(auth_version=version, region="cn-hangzhou" if version == "v4" else None)
    (tmp_path / "file").write_bytes(CONTENT * 4)
    cloud.refuse_uploads(how)
    cloud.rotate(SECRET)

    def rotate(consumed, total):
        cloud.rotate(SECRET)

    try:
        oss2.resumable_upload(bucket, "key", str(tmp_path / "file"), store=oss2.ResumableStore(root=str(tmp_path)),
                              multipart_threshold=1, part_size=len(CONTENT), num_threads=1, progress_callback=rotate)
    except oss2.exceptions.RequestError:
        assert how not in TIMELY
        assert stored_or_none(cloud) is None
    else:
        assert how != "without an answer"
        assert stored_or_none(cloud) == CONTENT * 4


@pytest.mark.parametrize("kind", KINDS)
def test_key_that_dies_while_an_accepted_body_is_sent(cloud, upload, kind):
    cloud.when_received(len(CONTENT) // 2, lambda: cloud.rotate(SECRET))

    assert upload(kind, "put", "v1") is None

    assert hashlib.sha256(stored_or_none(cloud)).hexdigest() == hashlib.sha256(CONTENT).hexdigest()


@pytest.mark.matrix
@pytest.mark.parametrize("how", ("after the body", "drained", "closed"))
@pytest.mark.parametrize("kind", ["file", "generator"])
def test_64_mebibytes(cloud, make_bucket, tmp_path, kind, how):
    block = bytes(bytearray(range(256))) * 4096
    bucket = make_bucket(enable_crc=False)
    read = hashlib.sha256()

    def blocks():
        for _ in range(64):
            read.update(block)
            yield block

    with (tmp_path / "file").open("wb") as file:
        file.writelines(block for _ in range(64))
    cloud.refuse_uploads(how)
    cloud.rotate(SECRET)
    try:
        if kind == "file":
            bucket.put_object_from_file("key", str(tmp_path / "file"))
        else:
            bucket.put_object("key", blocks())
    except oss2.exceptions.RequestError:
        assert how == "closed"
        with pytest.raises(KeyError):
            cloud.object_sha256("bucket", "key")
    else:
        expected = hashlib.sha256(block * 64).hexdigest()
        assert cloud.object_sha256("bucket", "key") == expected
        assert kind == "file" or read.hexdigest() == expected  # it was read once


def test_the_same_exchange_with_oss2_alone(cloud):
    """A plain bucket's upload with a rejected key ends with the same error as that of a proxy."""
    old = cloud.secret(SECRET).current
    cloud.rotate(SECRET)
    bucket = oss2.Bucket(oss2.Auth(old.access_key_id, old.access_key_secret), cloud.oss_endpoint, "bucket")
    cloud.refuse_uploads("without an answer")

    with pytest.raises(oss2.exceptions.RequestError):
        bucket.put_object("key", CONTENT)
