"""Every credentials_type over real HTTP: STS, the metadata service, a credentials URI; then Secrets Manager."""

import json
from urllib.parse import urlsplit

import pytest

from aliyun_sdk_secretsmanager_common_plugin import ConfigurationError, ManagedCredentials
from aliyun_sdk_secretsmanager_common_plugin.identities import configured_identity
from aliyun_sdk_secretsmanager_common_plugin.settings import IdentitySettings
from tests.conftest import SECRET
from tests.instance import ADDRESS, namespace

from .conftest import NOBODY, OLD, actions, failure_of, needs_new_library

pytestmark = pytest.mark.filterwarnings("ignore:.*utcnow.*:DeprecationWarning")  # the library's


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

        one = configured_identity(IdentitySettings("default", sts_endpoint=cloud.sts_endpoint, ca_file=cloud.ca_file))

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
