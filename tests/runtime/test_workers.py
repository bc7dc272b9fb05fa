"""Threads that ask gateways: used again, ended when idle, given up and replaced (contract 7)."""

import gc
import threading
import weakref
from types import SimpleNamespace

import pytest
from aliyunsdkcore.acs_exception.exceptions import ClientException

from aliyun_sdk_secretsmanager_common_plugin import ManagedCredentials
from aliyun_sdk_secretsmanager_common_plugin import managed_credentials as module
from aliyun_sdk_secretsmanager_common_plugin.keeper.events import FIRST_READ, Asked
from aliyun_sdk_secretsmanager_common_plugin.runtime import workers
from aliyun_sdk_secretsmanager_common_plugin.runtime.workers import IDLE
from aliyun_sdk_secretsmanager_common_plugin.secrets_manager import Connections
from aliyun_sdk_secretsmanager_common_plugin.settings import Settings
from tests.common.fakes import PATIENCE, Gate, Running, key
from tests.conftest import wait_until

FETCH_THREAD = "managed-credentials-fetch"


class Connection:
    """A connection of a gateway."""

    def __init__(self):
        self.aborted = threading.Event()
        self.is_closed = False

    def abort(self):
        self.aborted.set()

    def close(self):
        self.is_closed = True


class Gateway:
    """Notes threads and connections; a request hangs while its name is in ``hanging``, until its socket is closed."""

    def __init__(self):
        self.threads = []
        self.connections = []
        self.hanging = set()

    def get_secret_value(self, name, seconds, connections):
        self.threads.append(threading.current_thread())
        connection = connections.get(self, Connection)
        self.connections.append(connection)
        if name in self.hanging:
            assert connection.aborted.wait(PATIENCE)
            raise ClientException("SDK.HttpError", "the socket was closed")
        return {"SecretData": '{"AccessKeyId": "of-%s", "AccessKeySecret": "x"}' % name}

    def waiting_for(self):
        return "a gateway"

    def after_fork_in_child(self):
        pass


@pytest.fixture
def gateway(runtime, monkeypatch):
    gateway = Gateway()
    monkeypatch.setattr(module, "_gateways", lambda *ignored: [gateway])
    return gateway


@pytest.fixture
def account(gateway):
    return ManagedCredentials(Settings())._account


def idle_of(runtime):
    return len(runtime.workers._idle)


class TestReuse:
    def test_one_thread_and_connection_for_one_request_after_the_other(self, account, gateway, runtime):
        for number in range(5):
            account.get("secret-{}".format(number))
            wait_until(lambda: idle_of(runtime) == 1)

        assert len(set(gateway.threads)) == 1
        assert len(set(gateway.connections)) == 1
        assert gateway.threads[0].name == FETCH_THREAD
        assert gateway.threads[0].daemon

    def test_as_many_threads_as_requests_at_once(self, account, gateway, runtime, in_threads):
        barrier = threading.Barrier(4)
        ask = gateway.get_secret_value

        def together(name, seconds, connections):
            barrier.wait(PATIENCE)
            return ask(name, seconds, connections)

        gateway.get_secret_value = together
        in_threads([lambda at=at: account.get("secret-{}".format(at)) for at in range(4)])

        assert len(set(gateway.threads)) == 4
        wait_until(lambda: idle_of(runtime) == 4)

    def test_idle_one_ends_and_closes_its_connection(self, account, gateway, runtime, clock):
        account.get("secret")
        wait_until(lambda: idle_of(runtime) == 1)
        clock.advance(IDLE - 1)
        runtime.wake()
        account.get("another")
        assert len(set(gateway.threads)) == 1
        wait_until(lambda: idle_of(runtime) == 1)

        clock.advance(IDLE)
        runtime.wake()

        gateway.threads[0].join(PATIENCE)
        assert not gateway.threads[0].is_alive()
        assert gateway.connections[0].is_closed

    def test_closes_its_connection_before_a_finalizer_in_it_forks(self, account, gateway, runtime):
        closed = []

        class Finalized:
            def set(self, ignored):
                runtime.before_fork()
                closed.append(gateway.connections[-1].is_closed)
                runtime.after_fork_in_parent()

        runtime.put(account, Asked(Finalized(), FIRST_READ, "a", runtime.clock.monotonic() + 10))
        wait_until(lambda: closed)

        assert closed == [True]
        wait_until(lambda: not gateway.threads[-1].is_alive())
        assert account.get("b").access_key_id == "of-b"

    def test_one_that_lives_on_in_a_child_is_not_used_there(self, account, gateway, runtime, monkeypatch):
        """Its connections are its parent's. Greenlets live on in a child, and the thread in which a finalizer forks."""
        gateway.hanging.add("a")
        account.begin_first_read("a")
        wait_until(lambda: gateway.connections)
        monkeypatch.setattr(workers, "os", SimpleNamespace(getpid=lambda: -1))
        gateway.connections[0].abort()

        wait_until(lambda: not gateway.threads[0].is_alive())
        assert idle_of(runtime) == 0

    def test_with_the_last_use_all_idle_ones_end(self, account, gateway, runtime):
        account.get("secret")
        account.close()

        wait_until(lambda: runtime.thread() is None)
        gateway.threads[0].join(PATIENCE)
        assert not gateway.threads[0].is_alive()
        assert gateway.connections[0].is_closed

    def test_idle_one_keeps_nothing_of_its_last_request(self, credentials, source, runtime):
        class Error(Exception):
            pass

        errors = []

        def fail(asked):
            error = Error()
            errors.append(weakref.ref(error))
            raise error

        credentials.get("secret")
        source.answer = fail
        credentials.refresh("secret")
        wait_until(lambda: idle_of(runtime) == 1)

        gc.collect()
        assert [error() for error in errors] == [None]


class TestGivenUp:
    """A request that outlives its time to live: its fetch's deadline and a second."""

    @pytest.fixture
    def hanging(self, account, gateway, clock, runtime):
        """A renewal that hangs, whose asker has left."""
        account.get("secret")
        gateway.hanging.add("secret")
        renewing = Running(lambda: account.renew("secret", account.get("secret")))
        wait_until(lambda: len(gateway.threads) == 2)
        clock.advance(2)
        runtime.wake()
        assert "no answer within 2.0 s" in str(renewing.result().error)
        return gateway.connections[-1]

    def test_keeps_its_socket_until_then(self, hanging, clock, runtime, account):
        clock.advance(0.9)
        runtime.wake()
        account.preload((), wait=True)

        assert not hanging.aborted.is_set()

    def test_loses_its_socket_and_its_thread(self, hanging, clock, runtime, gateway):
        clock.advance(1.1)
        runtime.wake()

        assert hanging.aborted.wait(PATIENCE)
        gateway.threads[-1].join(PATIENCE)
        assert not gateway.threads[-1].is_alive()
        assert hanging.is_closed

    def test_is_replaced(self, hanging, clock, runtime, gateway, account):
        gateway.hanging.clear()
        clock.advance(4)
        runtime.wake()
        assert hanging.aborted.wait(PATIENCE)

        renewal = account.renew("secret", account.get("secret"))

        assert renewal.error is None
        assert gateway.connections[-1] is not hanging

    def test_of_a_worker_that_no_closed_socket_ends_blocks_nobody(self, credentials, source, clock, runtime):
        account = credentials._account
        account.get("secret")
        gate = source.answer = Gate(key("late"))
        renewing = Running(lambda: account.renew("secret", key("secret")))
        gate.wait_entered()
        clock.advance(2)
        runtime.wake()
        renewing.result()
        clock.advance(4)
        runtime.wake()
        source.answer = key("new")

        assert account.renew("secret", key("secret")).key == key("new")
        gate.open()


class TestConnections:
    def test_are_by_gateway(self):
        connections = Connections()
        first = connections.get("first", Connection)

        assert connections.get("first", Connection) is first
        assert connections.get("second", Connection) is not first

    def test_dropped_one_is_closed_and_made_anew(self):
        connections = Connections()
        first = connections.get("gateway", Connection)
        connections.drop("gateway")
        connections.drop("gateway")

        assert first.is_closed
        assert connections.get("gateway", Connection) is not first

    def test_all_are_aborted_and_closed(self):
        connections = Connections()
        each = [connections.get(name, Connection) for name in "abc"]
        connections.abort()
        assert all(connection.aborted.is_set() for connection in each)
        connections.close()
        assert all(connection.is_closed for connection in each)


class TestWithoutThreads:
    def test_is_an_error_that_says_so(self, credentials, no_threads):
        with pytest.raises(ClientException, match="cannot ask Secrets Manager: can't start new thread"):
            credentials.get("secret")

    def test_next_read_succeeds_when_there_are_again(self, credentials, clock, monkeypatch):
        with monkeypatch.context() as patched:
            patched.setattr(workers, "start", fail_to_start)
            with pytest.raises(ClientException):
                credentials.get("secret")
        clock.advance(1)

        assert credentials.get("secret") == key("secret")

    def test_named_thread_that_does_not_start_after_its_starter_did(self, credentials, monkeypatch):
        start = threading.Thread.start

        def fail(thread):
            if thread.name == FETCH_THREAD:
                raise RuntimeError("can't start new thread")
            start(thread)

        monkeypatch.setattr(threading.Thread, "start", fail)

        with pytest.raises(ClientException, match="can't start new thread"):
            credentials.get("secret")


def fail_to_start(name, target, failed):
    failed(RuntimeError("can't start new thread"))
