"""A gateway's TLS: sessions that are resumed, certificates that are refused, CA files that change, and forks."""

import contextlib
import datetime
import os
import socket
import ssl
import threading
import time

import pytest
import trustme

from aliyun_sdk_secretsmanager_common_plugin.identities import configured_identity
from aliyun_sdk_secretsmanager_common_plugin.secrets_manager import tls
from aliyun_sdk_secretsmanager_common_plugin.secrets_manager.connections import Connections
from aliyun_sdk_secretsmanager_common_plugin.secrets_manager.gateways import (
    SharedGateway,
    UnreadableAnswer,
    UntrustedGateway,
)
from aliyun_sdk_secretsmanager_common_plugin.secrets_manager.tls import Tls
from aliyun_sdk_secretsmanager_common_plugin.settings import IdentitySettings, SharedGatewaySettings
from tests.common.fakes import PATIENCE, Gate, Running
from tests.conftest import wait_until
from tests.forks import in_child

BODY = b'{"SecretData": "{}", "SecretType": "RAMCredentials", "VersionId": "v1"}'
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(BODY), BODY)


class Server:
    """Answers each request; whoever connects is shown the certificate of ``context``.

    Attributes:
        resumed: for each connection, whether it resumed a session.
    """

    def __init__(self, context):
        self.context = context
        self.resumed = []
        self.answer = ANSWER
        self._listener = socket.socket()
        self._listener.bind(("127.0.0.1", 0))
        self._listener.listen(8)
        self.endpoint = "127.0.0.1:{}".format(self._listener.getsockname()[1])
        self._open = []
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(sock,), daemon=True).start()

    def _serve(self, sock):
        try:
            sock.settimeout(PATIENCE)
            with self.context.wrap_socket(sock, server_side=True) as secured:
                self.resumed.append(secured.session_reused)
                self._open.append(secured)
                received = b""
                while True:
                    more = secured.recv(65536)
                    if not more:
                        return
                    received += more
                    if received.endswith(b"\r\n\r\n"):
                        received = b""
                        secured.sendall(self.answer)
        except OSError:
            sock.close()

    def cut(self):
        """Close all connections."""
        while self._open:
            try:
                socket.socket.shutdown(self._open.pop(), socket.SHUT_RDWR)  # its thread closes it
            except OSError:
                pass  # the client was faster

    def close(self):
        self._listener.close()
        self.cut()


@pytest.fixture(scope="module")
def authority():
    return trustme.CA()


def shown(authority, *names, **options):
    """Return a server's context with a certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(*(names or ("127.0.0.1",)), **options).configure_cert(context)
    return context


BAD = {
    "of another host": lambda authority: shown(authority, "kms.example.com"),
    "of an unknown CA": lambda authority: shown(trustme.CA()),
    "expired": lambda authority: shown(
        authority, not_after=datetime.datetime.now(datetime.timezone.utc) - datetime.timedelta(days=1)),
}


@pytest.fixture
def server(authority):
    server = Server(shown(authority))
    yield server
    server.close()


@pytest.fixture
def ca_file(authority, tmp_path):
    path = tmp_path / "ca.pem"
    path.write_bytes(authority.cert_pem.bytes())
    return path


@pytest.fixture
def gateway(server, ca_file):
    identity = configured_identity(IdentitySettings("ak", access_key_id="id", access_key_secret="secret"))
    return SharedGateway(SharedGatewaySettings("cn-hangzhou", server.endpoint, str(ca_file)), identity)


@pytest.fixture
def kept():
    """The connections that a worker keeps."""
    connections = Connections()
    yield connections
    connections.close()


@pytest.fixture
def no_more_files():
    """A context in which this process can open no file or socket."""
    resource = pytest.importorskip("resource")

    @contextlib.contextmanager
    def limited():
        limits = resource.getrlimit(resource.RLIMIT_NOFILE)
        with open(os.devnull) as file:
            lowest = file.fileno()
        resource.setrlimit(resource.RLIMIT_NOFILE, (lowest, limits[1]))
        try:
            yield
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, limits)

    return limited


def read(gateway, connections=None):
    return gateway.get_secret_value("app/key", 5, connections)


class TestSessions:
    def test_are_resumed_by_new_connections(self, gateway, server):
        for _ in range(3):
            read(gateway)

        assert server.resumed == [False, True, True]

    def test_are_of_one_gateway(self, gateway, server, ca_file):
        read(gateway)
        other = SharedGateway(SharedGatewaySettings("cn-beijing", server.endpoint, str(ca_file)), gateway._identity)
        read(other)

        assert server.resumed == [False, False]

    def test_are_not_resumed_in_a_forked_child(self, gateway, server):
        read(gateway)

        def read_in_child():
            gateway.after_fork_in_child()
            return read(gateway)["VersionId"]

        assert in_child(read_in_child) == "v1"
        read(gateway)
        assert server.resumed == [False, False, True]

    @pytest.mark.skipif(not hasattr(ssl.SSLContext, "num_tickets"), reason="came with 3.8")
    def test_of_servers_that_give_none_are_done_without(self, gateway, server):
        server.context.num_tickets = 0
        for _ in range(3):
            read(gateway)

        assert server.resumed == [False, False, False]


class TestCertificates:
    @pytest.mark.parametrize("bad", BAD.values(), ids=BAD)
    def test_that_are_bad_are_refused_by_new_connections(self, gateway, server, authority, bad):
        server.context = bad(authority)

        with pytest.raises(UntrustedGateway):
            read(gateway)

    @pytest.mark.parametrize("bad", BAD.values(), ids=BAD)
    def test_that_are_bad_are_refused_where_a_session_could_be_resumed(self, gateway, server, authority, bad):
        read(gateway)
        server.context = bad(authority)

        with pytest.raises(UntrustedGateway):
            read(gateway)

    @pytest.mark.parametrize("bad", BAD.values(), ids=BAD)
    def test_that_are_bad_are_refused_where_a_kept_connection_was_closed(self, gateway, server, authority, kept, bad):
        read(gateway, kept)
        server.context = bad(authority)
        server.cut()

        with pytest.raises(UntrustedGateway):
            read(gateway, kept)

    @pytest.mark.parametrize("is_kept", [False, True], ids=["resumed", "kept"])
    def test_that_have_expired_meanwhile_are_asked_for_again(
            self, gateway, server, authority, monkeypatch, kept, is_kept):
        """Neither a session nor a connection outlives its certificate."""
        now = datetime.datetime.now(datetime.timezone.utc)
        server.context = shown(authority, not_after=now + datetime.timedelta(hours=1))
        read(gateway, kept if is_kept else None)
        monkeypatch.setattr(time, "time", lambda: (now + datetime.timedelta(hours=2)).timestamp())
        read(gateway, kept if is_kept else None)

        assert server.resumed == [False, False]

    def test_that_are_not_verified_may_be_anything(self, gateway, server, authority, kept):
        gateway.tls = Tls(None)
        server.context = BAD["of an unknown CA"](authority)
        for _ in range(2):
            read(gateway)
            read(gateway, kept)

        assert server.resumed == [False, True, True]


class TestConnections:
    def test_are_kept(self, gateway, server, kept):
        for _ in range(3):
            read(gateway, kept)

        assert len(server.resumed) == 1

    def test_serve_where_the_process_may_open_no_more_files(self, gateway, kept, no_more_files):
        read(gateway, kept)

        with no_more_files():
            read(gateway, kept)

    def test_that_the_server_closed_are_replaced_by_one_request_signed_anew(self, gateway, server, kept, monkeypatch):
        signed, sign = [], gateway.sign
        monkeypatch.setattr(gateway, "sign", lambda name: signed.append(sign(name)) or signed[-1])
        read(gateway, kept)
        server.cut()
        read(gateway, kept)

        assert server.resumed == [False, True]
        nonces = [part for each in signed for part in each.path.split("&") if part.startswith("SignatureNonce=")]
        assert len(set(nonces)) == len(signed)


    def test_that_the_server_is_to_close_keep_no_socket(self, gateway, server, kept):
        server.answer = ANSWER.replace(b"OK\r\n", b"OK\r\nConnection: close\r\n")
        for _ in range(2):
            assert read(gateway, kept)

        assert len(server.resumed) == 2
        assert kept._open[gateway]._sockets == []

    def test_with_an_answer_still_to_come_are_not_used_again(self, gateway, server, kept):
        """The next request, for another secret, would get it."""
        server.answer = b"HTTP/1.1 103 Early Hints\r\n\r\n"
        with pytest.raises(UnreadableAnswer):
            read(gateway, kept)
        server.answer = ANSWER

        assert read(gateway, kept)
        assert len(server.resumed) == 2

    def test_with_data_that_nobody_asked_for_are_not_used_again(self, gateway, server, kept):
        server.answer = ANSWER + b"x" * 9000  # in one record of TLS
        read(gateway, kept)
        server.answer = ANSWER

        assert read(gateway, kept)
        assert len(server.resumed) == 2


class TestCaFile:
    def test_that_changes_is_noticed_by_kept_connections_too(self, gateway, server, ca_file, kept, authority):
        read(gateway, kept)
        ca_file.write_bytes(trustme.CA().cert_pem.bytes())
        with pytest.raises(UntrustedGateway, match="certificate verify failed"):
            read(gateway, kept)
        with pytest.raises(UntrustedGateway, match="certificate verify failed"):
            read(gateway)

        ca_file.write_bytes(authority.cert_pem.bytes())
        assert read(gateway, kept)

    def test_is_loaded_once_for_all_connections(self, gateway, monkeypatch):
        loaded, load = [], ssl.SSLContext.load_verify_locations
        monkeypatch.setattr(ssl.SSLContext, "load_verify_locations",
                            lambda self, *given, **named: loaded.append(named) or load(self, *given, **named))
        for _ in range(3):
            read(gateway)

        assert loaded == [{"cafile": gateway.tls.ca}]

    @pytest.mark.parametrize("content", [None, b"", b"-----BEGIN CERTIFICATE-----\nMIIx\n-----END CERTIFICATE-----\n"],
                             ids=["gone", "empty", "broken"])
    def test_that_is_bad_meanwhile_is_named(self, gateway, ca_file, content):
        ca_file.unlink() if content is None else ca_file.write_bytes(content)

        with pytest.raises(UntrustedGateway) as refused:
            read(gateway)

        assert "the CA file {} cannot be loaded (".format(ca_file) in str(refused.value)
        assert "; set caFilePath in cache_client_region_id" in str(refused.value)
        assert refused.value.__cause__ is None

    def test_may_be_a_directory(self, gateway, server, tmp_path):
        gateway.tls = Tls(str(tmp_path))

        with pytest.raises(UntrustedGateway, match="certificate verify failed"):
            read(gateway)

    def test_is_loaded_beforehand_in_another_thread(self, gateway, monkeypatch):
        gateway.tls.begin()

        wait_until(lambda: gateway.tls._loaded is not None)

    def test_that_cannot_be_loaded_beforehand_fails_the_request_alone(self, gateway, ca_file, capsys):
        ca_file.unlink()
        gateway.tls.begin()
        wait_until(lambda: "managed-credentials-cas" not in [each.name for each in threading.enumerate()])

        assert capsys.readouterr().err == ""

    def test_is_not_waited_for_by_a_thread_for_which_the_loading_one_waits(self, gateway, monkeypatch):
        """A finalizer may run in the thread that loads, and read a secret."""
        monkeypatch.setattr(tls, "LOADING_PATIENCE", 0.02)
        gate, load = Gate(), tls._context
        monkeypatch.setattr(tls, "_context", lambda ca: (monkeypatch.setattr(tls, "_context", load), gate(), load(ca))[2])
        loading = Running(gateway.tls.context)
        gate.wait_entered()

        assert read(gateway)
        gate.open()
        loading.result()


def test_fork_amid_loading_leaves_the_child_a_lock_of_its_own(gateway, monkeypatch):
    gate, load = Gate(), tls._context
    monkeypatch.setattr(tls, "_context", lambda ca: (gate(), load(ca))[1])
    loading = Running(gateway.tls.context)
    gate.wait_entered()

    def read_in_child():
        monkeypatch.setattr(tls, "_context", load)
        gateway.after_fork_in_child()
        return read(gateway)["VersionId"]

    assert in_child(read_in_child) == "v1"
    gate.open()
    loading.result()
