"""Every kind of fault, met by the official SDKs and by plain sockets: how long it lasts, and what is logged."""
import http.client
import json
import math
import socket
import ssl
import threading
import time
from types import SimpleNamespace

import oss2
import pytest
import requests
import urllib3
from aliyunsdkcore.acs_exception.exceptions import ClientException, ServerException

from aliyun_sdk_secretsmanager_testing import Fault, LocalCloud
from aliyun_sdk_secretsmanager_testing.http import Answer
from aliyun_sdk_secretsmanager_testing.secrets_manager.state import Vault
from tests.conftest import wait_until

from .client_keys import PASSWORD, Signer
from .conftest import client_of
from .sdk_requests import answer, get_secret_value, rpc


def fetch(cloud, region="cn-hangzhou"):
    return answer(client_of(cloud, cloud.identity), get_secret_value(cloud.gateway_endpoint(region)))["SecretName"]


def code(call, *args):
    with pytest.raises((ServerException, ClientException)) as caught:
        call(*args)
    return caught.value.get_error_code()


def background(call, *args):
    """Run a call in a thread; return the thread, and a list that gets the result or the error."""
    results = []

    def run():
        try:
            results.append(call(*args))
        except Exception as error:
            results.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    return thread, results


@pytest.mark.parametrize("fault, sm, api, oss", [
    (Fault.status(503), "ServiceUnavailableTemporary", "ServiceUnavailableTemporary", "ServiceUnavailableTemporary"),
    (Fault.status(500, "InternalFailure"), "InternalFailure", "InternalFailure", "InternalFailure"),
    (Fault.throttling(), "Rejected.Throttling", "Throttling.User", "QpsLimitExceeded"),
    (Fault.forbidden(), "Forbidden.NoPermission", "Forbidden.RAM", "AccessDenied"),
])
def test_error_answers_have_the_services_own_shape(cloud, client, bucket, fault, sm, api, oss):
    for service in ("secrets_manager", "api", "oss"):
        cloud.inject(service, fault)
    assert code(fetch, cloud) == sm
    assert code(answer, client, rpc(cloud.api_endpoint)) == api
    for call in (bucket.get_object, bucket.head_object):
        with pytest.raises(oss2.exceptions.ServerError) as caught:
            call("key")
        assert caught.value.code == oss
    assert [call.code for call in cloud.calls()] == [sm, api, oss, oss]
    cloud.clear()
    assert fetch(cloud) and answer(client, rpc(cloud.api_endpoint)) and bucket.list_objects()


@pytest.mark.parametrize("fault, status, content_type, body", [
    (Fault.html(), 200, "text/html", b"<html>"), (Fault.html(502), 502, "text/html", b"<html>"),
    (Fault.body(b'{"SecretData"'), 200, "application/json", b'{"SecretData"'),
    (Fault.body(b"no", status=418, content_type="text/plain"), 418, "text/plain", b"no"),
])
def test_answers_that_are_none(cloud, fault, status, content_type, body):
    cloud.inject("secrets_manager", fault)
    response = requests.get("https://" + cloud.gateway_endpoint(), verify=cloud.ca_file)
    assert (response.status_code, response.headers["Content-Type"]) == (status, content_type)
    assert response.content.startswith(body)


@pytest.mark.parametrize("tls", [False, True])
def test_reset_resets_the_connection(cloud, tls):
    cloud.inject("secrets_manager" if tls else "oss", Fault.reset())
    endpoint = cloud.gateway_endpoint() if tls else cloud.oss_endpoint[len("http://"):]
    sock = socket.create_connection(tuple(endpoint.split(":")), 30)
    if tls:
        context = ssl.create_default_context(cafile=cloud.ca_file)
        sock = context.wrap_socket(sock, server_hostname="127.0.0.1")
    sock.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    with pytest.raises(ConnectionResetError):
        while socket.socket.recv(sock, 100):  # SSLSocket.recv would take a reset for an end
            pass
    sock.close()
    (call,) = cloud.calls()
    assert (call.status, call.code) == (0, "reset")


def test_a_hanging_request_gets_its_right_answer_when_the_fault_is_cleared(cloud):
    cloud.inject("secrets_manager", Fault.hang())
    thread, results = background(fetch, cloud)
    (call,) = wait_until(cloud.calls)
    assert (call.status, call.ended) == (0, math.inf)
    assert results == []
    cloud.clear("secrets_manager")
    thread.join(30)
    assert results == ["app/key"]
    assert cloud.calls()[0].status == 200


def test_a_hanging_request_ends_with_the_cloud():
    cloud = LocalCloud()
    cloud.start()
    cloud.create_secret("app/key")
    cloud.inject("secrets_manager", Fault.hang())
    thread, results = background(fetch, cloud)
    wait_until(cloud.calls)
    cloud.stop()
    thread.join(30)
    assert isinstance(results[0], ClientException)


@pytest.mark.parametrize("fault", [Fault.hang(), Fault.slow(60), Fault.drip(60), Fault.drip_head(60), Fault.continues()])
def test_a_client_that_leaves_was_given_nothing(cloud, fault):
    cloud.inject("secrets_manager", fault)
    client = client_of(cloud, cloud.identity)
    client._read_timeout = 0.1
    request = get_secret_value(cloud.gateway_endpoint())
    thread, _ = background(client.do_action_with_exception, request)
    (call,) = wait_until(cloud.calls)
    if fault.kind in ("drip", "drip_head", "continues"):
        # The client's timeout counts from byte to byte, so the connection has to be closed.
        thread.join(0.2)
        cloud.inject("secrets_manager", Fault.refuse())
    wait_until(lambda: cloud.calls()[0].ended < math.inf and cloud.calls()[0].status == 0)
    assert cloud.calls()[0].given is None


def test_slow_answers_rightly_but_late(cloud):
    cloud.inject("secrets_manager", Fault.slow(0.2))
    started = time.monotonic()
    assert fetch(cloud) == "app/key"
    assert time.monotonic() - started >= 0.2


def test_drip_answers_rightly_byte_by_byte(cloud, bucket):
    bucket.put_object("key", b"0123456789" * 60)
    cloud.inject("oss", Fault.drip(60))
    started = time.monotonic()
    result = bucket.get_object("key")
    first = result.read(1)
    assert time.monotonic() - started >= 60 / 600
    cloud.clear("oss")
    assert first + result.read() == b"0123456789" * 60


def test_drip_of_json(cloud):
    cloud.inject("secrets_manager", Fault.drip(0.1))
    assert fetch(cloud) == "app/key"
    (call,) = cloud.calls()
    assert (call.status, call.given) == (200, cloud.secret("app/key").current.access_key_id)


def test_drip_head_answers_rightly_byte_by_byte(cloud):
    cloud.inject("secrets_manager", Fault.drip_head(0.3))
    started = time.monotonic()
    assert fetch(cloud) == "app/key"
    assert time.monotonic() - started >= 0.3
    (call,) = cloud.calls()
    assert (call.status, call.given) == (200, cloud.secret("app/key").current.access_key_id)


def test_continues_until_it_is_cleared_and_answers_rightly_then(cloud):
    cloud.inject("secrets_manager", Fault.continues())
    thread, results = background(fetch, cloud)
    wait_until(cloud.calls)
    thread.join(0.2)
    assert thread.is_alive()
    cloud.clear()
    thread.join(30)
    assert results == ["app/key"]


@pytest.mark.parametrize("fault", [Fault.drip_head(0.1), Fault.continues()])
def test_what_comes_before_the_body_on_the_wire(cloud, fault):
    cloud.inject("secrets_manager", fault, times=1)
    address = cloud.gateway_endpoint().split(":")
    context = ssl.create_default_context(cafile=cloud.ca_file)
    with socket.create_connection((address[0], int(address[1]))) as sock, \
            context.wrap_socket(sock, server_hostname=address[0]) as secure:
        secure.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        came = [secure.recv(1000) for _ in range(4)]
    if fault.kind == "continues":
        assert b"".join(came).startswith(2 * b"HTTP/1.1 100 Continue\r\n\r\n")
    else:
        assert came[:4] == [b"H", b"T", b"T", b"P"]


def test_what_is_left_of_a_dripping_answer_comes_at_once_when_the_fault_is_cleared():
    ours, theirs = socket.socketpair()
    with ours, theirs:
        request, cleared = SimpleNamespace(sock=ours), threading.Event()
        drops = Fault.drip(0.1).act(request, cleared, lambda: Answer(200, b"x" * 100), None).body
        assert next(drops) == b"x"
        cleared.set()
        assert list(drops) == [b"x" * 99]


def test_an_answer_that_could_not_be_sent_was_not_given(cloud, monkeypatch):
    find = Vault.find

    def find_while_the_connections_end(self, name):
        for sock in list(cloud._network._server("secrets_manager", "cn-hangzhou")._socks):
            socket.socket.shutdown(sock, socket.SHUT_RDWR)
        return find(self, name)

    monkeypatch.setattr(Vault, "find", find_while_the_connections_end)
    with pytest.raises(ClientException):
        fetch(cloud)
    (call,) = wait_until(lambda: [call for call in cloud.calls() if call.code])
    assert (call.status, call.code, call.given) == (0, "dropped", None)


@pytest.mark.parametrize("method", ["GET", "PUT"])
def test_cut_breaks_the_answer_off(cloud, bucket, method):
    bucket.put_object("key", b"x" * 1000)
    cloud.inject("oss", Fault.cut())
    connection = http.client.HTTPConnection(cloud.oss_endpoint[len("http://"):], timeout=30)
    target = bucket.sign_url(method, "key", 60)[len(cloud.oss_endpoint):]
    connection.request(method, target, b"" if method == "PUT" else None)
    with pytest.raises(http.client.IncompleteRead) as caught:
        connection.getresponse().read()
    connection.close()
    assert len(caught.value.partial) == (500 if method == "GET" else 0)
    assert (cloud.calls()[-1].status, cloud.calls()[-1].code) == (0, "cut")


def test_refuse_closes_open_connections_and_takes_no_new_ones_until_cleared(cloud):
    session = requests.Session()
    url = "https://{}/".format(cloud.gateway_endpoint())
    assert session.get(url, verify=cloud.ca_file).status_code == 400
    endpoint = cloud.gateway_endpoint()
    cloud.inject("secrets_manager", Fault.refuse())
    host, port = endpoint.split(":")
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((host, int(port)), 30)
    with pytest.raises(requests.ConnectionError):
        session.get(url, verify=cloud.ca_file)
    assert answer(client_of(cloud, cloud.secret("app/key").current), rpc(cloud.api_endpoint))
    cloud.clear("secrets_manager")
    assert cloud.gateway_endpoint() == endpoint
    assert fetch(cloud) == "app/key"


@pytest.mark.parametrize("fault", [Fault.expired_certificate(), Fault.untrusted_certificate()])
def test_bad_certificates_are_refused_by_a_client_that_verifies(cloud, fault):
    url = "https://{}/".format(cloud.gateway_endpoint())
    session = requests.Session()
    session.get(url, verify=cloud.ca_file)
    cloud.inject("secrets_manager", fault)
    with pytest.raises(requests.exceptions.SSLError):
        session.get(url, verify=cloud.ca_file)
    assert "SDK.HttpError" == code(fetch, cloud)
    cloud.clear()
    assert fetch(cloud) == "app/key"


def test_a_counted_fault_ends_after_that_many_requests(cloud):
    cloud.inject("secrets_manager", Fault.status(503), times=2)
    cloud.inject("secrets_manager", Fault.throttling(), times=1)
    assert [code(fetch, cloud) for _ in range(3)] == [
        "ServiceUnavailableTemporary", "ServiceUnavailableTemporary", "Rejected.Throttling"]
    assert fetch(cloud) == "app/key"


def test_a_fault_of_one_region_spares_the_other():
    with LocalCloud(regions=("cn-hangzhou", "cn-beijing")) as cloud:
        cloud.create_secret("app/key")
        cloud.inject("secrets_manager", Fault.status(503), region="cn-hangzhou")
        cloud.inject("secrets_manager", Fault.refuse(), region="cn-beijing")
        assert code(fetch, cloud, "cn-hangzhou") == "ServiceUnavailableTemporary"
        assert code(fetch, cloud, "cn-beijing") == "SDK.HttpError"
        cloud.clear(region="cn-beijing")
        assert fetch(cloud, "cn-beijing") == "app/key"
        assert code(fetch, cloud, "cn-hangzhou") == "ServiceUnavailableTemporary"
        cloud.clear("secrets_manager")
        cloud.inject("secrets_manager", Fault.status(503), times=1)
        assert code(fetch, cloud, "cn-beijing") == "ServiceUnavailableTemporary"
        assert fetch(cloud, "cn-hangzhou") == "app/key"


def test_the_location_service_has_faults_of_its_own(cloud, client):
    from aliyunsdkcore.endpoint.location.DescribeEndpointsRequest import DescribeEndpointsRequest
    request = DescribeEndpointsRequest()
    request.endpoint = cloud.api_endpoint
    cloud.inject("location", Fault.status(503))
    assert code(answer, client, request) == "ServiceUnavailableTemporary"
    assert answer(client, rpc(cloud.api_endpoint))
    cloud.clear("location")
    assert answer(client, request)["Success"] is True


@pytest.fixture
def other_services(clock, tmp_path):
    """A cloud, and for each service a function that calls it and returns status and code."""
    with LocalCloud(clock=clock, dedicated=("kst-one", "kst-two")) as cloud:
        cloud.create_secret("app/key")
        body = b"\x0a\x07app/key"
        signer = Signer(cloud.create_client_key(tmp_path, PASSWORD))
        token = cloud.oidc_token()

        def send(method, url, **more):
            response = requests.request(method, url, verify=cloud.ca_file, timeout=30, **more)
            if len(response.content) < int(response.headers["Content-Length"]):
                raise requests.ConnectionError("an old requests does not notice")
            return response.status_code, cloud.calls()[-1].code

        yield cloud, {
            ("sts", None): lambda: send("POST", "https://" + cloud.sts_endpoint, data={
                "Action": "AssumeRoleWithOIDC", "Version": "2015-04-01", "RoleArn": cloud.role_arn,
                "OIDCProviderArn": cloud.oidc_provider_arn, "OIDCToken": token, "RoleSessionName": "session"}),
            ("metadata", None): lambda: send("GET", "http://{}/latest/meta-data/ram/security-credentials/".format(
                cloud.metadata_endpoint)),
            ("credentials_uri", None): lambda: send("GET", cloud.credentials_uri.replace("http", "https")),
            ("dedicated", "kst-two"): lambda: send("POST", "https://" + cloud.dedicated_endpoint("kst-two"), data=body,
                                                   headers=signer.headers(body, clock.time())),
        }


@pytest.mark.parametrize("fault, answers", [
    (Fault.status(503), [(503, "ServiceUnavailableTemporary")] * 4),
    (Fault.throttling(), [(400, "Throttling.User"), (429, "Throttling"), (429, "Throttling"),
                          (429, "Rejected.Throttling")]),
    (Fault.forbidden(), [(403, "NoPermission"), (403, "Forbidden"), (403, "Forbidden"),
                         (403, "Forbidden.NoPermission")]),
    (Fault.html(502), [(502, "html")] * 4),
    (Fault.body(b"x", 418), [(418, "body")] * 4),
    (Fault.slow(0.01), [(200, "")] * 4),
    (Fault.drip(0.01), [(200, "")] * 4),
    (Fault.drip_head(0.01), [(200, "")] * 4),
])
def test_answers_of_the_other_services_with_faults(other_services, fault, answers):
    cloud, asks = other_services
    for (service, region), expected in zip(asks, answers):
        cloud.inject(service, fault, region, times=1)
        assert asks[service, region]() == expected
        assert asks[service, region]() == (200, "")


@pytest.mark.parametrize("fault", [Fault.reset(), Fault.cut(), Fault.refuse()])
def test_connections_of_the_other_services_with_faults(other_services, fault):
    cloud, asks = other_services
    for (service, region), ask in asks.items():
        cloud.inject(service, fault, region)
        with pytest.raises((requests.RequestException, urllib3.exceptions.HTTPError)):  # old versions of requests raise that of urllib3
            ask()
        cloud.clear(service, region)
        assert ask() == (200, "")


@pytest.mark.parametrize("fault", [Fault.expired_certificate(), Fault.untrusted_certificate()])
def test_certificates_of_the_other_services_with_faults(other_services, fault):
    cloud, asks = other_services
    for (service, region), ask in asks.items():
        if service != "metadata":  # the client uses HTTP there
            cloud.inject(service, fault, region)
            with pytest.raises(requests.exceptions.SSLError):
                ask()
            cloud.clear()
            assert ask() == (200, "")


def test_other_services_hang_and_are_let_go(other_services):
    cloud, asks = other_services
    for (service, region), ask in asks.items():
        cloud.inject(service, Fault.hang(), region)
        thread, results = background(ask)
        wait_until(lambda: [call for call in cloud.calls(service) if call.ended == math.inf])
        cloud.clear(region=region)
        thread.join(30)
        assert results == [(200, "")]


def test_a_fault_of_one_service_or_instance_spares_the_others(other_services):
    cloud, asks = other_services
    for fault in (Fault.status(503), Fault.refuse()):
        for service, region in [("sts", None), ("metadata", None), ("credentials_uri", None), ("dedicated", "kst-one")]:
            cloud.inject(service, fault, region)
            assert {ask() for name, ask in asks.items() if name != (service, region)} == {(200, "")}
            cloud.clear(service)
    cloud.inject("dedicated", Fault.status(503))
    assert asks["dedicated", "kst-two"]() == (503, "ServiceUnavailableTemporary")
    cloud.clear("dedicated", "kst-one")
    assert asks["dedicated", "kst-two"]() == (503, "ServiceUnavailableTemporary")
    cloud.clear(region="kst-two")
    assert asks["dedicated", "kst-two"]() == (200, "")


@pytest.mark.parametrize("arguments, message", [
    (("nonsense", Fault.reset()), "no service 'nonsense'"),
    (("secrets_manager", Fault.reset(), "nowhere"), "no region 'nowhere'"),
    (("api", Fault.reset(), "cn-hangzhou"), "no regions"),
    (("api", Fault.reset(), None, 0), "1 or more"),
    (("api", Fault.refuse(), None, 1), "cannot be counted"),
    (("location", Fault.refuse()), "inject refuse there"),
    (("dedicated", Fault.reset()), "no dedicated gateway"),
    (("dedicated", Fault.reset(), "kst-one"), "no dedicated gateway"),
    (("sts", Fault.reset(), "cn-hangzhou"), "no regions"),
])
def test_faults_that_cannot_be(cloud, arguments, message):
    with pytest.raises(ValueError, match=message):
        cloud.inject(*arguments)
    for duration in (0, -1, math.nan, math.inf):
        with pytest.raises(ValueError, match="duration is more than 0 seconds"):
            cloud.inject("api", Fault.reset(), duration=duration)
    with pytest.raises(ValueError, match="no service"):
        cloud.clear("nonsense")
    with pytest.raises(ValueError, match="no region 'nowhere'; there are cn-hangzhou"):
        cloud.clear(region="nowhere")


def test_fault_arguments_are_checked():
    with pytest.raises(ValueError, match="400 to 599"):
        Fault.status(200)
    with pytest.raises(ValueError, match="0 or more"):
        Fault.slow(-1)


def test_a_fault_with_a_duration_ends_by_itself_and_releases_who_hangs_in_it(cloud, client):
    cloud.inject("api", Fault.hang(), duration=0.05)
    assert answer(client, rpc(cloud.api_endpoint))["Action"] == "DescribeRegions"
    assert cloud.calls()[-1].status == 200


def test_a_service_that_refuses_connections_for_a_while_listens_again(cloud):
    cloud.inject("secrets_manager", Fault.refuse(), duration=0.05)
    timer, = cloud._network._timers
    timer.join(30)
    assert fetch(cloud) == "app/key"


def test_the_end_of_a_duration_changes_nothing_if_the_fault_was_cleared_before(cloud, monkeypatch):
    settled = []
    cloud.inject("secrets_manager", Fault.refuse(), duration=0.1)
    timer, = cloud._network._timers
    cloud.clear()
    monkeypatch.setattr(cloud._network, "_settle", lambda *place: settled.append(place))
    timer.join(30)
    assert not timer.is_alive() and settled == []


def test_a_stopped_cloud_waits_for_no_fault_to_end():
    with LocalCloud() as cloud:
        cloud.inject("api", Fault.hang(), duration=3600)
        timer, = cloud._network._timers
    assert not timer.is_alive()


def test_hanging_requests_do_not_starve_a_hundred_clients(cloud, client):
    cloud.inject("api", Fault.hang(), times=16)
    hanging = [background(answer, client_of(cloud, cloud.secret("app/key").current), rpc(cloud.api_endpoint))
               for _ in range(16)]
    wait_until(lambda: len(cloud.calls()) == 16)
    body = json.dumps({}).encode()
    sockets = [socket.create_connection(tuple(cloud.api_endpoint.split(":")), 30) for _ in range(100)]
    for sock in sockets:
        sock.sendall(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n" + body)
    for sock in sockets:
        assert sock.recv(100).startswith(b"HTTP/1.1 400")
        sock.close()
    cloud.clear()
    for thread, results in hanging:
        thread.join(30)
        assert results[0]["Action"] == "DescribeRegions"
