"""How OSS receives bodies of any size, refuses them early or late, and calls functions in the middle of them."""
import hashlib
import http.client
import socket
import ssl
import threading
import tracemalloc

import oss2
import pytest

from aliyun_sdk_secretsmanager_testing import AccessKeyPair
from tests.conftest import wait_until

from .conftest import bucket_of
from .sdk_requests import signed_put

BODY = bytes(bytearray(range(256))) * 40
WRONG = AccessKeyPair("LTAIunknownunknown", "x")


class Connection:
    """A raw connection to OSS."""

    def __init__(self, cloud, tls=False):
        host, port = cloud.oss_endpoint[len("http://"):].split(":")
        self.sock = socket.create_connection((host, int(port)), 30)
        if tls:
            context = ssl.create_default_context(cafile=cloud.ca_file)
            self.sock = context.wrap_socket(self.sock, server_hostname=host)

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.sock.close()

    def send(self, data):
        self.sock.sendall(data)

    def answer(self):
        """Read the next answer, and return its status, headers and body."""
        response = http.client.HTTPResponse(self.sock, method="PUT")
        response.begin()
        return response.status, response.headers, response.read()

    def ends(self):
        """Whether the server closes the connection, by an end or a reset."""
        try:
            return self.sock.recv(1) == b""
        except (ConnectionResetError, ssl.SSLError):  # TLS raises the latter if the server sent no close_notify
            return True

    def is_silent(self):
        self.sock.setblocking(False)
        try:
            with pytest.raises(BlockingIOError):
                self.sock.recv(1)
        finally:
            self.sock.settimeout(30)


def received(cloud, number):
    """Return an event that is set when OSS has received that many bytes of a body."""
    event = threading.Event()
    cloud.when_received(number, event.set)
    return event


@pytest.fixture
def refused(cloud):
    """The head of a PUT of BODY with a wrong key."""
    return signed_put(WRONG, "bucket", "key", BODY)


@pytest.fixture
def nothing_stored(cloud, bucket):
    yield
    with pytest.raises(KeyError):
        cloud.object("bucket", "key")


@pytest.fixture(params=["length", "chunked"])
def framed(request):
    """A function that returns head and body of a PUT for a key, with a Content-Length or in chunks."""
    def frame(key, name="key", body=BODY):
        head = signed_put(key, "bucket", name, body if request.param == "length" else None)
        if request.param == "length":
            return head, [body]
        half = len(body) // 2
        return head, [chunk(body[:half]), chunk(body[half:]) + b"0\r\n\r\n"]
    return frame


def chunk(data):
    return "{:x}\r\n".format(len(data)).encode() + data + b"\r\n"


def is_refusal(answer):
    status, headers, body = answer
    return status == 403 and b"<Code>InvalidAccessKeyId</Code>" in body


@pytest.mark.usefixtures("nothing_stored")
def test_after_the_body(cloud, refused):
    half = received(cloud, 1000)
    with Connection(cloud) as connection:
        connection.send(refused + BODY[:1000])
        assert half.wait(30)
        connection.is_silent()
        assert cloud.calls()[0].status == 403
        connection.send(BODY[1000:])
        status, headers, body = connection.answer()
        assert is_refusal((status, headers, body))
        assert "Connection" not in headers
        connection.send(refused + BODY)
        assert is_refusal(connection.answer())


@pytest.mark.usefixtures("nothing_stored")
def test_closed(cloud, framed):
    cloud.refuse_uploads("closed")
    read = received(cloud, 0)
    with Connection(cloud) as connection:
        head, pieces = framed(WRONG)
        connection.send(head)
        status, headers, body = connection.answer()
        assert is_refusal((status, headers, body))
        assert headers["Connection"] == "close"
        assert connection.ends()
        with pytest.raises(OSError, match="(?i)reset|pipe"):
            connection.send(pieces[0] * 1000)
    assert not read.is_set()
    assert [(call.status, call.code) for call in cloud.calls()] == [(403, "InvalidAccessKeyId")]


@pytest.mark.usefixtures("nothing_stored")
def test_drained(cloud, key, framed):
    cloud.refuse_uploads("drained")
    with Connection(cloud) as connection:
        head, pieces = framed(WRONG)
        connection.send(head)
        status, headers, body = connection.answer()
        assert is_refusal((status, headers, body))
        assert "Connection" not in headers
        for piece in pieces:
            connection.send(piece)
        head, pieces = framed(key, "other")
        connection.send(head + b"".join(pieces))
        assert connection.answer()[0] == 200
    assert cloud.object("bucket", "other") == BODY


@pytest.mark.usefixtures("nothing_stored")
def test_half_closed(cloud, framed):
    cloud.refuse_uploads("half-closed")
    everything = received(cloud, len(BODY))
    with Connection(cloud) as connection:
        head, pieces = framed(WRONG)
        connection.send(head)
        status, headers, body = connection.answer()
        assert is_refusal((status, headers, body))
        assert headers["Connection"] == "close"
        assert connection.sock.recv(1) == b""
        for piece in pieces:
            connection.send(piece)
        assert everything.wait(30)


@pytest.mark.parametrize("leaves", [True, False])
@pytest.mark.usefixtures("nothing_stored")
def test_half_closed_is_closed_in_the_end(cloud, refused, monkeypatch, leaves):
    if not leaves:
        monkeypatch.setattr("aliyun_sdk_secretsmanager_testing.server._LINGER_IDLE_SECONDS", 0.05)
    cloud.refuse_uploads("half-closed")

    def open_ones():
        return [sock for server in cloud._network._servers.values() for sock in server._socks]

    with Connection(cloud) as connection:
        connection.send(refused)
        connection.answer()
        assert connection.sock.recv(1) == b""
        if leaves:
            assert len(open_ones()) == 1
            connection.sock.close()
        wait_until(lambda: not open_ones())


@pytest.mark.usefixtures("nothing_stored")
def test_without_an_answer(cloud, framed):
    cloud.refuse_uploads("without an answer")
    with Connection(cloud) as connection:
        connection.send(framed(WRONG)[0])
        assert connection.ends()
    assert [(call.status, call.code) for call in cloud.calls()] == [(0, "without an answer")]


@pytest.mark.parametrize("how", ["after the body", "closed", "drained", "half-closed", "without an answer"])
@pytest.mark.usefixtures("nothing_stored")
def test_over_tls(cloud, refused, how):
    cloud.refuse_uploads(how)
    everything = received(cloud, len(BODY))
    with Connection(cloud, tls=True) as connection:
        connection.send(refused + (BODY if how == "after the body" else b""))
        if how == "without an answer":
            assert connection.ends()
        else:
            assert is_refusal(connection.answer())
        if how in ("drained", "half-closed"):
            connection.send(BODY)
            assert everything.wait(30)


@pytest.mark.parametrize("how", ["closed", "drained", "half-closed", "without an answer"])
def test_only_bodies_with_a_wrong_key_are_refused_that_way(cloud, bucket, how):
    cloud.refuse_uploads(how)
    bucket.put_object("key", BODY)
    wrong = bucket_of(cloud, WRONG)
    for call in (wrong.get_object, wrong.head_object, wrong.delete_object):
        with pytest.raises(oss2.exceptions.ServerError) as caught:
            call("key")
        assert caught.value.status == 403
    other = oss2.Bucket(bucket.auth, cloud.oss_endpoint, "other")
    with pytest.raises(oss2.exceptions.NoSuchBucket):
        other.put_object("key", BODY)
    assert cloud.object("bucket", "key") == BODY


@pytest.mark.parametrize("how", ["after the body", "closed", "drained", "half-closed"])
@pytest.mark.parametrize("wrong", [WRONG, None])
@pytest.mark.parametrize("size", [10, 300000])
@pytest.mark.usefixtures("nothing_stored")
def test_the_sdk_sees_the_refusal_or_a_lost_connection(cloud, key, how, wrong, size):
    cloud.refuse_uploads(how)
    bucket = bucket_of(cloud, wrong or key._replace(access_key_secret="wrong"))
    with pytest.raises((oss2.exceptions.ServerError, oss2.exceptions.RequestError)) as caught:
        bucket.put_object("key", b"x" * size)
    if how in ("after the body", "drained", "half-closed"):
        assert caught.value.code == ("SignatureDoesNotMatch" if wrong is None else "InvalidAccessKeyId")


@pytest.mark.usefixtures("nothing_stored")
def test_the_sdk_gets_no_answer(cloud):
    cloud.refuse_uploads("without an answer")
    with pytest.raises(oss2.exceptions.RequestError):
        bucket_of(cloud, WRONG).put_object("key", b"x")
    cloud.refuse_uploads()
    with pytest.raises(oss2.exceptions.ServerError):
        bucket_of(cloud, WRONG).put_object("key", b"x")


def test_an_unknown_way_is_an_error(cloud):
    with pytest.raises(ValueError, match="the ways are after the body, closed"):
        cloud.refuse_uploads("nonsense")
    with pytest.raises(ValueError, match="0 bytes or more"):
        cloud.when_received(-1, list)


@pytest.mark.parametrize("at", [0, 1, 5000, len(BODY)])
def test_a_rotation_during_the_body_spares_it(cloud, bucket, framed, key, at):
    cloud.when_received(at, lambda: cloud.rotate("app/key"))
    with Connection(cloud) as connection:
        head, pieces = framed(key)
        connection.send(head + b"".join(pieces))
        assert connection.answer()[0] == 200
        assert cloud.secret("app/key").current != key
        connection.send(head + b"".join(pieces))
        assert is_refusal(connection.answer())
    assert cloud.object("bucket", "key") == BODY


def test_the_server_waits_for_the_action_with_exactly_so_many_bytes(cloud, key, framed):
    entered, leave = threading.Event(), threading.Event()

    def wait():
        entered.set()
        leave.wait(30)

    cloud.when_received(5000, wait)
    later = received(cloud, 5001)
    with Connection(cloud) as connection:
        head, pieces = framed(key)
        connection.send(head + b"".join(pieces))
        assert entered.wait(30)
        assert not later.is_set()
        leave.set()
        assert connection.answer()[0] == 200
        assert later.is_set()


@pytest.mark.parametrize("at", [0, 5000, len(BODY)])
@pytest.mark.usefixtures("nothing_stored")
def test_a_key_may_be_checked_at_the_end_again(cloud, framed, key, at):
    cloud.refuse_uploads("closed", recheck=True)
    cloud.when_received(at, lambda: cloud.rotate("app/key"))
    with Connection(cloud) as connection:
        head, pieces = framed(key)
        connection.send(head + b"".join(pieces))
        assert is_refusal(connection.answer())
        head, pieces = framed(cloud.secret("app/key").current, "other")
        connection.send(head + b"".join(pieces))
        assert connection.answer()[0] == 200


@pytest.mark.usefixtures("nothing_stored")
def test_a_key_found_wrong_at_the_end_may_get_no_answer(cloud, framed, key):
    cloud.refuse_uploads("without an answer", recheck=True)
    cloud.when_received(5000, lambda: cloud.rotate("app/key"))
    with Connection(cloud) as connection:
        head, pieces = framed(key)
        connection.send(head + b"".join(pieces))
        assert connection.sock.recv(1) == b""


def test_every_operation_checks_again(cloud, clock, bucket):
    bucket.put_object("there", b"x")
    upload_id = bucket.init_multipart_upload("there").upload_id
    cloud.refuse_uploads(recheck=True)
    calls = [lambda old: old.append_object("key", 0, BODY), lambda old: old.upload_part("there", upload_id, 1, BODY),
             lambda old: old.batch_delete_objects(["there"])]
    for call in calls:
        old = bucket_of(cloud, cloud.secret("app/key").current)
        cloud.when_received(1, lambda: cloud.rotate("app/key"))
        with pytest.raises(oss2.exceptions.ServerError, match="InvalidAccessKeyId"):
            call(old)
    new = bucket_of(cloud, cloud.secret("app/key").current)
    assert list(oss2.PartIterator(new, "there", upload_id)) == []
    assert [entry.key for entry in oss2.ObjectIterator(new)] == ["there"]


@pytest.mark.parametrize("raw", [b"zz\r\n", b"5\r\n0123456\r\n", b"-1\r\n", b"1\nx", b"\r\n"])
@pytest.mark.usefixtures("nothing_stored")
def test_broken_chunks_end_the_connection(cloud, key, raw):
    with Connection(cloud) as connection:
        connection.send(signed_put(key, "bucket", "key", None) + raw + b"0\r\n\r\n")
        assert connection.ends()


@pytest.mark.usefixtures("nothing_stored")
def test_a_body_that_ends_early_is_not_stored(cloud, key, framed):
    with Connection(cloud) as connection:
        head, pieces = framed(key)
        connection.send(head + pieces[0][:5000])
        connection.sock.shutdown(socket.SHUT_WR)
        assert connection.ends()


def test_memory_stays_constant(cloud, key, bucket):
    megabyte, times = bytes(bytearray(range(256))) * 4096, 24
    digest = hashlib.sha256()
    bucket.put_object("key", megabyte[:1000])
    head = signed_put(key, "bucket", "one chunk", None)
    tracemalloc.start()
    try:
        bucket.put_object("key", (megabyte for _ in range(times)))
        with Connection(cloud) as connection:
            connection.send(head + "{:x}\r\n".format(len(megabyte) * times).encode())
            for _ in range(times):
                connection.send(megabyte)
            connection.send(b"\r\n0\r\n\r\n")
            assert connection.answer()[0] == 200
        for piece in bucket.get_object("key"):
            digest.update(piece)
        assert cloud.object_sha256("bucket", "key") == digest.hexdigest()
        assert cloud.object_sha256("bucket", "one chunk") == digest.hexdigest()
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert digest.hexdigest() == hashlib.sha256(megabyte * times).hexdigest()
    assert peak < 8 * len(megabyte)


def test_sha256_of_what_is_not_there(cloud):
    with pytest.raises(KeyError, match="NoSuchKey"):
        cloud.object_sha256("bucket", "none")
