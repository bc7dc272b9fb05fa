"""The servers themselves: connections with several requests, bodies of all kinds, stop and start, and forks."""
import contextlib
import gc
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
from aliyun_sdk_secretsmanager_testing.guarded import Guarded
from tests.conftest import wait_until
from tests.forks import in_child

from .conftest import bucket_of, client_of
from .sdk_requests import answer, get_secret_value, rpc

ROOT = os.path.dirname(os.path.dirname(aliyun_sdk_secretsmanager_testing.__file__))


def connection_to(endpoint):
    return http.client.HTTPConnection(endpoint.replace("http://", ""), timeout=30)


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
    with socket.create_connection((host, int(port)), 30) as sock:
        sock.sendall(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n")
        assert sock.recv(100).startswith(b"HTTP/1.1 100 Continue")
        sock.sendall(b"{}")
        assert sock.recv(100).startswith(b"HTTP/1.1 400")


def test_a_negative_length_ends_the_connection(cloud):
    host, port = cloud.api_endpoint.split(":")
    with socket.create_connection((host, int(port)), 5) as sock:
        sock.sendall(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n")
        while sock.recv(1000):
            pass


def test_a_connection_that_says_nothing_holds_nobody_up(cloud, client):
    host, port = cloud.gateway_endpoint().split(":")
    with socket.create_connection((host, int(port)), 30):
        assert answer(client_of(cloud, cloud.identity), get_secret_value(cloud.gateway_endpoint()))


def test_no_thread_ends_with_its_connection(cloud):
    """In a child that is forked while a thread ends, locks of OpenSSL would stay taken."""
    def threads():
        return {thread for thread in threading.enumerate() if thread.name.startswith("local-cloud-")}

    context = ssl.create_default_context(cafile=cloud.ca_file)
    seen = set()
    for _ in range(5):
        connection = http.client.HTTPSConnection(cloud.api_endpoint, timeout=30, context=context)
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
    wait_until(lambda: threading.active_count() <= before)  # threads of other tests may have ended, too
    assert not os.path.exists(os.path.dirname(ca_file))
    for sock in idle + [connection.sock for connection in connections]:
        sock.close()
    if descriptors:
        wait_until(lambda: len(os.listdir("/proc/self/fd")) <= descriptors)
    for endpoint in endpoints:
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection((endpoint.split(":")[0], int(endpoint.split(":")[1])), 30)
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
            socket.create_connection((host, int(port)), 30)
        cloud.clear()
        socket.create_connection((host, int(port)), 30).close()
    finally:
        os.close(writing)
        os.close(reading)
        os.waitpid(child, 0)


@pytest.mark.skipif(not hasattr(os, "register_at_fork"), reason="needs hooks for forks")
def test_a_child_can_read_the_cloud_whoever_held_its_locks_at_the_fork(cloud, key, bucket):
    bucket.put_object("key", b"content")
    guarded = [each for each in gc.get_objects() if isinstance(each, Guarded)]
    held, forked = threading.Event(), threading.Event()

    def hold():
        with contextlib.ExitStack() as stack:
            for each in guarded:
                stack.enter_context(each.lock)
            held.set()
            forked.wait(30)

    def read():
        return (cloud.api_endpoint, cloud.endpoints(), cloud.secret("app/key").current, cloud.accepts(key),
                len(cloud.calls()), cloud.object("bucket", "key"))

    in_parent = read()
    holder = threading.Thread(target=hold, daemon=True)
    holder.start()
    assert held.wait(30)
    try:
        assert in_child(read) == in_parent
    finally:
        forked.set()
        holder.join()


def modules_after(code, wanted):
    """Run code in a process; return the modules that it loaded whose names begin as wanted."""
    environment = dict(os.environ, PYTHONWARNINGS="ignore", PYTHONPATH=ROOT)
    code += "\nimport sys; print(*[name for name in sys.modules if name.startswith({!r})])".format(wanted)
    return subprocess.check_output([sys.executable, "-c", code], env=environment).decode().split()


def test_importing_the_package_loads_no_server_and_no_sdk():
    heavy = ("cheroot", "trustme", "cryptography", "crcmod", "aliyunsdk", "oss2")
    assert modules_after("import aliyun_sdk_secretsmanager_testing.pytest_plugin", heavy) == []


def test_importing_the_package_loads_nothing_else_of_ours():
    assert modules_after("import aliyun_sdk_secretsmanager_testing", "aliyun_sdk_") == [
        "aliyun_sdk_secretsmanager_testing"]


@pytest.mark.parametrize("name", aliyun_sdk_secretsmanager_testing.__all__)
def test_each_public_name_can_be_imported_from_the_package_alone(name):
    code = "import aliyun_sdk_secretsmanager_testing as package\nassert {0!r} in dir(package)\n" \
        "from aliyun_sdk_secretsmanager_testing import {0}\nassert {0}.__name__ == {0!r}".format(name)
    found = modules_after(code, "aliyun_sdk_")
    assert {module.split(".")[0] for module in found} == {"aliyun_sdk_secretsmanager_testing"}


def test_a_name_that_the_package_does_not_have_is_told():
    with pytest.raises(ImportError, match="cannot import name 'Cloud'"):
        from aliyun_sdk_secretsmanager_testing import Cloud  # noqa: F401
    with pytest.raises(AttributeError, match="'aliyun_sdk_secretsmanager_testing' has no attribute 'Cloud'"):
        aliyun_sdk_secretsmanager_testing.Cloud


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
