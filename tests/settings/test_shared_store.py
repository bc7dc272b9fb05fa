"""The keys of the properties file that configure a shared store."""

import logging

import pytest

from aliyun_sdk_secretsmanager_common_plugin import ConfigurationError
from aliyun_sdk_secretsmanager_common_plugin.settings import (
    Settings,
    SharedStoreSettings,
    load_settings,
    settings_from,
)

from .conftest import GOOD, SECRET

URL = "redis://redis.example.com:6379/0"
AUTH = "TheAuthThatNobodyMaySee42"


@pytest.fixture
def load(write, tmp_path):
    (tmp_path / "password").write_text(SECRET + "\n")

    def load_store(url=URL, **keys):
        return load_settings(write(**dict(
            {"shared_store_password_from_file_path": "password"}, shared_store_url=url, **keys))).shared_store

    return load_store


@pytest.fixture
def message_of(write, refused, tmp_path):
    """Call it with keys: the message of the error that they are. A password is there."""
    (tmp_path / "password").write_text(SECRET + "\n")

    def message_of_keys(**keys):
        return refused(write(**dict({"shared_store_password_from_file_path": "password"}, **keys)))

    return message_of_keys


class TestKeys:
    def test_there_is_none_by_default(self, write):
        assert load_settings(write()).shared_store is None
        assert Settings().shared_store is None

    def test_url_and_password_suffice(self, load):
        assert load() == SharedStoreSettings(URL, SECRET, None, "managed-credentials:", 0.2)

    def test_all_keys(self, load, monkeypatch):
        monkeypatch.setenv("MY_PASSWORD", SECRET)
        monkeypatch.setenv("MY_AUTH", AUTH)

        assert load(shared_store_password_from_file_path=None, shared_store_password_from_env_variable="MY_PASSWORD",
                    shared_store_auth_from_env_variable="MY_AUTH", shared_store_prefix="{my team}: keys:",
                    shared_store_timeout_milliseconds="1500") == SharedStoreSettings(
            URL, SECRET, AUTH, "{my team}: keys:", 1.5)

    def test_auth_in_a_file(self, load, tmp_path):
        (tmp_path / "auth").write_text(AUTH + "\n")

        assert load("redis://app@localhost", shared_store_auth_from_file_path="auth").auth == AUTH

    def test_variables_of_the_environment_override_the_file(self, load, monkeypatch):
        monkeypatch.setenv("shared_store_url", "unix:///run/redis.sock?db=1")
        monkeypatch.setenv("shared_store_prefix", "from-the-environment:")

        store = load(shared_store_prefix="from-the-file:")

        assert (store.url, store.prefix) == ("unix:///run/redis.sock?db=1", "from-the-environment:")

    @pytest.mark.parametrize("empty", ["", "  "])
    def test_an_empty_key_is_one_that_is_not_there(self, load, empty):
        assert load(shared_store_prefix=empty, shared_store_auth_from_file_path=empty,
                    shared_store_timeout_milliseconds=empty) == SharedStoreSettings(URL, SECRET)

    def test_nothing_is_logged(self, load, caplog):
        caplog.set_level(logging.DEBUG)

        load("redis://:{}@localhost".format(AUTH))

        assert caplog.records == []


class TestUrl:
    @pytest.mark.parametrize("url", [
        "redis://localhost", "redis://localhost/", "redis://localhost:1", "redis://localhost:65535/15",
        "redis://localhost?db=3", "redis://10.0.0.1:6379/0", "redis://[::1]:6379/0", "redis://[2001:db8::1]",
        "redis://app@localhost", "redis://app:pass@localhost", "redis://:pass@localhost:6379/2",
        "redis://a.b:p%40s%2Fs%3F!$&'()*+,;=~:-_.@redis_1.example.com.:6379/0", "rediss://localhost",
        "unix:///run/redis.sock", "unix:///run/redis.sock?db=2", "unix://app:pass@/run/my%20redis.sock"])
    def test_forms_that_are_right_and_that_redis_py_takes(self, load, url):
        connection = pytest.importorskip("redis.connection")

        assert load(url).url == url
        assert connection.parse_url(url)

    def test_ca_file(self, load, ca_file):
        assert load("rediss://localhost?ssl_ca_certs={}&db=1".format(ca_file)).url.endswith("&db=1")

    @pytest.mark.parametrize("url", [
        SECRET, "localhost:6379", "http://localhost", "REDIS://localhost", "redis:/localhost", "redis://a b",
        "redis+sentinel://localhost", "sentinel://localhost:26379/mymaster", "redis-cluster://localhost",
        "redis://:{}#@localhost".format(SECRET), "redis://local\thost", "redis://localhost#0"])
    def test_no_url_of_a_redis(self, message_of, url):
        assert message_of(shared_store_url=url).endswith(
            "line 6: shared_store_url is a value of {} characters; write redis://host:port/0, rediss://host:port/0 for "
            "TLS, or unix:///path?db=0; Sentinel and Cluster are not supported".format(len(url)))

    @pytest.mark.parametrize("url", [
        "redis://", "redis://:6379", "redis:///0", "redis://localhost:", "redis://localhost:0", "redis://localhost:65536",
        "redis://localhost:redis", "redis://a..b", "redis://-a", "redis://1.2.3", "redis://::1", "redis://[::1",
        "redis://[fe80::1%25eth0]", "redis://localhost/" + SECRET, "redis://localhost/-1", "redis://localhost/0/1",
        "redis://localhost/123456", "redis://a:26379,b:26379/0", "redis://app:" + SECRET, "redis://:" + SECRET,
        "rediss://a,b"])
    def test_wrong_host_port_or_database(self, message_of, url):
        assert "shared_store_url has no valid host, port (1 to 65535) or database; write redis://host" in message_of(
            shared_store_url=url)

    @pytest.mark.parametrize("url", [
        "unix://", "unix:///", "unix://run/redis.sock", "unix:///a%00b", "unix:///a%zz", "unix://localhost/run/redis.sock",
        "unix://:{}/run".format(SECRET)])
    def test_wrong_path(self, message_of, url):
        assert "shared_store_url has no valid path; write redis://host" in message_of(shared_store_url=url)

    @pytest.mark.parametrize("password", [
        SECRET + "/", SECRET + "?", "1/" + SECRET, "1?" + SECRET, SECRET + "%", SECRET + "%2", SECRET + "\"",
        SECRET + "@", SECRET + "\u2100", SECRET + "[", SECRET + "]", SECRET + "\\"])
    @pytest.mark.parametrize("url", ["redis://app:{}@localhost/0", "rediss://:{}@localhost", "unix://:{}@/run/redis"])
    def test_character_that_a_url_cannot_hold(self, message_of, url, password):
        assert "shared_store_url has a character in its user or password, or an @ after them, that a URL cannot hold; " \
            "write it as %XX, or name the password in shared_store_auth_from_file_path" in message_of(
                shared_store_url=url.format(password))

    @pytest.mark.parametrize("url", [
        "redis://localhost?" + SECRET, "redis://localhost?db=", "redis://localhost?db=a", "redis://localhost?db=-1",
        "redis://localhost?password=" + SECRET, "redis://localhost?ssl_ca_certs=/ca.pem",
        "unix:///run/redis?ssl_ca_certs=/ca.pem", "rediss://localhost?ssl_cert_reqs=none",
        "rediss://localhost?ssl_check_hostname=false", "rediss://localhost?ssl_ca_certs=ca.pem",
        "rediss://localhost?ssl_ca_certs=", "redis://localhost?db=1&socket_timeout=5"])
    def test_wrong_parameter(self, message_of, url):
        assert "shared_store_url has a parameter that is unknown or not valid; the known ones are db, a number, and " \
            "with rediss:// ssl_ca_certs, the absolute path of a PEM file" in message_of(shared_store_url=url)

    @pytest.mark.parametrize("content", [None, b"", b"no certificate"])
    def test_ca_file_that_is_none(self, message_of, tmp_path, content):
        if content is not None:
            (tmp_path / "ca.pem").write_bytes(content)

        message = message_of(shared_store_url="rediss://localhost?ssl_ca_certs={}".format(tmp_path / "ca.pem"))

        assert "shared_store_url: ssl_ca_certs names the file {}: ".format(tmp_path / "ca.pem") in message


class TestErrors:
    def test_no_password(self, message_of):
        message = message_of(shared_store_url=URL, shared_store_password_from_file_path=None)

        assert "shared_store_password_from_file_path is missing or empty; shared_store_url needs it, or " \
            "shared_store_password_from_env_variable, the name of an environment variable" in message

    @pytest.mark.parametrize("key", [
        "shared_store_password_from_env_variable", "shared_store_password_from_file_path",
        "shared_store_auth_from_env_variable", "shared_store_auth_from_file_path", "shared_store_prefix",
        "shared_store_timeout_milliseconds"])
    def test_key_without_a_url(self, message_of, key):
        message = message_of(**dict({"shared_store_password_from_file_path": None}, **{key: "1"}))

        assert "shared_store_url is missing or empty; name the Redis that {} is for, or take that out".format(
            key) in message

    @pytest.mark.parametrize("what", ["shared_store_password", "shared_store_auth"])
    def test_variable_and_file(self, message_of, what):
        variable, file = what + "_from_env_variable", what + "_from_file_path"

        message = message_of(**{"shared_store_url": URL, variable: "PATH", file: "password"})

        assert "{} is there, and {} as well; take one of them out".format(variable, file) in message

    @pytest.mark.parametrize("what", ["shared_store_password", "shared_store_auth"])
    @pytest.mark.parametrize(("source", "value", "words"), [
        ("env_variable", "NOT_SET", "names the environment variable 'NOT_SET', which is not set; set it to the password"),
        ("file_path", "missing", "names a file of 7 characters in "),
        ("file_path", "empty", "it is empty; write the password into it"),
    ])
    def test_no_password_where_it_should_be(self, message_of, tmp_path, what, source, value, words):
        (tmp_path / "empty").write_text("\n")
        keys = {"shared_store_url": URL, "{}_from_{}".format(what, source): value}
        if what == "shared_store_password":
            keys.setdefault("shared_store_password_from_file_path", None)

        message = message_of(**keys)

        assert "{}_from_{} names ".format(what, source) in message
        assert words in message

    @pytest.mark.parametrize("url", ["redis://:{}@localhost", "redis://app:{}@localhost", "unix://:{}@/run/redis"])
    def test_two_passwords_of_redis(self, message_of, url):
        message = message_of(shared_store_url=url.format(SECRET), shared_store_auth_from_file_path="password")

        assert "shared_store_url has a password, and shared_store_auth_from_file_path is there as well; take one of " \
            "them out" in message

    @pytest.mark.parametrize("value", ["0", "-1", "10001", "0.5", "soon", "1e3"])
    def test_wrong_timeout(self, message_of, value):
        assert "shared_store_timeout_milliseconds is a value of {} characters; write 1 to 10000 milliseconds".format(
            len(value)) in message_of(shared_store_url=URL, shared_store_timeout_milliseconds=value)

    @pytest.mark.parametrize("prefix", ["a\0b", "a\nb", "a\x1bb"])
    def test_control_character_in_the_prefix(self, monkeypatch, prefix):
        monkeypatch.setenv("MY_PASSWORD", SECRET)

        with pytest.raises(ConfigurationError, match="shared_store_prefix has a control character"):
            settings_from("a test", dict(
                GOOD, shared_store_url=URL, shared_store_password_from_env_variable="MY_PASSWORD",
                shared_store_prefix=prefix))


class TestShown:
    @pytest.mark.parametrize(("url", "address"), [
        ("redis://localhost", "redis://localhost"),
        ("redis://app@localhost:6379/0", "redis://localhost:6379/0"),
        ("rediss://app:{}@[::1]:6379/0?ssl_ca_certs=/ca.pem", "rediss://[::1]:6379/0"),
        ("unix:///run/redis.sock?db=1", "unix:///run/redis.sock"),
        ("unix://:{}@/run/redis.sock", "unix:///run/redis.sock"),
        # Those that the properties file may not have.
        ("redis://:{}", "(a URL of 34 characters)"), ("redis://:1/{}@localhost", "(a URL of 46 characters)"),
        ("redis://app:{}", "(a URL of 37 characters)"), ("redis://a@{}@localhost", "redis://localhost"),
        ("redis://localhost#{}@", "(a URL of 44 characters)"), ("{}", "(a URL of 25 characters)")])
    def test_address_is_the_url_without_what_may_be_secret(self, url, address):
        store = SharedStoreSettings(url.format(AUTH), SECRET, AUTH)

        assert store.address == address
        assert repr(store) == str(store) == "SharedStoreSettings({})".format(address)
        assert AUTH not in repr(Settings(shared_store=store))
