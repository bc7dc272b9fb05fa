"""The properties file and the environment: what they say, and what is said of what is wrong in them."""

import json
import logging
import os
import pickle
import ssl

import pytest
import trustme
from hypothesis import given
from hypothesis import strategies as st

from aliyun_sdk_secretsmanager_common_plugin import ConfigLoader, ConfigurationError, ManagedCredentialsError
from aliyun_sdk_secretsmanager_common_plugin import settings as settings_module
from aliyun_sdk_secretsmanager_common_plugin.settings import (
    DEFAULT_CONFIG_NAME,
    KEYS,
    ClientKeySettings,
    DedicatedGatewaySettings,
    IdentitySettings,
    Settings,
    SharedGatewaySettings,
    load_settings,
    read_properties,
    system_ca,
)
from aliyun_sdk_secretsmanager_common_plugin.utils import config_loader

from .fakes import everything_in, quick

SECRET = "TheSecretThatNobodyMaySee42"
GOOD = {
    "credentials_type": "ak",
    "credentials_access_key_id": "LTAI5tIdentity0123456789",
    "credentials_access_secret": SECRET,
    "cache_client_region_id": '[{"regionId": "cn-hangzhou"}]',
}


@pytest.fixture(autouse=True)
def no_keys_in_the_environment(monkeypatch):
    for name in KEYS + tuple(settings_module._VARIABLES.values()):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def write(tmp_path):
    """Write a properties file of text or bytes, or of GOOD with changes; None takes a key out. Return its path."""

    def write_properties(content=None, name="some.properties", **changes):
        if content is None:
            values = dict(GOOD, **changes)
            content = "".join("{}={}\n".format(*item) for item in values.items() if item[1] is not None)
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode("utf-8"))
        return str(path)

    return write_properties


@pytest.fixture(scope="module")
def ca_pem():
    return trustme.CA().cert_pem.bytes()


@pytest.fixture
def ca_file(tmp_path, ca_pem):
    path = tmp_path / "ca.pem"
    path.write_bytes(ca_pem)
    return path


@pytest.fixture
def refused(caplog):
    """Load settings that are wrong; return the message, after a look for secrets in all that could be reported."""

    def load(path=None):
        caplog.set_level(logging.DEBUG)
        with pytest.raises(ConfigurationError) as caught:
            load_settings(path)
        assert SECRET not in everything_in(caught.value)
        assert SECRET not in caplog.text
        return str(caught.value)

    return load


class TestGoodFile:
    def test_says_who_we_are_and_where_secrets_manager_is(self, write):
        settings = load_settings(write())

        assert settings.identity.access_key_id == GOOD["credentials_access_key_id"]
        assert settings.identity.access_key_secret == SECRET
        assert settings.shared_gateways == (SharedGatewaySettings("cn-hangzhou", "kms.cn-hangzhou.aliyuncs.com"),)

    def test_defaults_are_those_of_the_design(self, write):
        settings = load_settings(write())

        assert settings.secret_names == ()
        assert (settings.refresh_interval, settings.fetch_timeout, settings.renew_timeout) == (3600.0, 10.0, 2.0)

    def test_times_are_milliseconds(self, write):
        settings = load_settings(write(refresh_interval_milliseconds="60000", fetch_timeout_milliseconds="1500",
                                       renew_timeout_milliseconds="1"))

        assert (settings.refresh_interval, settings.fetch_timeout, settings.renew_timeout) == (60.0, 1.5, 0.001)

    def test_secret_names_are_separated_by_commas(self, write):
        assert load_settings(write(secret_names=" a/b , c ,d")).secret_names == ("a/b", "c", "d")

    def test_monitor_keys_of_the_existing_plugin_are_taken_in_silence(self, write, caplog):
        load_settings(write(monitor_period_milliseconds="1000", monitor_customer_milliseconds="1000"))

        assert caplog.records == []

    @pytest.mark.parametrize("vpc", ["true", '"true"', '"TRUE"'])
    def test_vpc_takes_the_vpc_endpoint(self, write, vpc):
        settings = load_settings(write(cache_client_region_id='[{"regionId": "cn-a", "vpc": %s}]' % vpc))

        assert settings.shared_gateways[0].endpoint == "kms-vpc.cn-a.aliyuncs.com"

    @pytest.mark.parametrize("vpc", ["false", '"false"'])
    def test_vpc_that_is_false_takes_the_public_endpoint(self, write, vpc):
        settings = load_settings(write(cache_client_region_id='[{"regionId": "cn-a", "vpc": %s}]' % vpc))

        assert settings.shared_gateways[0].endpoint == "kms.cn-a.aliyuncs.com"

    def test_endpoint_wins_over_vpc(self, write):
        settings = load_settings(write(
            cache_client_region_id='[{"regionId": "cn-a", "vpc": true, "endpoint": "kms.example.com:8443"}]'))

        assert settings.shared_gateways[0].endpoint == "kms.example.com:8443"

    def test_regions_stay_in_order(self, write):
        settings = load_settings(write(
            cache_client_region_id='[{"regionId": "cn-b"}, {"regionId": "cn-a"}, {"regionId": "cn-c"}]'))

        assert [gateway.region_id for gateway in settings.shared_gateways] == ["cn-b", "cn-a", "cn-c"]

    def test_ca_path_is_relative_to_the_file_not_to_the_working_directory(
            self, write, ca_file, tmp_path, monkeypatch):
        elsewhere = tmp_path / "elsewhere"
        elsewhere.mkdir()
        monkeypatch.chdir(str(elsewhere))

        settings = load_settings(write(cache_client_region_id='[{"regionId": "cn-a", "caFilePath": "ca.pem"}]'))

        assert settings.shared_gateways[0].ca_file == str(ca_file)

    def test_ca_path_stays_right_when_the_working_directory_changes_later(self, write, ca_file, tmp_path, monkeypatch):
        monkeypatch.chdir(str(tmp_path))
        write(cache_client_region_id='[{"regionId": "cn-a", "caFilePath": "ca.pem"}]')

        settings = load_settings("some.properties")

        assert os.path.isabs(settings.shared_gateways[0].ca_file)

    def test_absolute_ca_path(self, write, ca_file):
        settings = load_settings(write(
            cache_client_region_id='[{"regionId": "cn-a", "caFilePath": "%s"}]' % ca_file))

        assert settings.shared_gateways[0].ca_file == str(ca_file)

    def test_settings_are_immutable(self, write):
        settings = load_settings(write())

        with pytest.raises(AttributeError):
            settings.secret_names = ()

    def test_equal_files_make_equal_settings_and_others_do_not(self, write):
        assert load_settings(write()) == load_settings(write(name="copy.properties"))
        assert load_settings(write()) != load_settings(write(name="other.properties", credentials_access_secret="x"))


class TestSyntax:
    def read(self, write, content):
        return read_properties(write(content))

    def test_comments_and_blank_lines_are_skipped(self, write):
        assert self.read(write, "# a=1\n! b=2\n\n   \n   # c=3\nd=4\n") == {"d": "4"}

    def test_number_sign_within_a_value_belongs_to_it(self, write):
        assert self.read(write, "a=b#c # d\n") == {"a": "b#c # d"}

    def test_first_equals_sign_separates(self, write):
        assert self.read(write, "a=b=c==\n") == {"a": "b=c=="}

    def test_spaces_around_key_and_value_do_not_count(self, write):
        assert self.read(write, "  a  =  b c  \n") == {"a": "b c"}

    def test_backslash_at_the_end_continues_the_line(self, write):
        assert self.read(write, "a=[1,\\\n    2,\\\n    3]\nb=4\n") == {"a": "[1,2,3]", "b": "4"}

    def test_backslash_at_the_end_of_the_file_is_no_error(self, write):
        assert self.read(write, "a=b\\") == {"a": "b"}

    def test_comment_is_not_continued(self, write):
        assert self.read(write, "# a comment\\\na=1\n") == {"a": "1"}

    def test_backslashes_within_a_value_are_raw(self, write):
        assert self.read(write, "a=C:\\new\\table\\u0041.pem\n") == {"a": "C:\\new\\table\\u0041.pem"}

    def test_byte_order_mark_is_skipped(self, write):
        assert self.read(write, b"\xef\xbb\xbfa=1\n") == {"a": "1"}

    @pytest.mark.parametrize("newline", ["\n", "\r\n", "\r"])
    def test_line_ends_of_every_system(self, write, newline):
        assert self.read(write, "a=1{0}b=2{0}".format(newline)) == {"a": "1", "b": "2"}

    def test_no_line_end_at_the_end(self, write):
        assert self.read(write, "a=1") == {"a": "1"}

    def test_last_of_two_equal_keys_counts_and_a_warning_names_it(self, write, caplog):
        assert self.read(write, "a={0}1\nb=2\na={0}2\n".format(SECRET)) == {"a": SECRET + "2", "b": "2"}
        assert "line 3" in caplog.text
        assert "'a'" in caplog.text
        assert SECRET not in caplog.text

    def test_empty_file_has_no_keys(self, write):
        assert self.read(write, "") == {}

    @pytest.mark.parametrize("separator", ["\u2028", "\x85", "\x0c", "\x1c"])
    def test_only_line_ends_end_a_line(self, write, separator):
        assert self.read(write, "a=b{}c\nd=1\n".format(separator)) == {"a": "b{}c".format(separator), "d": "1"}

    @quick
    @given(
        values=st.dictionaries(
            st.from_regex(r"[a-z_]{1,12}", fullmatch=True),
            st.text(st.characters(blacklist_categories=["Cs"], blacklist_characters="\r\n"), max_size=30)
            .map(lambda text: text.strip().rstrip("\\").strip())
            .filter(lambda text: not text.endswith("\\")),
            max_size=5,
        ),
        noise=st.sampled_from(["", "\n", "# x=y\\\n", "  ! x\n"]),
        newline=st.sampled_from(["\n", "\r\n"]),
        bom=st.booleans(),
    )
    def test_what_was_written_is_read(self, values, noise, newline, bom, tmp_path_factory):
        path = tmp_path_factory.getbasetemp() / "round-trip.properties"
        text = "".join("{}{} = {}\n".format(noise, *item) for item in values.items())
        path.write_bytes(text.replace("\n", newline).encode("utf-8-sig" if bom else "utf-8"))

        assert read_properties(str(path)) == values


class TestWhichFile:
    def test_the_one_in_the_working_directory(self, write, tmp_path):
        write(name=DEFAULT_CONFIG_NAME, credentials_access_key_id="LTAIdefault")

        assert DEFAULT_CONFIG_NAME == "managed_credentials_providers.properties"
        assert load_settings().identity.access_key_id == "LTAIdefault"

    def test_the_one_that_the_environment_names(self, write, monkeypatch):
        write(name=DEFAULT_CONFIG_NAME)
        monkeypatch.setenv("MANAGED_CREDENTIALS_CONFIG", write(credentials_access_key_id="LTAIenvironment"))

        assert load_settings().identity.access_key_id == "LTAIenvironment"

    def test_the_one_that_set_config_name_says_before_that_of_the_environment(self, write, monkeypatch):
        monkeypatch.setenv("MANAGED_CREDENTIALS_CONFIG", write(name="a", credentials_access_key_id="LTAIenvironment"))
        ConfigLoader.set_config_name(write(name="b", credentials_access_key_id="LTAIset"))

        assert load_settings().identity.access_key_id == "LTAIset"

    def test_set_config_name_of_none_goes_back(self, write):
        write(name=DEFAULT_CONFIG_NAME, credentials_access_key_id="LTAIdefault")
        ConfigLoader.set_config_name(write())
        ConfigLoader.set_config_name(None)

        assert load_settings().identity.access_key_id == "LTAIdefault"
        assert ConfigLoader.get_config_name() == DEFAULT_CONFIG_NAME

    def test_set_config_name_takes_a_path_relative_to_the_working_directory(self, write):
        write(credentials_access_key_id="LTAIset")
        ConfigLoader.set_config_name("some.properties")

        assert load_settings().identity.access_key_id == "LTAIset"

    def test_an_argument_before_all(self, write):
        ConfigLoader.set_config_name(write(name="b"))

        assert load_settings(write(credentials_access_key_id="LTAIargument")).identity.access_key_id == "LTAIargument"

    def test_documented_path_of_the_loader_is_the_same_loader(self):
        assert config_loader.ConfigLoader is ConfigLoader


class TestEnvironment:
    @pytest.mark.parametrize(("name", "value", "field", "expected"), [
        ("credentials_type", "ecs_ram_role", "identity", IdentitySettings("ecs_ram_role")),
        ("secret_names", "a,b", "secret_names", ("a", "b")),
        ("renew_timeout_milliseconds", "3000", "renew_timeout", 3.0),
        ("cache_client_region_id", '[{"regionId": "cn-x"}]', "shared_gateways",
         (SharedGatewaySettings("cn-x", "kms.cn-x.aliyuncs.com"),)),
    ])
    def test_variable_of_a_keys_name_overrides_the_file(self, write, monkeypatch, name, value, field, expected):
        monkeypatch.setenv(name, value)

        assert getattr(load_settings(write()), field) == expected

    def test_variable_overrides_a_part_of_the_identity(self, write, monkeypatch):
        monkeypatch.setenv("credentials_access_key_id", "LTAIother")

        assert load_settings(write()).identity.access_key_id == "LTAIother"

    def test_variable_stands_for_a_key_that_the_file_lacks(self, write, monkeypatch):
        monkeypatch.setenv("credentials_access_secret", "other")

        assert load_settings(write(credentials_access_secret=None)).identity.access_key_secret == "other"

    def test_environment_alone_may_hold_all(self, monkeypatch):
        for item in GOOD.items():
            monkeypatch.setenv(*item)

        assert load_settings().identity.access_key_secret == SECRET

    def test_environment_does_not_stand_for_a_file_that_was_named(self, monkeypatch, refused, tmp_path):
        for item in GOOD.items():
            monkeypatch.setenv(*item)
        ConfigLoader.set_config_name(str(tmp_path / "gone.properties"))

        assert "gone.properties" in refused()

    def test_message_about_a_wrong_variable_names_the_environment(self, write, monkeypatch, refused):
        monkeypatch.setenv("renew_timeout_milliseconds", "soon")

        message = refused(write())

        assert "environment" in message
        assert "some.properties" not in message


class TestBadFile:
    def test_missing(self, refused, tmp_path):
        message = refused(str(tmp_path / "missing.properties"))

        assert str(tmp_path / "missing.properties") in message
        assert "No such file" in message
        assert "set_config_name" in message
        assert "MANAGED_CREDENTIALS_CONFIG" in message

    def test_missing_default_names_its_full_path(self, refused, tmp_path):
        assert str(tmp_path / DEFAULT_CONFIG_NAME) in refused()

    def test_unreadable(self, refused, write, monkeypatch):
        def may_not(path, *args, **kwargs):
            raise PermissionError(13, "Permission denied", path)

        path = write()
        monkeypatch.setattr(settings_module, "open", may_not, raising=False)

        message = refused(path)

        assert path in message
        assert "Permission denied" in message

    def test_directory(self, refused, tmp_path):
        assert str(tmp_path) in refused(str(tmp_path))

    @pytest.mark.parametrize("encoded", [
        "credentials_access_secret={}\nname=\u4f60\n".format(SECRET).encode("gbk"),
        "credentials_access_secret={}\n".format(SECRET).encode("utf-16"),
    ])
    def test_no_utf8(self, refused, write, encoded):
        message = refused(write(encoded))

        assert "UTF-8" in message
        assert "some.properties" in message

    def test_line_without_equals_sign_is_named_by_number_and_not_shown(self, refused, write):
        message = refused(write("a=1\n\n# c\n{}\nb=2\n".format(SECRET)))

        assert "line 4" in message
        assert "some.properties" in message

    def test_line_without_key(self, refused, write):
        assert "line 2" in refused(write("a=1\n={}\n".format(SECRET)))

    def test_errors_are_of_the_suite_and_value_errors(self, refused, write):
        with pytest.raises(ManagedCredentialsError) as caught:
            load_settings(write(""))

        assert isinstance(caught.value, ValueError)


class TestBadKey:
    @pytest.mark.parametrize("name", sorted(GOOD))
    @pytest.mark.parametrize("value", [None, "", "   "])
    def test_missing_or_empty(self, refused, write, name, value):
        message = refused(write(**{name: value}))

        assert name in message
        assert "some.properties" in message
        assert "missing or empty" in message

    @pytest.mark.parametrize("value", ["key", "AK", "ecs_ram_role_x"])
    def test_unknown_credentials_type_lists_the_known(self, refused, write, value):
        message = refused(write(credentials_type=value))

        assert repr(value) in message
        assert all(known in message for known in settings_module.CREDENTIALS_TYPES)
        assert "credentials_type" in message

    def test_bearer_token_is_none_that_secrets_manager_takes_and_the_types_that_work_are_named(self, refused, write):
        message = refused(write(credentials_type="bearer"))

        assert "Secrets Manager takes no bearer token" in message
        assert all(known in message for known in settings_module.CREDENTIALS_TYPES)

    def test_typo_in_a_key_warns_with_the_nearest(self, write, caplog):
        path = write("".join("{}={}\n".format(*item) for item in GOOD.items()) + "secret_name=a\n")

        load_settings(path)

        (record,) = caplog.records
        assert record.levelno == logging.WARNING
        assert "'secret_name'" in record.getMessage()
        assert "did you mean 'secret_names'" in record.getMessage()
        assert path in record.getMessage()

    def test_key_that_is_like_no_other_warns_without_a_guess(self, write, caplog):
        load_settings(write(zzz="1"))

        assert "'zzz'" in caplog.text
        assert "did you mean" not in caplog.text

    def test_unknown_key_of_the_environment_is_none_of_ours(self, write, caplog, monkeypatch):
        monkeypatch.setenv("secret_name", "a")

        load_settings(write())

        assert caplog.records == []

    def test_value_after_a_colon_is_not_shown_as_an_unknown_key(self, refused, write):
        content = "".join("{}={}\n".format(*item) for item in GOOD.items() if item[0] != "credentials_access_secret")

        refused(write(content + "credentials_access_secret: {}=\n".format(SECRET)))

    @pytest.mark.parametrize("names", [",", "a,", ",a", "a,,b", "a, ,b"])
    def test_empty_secret_name(self, refused, write, names):
        message = refused(write(secret_names=names))

        assert "secret_names" in message
        assert "empty name" in message

    @pytest.mark.parametrize("name", [
        "refresh_interval_milliseconds", "fetch_timeout_milliseconds", "renew_timeout_milliseconds"])
    @pytest.mark.parametrize("value", ["0", "-1", "1.5", "1s", "soon", "\u00b2", pytest.param("9" * 400, id="huge")])
    def test_time_that_is_no_positive_whole_number(self, refused, write, name, value):
        message = refused(write(**{name: value}))

        assert name in message
        assert "milliseconds" in message

    @pytest.mark.parametrize("name", ["replay_buffer_bytes", "replay_spool_bytes"])
    @pytest.mark.parametrize("value", ["-1", "8M", "1e6", pytest.param("9" * 19, id="huge")])
    def test_amount_that_is_no_whole_number(self, refused, write, name, value):
        message = refused(write(**{name: value}))

        assert name in message
        assert "bytes" in message


class TestBadRegions:
    @pytest.mark.parametrize(("text", "column"), [
        ("cn-hangzhou", 1), ('[{"regionId": }]', 15), ('[{"regionId": "cn-a"},]', 23), ("[{'regionId': 'cn-a'}]", 3)])
    def test_bad_json_names_the_column(self, refused, write, text, column):
        message = refused(write(cache_client_region_id=text))

        # Python 3.13 points at the trailing comma, the others at what follows it.
        assert any("column {}".format(at) in message for at in (column, column - 1))
        assert "cache_client_region_id" in message
        assert "some.properties" in message
        assert '[{"regionId": "cn-hangzhou"}]' in message

    def test_bad_json_that_swallowed_the_line_of_the_secret_does_not_show_it(self, refused, write):
        refused(write('credentials_type=ak\ncredentials_access_key_id=LTAI1\ncredentials_access_secret=x\n'
                      'cache_client_region_id=[{"regionId": "cn-a"},\\\n"credentials_access_secret": "%s"\n' % SECRET))

    @pytest.mark.parametrize("text", ["{}", '"cn-a"', "[]", "null", "1", '{"regionId": "cn-a"}'])
    def test_no_list_of_regions(self, refused, write, text):
        message = refused(write(cache_client_region_id=text))

        assert "cache_client_region_id" in message
        assert '[{"regionId": "cn-hangzhou"}]' in message

    @pytest.mark.parametrize("region", ['"cn-a"', "1", "null", "[]"])
    def test_entry_that_is_no_object_is_named_by_number(self, refused, write, region):
        assert "entry 2" in refused(write(cache_client_region_id='[{"regionId": "cn-a"}, %s]' % region))

    @pytest.mark.parametrize("region", ["{}", '{"regionId": ""}', '{"regionId": "  "}', '{"regionId": null}',
                                        '{"endpoint": "kms.example.com"}'])
    def test_region_without_id(self, refused, write, region):
        message = refused(write(cache_client_region_id='[{"regionId": "cn-a"}, %s]' % region))

        assert "entry 2" in message
        assert "regionId" in message

    @pytest.mark.parametrize("field", ["regionId", "endpoint", "caFilePath"])
    @pytest.mark.parametrize("value", ["5", "true", "[]", "{}"])
    def test_field_that_is_no_text(self, refused, write, field, value):
        region = '{"regionId": "cn-a", "%s": %s}' % (field, value)

        message = refused(write(cache_client_region_id="[%s]" % region))

        assert field in message

    @pytest.mark.parametrize("vpc", ["1", '"yes"', "null", "[]"])
    def test_vpc_that_is_neither_true_nor_false(self, refused, write, vpc):
        message = refused(write(cache_client_region_id='[{"regionId": "cn-a", "vpc": %s}]' % vpc))

        assert '"vpc"' in message
        assert "true or false" in message

    @pytest.mark.parametrize("endpoint", [
        "https://kms.example.com", "http://kms.example.com", "kms.example.com/path", "kms.example.com:99999", "[1:2]"])
    def test_endpoint_with_scheme_or_path(self, refused, write, endpoint):
        message = refused(write(cache_client_region_id='[{"regionId": "cn-a", "endpoint": "%s"}]' % endpoint))

        assert endpoint in message
        assert "without scheme" in message

    def test_typo_in_a_field_warns_with_the_nearest(self, write, caplog):
        load_settings(write(cache_client_region_id='[{"regionId": "cn-a", "endPoint": "kms.example.com"}]'))

        assert "'endPoint'" in caplog.text
        assert "did you mean 'endpoint'" in caplog.text
        assert "cache_client_region_id" in caplog.text

    @pytest.mark.parametrize("content", [None, b"", b"no certificate", b"\x30\x82\x00\x01", b"-----BEGIN CERTIFICATE"])
    def test_ca_file_that_is_none(self, refused, write, tmp_path, content):
        if content is not None:
            (tmp_path / "bad.pem").write_bytes(content)

        message = refused(write(cache_client_region_id='[{"regionId": "cn-a", "caFilePath": "bad.pem"}]'))

        assert "caFilePath" in message
        assert str(tmp_path / "bad.pem") in message
        assert "entry 1" in message

    def test_ca_file_that_is_a_directory(self, refused, write, tmp_path):
        message = refused(write(cache_client_region_id='[{"regionId": "cn-a", "caFilePath": "%s"}]' % tmp_path))

        assert "caFilePath" in message

    def test_ca_file_that_holds_a_private_key_does_not_show_it(self, refused, write, tmp_path):
        pem = "-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n".format(SECRET)
        (tmp_path / "bad.pem").write_bytes(pem.encode("ascii"))

        refused(write(cache_client_region_id='[{"regionId": "cn-a", "caFilePath": "bad.pem"}]'))


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


ROLE = "acs:ram::1234567890123456:role/app"
ROLE_KEYS = {"credentials_type": "ram_role", "credentials_role_arn": ROLE, "credentials_role_session_name": "app"}
OIDC_KEYS = {"credentials_type": "oidc_role_arn", "credentials_role_arn": ROLE, "credentials_access_secret": None,
             "credentials_oidc_provider_arn": "acs:ram::1234567890123456:oidc-provider/app",
             "credentials_oidc_token_file_path": "token", "credentials_access_key_id": None}


class TestIdentity:
    def identity(self, write, **changes):
        return load_settings(write(**changes)).identity

    def test_token_is_a_key_pair_under_its_old_name(self, write):
        identity = self.identity(write, credentials_type="token", credentials_access_token_id="LTAItoken",
                                 credentials_access_token=SECRET, credentials_access_key_id=None,
                                 credentials_access_secret=None)

        assert identity == IdentitySettings("token", "LTAItoken", SECRET)

    def test_sts_token(self, write):
        identity = self.identity(write, credentials_type="sts_token", credentials_security_token="token")

        assert identity == IdentitySettings("sts_token", GOOD["credentials_access_key_id"], SECRET, "token")

    @pytest.mark.parametrize("credentials_type", ["ram_role", "sts"])
    def test_role_that_an_access_key_assumes(self, write, credentials_type):
        identity = self.identity(write, **dict(ROLE_KEYS, credentials_type=credentials_type))

        assert identity == IdentitySettings(credentials_type, GOOD["credentials_access_key_id"], SECRET, role_arn=ROLE,
                                            role_session_name="app")

    def test_what_is_optional_for_a_role(self, write):
        identity = self.identity(
            write, credentials_policy='{"Version": "1"}', credentials_external_id="external",
            credentials_duration_seconds="900", credentials_sts_endpoint="sts.example.com:8443", **ROLE_KEYS)

        assert identity.policy == '{"Version": "1"}'
        assert identity.external_id == "external"
        assert identity.duration_seconds == 900
        assert identity.sts_endpoint == "sts.example.com:8443"

    def test_sts_region_names_its_endpoint(self, write):
        assert self.identity(write, credentials_sts_region_id="cn-a", **ROLE_KEYS).sts_endpoint == \
            "sts.cn-a.aliyuncs.com"

    def test_sts_endpoint_wins_over_the_region(self, write):
        identity = self.identity(write, credentials_sts_region_id="cn-a", credentials_sts_endpoint="sts.example.com",
                                 **ROLE_KEYS)

        assert identity.sts_endpoint == "sts.example.com"

    def test_oidc_token_file_is_relative_to_the_properties_file(self, write, tmp_path):
        assert self.identity(write, **OIDC_KEYS).oidc_token_file == str(tmp_path / "token")

    def test_oidc_takes_the_variables_that_rrsa_sets(self, write, monkeypatch):
        monkeypatch.setenv("ALIBABA_CLOUD_ROLE_ARN", ROLE)
        monkeypatch.setenv("ALIBABA_CLOUD_OIDC_PROVIDER_ARN", "acs:ram::1:oidc-provider/app")
        monkeypatch.setenv("ALIBABA_CLOUD_OIDC_TOKEN_FILE", "/var/run/secrets/token")

        identity = self.identity(write, credentials_type="oidc_role_arn")

        assert (identity.role_arn, identity.oidc_provider_arn, identity.oidc_token_file) == (
            ROLE, "acs:ram::1:oidc-provider/app", "/var/run/secrets/token")

    def test_keys_win_over_the_variables(self, write, monkeypatch):
        monkeypatch.setenv("ALIBABA_CLOUD_ROLE_ARN", "acs:ram::1:role/other")

        assert self.identity(write, **OIDC_KEYS).role_arn == ROLE

    def test_role_of_the_instance_may_be_named(self, write):
        assert self.identity(write, credentials_type="ecs_ram_role", credentials_role_name="app").role_name == "app"

    def test_uri_of_the_key_or_the_variable(self, write, monkeypatch):
        monkeypatch.setenv("ALIBABA_CLOUD_CREDENTIALS_URI", "http://127.0.0.1/variable")

        assert self.identity(write, credentials_type="credentials_uri").uri == "http://127.0.0.1/variable"
        assert self.identity(write, credentials_type="credentials_uri",
                             credentials_uri="http://127.0.0.1/key").uri == "http://127.0.0.1/key"

    def test_default_needs_no_more(self, write):
        assert self.identity(write, credentials_type="default") == IdentitySettings("default")

    def test_default_takes_an_sts_endpoint_for_profiles_that_assume_a_role(self, write):
        identity = self.identity(write, credentials_type="default", credentials_sts_endpoint="sts.example.com")

        assert identity.sts_endpoint == "sts.example.com"

    def test_client_key_with_its_password_in_a_file(self, write, tmp_path):
        (tmp_path / "password").write_text(SECRET + "\n")

        identity = self.identity(write, credentials_type="client_key", client_key_private_key_path="key.json",
                                 client_key_password_from_file_path="password")

        assert identity.client_key == ClientKeySettings(str(tmp_path / "key.json"), SECRET)

    def test_client_key_with_its_password_in_a_variable(self, write, monkeypatch):
        monkeypatch.setenv("APP_PASSWORD", SECRET)

        identity = self.identity(write, credentials_type="client_key", client_key_private_key_path="key.json",
                                 client_key_password_from_env_variable="APP_PASSWORD")

        assert identity.client_key.password == SECRET

    def test_ca_bundle_of_the_environment_is_for_sts_too(self, write, ca_file, monkeypatch):
        monkeypatch.setenv("ALIBABA_CLOUD_CA_BUNDLE", str(ca_file))

        assert self.identity(write, **ROLE_KEYS).ca_file == str(ca_file)

    def test_a_program_that_hands_in_the_identity_needs_no_credentials_type(self, write):
        settings = load_settings(write(credentials_type=None), identity=False)

        assert settings.identity == IdentitySettings()

    @pytest.mark.parametrize(("changes", "key"), [
        ({"credentials_type": "token"}, "credentials_access_token_id"),
        ({"credentials_type": "token", "credentials_access_token_id": "a"}, "credentials_access_token"),
        ({"credentials_type": "sts_token"}, "credentials_security_token"),
        (dict(ROLE_KEYS, credentials_role_arn=""), "credentials_role_arn"),
        (dict(ROLE_KEYS, credentials_role_session_name=None), "credentials_role_session_name"),
        (dict(OIDC_KEYS, credentials_oidc_provider_arn=None), "credentials_oidc_provider_arn"),
        (dict(OIDC_KEYS, credentials_oidc_token_file_path=None), "credentials_oidc_token_file_path"),
        ({"credentials_type": "credentials_uri"}, "credentials_uri"),
        ({"credentials_type": "client_key"}, "client_key_private_key_path"),
        ({"credentials_type": "client_key", "client_key_private_key_path": "a"}, "client_key_password_from_file_path"),
    ])
    def test_missing_key_is_named_with_the_type(self, refused, write, changes, key):
        message = refused(write(**changes))

        assert key + " is missing" in message
        assert changes["credentials_type"] in message

    @pytest.mark.parametrize(("changes", "words"), [
        ({"credentials_sts_endpoint": "https://sts.example.com"}, ["credentials_sts_endpoint", "without scheme"]),
        ({"credentials_sts_endpoint": "sts.example.com/path"}, ["credentials_sts_endpoint", "without scheme"]),
        ({"credentials_duration_seconds": "899"}, ["credentials_duration_seconds", "900"]),
        ({"credentials_duration_seconds": "0"}, ["credentials_duration_seconds", "900"]),
        ({"credentials_duration_seconds": "an hour"}, ["credentials_duration_seconds", "an hour"]),
    ])
    def test_wrong_value_for_a_role(self, refused, write, changes, words):
        message = refused(write(**dict(ROLE_KEYS, **changes)))

        assert all(word in message for word in words)

    @pytest.mark.parametrize("uri", [
        "127.0.0.1/path", "ftp://127.0.0.1/", "http://", "file:///etc/passwd", "http://[::1]/x", "http://[::1/x",
        "http://127.0.0.1:99999/x", "http://127.0.0.1:port/x"])
    def test_uri_that_is_none(self, refused, write, uri):
        assert "credentials_uri is no URL" in refused(write(credentials_type="credentials_uri", credentials_uri=uri))

    @pytest.mark.parametrize(("source", "value", "problem"), [
        ("env_variable", "NOT_SET", "not set"), ("file_path", "missing", "No such file"), ("file_path", "empty", "empty"),
        ("file_path", "binary", "UTF-8"), ("file_path", "null\0character", "no path")])
    def test_password_that_cannot_be_had(self, refused, write, tmp_path, source, value, problem):
        (tmp_path / "empty").write_text("\n")
        (tmp_path / "binary").write_bytes(SECRET.encode("utf-16"))

        message = refused(write(credentials_type="client_key", client_key_private_key_path="key.json",
                                **{"client_key_password_from_" + source: value}))

        assert "client_key_password_from_" + source in message
        assert value in message
        assert problem in message


class TestSystemsCertificates:
    @pytest.fixture
    def say(self, monkeypatch, tmp_path):
        """Let OpenSSL say where the system's CAs are."""
        said = ssl.get_default_verify_paths()

        def paths(cafile, capath):
            monkeypatch.setattr(ssl, "get_default_verify_paths", lambda: said._replace(cafile=cafile, capath=capath))

        return paths

    def test_are_in_its_file(self, say, ca_file, tmp_path):
        say(str(ca_file), str(tmp_path))

        assert system_ca() == str(ca_file)

    def test_are_in_its_directory_where_there_is_no_file(self, say, ca_file, tmp_path):
        say(None, str(tmp_path))

        assert system_ca() == str(tmp_path)

    def test_are_those_of_requests_where_it_has_none(self, say, tmp_path):
        (tmp_path / "empty").mkdir()
        say(None, str(tmp_path / "empty"))

        assert system_ca() is True

    def test_directory_of_the_environment_may_be_one_of_certificates(self, write, monkeypatch, tmp_path, ca_file):
        monkeypatch.setenv("ALIBABA_CLOUD_CA_BUNDLE", str(tmp_path))

        assert load_settings(write()).shared_gateways[0].ca_file == str(tmp_path)


def instance(**changes):
    """Return the JSON of one dedicated gateway; None takes a field out."""
    fields = dict({"regionId": "cn-a", "endpoint": "kst-a.cryptoservice.kms.aliyuncs.com", "clientKeyFile": "key.json",
                   "passwordFromFilePath": "password"}, **changes)
    return json.dumps([{name: value for name, value in fields.items() if value is not None}])


class TestDedicatedGateways:
    @pytest.fixture(autouse=True)
    def password_file(self, tmp_path):
        (tmp_path / "password").write_text(SECRET)

    def write_only(self, write, text, **more):
        return write("".join("{}={}\n".format(*item)
                             for item in dict(more, cache_client_dkms_config_info=text).items()))

    def test_one_needs_no_credentials_type(self, write, tmp_path):
        settings = load_settings(self.write_only(write, instance()))

        assert settings.shared_gateways == ()
        assert settings.dedicated_gateways == (DedicatedGatewaySettings(
            "cn-a", "kst-a.cryptoservice.kms.aliyuncs.com", ClientKeySettings(str(tmp_path / "key.json"), SECRET)),)

    def test_beside_shared_ones(self, write):
        settings = load_settings(write(cache_client_dkms_config_info=instance()))

        assert len(settings.dedicated_gateways) == len(settings.shared_gateways) == 1
        assert settings.identity.credentials_type == "ak"

    def test_password_in_a_variable_of_the_environment(self, write, monkeypatch):
        monkeypatch.setenv("APP_PASSWORD", SECRET + "variable")

        settings = load_settings(self.write_only(write, instance(
            passwordFromFilePath=None, passwordFromEnvVariable="APP_PASSWORD")))

        assert settings.dedicated_gateways[0].client_key.password == SECRET + "variable"

    @pytest.mark.parametrize("more", [{}, {"passwordFromFilePathName": "client_key_password_from_file_path"}])
    def test_password_of_the_keys_for_all_client_keys(self, write, more):
        settings = load_settings(self.write_only(
            write, instance(passwordFromFilePath=None, **more), client_key_password_from_file_path="password"))

        assert settings.dedicated_gateways[0].client_key.password == SECRET

    @pytest.mark.parametrize(("value", "ignored"), [(True, True), ("true", True), (False, False), (None, False)])
    def test_certificate_is_verified_unless_said_otherwise(self, write, value, ignored):
        settings = load_settings(self.write_only(write, instance(ignoreSslCerts=value)))

        assert settings.dedicated_gateways[0].ignore_certificate is ignored

    def test_ca_file(self, write, ca_file):
        settings = load_settings(self.write_only(write, instance(caFilePath="ca.pem")))

        assert settings.dedicated_gateways[0].ca_file == str(ca_file)

    def test_environment_alone(self, monkeypatch, tmp_path):
        monkeypatch.setenv("cache_client_dkms_config_info", instance(
            passwordFromFilePath=str(tmp_path / "password"), clientKeyFile=str(tmp_path / "key.json")))

        assert load_settings().dedicated_gateways[0].client_key.password == SECRET

    @pytest.mark.parametrize(("changes", "words"), [
        ({"regionId": None}, ["regionId"]),
        ({"endpoint": None}, ["endpoint"]),
        ({"endpoint": "https://kst-a.example.com"}, ["endpoint", "without scheme"]),
        ({"clientKeyFile": None}, ["clientKeyFile"]),
        ({"clientKeyFile": 5}, ["clientKeyFile", "text"]),
        ({"passwordFromFilePath": "missing"}, ["passwordFromFilePath", "No such file"]),
        ({"passwordFromFilePath": None}, ["client_key_password_from_file_path", "passwordFromFilePath"]),
        ({"passwordFromFilePath": None, "passwordFromEnvVariable": "NOT_SET"}, ["passwordFromEnvVariable", "not set"]),
        ({"ignoreSslCerts": "perhaps"}, ["ignoreSslCerts", "true or false"]),
        ({"caFilePath": "missing.pem"}, ["caFilePath", "missing.pem"]),
    ])
    def test_wrong_entry_names_its_field(self, refused, write, changes, words):
        message = refused(self.write_only(write, instance(**changes)))

        assert all(word in message for word in words)
        assert "some.properties" in message

    def test_no_gateway_at_all_names_both_keys(self, refused, write):
        message = refused(write(cache_client_region_id=None))

        assert "cache_client_region_id is missing or empty" in message
        assert "cache_client_dkms_config_info" in message

    def test_a_program_that_hands_in_the_client_needs_none_of_it(self, write):
        assert load_settings(write(credentials_type=None, cache_client_dkms_config_info=instance(endpoint=None)),
                             gateways=False) == Settings()
        assert load_settings(write("secret_names=a\n"), gateways=False).secret_names == ("a",)


class TestSecretsClient:
    def test_native_unless_said_otherwise(self, write):
        assert load_settings(write()).secrets_client == "native"
        assert load_settings(write(secrets_client="aliyun-secret-manager-client")).secrets_client == \
            "aliyun-secret-manager-client"

    def test_unknown_one_lists_the_known(self, refused, write):
        message = refused(write(secrets_client="aliyun-secrets-manager-client"))

        assert "did you mean 'aliyun-secret-manager-client'" in message
        assert "native" in message
