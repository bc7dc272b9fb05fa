"""The controls over HTTP, the cloud as a process, its properties file, and the pytest fixtures."""
import hashlib
import json
import os
import signal
import subprocess
import sys
import urllib.error
import urllib.request

import oss2
import pytest

import aliyun_sdk_secretsmanager_testing
from aliyun_sdk_secretsmanager_testing import AccessKeyPair

from .conftest import bucket_of, client_of
from .sdk_requests import answer, get_secret_value, rpc

ROOT = os.path.dirname(os.path.dirname(aliyun_sdk_secretsmanager_testing.__file__))


def send(url, method, path, body=None):
    """Status and parsed body."""
    data = body if isinstance(body, bytes) else json.dumps(body).encode() if body is not None else None
    request = urllib.request.Request(url + path, data=data, method=method)
    try:
        with urllib.request.urlopen(request, timeout=5) as response:
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
                 "credentials_uri", "control_url", "ca_file"):
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
                       ("reset", {}), ("hang", {}), ("slow", {"seconds": 1}), ("drip", {"seconds": 0.5}), ("cut", {}),
                       ("refuse", {}), ("expired_certificate", {}), ("untrusted_certificate", {})):
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
    ("POST", "/secrets", [], "a JSON object"),
    ("POST", "/faults", [], "a JSON object"),
    ("POST", "/secrets", {}, "'name' is missing"),
    ("POST", "/secrets", {"name": 5}, "'name' must be text"),
    ("POST", "/secrets", {"name": "x", "nonsense": 1}, "no field 'nonsense'"),
    ("POST", "/secrets", {"name": "app/key"}, "already"),
    ("POST", "/secrets", {"name": "x", "expires_in": True}, "'expires_in' must be a number"),
    ("POST", "/secrets/rotate", {"name": "none"}, "no secret 'none'"),
    ("POST", "/secrets/rollback", {"name": "app/key"}, "no previous"),
    ("POST", "/buckets", {"name": "bucket"}, "already"),
    ("POST", "/faults", {"service": "api"}, "'kind' is missing"),
    ("POST", "/faults", {"service": "api", "kind": "nonsense"}, "no fault of kind 'nonsense'"),
    ("POST", "/faults", {"service": "nonsense", "kind": "reset"}, "no service 'nonsense'"),
    ("POST", "/faults", {"service": "api", "kind": "slow"}, "'seconds' is missing"),
    ("POST", "/faults", {"service": "api", "kind": "slow", "seconds": "1"}, "'seconds' must be a number"),
    ("POST", "/faults", {"service": "api", "kind": "status", "status": 200}, "400 to 599"),
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
def process():
    environment = dict(os.environ, PYTHONPATH=ROOT, PYTHONWARNINGS="ignore")
    running = subprocess.Popen([sys.executable, "-m", "aliyun_sdk_secretsmanager_testing", "--region", "cn-hangzhou",
                                "--region", "cn-beijing", "--secret", "app/key", "--dedicated", "kst-hangzhou"],
                               env=environment,
                               stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    yield running
    running.kill()
    running.wait()
    for file in (running.stdin, running.stdout, running.stderr):
        file.close()


@pytest.mark.parametrize("end", ["stdin", "SIGTERM", "SIGINT"])
def test_the_cloud_as_a_process(process, end):
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
    else:
        process.send_signal(getattr(signal, end))
    assert process.wait(10) == 0
    assert process.stdout.read() == b"" and process.stderr.read() == b""
    assert not os.path.exists(document["ca_file"])


def test_the_pytest_fixtures(tmp_path):
    test = tmp_path / "test_mine.py"
    test.write_text("""
import os

def test_mine(local_cloud, managed_credentials_config, request):
    local_cloud.create_secret("app/key")
    assert os.environ["MANAGED_CREDENTIALS_CONFIG"] == managed_credentials_config
    assert local_cloud.identity.access_key_id in open(managed_credentials_config).read()

def test_each_has_its_own(local_cloud):
    assert "MANAGED_CREDENTIALS_CONFIG" not in os.environ
    local_cloud.create_secret("app/key")

def test_what_the_fixture_is_for_is_told(request):
    assert "LocalCloud" in request.getfixturevalue("local_cloud").__class__.__name__
""")
    environment = dict(os.environ, PYTHONPATH=ROOT)
    environment.pop("MANAGED_CREDENTIALS_CONFIG", None)
    run = subprocess.run([sys.executable, "-m", "pytest", "-q", "-p", "no:managed_credentials", "-p",
                          "aliyun_sdk_secretsmanager_testing.pytest_plugin", str(test)], cwd=str(tmp_path),
                         env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    assert run.returncode == 0 and b"3 passed" in run.stdout, run.stdout.decode()
