"""Which requests without a signature are refused, by Host and Origin; and the addresses that a cloud listens at."""
import json
import logging
import socket
import urllib.request
from unittest import mock

import pytest

from aliyun_sdk_secretsmanager_testing import LocalCloud

from .conftest import bucket_of, client_of
from .sdk_requests import Replayer, answer, get_secret_value, recorded, rpc

ROLE = "/latest/meta-data/ram/security-credentials/local-cloud"
# The servers that need no signature: the attribute with the address, and a path.
OPEN = {
    "control": (lambda cloud: cloud.control_url, "POST", "/secrets/rotate", b'{"name": "app/key"}'),
    "endpoints": (lambda cloud: cloud.control_url, "GET", "/", b""),
    "credentials": (lambda cloud: cloud.credentials_uri.rpartition("/")[0], "GET", "/credentials", b""),
    "metadata": (lambda cloud: "http://" + cloud.metadata_endpoint, "GET", ROLE, b""),
    "nothing": (lambda cloud: cloud.control_url, "OPTIONS", "/nowhere", b""),
}
AT_HOME = ["127.0.0.1", "localhost", "[::1]", "LocalHost", "localhost.", "127.0.0.1."]
FOREIGN = ["evil.example", "localhost.evil.example", "127.0.0.1.evil.example", "evil.example.", "xlocalhost", "0.0.0.0",
           "127.0.0.2", "[::2]", "localhost@evil.example", "evil.example#localhost", "localhost,evil.example", "[::1",
           "localhost evil.example", "localhost:80:80", "localhost:evil", "[::1]evil.example", "*", "."]


def ask(cloud, what, *headers, version="1.1"):
    """Send a request with these headers, and return status and body of the answer."""
    where, method, path, body = OPEN[what]
    address = where(cloud).replace("http://", "")
    lines = ["{} {} HTTP/{}".format(method, path, version), "Content-Type: text/plain",
             "Content-Length: {}".format(len(body))]
    with Replayer(address) as replayer:
        status, _, answered = replayer.send("\r\n".join(lines + list(headers) + ["", ""]).encode("latin-1") + body)
    return status, answered.decode()


def expected(what):
    return 404 if what == "nothing" else 200


@pytest.mark.parametrize("what", OPEN)
def test_names_of_this_machine_are_at_home_with_and_without_a_port(cloud, what):
    for host in AT_HOME:
        for port in ("", ":80", ":65535", ":"):
            assert ask(cloud, what, "Host: " + host + port)[0] == expected(what), host + port
            assert ask(cloud, what, "Host: " + host + port, "Origin: http://" + host + port)[0] == expected(what), host
    assert ask(cloud, what, "Host: localhost:8443", "Origin: HTTPS://LocalHost:8443")[0] == expected(what)


@pytest.mark.parametrize("what", OPEN)
def test_another_host_is_refused(cloud, what):
    key = cloud.secret("app/key").current
    for host in FOREIGN + [""]:
        for suffix in ("", ":80"):
            status, body = ask(cloud, what, "Host: " + host + suffix)
            assert status == 403, host + suffix
            assert "AccessKey" not in body and "is not at home here" in json.loads(body)["error"]
    assert cloud.secret("app/key").current == key
    assert cloud.calls() == []


@pytest.mark.parametrize("what", OPEN)
def test_a_request_without_a_host_is_refused(cloud, what):
    assert ask(cloud, what, version="1.0")[0] == 403
    assert ask(cloud, what)[0] in (400, 403)


@pytest.mark.parametrize("what", OPEN)
def test_a_page_of_another_origin_is_refused_whatever_host_it_asks(cloud, what):
    key = cloud.secret("app/key").current
    foreign = ["http://" + host for host in FOREIGN] + [
        "http://localhost", "http://127.0.0.1:3000", "https://127.0.0.1:8443", "http://[::1]",  # pages of other servers
        "null", "", "file://", "localhost", "127.0.0.1", "chrome-extension://localhost", "ftp://localhost",
        "http://localhost http://evil.example", "http://", "http:localhost", "https://evil.example:443"]
    for origin in foreign:
        for host in ("127.0.0.1", "evil.example"):
            assert ask(cloud, what, "Host: " + host, "Origin: " + origin)[0] == 403, origin
    assert cloud.secret("app/key").current == key
    assert cloud.calls() == []


def test_a_refusal_says_who_is_at_home_and_how_to_let_others_in(cloud):
    _, body = ask(cloud, "control", "Host: Evil.example:80")
    assert json.loads(body)["error"] == (
        "the Host 'Evil.example:80' is not at home here; at home are 127.0.0.1, ::1, localhost; to let others in, name "
        "them with --allow-host or LocalCloud(allow_hosts=...)")


def test_names_that_are_allowed_are_at_home():
    with LocalCloud(allow_hosts=["Cloud.", "172.17.0.2", "[FD00:0::1]"]) as cloud:
        cloud.create_secret("app/key")
        for what in OPEN:
            for name in ("cloud", "CLOUD:8080", "172.17.0.2:80", "[fd00::1]:80", "localhost"):
                assert ask(cloud, what, "Host: " + name, "Origin: http://" + name)[0] == expected(what), name
            for name in ("cloud.example", "172.17.0.3"):
                assert ask(cloud, what, "Host: " + name)[0] == 403, name


def test_the_metadata_service_is_at_home_at_its_address_too(cloud):
    assert ask(cloud, "metadata", "Host: 100.100.100.200")[0] == 200
    assert ask(cloud, "credentials", "Host: 100.100.100.200")[0] == 403


@pytest.mark.parametrize("host", ["bucket.oss-cn-hangzhou.aliyuncs.com", "evil.example"])
def test_signed_requests_are_answered_under_any_host(cloud, client, key, host):
    for address, raw in (
        (cloud.api_endpoint, recorded(lambda address: client.do_action_with_exception(rpc(address)))),
        (cloud.oss_endpoint, recorded(lambda address: _bucket(cloud, key, address).list_objects())),
    ):
        head, _, rest = raw.partition(b"\r\nHost: ")
        with Replayer(address) as replayer:
            assert replayer.send(head + b"\r\nHost: " + host.encode() + rest[rest.index(b"\r\n"):])[0] == 200


def _bucket(cloud, key, address):
    bucket = bucket_of(cloud, key)
    import oss2
    return oss2.Bucket(bucket.auth, "http://" + address, "bucket")


def test_a_name_that_is_allowed_is_in_the_certificates(monkeypatch):
    resolve = socket.getaddrinfo
    monkeypatch.setattr(socket, "getaddrinfo", lambda host, *more, **options: resolve(
        "127.0.0.1" if host == "cloud.example" else host, *more, **options))
    with LocalCloud(allow_hosts=["cloud.example"]) as cloud:
        cloud.create_secret("app/key")
        endpoint = "cloud.example:" + cloud.gateway_endpoint().rpartition(":")[2]
        assert answer(client_of(cloud, cloud.identity), get_secret_value(endpoint))["SecretName"] == "app/key"


@pytest.mark.parametrize("host, shown, reached", [
    ("0.0.0.0", "127.0.0.1", "127.0.0.1"), ("127.0.0.2", "127.0.0.2", "127.0.0.2"), ("LOCALHOST", "localhost", "127.0.0.1"),
    ("::1", "[::1]", "::1"), ("::", "[::1]", "::1")])
def test_a_cloud_listens_at_the_address_that_it_is_given(host, shown, reached, caplog):
    try:
        with socket.socket(socket.AF_INET6 if ":" in reached else socket.AF_INET) as sock:
            sock.bind((reached, 0))
    except OSError:
        pytest.skip("this machine has no " + reached)
    with LocalCloud(host=host) as cloud:
        name, _, port = cloud.control_url.replace("http://", "").rpartition(":")
        assert name == shown
        assert cloud.gateway_endpoint().startswith(shown + ":")
        with urllib.request.urlopen(cloud.control_url, timeout=30) as response:
            assert json.loads(response.read().decode())["control_url"] == cloud.control_url
        socket.create_connection((reached, int(port)), 30).close()
    warned = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert warned == (["the local cloud listens on {}: whoever reaches it there can read its secrets and control it".format(
        host)] if host in ("0.0.0.0", "::") else [])


@pytest.mark.parametrize("host", ["", "http://cloud", "cloud:80", "cloud/", "a b", "*", "[::1]:80", "-a", "cloud..", "a_b",
                                  "x" * 64, "127.0.0.1\n"])
def test_what_is_no_host_is_refused_at_once(host):
    for arguments in ({"host": host}, {"allow_hosts": ["localhost", host]}):
        with pytest.raises(ValueError, match="is no host: give a name or an address without scheme and port"):
            LocalCloud(**arguments)
    with pytest.raises(ValueError, match="a sequence of names"):
        LocalCloud(allow_hosts="localhost")


def test_an_address_or_a_name_that_cannot_be_had_is_told(monkeypatch):
    with pytest.raises(OSError, match="cannot listen on 192.0.2.1:0: "):
        LocalCloud(host="192.0.2.1").start()
    monkeypatch.setattr(socket, "getaddrinfo", mock.Mock(side_effect=socket.gaierror(-2, "Name or service not known")))
    with pytest.raises(OSError, match="cannot listen on nowhere.invalid:0: Name or service not known"):
        LocalCloud(host="nowhere.invalid").start()
    with pytest.raises(ValueError, match="no certificate can be made for .*ab--cd"):
        LocalCloud(allow_hosts=["ab--cd"]).start()
