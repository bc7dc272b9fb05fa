"""Fixtures of all tests: a local cloud, and clients that are shut down after the test."""

import gc
import os
import random
import shutil
import signal
import sys
import threading
import time

import pytest

from aliyun_sdk_secretsmanager_common_plugin import ConfigLoader, ManagedCredentials
from aliyun_sdk_secretsmanager_common_plugin.runtime import process
from aliyun_sdk_secretsmanager_testing.pytest_plugin import local_cloud, managed_credentials_config  # noqa: F401

pytest_plugins = ["tests.secrecy_watch"]

SECRET = "app/key"

# What hypothesis keeps of Unicode and the source between runs; by itself it would be in a test's working directory.
os.environ.setdefault("HYPOTHESIS_STORAGE_DIRECTORY", os.path.join(
    os.path.dirname(os.path.dirname(os.path.abspath(__file__))), ".hypothesis"))


def pytest_configure():
    # Without bytecode each worker, and each program that a test starts, would compile everything again.
    sys.dont_write_bytecode = False
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    os.environ["PYTHONFAULTHANDLER"] = "1"  # for tests.stacks
    # A shell's background jobs ignore SIGINT, and so would the programs that tests start and interrupt.
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    gc.disable()  # none of the thousands of tests that pytest collects now is garbage


# What the V2.0 SDKs and OSS V2 do that newer versions of Python warn of.
SDK_WARNINGS = [pytest.mark.filterwarnings("ignore:" + beginning) for beginning in (
    "datetime.datetime.utcnow", "There is no current event loop", "This process", "Call to deprecated function")]


def pytest_collection_modifyitems(items):
    for item in items:
        if item.nodeid.startswith(("tests/openapi/", "tests/oss_v2/")):
            for mark in SDK_WARNINGS:
                item.add_marker(mark)


def pytest_collection_finish():
    gc.enable()
    if sys.version_info >= (3, 7):
        gc.freeze()  # they stay until the end, so that garbage collections need not look at them


def pytest_xdist_auto_num_workers():
    # Many tests wait for a timeout, so with one worker for each core the cores would be idle.
    return int(os.environ.get("PYTEST_XDIST_AUTO_NUM_WORKERS", 2 * (os.cpu_count() or 1)))


@pytest.fixture(autouse=True)
def plain_environment(monkeypatch, tmp_path):
    """Hide the machine's configuration from each test, and leave none behind."""
    for name in ("MANAGED_CREDENTIALS_CONFIG", "ALIBABA_CLOUD_CA_BUNDLE", "HTTP_PROXY", "HTTPS_PROXY", "http_proxy",
                 "https_proxy", "ALIYUN_ACCESS_KEY_ID", "ALIYUN_ACCESS_KEY_SECRET"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    yield
    ConfigLoader.set_config_name(None)


def wait_until(condition, seconds=30.0):
    """Wait for a condition that other threads bring about, and return its value, which is true."""
    deadline = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        assert time.monotonic() < deadline, "it did not happen within {} s".format(seconds)
        threading.Event().wait(0.01)


def forget_other_tests():
    """Close the accounts of facades that other tests did not close."""
    for account in process.accounts():
        account.close()


@pytest.fixture
def nothing_of_other_tests():
    forget_other_tests()


@pytest.fixture
def cloud():
    from aliyun_sdk_secretsmanager_testing import LocalCloud

    with LocalCloud() as started:
        started.create_secret(SECRET)
        started.create_bucket("bucket")
        yield started


@pytest.fixture
def properties(cloud, tmp_path):
    """The properties file for the local cloud, in the working directory, with timeouts for a busy machine."""
    return cloud.write_properties(tmp_path, fetch_timeout_milliseconds=30000, renew_timeout_milliseconds=20000)


@pytest.fixture
def credentials(properties):
    with ManagedCredentials.from_properties(properties) as managed_credentials:
        yield managed_credentials


@pytest.fixture
def fetches(cloud):
    """Call it: it returns how many requests Secrets Manager has had."""
    return lambda: len(cloud.calls("secrets_manager"))


@pytest.fixture
def make_client(properties, closing):
    """Make a ``ProxyAcsClient``. The tests of other SDKs have a fixture of this name for theirs."""
    from aliyun_sdk_secretsmanager_sdk_core_plugin import ProxyAcsClient

    return lambda secret_name=SECRET, **arguments: closing(ProxyAcsClient(secret_name, **arguments))


@pytest.fixture
def make_bucket(cloud, properties, closing):
    """Make a ``ProxyBucket``."""
    from aliyun_sdk_secretsmanager_oss_plugin import ProxyBucket

    return lambda secret_name=SECRET, **arguments: closing(
        ProxyBucket(secret_name, cloud.oss_endpoint, "bucket", **arguments))


@pytest.fixture
def call(cloud):
    """Call the business API with an ``AcsClient``."""
    from aliyunsdkcore.request import CommonRequest

    def do(client):
        request = CommonRequest(domain=cloud.api_endpoint, version="2014-05-26", action_name="DescribeRegions")
        return client.do_action_with_exception(request)

    return do


@pytest.fixture
def redis_server():
    """A real Redis, empty."""
    if shutil.which("redis-server") is None:
        pytest.skip("needs redis-server: nox -s redis")
    from tests.redis_server import RedisServer

    server = RedisServer()
    yield server
    server.close()


@pytest.fixture
def longest_jitter(monkeypatch):
    """Every random delay is as long as it can be."""
    monkeypatch.setattr(random, "uniform", lambda low, high: high)


@pytest.fixture
def shortest_jitter(monkeypatch):
    """Every random delay is as short as it can be."""
    monkeypatch.setattr(random, "uniform", lambda low, high: low)


@pytest.fixture(params=["asyncio", "uvloop"])
def new_loop(request):
    """A function that makes an event loop: asyncio's, and uvloop's where that is installed."""
    return pytest.importorskip(request.param).new_event_loop


@pytest.fixture
def closing():
    """A function that is called with a client, returns it, and shuts it down after the test."""
    clients = []

    def close_later(client):
        clients.append(client)
        return client

    yield close_later
    for client in clients:
        client.shutdown()


@pytest.fixture
def in_threads():
    """A function that runs functions at once, each in a thread, and returns their results; it raises their errors."""

    def run(functions):
        functions = list(functions)
        results = [None] * len(functions)
        errors = []
        barrier = threading.Barrier(len(functions))

        def work(at, function):
            try:
                barrier.wait(30)
                results[at] = function()
            except BaseException as error:
                errors.append(error)

        threads = [threading.Thread(target=work, args=item, daemon=True) for item in enumerate(functions)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        if errors:
            raise errors[0]
        return results

    return run
