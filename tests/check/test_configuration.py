"""``managed-credentials check``: a configuration that is right, its file, its cache file, and warnings."""

import json
import re
import subprocess

import pytest

from aliyun_sdk_secretsmanager_common_plugin import ManagedCredentials
from aliyun_sdk_secretsmanager_common_plugin import check as check_module
from aliyun_sdk_secretsmanager_testing import Fault
from tests.conftest import SECRET
from tests.instance import ROOT

from .conftest import DATE, PASSWORD, SCRIPT, Outcome, needs_library, of_client_key, of_oidc, of_role


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
        assert re.match(r"warning: .*, line \d+: an unknown key of 11 characters; did you mean 'secret_names'\?\Z", warning)
        assert "\n    " + warning + "\n" in run("--config", path, SECRET).output

    def test_is_named_with_the_ways_to_name_another(self, outcome, tmp_path):
        for path in (tmp_path, tmp_path / "nowhere.properties"):
            assert "or --config of managed-credentials check" in outcome(path).error()

    def test_with_a_password_where_its_variable_belongs_does_not_show_it(self, cloud, outcome, tmp_path):
        path = cloud.write_properties(
            tmp_path, cache_file_path="keys.cache", cache_file_password_from_env_variable=PASSWORD)

        error = outcome(path, SECRET).error()

        assert re.search(r"line \d+: cache_file_password_from_env_variable names .* {} characters".format(
            len(PASSWORD)), error)

    def test_through_a_process_substitution(self, cloud, tmp_path):
        path = cloud.write_properties(tmp_path)
        process = subprocess.run(
            ["bash", "-c", '"$0" "$1" "$2" "$3" --config <(cat "$4") ' + SECRET] + SCRIPT + [path], cwd=ROOT,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT)

        assert process.returncode == 0, process.stdout.decode()

    def test_of_the_usual_name_in_the_working_directory(self, cloud, run, properties):
        assert run(SECRET).exit_code == 0


class TestStrict:
    @pytest.fixture
    def strictly(self, run):
        def outcome(path, *secrets):
            result = run("--json", "--strict", "--config", str(path), *secrets)
            return Outcome(result.output, result.exit_code)

        return outcome

    def test_without_a_warning_is_right(self, cloud, strictly, tmp_path):
        found = strictly(cloud.write_properties(tmp_path), SECRET)

        assert found.code == 0, found.text
        assert [step["warnings"] for step in found.steps] == [[]] * len(found.steps)

    def test_lets_a_warning_about_the_file_fail_and_tries_the_rest(self, cloud, strictly, tmp_path):
        found = strictly(cloud.write_properties(tmp_path, secret_name="a"), SECRET)

        assert found.code == 1
        assert found.failed() == ["file"]
        (warning,) = found.steps[0]["warnings"]
        assert "did you mean 'secret_names'" in warning
        assert found.error().split("\n")[1] == "warning: " + warning
        assert found.of("key")[0]["ok"]

    def test_lets_a_certificate_that_ends_soon_fail(self, cloud, strictly, tmp_path, monkeypatch):
        monkeypatch.setattr(check_module, "CERTIFICATE_DAYS", 400000)

        assert strictly(cloud.write_properties(tmp_path), SECRET).failed() == ["gateway", "gateway"]

    def test_lets_gateways_with_different_versions_fail(self, cloud, strictly, tmp_path):
        answer = {"SecretData": json.dumps({"AccessKeyId": "LTAI-another", "AccessKeySecret": "s"}), "VersionId": "v0"}
        cloud.inject("secrets_manager", Fault.body(json.dumps(answer).encode()), region="cn-beijing")

        assert strictly(cloud.write_properties(tmp_path), SECRET).failed() == ["key"]

    def test_shows_what_was_found_beneath_the_step(self, cloud, run, tmp_path):
        result = run("--strict", "--config", cloud.write_properties(tmp_path, secret_name="a"), SECRET)

        assert result.exit_code == 1
        lines = result.output.splitlines()
        assert lines[0].startswith("\u2717 file ")
        assert lines[2].startswith("    warning: ")


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
