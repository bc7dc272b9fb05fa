"""What all tests share: a local cloud, and clients that are shut down at the end."""

import gc
import os
import signal
import sys
import threading
import time

import pytest

from aliyun_sdk_secretsmanager_common_plugin import ConfigLoader, ManagedCredentials, managed_credentials

pytest_plugins = ["tests.secrecy_watch"]

SECRET = "app/key"


def pytest_configure():
    # Else each worker, and each program that a test starts, would compile everything again.
    sys.dont_write_bytecode = False
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    # A shell's background jobs ignore it, and so would the programs that tests start and interrupt.
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    gc.disable()  # of the thousands of tests that are collected now none is garbage


def pytest_collection_finish():
    gc.enable()
    if sys.version_info >= (3, 7):
        gc.freeze()  # they stay until the end: let no collection look through them


def pytest_xdist_auto_num_workers():
    # Many tests wait for a timeout, so that one worker a core would leave cores idle.
    return int(os.environ.get("PYTEST_XDIST_AUTO_NUM_WORKERS", 2 * (os.cpu_count() or 1)))


@pytest.fixture(autouse=True)
def plain_environment(monkeypatch, tmp_path):
    """No test sees a configuration of the machine's, or leaves one."""
    for name in ("MANAGED_CREDENTIALS_CONFIG", "ALIBABA_CLOUD_CA_BUNDLE", "HTTP_PROXY", "HTTPS_PROXY", "http_proxy",
                 "https_proxy", "ALIYUN_ACCESS_KEY_ID", "ALIYUN_ACCESS_KEY_SECRET"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    yield
    ConfigLoader.set_config_name(None)


def wait_until(condition, seconds=20.0):
    """Wait for a condition that other threads bring about."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen within {} s".format(seconds)
        threading.Event().wait(0.01)


def forget_other_tests():
    """Let the refresher forget what other tests left behind: facades that they read from and did not close."""
    for job in list(managed_credentials._refresher._jobs):
        managed_credentials._refresher.cancel(job)


@pytest.fixture
def nothing_of_other_tests():
    forget_other_tests()


@pytest.fixture
def cloud():
    from aliyun_sdk_secretsmanager_testing import LocalCloud

    with LocalCloud() as local_cloud:
        local_cloud.create_secret(SECRET)
        local_cloud.create_bucket("bucket")
        yield local_cloud


@pytest.fixture
def properties(cloud, tmp_path):
    """The properties file in the working directory, for the local cloud; with patience for a busy machine."""
    return cloud.write_properties(tmp_path, fetch_timeout_milliseconds=30000, renew_timeout_milliseconds=20000)


@pytest.fixture
def credentials(properties):
    with ManagedCredentials.from_properties(properties) as managed_credentials:
        yield managed_credentials


@pytest.fixture(params=["asyncio", "uvloop"])
def new_loop(request):
    """Make an event loop; where uvloop is installed, of each kind."""
    return pytest.importorskip(request.param).new_event_loop


@pytest.fixture
def closing():
    """Call it with clients: they are shut down after the test."""
    clients = []

    def close_later(client):
        clients.append(client)
        return client

    yield close_later
    for client in clients:
        client.shutdown()


@pytest.fixture
def in_threads():
    """Run functions at once, a thread each, and return what they return; their errors are raised."""

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
