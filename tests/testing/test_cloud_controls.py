"""The controls over HTTP, the cloud as a process, and its properties file."""
import hashlib
import json
import os
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request

import oss2
import pytest

import aliyun_sdk_secretsmanager_testing
from aliyun_sdk_secretsmanager_testing import AccessKeyPair
from aliyun_sdk_secretsmanager_testing.__main__ import main

from .conftest import bucket_of, client_of
from .sdk_requests import answer, get_secret_value, rpc

ROOT = os.path.dirname(os.path.dirname(aliyun_sdk_secretsmanager_testing.__file__))


def send(url, method, path, body=None):
    """Send a request, and return status and parsed body of the answer."""
    data = body if isinstance(body, bytes) else json.dumps(body).encode() if body is not None else None
    request = urllib.request.Request(url + path, data=data, method=method)
    try:
        with urllib.request.urlopen(request, timeout=30) as response:
            return response.status, json.loads(response.read().decode())
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.loads(error.read().decode())


@pytest.fixture
def control(cloud):
    return lambda method, path, body=None: send(cloud.control_url, method, path, body)


def test_the_endpoints(cloud, control):
    status, document = control("GET", "/")
    assert status == 200
    assert document["regions"] == {"cn-hangzhou": cloud.gateway_endpoint()}
    assert document["dedicated"] == {}
    for name in ("api_endpoint", "api_https_endpoint", "oss_endpoint", "sts_endpoint", "metadata_endpoint",
                 "credentials_uri", "control_url", "console_url", "ca_file"):
        assert document[name] == getattr(cloud, name)
    assert cloud.identity.access_key_secret not in json.dumps(document)


def test_secrets(cloud, control, key):
    assert control("POST", "/secrets", {"name": "a/b c", "token": True, "next_rotation": 5}) == (
        200, {"name": "a/b c", "access_key_id": cloud.secret("a/b c").current.access_key_id})
    assert control("POST", "/secrets", {"name": "raw", "secret_data": "{", "secret_type": "Generic"})[1][
        "access_key_id"] is None
    new = control("POST", "/secrets/rotate", {"name": "app/key", "grace": 1.5, "token": None})[1]
    assert new["access_key_id"] == cloud.secret("app/key").current.access_key_id != key.access_key_id
    assert control("POST", "/secrets/rollback", {"name": "app/key"})[1]["access_key_id"] == key.access_key_id


def test_a_disabled_key_of_any_version_is_rejected_until_it_is_enabled(cloud, control, key):
    new = cloud.rotate("app/key", grace=60)
    old = {"name": "app/key", "version_id": cloud.secret("app/key").versions[0].version_id}
    assert control("POST", "/secrets/disable", {"name": "app/key"}) == (
        200, {"name": "app/key", "access_key_id": new.access_key_id})
    assert (cloud.accepts(key), cloud.accepts(new)) == (True, False)
    assert control("POST", "/secrets/disable", old)[1]["access_key_id"] == key.access_key_id
    assert control("POST", "/secrets/enable", {"name": "app/key"})[1]["access_key_id"] == new.access_key_id
    assert (cloud.accepts(key), cloud.accepts(new)) == (False, True)
    assert control("POST", "/secrets/enable", old)[0] == 200
    assert cloud.accepts(key)


def test_buckets(cloud, control):
    assert control("POST", "/buckets", {"name": "other"}) == (200, {"name": "other"})
    with pytest.raises(KeyError, match="NoSuchKey"):
        cloud.object("other", "key")


def test_uploads(cloud, control, key):
    assert control("POST", "/uploads", {"how": "without an answer", "recheck": True}) == (
        200, {"how": "without an answer", "recheck": True})
    with pytest.raises(oss2.exceptions.RequestError):
        bucket_of(cloud, key._replace(access_key_secret="wrong")).put_object("key", b"x")
    assert control("POST", "/uploads", {}) == (200, {})
    with pytest.raises(oss2.exceptions.SignatureDoesNotMatch):
        bucket_of(cloud, key._replace(access_key_secret="wrong")).put_object("key", b"x")
    bucket_of(cloud, key).put_object("a é", b"x")
    assert control("GET", "/objects?bucket=bucket&key=a+%C3%A9") == (
        200, {"bucket": "bucket", "key": "a é", "sha256": hashlib.sha256(b"x").hexdigest()})


def test_faults(cloud, control, client):
    assert control("POST", "/faults", {"service": "api", "kind": "status", "status": 503, "times": 1})[0] == 200
    with pytest.raises(Exception, match="ServiceUnavailableTemporary"):
        client.do_action_with_exception(rpc(cloud.api_endpoint))
    assert answer(client, rpc(cloud.api_endpoint))
    for kind, more in (("throttling", {}), ("forbidden", {}), ("html", {}), ("body", {"body": "x", "status": 200}),
                       ("reset", {}), ("hang", {}), ("slow", {"seconds": 1}), ("drip", {"seconds": 0.5}),
                       ("drip_head", {"seconds": 0.5}), ("continues", {}), ("cut", {}), ("refuse", {}),
                       ("expired_certificate", {}), ("untrusted_certificate", {})):
        body = dict({"service": "secrets_manager", "region": "cn-hangzhou", "kind": kind}, **more)
        assert control("POST", "/faults", body)[0] == 200, kind
    assert control("DELETE", "/faults?service=secrets_manager&region=cn-hangzhou") == (200, {})
    assert control("DELETE", "/faults") == (200, {})
    assert answer(client_of(cloud, cloud.identity), get_secret_value(cloud.gateway_endpoint()))


def test_calls(cloud, control, client, clock):
    answer(client, rpc(cloud.api_endpoint))
    clock.advance(1)
    answer(client, rpc(cloud.api_endpoint))
    status, document = control("GET", "/calls?service=api&action=DescribeRegions&secret=app/key")
    assert (status, len(document["calls"])) == (200, 2)
    assert document["calls"][0]["status"] == 200
    assert len(control("GET", "/calls?since={}".format(clock.monotonic()))[1]["calls"]) == 1
    assert control("GET", "/calls?service=oss")[1] == {"calls": []}


@pytest.mark.parametrize("method, path, body, message", [
    ("POST", "/secrets", b"{", "no JSON"),
    ("POST", "/secrets", b"[" * 100000, "no JSON"),
    ("POST", "/secrets", b'{"name": "a", "expires_in": 1e999}', "'expires_in' must be a finite number"),
    ("POST", "/secrets", b'{"name": "a", "next_rotation": NaN}', "'next_rotation' must be a finite number"),
    ("POST", "/secrets", b'{"name": "a", "expires_in": -1e308}', ""),
    ("POST", "/secrets", [], "a JSON object"),
    ("POST", "/faults", [], "a JSON object"),
    ("POST", "/secrets", {}, "'name' is missing"),
    ("POST", "/secrets", {"name": 5}, "'name' must be text"),
    ("POST", "/secrets", {"name": "x", "nonsense": 1}, "no field 'nonsense'"),
    ("POST", "/secrets", {"name": "app/key"}, "already"),
    ("POST", "/secrets", {"name": "x", "expires_in": True}, "'expires_in' must be a number"),
    ("POST", "/secrets/rotate", {"name": "none"}, "no secret 'none'"),
    ("POST", "/secrets/rotate", {"name": "app/key", "grace": -5}, "grace must be 0 seconds or more, not -5"),
    ("POST", "/secrets/rotate", {"name": "app/key", "propagation": -0.1}, "propagation must be 0 seconds or more"),
    ("POST", "/secrets/rotate", {"name": "app/key", "publish_delay": -1}, "publish_delay must be 0 seconds or more"),
    ("POST", "/secrets/rollback", {"name": "app/key", "grace": -5}, "grace must be 0 seconds or more, not -5"),
    ("POST", "/secrets/rollback", {"name": "app/key"}, "no previous"),
    ("POST", "/secrets/disable", {"name": "none"}, "no secret 'none'"),
    ("POST", "/secrets/enable", {"name": "app/key", "version_id": "v9"}, "no AccessKey in its version 'v9'"),
    ("POST", "/buckets", {"name": "bucket"}, "already"),
    ("POST", "/buckets", {"name": "A B"}, "'A B' is no name of a bucket"),
    ("POST", "/buckets", {"name": "-a-"}, "no hyphen at either end"),
    ("POST", "/buckets", {"name": "bucket\n"}, "is no name of a bucket"),
    ("POST", "/faults", {"service": "api", "kind": "html", "status": 99}, "200 to 599"),
    ("POST", "/faults", {"service": "api", "kind": "body", "body": "", "status": 600}, "200 to 599"),
    ("POST", "/faults", {"service": "api"}, "'kind' is missing"),
    ("POST", "/faults", {"service": "api", "kind": "nonsense"}, "no fault of kind 'nonsense'"),
    ("POST", "/faults", {"service": "nonsense", "kind": "reset"}, "no service 'nonsense'"),
    ("POST", "/faults", {"service": "api", "kind": "slow"}, "'seconds' is missing"),
    ("POST", "/faults", {"service": "api", "kind": "slow", "seconds": "1"}, "'seconds' must be a number"),
    ("POST", "/faults", {"service": "api", "kind": "status", "status": 200}, "400 to 599"),
    ("POST", "/faults", {"service": "api", "kind": "reset", "duration": 0}, "duration is more than 0 seconds"),
    ("POST", "/faults", {"service": "api", "kind": "reset", "duration": 1e300}, "duration is more than 0 seconds"),
    ("POST", "/faults", {"service": "api", "kind": "reset", "times": 1.5}, "'times' must be a whole number"),
    ("DELETE", "/faults?service=nonsense", None, "no service 'nonsense'"),
    ("POST", "/uploads", {"how": "nonsense"}, "the ways are after the body, closed, drained"),
    ("POST", "/uploads", {"how": 5}, "'how' must be text"),
    ("GET", "/objects?bucket=bucket&key=none", None, "NoSuchKey"),
    ("GET", "/calls?nonsense=1", None, "no parameter 'nonsense'"),
    ("GET", "/calls?since=x", None, "could not convert"),
])
def test_bad_input_answers_400_and_says_what_is_wrong(control, method, path, body, message):
    status, document = control(method, path, body)
    assert status == 400
    assert message in document["error"]


def test_a_refused_rotation_changes_nothing(cloud, control, key):
    for field, value in (("grace", -5), ("expires_in", -1e308)):
        assert control("POST", "/secrets/rotate", {"name": "app/key", field: value})[0] == 400
    assert cloud.secret("app/key").current == key
    assert cloud.accepts(key)


def test_an_unknown_path_names_the_known_ones(control):
    status, document = control("PUT", "/nonsense", {})
    assert status == 404
    assert "POST /secrets/rotate" in document["error"]


def test_the_properties_file(cloud, tmp_path):
    path = cloud.write_properties(tmp_path, secret_names="app/key", credentials_type=None)
    with open(path, encoding="utf-8") as file:
        lines = dict(line.rstrip("\n").split("=", 1) for line in file)
    assert os.path.basename(path) == "managed_credentials_providers.properties"
    assert lines.pop("cache_client_region_id") == json.dumps([
        {"regionId": "cn-hangzhou", "endpoint": cloud.gateway_endpoint(), "caFilePath": cloud.ca_file}])
    assert lines == {"credentials_access_key_id": cloud.identity.access_key_id,
                     "credentials_access_secret": cloud.identity.access_key_secret, "secret_names": "app/key"}
    assert "credentials_type=ak\n" in open(cloud.write_properties(str(tmp_path)), encoding="utf-8").read()


@pytest.fixture
def start():
    """Start the cloud as a process, with a standard input and options."""
    running = []

    def start_process(stdin, *options):
        environment = dict(os.environ, PYTHONPATH=ROOT, PYTHONWARNINGS="ignore")
        running.append(subprocess.Popen(
            [sys.executable, "-m", "aliyun_sdk_secretsmanager_testing"] + list(options), env=environment, stdin=stdin,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE))
        return running[-1]

    yield start_process
    for process in running:
        process.kill()
        process.communicate()


@pytest.mark.parametrize("end", ["stdin", "SIGTERM", "SIGINT"])
def test_the_cloud_as_a_process(start, end):
    process = start(subprocess.PIPE, "--region", "cn-hangzhou", "--region", "cn-beijing", "--secret", "app/key",
                    "--dedicated", "kst-hangzhou")
    document = json.loads(process.stdout.readline().decode())
    assert sorted(document["regions"]) == ["cn-beijing", "cn-hangzhou"]
    assert list(document["dedicated"]) == ["kst-hangzhou"]
    assert document["secrets"] == ["app/key"]
    assert send(document["control_url"], "POST", "/secrets/rotate", {"name": "app/key"})[0] == 200
    with open(document["ca_file"], "rb") as file:
        assert b"BEGIN CERTIFICATE" in file.read()
    from aliyunsdkcore.client import AcsClient
    identity = AccessKeyPair(**document["identity"])
    client = AcsClient(identity.access_key_id, identity.access_key_secret, "cn-hangzhou", verify=document["ca_file"])
    assert answer(client, get_secret_value(document["regions"]["cn-beijing"]))["SecretName"] == "app/key"
    if end == "stdin":
        process.stdin.close()
        process.stdin = None
    else:
        process.send_signal(getattr(signal, end))
    assert process.wait(60) == 0
    assert process.stdout.read() == b"" and process.stderr.read() == b""
    assert not os.path.exists(document["ca_file"])


@pytest.mark.parametrize("stdin", [os.devnull, __file__, "closed"], ids=["null device", "file", "closed"])
def test_a_standard_input_that_nobody_closes_ends_nothing(start, stdin, monkeypatch):
    """Services, containers and background jobs of a script get the null device."""
    if stdin == "closed":
        popen = subprocess.Popen
        monkeypatch.setattr(subprocess, "Popen", lambda command, **options: popen(
            ["sh", "-c", 'exec "$@" <&-', "sh"] + command, **options))
        process = start(None, "--secret", "app/key")
    else:
        with open(stdin, "rb") as file:
            process = start(file, "--secret", "app/key")
    control = json.loads(process.stdout.readline().decode())["control_url"]
    for _ in range(20):
        assert send(control, "POST", "/secrets/rotate", {"name": "app/key"})[0] == 200
    process.terminate()
    assert process.wait(60) == 0


@pytest.mark.parametrize("how", ["socket", "terminal", "end of file"])
def test_the_end_of_a_socket_or_a_terminal_ends_it(start, how):
    if how == "socket":
        mine, its = (end.detach() for end in socket.socketpair())
    else:
        mine, its = os.openpty()
    process = start(its)
    os.close(its)
    process.stdout.readline()
    if how == "end of file":
        os.write(mine, b"\x04")
        assert process.wait(60) == 0
    os.close(mine)
    assert process.wait(60) == 0


def test_a_process_for_containers_warns_and_lets_the_named_hosts_in(start):
    process = start(subprocess.PIPE, "--host", "0.0.0.0", "--allow-host", "cloud", "--allow-host", "10.0.0.7")
    document = json.loads(process.stdout.readline().decode())
    for host, status in (("cloud:80", 200), ("10.0.0.7", 200), ("127.0.0.1", 200), ("other", 403)):
        request = urllib.request.Request(document["control_url"], headers={"Host": host})
        try:
            with urllib.request.urlopen(request, timeout=30) as response:
                assert response.status == status
        except urllib.error.HTTPError as error:
            with error:
                assert error.code == status
    process.stdin.close()
    process.stdin = None
    assert process.wait(60) == 0
    assert process.stderr.read().decode().startswith("WARNING: the local cloud listens on 0.0.0.0: ")


@pytest.mark.parametrize("options, message", [
    (["--host", "127.0.0.1:80"], "'127.0.0.1:80' is no host"),
    (["--host", "192.0.2.1"], "cannot listen on 192.0.2.1:0: "),
    (["--allow-host", "http://cloud"], "'http://cloud' is no host"),
    (["--secret", "a", "--secret", "a"], "there is a secret 'a' already"),
])
def test_wrong_options_are_told_in_one_line(options, message, capsys):
    with pytest.raises(SystemExit) as caught:
        main(options)
    assert caught.value.code == 2
    assert "error: " + message in capsys.readouterr().err
