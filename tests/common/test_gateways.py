"""The shared gateway over real HTTPS: answers, certificates, and the errors that faults lead to."""

import base64
import http.client
import io
import json
import logging
import socket
import ssl
import sys
import threading
import time
from urllib.parse import quote

import pytest
import trustme
from aliyunsdkcore.acs_exception.exceptions import ClientException, ServerException
from aliyunsdkcore.profile import region_provider

from aliyun_sdk_secretsmanager_common_plugin import (
    ConfigurationError,
    ManagedCredentials,
    SecretFormatError,
    __version__,
)
from aliyun_sdk_secretsmanager_common_plugin.identities import configured_identity
from aliyun_sdk_secretsmanager_common_plugin.secrecy import mask_access_key_id
from aliyun_sdk_secretsmanager_common_plugin.secrets_manager.connections import Connections
from aliyun_sdk_secretsmanager_common_plugin.secrets_manager.gateways import (
    SharedGateway,
    UnreadableAnswer,
    UntrustedGateway,
)
from aliyun_sdk_secretsmanager_common_plugin.secrets_manager.tls import Tls
from aliyun_sdk_secretsmanager_common_plugin.settings import (
    IdentitySettings,
    SharedGatewaySettings,
    load_settings,
)
from aliyun_sdk_secretsmanager_testing import Fault, LocalCloud
from tests.conftest import SECRET
from tests.proxies import Proxy, SocksProxy
from tests.raw_answers import BROKEN, RawAnswer

from .fakes import everything_in


@pytest.fixture
def make_gateway(cloud):
    def make(ca_file="the cloud's", endpoint=None):
        identity = configured_identity(IdentitySettings("ak", cloud.identity.access_key_id, cloud.identity.access_key_secret))
        ca_file = cloud.ca_file if ca_file == "the cloud's" else ca_file
        return SharedGateway(
            SharedGatewaySettings("cn-hangzhou", endpoint or cloud.gateway_endpoint("cn-hangzhou"), ca_file), identity)

    return make


def with_answer(answer):
    """Return a constructor of HTTPResponse that reads ``answer`` instead of the real one."""
    construct = http.client.HTTPResponse.__init__

    def constructor(self, *arguments, **options):
        construct(self, *arguments, **options)
        self.fp = io.BufferedReader(io.BytesIO(answer))

    return constructor


@pytest.fixture
def gateway(make_gateway):
    return make_gateway()


class TestAnswer:
    def test_it_is_the_current_version(self, cloud, gateway):
        cloud.rotate(SECRET)

        answer = gateway.get_secret_value(SECRET, 5)

        assert cloud.secret(SECRET).current.access_key_id in answer["SecretData"]
        assert answer["SecretType"] == "RAMCredentials"
        assert "RamUserAccessKey" in str(answer["ExtendedConfig"])

    def test_names_with_any_character(self, cloud, gateway):
        cloud.create_secret("a/b c+\u4f60&=%")

        assert gateway.get_secret_value("a/b c+\u4f60&=%", 5)["SecretName"] == "a/b c+\u4f60&=%"

    @pytest.fixture
    def sent(self, monkeypatch):
        """What is sent, before it is encrypted."""
        sent, send = [], http.client.HTTPConnection.send
        monkeypatch.setattr(http.client.HTTPConnection, "send", lambda self, data: (sent.append(data), send(self, data)))
        return sent

    def test_calls_carry_the_user_agent(self, cloud, gateway, sent):
        gateway.get_secret_value(SECRET, 5)

        agent = "\r\nUser-Agent: aliyun-sdk-managed-credentials-providers-python/{}\r\n".format(__version__)
        assert agent.encode("ascii") in sent[0]

    def test_no_credentials_of_netrc_are_sent(self, cloud, gateway, monkeypatch, tmp_path, sent):
        (tmp_path / ".netrc").write_text("machine 127.0.0.1 login me password netrc-password")
        monkeypatch.setenv("NETRC", str(tmp_path / ".netrc"))

        gateway.get_secret_value(SECRET, 5)

        assert b"\r\nauthorization:" not in sent[0].lower()

    def test_process_wide_endpoints_of_the_sdk_do_not_redirect_it(self, gateway):
        from aliyunsdkcore.endpoint.default_endpoint_resolver import DefaultEndpointResolver

        region_provider.modify_point("Kms", "cn-hangzhou", "127.0.0.1:1")
        try:
            assert gateway.get_secret_value(SECRET, 5)["SecretName"] == SECRET
        finally:
            DefaultEndpointResolver.predefined_endpoint_resolver.reset()


class TestTls:
    def test_untrusted_certificate_is_refused(self, cloud, make_gateway):
        with pytest.raises(UntrustedGateway) as caught:
            make_gateway(ca_file=None).get_secret_value(SECRET, 5)

        assert "caFilePath" in str(caught.value)
        assert cloud.calls("secrets_manager") == []

    @pytest.mark.parametrize("fault", [Fault.expired_certificate(), Fault.untrusted_certificate()],
                             ids=["expired", "untrusted"])
    def test_bad_certificate_is_refused(self, cloud, gateway, fault):
        cloud.inject("secrets_manager", fault)

        with pytest.raises(UntrustedGateway, match="(?i)certificate"):
            gateway.get_secret_value(SECRET, 5)

    def test_a_certificate_for_another_name_is_refused(self, cloud, make_gateway, monkeypatch):
        host, port = cloud.gateway_endpoint("cn-hangzhou").split(":")
        resolve = socket.getaddrinfo
        monkeypatch.setattr(socket, "getaddrinfo", lambda name, *more, **options: resolve(host, *more, **options))

        with pytest.raises(UntrustedGateway):
            make_gateway(endpoint="kms.example.test:" + port).get_secret_value(SECRET, 5)

    @pytest.fixture
    def without_ca_file(self, cloud, tmp_path):
        return cloud.write_properties(
            tmp_path, cache_client_region_id='[{{"regionId": "cn-hangzhou", "endpoint": "{}"}}]'.format(
                cloud.gateway_endpoint("cn-hangzhou")))

    def test_bundle_of_the_environment_is_trusted(self, cloud, without_ca_file, monkeypatch):
        monkeypatch.setenv("ALIBABA_CLOUD_CA_BUNDLE", cloud.ca_file)

        with ManagedCredentials(load_settings(without_ca_file)) as credentials:
            assert credentials.get(SECRET).access_key_id == cloud.secret(SECRET).current.access_key_id

    @pytest.mark.parametrize("name", ["missing.pem", "managed_credentials_providers.properties"])
    def test_bundle_of_the_environment_that_is_none_is_named(self, without_ca_file, monkeypatch, tmp_path, name):
        monkeypatch.setenv("ALIBABA_CLOUD_CA_BUNDLE", str(tmp_path / name))

        with pytest.raises(ConfigurationError, match="ALIBABA_CLOUD_CA_BUNDLE.*" + name):
            load_settings(without_ca_file)

    def test_bundles_meant_for_requests_do_not_replace_the_ca_file(self, cloud, gateway, monkeypatch):
        import certifi

        monkeypatch.setenv("REQUESTS_CA_BUNDLE", certifi.where())

        assert gateway.get_secret_value(SECRET, 5)["SecretName"] == SECRET

    def test_an_untrusted_certificate_is_not_asked_again(self, without_ca_file):
        started = time.monotonic()

        with pytest.raises(ClientException, match="not trusted"), ManagedCredentials(load_settings(without_ca_file)) as credentials:
            credentials.get(SECRET)

        assert time.monotonic() - started < 9  # of fetch_timeout, 10 s


class TestProxies:
    @pytest.fixture
    def through(self, monkeypatch):
        """Make a proxy the environment's; close it afterwards."""
        made = []

        def through(proxy, url="{0.url}"):
            made.append(proxy)
            monkeypatch.setenv("HTTPS_PROXY", url.format(proxy))
            monkeypatch.setenv("NO_PROXY", "")
            monkeypatch.setenv("no_proxy", "")
            return proxy

        yield through
        for proxy in made:
            proxy.close()

    @pytest.mark.parametrize("url", ["{0.url}", "{0.address}"], ids=["URL", "host and port"])
    def test_of_http_open_a_tunnel(self, cloud, gateway, through, url):
        proxy = through(Proxy(), url)

        assert gateway.get_secret_value(SECRET, 5)["SecretName"] == SECRET
        assert proxy.heads[0].startswith("CONNECT {} HTTP/1".format(gateway.endpoint))
        assert "Authorization" not in proxy.heads[0]

    def test_get_the_user_and_password_of_their_url(self, gateway, through):
        proxy = through(Proxy(), "http://me:p%40ss@{0.address}")

        assert gateway.get_secret_value(SECRET, 5)["SecretName"] == SECRET
        said = [line for line in proxy.heads[0].splitlines() if line.lower().startswith("proxy-authorization: ")]
        assert said[0].split(" ", 1)[1] == "Basic " + base64.b64encode(b"me:p@ss").decode("ascii")

    @pytest.mark.parametrize("is_trusted", [True, False], ids=["trusted", "untrusted"])
    def test_of_https_open_one_within_their_connection(self, cloud, gateway, through, tmp_path, is_trusted):
        """The gateway's CAs are those of the proxy, too."""
        authority = trustme.CA()
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert("127.0.0.1").configure_cert(context)
        proxy = through(Proxy(context))
        connections = Connections()
        if is_trusted:
            with open(cloud.ca_file, "rb") as file:
                (tmp_path / "both.pem").write_bytes(file.read() + authority.cert_pem.bytes())
            gateway.tls = Tls(str(tmp_path / "both.pem"))
            for _ in range(2):
                assert gateway.get_secret_value(SECRET, 5, connections)["SecretName"] == SECRET
        else:
            with pytest.raises(UntrustedGateway, match="the proxy's certificate is not trusted"):
                gateway.get_secret_value(SECRET, 5, connections)
        connections.close()

        assert len(proxy.heads) == is_trusted

    def test_of_socks_open_one(self, gateway, through):
        proxy = through(SocksProxy(), "socks5://me:password@{0.address}")

        assert gateway.get_secret_value(SECRET, 5)["SecretName"] == SECRET
        assert proxy.heads == ["me:password"]

    def test_of_socks_say_what_they_need(self, gateway, through, monkeypatch):
        through(SocksProxy())
        monkeypatch.setitem(sys.modules, "socks", None)

        with pytest.raises(ClientException, match="needs PySocks: pip install pysocks"):
            gateway.get_secret_value(SECRET, 5)

    def test_that_refuse_is_said_without_their_words(self, gateway, through):
        class Refusing(Proxy):
            def open(self, sock):
                self.read_head(sock)
                sock.sendall(b"HTTP/1.1 407 you said: secret-password\r\n\r\n")

        through(Refusing(), "http://me:secret-password@{0.address}")

        with pytest.raises(ClientException, match="the proxy opens no tunnel, HTTP status 407") as caught:
            gateway.get_secret_value(SECRET, 5)
        assert "secret-password" not in everything_in(caught.value)

    @pytest.mark.parametrize("url", ["gopher://{0.address}", "http://{0.address}port", "http://", "http://[{0.address}"])
    def test_that_are_none_are_said_without_their_words(self, gateway, through, url):
        proxy = through(Proxy(), url.replace("://", "://me:secret-password@"))

        with pytest.raises(ClientException, match="HTTPS_PROXY is no URL of a proxy; write it as http://host") as caught:
            gateway.get_secret_value(SECRET, 5)
        assert "secret-password" not in everything_in(caught.value)
        assert proxy.heads == []

    def test_are_asked_for_a_host_of_ipv6_in_brackets(self, make_gateway, through):
        proxy = through(Proxy())

        with pytest.raises(ClientException):
            make_gateway(endpoint="[::1]:9").get_secret_value(SECRET, 5)
        assert proxy.heads[0].startswith("CONNECT [::1]:9 HTTP/1")

    @pytest.mark.parametrize("hosts", ["127.0.0.1", "localhost,127.0.0.0/8", "*"])
    def test_are_left_out_for_the_hosts_of_no_proxy(self, gateway, through, monkeypatch, hosts):
        proxy = through(Proxy())
        monkeypatch.setenv("NO_PROXY", hosts)
        monkeypatch.setenv("no_proxy", hosts)

        assert gateway.get_secret_value(SECRET, 5)["SecretName"] == SECRET
        assert proxy.heads == []


class TestErrors:
    @pytest.mark.parametrize(("fault", "code"), [
        (Fault.status(503, code="ServiceUnavailableTemporary"), "ServiceUnavailableTemporary"),
        (Fault.throttling(), "Rejected.Throttling"),
    ], ids=["503", "throttling"])
    def test_error_of_secrets_manager_keeps_its_code(self, cloud, gateway, fault, code):
        cloud.inject("secrets_manager", fault)

        with pytest.raises(ServerException) as caught:
            gateway.get_secret_value(SECRET, 5)

        assert caught.value.get_error_code() == code
        assert caught.value.get_request_id()
        assert repr(SECRET) in str(caught.value)

    def test_forbidden_names_the_permission(self, cloud, gateway):
        cloud.inject("secrets_manager", Fault.forbidden())

        with pytest.raises(ServerException, match="kms:GetSecretValue"):
            gateway.get_secret_value(SECRET, 5)

    def test_unknown_identity_says_what_to_check(self, cloud):
        identity = configured_identity(IdentitySettings("ak", "LTAIunknownunknown00", "x" * 30))
        gateway = SharedGateway(
            SharedGatewaySettings("cn-hangzhou", cloud.gateway_endpoint("cn-hangzhou"), cloud.ca_file), identity)

        with pytest.raises(ServerException, match="check the identity \\(credentials_type and its keys\\)"):
            gateway.get_secret_value(SECRET, 5)

    @pytest.mark.parametrize("fault", [
        Fault.html(), Fault.html(status=502), Fault.body(b"[]"), Fault.body(b'{"RequestId": "x"}'),
        Fault.body(b"\xff\xfe"), Fault.body(b""), Fault.body(b"[" * 100000), Fault.body(b'{"SecretData": 5}'),
        Fault.body(b'{"SecretData": {"AccessKeyId": "x"}}'), Fault.body(b'{"SecretData": null}'),
        Fault.body(b'{"SecretData": ""}'), Fault.body(b'{"SecretData": "{}", "SecretType": []}'),
        Fault.body(b'{"SecretData": "{}", "VersionId": {}}'), Fault.body(b'{"Message": "x"}', status=400),
        Fault.body(b'{"Code": 5}', status=403), Fault.body(b'{"Code": null}', status=404),
        Fault.body(b'{"Code": ""}', status=400),
    ], ids=["html", "html 502", "list", "no SecretData", "no text", "empty", "deep", "number", "object", "null",
            "empty SecretData", "no type", "no version", "no code", "code of a number", "null code", "empty code"])
    def test_what_is_no_answer_of_secrets_manager_says_so(self, cloud, gateway, fault):
        cloud.inject("secrets_manager", fault)

        with pytest.raises(UnreadableAnswer, match="not Secrets Manager's"):
            gateway.get_secret_value(SECRET, 5)

    @pytest.mark.parametrize("fault", [Fault.reset(), Fault.cut(), Fault.refuse()], ids=["reset", "cut", "refuse"])
    def test_broken_connection(self, cloud, gateway, fault):
        cloud.inject("secrets_manager", fault)

        with pytest.raises(ClientException, match="no answer") as caught:
            gateway.get_secret_value(SECRET, 5)

        assert caught.value.get_error_code() == "SDK.HttpError"

    def test_hang_ends_with_the_timeout(self, cloud, gateway):
        cloud.inject("secrets_manager", Fault.hang())
        started = time.monotonic()

        with pytest.raises(ClientException, match="no answer"):
            gateway.get_secret_value(SECRET, 0.3)

        assert time.monotonic() - started < 20
        cloud.clear()

    def test_huge_answer_is_given_up(self, cloud, gateway):
        cloud.inject("secrets_manager", Fault.body(b"x" * (1 << 21)))

        with pytest.raises(ClientException, match="larger than"):
            gateway.get_secret_value(SECRET, 60)

    @pytest.mark.parametrize(("code", "message"), [
        ("InvalidSecurityToken.Expired", "Specified SecurityToken {token} is expired."),
        ("SignatureDoesNotMatch", "server string to sign is:POST&%2F&SecurityToken%3D{quoted}%26Version%3D2016-01-20"),
        ("InvalidParameter", "/?SecretName=app&SecurityToken={quoted_once}&Version=2016-01-20"),
    ])
    def test_token_that_an_error_repeats_is_masked(self, cloud, caplog, code, message):
        caplog.set_level(logging.DEBUG)
        temporary = cloud.add_identity(token=True)
        token = temporary.security_token
        gateway = SharedGateway(
            SharedGatewaySettings("cn-hangzhou", cloud.gateway_endpoint("cn-hangzhou"), cloud.ca_file),
            configured_identity(IdentitySettings("sts_token", *temporary)))
        once = quote(token, safe="")
        shown = message.format(token=token, quoted_once=once, quoted=quote(once, safe=""))
        cloud.inject("secrets_manager", Fault.body(
            json.dumps({"Code": code, "Message": shown, "RequestId": "1"}).encode(), status=400))

        with pytest.raises(ServerException, match=r"\*\*\*\*\*\*") as caught:
            gateway.get_secret_value(SECRET, 5)

        assert caught.value.get_error_code() == code
        for one in (token, once, quote(once, safe="")):
            assert one not in everything_in(caught.value) + caplog.text

    @pytest.mark.parametrize("message", [
        "server string to sign is:GET&%2F&AccessKeyId%3D{}%26Action%3DGetSecretValue", "/?AccessKeyId={}&Action=x",
        "AccessKeyId%253D{}%2526Action", "the key {} is wrong"])
    @pytest.mark.parametrize("identity", ["LTAI5tFooBarBaz0123456789", "STS.NUFooBarBaz0123456789", "TMP.FooBarBaz01"])
    def test_id_that_an_error_repeats_is_masked_and_the_remedy_comes_first(self, cloud, gateway, message, identity):
        cloud.inject("secrets_manager", Fault.body(json.dumps({
            "Code": "SignatureDoesNotMatch", "Message": message.format(identity), "RequestId": "1"}).encode(), status=400))

        with pytest.raises(ServerException) as caught:
            gateway.get_secret_value(SECRET, 5)

        text = str(caught.value)
        assert identity not in everything_in(caught.value)
        assert mask_access_key_id(identity) in text
        assert text.index("check the identity (credentials_type and its keys)") < text.index(mask_access_key_id(identity))

    def test_error_without_a_message_says_its_status(self, cloud, gateway):
        cloud.inject("secrets_manager", Fault.body(b'{"Code": "InvalidX", "Message": null}', status=400))

        with pytest.raises(ServerException, match="HTTP status 400"):
            gateway.get_secret_value(SECRET, 5)

    @pytest.mark.parametrize("answer", [
        b'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{"SecretData": "sensitive"}',
        b'{"SecretData": "sensitive"}\r\n\r\n'], ids=["chunks", "status line"])
    def test_what_was_answered_is_in_no_error_of_the_transport(self, gateway, monkeypatch, answer):
        monkeypatch.setattr(http.client.HTTPResponse, "__init__", with_answer(answer))

        with pytest.raises(ClientException, match="no answer") as caught:
            gateway.get_secret_value(SECRET, 5)

        assert "sensitive" not in everything_in(caught.value)

    @pytest.mark.parametrize("proxy", ["http://user:password@", "http://127.0.0.1:port", "http://[::1", "http://:0",
                                       "htpp://127.0.0.1:80", "socks6://127.0.0.1:80"])
    def test_proxy_that_is_no_url_is_said_to_be_the_environments(self, gateway, monkeypatch, proxy):
        monkeypatch.setenv("HTTPS_PROXY", proxy)
        monkeypatch.setenv("NO_PROXY", "")

        with pytest.raises(ClientException, match="HTTPS_PROXY is no URL") as caught:
            gateway.get_secret_value(SECRET, 5)

        assert "password" not in everything_in(caught.value)

    def test_no_signature_is_in_an_error_or_its_chain(self, cloud, gateway):
        cloud.inject("secrets_manager", Fault.reset())

        with pytest.raises(ClientException) as caught:
            gateway.get_secret_value(SECRET, 5)

        assert "Signature" not in str(caught.value)
        assert (caught.value.__cause__, caught.value.__context__) == (None, None)


class TestCallersDeadline:
    @pytest.mark.parametrize("fault", [Fault.hang(), Fault.drip(30), Fault.slow(30)], ids=["hang", "drip", "slow"])
    def test_it_is_wall_time(self, cloud, tmp_path, fault):
        path = cloud.write_properties(tmp_path, fetch_timeout_milliseconds=500)
        cloud.inject("secrets_manager", fault)
        started = time.monotonic()

        with pytest.raises(ClientException, match="no answer"), ManagedCredentials(load_settings(path)) as credentials:
            credentials.get(SECRET)

        assert time.monotonic() - started < 20
        cloud.clear()

    def test_slow_name_server(self, cloud, tmp_path, monkeypatch):
        path = cloud.write_properties(tmp_path, fetch_timeout_milliseconds=500)
        resolved = threading.Event()
        monkeypatch.setattr(socket, "getaddrinfo", lambda *arguments, **options: resolved.wait(30) and [])
        started = time.monotonic()

        with pytest.raises(ClientException, match="no answer"), ManagedCredentials(load_settings(path)) as credentials:
            credentials.get(SECRET)

        assert time.monotonic() - started < 20
        resolved.set()


class TestRegions:
    @pytest.fixture
    def regions(self, tmp_path):
        with LocalCloud(regions=("cn-hangzhou", "cn-shanghai", "cn-beijing")) as cloud:
            cloud.create_secret(SECRET)
            cloud.path = cloud.write_properties(tmp_path, fetch_timeout_milliseconds=3000)
            yield cloud

    @pytest.mark.parametrize("fault", [Fault.refuse(), Fault.status(500), Fault.html(), Fault.throttling(),
                                       Fault.hang(), Fault.expired_certificate()],
                             ids=["refuse", "500", "html", "throttling", "hang", "expired"])
    def test_the_next_region_answers(self, regions, fault):
        regions.inject("secrets_manager", fault, region="cn-hangzhou")

        with ManagedCredentials(load_settings(regions.path)) as credentials:
            assert credentials.get(SECRET).access_key_id == regions.secret(SECRET).current.access_key_id

        asked = [call.region for call in regions.calls("secrets_manager")]
        assert asked[-1] == "cn-shanghai"
        assert set(asked) <= {"cn-hangzhou", "cn-shanghai"}
        regions.clear()

    def test_the_next_region_answers_where_one_answers_what_is_no_http(self, regions):
        answered_by = {}
        for name in BROKEN:
            regions.inject("secrets_manager", RawAnswer(BROKEN[name]), region="cn-hangzhou")
            with ManagedCredentials(load_settings(regions.path)) as credentials:
                credentials.get(SECRET)
            regions.clear()
            answered_by[name] = [call.region for call in regions.calls("secrets_manager")][-2:]

        assert answered_by == dict.fromkeys(BROKEN, ["cn-hangzhou", "cn-shanghai"])

    def test_what_another_region_would_refuse_too_is_not_asked_there(self, regions):
        with pytest.raises(ServerException), ManagedCredentials(load_settings(regions.path)) as credentials:
            credentials.get("missing")

        assert [call.region for call in regions.calls("secrets_manager")] == ["cn-hangzhou"]


class TestBadSecrets:
    @pytest.mark.parametrize(("data", "kind", "match"), [
        ("no json", "RAMCredentials", "no JSON"),
        ('{"AccessKeySecret": "sensitive"}', "RAMCredentials", "no AccessKeyId"),
        ('{"AccessKeyId": "LTAI", "AccessKeySecret": ""}', "RAMCredentials", "no AccessKeySecret"),
        ('{"AccessKeyId": "LTAI", "AccessKeySecret": "sensitive\\r\\nx: y"}', "RAMCredentials", "the AccessKeySecret in"),
        ('{"AccessKeyId": "LTAI", "AccessKeySecret": "x", "SecurityToken": "sensitive\u00e9"}', "RAMCredentials",
         "the SecurityToken in"),
        ("[" * 20000 + '"sensitive"', "RAMCredentials", "no JSON"),
        ("sensitive", "Generic", "'Generic'"),
    ], ids=["no json", "no id", "no secret", "line end", "no ascii", "deep", "generic"])
    def test_secret_that_is_no_managed_credential(self, cloud, credentials, data, kind, match, caplog):
        caplog.set_level(logging.DEBUG)
        cloud.create_secret("bad", secret_data=data, secret_type=kind)

        with pytest.raises(SecretFormatError, match=match) as caught:
            credentials.get("bad")

        assert "'bad'" in str(caught.value)
        assert "sensitive" not in str(caught.value) + caplog.text
        assert caught.value.__context__ is None
