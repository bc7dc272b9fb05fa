"""The servers themselves: connections that live on, bodies of all kinds, stopping and starting."""
import http.client
import json
import os
import socket
import ssl
import subprocess
import sys
import threading
import tracemalloc
import urllib.error
import urllib.request

import pytest

import aliyun_sdk_secretsmanager_testing
from aliyun_sdk_secretsmanager_testing import Fault, LocalCloud

from .conftest import bucket_of, client_of, wait_until
from .sdk_requests import answer, get_secret_value, rpc

ROOT = os.path.dirname(os.path.dirname(aliyun_sdk_secretsmanager_testing.__file__))


def connection_to(endpoint):
    return http.client.HTTPConnection(endpoint.replace("http://", ""), timeout=5)


def test_one_connection_carries_several_requests(cloud):
    connection = connection_to(cloud.oss_endpoint)
    for _ in range(3):
        connection.request("PUT", "/bucket/key", b"x" * 100000)
        response = connection.getresponse()
        assert response.status == 403 and not response.will_close
        response.read()
    assert len(cloud.calls()) == 3


def test_a_chunked_body_leaves_the_connection_usable(cloud):
    connection = connection_to(cloud.api_endpoint)
    for _ in range(2):
        connection.request("POST", "/?Action=A", iter([b"one", b"two"]), {"Transfer-Encoding": "chunked"},
                           encode_chunked=True)
        response = connection.getresponse()
        assert json.loads(response.read().decode())["Code"] == "MissingParameter"


def test_a_refused_body_is_drained_in_constant_memory(cloud):
    connection = connection_to(cloud.oss_endpoint)
    piece = b"x" * 65536
    tracemalloc.start()
    try:
        connection.request("PUT", "/bucket/key", (piece for _ in range(512)), {"Content-Length": str(512 * 65536)})
        assert connection.getresponse().status == 403
        assert tracemalloc.get_traced_memory()[1] < 2 * 1024 * 1024
    finally:
        tracemalloc.stop()
        connection.close()


def test_expect_continue(cloud):
    host, port = cloud.api_endpoint.split(":")
    with socket.create_connection((host, int(port)), 5) as sock:
        sock.sendall(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n")
        assert sock.recv(100).startswith(b"HTTP/1.1 100 Continue")
        sock.sendall(b"{}")
        assert sock.recv(100).startswith(b"HTTP/1.1 400")


def test_a_connection_that_says_nothing_holds_nobody_up(cloud, client):
    host, port = cloud.gateway_endpoint().split(":")
    with socket.create_connection((host, int(port)), 5):
        assert answer(client_of(cloud, cloud.identity), get_secret_value(cloud.gateway_endpoint()))


def test_no_thread_ends_with_its_connection(cloud):
    """A child that is forked then would find locks of OpenSSL taken."""
    def threads():
        return {thread for thread in threading.enumerate() if thread.name.startswith("local-cloud-")}

    context = ssl.create_default_context(cafile=cloud.ca_file)
    seen = set()
    for _ in range(5):
        connection = http.client.HTTPSConnection(cloud.api_endpoint, timeout=5, context=context)
        connection.request("GET", "/")
        connection.getresponse().read()
        connection.close()
        seen |= threads()
    assert seen == threads()


def test_stop_ends_sockets_threads_and_files():
    before = threading.active_count()
    descriptors = len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else 0
    cloud = LocalCloud(regions=("cn-hangzhou", "cn-beijing"))
    cloud.start()
    endpoints = [cloud.gateway_endpoint("cn-beijing"), cloud.api_endpoint, cloud.oss_endpoint.replace("http://", "")]
    ca_file = cloud.ca_file
    idle = [socket.create_connection((endpoint.split(":")[0], int(endpoint.split(":")[1]))) for endpoint in endpoints]
    connections = [connection_to(cloud.oss_endpoint) for _ in range(3)]
    for connection in connections:
        connection.request("GET", "/")
        connection.getresponse().read()
    cloud.stop()
    cloud.stop()
    wait_until(lambda: threading.active_count() == before)
    assert not os.path.exists(os.path.dirname(ca_file))
    for sock in idle + [connection.sock for connection in connections]:
        sock.close()
    if descriptors:
        wait_until(lambda: len(os.listdir("/proc/self/fd")) <= descriptors)
    for endpoint in endpoints:
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection((endpoint.split(":")[0], int(endpoint.split(":")[1])), 5)
    for ask in (lambda: cloud.api_endpoint, lambda: cloud.ca_file, cloud.gateway_endpoint, lambda: cloud.control_url):
        with pytest.raises(RuntimeError, match="not started"):
            ask()


def test_a_stopped_cloud_may_start_again_with_what_it_had():
    cloud = LocalCloud()
    key = cloud.create_secret("app/key").current
    for _ in range(2):
        with cloud:
            assert answer(client_of(cloud, key), rpc(cloud.api_endpoint))
            with pytest.raises(RuntimeError, match="started already"):
                cloud.start()


def test_two_clouds_know_nothing_of_each_other(cloud, key):
    with LocalCloud() as other:
        other.create_bucket("bucket")
        bucket_of(cloud, key).put_object("key", b"x")
        with pytest.raises(Exception, match="InvalidAccessKeyId"):
            bucket_of(other, key).get_object("key")


def test_no_regions_is_an_error():
    for regions in ((), "cn-hangzhou"):
        with pytest.raises(ValueError, match="at least one region"):
            LocalCloud(regions=regions)
    with LocalCloud() as cloud:
        with pytest.raises(ValueError, match="no region 'x'; there are cn-hangzhou"):
            cloud.gateway_endpoint("x")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_child_does_not_keep_a_closed_port_open(cloud):
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(writing)
        os.read(reading, 1)
        os._exit(0)
    try:
        host, port = cloud.api_endpoint.split(":")
        cloud.inject("api", Fault.refuse())
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection((host, int(port)), 5)
        cloud.clear()
        socket.create_connection((host, int(port)), 5).close()
    finally:
        os.close(writing)
        os.close(reading)
        os.waitpid(child, 0)


def modules_after(code, wanted):
    """Those of the wanted modules that a process has loaded after running some code."""
    environment = dict(os.environ, PYTHONWARNINGS="ignore", PYTHONPATH=ROOT)
    code += "\nimport sys; print(*[name for name in sys.modules if name.startswith({!r})])".format(wanted)
    return subprocess.check_output([sys.executable, "-c", code], env=environment).decode().split()


def test_importing_the_package_loads_no_server_and_no_sdk():
    heavy = ("cheroot", "trustme", "cryptography", "crcmod", "aliyunsdk", "oss2")
    assert modules_after("import aliyun_sdk_secretsmanager_testing.pytest_plugin", heavy) == []


def test_the_cloud_uses_no_signing_code_of_the_sdks_and_nothing_of_the_product():
    code = ("import urllib.request\nfrom aliyun_sdk_secretsmanager_testing import LocalCloud\n"
            "with LocalCloud() as cloud:\n    urllib.request.urlopen(cloud.control_url).read()")
    found = modules_after(code, ("aliyunsdk", "oss2", "aliyun_sdk_secretsmanager"))
    assert {name.split(".")[0] for name in found} == {"aliyun_sdk_secretsmanager_testing"}


def test_http_and_https_share_a_port(cloud):
    context = ssl.create_default_context(cafile=cloud.ca_file)
    for url in (cloud.oss_endpoint, cloud.oss_endpoint.replace("http:", "https:")):
        with pytest.raises(urllib.error.HTTPError) as caught:
            urllib.request.urlopen(url, context=context)
        assert caught.value.code == 403
        caught.value.close()
