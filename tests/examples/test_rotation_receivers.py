"""The receivers of rotation events in ``examples/rotation_events``: the endpoint over HTTP, and the function."""

import gc
import http.client
import importlib.util
import json
import os
import subprocess
import sys
import textwrap
import threading
from wsgiref.simple_server import WSGIRequestHandler, make_server

import pytest

from tests.conftest import SECRET, forget_other_tests

from .conftest import EXAMPLES

TOKEN = "0123456789abcdef0123456789abcdef"
HEADER = {"x-eventbridge-signature-token": TOKEN}
RECEIVERS = os.path.join(EXAMPLES, "rotation_events")


def of_event_bridge(name=SECRET, outcome="Success"):
    arn = "acs:kms:cn-hangzhou:1:secret/" + name
    data = {"product": "KMS", "name": "Secret:RotateSecret:" + outcome, "resourceId": arn, "content": {
        "secretName": name, "RotationEntityArn": arn, "rotationStatus": outcome}}
    kind = "kms:CloudMonitor:Secret[RotateSecret:{}]".format(outcome)
    return json.dumps({"source": "acs.kms", "type": kind, "subject": arn, "data": data})


def load_endpoint():
    spec = importlib.util.spec_from_file_location("endpoint", os.path.join(RECEIVERS, "endpoint.py"))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class Quiet(WSGIRequestHandler):
    def log_message(self, *ignored):
        pass


class Endpoint:
    """The endpoint on a server of its own."""

    def __init__(self, application):
        self._server = make_server("127.0.0.1", 0, application, handler_class=Quiet)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True)
        self._thread.start()

    def close(self):
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(30)

    def status(self, body="", method="POST", path="/", headers=HEADER, length=None):
        """Send a request, and return the status of its answer. ``length`` is said instead of the real one."""
        connection = http.client.HTTPConnection("127.0.0.1", self._server.server_port, timeout=30)
        try:
            connection.putrequest(method, path)
            for header in dict({"Content-Length": str(len(body)) if length is None else length}, **headers).items():
                connection.putheader(*header)
            connection.endheaders(body.encode("utf-8"))
            answer = connection.getresponse()
            assert answer.read() == b""
            assert answer.getheader("Allow") == ("POST" if answer.status == 405 else None)
            return answer.status
        finally:
            connection.close()


@pytest.fixture
def endpoint(nothing_of_other_tests, properties, monkeypatch):
    monkeypatch.setenv("ROTATION_EVENTS_TOKEN", TOKEN)
    served = Endpoint(load_endpoint().application)
    gc.collect()  # the configurations of other tests, which hold the secret of the same name
    yield served
    served.close()
    forget_other_tests()


class TestEndpoint:
    @pytest.mark.parametrize(("path", "headers"), [("/", HEADER), ("/events?token=" + TOKEN, {})])
    def test_client_has_the_new_key_before_a_service_rejects_the_old_one(
            self, cloud, endpoint, make_client, call, path, headers):
        client = make_client()
        call(client)
        rotated = cloud.rotate(SECRET, grace=3600)

        assert endpoint.status(of_event_bridge(), path=path, headers=headers) == 204
        assert rotated.access_key_id in call(client).decode("utf-8")
        assert [each.status for each in cloud.calls("api")] == [200, 200]
        assert [each.secret for each in cloud.calls("secrets_manager")] == [SECRET, SECRET]

    def test_event_of_something_else_is_accepted_and_reads_nothing(self, fetches, endpoint):
        assert endpoint.status('{"type": "oss:Object:PutObject"}') == 204
        assert endpoint.status(of_event_bridge(outcome="Failure")) == 204
        assert fetches() == 0

    @pytest.mark.parametrize(("path", "headers"), [
        ("/", {}), ("/", {"x-eventbridge-signature-token": ""}), ("/", {"x-eventbridge-signature-token": TOKEN[:-1]}),
        ("/", {"x-eventbridge-signature-token": "\u00e9"}), ("/?token=", {}), ("/?token=%ff%00", {}),
        ("/?token=" + TOKEN, {"x-eventbridge-signature-token": "another"})])
    def test_without_the_token_is_refused(self, fetches, endpoint, path, headers):
        assert endpoint.status(of_event_bridge(), path=path, headers=headers) == 401
        assert fetches() == 0

    @pytest.mark.parametrize("method", ["GET", "PUT", "HEAD", "DELETE"])
    def test_takes_only_post(self, fetches, endpoint, method):
        assert endpoint.status(of_event_bridge(), method=method) == 405
        assert fetches() == 0

    def test_largest_body(self, fetches, endpoint):
        event = of_event_bridge()

        assert endpoint.status(event + " " * (65536 - len(event))) == 204
        assert fetches() == 1

    @pytest.mark.parametrize("length", ["65537", "9" * 30])
    def test_larger_body_is_refused_before_it_is_read(self, endpoint, length):
        assert endpoint.status(length=length) == 413

    @pytest.mark.parametrize("body", ["", "no JSON", "[]", "[" * 60000, '{"name": "Secret:RotateSecret:Success"}'])
    def test_what_is_no_event_is_refused(self, endpoint, body):
        assert endpoint.status(body) == 400

    @pytest.mark.parametrize("length", ["-1", "many", ""])
    def test_wrong_length_is_refused(self, endpoint, length):
        assert endpoint.status(length=length) == 400

    @pytest.mark.parametrize("token", [None, "", "short"])
    def test_does_not_start_without_a_long_token(self, monkeypatch, token):
        monkeypatch.delenv("ROTATION_EVENTS_TOKEN", raising=False)
        if token is not None:
            monkeypatch.setenv("ROTATION_EVENTS_TOKEN", token)

        with pytest.raises(SystemExit, match="ROTATION_EVENTS_TOKEN is not set, or is short"):
            load_endpoint()


@pytest.mark.slow
@pytest.mark.parametrize("in_context", [True, False], ids=["credentials in the context", "in the environment"])
def test_function_reads_the_secret_as_its_role(cloud, tmp_path, in_context):
    """In a process of its own, as Function Compute runs it. The process holds no secret before."""
    cloud.write_properties(tmp_path, credentials_type=None, credentials_access_key_id=None,
                           credentials_access_secret=None)
    role = cloud.add_identity(token=True)
    program = """
        import os, sys, types
        import index

        context = types.SimpleNamespace(request_id="1")
        if sys.argv[1:]:
            names = "access_key_id access_key_secret security_token".split()
            context.credentials = types.SimpleNamespace(**{name: os.environ.pop(name) for name in names})
        print(index.handler(sys.stdin.buffer.read(), context))
    """
    prefix = "" if in_context else "ALIBABA_CLOUD_"
    environment = {prefix + name: value for name, value in zip(
        ["access_key_id", "access_key_secret", "security_token"] if in_context else
        ["ACCESS_KEY_ID", "ACCESS_KEY_SECRET", "SECURITY_TOKEN"],
        [role.access_key_id, role.access_key_secret, role.security_token])}

    printed = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", textwrap.dedent(program)] + ["in context"] * in_context,
        input=of_event_bridge().encode("utf-8"), stdout=subprocess.PIPE, check=True, cwd=str(tmp_path), timeout=60,
        env=dict(os.environ, PYTHONPATH=os.pathsep.join([os.path.dirname(EXAMPLES), RECEIVERS]), **environment)).stdout

    assert json.loads(printed.decode("utf-8")) == [SECRET]
    assert [(call.secret, call.access_key_id) for call in cloud.calls("secrets_manager")] == [
        (SECRET, role.access_key_id)]
