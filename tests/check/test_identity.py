"""``managed-credentials check``: the step of the identity."""

import json
import re
import sys

import pytest

from aliyun_sdk_secretsmanager_common_plugin.identities.identity import Identity
from aliyun_sdk_secretsmanager_testing import Fault
from tests.conftest import SECRET
from tests.instance import namespace

from .conftest import Outcome, needs_library, of_client_key, of_oidc, of_role, wait_for_threads_of_the_check


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

    def test_whose_secret_is_another_says_what_to_do_first_and_shows_no_id(self, cloud, outcome, tmp_path):
        found = outcome(cloud.write_properties(tmp_path, credentials_access_secret="x" * 30), SECRET)

        assert found.failed() == ["secret", "secret"]
        detail = found.of("secret")[0]["detail"]
        assert re.match(r"SignatureDoesNotMatch \(.*\): Secrets Manager in cn-hangzhou .*: check the identity ", detail)
        assert "server string to sign is:POST" in detail
        assert "AccessKeyId%3DLTAI********" in detail

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
from aliyun_sdk_secretsmanager_cli.command import _group

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
