"""``managed-credentials refresh``: what it asks of Secrets Manager, what it prints, and how it ends."""

import os
import subprocess
import sys

import pytest

from aliyun_sdk_secretsmanager_common_plugin.secrecy import mask_access_key_id
from aliyun_sdk_secretsmanager_testing import Fault
from tests.conftest import SECRET
from tests.instance import ROOT

SCRIPT = [sys.executable, "-c", "from aliyun_sdk_secretsmanager_cli import main; main()", "refresh"]


@pytest.fixture
def path(cloud, tmp_path):
    return cloud.write_properties(tmp_path)


def line_of(cloud, name):
    version = cloud.secret(name).versions[-1]
    return "\u2713 secret   {}: {}, version {}".format(
        name, mask_access_key_id(version.access_key.access_key_id), version.version_id)


def asked(cloud):
    return [call.secret for call in cloud.calls("secrets_manager")]


class TestRead:
    def test_a_line_a_secret_with_the_key_of_now_each_read_once(self, cloud, command, path):
        cloud.create_secret("other/key")
        cloud.rotate(SECRET)

        result = command("refresh", "--config", path, SECRET, "other/key", SECRET)

        assert result.exit_code == 0
        assert result.output.splitlines() == [line_of(cloud, SECRET), line_of(cloud, "other/key")]
        assert asked(cloud) == [SECRET, "other/key"]

    def test_config_may_follow_the_secrets(self, cloud, command, path):
        assert command("refresh", SECRET, "--config", path).exit_code == 0
        assert asked(cloud) == [SECRET]

    def test_by_the_file_that_programs_read(self, cloud, command, path, monkeypatch):
        monkeypatch.setenv("MANAGED_CREDENTIALS_CONFIG", path)

        assert command("refresh", SECRET).exit_code == 0

    def test_secret_names_of_the_file_are_not_read(self, cloud, command, tmp_path):
        cloud.create_secret("other/key")

        command("refresh", "--config", cloud.write_properties(tmp_path, secret_names="other/key"), SECRET)

        assert asked(cloud) == [SECRET]

    def test_cache_file_is_neither_made_nor_an_answer(self, cloud, command, tmp_path, monkeypatch):
        monkeypatch.setenv("CACHE_PASSWORD", "the password of the file")
        path = cloud.write_properties(
            tmp_path, cache_file_path="keys.cache", cache_file_password_from_env_variable="CACHE_PASSWORD")

        assert command("refresh", "--config", path, SECRET).exit_code == 0
        assert not (tmp_path / "keys.cache").exists()

    def test_by_the_script_where_the_output_is_ascii(self, cloud, path):
        cloud.create_secret("\u5bc6\u94a5")
        process = subprocess.run(
            SCRIPT + ["--config", path, "\u5bc6\u94a5"], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            timeout=60, env=dict(os.environ, PYTHONIOENCODING="ascii", PYTHONUTF8="0", LC_ALL="C.UTF-8"))

        assert (process.returncode, process.stderr) == (0, b"")
        assert process.stdout.startswith(b"ok secret   \\u5bc6\\u94a5: LTAI********")


class TestNotRead:
    def test_each_says_why_and_what_to_do_and_the_others_are_read(self, cloud, command, path):
        cloud.create_secret("of another type", secret_data="{}", secret_type="Generic")

        result = command("refresh", "--config", path, "unknown", "of another type", SECRET)

        assert result.exit_code == 1
        lines = result.output.splitlines()
        assert lines[0] == "\u2717 secret   unknown"
        assert lines[1].startswith("    Forbidden.ResourceNotFound (HTTP status 404")
        assert lines[2] == ("    What to do: give the same file and secret to managed-credentials check, which tries "
                            "each gateway. See docs/command.rst")
        assert lines[3] == "\u2717 secret   of another type"
        assert "managed RAM credential (type 'RAMCredentials') is needed" in lines[4]
        assert lines[6:] == [line_of(cloud, SECRET)]

    def test_while_secrets_manager_is_down(self, cloud, command, tmp_path):
        cloud.inject("secrets_manager", Fault.reset())
        path = cloud.write_properties(tmp_path, fetch_timeout_milliseconds=500)

        result = command("refresh", "--config", path, SECRET)

        assert result.exit_code == 1
        assert result.output.startswith("\u2717 secret   {}\n    ".format(SECRET))

    def test_id_of_an_access_key_in_place_of_a_name_is_masked(self, cloud, command, path):
        result = command("refresh", "--config", path, cloud.identity.access_key_id)

        assert result.exit_code == 1
        assert mask_access_key_id(cloud.identity.access_key_id) in result.output
        assert cloud.identity.access_key_id not in result.output

    def test_with_a_file_that_cannot_be_used(self, command, tmp_path):
        result = command("refresh", "--config", tmp_path / "nowhere", SECRET)

        assert result.exit_code == 1
        lines = result.output.splitlines()
        assert lines[0] == "\u2717 file     {}".format(tmp_path / "nowhere")
        assert lines[-1].endswith("See docs/configuration.rst")

    def test_name_that_is_no_text(self, command, path):
        result = command("refresh", "--config", path, "a\udc80b")

        assert result.exit_code == 1
        assert "was not decoded as UTF-8" in result.output


@pytest.mark.parametrize(("arguments", "problem"), [
    ([], "Missing argument"),
    (["--config", "", SECRET], "the name of the properties file is empty"),
    (["--unknown", SECRET], "--unknown"),
])
def test_wrong_command_line(command, arguments, problem):
    result = command("refresh", *arguments)

    assert result.exit_code == 2
    assert problem in result.output
