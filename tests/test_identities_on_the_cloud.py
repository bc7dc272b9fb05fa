"""Every ``credentials_type`` over real HTTP: STS, the metadata service, a credentials URI, the CLI's profiles, and then
Secrets Manager, which takes the credentials or refuses them.
"""

import functools
import json
import logging
import os
import subprocess
import sys
import threading
import time
from urllib.parse import quote, urlsplit

import pytest

from aliyun_sdk_secretsmanager_common_plugin import ConfigurationError, ManagedCredentials, provided_identity, threads
from aliyun_sdk_secretsmanager_common_plugin.gateways import SharedGateway
from aliyun_sdk_secretsmanager_common_plugin.identities import IdentityError, identity_from, identity_of
from aliyun_sdk_secretsmanager_common_plugin.providers import ASKING_THREAD, import_library
from aliyun_sdk_secretsmanager_common_plugin.settings import IdentitySettings, SharedGatewaySettings, load_settings
from aliyun_sdk_secretsmanager_testing import Fault, LocalCloud

from .common.fakes import everything_in
from .common.test_managed_credentials import in_child
from .conftest import SECRET
from .instance import ADDRESS, ROOT, namespace

pytest.importorskip("alibabacloud_credentials", reason="the extra identities is not installed")

pytestmark = pytest.mark.filterwarnings("ignore:.*utcnow.*:DeprecationWarning")  # the library's

OLD = sys.version_info < (3, 7)
needs_new_library = pytest.mark.skipif(OLD, reason="alibabacloud-credentials 1.0 came with Python 3.7")
METADATA = "http://" + ADDRESS[0]
NOBODY = "http://127.0.0.1:1"  # as a proxy: nobody listens


@pytest.fixture(autouse=True)
def nothing_of_the_machine(monkeypatch, tmp_path):
    """No test sees identities of the machine's, or its metadata service."""
    for name in list(os.environ):
        if name.startswith(("ALIBABA_CLOUD_", "credentials_")):
            monkeypatch.delenv(name)
    import_library()  # now: it keeps what it finds in the environment
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("ALIBABA_CLOUD_ECS_METADATA_DISABLED", "true")


@pytest.fixture(scope="class")
def one_cloud():
    """One for the tests of a class: for each new address Tea loads the system's CAs anew, which takes its time."""
    with LocalCloud() as local_cloud:
        local_cloud.create_secret(SECRET)
        yield local_cloud


@pytest.fixture
def cloud(one_cloud, monkeypatch):
    """The cloud, well, and without the calls of other tests."""
    monkeypatch.setattr(one_cloud, "calls", functools.partial(one_cloud.calls, since=time.monotonic()))
    yield one_cloud
    one_cloud.clear()
    one_cloud.set_metadata()
    one_cloud.set_credentials_uri()


@pytest.fixture
def instance(cloud, monkeypatch):
    """What is sent to the address of the metadata service goes to that of the cloud's."""
    from Tea.core import TeaCore

    compose = TeaCore.compose_url
    monkeypatch.setattr(TeaCore, "compose_url", staticmethod(
        lambda request: compose(request).replace(METADATA + "/", "http://" + cloud.metadata_endpoint + "/")))
    monkeypatch.delenv("ALIBABA_CLOUD_ECS_METADATA_DISABLED")


@pytest.fixture
def token_file(cloud, tmp_path):
    path = tmp_path / "oidc-token"
    path.write_text(cloud.oidc_token())
    return path


@pytest.fixture
def properties_of(cloud, tmp_path, token_file, monkeypatch):
    """Write the properties file for a credentials_type; further keys change it, None takes one out."""
    monkeypatch.setenv("ALIBABA_CLOUD_CA_BUNDLE", cloud.ca_file)

    def write(credentials_type, **changes):
        role = {"credentials_role_arn": cloud.role_arn, "credentials_role_session_name": "app",
                "credentials_sts_endpoint": cloud.sts_endpoint}
        keys = {
            "sts_token": sts_token_keys,
            "token": lambda: {"credentials_access_token_id": cloud.identity.access_key_id,
                              "credentials_access_token": cloud.identity.access_key_secret},
            "sts": lambda: role,
            "ram_role": lambda: role,
            "oidc_role_arn": lambda: dict(role, credentials_oidc_provider_arn=cloud.oidc_provider_arn,
                                          credentials_oidc_token_file_path=token_file.name),
            "credentials_uri": lambda: {"credentials_uri": cloud.credentials_uri},
            "client_key": client_key_keys,
        }.get(credentials_type, dict)()
        return cloud.write_properties(tmp_path, credentials_type=credentials_type, **dict(keys, **changes))

    def sts_token_keys():
        pair = cloud.add_identity(token=True)
        return {"credentials_access_key_id": pair.access_key_id, "credentials_access_secret": pair.access_key_secret,
                "credentials_security_token": pair.security_token}

    def client_key_keys():
        (tmp_path / "password").write_text("password")
        return {"client_key_private_key_path": cloud.create_client_key(tmp_path, password="password").path,
                "client_key_password_from_file_path": "password"}

    return write


@pytest.fixture
def identity(properties_of):
    """The identity of a credentials_type and further keys."""
    return lambda *args, **keys: identity_of(load_settings(properties_of(*args, **keys)).identity)


@pytest.fixture
def gateway_of(cloud):
    return lambda identity: SharedGateway(
        SharedGatewaySettings("cn-hangzhou", cloud.gateway_endpoint(), cloud.ca_file), identity)


@pytest.fixture
def read(gateway_of):
    return lambda identity: gateway_of(identity).get_secret_value(SECRET, 10)["SecretName"]


@pytest.fixture
def log(caplog):
    """All that is logged, at every level."""
    caplog.set_level(logging.DEBUG)
    for name in ("credentials", "alibabacloud-tea"):
        caplog.set_level(logging.DEBUG, logger=name)
    return caplog


def failure_of(function):
    with pytest.raises(IdentityError) as caught:
        function()
    return caught.value


def key_of(identity):
    """The credentials that it signs with."""
    credential = identity.signer()._credential
    return tuple(getattr(credential, name) for name in ("sts_access_key_id", "sts_access_key_secret", "sts_token"))


def wait_until(condition):
    for _ in range(1000):
        if condition():
            return
        time.sleep(0.01)
    raise AssertionError("it did not come to pass")


def actions(cloud, service):
    return [call.action for call in cloud.calls(service)]


class TestEveryType:
    @pytest.mark.parametrize(("credentials_type", "asked"), [
        ("ak", []),
        ("token", []),
        ("sts_token", []),
        ("client_key", []),
        ("ram_role", ["AssumeRole"]),
        ("sts", ["AssumeRole"]),
        ("oidc_role_arn", ["AssumeRoleWithOIDC"]),
        ("ecs_ram_role", ["GetToken", "GetRole", "GetToken", "GetCredentials"]),
        ("credentials_uri", ["GetCredentials"]),
    ])
    def test_reads_a_secret(self, cloud, instance, properties_of, credentials_type, asked):
        with ManagedCredentials.from_properties(properties_of(credentials_type)) as credentials:
            assert credentials.get(SECRET).access_key_id == cloud.secret(SECRET).current.access_key_id
            cloud.rotate(SECRET)
            assert credentials.renew(SECRET, credentials.get(SECRET)) is not None

        assert sum((actions(cloud, service) for service in ("sts", "metadata", "credentials_uri")), []) == asked
        assert [call.status for call in cloud.calls("secrets_manager")] == [200, 200]

    def test_the_id_it_signs_with_is_the_one_of_the_call(self, cloud, identity, read):
        one = identity("credentials_uri")

        access_key_id = one.access_key_id()
        read(one)

        assert access_key_id.startswith("STS.")
        assert [call.access_key_id for call in cloud.calls("secrets_manager")] == [access_key_id]

    def test_client_key_shows_its_id(self, cloud, identity, read):
        one = identity("client_key")

        read(one)

        assert one.access_key_id().startswith("KAAP.")
        assert [call.access_key_id for call in cloud.calls("secrets_manager")] == [one.access_key_id()]

    @pytest.mark.parametrize(("mode", "role_name"), [("v1", ""), ("v2", ""), ("v1", "local-cloud")])
    def test_instances_with_either_version_of_the_metadata_service(self, cloud, instance, identity, read, mode,
                                                                   role_name):
        cloud.set_metadata(mode=mode)

        assert read(identity("ecs_ram_role", credentials_role_name=role_name)) == SECRET

    def test_role_of_the_instance_by_environment(self, cloud, instance, identity, read, monkeypatch):
        monkeypatch.setenv("ALIBABA_CLOUD_ECS_METADATA", "local-cloud")

        read(identity("ecs_ram_role"))

        assert "GetRole" not in actions(cloud, "metadata")

    def test_version_1_of_the_metadata_service_can_be_forbidden(self, cloud, instance, identity, monkeypatch):
        monkeypatch.setenv("ALIBABA_CLOUD_IMDSV1_DISABLED", "true")
        cloud.set_metadata(mode="v1")

        assert "HTTP status 404" in str(failure_of(identity("ecs_ram_role").signer))
        assert set(actions(cloud, "metadata")) == {"GetToken"}

    def test_policy_and_duration_reach_sts(self, cloud, identity):
        one = identity("ram_role", credentials_policy="[]")
        assert "InvalidParameter.PolicyGrammar" in str(failure_of(one.signer))

        one = identity("ram_role", credentials_duration_seconds=3601)
        assert "InvalidParameter.DurationSeconds" in str(failure_of(one.signer))

    @pytest.mark.parametrize("policy", [
        '{"Version": "1", "Statement": [{"Effect": "Allow", "Action": "kms:*", "Resource": "*"}]}',
        '{"Version":"1","Statement":[{"Resource":"acs:kms:*:*:secret/a b+c/\u4f60~"}]}',
    ])
    def test_policy_with_any_character(self, identity, read, policy):
        assert read(identity("ram_role", credentials_policy=policy)) == SECRET

    @needs_new_library
    def test_external_id(self, cloud, identity, read):
        arn = cloud.create_role("partner", external_id="of-the-partner")

        assert read(identity("ram_role", credentials_role_arn=arn, credentials_external_id="of-the-partner")) == SECRET

    @pytest.mark.skipif(not OLD, reason="only the old library has these limits")
    @pytest.mark.parametrize(("credentials_type", "keys", "named"), [
        ("default", {}, "credentials_type=default"),
        ("ram_role", {"credentials_external_id": "x"}, "credentials_external_id"),
        ("credentials_uri", {"credentials_uri": "https://127.0.0.1/x"}, "credentials_uri"),
    ])
    def test_what_the_old_library_cannot_do_is_said_at_once(self, identity, credentials_type, keys, named):
        with pytest.raises(ConfigurationError, match="Python 3.7") as caught:
            identity(credentials_type, **keys)

        assert named in str(caught.value)

    @needs_new_library
    def test_credentials_uri_with_https(self, cloud, identity, read):
        uri = cloud.credentials_uri.replace("http:", "https:")

        assert read(identity("credentials_uri", credentials_uri=uri)) == SECRET

    def test_token_of_the_oidc_provider_is_read_again(self, cloud, identity, token_file):
        one = identity("oidc_role_arn")
        first = one.access_key_id()
        cloud.revoke_oidc_token(token_file.read_text())
        token_file.write_text(cloud.oidc_token())
        one.renew()

        assert one.access_key_id() != first

    @pytest.mark.parametrize("region", ["cn-hangzhou", None])
    def test_endpoint_of_the_settings_wins_over_the_environment(self, cloud, identity, read, monkeypatch, region):
        monkeypatch.setenv("ALIBABA_CLOUD_STS_REGION", "cn-nowhere")

        assert read(identity("ram_role", credentials_sts_region_id=region)) == SECRET


class TestAnInstance:
    def test_the_metadata_service_at_its_own_address(self, tmp_path, monkeypatch):
        monkeypatch.delenv("ALIBABA_CLOUD_ECS_METADATA_DISABLED")
        with namespace() as run:
            printed = run("""
import os, sys, threading
from aliyun_sdk_secretsmanager_common_plugin import ManagedCredentials
from aliyun_sdk_secretsmanager_testing import LocalCloud

os.environ["HTTP_PROXY"] = {nobody!r}
with LocalCloud(metadata_address=({address!r}, 80)) as cloud:
    cloud.create_secret("app/key")
    for credentials_type in ["ecs_ram_role"] + ["default"] * (sys.version_info >= (3, 7)):
        for mode in ("v1", "v2", "v1 and v2"):
            cloud.set_metadata(mode=mode)
            properties = cloud.write_properties({directory!r}, credentials_type=credentials_type)
            with ManagedCredentials.from_properties(properties) as credentials:
                print(credentials.get("app/key").access_key_id == cloud.secret("app/key").current.access_key_id)
    print([thread.name for thread in threading.enumerate() if "APScheduler" in thread.name])
""".format(address=ADDRESS[0], directory=str(tmp_path), nobody=NOBODY))

        assert printed.splitlines() == ["True"] * (3 if OLD else 6) + ["[]"]

    def test_it_is_not_asked_where_that_is_forbidden(self, identity, monkeypatch):
        monkeypatch.setenv("ALIBABA_CLOUD_ECS_METADATA_DISABLED", "true")

        with pytest.raises(ConfigurationError, match="ALIBABA_CLOUD_ECS_METADATA_DISABLED"):
            identity("ecs_ram_role")


class TestRenewal:
    def test_credentials_are_asked_for_once(self, cloud, identity):
        one = identity("ram_role")

        assert {one.access_key_id() for _ in range(5)} == {cloud.calls("sts")[0].given}
        assert len(cloud.calls("sts")) == 1

    @pytest.mark.parametrize(("credentials_type", "service"), [
        ("credentials_uri", "credentials_uri"), ("ecs_ram_role", "metadata")])
    def test_credentials_near_their_end_are_renewed(self, cloud, instance, identity, credentials_type, service):
        cloud.set_credentials_uri(expires_in=60)
        cloud.set_metadata(expires_in=60)
        one = identity(credentials_type)
        first = one.access_key_id()
        cloud.set_credentials_uri()
        cloud.set_metadata()

        second = one.access_key_id()

        assert second != first
        assert one.access_key_id() == second
        assert actions(cloud, service).count("GetCredentials") == 2

    @pytest.mark.parametrize("fault", [Fault.refuse(), Fault.status(503), Fault.html()], ids=["refuse", "503", "html"])
    def test_credentials_in_use_serve_on_while_there_are_no_others(self, cloud, identity, read, fault, log):
        cloud.set_credentials_uri(expires_in=60)
        one = identity("credentials_uri")
        first = one.access_key_id()
        cloud.inject("credentials_uri", fault)

        assert read(one) == SECRET

        assert one.access_key_id() == first
        assert "going on with the credentials in use" in log.text

    def test_refused_credentials_do_not_serve_on(self, cloud, identity, gateway_of):
        one = identity("ram_role")
        gateway = gateway_of(one)
        gateway.get_secret_value(SECRET, 10)
        cloud.revoke_temporary_credentials()
        cloud.inject("sts", Fault.refuse())

        error = failure_of(lambda: gateway.get_secret_value(SECRET, 10))

        assert "no answer" in str(error)
        assert len(cloud.calls("secrets_manager")) == 2

    @pytest.mark.parametrize(("credentials_type", "service", "action"), [
        ("ram_role", "sts", "AssumeRole"),
        ("oidc_role_arn", "sts", "AssumeRoleWithOIDC"),
        ("credentials_uri", "credentials_uri", "GetCredentials"),
        ("ecs_ram_role", "metadata", "GetCredentials"),
    ])
    def test_refused_credentials_are_renewed_once(self, cloud, instance, identity, read, credentials_type, service,
                                                  action):
        one = identity(credentials_type)
        read(one)
        cloud.revoke_temporary_credentials()

        assert read(one) == SECRET

        assert actions(cloud, service).count(action) == 2
        assert [call.status for call in cloud.calls("secrets_manager")] == [200, 400, 200]

    def test_credentials_refused_in_many_threads_are_renewed_once(self, cloud, identity, read, in_threads):
        one = identity("ram_role")
        read(one)
        cloud.revoke_temporary_credentials()

        assert in_threads([lambda: read(one)] * 16) == [SECRET] * 16

        assert len(cloud.calls("sts")) == 2

    def test_refused_token_of_ones_own_is_not_asked_for_again(self, cloud, identity):
        one = identity("sts_token")

        assert one.renew() is False

    def test_identity_without_permission_is_not_renewed(self, cloud, identity, read):
        arn = cloud.create_role("may-nothing", may_read_secrets=False)

        with pytest.raises(Exception, match="Forbidden"):
            read(identity("ram_role", credentials_role_arn=arn))

        assert len(cloud.calls("sts")) == 1


class TestHanging:
    def test_rotated_key_is_read_with_the_credentials_in_use(self, cloud, properties_of):
        cloud.set_credentials_uri(expires_in=100)  # so few seconds that others are asked for each time
        with ManagedCredentials.from_properties(properties_of("credentials_uri")) as credentials:
            old = credentials.get(SECRET)
            cloud.inject("credentials_uri", Fault.hang())
            new = cloud.rotate(SECRET)

            renewed = credentials.renew(SECRET, old)  # within renew_timeout, or there would be none

        assert renewed.access_key_id == new.access_key_id
        assert len(cloud.calls("credentials_uri")) == 2

    def test_dripping_answer_is_given_up(self, cloud, identity, read, monkeypatch):
        monkeypatch.setattr(provided_identity, "LIMIT", 1.0)
        one = identity("credentials_uri")
        cloud.inject("credentials_uri", Fault.drip(60), times=1)

        error = failure_of(one.signer)

        assert "no answer within 1 s; check credentials_uri" in str(error)
        assert error.retryable
        assert read(one) == SECRET
        cloud.clear("credentials_uri")

    def test_late_answer_is_kept(self, cloud, identity, monkeypatch):
        one = identity("ram_role")
        cloud.inject("sts", Fault.hang())
        with monkeypatch.context() as patch:
            patch.setattr(provided_identity, "LIMIT", 0.1)
            failure_of(one.signer)
        cloud.clear("sts")

        assert one.access_key_id() == cloud.calls("sts")[0].given
        assert len(cloud.calls("sts")) == 1


class TestProxy:
    @pytest.fixture(autouse=True)
    def proxy(self, monkeypatch):
        monkeypatch.setenv("HTTP_PROXY", NOBODY)
        monkeypatch.setenv("HTTPS_PROXY", NOBODY)
        monkeypatch.delenv("NO_PROXY", raising=False)
        monkeypatch.delenv("no_proxy", raising=False)

    @pytest.mark.parametrize("credentials_type", ["ram_role", "oidc_role_arn", "credentials_uri"])
    def test_it_is_used_but_for_what_the_environment_excepts(self, identity, monkeypatch, credentials_type):
        one = identity(credentials_type)
        assert "no answer (ConnectionRefusedError" in str(failure_of(one.signer))
        monkeypatch.setenv("NO_PROXY", "example.com,127.0.0.1")

        assert one.access_key_id().startswith("STS.")

    @needs_new_library
    def test_of_a_profile(self, cloud, monkeypatch, tmp_path):
        (tmp_path / ".aliyun").mkdir()
        (tmp_path / ".aliyun" / "config.json").write_text(json.dumps({"current": "x", "profiles": [{
            "name": "x", "mode": "RamRoleArn", "access_key_id": cloud.identity.access_key_id,
            "access_key_secret": cloud.identity.access_key_secret, "ram_role_arn": cloud.role_arn}]}))
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")

        one = identity_of(IdentitySettings("default", sts_endpoint=cloud.sts_endpoint, ca_file=cloud.ca_file))

        assert one.access_key_id() == cloud.calls("sts")[0].given

    def test_what_the_program_sends_itself_is_left_alone(self, cloud, identity, monkeypatch):
        from Tea.core import TeaCore
        from Tea.exceptions import RetryError
        from Tea.request import TeaRequest

        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        identity("credentials_uri").signer()
        address = urlsplit(cloud.credentials_uri)
        request = TeaRequest()
        request.headers, request.port, request.pathname = {"host": address.hostname}, address.port, address.path

        with pytest.raises(RetryError):
            TeaCore.do_action(request)


class TestThreads:
    def test_many_threads_ask_once(self, cloud, identity, in_threads):
        one = identity("ram_role")
        cloud.inject("sts", Fault.slow(0.2))

        assert len(set(in_threads([one.access_key_id] * 16))) == 1

        assert len(cloud.calls("sts")) == 1

    def test_what_it_waits_for(self, cloud, identity):
        one = identity("ram_role")
        idle = one.waiting_for()
        cloud.inject("sts", Fault.hang())
        thread = threading.Thread(target=one.signer, daemon=True)
        thread.start()
        wait_until(lambda: cloud.calls("sts"))
        waiting = one.waiting_for()
        cloud.clear("sts")
        thread.join(10)

        assert (idle, one.waiting_for()) == ("", "")
        assert waiting == "the identity (credentials_type=ram_role, {})".format(cloud.sts_endpoint)

    def test_the_library_leaves_no_thread_and_nothing_on_stderr(self, cloud, properties_of, tmp_path):
        (tmp_path / ".aliyun").mkdir()
        (tmp_path / ".aliyun" / "config.json").write_text("{}")
        paths = []
        for credentials_type in ["ram_role", "oidc_role_arn", "credentials_uri"] + ["default"] * (not OLD):
            path = properties_of(credentials_type)
            paths.append("{}.{}".format(path, credentials_type))
            os.rename(path, paths[-1])
        cloud.inject("sts", Fault.status(503), times=1)

        run = subprocess.run(
            [sys.executable, "-W", "ignore", "-c", """
import logging, sys, threading
from aliyun_sdk_secretsmanager_common_plugin.identities import IdentityError, identity_from, identity_of
from aliyun_sdk_secretsmanager_common_plugin.settings import load_settings
for path in sys.argv[1:]:
    try:
        identity_of(load_settings(path).identity).signer()
    except IdentityError as error:
        print("failed", error)
    else:
        print("signs")
for thread in threading.enumerate():
    if thread.name == "managed-credentials-identity":
        thread.join(10)
print([thread.name for thread in threading.enumerate()])
print([handler for name in ("credentials", "alibabacloud-tea") for handler in logging.getLogger(name).handlers
       if not isinstance(handler, logging.NullHandler)])
"""] + paths, stdout=subprocess.PIPE, stderr=subprocess.PIPE, universal_newlines=True, timeout=60,
            env=dict(os.environ, PYTHONPATH=ROOT))

        lines = run.stdout.splitlines()
        assert run.stderr == ""
        assert [line.split()[0] for line in lines[:-2]] == ["failed", "signs", "signs"] + ["failed"] * (not OLD)
        assert lines[-2:] == ["['MainThread']", "[]"]


@needs_new_library
class TestDefault:
    @pytest.fixture
    def default(self, cloud, properties_of):
        """The identity, whose roles are assumed at the cloud's STS."""
        return lambda: identity_of(
            load_settings(properties_of("default")).identity._replace(sts_endpoint=cloud.sts_endpoint))

    @pytest.fixture
    def failure(self):
        """Return the error of the chain where nothing is asked over the network."""
        return lambda: failure_of(identity_of(IdentitySettings("default")).signer)

    @pytest.fixture
    def setenv(self, monkeypatch):
        return lambda **values: [monkeypatch.setenv("ALIBABA_CLOUD_" + name, value) for name, value in values.items()]

    @pytest.fixture
    def key_in_environment(self, setenv):
        return lambda pair: setenv(ACCESS_KEY_ID=pair.access_key_id, ACCESS_KEY_SECRET=pair.access_key_secret,
                                   SECURITY_TOKEN=pair.security_token or "")

    @pytest.fixture
    def configure(self, tmp_path):
        """Write the configuration of the CLI: profiles by name, the first of them current."""

        def write(**profiles):
            (tmp_path / ".aliyun").mkdir(exist_ok=True)
            (tmp_path / ".aliyun" / "config.json").write_text(json.dumps({
                "current": list(profiles)[0],
                "profiles": [dict(profile, name=name) for name, profile in profiles.items()]}))

        return write

    @pytest.fixture
    def write_ini(self, tmp_path):
        def write(path=".alibabacloud/credentials.ini", **sections):
            (tmp_path / path).parent.mkdir(exist_ok=True)
            (tmp_path / path).write_text("".join(
                "[{}]\n{}".format(name, "".join("{} = {}\n".format(*item) for item in section.items()))
                for name, section in sections.items()))

        return write

    @pytest.mark.parametrize("token", [False, True])
    def test_key_in_the_environment(self, cloud, default, read, key_in_environment, token):
        pair = cloud.add_identity(token=token)
        key_in_environment(pair)
        one = default()

        assert read(one) == SECRET

        assert one.access_key_id() == pair.access_key_id

    def test_key_in_the_environment_is_read_again_when_it_was_refused(self, cloud, default, key_in_environment):
        first, second = cloud.add_identity(token=True), cloud.add_identity(token=True)
        key_in_environment(first)
        one = default()
        one.signer()
        key_in_environment(second)
        kept = one.access_key_id()

        one.renew()

        assert (kept, one.access_key_id()) == (first.access_key_id, second.access_key_id)

    def test_oidc_by_environment(self, cloud, default, read, token_file, setenv):
        setenv(ROLE_ARN=cloud.role_arn, OIDC_PROVIDER_ARN=cloud.oidc_provider_arn, OIDC_TOKEN_FILE=str(token_file))

        assert read(default()) == SECRET

        assert actions(cloud, "sts") == ["AssumeRoleWithOIDC"]

    @pytest.fixture
    def profiles(self, cloud, token_file):
        temporary = cloud.add_identity(token=True)
        key = {"access_key_id": cloud.identity.access_key_id, "access_key_secret": cloud.identity.access_key_secret}
        role = {"ram_role_arn": cloud.role_arn, "ram_session_name": "cli", "expired_seconds": 900, "sts_region": "cn-x"}
        return {
            "AK": dict(key, mode="AK"),
            "StsToken": {"mode": "StsToken", "access_key_id": temporary.access_key_id,
                         "access_key_secret": temporary.access_key_secret, "sts_token": temporary.security_token},
            "RamRoleArn": dict(key, mode="RamRoleArn", **role),
            "EcsRamRole": {"mode": "EcsRamRole"},
            "EcsRamRole with a name": {"mode": "EcsRamRole", "ram_role_name": "local-cloud"},
            "OIDC": dict(role, mode="OIDC", oidc_provider_arn=cloud.oidc_provider_arn, oidc_token_file=str(token_file)),
            "ChainableRamRoleArn": dict(role, mode="ChainableRamRoleArn", source_profile="RamRoleArn"),
            "of the instance's role": dict(role, mode="ChainableRamRoleArn", source_profile="EcsRamRole"),
        }

    @pytest.mark.parametrize(("name", "asked"), [
        ("AK", []),
        ("StsToken", []),
        ("RamRoleArn", ["AssumeRole"]),
        ("EcsRamRole", ["GetToken", "GetRole", "GetToken", "GetCredentials"]),
        ("EcsRamRole with a name", ["GetToken", "GetCredentials"]),
        ("OIDC", ["AssumeRoleWithOIDC"]),
        ("ChainableRamRoleArn", ["AssumeRole", "AssumeRole"]),
        ("of the instance's role", ["AssumeRole", "GetToken", "GetRole", "GetToken", "GetCredentials"]),
    ])
    def test_profile_of_the_cli(self, cloud, instance, default, read, profiles, configure, setenv, name, asked):
        configure(**profiles)
        setenv(PROFILE=name)

        assert read(default()) == SECRET

        assert actions(cloud, "sts") + actions(cloud, "metadata") == asked
        assert not [thread.name for thread in threading.enumerate()
                    if "APScheduler" in thread.name or "non-blocking-refresh" in thread.name]

    def test_current_profile_of_the_cli(self, cloud, default, read, profiles, configure):
        configure(**profiles)

        assert read(default()) == SECRET

    def test_unknown_profile_of_the_cli(self, failure, configure, setenv):
        configure(one={"mode": "AK"}, two={"mode": "AK"})
        setenv(PROFILE="three")

        assert "has no profile 'three'; set ALIBABA_CLOUD_PROFILE to one of: one, two" in str(failure())

    @pytest.mark.parametrize(("sources", "what"), [
        ({"one": "none"}, "the profile 'one' in {} has the source_profile 'none', which is not there"),
        ({"one": None}, "the profile 'one' in {} has the source_profile None, which is not there"),
        ({"one": "one"}, "the profile 'one' in {} has the source_profile 'one', which leads back to it"),
        ({"one": "two", "two": "three", "three": "two"},
         "the profile 'three' in {} has the source_profile 'two', which leads back to it"),
    ], ids=["unknown", "unnamed", "itself", "circle"])
    def test_profile_of_the_cli_whose_source_is_wrong(self, failure, configure, tmp_path, sources, what):
        configure(**{name: {"mode": "ChainableRamRoleArn", "ram_role_arn": "x", "source_profile": source}
                     for name, source in sources.items()})

        path = tmp_path / ".aliyun" / "config.json"
        assert what.format(path) + "; name another profile there" in str(failure())

    @pytest.mark.parametrize(("profile", "what"), [
        ({"mode": "AK", "access_key_secret": "SeCrEt"}, "the access key id is empty"),
        ({"mode": "RamRoleArn", "access_key_id": "LTAI", "access_key_secret": "SeCrEt"}, "role_arn"),
        ({"mode": "Unheard", "access_key_secret": "SeCrEt"}, "Unheard"),
    ])
    def test_profile_of_the_cli_that_lacks_something(self, failure, configure, profile, what):
        configure(mine=profile)

        error = failure()

        assert "CLI profile: the profile 'mine' in " in str(error)
        assert what in str(error)
        assert "SeCrEt" not in everything_in(error)

    @pytest.mark.parametrize("text", ["SeCrEt{", "[]", '{"profiles": "SeCrEt"}'])
    def test_configuration_of_the_cli_that_is_none(self, failure, tmp_path, configure, text):
        configure(x={})
        (tmp_path / ".aliyun" / "config.json").write_text(text)

        error = failure()

        assert "CLI profile: " in str(error)
        assert "SeCrEt" not in everything_in(error)

    def test_configuration_of_the_cli_may_be_turned_off(self, failure, configure, setenv):
        configure(mine={"mode": "AK", "access_key_id": "LTAI", "access_key_secret": "SeCrEt"})
        setenv(CLI_PROFILE_DISABLED="true")

        assert "CLI profile: turned off" in str(failure())

    def sections(self, cloud, token_file):
        key = {"access_key_id": cloud.identity.access_key_id, "access_key_secret": cloud.identity.access_key_secret}
        return {
            "access_key": dict(key, type="access_key"),
            "ram_role_arn": dict(key, type="ram_role_arn", role_arn=cloud.role_arn, role_session_name="ini"),
            "oidc_role_arn": {"type": "oidc_role_arn", "role_arn": cloud.role_arn, "oidc_token_file_path": token_file,
                              "oidc_provider_arn": cloud.oidc_provider_arn, "role_session_name": "ini"},
            "ecs_ram_role": {"type": "ecs_ram_role", "role_name": "local-cloud"},
        }

    @pytest.mark.parametrize(("name", "elsewhere"), [
        ("access_key", False), ("access_key", True), ("ram_role_arn", False), ("oidc_role_arn", False),
        ("ecs_ram_role", False)])
    def test_credentials_file(self, cloud, instance, default, read, token_file, write_ini, setenv, tmp_path, name,
                              elsewhere):
        sections = self.sections(cloud, token_file)
        if elsewhere:
            write_ini("mine.ini", **sections)
            setenv(CREDENTIALS_FILE=str(tmp_path / "mine.ini"), PROFILE=name)
        else:
            write_ini(default=sections[name])

        assert read(default()) == SECRET

        assert not [thread.name for thread in threading.enumerate() if "APScheduler" in thread.name]

    @pytest.mark.parametrize("text", ["access_key_secret = SeCrEt", "[default]\ntype = SeCrEt%x",
                                      "[other]\ntype = access_key", "[default]\ntype = access_key"])
    def test_credentials_file_that_is_none(self, failure, tmp_path, write_ini, text):
        write_ini()
        (tmp_path / ".alibabacloud" / "credentials.ini").write_text(text)

        error = failure()

        assert "credentials file: " in str(error)
        assert "SeCrEt" not in everything_in(error)

    def test_role_of_the_instance(self, cloud, instance, default, read):
        assert read(default()) == SECRET

        assert "GetCredentials" in actions(cloud, "metadata")

    def test_credentials_uri(self, cloud, default, read, setenv):
        setenv(CREDENTIALS_URI=cloud.credentials_uri)

        assert read(default()) == SECRET

    @pytest.mark.parametrize("uri", [
        "http://[::1/", "http://[::1]:80/", "http://127.0.0.1:99999/x", "http://127.0.0.1:x/", "localhost/x", "http:///x",
        "ftp://127.0.0.1/x"])
    def test_credentials_uri_that_is_none(self, failure, setenv, uri):
        setenv(CREDENTIALS_URI=uri + "?SeCrEt")

        error = failure()

        assert ("credentials URI: ALIBABA_CLOUD_CREDENTIALS_URI is no URL; write it as http://host:port/path, the host a "
                "name or IPv4" in str(error))
        assert "SeCrEt" not in everything_in(error)

    def test_sources_after_the_first_good_one_may_be_wrong(self, setenv):
        setenv(ACCESS_KEY_ID="LTAI", ACCESS_KEY_SECRET="x", CREDENTIALS_URI="http://[::1/")

        assert identity_of(IdentitySettings("default")).access_key_id() == "LTAI"

    def test_order(self, cloud, instance, default, configure, profiles, write_ini, token_file, key_in_environment,
                   setenv, monkeypatch):
        ini = cloud.add_identity()
        setenv(CREDENTIALS_URI=cloud.credentials_uri)
        write_ini(default={"type": "access_key", "access_key_id": ini.access_key_id,
                           "access_key_secret": ini.access_key_secret})
        configure(one=profiles["StsToken"])
        setenv(ROLE_ARN=cloud.role_arn, OIDC_PROVIDER_ARN=cloud.oidc_provider_arn, OIDC_TOKEN_FILE=str(token_file))
        key_in_environment(cloud.identity)

        def first():
            return default().access_key_id()

        assert first() == cloud.identity.access_key_id
        monkeypatch.delenv("ALIBABA_CLOUD_ACCESS_KEY_ID")
        assert first() == cloud.calls("sts")[0].given
        monkeypatch.delenv("ALIBABA_CLOUD_ROLE_ARN")
        assert first() == profiles["StsToken"]["access_key_id"]
        setenv(CLI_PROFILE_DISABLED="true")
        assert first() == ini.access_key_id
        setenv(CREDENTIALS_FILE="nowhere.ini")
        assert first() == cloud.calls("metadata")[-1].given
        assert cloud.calls("credentials_uri") == []
        setenv(ECS_METADATA_DISABLED="true")
        assert first() == cloud.calls("credentials_uri")[0].given

    def test_the_first_that_gives_credentials_is_kept(self, cloud, default, key_in_environment, setenv):
        cloud.set_credentials_uri(expires_in=60)
        setenv(CREDENTIALS_URI=cloud.credentials_uri)
        one = default()
        one.signer()
        key_in_environment(cloud.identity)

        assert one.access_key_id() == cloud.calls("credentials_uri")[1].given

    def test_error_lists_every_source_with_its_reason(self, cloud, instance, default, setenv, token_file):
        cloud.set_metadata(role=None)
        cloud.inject("credentials_uri", Fault.status(403, "NoPermission"))
        token_file.write_text("")
        setenv(CREDENTIALS_URI=cloud.credentials_uri, ROLE_ARN=cloud.role_arn, OIDC_TOKEN_FILE=str(token_file),
               OIDC_PROVIDER_ARN=cloud.oidc_provider_arn)

        error = failure_of(default().signer)

        reasons = ("(environment variables: ALIBABA_CLOUD_ACCESS_KEY_ID or ", ", OIDC: the OIDC token file ",
                   ", CLI profile: there is no file ", ", credentials file: there is no file ",
                   ", instance role: HTTP status 404; ", ", credentials URI: HTTP status 403")
        assert [str(error).count(reason) for reason in reasons] == [1] * 6
        assert not error.retryable
        cloud.clear("credentials_uri")
        cloud.inject("credentials_uri", Fault.status(503))
        assert failure_of(default().signer).retryable


class TestHandedIn:
    @pytest.fixture
    def client(self, cloud):
        """A client of the library's, for the credentials URI."""
        from alibabacloud_credentials.client import Client
        from alibabacloud_credentials.models import Config

        return Client(Config(type="credentials_uri", credentials_uri=cloud.credentials_uri))

    def test_client_of_the_library(self, cloud, client, tmp_path):
        path = cloud.write_properties(tmp_path, credentials_type=None)

        with ManagedCredentials.from_properties(path, identity=client) as credentials:
            assert credentials.get(SECRET).access_key_id == cloud.secret(SECRET).current.access_key_id

        assert [call.access_key_id for call in cloud.calls("secrets_manager")] == [
            cloud.calls("credentials_uri")[0].given]

    @needs_new_library
    def test_provider_of_the_library(self, cloud, read):
        from alibabacloud_credentials.provider import URLCredentialsProvider

        assert read(identity_from(URLCredentialsProvider(uri=cloud.credentials_uri))) == SECRET

    def test_errors_of_the_library_are_not_passed_on(self, cloud, client, log):
        cloud.inject("credentials_uri", Fault.body(b'{"AccessKeySecret": "SeCrEt"}', status=403))

        error = failure_of(identity_from(client).signer)

        assert "SeCrEt" not in everything_in(error)
        assert "the program's Client): CredentialException was raised" in str(error)

    def test_others_are_asked_for_when_these_were_refused(self, cloud, read):
        class Provider:
            pairs = [cloud.add_identity(token=True), cloud.add_identity(token=True)]

            def get_credentials(self):
                return self.pairs[0]

        one = identity_from(Provider())
        read(one)
        cloud.disable_key(Provider.pairs.pop(0).access_key_id)
        assert one.renew()

        assert read(one) == SECRET


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*:DeprecationWarning")
class TestFork:
    @pytest.mark.parametrize("credentials_type", ["ram_role", "credentials_uri"])
    def test_child_asks_over_connections_of_its_own(self, cloud, identity, credentials_type):
        one = identity(credentials_type)
        one.signer()
        inherited = connections()

        def child():
            one.after_fork_in_child()
            one.renew()
            one.signer()
            mine = connections()
            assert mine
            return mine & inherited

        assert inherited
        assert in_child(child) == set()
        assert one.renew() and one.signer()

    @pytest.mark.skipif(not hasattr(os, "register_at_fork"), reason="only where there are hooks")
    def test_waits_for_the_thread_that_asked_to_be_gone(self, identity, monkeypatch):
        """As it ends it holds locks of OpenSSL."""
        awaited = []
        monkeypatch.setattr(threads, "await_exit", lambda thread: awaited.append(thread.name))
        identity("ram_role").signer()

        in_child(lambda: None)

        assert ASKING_THREAD in awaited

    def test_child_of_a_process_that_is_asking(self, cloud, identity):
        one = identity("ram_role")
        cloud.inject("sts", Fault.hang(), times=1)
        thread = threading.Thread(target=one.signer, daemon=True)
        thread.start()
        wait_until(lambda: cloud.calls("sts"))

        def child():
            one.after_fork_in_child()
            return one.access_key_id()

        assert in_child(child) == cloud.calls("sts")[1].given
        cloud.clear("sts")
        thread.join(10)


def connections():
    """The servers' and the local ports of all connections that Tea keeps; only both together are of one connection."""
    from Tea.core import TeaCore

    adapters = [TeaCore.http_adapter, TeaCore.https_adapter] + [
        adapter for session in getattr(TeaCore, "_sessions", {}).values() for adapter in session.adapters.values()]
    ports = set()
    for adapter in adapters:
        pools = adapter.poolmanager.pools
        for key in list(pools.keys()):
            ports.update((key.key_port, connection.sock.getsockname()[1]) for connection in pools[key].pool.queue
                         if connection is not None and connection.sock is not None)
    return ports


class TestErrors:
    def test_unknown_role(self, cloud, identity):
        error = failure_of(identity("ram_role", credentials_role_arn="acs:ram::1234567890123456:role/nobody").signer)

        assert str(error).startswith(
            "SDK.InvalidCredential identity (credentials_type=ram_role, {}): ".format(cloud.sts_endpoint))
        assert "EntityNotExist.Role: The specified Role not exists." in str(error)
        assert "request id " in str(error)
        assert "check the ARN of the role (credentials_role_arn)" in str(error)
        assert not error.retryable

    @pytest.mark.parametrize(("keys", "code", "remedy"), [
        ({"credentials_access_secret": "x" * 30}, "SignatureDoesNotMatch", "credentials_access_secret"),
        ({"credentials_access_key_id": "LTAIunknownunknown00"}, "InvalidAccessKeyId.NotFound",
         "credentials_access_key_id"),
        ({"credentials_role_session_name": "x"}, "InvalidParameter.RoleSessionName", "credentials_role_session_name"),
        ({"credentials_duration_seconds": 3601}, "InvalidParameter.DurationSeconds", "credentials_duration_seconds"),
        ({"credentials_policy": "x"}, "InvalidParameter.PolicyGrammar", "credentials_policy"),
    ])
    def test_what_sts_refuses(self, identity, keys, code, remedy):
        error = failure_of(identity("ram_role", **keys).signer)

        assert code in str(error)
        assert remedy in str(error)
        assert not error.retryable

    def test_role_that_may_not_be_assumed(self, cloud, identity):
        arn = cloud.create_role("partner", external_id="of-the-partner")

        error = failure_of(identity("ram_role", credentials_role_arn=arn).signer)

        assert "NoPermission: You are not authorized" in str(error)
        assert "trust policy" in str(error)

    def test_oidc_token_that_is_past_its_end(self, cloud, identity, token_file):
        token_file.write_text(cloud.oidc_token(expires_in=-1))

        error = failure_of(identity("oidc_role_arn").signer)

        assert "AuthenticationFail.OIDCToken.Expired" in str(error)
        assert "credentials_oidc_token_file_path" in str(error)

    def test_unknown_oidc_provider(self, identity):
        error = failure_of(identity("oidc_role_arn", credentials_oidc_provider_arn="acs:ram::1:oidc-provider/x").signer)

        assert "credentials_oidc_provider_arn" in str(error)

    @pytest.mark.parametrize(("change", "what"), [
        (lambda path: path.unlink(), "cannot read {}: No such file or directory"),
        (lambda path: path.write_text("\n"), "the OIDC token file {} is empty"),
    ], ids=["gone", "empty"])
    def test_oidc_token_file(self, cloud, identity, token_file, change, what):
        change(token_file)

        error = failure_of(identity("oidc_role_arn").signer)

        assert what.format(token_file) in str(error)
        assert cloud.calls("sts") == []

    def test_instance_without_a_role(self, cloud, instance, identity):
        cloud.set_metadata(role=None)

        error = failure_of(identity("ecs_ram_role").signer)

        assert "HTTP status 404; attach a RAM role to the instance" in str(error)
        assert not error.retryable

    def test_metadata_service_that_is_not_there(self, cloud, instance, identity):
        cloud.inject("metadata", Fault.refuse())

        error = failure_of(identity("ecs_ram_role").signer)

        assert "no answer (ConnectionRefusedError: " in str(error)
        assert "(credentials_type=ecs_ram_role, http://100.100.100.200)" in str(error)
        assert "choose another credentials_type" in str(error)
        assert error.retryable

    @pytest.mark.parametrize("body", [
        b'{"Code": "Success"}', b"[]", b"null", b'{"AccessKeyId": "LTAI", "AccessKeySecret": "SeCrEt"}',
        b'{"Code": "Success", "AccessKeyId": "LTAI", "AccessKeySecret": "SeCrEt", "SecurityToken": "x", "Expiration": 5}'])
    def test_json_without_credentials(self, cloud, identity, body):
        cloud.inject("credentials_uri", Fault.body(body))

        error = failure_of(identity("credentials_uri").signer)

        assert "no credentials in the answer; check credentials_uri" in str(error)
        assert not error.retryable
        assert "SeCrEt" not in everything_in(error)

    def test_metadata_service_that_gives_json_without_credentials(self, cloud, instance, identity):
        cloud.inject("metadata", Fault.body(b'{"AccessKeyId": "LTAI", "AccessKeySecret": "SeCrEt"}'))

        error = failure_of(identity("ecs_ram_role").signer)

        assert "no credentials in the answer; attach a RAM role" in str(error)
        assert "SeCrEt" not in everything_in(error)

    @pytest.mark.parametrize(("body", "status", "retryable"), [
        (b"<Error><Code>NoPermission</Code></Error>", 403, False),
        (b"\xff\xfe", 503, True),
        (b"\xff\xfe", 403, False),
    ])
    @pytest.mark.parametrize(("credentials_type", "service"), [
        ("ram_role", "sts"), ("credentials_uri", "credentials_uri")])
    def test_status_of_an_answer_that_is_no_json(self, cloud, identity, credentials_type, service, body, status,
                                                 retryable):
        cloud.inject(service, Fault.body(body, status=status))

        error = failure_of(identity(credentials_type).signer)

        assert "HTTP status {}; check ".format(status) in str(error)
        assert error.retryable is retryable

    def test_parts_of_a_uri_that_may_be_secret_are_not_shown(self, cloud, identity):
        uri = cloud.credentials_uri.replace("http://", "http://user:pa55word@") + "-no?token=t0ken"

        one = identity("credentials_uri", credentials_uri=uri)
        shown = everything_in(failure_of(one.signer)) + repr(one) + one.waiting_for()

        assert not any(part in shown for part in ("pa55word", "t0ken", "-no"))

    FAULTS = [
        (Fault.status(503), "HTTP status 503", True),
        (Fault.status(429), "HTTP status 429", True),
        (Fault.throttling(), "", True),
        (Fault.status(403, "NoPermission"), "", False),
        (Fault.html(), "no JSON", True),
        (Fault.html(502), "HTTP status 502", True),
        (Fault.reset(), "no answer (", True),
        (Fault.cut(), "", True),
        (Fault.refuse(), "no answer (ConnectionRefusedError: ", True),
    ]

    @pytest.mark.parametrize(("fault", "what", "retryable"), FAULTS, ids=[repr(fault[0]) for fault in FAULTS])
    @pytest.mark.parametrize(("credentials_type", "service"), [
        ("ram_role", "sts"), ("credentials_uri", "credentials_uri")])
    def test_faults(self, cloud, identity, read, credentials_type, service, fault, what, retryable):
        one = identity(credentials_type)
        cloud.inject(service, fault)

        error = failure_of(one.signer)

        assert what in str(error)
        assert error.retryable is retryable, str(error)
        cloud.clear(service)
        assert read(one) == SECRET

    @pytest.mark.parametrize(("credentials_type", "fault"), [
        ("ram_role", Fault.untrusted_certificate()), ("ram_role", Fault.expired_certificate()),
        ("oidc_role_arn", Fault.untrusted_certificate())], ids=repr)
    def test_certificate_of_sts(self, cloud, identity, fault, credentials_type):
        cloud.inject("sts", fault)

        error = failure_of(identity(credentials_type).signer)

        assert "the certificate is not trusted" in str(error)
        assert "ALIBABA_CLOUD_CA_BUNDLE" in str(error)
        assert not error.retryable
        assert cloud.calls("sts") == []

    def test_certificate_of_an_unknown_ca(self, cloud, identity, monkeypatch):
        monkeypatch.setenv("ALIBABA_CLOUD_CA_BUNDLE", "")
        forget_trust()

        assert "the certificate is not trusted" in str(failure_of(identity("ram_role").signer))
        assert cloud.calls("sts") == []


def forget_trust():
    """As in a process in which nobody trusted the cloud's CA yet."""
    from Tea.core import TeaCore

    getattr(TeaCore, "_sessions", {}).clear()
    getattr(TeaCore.https_adapter, "ca_files", {}).clear()


class TestSecrecy:
    @pytest.mark.parametrize(("fault", "debug"), [
        (None, "sdk"), (Fault.status(403, "SignatureDoesNotMatch"), ""), (Fault.html(), ""), (Fault.reset(), ""),
        (Fault.cut(), "")], ids=repr)
    @pytest.mark.parametrize(("credentials_type", "service"), [
        ("ram_role", "sts"), ("oidc_role_arn", "sts"), ("credentials_uri", "credentials_uri"),
        ("ecs_ram_role", "metadata")])
    def test_no_secret_is_logged_or_in_an_error(self, cloud, instance, identity, token_file, monkeypatch, log,
                                                credentials_type, service, fault, debug):
        monkeypatch.setenv("DEBUG", debug)
        cloud.set_credentials_uri(expires_in=60)
        cloud.set_metadata(expires_in=60)
        one = identity(credentials_type)
        _, secret, token = key_of(one)
        one.renew()
        if fault is not None:
            cloud.inject(service, fault)

        shown = ""
        try:
            one.signer()
        except IdentityError as error:
            shown = everything_in(error)
        shown += repr(one) + log.text + "".join(repr(vars(record)) for record in log.records)

        for value in (secret, token, cloud.identity.access_key_secret, token_file.read_text()):
            assert value not in shown
            assert quote(value, safe="") not in shown

    def test_no_secret_that_an_answer_repeats(self, cloud, identity, log):
        one = identity("ram_role")
        secret = cloud.identity.access_key_secret
        cloud.inject("sts", Fault.body(json.dumps({
            "Code": "Forbidden.X", "RequestId": secret + "!", "Message": "you said {} and {}".format(secret, "t" * 400),
        }).encode(), status=403))

        error = failure_of(one.signer)

        assert "Forbidden.X: you said ****** and ******" in str(error)
        assert secret not in everything_in(error)

    def test_nothing_of_ours_is_in_the_log_of_the_library(self, cloud, identity, log):
        cloud.set_credentials_uri(expires_in=60)  # of which it warns
        one = identity("credentials_uri")
        one.signer()
        cloud.inject("credentials_uri", Fault.status(403))
        one.signer()

        assert {record.name.split(".")[0] for record in log.records} <= {
            "urllib3", "aliyun_sdk_secretsmanager_common_plugin"}

    def test_what_the_program_does_with_the_library_is_logged_but_for_secrets(self, cloud, identity, log):
        identity("ram_role")
        from alibabacloud_credentials.exceptions import CredentialException

        logging.getLogger("credentials").warning("failed: %s", CredentialException('{"SecurityToken": "SeCrEt"}'))

        assert "failed: " in log.text
        assert "SeCrEt" not in log.text

    @pytest.mark.parametrize("first", ["", "import alibabacloud_credentials.client"])
    def test_in_a_new_process_where_everything_is_logged(self, cloud, properties_of, token_file, first):
        cloud.inject("sts", Fault.status(403, "NoPermission"), times=1)

        run = subprocess.run([sys.executable, "-W", "ignore", "-c", """
import logging, sys
{}
logging.basicConfig(level=logging.DEBUG, stream=sys.stdout)
mine = logging.StreamHandler()
logging.getLogger("credentials").addHandler(mine)
from aliyun_sdk_secretsmanager_common_plugin.identities import IdentityError, identity_of
from aliyun_sdk_secretsmanager_common_plugin.settings import load_settings
one = identity_of(load_settings(sys.argv[1]).identity)
for _ in range(2):
    try:
        print(one.access_key_id()[:4])
    except IdentityError as error:
        print(error)
print(logging.getLogger("credentials").handlers == [mine])
""".format(first), properties_of("oidc_role_arn")], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            universal_newlines=True, timeout=60, env=dict(os.environ, PYTHONPATH=ROOT))

        assert run.stderr == ""
        assert "OIDCToken=******" in run.stdout
        assert token_file.read_text() not in run.stdout
        assert quote(token_file.read_text(), safe="") not in run.stdout
        lines = [line for line in run.stdout.splitlines() if not line.startswith(("DEBUG:", "INFO:"))]
        assert "NoPermission" in lines[0]
        assert lines[1:] == ["STS.", "True"]
