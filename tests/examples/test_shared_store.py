"""The page A shared store: what it says about Redis is done with a real one, and its files fit together."""

import os
import pathlib
import re
import shutil
import socket
import ssl
import subprocess
import tempfile

import pytest

from aliyun_sdk_secretsmanager_common_plugin import stores as stores_package
from aliyun_sdk_secretsmanager_common_plugin.access_key import parse_secret
from aliyun_sdk_secretsmanager_common_plugin.keeper.actions import Free, Probe, Share, Take
from aliyun_sdk_secretsmanager_common_plugin.secrets_manager import Connections
from aliyun_sdk_secretsmanager_common_plugin.settings import SharedStoreSettings, load_settings
from aliyun_sdk_secretsmanager_testing.certificates import ca_pem
from tests.redis_server import free_port

from .pages import DOCS, EXAMPLES, block, blocks, text_of

PAGE = DOCS / "shared-store.rst"
FILES = EXAMPLES / "shared_store"
PREFIX = SharedStoreSettings("", "").prefix
CHANNEL = PREFIX + "announcements"
USER = "managed-credentials"
# Some of the commands that the package has in its scripts.
SCRIPT = """
redis.call('HSET', KEYS[1], 'n', 1)
redis.call('SET', KEYS[2], 'token', 'NX', 'PX', 1000)
redis.call('PUBLISH', ARGV[1], 'news')
return redis.call('HMGET', KEYS[1], 'n')
"""
needs_redis = pytest.mark.skipif(shutil.which("redis-server") is None, reason="needs redis-server: nox -s redis")
needs_openssl = pytest.mark.skipif(
    not all(map(shutil.which, ("openssl", "sha256sum"))), reason="needs openssl and sha256sum")


@pytest.fixture
def start(tmp_path):
    """Call it with arguments: starts a Redis with them, and returns when it listens."""
    servers = []

    def start_redis(*arguments):
        server = subprocess.Popen(("redis-server",) + arguments, cwd=str(tmp_path), stdout=subprocess.PIPE,
                                  universal_newlines=True)
        servers.append(server)
        lines = []
        lines = []
        for line in server.stdout:
            lines.append(line)
            if "eady to accept connections" in line:
                return
        pytest.fail("".join(lines))

    yield start_redis
    for server in servers:
        server.kill()
        server.communicate()


@pytest.fixture
def redis_socket():
    """The path of a socket. One below ``tmp_path`` may be longer than the 107 characters that a system takes."""
    with tempfile.TemporaryDirectory() as directory:
        yield os.path.join(directory, "socket")


@pytest.fixture
def connect(redis_socket):
    """Call it with a user and a password: a client of the Redis at the socket of the test."""
    redis = pytest.importorskip("redis")
    clients = []

    def connect_as(username=None, password=None):
        clients.append(redis.Redis(unix_socket_path=redis_socket, username=username, password=password, db=1))
        return clients[-1]

    yield connect_as
    for client in clients:
        client.close()


def access_key():
    return parse_secret("app/key", {"SecretData": '{"AccessKeyId": "LTAI5tOfTheTest", "AccessKeySecret": "secret 1"}'})


def passed(path):
    return path.read_text(encoding="ascii").strip()


@pytest.fixture
def rights(start, connect, tmp_path, redis_socket):
    """A client of the user that the page makes with ``ACL SETUSER``."""
    start("--port", "0", "--unixsocket", redis_socket, "--save", "")
    command = block(PAGE, "acl").replace("redis-cli", "redis-cli -s " + redis_socket)
    printed = subprocess.run(["sh", "-ec", command], cwd=str(tmp_path), check=True, stdout=subprocess.PIPE)
    assert printed.stdout == b"OK\n"
    return connect(USER, passed(tmp_path / "shared-store-auth.txt"))


def refused(call, *arguments):
    """The error with which Redis refuses a command."""
    redis = pytest.importorskip("redis")
    with pytest.raises(redis.RedisError) as caught:
        call(*arguments)
    return str(caught.value)


@needs_redis
@needs_openssl
class TestUser:
    def test_may_do_all_that_the_package_does(self, rights, tmp_path, redis_socket):
        from aliyun_sdk_secretsmanager_common_plugin.stores.redis_store import RedisStore

        store = RedisStore(SharedStoreSettings("unix://{}@{}?db=1".format(USER, redis_socket), "password",
                                               passed(tmp_path / "shared-store-auth.txt"), timeout=10.0), 600.0)
        listening, connections = store.listening_connection(), Connections()
        listening.send("SUBSCRIBE", store.channel())
        listening.send("PING")
        assert listening.receive()[0] == b"subscribe"
        assert listening.receive()[0] == b"pong"
        taken = store.run(Take(1, "app/key", None, 60.0, 4.0), connections)
        ended = [taken] + [store.run(action, connections) for action in (
            Share(2, "app/key", access_key(), taken.position), Free(3, "app/key"), Probe(4),
            Take(5, "app/key", None, 60.0, 4.0))]
        assert [event.error for event in ended] == [""] * 5
        assert ended[-1].found.key == access_key()
        assert store.heard(listening.receive()[2]).found.key == access_key()
        listening.close()
        connections.close()

    def test_may_run_the_commands_of_the_scripts_and_no_others_in_them(self):
        stores = pathlib.Path(stores_package.__file__).parent
        called = {name.lower() for name in re.findall(
            r"redis\.p?call\('(\w+)'", (stores / "redis_store.py").read_text(encoding="utf-8"))}

        assert called | {"ping", "select", "eval", "subscribe", "unsubscribe"} == set(
            re.findall(r" \+(\w+)", block(PAGE, "acl")))

    @pytest.mark.parametrize("command", [
        "GET other", "KEYS *", "SCAN 0", "FLUSHALL", "CONFIG GET *", "MONITOR", "ACL LIST", "CLIENT LIST",
        "SUBSCRIBE other", "PSUBSCRIBE *", "PUBLISH other 1", "EVALSHA a 0", "SCRIPT FLUSH"])
    def test_may_not_do_anything_else(self, rights, command):
        assert "no permissions" in refused(rights.execute_command, *command.split())

    @pytest.mark.parametrize(("script", "names"), [
        (SCRIPT, ["other", PREFIX + "lease", CHANNEL]), (SCRIPT, [PREFIX + "a", PREFIX + "lease", "other"]),
        ("return redis.call('KEYS', '*')", []), ("return redis.call('GET', 'other')", [])])
    def test_may_not_do_it_in_a_script_either(self, rights, script, names):
        assert re.search("no permissions|can't (?:run|access|publish)", refused(
            rights.eval, script, min(len(names), 2), *names))


@pytest.fixture
def prepared(tmp_path, redis_socket):
    """The directory in which ``prepare.sh`` has run, with ``redis.conf`` for a Redis there."""
    for name in ("prepare.sh", "redis.conf"):
        shutil.copy(str(FILES / name), str(tmp_path))
    subprocess.run(["sh", "prepare.sh"], cwd=str(tmp_path), check=True, stderr=subprocess.DEVNULL)
    port = free_port()
    text = text_of(FILES / "redis.conf")
    assert text.count("/etc/redis/") == 3 and "tls-port 6379\n" in text
    (tmp_path / "redis.conf").write_text(text.replace("/etc/redis/", str(tmp_path / "redis") + "/").replace(
        "tls-port 6379", "tls-port {}\nunixsocket {}".format(port, redis_socket)))
    return tmp_path, port


@pytest.mark.slow
@needs_redis
@needs_openssl
class TestRedisOfItsOwn:
    @pytest.fixture
    def port(self, prepared, start):
        start("redis.conf")
        return prepared[1]

    @pytest.fixture
    def password(self, prepared):
        return passed(prepared[0] / "shared-store-auth.txt")

    def test_speaks_tls_with_the_certificate_for_its_name(self, prepared, port, password):
        context = ssl.create_default_context(cafile=str(prepared[0] / "ca.crt"))

        with socket.create_connection(("127.0.0.1", port), timeout=10) as plain:
            with context.wrap_socket(plain, server_hostname="redis") as connection:
                connection.sendall("AUTH {} {}\r\n".format(USER, password).encode("ascii"))
                assert connection.recv(100) == b"+OK\r\n"

    def test_user_has_the_rights_of_the_page(self, port, password, connect):
        assert connect(USER, password).eval(SCRIPT, 2, PREFIX + "a", PREFIX + "a:lease", CHANNEL) == [b"1"]
        command = block(PAGE, "acl")
        in_script = re.findall(r"\+\w+", text_of(FILES / "prepare.sh").partition("may=")[2].partition("cat >")[0])

        assert sorted(in_script) == sorted(re.findall(r"\+\w+", command))

    def test_nobody_else_may_do_anything(self, port, connect):
        assert re.search("Authentication required|already authenticated", refused(connect().ping))

    def test_administrator_sees_what_was_refused(self, prepared, port, password, connect):
        refused(connect(USER, password).execute_command, "KEYS", "*")

        admin = connect("admin", passed(prepared[0] / "admin-auth.txt"))
        assert [entry["object"] for entry in admin.acl_log()] == ["keys"]
        assert admin.config_get("maxmemory-policy") == {"maxmemory-policy": "volatile-lru"}

    def test_secrets_can_be_read_by_their_owner_alone(self, prepared):
        modes = {path.name: oct(path.stat().st_mode & 0o777) for path in [
            prepared[0] / "redis"] + list(prepared[0].glob("**/*.txt")) + list(prepared[0].glob("**/*.key"))}

        assert set(modes) == {"redis", "shared-store-password.txt", "shared-store-auth.txt", "admin-auth.txt", "ca.key",
                              "tls.key"}
        assert {mode[-2:] for mode in modes.values()} == {"00"}


@pytest.mark.parametrize("name", sorted(os.listdir(str(FILES))))
def test_page_shows_the_files_of_the_example(name):
    assert block(PAGE, "shared_store/" + name) == text_of(FILES / name)


@pytest.mark.parametrize("at", range(3))
def test_properties_of_the_page_load(at, tmp_path, monkeypatch, caplog):
    code = [found.code for found in properties()][at]
    (tmp_path / "ca.pem").write_bytes(ca_pem())
    for name in ("shared-store-password.txt", "shared-store-auth.txt"):
        (tmp_path / name).write_text("a password\n")
        code = re.sub(r"/\S+/(?:{}|{})$".format(name, name[:-4].replace("-", "_")), name, code, flags=re.M)
    path = tmp_path / "app.properties"
    path.write_text(re.sub(r"ssl_ca_certs=\S+", "ssl_ca_certs={}".format(tmp_path / "ca.pem"), code))

    store = load_settings(str(path), identity=False, gateways="cache_client" in code).shared_store

    assert store.url.startswith("rediss://{}@redis".format(USER))
    assert store.auth and store.password
    assert caplog.records == []


def properties():
    """Those blocks of the page, also in its lists."""
    indented = re.findall(r"^   \.\. code-block:: properties\n\n((?:      .*\n)+)", text_of(PAGE), re.M)
    found = [one for one in blocks(PAGE) if one.language == "properties"]
    return [found[0]._replace(name="", code=re.sub("^ +", "", code, flags=re.M)) for code in indented] + found


class TestContainers:
    @pytest.fixture
    def yaml(self):
        return pytest.importorskip("yaml", reason="needs PyYAML: nox -s examples")

    def test_compose_mounts_what_the_properties_file_names(self, yaml):
        compose = yaml.safe_load(text_of(FILES / "compose.yaml"))
        service = compose["services"]["web"]
        named = set(re.findall(r"/run/secrets/(\w+)", block(PAGE, "compose")))

        assert set(service["secrets"]) == set(compose["secrets"]) == named | {"managed_credentials"}
        assert service["build"] == "." and "@redis:6379/" in block(PAGE, "compose")

    def test_compose_gives_redis_its_files(self, yaml):
        redis = yaml.safe_load(text_of(FILES / "compose.yaml"))["services"]["redis"]

        assert redis["volumes"] == ["./redis:/etc/redis:ro"]
        assert redis["command"] == ["redis-server", "/etc/redis/redis.conf"]

    @pytest.fixture
    def objects(self, yaml):
        return {one["kind"]: one for one in yaml.safe_load_all(text_of(FILES / "kubernetes.yaml"))}

    def test_every_object_is_valid(self, objects):
        kubernetes = pytest.importorskip("kubernetes_validate", reason="needs kubernetes-validate: nox -s examples")

        assert set(objects) == {"Deployment", "Service"}
        for one in objects.values():
            kubernetes.validate(one, kubernetes.latest_version(), strict=True)

    def test_pod_of_redis_gets_what_the_commands_make(self, objects):
        pod = objects["Deployment"]["spec"]["template"]
        made = re.findall(r"create (configmap|secret generic) ([\w-]+)", text_of(PAGE))
        sources = pod["spec"]["volumes"][0]["projected"]["sources"]
        container, = pod["spec"]["containers"]

        assert [(kind, made_of["name"]) for source in sources for kind, made_of in source.items()] == [
            ("configMap", "redis"), ("secret", "redis")]
        assert made == [("configmap", "redis"), ("secret generic", "redis"), ("secret generic", "shared-store")]
        assert container["command"] == ["redis-server", container["volumeMounts"][0]["mountPath"] + "/redis.conf"]

    def test_service_has_the_name_that_the_certificate_and_the_url_have(self, objects):
        service, pod = objects["Service"], objects["Deployment"]["spec"]["template"]

        assert service["spec"]["selector"] == pod["metadata"]["labels"]
        assert "subjectAltName=DNS:{}\"".format(service["metadata"]["name"]) in text_of(FILES / "prepare.sh")
        assert "@{}:{}/0".format(service["metadata"]["name"], service["spec"]["ports"][0]["port"]) in block(
            PAGE, "kubernetes")

    def test_application_gets_the_files_that_its_properties_name(self, yaml):
        added = yaml.safe_load(block(PAGE, "volume"))
        mount, = added["containers"][0]["volumeMounts"]
        files = re.findall(re.escape(mount["mountPath"]) + r"/(\S+)", block(PAGE, "kubernetes"))

        assert added["volumes"] == [{"name": mount["name"], "secret": {"secretName": "shared-store"}}]
        assert sorted(files) == sorted(re.findall(
            r"--from-file=(\S+)", text_of(PAGE).partition("secret generic shared-store")[2].partition("kubectl apply")[0]))
