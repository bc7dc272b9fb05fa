"""``managed-credentials check`` on the local cloud: what is right, each thing that can be wrong, and what it shows."""

import importlib.util
import json
import os
import pty
import re
import signal
import socket
import subprocess
import sys
import threading
import time

import pytest
from click.testing import CliRunner

from aliyun_sdk_secretsmanager_common_plugin import ManagedCredentials
from aliyun_sdk_secretsmanager_common_plugin import check as check_module
from aliyun_sdk_secretsmanager_common_plugin.check import check
from aliyun_sdk_secretsmanager_common_plugin.identities import Identity
from aliyun_sdk_secretsmanager_testing import Fault, LocalCloud
from aliyun_sdk_secretsmanager_testing.cli import _group
from aliyun_sdk_secretsmanager_testing.sts.state import Roles

from .conftest import SECRET
from .instance import namespace
from .terminal import rest_of

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
SCRIPT = [sys.executable, "-c", "from aliyun_sdk_secretsmanager_testing.cli import main; main()", "check"]
PASSWORD = "The-Password-Of-The-Client-Key"
DATE = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ\Z")

needs_library = pytest.mark.skipif(
    importlib.util.find_spec("alibabacloud_credentials") is None, reason="alibabacloud-credentials is not installed")


@pytest.fixture
def issued(monkeypatch):
    """All temporary credentials that the cloud gave out."""
    credentials, issue = [], Roles.issue

    def noted(self, *arguments):
        credentials.append(issue(self, *arguments))
        return credentials[-1]

    monkeypatch.setattr(Roles, "issue", noted)
    return credentials


@pytest.fixture
def cloud(monkeypatch):
    with LocalCloud(regions=("cn-hangzhou", "cn-beijing"), dedicated=("kst-hangzhou",)) as local_cloud:
        local_cloud.create_secret(SECRET)
        for name in ("ALIBABA_CLOUD_ROLE_ARN", "ALIBABA_CLOUD_PROFILE", "ALIBABA_CLOUD_CREDENTIALS_FILE"):
            monkeypatch.delenv(name, raising=False)
        monkeypatch.setenv("ALIBABA_CLOUD_CA_BUNDLE", local_cloud.ca_file)
        yield local_cloud


class Outcome:
    """One run with ``--json``."""

    def __init__(self, text, code):
        self.text = text
        self.code = code
        document = json.loads(text)
        assert sorted(document) == ["ok", "steps"]
        self.steps = document["steps"]
        for step in self.steps:
            assert list(step)[:4] == ["step", "subject", "ok", "detail"]
        assert document["ok"] is all(step["ok"] for step in self.steps) is (code == 0)

    def names(self):
        return [step["step"] for step in self.steps]

    def failed(self):
        """The names of the steps that failed themselves."""
        return [step["step"] for step in self.steps
                if not step["ok"] and not step["detail"].startswith("not tried")]

    def of(self, name):
        return [step for step in self.steps if step["step"] == name]

    def error(self):
        """The detail of the only step that failed itself."""
        (detail,) = [step["detail"] for step in self.steps
                     if not step["ok"] and not step["detail"].startswith("not tried")]
        return detail


@pytest.fixture
def run(cloud, issued):
    """Run the command in this process; whatever it shows, it shows no secret."""

    def run(*arguments):
        result = CliRunner().invoke(_group(), ["check"] + list(arguments))
        assert isinstance(result.exception, SystemExit) or result.exception is None
        keys = [version.access_key for version in cloud.secret(SECRET).versions]
        keys += [cloud.identity] + [credentials.access_key for credentials in issued]
        shown = result.output
        for key in keys:
            assert key.access_key_id not in shown
            assert key.access_key_secret not in shown
            assert key.security_token is None or key.security_token not in shown
        assert PASSWORD not in shown
        assert "Traceback" not in shown
        return result

    return run


@pytest.fixture
def outcome(run):
    def outcome(path, *secrets):
        result = run("--json", "--config", str(path), *secrets)
        return Outcome(result.output, result.exit_code)

    return outcome


@pytest.fixture
def client_key(cloud, tmp_path):
    """Write a client key and its password; return the keys of a dedicated gateway that name them, as JSON."""

    def write(password=PASSWORD, content=None, valid=None, **more):
        file = cloud.create_client_key(tmp_path, PASSWORD, valid)
        if content is not None:
            with open(file.path, "w") as opened:
                opened.write(content)
        (tmp_path / "password").write_text(password)
        entry = {"regionId": "cn-hangzhou", "endpoint": cloud.dedicated_endpoint(), "clientKeyFile": file.path,
                 "passwordFromFilePath": "password", "caFilePath": cloud.ca_file}
        return dict(entry, **more)

    return write


def of_client_key(entry):
    """The properties of ``credentials_type=client_key`` with the key of a dedicated gateway."""
    return {"credentials_type": "client_key", "client_key_private_key_path": entry["clientKeyFile"],
            "client_key_password_from_file_path": entry["passwordFromFilePath"]}


def of_role(cloud, **more):
    return dict({"credentials_type": "ram_role", "credentials_role_arn": cloud.role_arn,
                 "credentials_role_session_name": "check", "credentials_sts_endpoint": cloud.sts_endpoint}, **more)


def of_oidc(cloud, token):
    return {"credentials_type": "oidc_role_arn", "credentials_role_arn": cloud.role_arn,
            "credentials_role_session_name": "check", "credentials_oidc_provider_arn": cloud.oidc_provider_arn,
            "credentials_oidc_token_file_path": str(token), "credentials_sts_endpoint": cloud.sts_endpoint}


class TestWhatIsRight:
    def test_a_key_pair_on_two_shared_gateways(self, cloud, outcome, tmp_path):
        found = outcome(cloud.write_properties(tmp_path, secret_names=SECRET))

        assert found.code == 0, found.text
        assert found.names() == ["file", "identity", "gateway", "gateway", "secret", "secret", "key"]
        file, identity, gateway, other, secret, _, key = found.steps
        assert file["subject"] == str(tmp_path / "managed_credentials_providers.properties")
        assert identity["subject"] == "credentials_type=ak"
        assert identity["access_key_id"] == re.sub(r"\A(....).*(....)\Z", r"\1********\2", cloud.identity.access_key_id)
        assert gateway["subject"] == "shared cn-hangzhou ({})".format(cloud.gateway_endpoint("cn-hangzhou"))
        assert other["subject"] == "shared cn-beijing ({})".format(cloud.gateway_endpoint("cn-beijing"))
        assert gateway["latency_ms"] > 0
        assert DATE.match(gateway["certificate_expires"])
        assert "certificate of 127.0.0.1" in gateway["detail"] and gateway["certificate_expires"] in gateway["detail"]
        current = cloud.secret(SECRET).versions[-1]
        assert secret["version_id"] == key["version_id"] == current.version_id
        assert secret["secret_type"] == "RAMCredentials"
        assert key["access_key_id"].endswith(current.access_key.access_key_id[-4:])
        assert key["next_rotation"] in key["detail"] and DATE.match(key["next_rotation"])
        assert re.search(r"\(in [67] days\)", key["detail"])

    def test_dedicated_and_shared_gateways_the_dedicated_first(self, cloud, outcome, client_key, tmp_path):
        path = cloud.write_properties(tmp_path, cache_client_dkms_config_info=json.dumps([client_key()]))

        found = outcome(path, SECRET)

        assert found.code == 0, found.text
        assert [step["subject"].split()[0] for step in found.of("gateway")] == ["dedicated", "shared", "shared"]
        services = [call.service for call in cloud.calls(action="GetSecretValue")]
        assert services == ["dedicated", "secrets_manager", "secrets_manager"]

    def test_a_dedicated_gateway_alone_has_no_step_for_the_identity(self, cloud, outcome, client_key, tmp_path):
        path = cloud.write_properties(tmp_path, cache_client_dkms_config_info=json.dumps([client_key()]),
                                      cache_client_region_id=None, credentials_type=None)

        found = outcome(path, SECRET)

        assert found.code == 0, found.text
        assert found.names() == ["file", "gateway", "secret", "key"]

    @needs_library
    def test_a_role(self, cloud, outcome, issued, tmp_path):
        found = outcome(cloud.write_properties(tmp_path, **of_role(cloud)), SECRET)

        assert found.code == 0, found.text
        assert found.of("identity")[0]["access_key_id"].startswith("STS.")
        assert len(issued) == 1, "one key for the identity and both gateways"

    def test_a_client_key(self, cloud, outcome, client_key, tmp_path):
        found = outcome(cloud.write_properties(tmp_path, **of_client_key(client_key())), SECRET)

        assert found.code == 0, found.text
        assert found.of("identity")[0]["access_key_id"].startswith("KAAP********")

    @needs_library
    def test_an_oidc_token_that_was_renewed_on_disk(self, cloud, outcome, tmp_path):
        token = tmp_path / "token"
        token.write_text(cloud.oidc_token(expires_in=-1))
        path = cloud.write_properties(tmp_path, **of_oidc(cloud, token))
        assert outcome(path, SECRET).code == 1

        token.write_text(cloud.oidc_token())

        assert outcome(path, SECRET).code == 0

    def test_temporary_keys_show_their_end(self, cloud, outcome, tmp_path):
        cloud.create_secret("temporary", token=True, expires_in=1800)

        found = outcome(cloud.write_properties(tmp_path), "temporary")

        assert found.code == 0, found.text
        key = found.of("key")[0]
        assert DATE.match(key["expires"])
        assert re.search(r"temporary until {} \(in (30|29) minutes\)".format(key["expires"]), key["detail"])

    def test_all_in_the_environment(self, cloud, run, client_key, monkeypatch):
        monkeypatch.setenv("cache_client_dkms_config_info", json.dumps([client_key()]))

        result = run("--json", SECRET)

        assert Outcome(result.output, result.exit_code).steps[0]["subject"] == "the environment"

    def test_the_secrets_given_are_read_instead_of_those_of_the_file(self, cloud, outcome, tmp_path):
        cloud.create_secret("other")

        found = outcome(cloud.write_properties(tmp_path, secret_names=SECRET), "other")

        assert {call.secret for call in cloud.calls(action="GetSecretValue")} == {"other"}
        assert found.of("key")[0]["subject"] == "other"


class TestFile:
    def test_that_is_not_there(self, outcome, tmp_path):
        found = outcome(tmp_path / "nowhere.properties")

        assert found.names() == found.failed() == ["file"]
        assert found.steps[0]["subject"] == str(tmp_path / "nowhere.properties")
        assert "nowhere.properties: No such file or directory; create it" in found.error()

    @pytest.mark.parametrize("endpoint", ["https://kms.cn-hangzhou.aliyuncs.com", "kms.cn-hangzhou.aliyuncs.com/path"])
    def test_with_a_scheme_or_a_path_in_an_endpoint(self, cloud, outcome, tmp_path, endpoint):
        path = cloud.write_properties(tmp_path, cache_client_region_id=json.dumps(
            [{"regionId": "cn-hangzhou", "endpoint": endpoint}]))

        found = outcome(path, SECRET)

        assert found.names() == found.failed() == ["file"]
        assert path in found.error() and "cache_client_region_id" in found.error()
        assert "write it without scheme and path" in found.error()

    def test_with_a_typo_in_a_key_is_warned_of(self, cloud, outcome, run, tmp_path):
        path = cloud.write_properties(tmp_path, secret_name=SECRET)

        found = outcome(path, SECRET)

        assert found.code == 0, found.text
        warning = found.steps[0]["detail"].split("\n")[1]
        assert warning.endswith("unknown key 'secret_name'; did you mean 'secret_names'?")
        assert "\n    " + warning + "\n" in run("--config", path, SECRET).output

    def test_of_the_usual_name_in_the_working_directory(self, cloud, run, properties):
        assert run(SECRET).exit_code == 0


class TestCacheFile:
    @pytest.fixture
    def path(self, cloud, tmp_path, monkeypatch):
        monkeypatch.setenv("PASSWORD", "a password of 4 words")
        return cloud.write_properties(tmp_path, cache_file_path=str(tmp_path / "keys.cache"),
                                      cache_file_password_from_env_variable="PASSWORD", secret_names=SECRET)

    def test_that_is_right(self, outcome, path):
        before = outcome(path).of("cache file")
        with ManagedCredentials.from_properties(path) as credentials:
            credentials.get(SECRET)
        after = outcome(path).of("cache file")

        assert [step["detail"] for step in before + after] == [
            "not there yet; the first read makes it", "the password opens it"]

    def test_that_the_password_does_not_open(self, outcome, path, tmp_path, monkeypatch):
        with ManagedCredentials.from_properties(path) as credentials:
            credentials.get(SECRET)
        monkeypatch.setenv("PASSWORD", "another one")

        found = outcome(path)

        assert found.failed() == ["cache file"]
        assert str(tmp_path / "keys.cache") in found.error() and "the password does not open it" in found.error()


class TestIdentity:
    @pytest.mark.parametrize(("broken", "what"), [
        ({"password": "wrong"}, "the password does not open it; check the password"),
        ({"content": "no JSON"}, "is no JSON object; give the file that KMS"),
        ({"content": '{"KeyId": "KAAP.1", "PrivateKeyData": "bm90IHBrY3MxMg=="}'}, "is no PKCS #12 archive"),
        ({"valid": -60.0}, "its certificate expired at 2"),
    ])
    def test_client_key_that_cannot_be_opened(self, cloud, outcome, client_key, tmp_path, broken, what):
        entry = client_key(**broken)

        found = outcome(cloud.write_properties(tmp_path, **of_client_key(entry)), SECRET)

        assert found.failed() == ["identity"]
        assert found.code == 1
        assert entry["clientKeyFile"] in found.error() and what in found.error()
        assert not cloud.calls("secrets_manager")

    @needs_library
    def test_that_failed_is_not_tried_at_each_gateway_again(self, cloud, outcome, tmp_path):
        found = outcome(cloud.write_properties(tmp_path, **of_role(cloud, credentials_role_arn=cloud.role_arn + "x")),
                        SECRET)

        assert found.failed() == ["identity"]
        assert "EntityNotExist.Role" in found.error() and "credentials_role_arn" in found.error()
        assert [step["detail"] for step in found.of("secret")] == ["not tried: the identity failed"] * 2
        assert [step["ok"] for step in found.of("gateway")] == [True, True]
        assert len(cloud.calls("sts")) == 1
        assert not found.of("key")

    @needs_library
    def test_with_an_oidc_token_file_that_vanished(self, cloud, outcome, tmp_path):
        found = outcome(cloud.write_properties(tmp_path, **of_oidc(cloud, tmp_path / "vanished")), SECRET)

        assert found.failed() == ["identity"]
        assert str(tmp_path / "vanished") in found.error()

    @needs_library
    @pytest.mark.parametrize(("fault", "what"), [
        (Fault.status(500), "500"),
        (Fault.html(), "no JSON"),
        (Fault.body(b'{"Code": "Success", "AccessKeyId": "LTAI-half-an-answer"}'), "credentials_uri"),
        (Fault.refuse(), "no answer"),
    ])
    def test_from_a_uri_that_gives_none(self, cloud, outcome, tmp_path, fault, what):
        cloud.inject("credentials_uri", fault)

        found = outcome(cloud.write_properties(
            tmp_path, credentials_type="credentials_uri", credentials_uri=cloud.credentials_uri), SECRET)

        assert found.failed() == ["identity"]
        assert what in found.error() and "check credentials_uri" in found.error()

    @needs_library
    @pytest.mark.skipif(sys.version_info < (3, 7), reason="the library for Python 3.6 has no default chain")
    def test_from_a_profile_that_is_unknown(self, cloud, outcome, tmp_path, monkeypatch):
        monkeypatch.setenv("HOME", str(tmp_path))
        monkeypatch.setenv("ALIBABA_CLOUD_PROFILE", "prodution")
        monkeypatch.setenv("ALIBABA_CLOUD_ECS_METADATA_DISABLED", "true")
        (tmp_path / ".aliyun").mkdir()
        (tmp_path / ".aliyun" / "config.json").write_text(json.dumps({"current": "production", "profiles": [
            {"name": "production", "mode": "AK", "access_key_id": cloud.identity.access_key_id,
             "access_key_secret": cloud.identity.access_key_secret}]}))

        found = outcome(cloud.write_properties(tmp_path, credentials_type="default"), SECRET)

        assert found.failed() == ["identity"]
        assert "'prodution'" in found.error() and "set ALIBABA_CLOUD_PROFILE to one of: production" in found.error()

    @needs_library
    def test_that_hangs_is_given_up_at_the_fetch_timeout(self, cloud, outcome, tmp_path):
        cloud.inject("sts", Fault.hang())

        found = outcome(cloud.write_properties(tmp_path, fetch_timeout_milliseconds=700, **of_role(cloud)), SECRET)

        assert found.failed() == ["identity"]
        assert found.error().startswith("no answer within 0.7 s (fetch_timeout_milliseconds) from the identity "
                                        "(credentials_type=ram_role, {})".format(cloud.sts_endpoint))
        cloud.clear()
        wait_for_threads_of_the_check()

    @needs_library
    def test_that_is_refused_by_secrets_manager(self, cloud, outcome, tmp_path):
        arn = cloud.create_role("without", may_read_secrets=False)

        found = outcome(cloud.write_properties(tmp_path, **of_role(cloud, credentials_role_arn=arn)), SECRET)

        assert found.failed() == ["secret", "secret"]
        assert "grant kms:GetSecretValue" in found.of("secret")[0]["detail"]

    def test_that_needs_a_missing_extra(self, cloud, outcome, tmp_path, monkeypatch):
        monkeypatch.setitem(sys.modules, "alibabacloud_credentials", None)

        found = outcome(cloud.write_properties(tmp_path, **of_role(cloud)), SECRET)

        assert found.failed() == ["identity"]
        assert "aliyun-sdk-managed-credentials-providers[identities]" in found.error()

    def test_with_an_error_that_nobody_expected_is_named_without_its_text(self, cloud, outcome, tmp_path, monkeypatch):
        def broken(self):
            raise KeyError(self._access_key().access_key_secret)

        monkeypatch.setattr(Identity, "access_key_id", broken)

        found = outcome(cloud.write_properties(tmp_path), SECRET)

        assert found.failed() == ["identity"]
        assert found.error().startswith("KeyError was raised")


ON_AN_INSTANCE = """
import json, sys, tempfile
from click.testing import CliRunner
from aliyun_sdk_secretsmanager_testing import Fault, LocalCloud
from aliyun_sdk_secretsmanager_testing.cli import _group

with LocalCloud(metadata_address=("100.100.100.200", 80)) as cloud, tempfile.TemporaryDirectory() as directory:
    cloud.create_secret("app/key")
    {trouble}
    path = cloud.write_properties(directory, credentials_type="ecs_ram_role", fetch_timeout_milliseconds={timeout})
    result = CliRunner().invoke(_group(), ["check", "--json", "--config", path, "app/key"])
    print(json.dumps([result.exit_code, result.output]))
"""


@pytest.fixture(scope="module")
def on_an_instance():
    with namespace() as run:
        def outcome(trouble="", timeout=10000):
            code, text = json.loads(run(ON_AN_INSTANCE.format(trouble=trouble, timeout=timeout)))
            return Outcome(text, code)

        yield outcome


@needs_library
@pytest.mark.slow
class TestInstanceRole:
    def test_that_is_right(self, on_an_instance):
        found = on_an_instance()

        assert found.code == 0, found.text
        assert found.of("identity")[0]["access_key_id"].startswith("STS.")

    def test_whose_metadata_service_does_not_answer(self, on_an_instance):
        found = on_an_instance("cloud.inject('metadata', Fault.hang())", timeout=800)

        assert found.failed() == ["identity"]
        assert "no answer" in found.error() and "http://100.100.100.200" in found.error()

    def test_that_the_instance_does_not_have(self, on_an_instance):
        found = on_an_instance("cloud.set_metadata(role=None)")

        assert found.failed() == ["identity"]
        assert "attach a RAM role to the instance" in found.error()


class TestGateway:
    @pytest.mark.parametrize(("broken", "what"), [
        ({"password": "wrong"}, "the password does not open it; check the password"),
        ({"content": "no JSON"}, "is no JSON object; give the file that KMS"),
        ({"content": '{"KeyId": "KAAP.1", "PrivateKeyData": "bm90IHBrY3MxMg=="}'}, "is no PKCS #12 archive"),
        ({"valid": -60.0}, "its certificate expired at 2"),
    ])
    def test_dedicated_with_a_key_that_cannot_be_opened(self, cloud, outcome, client_key, tmp_path, broken, what):
        entry = client_key(**broken)

        found = outcome(cloud.write_properties(tmp_path, cache_client_dkms_config_info=json.dumps([entry])), SECRET)

        assert found.failed() == ["gateway"]
        assert entry["clientKeyFile"] in found.error() and what in found.error()
        assert [step["ok"] for step in found.of("secret")] == [False, True, True]
        assert found.of("secret")[0]["detail"] == "not tried: the gateway failed"
        assert found.of("key")[0]["ok"], "the others gave it"

    def test_through_the_official_client_where_that_is_not_installed(self, cloud, outcome, tmp_path, monkeypatch):
        monkeypatch.setitem(sys.modules, "alibaba_cloud_secretsmanager_client", None)

        found = outcome(cloud.write_properties(tmp_path, secrets_client="aliyun-secret-manager-client"), SECRET)

        assert found.failed() == ["gateway", "gateway"]
        assert "aliyun-sdk-managed-credentials-providers[secret-manager-client]" in found.steps[2]["detail"]

    @pytest.mark.parametrize("fault", [Fault.untrusted_certificate(), Fault.expired_certificate()])
    def test_whose_certificate_is_not_trusted(self, cloud, outcome, tmp_path, fault):
        cloud.inject("secrets_manager", fault, region="cn-beijing")

        found = outcome(cloud.write_properties(tmp_path), SECRET)

        assert found.failed() == ["gateway"]
        assert not found.of("gateway")[1]["ok"]
        assert "CERTIFICATE_VERIFY_FAILED" in found.error()
        assert "set caFilePath in cache_client_region_id" in found.error()

    def test_of_another_name_is_not_trusted_though_its_ca_is(self, cloud, outcome, tmp_path, monkeypatch):
        lookup = socket.getaddrinfo
        monkeypatch.setattr(socket, "getaddrinfo", lambda host, *rest: lookup(
            "127.0.0.1" if host == "kms.example.com" else host, *rest))
        port = cloud.gateway_endpoint().rpartition(":")[2]
        path = cloud.write_properties(tmp_path, cache_client_region_id=json.dumps(
            [{"regionId": "cn-hangzhou", "endpoint": "kms.example.com:" + port, "caFilePath": cloud.ca_file}]))

        found = outcome(path, SECRET)

        assert found.failed() == ["gateway"]
        assert "is not trusted" in found.error() and "check the endpoint" in found.error()

    @pytest.mark.filterwarnings("ignore:Unverified HTTPS request")
    def test_whose_certificate_is_ignored_is_warned_of(self, cloud, outcome, client_key, tmp_path):
        cloud.inject("dedicated", Fault.untrusted_certificate())
        entry = client_key(ignoreSslCerts="true")

        found = outcome(cloud.write_properties(
            tmp_path, cache_client_dkms_config_info=json.dumps([entry]), cache_client_region_id=None), SECRET)

        assert found.code == 0, found.text
        gateway = found.of("gateway")[0]
        assert "certificate_expires" not in gateway
        assert "is not verified (ignoreSslCerts)" in gateway["detail"].split("\n")[1]

    def test_whose_certificate_ends_soon_is_warned_of(self, cloud, outcome, tmp_path, monkeypatch):
        monkeypatch.setattr(check_module, "CERTIFICATE_DAYS", 400000)

        found = outcome(cloud.write_properties(tmp_path), SECRET)

        assert found.code == 0, found.text
        assert "the certificate ends in less than 400000 days" in found.of("gateway")[0]["detail"].split("\n")[1]

    def test_where_nobody_listens(self, cloud, outcome, tmp_path):
        cloud.inject("secrets_manager", Fault.refuse(), region="cn-hangzhou")

        found = outcome(cloud.write_properties(tmp_path), SECRET)

        assert found.failed() == ["gateway"]
        assert "ConnectionRefusedError" in found.error()
        assert "check the endpoint in cache_client_region_id and the network" in found.error()
        assert [step["ok"] for step in found.of("secret")] == [False, True]

    def test_whose_name_is_unknown(self, cloud, outcome, tmp_path, monkeypatch):
        def unknown(*arguments):
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

        monkeypatch.setattr(socket, "getaddrinfo", unknown)
        path = cloud.write_properties(tmp_path, cache_client_region_id=json.dumps(
            [{"regionId": "cn-hangzhou", "endpoint": "kms.example.com"}]))

        found = outcome(path, SECRET)

        assert found.failed() == ["gateway"]
        assert "cannot connect" in found.error()

    def test_that_is_silent_is_given_up_at_the_fetch_timeout(self, cloud, outcome, tmp_path):
        with socket.socket() as silent:
            silent.bind(("127.0.0.1", 0))
            silent.listen(8)
            endpoint = "127.0.0.1:{}".format(silent.getsockname()[1])
            path = cloud.write_properties(tmp_path, fetch_timeout_milliseconds=300, cache_client_region_id=json.dumps(
                [{"regionId": "cn-hangzhou", "endpoint": endpoint, "caFilePath": cloud.ca_file}]))

            found = outcome(path, SECRET)

        assert found.failed() == ["gateway"]
        assert "no answer within 0.3 s" in found.error() or "timed out" in found.error()
        wait_for_threads_of_the_check()

    def test_behind_a_proxy_is_left_to_the_request(self, cloud, outcome, tmp_path, monkeypatch):
        monkeypatch.setenv("HTTPS_PROXY", "http://user:{}@127.0.0.1:9".format(PASSWORD))
        monkeypatch.delenv("NO_PROXY", raising=False)
        monkeypatch.delenv("no_proxy", raising=False)

        found = outcome(cloud.write_properties(tmp_path), SECRET)

        assert found.failed() == ["secret", "secret"]
        assert "through the proxy 127.0.0.1:9," in found.of("gateway")[0]["detail"]


class TestSecret:
    def test_not_named_anywhere_is_said_and_no_error(self, cloud, outcome, tmp_path):
        found = outcome(cloud.write_properties(tmp_path))

        assert found.failed() == []
        assert "no secret was tried; name one" in found.of("secret")[0]["detail"]

    def test_that_one_gateway_alone_gives_is_an_error(self, cloud, outcome, tmp_path):
        cloud.inject("secrets_manager", Fault.forbidden(), region="cn-beijing")

        found = outcome(cloud.write_properties(tmp_path), SECRET)

        assert found.failed() == ["secret"]
        assert found.error().startswith("Forbidden.NoPermission (HTTP status 403, request id ")
        assert found.error().endswith("grant kms:GetSecretValue on the secret to the identity in the properties file")
        assert found.of("key")[0]["ok"]

    def test_that_is_unknown(self, cloud, outcome, tmp_path):
        found = outcome(cloud.write_properties(tmp_path), "unknown", SECRET)

        assert found.failed() == ["secret", "secret"]
        assert "check the secret's name" in found.of("secret")[0]["detail"]
        assert [step["subject"] for step in found.of("key")] == [SECRET]

    def test_that_hangs_is_given_up_at_the_fetch_timeout(self, cloud, outcome, tmp_path):
        cloud.inject("secrets_manager", Fault.drip(3600), region="cn-beijing")

        found = outcome(cloud.write_properties(tmp_path, fetch_timeout_milliseconds=700), SECRET)

        assert found.failed() == ["secret"]
        assert re.search(r"no answer within 0\.7 s|not whole within 0\.7 s", found.error())
        assert "cn-beijing" in found.error()
        cloud.clear()
        wait_for_threads_of_the_check()

    def test_answered_by_a_page_of_a_proxy(self, cloud, outcome, tmp_path):
        cloud.inject("secrets_manager", Fault.html(), region="cn-beijing")

        found = outcome(cloud.write_properties(tmp_path), SECRET)

        assert found.failed() == ["secret"]
        assert "check the endpoint and any proxy" in found.error()


class TestKey:
    @pytest.mark.parametrize(("data", "secret_type", "what"), [
        (PASSWORD, "RAMCredentials", "is no JSON object"),
        (json.dumps({"AccessKeyId": PASSWORD}), "RAMCredentials", "has no AccessKeySecret"),
        (json.dumps({"AccountPassword": PASSWORD}), "Rds", "is of type 'Rds'"),
    ], ids=["text", "half a key", "another type"])
    def test_that_is_none(self, cloud, outcome, tmp_path, data, secret_type, what):
        cloud.create_secret("other", secret_data=data, secret_type=secret_type)

        found = outcome(cloud.write_properties(tmp_path), "other")

        assert found.failed() == ["key"]
        assert what in found.error()

    def test_that_has_expired(self, cloud, outcome, tmp_path):
        cloud.create_secret("other", secret_data=json.dumps({
            "AccessKeyId": "STS.Expired", "AccessKeySecret": "s", "SecurityToken": "t",
            "ExpireTimestamp": "2020-01-01T00:00:00Z"}))

        found = outcome(cloud.write_properties(tmp_path), "other")

        assert found.failed() == ["key"]
        assert re.search(r"expired at 2020-01-01T00:00:00Z \(\d+ days ago\); rotate the secret", found.error())

    def test_of_which_the_gateways_have_different_versions(self, cloud, outcome, tmp_path):
        answer = {"SecretData": json.dumps({"AccessKeyId": "LTAI-another", "AccessKeySecret": "s"}), "VersionId": "v0"}
        cloud.inject("secrets_manager", Fault.body(json.dumps(answer).encode()), region="cn-beijing")

        key = outcome(cloud.write_properties(tmp_path), SECRET).of("key")[0]

        assert key["ok"]
        assert key["version_id"] == cloud.secret(SECRET).versions[-1].version_id
        assert "\nthe gateways do not give the same version: " in key["detail"]
        assert "v0 from shared cn-beijing" in key["detail"]

    def test_without_a_rotation_says_so(self, cloud, outcome, tmp_path):
        answer = {"SecretData": json.dumps({"AccessKeyId": "LTAI-another", "AccessKeySecret": "s"}), "VersionId": "v0"}
        cloud.inject("secrets_manager", Fault.body(json.dumps(answer).encode()))

        found = outcome(cloud.write_properties(tmp_path), SECRET)

        assert found.code == 0, found.text
        assert "next rotation is not scheduled" in found.of("key")[0]["detail"]
        assert "next_rotation" not in found.of("key")[0]


class TestSteps:
    def test_come_as_they_are_done(self, cloud, tmp_path):
        steps = check(cloud.write_properties(tmp_path), [SECRET])

        assert next(steps).step == "file"
        cloud.inject("secrets_manager", Fault.forbidden())
        assert [step.step for step in steps if not step.ok] == ["secret", "secret"]


class TestShown:
    def test_a_line_a_step_with_the_error_beneath(self, cloud, run, tmp_path):
        cloud.inject("secrets_manager", Fault.forbidden(), region="cn-beijing")

        result = run("--config", cloud.write_properties(tmp_path), SECRET)

        assert result.exit_code == 1
        lines = result.output.splitlines()
        assert [line[:2] for line in lines] == ["\u2713 "] * 5 + ["\u2717 ", "  ", "\u2713 "]
        assert lines[5].startswith("\u2717 secret   {} from shared cn-beijing".format(SECRET))
        assert lines[6].startswith("    Forbidden.NoPermission (") and "; grant kms:GetSecretValue" in lines[6]

    def test_by_the_script_where_the_output_is_ascii(self, cloud, tmp_path):
        cloud.create_secret("\u5bc6\u94a5")
        path = cloud.write_properties(tmp_path)
        process = subprocess.run(
            SCRIPT + ["--config", path, SECRET, "\u5bc6\u94a5", "unknown"], cwd=ROOT,
            env=dict(os.environ, PYTHONIOENCODING="ascii", PYTHONUTF8="0", LC_ALL="C.UTF-8"),
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=60)

        assert process.stderr == b""
        assert process.returncode == 1
        lines = process.stdout.decode("ascii").splitlines()
        assert lines[0].startswith("ok file     " + path)
        assert any(line.startswith("ok key      \\u5bc6\\u94a5: LTAI********") for line in lines)
        assert sum(line.startswith("FAILED secret   unknown from") for line in lines) == 2
        assert cloud.identity.access_key_secret not in process.stdout.decode("ascii")

    def test_on_a_terminal_the_error_is_wrapped_with_its_indent(self, tmp_path):
        terminal, its_end = pty.openpty()
        process = subprocess.Popen(SCRIPT + ["--config", str(tmp_path / "nowhere")], cwd=ROOT, stdout=its_end,
                                   stderr=its_end, env=dict(os.environ, TERM="xterm", COLUMNS="60", LC_ALL="C.UTF-8"))
        os.close(its_end)
        try:
            shown = rest_of(terminal).decode("utf-8")
            assert process.wait(10) == 1
        finally:
            process.kill()
            process.wait()
            os.close(terminal)
        head, *lines = re.sub(r"\x1b\[[0-9;]*m", "", shown).split("\r\n")[:-1]
        assert head.startswith("\u2717 file")
        assert len(lines) > 2 and all(line.startswith("    ") for line in lines)
        assert all(len(line) <= 60 or " " not in line.strip() for line in lines)

    def test_ctrl_c_ends_it_with_130(self, cloud, tmp_path):
        cloud.inject("secrets_manager", Fault.hang())
        process = subprocess.Popen(
            SCRIPT + ["--config", cloud.write_properties(tmp_path, fetch_timeout_milliseconds=600000), SECRET],
            cwd=ROOT, env=dict(os.environ, LC_ALL="C.UTF-8"), stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        try:
            while not cloud.calls("secrets_manager"):
                assert process.poll() is None
                time.sleep(0.01)
            process.send_signal(signal.SIGINT)
            out, err = process.communicate(timeout=10)
        finally:
            process.kill()
            process.wait()
        assert process.returncode == 130
        assert err == b""
        assert out.count(b"\n") == 4, "the steps that were done"

    def test_a_missing_extra_is_said_in_one_line(self):
        without_rich = SCRIPT[:2] + ["import sys; sys.modules['rich'] = None; " + SCRIPT[2], "check"]
        missing = subprocess.run(without_rich, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE)

        assert missing.returncode == 1
        assert missing.stderr.count(b"\n") == 1
        assert b'pip install "aliyun-sdk-managed-credentials-providers[cli]"' in missing.stderr

    def test_needs_nothing_of_the_local_cloud(self, cloud, tmp_path):
        without = "import sys; sys.modules.update(dict.fromkeys(['cheroot', 'trustme', 'oss2', 'crcmod'])); "
        process = subprocess.run(
            SCRIPT[:2] + [without + SCRIPT[2], "check", "--json", "--config", cloud.write_properties(tmp_path), SECRET],
            cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=60)

        assert process.stderr == b""
        assert Outcome(process.stdout.decode("ascii"), process.returncode).code == 0


def wait_for_threads_of_the_check():
    deadline = time.monotonic() + 10
    while any(thread.name == "managed-credentials-check" for thread in threading.enumerate()):
        assert time.monotonic() < deadline
        time.sleep(0.01)
