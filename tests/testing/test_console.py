"""The console over HTTP, without a browser: who may ask, what it shows, and what its buttons do."""
import http.client
import json
import os
import re
import select
import shutil
import signal
import socket
import subprocess
import sys

import pytest

import aliyun_sdk_secretsmanager_testing
from aliyun_sdk_secretsmanager_testing import Fault, LocalCloud
from aliyun_sdk_secretsmanager_testing.access_key import masked
from aliyun_sdk_secretsmanager_testing.calls import Subject
from aliyun_sdk_secretsmanager_testing.console.routes import FILES, OPERATIONS

from .conftest import client_of
from .sdk_requests import answer, get_secret_value, rpc
from .test_cloud_controls import send

ROOT = os.path.dirname(os.path.dirname(aliyun_sdk_secretsmanager_testing.__file__))
PATHS = sorted(FILES) + ["/console", "/console/state", "/console/nothing"]
ROTATE = ("POST", "/console/secrets/rotate", {"name": "app/key"})


def ask(cloud, method, path, body=None, **headers):
    """Send a request; return status, headers and body of the answer. A header that is None is left out."""
    host = cloud.control_url.replace("http://", "")
    headers = dict({"Host": host, "Origin": cloud.control_url if method == "POST" else None}, **headers)
    connection = http.client.HTTPConnection(host, timeout=30)
    connection.request(method, path, None if body is None else json.dumps(body),
                       {name: value for name, value in headers.items() if value is not None})
    response = connection.getresponse()
    content = response.read().decode("utf-8")
    connection.close()
    return response.status, response.headers, content


def state(cloud, cursor=0):
    status, _, content = ask(cloud, "GET", "/console/state?cursor={}".format(cursor))
    assert status == 200
    return json.loads(content)


def port(cloud):
    return cloud.control_url.rpartition(":")[2]


def test_the_page_and_its_files_come_from_the_cloud_alone(cloud):
    assert cloud.console_url == cloud.control_url + "/console/"
    for path, (_, content_type) in FILES.items():
        status, headers, content = ask(cloud, "GET", path)
        assert (status, headers["Content-Type"]) == (200, content_type)
        assert re.findall("https?:|//[a-z]", content) == []
    page = ask(cloud, "GET", "/console/")[2]
    assert re.findall(r"<script(?! src=)|<style|\son\w+=|\sstyle=|javascript:", page) == []
    assert sorted("/console/" + name for name in re.findall('(?:src|href)="(console[^"]+)"', page)) == [
        "/console/console.css", "/console/console.js"]
    assert re.search("innerHTML|outerHTML|insertAdjacentHTML|document.write|eval", ask(
        cloud, "GET", "/console/console.js")[2]) is None
    status, headers, _ = ask(cloud, "GET", "/console")
    assert (status, headers["Location"]) == (308, "/console/")


@pytest.mark.parametrize("path", PATHS)
def test_every_answer_has_a_strict_policy_and_is_not_stored(cloud, path):
    for headers in ({}, {"Host": "localhost"}):
        status, answered, _ = ask(cloud, "GET", path, **headers)
        assert status == (403 if headers else 404 if "nothing" in path else 308 if path == "/console" else 200)
        policy = dict(part.split(" ", 1) for part in answered["Content-Security-Policy"].split("; "))
        assert policy["default-src"] == policy["frame-ancestors"] == policy["form-action"] == "'none'"
        assert policy["script-src"] == policy["style-src"] == policy["connect-src"] == "'self'"
        assert policy["require-trusted-types-for"] == "'script'"
        assert answered["X-Content-Type-Options"] == "nosniff"
        assert answered["Cache-Control"] == "no-store"
        assert answered["Cross-Origin-Resource-Policy"] == "same-origin"
        assert "Access-Control-Allow-Origin" not in answered


@pytest.mark.parametrize("name", ["127.0.0.1", "localhost", "[::1]", "LocalHost", "cloud"])
def test_the_page_works_under_every_name_of_the_cloud(name):
    with LocalCloud(allow_hosts=["cloud"]) as cloud:
        first = cloud.create_secret("app/key").current
        host = "{}:{}".format(name, port(cloud))
        for path in PATHS[:3]:
            assert ask(cloud, "GET", path, Host=host)[0] == 200
        assert ask(cloud, *ROTATE, Host=host, Origin="http://" + host.lower())[0] == 200
        assert ask(cloud, *ROTATE, Host=host, Origin="https://" + host.lower())[0] == 200
        assert cloud.secret("app/key").current != first


@pytest.mark.parametrize("host", ["evil.example:{}", "evil.example", "127.0.0.1.evil.example:{}", "127.0.0.1", "localhost",
                                  "127.0.0.1:80", "localhost:1{}", "0.0.0.0:{}", ""])
def test_another_host_or_port_is_refused(cloud, key, host):
    host = host.format(port(cloud))
    for path in PATHS:
        status, _, content = ask(cloud, "GET", path, Host=host)
        assert status == 403 and "error" in json.loads(content), path
    assert ask(cloud, *ROTATE, Host=host, Origin="http://" + host)[0] == 403
    assert cloud.secret("app/key").current == key


@pytest.mark.parametrize("origin", ["http://evil.example", "http://127.0.0.1", "http://127.0.0.1:3000", "http://localhost:{}",
                                    "http://127.0.0.1:{}.evil.example", "ftp://127.0.0.1:{}", "127.0.0.1:{}", "null", "",
                                    None])
def test_a_page_of_another_origin_changes_and_reads_nothing(cloud, key, origin):
    origin = origin and origin.format(port(cloud))
    body = {"name": "app/key", "service": "api", "kind": "reset"}
    for path in OPERATIONS:
        assert ask(cloud, "POST", path, body, Origin=origin)[0] == 403, path
    if origin is not None:  # that is how a browser opens a page
        assert ask(cloud, "GET", "/console/state", Origin=origin)[0] == 403
    assert cloud.secret("app/key").current == key and cloud.accepts(key)
    assert cloud._shared.faults.active() == []


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "PATCH", "OPTIONS"])
def test_only_a_post_request_changes_something(cloud, key, method):
    for path in OPERATIONS:
        assert ask(cloud, method, path, {"name": "app/key", "service": "api", "kind": "reset"})[0] == 404
    assert cloud.secret("app/key").current == key and cloud._shared.faults.active() == []


@pytest.mark.parametrize("path, body", [
    ("/console/secrets/rotate", {"name": "app/key", "grace": 60}),
    ("/console/secrets/disable", {"name": "app/key"}),
    ("/console/secrets/enable", {"name": "app/key"}),
    ("/console/faults", {"service": "secrets_manager", "region": "cn-hangzhou", "kind": "slow", "seconds": 3, "times": 2}),
    ("/console/faults", {"service": "oss", "kind": "status", "status": 503, "duration": 3600}),
    ("/console/faults/clear?service=api", {}),
    ("/console/secrets/rotate", {"name": "none"}),
    ("/console/faults", {"service": "api", "kind": "nonsense"}),
    ("/console/faults/clear?service=nonsense", {}),
])
def test_a_button_does_what_its_control_does(clock, path, body):
    """Two clouds, one asked by the console and one by the controls, look the same afterwards."""
    def shown(cloud):
        document = re.sub(r"LTAI[*]+\w{4}|[0-9a-f]{8}-[0-9a-f-]{27}", "*", json.dumps(state(cloud)))
        return re.sub(r"\d{10}\.\d+", lambda moment: str(round(float(moment.group()))), document)

    with LocalCloud(clock=clock) as mine, LocalCloud(clock=clock) as other:
        for cloud in (mine, other):
            cloud.create_secret("app/key")
            cloud.inject("api", Fault.throttling())
        before = shown(mine)
        method, control = OPERATIONS[path.partition("?")[0]]
        status, _, content = ask(mine, "POST", path, body)
        expected = send(other.control_url, method, control + path[len(path.partition("?")[0]):], body)
        assert (status, json.loads(content)) == (200, {}) if expected[0] == 200 else expected
        assert shown(mine) == shown(other)
        assert (shown(mine) != before) == (status == 200 and "enable" not in path)


def test_the_page_gets_no_secret_and_only_masked_ids(cloud, identity_client, key):
    answer(identity_client, get_secret_value(cloud.gateway_endpoint()))
    answer(client_of(cloud, key), rpc(cloud.api_endpoint))
    with pytest.raises(Exception, match="Forbidden"):
        answer(client_of(cloud, key), get_secret_value(cloud.gateway_endpoint()))
    temporary = cloud.create_secret("temporary", token=True).current
    answer(client_of(cloud, temporary), rpc(cloud.api_endpoint))
    cloud.create_secret("password", secret_data="a password of a database")
    cloud.inject("oss", Fault.body(b"a private body"))
    assert ask(cloud, *ROTATE)[2] == "{}"
    shown = json.dumps(state(cloud))
    for pair in (cloud.identity, key, temporary, cloud.secret("app/key").current):
        assert masked(pair.access_key_id) in shown
        for hidden in pair:
            assert hidden is None or hidden not in shown
    assert "a password" not in shown and "a private body" not in shown


def test_calls_say_who_signed_and_what_came_of_it(cloud, identity_client, key):
    answer(identity_client, get_secret_value(cloud.gateway_endpoint()))
    new = cloud.rotate("app/key")
    answer(client_of(cloud, new), rpc(cloud.api_endpoint))
    with pytest.raises(Exception, match="InvalidAccessKeyId"):
        answer(client_of(cloud, key), rpc(cloud.api_endpoint))
    with pytest.raises(Exception, match="Forbidden"):
        answer(client_of(cloud, new), get_secret_value(cloud.gateway_endpoint(), "other"))
    cloud.create_secret("gone")
    answer(client_of(cloud, cloud.secret("gone").current), rpc(cloud.api_endpoint))
    cloud.delete_secret("gone")
    send(cloud.credentials_uri, "GET", "")
    shown = [(call["service"], call["secret"], call["signer"], call["status"]) for call in state(cloud)["calls"]]
    assert shown == [
        ("secrets_manager", "app/key", "identity", 200), ("api", "app/key", "version 2", 200),
        ("api", "app/key", "version 1", 404), ("secrets_manager", "other", "version 2 of app/key", 403),
        ("api", "gone", "a deleted secret", 200), ("credentials_uri", None, None, 200)]
    first = state(cloud)["calls"][0]
    assert first["given"] == masked(key.access_key_id) and first["key"] == masked(cloud.identity.access_key_id)


def test_versions_show_their_state_and_their_stage(cloud, clock):
    cloud.rotate("app/key", grace=60)
    cloud.rotate("app/key", grace=60, propagation=5, publish_delay=5)
    cloud.disable_key(cloud.secret("app/key").current.access_key_id)

    def shown():
        secret, = state(cloud)["secrets"]
        return [(version["number"], version["state"], version["stage"]) for version in secret["versions"]]

    assert shown() == [(3, "not accepted yet", None), (2, "disabled", "ACSCurrent"), (1, "accepted", "ACSPrevious")]
    clock.advance(61)
    assert shown() == [(3, "accepted", "ACSCurrent"), (2, "disabled", "ACSPrevious"), (1, "no longer accepted", None)]


def test_faults_are_shown_until_they_end(cloud, clock):
    cloud.inject("secrets_manager", Fault.status(503), duration=3600)
    cloud.inject("api", Fault.slow(3), times=2)
    shown = {"settings": {"status": 503, "code": "ServiceUnavailableTemporary"}, "kind": "status", "times": None,
             "service": "secrets_manager", "region": "cn-hangzhou", "until": clock.time() + 3600}
    assert state(cloud)["faults"] == [shown, {"settings": {"seconds": 3.0}, "kind": "slow", "times": 2, "service": "api",
                                              "region": None, "until": None}]
    assert ask(cloud, "POST", "/console/faults/clear?service=api", {})[0] == 200
    assert state(cloud)["faults"] == [shown]


def test_the_cursor_brings_only_what_is_new_and_what_was_answered_since(cloud, client):
    log = cloud._shared.log
    first = log.open(Subject("api", action="First"), 0.0)
    second = log.open(Subject("api", action="Second"), 0.0)
    log.close(second, 1.0, 200)
    cursor = state(cloud)["cursor"]
    assert state(cloud, cursor)["calls"] == []
    log.close(first, 2.0, 503, "Busy")
    third = log.open(Subject("api", action="Third"), 2.0)
    shown = state(cloud, cursor)
    assert [(call["number"], call["action"], call["status"], call["code"]) for call in shown["calls"]] == [
        (first, "First", 503, "Busy"), (third, "Third", 0, "")]
    assert state(cloud, shown["cursor"])["calls"] == []
    for nonsense in ("-1", "x", "1.5", "²", "9" * 16):
        assert ask(cloud, "GET", "/console/state?cursor={}".format(nonsense.replace("²", "%C2%B2")))[0] == 400


def test_ten_thousand_calls_and_many_secrets_are_cut_to_the_latest_and_the_first(cloud):
    log = cloud._shared.log
    for at in range(10000):
        log.close(log.open(Subject("api", action="Call{}".format(at)), 0.0), 0.0, 200)
    for at in range(150):
        cloud.create_secret("more/{}".format(at))
    for _ in range(9):
        cloud.rotate("app/key")
    shown = state(cloud)
    assert [call["number"] for call in shown["calls"]] == list(range(9800, 10000))
    assert (shown["secret_count"], len(shown["secrets"])) == (151, 100)
    assert shown["secrets"][0]["version_count"] == 10
    assert [version["number"] for version in shown["secrets"][0]["versions"]] == [10, 9, 8, 7, 6]
    assert state(cloud, shown["cursor"])["calls"] == []


def test_a_page_left_open_does_not_keep_the_cloud_from_stopping():
    with LocalCloud() as cloud:
        pages = [http.client.HTTPConnection(cloud.control_url.replace("http://", ""), timeout=30) for _ in range(3)]
        for page in pages:
            page.request("GET", "/console/state")
            page.getresponse().read()
    for page in pages:
        assert page.sock.recv(1) == b""
        page.close()


@pytest.mark.skipif(os.name == "nt", reason="needs a terminal")
def test_in_a_terminal_the_process_prints_the_address_and_ends_with_a_page_open():
    mine, its = os.openpty()
    process = subprocess.Popen(
        [sys.executable, "-W", "ignore", "-m", "aliyun_sdk_secretsmanager_testing"], stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=its, env=dict(os.environ, PYTHONPATH=ROOT))
    try:
        os.close(its)
        address = json.loads(process.stdout.readline().decode())["console_url"]
        assert select.select([mine], [], [], 30)[0]
        assert os.read(mine, 1000).decode().strip() == "Console: " + address
        host, _, at = address.replace("/console/", "").replace("http://", "").rpartition(":")
        with socket.create_connection((host, int(at)), 30) as page:
            page.sendall("GET /console/ HTTP/1.1\r\nHost: {}:{}\r\n\r\n".format(host, at).encode())
            assert page.recv(15) == b"HTTP/1.1 200 OK"
            process.send_signal(signal.SIGTERM)
            assert process.wait(60) == 0
    finally:
        os.close(mine)
        process.kill()
        process.communicate()


def test_the_files_are_in_what_is_built(tmp_path):
    pytest.importorskip("setuptools")
    for name in ("setup.py", "README.rst"):
        shutil.copy(os.path.join(ROOT, name), str(tmp_path))
    for package in ("aliyun_sdk_secretsmanager_common_plugin", "aliyun_sdk_secretsmanager_testing"):
        shutil.copytree(os.path.join(ROOT, package), str(tmp_path / package))
    subprocess.run([sys.executable, "-W", "ignore", "setup.py", "-q", "build_py", "--build-lib", "built"],
                   cwd=str(tmp_path), check=True)
    built = os.listdir(str(tmp_path / "built/aliyun_sdk_secretsmanager_testing/console"))
    assert {file for file, _ in FILES.values()} <= set(built)
