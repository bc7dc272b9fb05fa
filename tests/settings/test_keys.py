"""The keys of the file and of the environment, with right and with wrong values."""

import logging
import os

import pytest

from aliyun_sdk_secretsmanager_common_plugin import ConfigLoader
from aliyun_sdk_secretsmanager_common_plugin.settings import (
    CREDENTIALS_TYPES,
    IdentitySettings,
    SharedGatewaySettings,
    load_settings,
)

from .conftest import GOOD, SECRET


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

        assert "credentials_type is a value of {} characters, which is unknown".format(len(value)) in message
        assert all(known in message for known in CREDENTIALS_TYPES)
        assert "credentials_type" in message

    def test_bearer_token_is_none_that_secrets_manager_takes_and_the_types_that_work_are_named(self, refused, write):
        message = refused(write(credentials_type="bearer"))

        assert "Secrets Manager takes no bearer token" in message
        assert all(known in message for known in CREDENTIALS_TYPES)

    def test_typo_in_a_key_warns_with_the_nearest(self, write, caplog):
        path = write("".join("{}={}\n".format(*item) for item in GOOD.items()) + "secret_name=a\n")

        load_settings(path)

        (record,) = caplog.records
        assert record.levelno == logging.WARNING
        assert record.getMessage() == "{}, line 5: an unknown key of 11 characters; did you mean 'secret_names'?".format(
            path)

    def test_key_that_is_like_no_other_warns_without_a_guess(self, write, caplog):
        load_settings(write(zzz="1"))

        assert "line 5: an unknown key of 3 characters" in caplog.text
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
    @pytest.mark.parametrize("value", ["0", "-1", "1.5", "1s", "soon", "\u00b2", "1" + "0" * 10, pytest.param("9" * 400, id="huge")])
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


class TestKeysOfTheJavaPlugin:
    def test_rotation_interval_is_the_refresh_interval(self, write, caplog):
        assert load_settings(write(rotation_interval="120000")).refresh_interval == 120.0
        assert caplog.records == []

    @pytest.mark.parametrize("value", ["0", "", "00"])
    def test_rotation_interval_of_zero_is_the_default(self, write, value):
        assert load_settings(write(rotation_interval=value)).refresh_interval == 3600.0

    @pytest.mark.parametrize("value", ["-1", "6h", "1.5"])
    def test_rotation_interval_that_is_no_number(self, refused, write, value):
        assert "line 5: rotation_interval is a value of" in refused(write(rotation_interval=value))

    def test_our_key_wins_and_a_warning_says_so(self, write, caplog):
        settings = load_settings(write(rotation_interval="120000", refresh_interval_milliseconds="60000"))

        assert settings.refresh_interval == 60.0
        assert "line 5: rotation_interval has no effect: refresh_interval_milliseconds is there, too" in caplog.text

    def test_the_same_in_both_is_nothing_to_warn_of(self, write, caplog):
        load_settings(write(rotation_interval="60000", refresh_interval_milliseconds="60000"))

        assert caplog.records == []

    def test_delay_interval_has_no_effect_and_a_warning_says_what_is_there_instead(self, write, caplog):
        assert load_settings(write(delay_interval="300000")) == load_settings(write(name="other"))
        assert "line 5: delay_interval has no effect: a secret is read again 1 to 30 seconds after" in caplog.text


class TestSecretsClient:
    def test_native_unless_said_otherwise(self, write):
        assert load_settings(write()).secrets_client == "native"
        assert load_settings(write(secrets_client="aliyun-secret-manager-client")).secrets_client == \
            "aliyun-secret-manager-client"

    def test_unknown_one_lists_the_known(self, refused, write):
        message = refused(write(secrets_client="aliyun-secrets-manager-client"))

        assert "did you mean 'aliyun-secret-manager-client'" in message
        assert "native" in message
