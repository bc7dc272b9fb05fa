"""A kept connection that is aborted, opened again, or inherited by a forked child."""

import os
import socket
import sys
import time

import pytest

from aliyun_sdk_secretsmanager_common_plugin.secrets_manager.connections import Connections
from aliyun_sdk_secretsmanager_common_plugin.secrets_manager.https_connection import HttpsConnection
from aliyun_sdk_secretsmanager_common_plugin.secrets_manager.tls import Tls

from .fakes import PATIENCE, Running


@pytest.fixture
def pair():
    ours, theirs = socket.socketpair()
    theirs.settimeout(5)
    yield ours, theirs
    ours.close()
    theirs.close()


def is_open(descriptor):
    try:
        os.fstat(descriptor)
    except OSError:
        return False
    return True


def test_aborted_one_is_cut_though_it_connects_only_then(pair):
    ours, theirs = pair
    connection = HttpsConnection("gateway", Tls(None), "")
    connection.abort()

    connection.connected(ours)

    assert theirs.recv(1) == b""


def test_aborted_connections_cut_those_that_are_made_later(pair):
    ours, theirs = pair
    connections = Connections()
    connections.abort()

    connections.get("gateway", lambda: HttpsConnection("gateway", Tls(None), "")).connected(ours)

    assert theirs.recv(1) == b""


def test_one_that_is_made_anew_keeps_no_descriptor_of_the_former(pair):
    ours, _ = pair
    connection = HttpsConnection("gateway", Tls(None), "")
    connection.connected(ours)
    (former,) = connection._sockets
    descriptor = former.fileno()

    connection.connected(ours)

    assert former.fileno() == -1
    assert [each.fileno() for each in connection._sockets] == [descriptor]  # the system gives the same number again
    connection.close()
    assert connection._sockets == []


def test_forgotten_one_closes_its_descriptors_and_leaves_the_connection_alone(pair):
    ours, theirs = pair
    connection = HttpsConnection("gateway", Tls(None), "")
    connection._open = type("Open", (), {"sock": ours})()
    answer = ours.makefile("rb")  # as while an answer is read
    connection.connected(ours)
    another = ours.dup()
    descriptors = [ours.fileno()] + [each.fileno() for each in connection._sockets]

    connection.forget()

    assert not any(map(is_open, descriptors))
    another.sendall(b"x")
    assert theirs.recv(1) == b"x"
    another.close()
    answer.detach()


def test_aborted_one_makes_no_connection():
    connection = HttpsConnection("gateway.test", Tls(None), "")
    connection.abort()

    with pytest.raises(OSError, match="aborted"):
        connection.post("/", {}, b"", 1)


def test_forgotten_one_is_not_made_anew_by_a_greenlet_that_goes_on_in_the_child(pair):
    ours, theirs = pair
    connection = HttpsConnection("gateway", Tls(None), "")
    connection.forget()

    connection.connected(ours)

    assert theirs.recv(1) == b""


def test_forgotten_connections_make_none_for_a_greenlet_that_goes_on_in_the_child(pair):
    ours, theirs = pair
    connections = Connections()
    connections.forget()

    connections.get("gateway", lambda: HttpsConnection("gateway", Tls(None), "")).connected(ours)

    assert theirs.recv(1) == b""


def test_one_amid_its_handshake_is_forgotten_too():
    """TLS has detached the socket then, so that there is no descriptor to close."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(1)
        connection = HttpsConnection("127.0.0.1:{}".format(listener.getsockname()[1]), Tls(None), "")
        posting = Running(lambda: connection.post("/", {}, b"", 60))
        server, _ = listener.accept()
        with server:
            assert server.recv(1)  # the handshake has begun, and never ends

            connection.forget()

        with pytest.raises(OSError):
            posting.result()


@pytest.fixture
def silent():
    """An address that answers nobody who connects, as Linux does for a listener whose queue is full."""
    with socket.socket() as listener, socket.socket() as queued:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        queued.connect(listener.getsockname())
        yield listener.getsockname()


@pytest.fixture
def refusing():
    """An address where nobody listens."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield bound.getsockname()


@pytest.mark.slow  # half of the time limit
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="elsewhere a full queue refuses connections")
@pytest.mark.parametrize("dead", [["refusing"], ["silent"], ["refusing", "silent"]], ids="+".join)
def test_host_whose_first_addresses_are_dead_is_reached_within_the_time_limit(request, monkeypatch, dead):
    numeric, limit = socket.getaddrinfo, 3.0
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(1)
        listener.settimeout(PATIENCE)
        addresses = [request.getfixturevalue(name) for name in dead] + [listener.getsockname()]
        monkeypatch.setattr(socket, "getaddrinfo", lambda host, *rest, **more: [
            found for address in addresses for found in numeric(*address, type=socket.SOCK_STREAM)
        ] if host == "gateway.test" else numeric(host, *rest, **more))
        began = time.monotonic()
        posting = Running(lambda: HttpsConnection("gateway.test", Tls(None), "").post("/", {}, b"", limit))
        listener.accept()[0].close()

        assert time.monotonic() - began < limit
        with pytest.raises(OSError):
            posting.result()
