"""``managed-credentials check``: which checks run, what a failed one links to, and what is wrong on the command line."""

import pathlib

import pytest

from aliyun_sdk_secretsmanager_common_plugin import ConfigurationError
from aliyun_sdk_secretsmanager_common_plugin import check as check_module
from aliyun_sdk_secretsmanager_common_plugin.check import CHECKS, check
from aliyun_sdk_secretsmanager_common_plugin.settings import CREDENTIALS_TYPES, IdentitySettings, Settings
from aliyun_sdk_secretsmanager_testing import Fault
from tests.conftest import SECRET
from tests.instance import ROOT

from .conftest import Outcome, needs_library, of_client_key, of_role


@pytest.fixture
def only(cloud, run, tmp_path):
    def only(*names, path=None, secrets=(SECRET,)):
        flags = [flag for name in names for flag in ("--only", name)]
        result = run("--json", "--config", path or cloud.write_properties(tmp_path), *flags + list(secrets))
        return Outcome(result.output, result.exit_code)

    return only


class TestOnly:
    @pytest.mark.parametrize("name", list(CHECKS))
    def test_the_named_check_is_shown(self, only, name):
        assert {step["name"] for step in only(name).steps} == {name}

    def test_several(self, only):
        assert only("gateway", "file").names() == ["file", "gateway", "gateway"]

    @pytest.mark.parametrize(("names", "asked"), [(["identity"], []), (["gateway"], []), (["file", "cache-file"], [])])
    def test_nothing_is_read_that_is_not_needed(self, cloud, only, names, asked):
        only(*names)

        assert cloud.calls("secrets_manager") == asked

    @needs_library
    def test_a_needed_check_is_shown_if_it_fails(self, cloud, only, tmp_path):
        found = only("key", path=cloud.write_properties(
            tmp_path, **of_role(cloud, credentials_role_arn=cloud.role_arn + "x")))

        assert found.failed() == ["identity"]
        assert found.code == 1

    def test_a_check_that_needs_the_named_one_does_not_run(self, cloud, only):
        cloud.create_secret("other", secret_data="no key")

        assert only("secret", secrets=["other"]).code == 0
        assert only("key", secrets=["other"]).failed() == ["key"]

    def test_a_file_that_is_wrong_is_shown_whatever_was_chosen(self, only, tmp_path):
        assert only("cache-file", path=str(tmp_path / "nowhere")).failed() == ["file"]

    @pytest.mark.parametrize(("name", "said"), [("cache-file", "cache_file_path is not set"),
                                                ("secret", "no secret was tried"), ("key", "no secret was tried")])
    def test_that_there_is_nothing_to_try_is_said(self, only, name, said):
        found = only(name, secrets=())

        assert found.code == 0
        assert said in found.steps[0]["detail"]

    @pytest.mark.parametrize(("name", "nearest"), [("gatway", "'gateway'"), ("cache file", "'cache-file'")])
    def test_an_unknown_name_is_wrong_and_the_nearest_is_named(self, run, name, nearest):
        result = run("--only", name)

        assert result.exit_code == 2
        assert "did you mean {}?".format(nearest) in result.output

    def test_a_program_gets_an_error_for_an_unknown_name_at_once(self):
        with pytest.raises(ConfigurationError, match="there is no check 'keys'; did you mean 'key'"):
            check(only=["keys"])

    def test_strict_is_about_the_chosen_checks(self, cloud, run, tmp_path):
        path = cloud.write_properties(tmp_path, secret_name="a")

        assert run("--strict", "--only", "key", "--config", path, SECRET).exit_code == 0
        assert run("--strict", "--only", "file", "--config", path, SECRET).exit_code == 1


class TestList:
    def test_has_one_line_for_each_check(self, run):
        lines = run("--list").output.splitlines()

        assert [line.split()[0] for line in lines] == list(CHECKS)
        assert all(line.endswith(".") and len(line) <= 80 for line in lines)


class TestCommandLine:
    @pytest.mark.parametrize("name", ["", " "])
    def test_an_empty_name_of_the_file_is_said(self, run, properties, name):
        result = run("--config", name, SECRET)

        assert result.exit_code == 2
        assert "the name of the properties file is empty" in result.output

    def test_the_file_can_be_named_after_the_secrets(self, cloud, run, tmp_path):
        assert run(SECRET, "--config", cloud.write_properties(tmp_path)).exit_code == 0


class TestRemedy:
    def test_a_step_that_is_right_has_none(self, only):
        assert {(step["remedy"], step["link"]) for step in only("file", "key").steps} == {("", "")}

    @pytest.mark.parametrize("fault", [Fault.forbidden(), Fault.refuse(), Fault.html()])
    def test_a_failed_step_has_one_and_a_page_that_exists(self, cloud, run, tmp_path, fault):
        cloud.inject("secrets_manager", fault)
        result = run("--json", "--config", cloud.write_properties(tmp_path), SECRET, "unknown")

        failed = [step for step in Outcome(result.output, result.exit_code).steps if not step["ok"]]
        assert failed
        for step in failed:
            assert step["remedy"]
            assert (pathlib.Path(ROOT) / step["link"]).is_file()

    def test_the_page_of_an_identity_is_that_of_its_type(self, only, cloud, client_key, tmp_path):
        path = cloud.write_properties(tmp_path, **of_client_key(client_key(password="wrong")))

        (step,) = only("identity", path=path).steps
        assert step["link"] == "docs/secrets-manager/client-key.rst"

    @pytest.mark.parametrize("credentials_type", CREDENTIALS_TYPES)
    def test_every_type_has_a_page(self, credentials_type):
        page = check_module._identity_page(Settings(identity=IdentitySettings(credentials_type)))

        assert (pathlib.Path(ROOT) / "docs" / page).is_file()

    def test_a_warning_that_counts_as_failure_has_one(self, cloud, run, tmp_path):
        result = run("--json", "--strict", "--config", cloud.write_properties(tmp_path, secret_name="a"), SECRET)

        step = Outcome(result.output, result.exit_code).steps[0]
        assert "leave out --strict" in step["remedy"]
        assert step["link"] == "docs/configuration.rst"
