"""What messages show of a wrong value, and what settings show of themselves: no secret."""

import json
import logging
import pickle
import re

import pytest

from aliyun_sdk_secretsmanager_common_plugin import ConfigurationError
from aliyun_sdk_secretsmanager_common_plugin.identities import configured_identity
from aliyun_sdk_secretsmanager_common_plugin.identities.identity import IdentityError
from aliyun_sdk_secretsmanager_common_plugin.settings import (
    KEYS,
    ClientKeySettings,
    DedicatedGatewaySettings,
    IdentitySettings,
    load_settings,
)
from aliyun_sdk_secretsmanager_common_plugin.settings.properties_file import read_properties
from tests.common.fakes import everything_in

from .conftest import GOOD, OIDC_KEYS, ROLE_KEYS, SECRET, instance


class TestWhatIsShownOfAValue:
    """A wrong value may be a secret, so that messages tell its line and its length."""

    @pytest.mark.parametrize("key", [
        "credentials_type", "secrets_client", "refresh_interval_milliseconds", "rotation_interval",
        "fetch_timeout_milliseconds", "renew_timeout_milliseconds", "replay_buffer_bytes", "replay_spool_bytes",
        "cache_client_region_id", "cache_client_dkms_config_info", "credentials_policy",
        "credentials_duration_seconds", "credentials_sts_endpoint", "credentials_sts_region_id"])
    def test_not_a_value_that_is_wrong(self, refused, write, key):
        values = dict(GOOD, **ROLE_KEYS)
        values[key] = SECRET

        message = refused(write(**values))

        assert "line {}: {} ".format(list(values).index(key) + 1, key) in message

    @pytest.mark.parametrize("value", ['"%s"', "['%s']", '[[["%s"]]]', '{"%s": 1}'])
    @pytest.mark.parametrize("field", [
        "regionId", "endpoint", "vpc", "ignoreSslCerts", "caFilePath", "clientKeyFile", "passwordFromFilePath",
        "passwordFromEnvVariable", "passwordFromFilePathName", "password", SECRET])
    @pytest.mark.parametrize("key", ["cache_client_region_id", "cache_client_dkms_config_info"])
    def test_not_a_field_that_is_wrong(self, write, caplog, key, field, value):
        (write("", name="key.json"), write("password", name="password"))
        entry = {"regionId": "cn-a", "endpoint": "kms.example.com", "clientKeyFile": "key.json",
                 "passwordFromFilePath": "password", field: "value"}
        text = json.dumps([entry]).replace('"value"', (value % SECRET).replace("'", '"'))

        try:
            load_settings(write(**{key: text}))
        except ConfigurationError as error:
            assert SECRET not in everything_in(error)
            assert "line" in str(error) and key in str(error)
        assert SECRET not in caplog.text

    @pytest.mark.parametrize("what", [
        "client_key_password", "cache_file_password", "shared_store_password", "shared_store_auth"])
    @pytest.mark.parametrize("source", ["env_variable", "file_path"])
    def test_not_a_password_in_the_place_of_its_variable_or_file(self, refused, write, what, source):
        write("", name="key.json")
        key = "{}_from_{}".format(what, source)
        others = {"client_key_password", "cache_file_password", "shared_store_password"} - {what}

        message = refused(write(**dict(
            {name + "_from_env_variable": "PATH" for name in others}, credentials_type="client_key",
            client_key_private_key_path="key.json", cache_file_path="cache", shared_store_url="redis://localhost",
            **{key: SECRET})))

        assert key in message and "{} characters".format(len(SECRET)) in message and "line " in message

    @pytest.mark.parametrize("key", [
        "client_key_private_key_path", "credentials_oidc_token_file_path", "client_key_password_from_file_path"])
    @pytest.mark.parametrize("value", [SECRET, "/" + SECRET, "no/such/directory/" + SECRET, "a/" + SECRET + "/b"])
    def test_not_a_path_in_no_directory_that_is_there(self, write, key, value, caplog):
        write("{}", name="key.json")
        type_of_key = {"credentials_oidc_token_file_path": OIDC_KEYS}.get(key, {
            "credentials_type": "client_key", "client_key_private_key_path": "key.json",
            "client_key_password_from_file_path": "key.json"})
        caplog.set_level(logging.DEBUG)

        with pytest.raises((ConfigurationError, IdentityError)) as caught:
            configured_identity(load_settings(write(**dict(type_of_key, **{key: value}))).identity).signer()

        assert SECRET not in everything_in(caught.value) + caplog.text

    @pytest.mark.parametrize("value", ["no-such-file", "'no-such-file'"])
    def test_not_the_name_of_a_key_that_an_entry_gives(self, refused, write, value):
        write("{}", name="key.json")
        entries = instance(passwordFromFilePath=None, passwordFromFilePathName=SECRET)

        message = refused(write("cache_client_dkms_config_info={}\n{}={}\n".format(entries, SECRET, value)))

        assert 'line 2: the value for "passwordFromFilePathName" ' in message

    def test_the_name_of_a_variable(self, refused, write):
        assert "'CACHE_FILE_PASSWORD_2'" in refused(write(
            cache_file_path="a", cache_file_password_from_env_variable="CACHE_FILE_PASSWORD_2"))

    @pytest.mark.parametrize("name", ["PASSWORD", "password_of_mine", "A__B", "1_A", "A_b"])
    def test_no_other_name_of_one(self, refused, write, name):
        message = refused(write(cache_file_path="a", cache_file_password_from_env_variable=name))

        assert name not in message.rpartition("cache_file_password_from_env_variable")[2]

    def test_the_path_of_a_file_that_may_be_meant(self, refused, write, tmp_path):
        for path in (str(tmp_path / "no-such-file"), "./no-such-file"):
            assert "no-such-file, No such file" in refused(write(
                cache_file_path="a", cache_file_password_from_file_path=path))

    def test_not_an_unknown_key(self, write, caplog):
        load_settings(write("".join("{}={}\n".format(*item) for item in GOOD.items()) + SECRET + "==\n"))

        assert "line 5: an unknown key of {} characters".format(len(SECRET)) in caplog.text
        assert SECRET not in caplog.text

    @pytest.mark.parametrize("key", [key for key in KEYS if key not in ("credentials_type", "secret_names")])
    @pytest.mark.parametrize("swallowed", [
        "credentials_access_secret={}", "  credentials_access_secret = {}", "my.own-key={}", "# old_secret={}",
        "export credentials_access_secret={}", "credentials_access_secret: {}", "old_secret:{}", "1pw={}"])
    def test_not_the_line_that_a_stray_backslash_joins(self, refused, write, key, swallowed):
        content = "credentials_type=ak\n{}=x\\\n{}\nsecret_names=a\n".format(key, swallowed.format(SECRET))

        message = refused(write(content))

        assert "line 2: the backslash at its end joins line 3 to it, which has a key of its own" in message

    @pytest.mark.parametrize("swallowed", ["credentials_access_secret={}", "export secret={}", "secret: {}", "1pw={}"])
    def test_not_as_the_name_of_a_secret(self, refused, write, swallowed):
        message = refused(write("credentials_type=ak\nsecret_names=a\\\n{}\n".format(swallowed.format(SECRET))))

        assert "line 2: the backslash at its end joins line 3" in message

    def test_not_the_secret_that_stands_where_the_id_belongs(self, refused, write):
        message = refused(write(credentials_access_key_id=SECRET, credentials_access_secret="LTAI5t0123456789abcdef"))

        assert "credentials_access_secret is the id of an AccessKey; the id and the secret may have changed" in message

    def test_a_value_of_several_lines_is_named_by_all(self, refused, write):
        assert "lines 1 to 3: cache_client_region_id" in refused(write("cache_client_region_id=[\\\n1\\\n]\n"))

    def test_base64_and_json_may_be_continued(self, write):
        entries = read_properties(write("a=CAIS\\\nabcd==\nb=[\\\n{\"x\": \\\n\"y=z\"}]\n"))

        assert {key: entry.value for key, entry in entries.items()} == {"a": "CAISabcd==", "b": '[{"x": "y=z"}]'}


class TestSlips:
    """Values that were left from an example or a shell."""

    @pytest.mark.parametrize("key", sorted(GOOD))
    @pytest.mark.parametrize("quotes", ['""', "''", "\u201c\u201d"])
    def test_quotes(self, refused, write, key, quotes):
        message = refused(write(**{key: quotes[0] + GOOD[key] + quotes[1]}))

        assert "{} is in quotes; values are raw: take the quotes away".format(key) in message

    @pytest.mark.parametrize(("key", "value"), [
        ("credentials_access_key_id", "<access key id>"), ("credentials_access_secret", "<\u5bc6\u94a5>"),
        ("credentials_access_key_id", "#access_key_id#"), ("credentials_role_arn", "acs:ram::<account id>:role/app"),
        ("cache_client_region_id", '[{"regionId": "<region>"}]'), ("cache_client_region_id", '[{"regionId": "#region#"}]'),
        ("credentials_sts_endpoint", "sts.<region>.aliyuncs.com"),
        ("credentials_access_secret", "${SECRET}"), ("credentials_access_key_id", "yourAccessKeyId"),
        ("credentials_access_secret", "your-access-key-secret")])
    def test_placeholders(self, refused, write, key, value):
        message = refused(write(**dict(ROLE_KEYS, **{key: value})))

        assert "{} still has a placeholder; put the real value in its place".format(key) in message

    def test_placeholder_of_a_key_that_is_not_in_use_is_none_of_ours(self, write):
        assert load_settings(write(credentials_security_token="<security token>")).identity.security_token == ""

    def test_placeholder_in_the_passwords_file(self, refused, write):
        write("<password>\n", name="password")

        assert "holds a placeholder" in refused(write(
            cache_file_path="a", cache_file_password_from_file_path="password"))

    @pytest.mark.parametrize("names", ['["a","b"]', "a,'b'", "<a>, b", '"a", b', "a, b]"])
    def test_quotes_and_brackets_around_names_of_secrets(self, refused, write, names):
        assert re.search("a quote or a bracket in name|is in quotes|a placeholder", refused(write(secret_names=names)))

    @pytest.mark.parametrize("secret_names", ["LTAI5tFooBarBaz0123456789", "a, LTAI4FooBarBaz0123,b"])
    def test_id_of_an_access_key_as_the_name_of_a_secret(self, refused, write, secret_names):
        message = refused(write(secret_names=secret_names))

        assert re.search(r"line 5: secret_names name \d: LTAI\*{8}\w{4} is the id of an AccessKey; give the name", message)
        assert "BarBaz" not in message

    @pytest.mark.parametrize("value", ["a\x01b", "a\x7fb", "a\nb", "a\rb", "a\tb\x0bc"])
    def test_control_characters(self, monkeypatch, refused, write, value):
        monkeypatch.setenv("credentials_access_secret", value)

        assert "credentials_access_secret has a control character" in refused(write())

    @pytest.mark.parametrize("value", ["a\\u0000b", "\\ud800", "a\\nb"])
    @pytest.mark.parametrize("field", ["endpoint", "clientKeyFile", "caFilePath", "passwordFromFilePath"])
    def test_control_characters_that_json_escapes(self, refused, write, field, value):
        (write("", name="key.json"), write("password", name="password"))
        text = instance(**{field: "value"}).replace('"value"', '"%s"' % value)

        assert '"{}" has a control character'.format(field) in refused(write(cache_client_dkms_config_info=text))

    def test_blanks_around_a_variables_value_do_not_count(self, monkeypatch, write):
        monkeypatch.setenv("credentials_access_secret", " other\n")

        assert load_settings(write()).identity.access_key_secret == "other"

    def test_access_key_id_that_is_none(self, refused, write):
        assert "credentials_access_key_id is a value of 5 characters that is no AccessKey id" in refused(
            write(credentials_access_key_id="a b=c"))


class TestSecrecy:
    def test_settings_show_no_secret(self, write):
        settings = load_settings(write(secret_names="a"))

        for text in (repr(settings), str(settings), "{}".format(settings), "%s" % (settings,)):
            assert SECRET not in text
            assert GOOD["credentials_access_key_id"] not in text
        assert "cn-hangzhou" in repr(settings)

    def test_settings_survive_pickling_whole(self, write):
        settings = load_settings(write())

        assert pickle.loads(pickle.dumps(settings)) == settings

    def test_loading_logs_no_secret(self, write, caplog):
        caplog.set_level(logging.DEBUG)

        load_settings(write(credentials_acces_secret=SECRET, secret_name=SECRET))

        assert len(caplog.records) == 2
        assert SECRET not in caplog.text

    def test_parts_of_settings_show_no_secret(self):
        client_key = ClientKeySettings("key.json", SECRET)
        for part in (client_key, IdentitySettings("sts_token", "LTAI1", SECRET, SECRET, client_key=client_key),
                     DedicatedGatewaySettings("cn-a", "kst-a.example.com", client_key)):
            assert SECRET not in repr(part)
