"""``managed-credentials init``: what it writes is loaded and works, and what it refuses."""

import importlib.util
import os
import re
import stat
import sys

import pytest

from aliyun_sdk_secretsmanager_cli import init as init_module
from aliyun_sdk_secretsmanager_cli.questions import WAYS, questions_for
from aliyun_sdk_secretsmanager_common_plugin.settings import CREDENTIALS_TYPES, load_settings
from tests.conftest import SECRET

PASSWORD = "The-Password-Of-The-Client-Key"
KEY = ["--type", "ak", "--access-key-id", "LTAI5tABCDEFGHIJKLMNOPQR", "--secret-stdin"]
SECRET_OF_KEY = "AbCdEfGhIjKlMnOpQrStUvWxYz0123\n"
needs_library = pytest.mark.skipif(
    importlib.util.find_spec("alibabacloud_credentials") is None, reason="alibabacloud-credentials is not installed")


@pytest.fixture
def flags_of(cloud, tmp_path):
    """Return the flags and the standard input that a type needs on the local cloud."""
    pair = cloud.identity

    def key():
        return ["--access-key-id", pair.access_key_id, "--secret-stdin"], pair.access_key_secret + "\n"

    def sts_token():
        temporary = cloud.add_identity(token=True)
        return (["--access-key-id", temporary.access_key_id, "--secret-stdin"],
                "{}\n{}\n".format(temporary.access_key_secret, temporary.security_token))

    def ram_role():
        flags, text = key()
        return flags + ["--role-arn", cloud.role_arn, "--role-session-name", "app"], text

    def oidc_role_arn():
        (tmp_path / "token").write_text(cloud.oidc_token())
        return ["--role-arn", cloud.role_arn, "--oidc-provider-arn", cloud.oidc_provider_arn,
                "--oidc-token-file", "token"], ""

    def client_key():
        (tmp_path / "password").write_text(PASSWORD)
        return ["--client-key-file", cloud.create_client_key(tmp_path, PASSWORD).path,
                "--password-file", "password"], ""

    def dedicated():
        flags, text = client_key()
        return flags + ["--region", "cn-hangzhou", "--endpoint", cloud.dedicated_endpoint(),
                        "--ca-file", cloud.ca_file], text

    made = {"ak": key, "token": key, "sts_token": sts_token, "ram_role": ram_role, "oidc_role_arn": oidc_role_arn,
            "credentials_uri": lambda: (["--uri", cloud.credentials_uri], ""), "client_key": client_key,
            "dedicated": dedicated}

    def flags_of(way):
        flags, text = made.get(way, lambda: ([], ""))()
        if way != "dedicated":
            flags = flags + ["--regions", "cn-hangzhou=" + cloud.gateway_endpoint()]
        return ["--type", way] + flags, text

    return flags_of


class TestWritten:
    @pytest.mark.parametrize("way", [
        pytest.param(way, marks=needs_library) if way in ("ram_role", "oidc_role_arn", "credentials_uri") else way
        for way in WAYS if way not in ("ecs_ram_role", "default")])
    def test_passes_the_check_for_each_type_on_the_local_cloud(self, cloud, command, flags_of, monkeypatch, way):
        flags, text = flags_of(way)
        monkeypatch.setenv("credentials_sts_endpoint", cloud.sts_endpoint)

        written = command("init", "my.properties", *flags, input=text)
        checked = command("check", "--config", "my.properties", "--strict", SECRET)

        assert written.exit_code == 0, written.output
        assert checked.exit_code == 0, checked.output

    @pytest.mark.parametrize("way", ["ecs_ram_role", "default"])
    def test_loads_for_the_types_that_take_the_key_of_the_machine(self, command, flags_of, way):
        assert command("init", "my.properties", *flags_of(way)[0]).exit_code == 0

        assert load_settings("my.properties").identity.credentials_type == way

    def test_every_type_can_be_asked_for(self):
        assert set(WAYS) - {"dedicated"} == set(CREDENTIALS_TYPES) - {"sts"}, "sts is another name of ram_role"

    def test_is_read_by_nobody_else_and_says_the_next_command(self, command):
        result = command("init", "a b.properties", *KEY + ["--regions", "cn-hangzhou"], input=SECRET_OF_KEY)

        assert "\n    managed-credentials check --config 'a b.properties' SECRET\n" in result.output
        assert stat.S_IMODE(os.stat("a b.properties").st_mode) == 0o600
        assert SECRET_OF_KEY.strip() not in result.output

    def test_has_the_usual_name_where_none_is_given(self, command):
        command("init", *KEY + ["--regions", "cn-hangzhou", "--secret-names", SECRET], input=SECRET_OF_KEY)

        assert load_settings().secret_names == (SECRET,)

    def test_names_the_gateways_of_a_vpc_but_where_an_endpoint_is_given(self, command):
        command("init", "a", *KEY + ["--regions", "cn-hangzhou, cn-beijing=kms.example.com", "--vpc", "yes"],
                input=SECRET_OF_KEY)

        assert [gateway.endpoint for gateway in load_settings("a").shared_gateways] == [
            "kms-vpc.cn-hangzhou.aliyuncs.com", "kms.example.com"]

    def test_works_from_any_directory(self, command, tmp_path, flags_of):
        os.mkdir("elsewhere")
        command("init", "elsewhere/a", *flags_of("dedicated")[0])

        assert load_settings("elsewhere/a").dedicated_gateways[0].client_key.password == PASSWORD

    def test_leaves_out_what_the_environment_of_the_application_says(self, command, monkeypatch):
        for name in ("ROLE_ARN", "OIDC_PROVIDER_ARN", "OIDC_TOKEN_FILE"):
            monkeypatch.setenv("ALIBABA_CLOUD_" + name, "/of-the-pod")

        assert command("init", "a", "--type", "oidc_role_arn", "--regions", "cn-hangzhou").exit_code == 0
        assert load_settings("a").identity.role_arn == "/of-the-pod"
        with open("a") as file:
            assert "of-the-pod" not in file.read()


class TestRefused:
    @pytest.mark.parametrize("make", [
        lambda path: path.write_text("mine"), lambda path: path.mkdir(), lambda path: path.symlink_to("nowhere")])
    def test_a_file_that_exists_whatever_it_is(self, command, tmp_path, make):
        make(tmp_path / "a")

        result = command("init", "a", *KEY + ["--regions", "cn-hangzhou"], input=SECRET_OF_KEY)

        assert result.exit_code == 1
        assert "Cannot write a: it exists already; name another file" in result.output
        assert not (tmp_path / "nowhere").exists()

    def test_a_file_that_appears_while_it_asks(self, command, tmp_path, monkeypatch):
        (tmp_path / "a").write_text("mine")
        monkeypatch.setattr(os.path, "lexists", lambda path: False)

        result = command("init", "a", *KEY + ["--regions", "cn-hangzhou"], input=SECRET_OF_KEY)

        assert result.exit_code == 1
        assert (tmp_path / "a").read_text() == "mine"

    def test_nothing_stays_of_a_file_that_cannot_be_written_whole(self, tmp_path):
        with pytest.raises(UnicodeEncodeError):
            init_module._write(str(tmp_path / "a"), "x" * 100000 + "\ud800")

        assert os.listdir(str(tmp_path)) == []

    def test_a_directory_that_does_not_exist(self, command):
        result = command("init", "nowhere/a", *KEY + ["--regions", "cn-hangzhou"], input=SECRET_OF_KEY)

        assert result.exit_code == 1
        assert "Cannot write nowhere/a: No such file or directory" in result.output

    def test_missing_flags_are_named_where_there_is_no_terminal(self, command):
        assert "give --type\n" in command("init", "a").output
        result = command("init", "a", "--type", "ram_role", "--regions", "cn-hangzhou")

        assert result.exit_code == 2
        assert "--access-key-id, --secret-stdin (AccessKey secret), --role-arn, --role-session-name\n" in result.output
        assert not os.path.exists("a")

    @pytest.mark.parametrize(("flags", "what"), [
        (["--type", "ram_rol"], "did you mean 'ram_role'?"),
        (["--type", "ak", "--access-key-id", "a b"], "credentials_access_key_id is a value of 3 characters"),
        (["--type", "ak", "--access-key-id", "<access key id>"], "still has a placeholder"),
        (["--type", "ak", "--regions", "hangzhou"], 'name a region, such as "cn-hangzhou"'),
        (["--type", "ak", "--regions", "cn-hangzhou="], "the endpoint after cn-hangzhou= is empty"),
        (["--type", "ak", "--regions", ""], "an answer is needed"),
        (["--type", "ak", "--vpc", "maybe"], "answer yes or no"),
        (["--type", "ak", "--uri", "http://a"], "--uri does not go with --type ak"),
        (["--type", "ecs_ram_role", "--regions", "cn-hangzhou", "--role-name", "a\\"], "ends in a backslash"),
        (["--type", "credentials_uri", "--uri", "nowhere"], "is no URL"),
        (["--type", "client_key", "--client-key-file", "no.json"], "give the file that was downloaded from KMS"),
        (["--type", "client_key", "--password-file", "no"], "write the password into it"),
        (["--type", "ak", "--secret-names", "a,,b"], "has an empty name"),
    ])
    def test_a_flag_that_is_wrong_is_named_with_what_to_write(self, command, flags, what):
        result = command("init", "a", *flags)

        assert result.exit_code == 2
        assert what in result.output
        assert not os.path.exists("a")

    def test_the_id_in_the_place_of_the_secret_is_not_shown(self, command):
        result = command("init", "a", *KEY + ["--regions", "cn-hangzhou"], input="has \x01 a control\n")

        assert result.exit_code == 2
        assert "credentials_access_secret has a control character" in result.output
        assert "has \x01" not in result.output

    def test_no_flag_takes_a_secret(self, command):
        shown = command("init", "--help").output

        for way in WAYS:
            for question in questions_for({"type": way}):
                flag = "--" + question.name.replace("_", "-") + " "
                assert (flag in shown) is not question.secret


@pytest.mark.skipif(sys.platform == "win32", reason="there are no terminals")
class TestHelp:
    @pytest.mark.parametrize("columns", [80, 120])
    @pytest.mark.parametrize("arguments", [[], ["init"], ["check"], ["demo"], ["refresh"]])
    def test_fits_and_is_not_cut(self, command, arguments, columns):
        lines = command(*arguments + ["--help"], terminal_width=columns).output.splitlines()

        assert all(len(line) <= columns and not re.search(r"[\w,]\.\.\.\Z", line) for line in lines)
