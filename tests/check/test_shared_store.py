"""``managed-credentials check`` of a shared store, with a real Redis: what is right, and what each fault is called."""

import os
import re
import shutil
import socketserver
import sys
import tempfile
import threading
import time

import pytest
import trustme

from aliyun_sdk_secretsmanager_common_plugin import ManagedCredentials
from tests.conftest import SECRET, wait_until
from tests.redis_server import RedisServer, free_port

pytestmark = pytest.mark.skipif(shutil.which("redis-server") is None, reason="needs redis-server: nox -s redis")
STORE_PASSWORD = "The-Password-Of-The-Store"
AUTH = "The-Password-Of-Redis"
COMMANDS = ("eval", "subscribe", "publish", "time", "type", "hmget", "hset", "get", "set", "del", "pttl", "pexpire")


@pytest.fixture
def start():
    """Call it with the options of a Redis: starts it."""
    servers = []

    def start_redis(*options):
        servers.append(RedisServer(*options))
        return servers[-1]

    yield start_redis
    for server in servers:
        server.close()


@pytest.fixture
def properties_with(cloud, tmp_path, monkeypatch):
    """Call it with the URL of a store: writes the properties file."""
    monkeypatch.setenv("STORE_PASSWORD", STORE_PASSWORD)
    monkeypatch.setenv("STORE_AUTH", AUTH)

    def write(url, **others):
        return cloud.write_properties(tmp_path, **dict({
            "shared_store_url": url, "shared_store_password_from_env_variable": "STORE_PASSWORD",
            "shared_store_timeout_milliseconds": 10000, "secret_names": SECRET}, **others))

    return write


@pytest.fixture
def hold(properties_with):
    """Call it with a Redis: a process leaves the answer for the secret there. It returns the key of its hash."""

    def keys(server):
        return [key for key in server.client.keys("*") if server.client.type(key) == b"hash"
                and server.client.hget(key, "v") and server.client.pttl(key) > 21000]

    def hold(server):
        with ManagedCredentials.from_properties(properties_with(server.url)) as credentials:
            credentials.get(SECRET)
            (key,) = wait_until(lambda: keys(server))
        return key

    return hold


@pytest.fixture
def check_of(outcome, properties_with, run):
    """Call it with the URL of a store: returns the step of the store, which shows no password."""

    def check_of(url, **others):
        path = properties_with(url, **others)
        (step,) = outcome(path).of("shared store")
        shown = run("--config", path).output
        for secret in (STORE_PASSWORD, AUTH, "The-Password-In-The-URL", "app@"):
            assert secret not in shown
            assert secret not in str(step)
        if not step["ok"]:
            assert step["link"] == "docs/shared-store.rst"
            assert "each process asks Secrets Manager by itself" in step["remedy"]
        return step

    return check_of


@pytest.fixture
def error_of(check_of):
    def error_of(url, **others):
        step = check_of(url, **others)
        assert not step["ok"]
        return step["detail"]

    return error_of


def user(server, *rules):
    """Return the URL of the server for a user that may do what the package does, but for some rules."""
    server.client.execute_command(
        "ACL", "SETUSER", "app", "on", ">The-Password-In-The-URL", "~managed-credentials:*", "resetchannels",
        "&managed-credentials:*", "-@all", *["+" + command for command in ("ping", "select") + COMMANDS], *rules)
    return server.url.replace("//", "//app:The-Password-In-The-URL@").replace("/0", "/1")


class TestWhatIsRight:
    def test_says_how_long_it_took_and_what_is_there(self, check_of, redis_server, hold):
        before = check_of(redis_server.url)
        hold(redis_server)
        after = check_of(redis_server.url)

        assert before["subject"] == redis_server.url
        assert before["latency_ms"] > 0
        assert re.match(r"connected and asked in [\d.]+ ms; it has answers for 0 of 1 secrets\Z", before["detail"])
        assert "1 of 1 secrets" in after["detail"]
        assert after["warnings"] == []

    def test_names_of_the_command_line_are_looked_for_and_wrong_ones_are_left_to_their_own_step(
            self, outcome, properties_with, redis_server):
        (step,) = outcome(properties_with(redis_server.url), "a", "b", " ").of("shared store")

        assert "0 of 2 secrets" in step["detail"]

    def test_with_the_rights_of_the_page_and_no_others(self, check_of, redis_server):
        assert check_of(user(redis_server))["ok"]

    def test_with_a_password_of_redis(self, check_of, start):
        server = start("--requirepass", AUTH)

        assert check_of(server.url, shared_store_auth_from_env_variable="STORE_AUTH")["ok"]

    def test_over_a_socket_file(self, check_of, run, start):
        with tempfile.TemporaryDirectory() as directory:  # a path below tmp_path may be too long for a socket
            path = os.path.join(directory, "redis.sock")
            start("--unixsocket", path)

            assert check_of("unix://" + path + "?db=1")["subject"] == "unix://" + path

    def test_leaves_what_processes_hold_and_nothing_else_for_long(self, check_of, redis_server, hold):
        key, client = hold(redis_server), redis_server.client
        held = client.hgetall(key)
        check_of(redis_server.url)

        assert client.hgetall(key) == held
        assert client.pttl(key) > 3600 * 1000
        assert all(client.pttl(other) <= 21000 for other in client.keys("*") if other != key)

    def test_nothing_to_try_without_a_store(self, cloud, run, tmp_path):
        path = cloud.write_properties(tmp_path)

        assert "shared store" not in run("--config", path).output
        assert "shared_store_url is not set" in run("--config", path, "--only", "shared-store").output

    def test_asks_nothing_of_secrets_manager_alone(self, cloud, run, properties_with, redis_server):
        assert run("--config", properties_with(redis_server.url), "--only", "shared-store").exit_code == 0
        assert cloud.calls("secrets_manager") == []


@pytest.fixture
def tls(start, tmp_path):
    """A Redis with TLS beside its port without: the URL for a host, with the CA or without."""
    ca = trustme.CA()
    ca.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    certificate = ca.issue_cert("localhost")
    certificate.private_key_pem.write_to_path(str(tmp_path / "key.pem"))
    certificate.cert_chain_pems[0].write_to_path(str(tmp_path / "cert.pem"))
    port = free_port()
    start("--tls-port", str(port), "--tls-auth-clients", "no", "--tls-cert-file", str(tmp_path / "cert.pem"),
          "--tls-key-file", str(tmp_path / "key.pem"), "--tls-ca-cert-file", str(tmp_path / "ca.pem"))

    right_ca = "?ssl_ca_certs={}/ca.pem".format(tmp_path)

    def url(scheme="rediss", host="localhost", ca=right_ca):
        return "{}://{}:{}/0{}".format(scheme, host, port, ca)

    return url


class TestTls:
    def test_that_is_right(self, check_of, tls):
        step = check_of(tls())

        assert step["ok"]
        assert step["subject"] == tls(ca="")

    def test_of_an_unknown_ca(self, error_of, tls):
        error = error_of(tls(ca=""))

        assert re.search(r"the certificate of Redis is not trusted \(SSL(?:CertVerification)?Error: ", error)
        assert "name its CA with ?ssl_ca_certs=/path/ca.pem in shared_store_url" in error

    def test_of_another_ca(self, error_of, tls, cloud):
        assert "the certificate of Redis is not trusted" in error_of(tls(ca="?ssl_ca_certs=" + cloud.ca_file))

    def test_for_another_host_name(self, error_of, tls):
        error = error_of(tls(host="127.0.0.1"))

        assert "the certificate of Redis is not trusted" in error and "'127.0.0.1'" in error
        assert "shared_store_url, which must have the host name of the certificate" in error

    def test_with_a_port_that_has_none(self, error_of, redis_server):
        error = error_of(redis_server.url.replace("redis:", "rediss:"), fetch_timeout_milliseconds=2000)

        assert "TLS with Redis fails (" in error
        assert "write redis:// if it has no TLS" in error

    def test_with_a_url_that_has_none(self, error_of, tls):
        error = error_of(tls(scheme="redis", ca=""))

        assert "Redis cannot be reached (" in error
        assert "that the URL begins with rediss:// if the port has TLS" in error


class TestAnonymized:
    @pytest.mark.parametrize("url", ["rediss://app@store-of-alice.invalid/0", "unix:///nowhere/of-alice.sock?db=0"])
    def test_shows_no_host_and_no_path(self, run, properties_with, url):
        shown = run("--anonymize", "--config", properties_with(url)).output

        assert "alice" not in shown and "app@" not in shown
        assert "shared store " in shown


class TestWhatIsWrong:
    def test_no_extra(self, error_of, monkeypatch):
        for name in ("redis", "redis_store", "redis_connection", "listener"):
            prefix = "" if name == "redis" else "aliyun_sdk_secretsmanager_common_plugin.stores."
            monkeypatch.setitem(sys.modules, prefix + name, None)

        assert 'shared_store_url needs the extra "redis": pip install' in error_of("redis://127.0.0.1:1")

    def test_server_down(self, error_of):
        error = error_of("redis://127.0.0.1:{}/0".format(free_port()))

        assert "Redis cannot be reached (ConnectionRefusedError: " in error
        assert "check the address in shared_store_url" in error

    def test_unknown_host(self, error_of):
        assert "Redis cannot be reached (gaierror: " in error_of("redis://nowhere.invalid:6379/0")

    def test_server_that_hangs(self, error_of, redis_server):
        redis_server.stop()
        began = time.monotonic()
        error = error_of(redis_server.url, fetch_timeout_milliseconds=1000)
        redis_server.go_on()

        assert "Redis does not answer in time; check that it runs" in error
        assert time.monotonic() - began < 60  # for two runs with all their steps

    def test_server_slower_than_the_timeout_is_warned_of(self, check_of, redis_server):
        redis_server.stop()
        threading.Timer(0.3, redis_server.go_on).start()
        step = check_of(redis_server.url, shared_store_timeout_milliseconds=1)

        assert step["ok"]
        (warning,) = step["warnings"]
        assert "longer than the 1 ms of shared_store_timeout_milliseconds" in warning

    @pytest.mark.parametrize("others", [{}, {"shared_store_auth_from_env_variable": "STORE_AUTH"}])
    def test_password_of_redis(self, error_of, start, others):
        error = error_of(start("--requirepass", "another").url, **others)

        assert ("Redis refuses the user or the password (WRONGPASS)" if others else
                "Redis wants a password (NOAUTH)") in error
        assert "shared_store_auth_from_env_variable or shared_store_auth_from_file_path" in error

    def test_password_that_redis_does_not_want(self, error_of, redis_server):
        error = error_of(redis_server.url, shared_store_auth_from_env_variable="STORE_AUTH")

        assert "Redis has no password for the default user; take shared_store_auth_from_... out" in error

    def test_unknown_user(self, error_of, redis_server):
        error = error_of(redis_server.url.replace("//", "//app:The-Password-In-The-URL@"))

        assert "check the user in shared_store_url" in error

    @pytest.mark.parametrize("command", COMMANDS + ("select",))
    def test_acl_that_forbids_a_command(self, error_of, redis_server, command):
        error = error_of(user(redis_server, "-" + command))

        named = command if command in ("eval", "subscribe", "select") else r"[a-z]+"
        assert re.search(r"the ACL of Redis forbids (?:the command {}|a command) \(NOPERM\); "
                         r"give the user all commands that docs/shared-store.rst names".format(named), error)
        assert error.startswith("announcements cannot be heard: ") is (command == "subscribe")

    @pytest.mark.parametrize(("rules", "what"), [
        (("resetkeys", "~other:*"), "keys"), (("resetchannels", "&other:*"), "channels")])
    def test_acl_for_another_prefix(self, error_of, redis_server, rules, what):
        error = error_of(user(redis_server, *rules))

        assert "the ACL of Redis forbids the store's {} (NOPERM)".format(what) in error
        assert "with what shared_store_prefix says" in error

    def test_full(self, error_of, redis_server):
        redis_server.client.config_set("maxmemory", "1")

        assert "Redis is full (OOM); give it more memory, or the policy volatile-lru" in error_of(redis_server.url)

    def test_replica(self, error_of, redis_server):
        redis_server.client.replicaof("127.0.0.1", 1)

        assert "this Redis is a replica and takes no writes (READONLY); name the primary" in error_of(redis_server.url)

    @pytest.mark.parametrize("database", ["0", "1"])
    def test_cluster(self, error_of, start, database):
        url = start("--cluster-enabled", "yes", "--cluster-port", str(free_port())).url[:-1] + database

        assert "this Redis is a Cluster, which is not supported; name a single Redis" in error_of(url)

    def test_too_many_clients(self, error_of, redis_server):
        redis_server.client.config_set("maxclients", "1")

        assert "Redis has too many clients; raise maxclients" in error_of(redis_server.url)

    def test_unknown_database(self, error_of, redis_server):
        assert "Redis has no database of this number" in error_of(redis_server.url[:-1] + "99")

    def test_no_redis_at_all(self, error_of, cloud):
        assert "does not speak the protocol of Redis" in error_of("redis://" + cloud.api_endpoint.split("//")[-1])

    def test_words_of_a_server_are_not_shown(self, error_of):
        class Handler(socketserver.BaseRequestHandler):
            def handle(self):
                while self.request.recv(65536):
                    self.request.sendall("-WEIRD {}\r\n".format(AUTH).encode("ascii"))

        with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler) as server:
            server.daemon_threads = True
            threading.Thread(target=server.serve_forever, daemon=True).start()
            error = error_of("redis://127.0.0.1:{}/0".format(server.server_address[1]))
            server.shutdown()

        assert error == "Redis refuses a command, and nobody expected that; look into the log of Redis"

    def test_stored_answer_that_cannot_be_used_is_warned_of(self, check_of, redis_server, hold):
        redis_server.client.hset(hold(redis_server), "v", "forged")
        step = check_of(redis_server.url)

        assert step["ok"]
        (warning,) = step["warnings"]
        assert "the answer of 'app/key' in the store cannot be used: it is not sealed with the password" in warning
        assert "look who else writes under shared_store_prefix" in warning

    def test_answers_of_another_password_are_not_seen(self, check_of, redis_server, hold, monkeypatch):
        hold(redis_server)
        monkeypatch.setenv("OTHER", STORE_PASSWORD + " 2")
        step = check_of(redis_server.url, shared_store_password_from_env_variable="OTHER")

        assert step["ok"] and step["warnings"] == []
        assert "0 of 1 secrets" in step["detail"]
