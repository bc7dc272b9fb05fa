"""The shared store over TLS: only a certificate that is trusted, and for the right host, is spoken to."""

import pytest
import trustme

from aliyun_sdk_secretsmanager_common_plugin.keeper.actions import Probe
from aliyun_sdk_secretsmanager_common_plugin.secrets_manager import Connections
from aliyun_sdk_secretsmanager_common_plugin.settings import SharedStoreSettings
from aliyun_sdk_secretsmanager_common_plugin.stores.redis_store import RedisStore
from tests.redis_server import RedisServer, free_port


@pytest.fixture
def authority(tmp_path):
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    return authority


@pytest.fixture
def probe(authority, tmp_path):
    """A function that starts a Redis with a certificate for a host, and returns why a probe of it fails."""
    servers = []

    def run(host, ca=None):
        certificate = authority.issue_cert(host)
        certificate.private_key_and_cert_chain_pem.write_to_path(str(tmp_path / "server.pem"))
        port, pem = free_port(), str(tmp_path / "server.pem")
        servers.append(RedisServer(
            "--tls-port", str(port), "--tls-cert-file", pem, "--tls-key-file", pem, "--tls-ca-cert-file",
            str(tmp_path / "ca.pem"), "--tls-auth-clients", "no"))
        url = "rediss://127.0.0.1:{}/1?ssl_cert_reqs=none&ssl_check_hostname=false{}".format(
            port, "" if ca is None else "&ssl_ca_certs={}".format(ca))
        connections = Connections()
        store = RedisStore(SharedStoreSettings(url, "password", timeout=10.0), 600.0)
        error = store.run(Probe(1), connections).error
        connections.close()
        return error

    yield run
    for server in servers:
        server.close()


def test_trusted_certificate_is_spoken_to(probe, tmp_path):
    assert probe("127.0.0.1", tmp_path / "ca.pem") == ""


def test_unknown_authority_is_refused_whatever_the_url_says(probe):
    assert "certificate" in probe("127.0.0.1").lower()


def test_certificate_of_another_host_is_refused(probe, tmp_path):
    error = probe("another.example", tmp_path / "ca.pem")

    assert "certificate" in error.lower() or "hostname" in error.lower()
