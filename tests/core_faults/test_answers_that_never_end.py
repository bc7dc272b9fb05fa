"""One connection to Secrets Manager on which an answer never ends: a few seconds later keys are renewed again."""

import threading
import time

import pytest
from aliyunsdkcore.acs_exception.exceptions import ClientException, ServerException

from aliyun_sdk_secretsmanager_common_plugin import ManagedCredentials
from aliyun_sdk_secretsmanager_testing import Fault

from ..conftest import SECRET
from ..proxies import Proxy

RENEW_TIMEOUT = 0.4
# Before the request was given up and another one might start, it took 30 to 40 s.
LONGEST = 5.0


@pytest.fixture
def properties(cloud, tmp_path):
    return cloud.write_properties(tmp_path, renew_timeout_milliseconds=int(RENEW_TIMEOUT * 1000))


class DrippingProxy(Proxy):
    """A proxy whose next answer to CONNECT drips, when it is told so, for as long as the client stays."""

    def __init__(self):
        self._over = threading.Event()
        self._drips = False
        self.dripped = threading.Event()
        super().__init__()

    def drip_once(self):
        """End the tunnels that there are, and let the next one never open."""
        self._drips = True
        self.hang_up()

    def close(self):
        self._over.set()
        super().close()

    def open(self, sock):
        if not self._drips:
            return super().open(sock)
        self._drips = False
        sock.sendall(b"HTTP/1.1 200 OK\r\nX-Drips: ")
        self.dripped.set()
        while not self._over.wait(0.02):
            sock.sendall(b"x")
        return None


@pytest.fixture
def proxy(monkeypatch):
    dripping = DrippingProxy()
    monkeypatch.setenv("HTTPS_PROXY", dripping.url)
    monkeypatch.setenv("NO_PROXY", "")
    monkeypatch.setenv("no_proxy", "")
    yield dripping
    dripping.close()


def seconds_until_success(call, client):
    """Call until a call succeeds; return how long that took."""
    began = time.monotonic()
    while time.monotonic() < began + 2 * LONGEST:
        try:
            call(client)
            break
        except ServerException as error:
            assert error.get_error_code() == "InvalidAccessKeyId.NotFound"
            threading.Event().wait(0.02)
    return time.monotonic() - began


@pytest.mark.slow  # a request is given up a second after its deadline
@pytest.mark.parametrize("fault", [Fault.drip_head(30), Fault.continues(), Fault.drip(30), Fault.hang()],
                         ids=["headers", "100 Continue", "body", "hang"])
def test_answer_that_never_ends_delays_renewals_by_seconds(cloud, make_client, call, fault):
    client = make_client()
    call(client)
    cloud.inject("secrets_manager", fault, times=1)
    cloud.rotate(SECRET)

    assert seconds_until_success(call, client) < LONGEST
    assert len(cloud.calls("secrets_manager")) == 3


@pytest.mark.slow
def test_proxy_that_drips_delays_renewals_by_seconds(cloud, proxy, make_client, call):
    client = make_client()
    call(client)
    proxy.drip_once()
    cloud.rotate(SECRET)

    assert seconds_until_success(call, client) < LONGEST
    assert proxy.dripped.is_set()


@pytest.mark.slow
def test_first_read_after_one_whose_answer_never_ends(cloud, tmp_path):
    path = cloud.write_properties(tmp_path, fetch_timeout_milliseconds=300)
    cloud.inject("secrets_manager", Fault.drip_head(30), times=1)
    began = time.monotonic()
    with ManagedCredentials.from_properties(path) as credentials:
        while time.monotonic() < began + 2 * LONGEST:
            try:
                credentials.get(SECRET)
                break
            except ClientException:
                threading.Event().wait(0.02)

        assert time.monotonic() - began < LONGEST
