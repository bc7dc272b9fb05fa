"""The functions and small classes of the existing plugin."""

import json
import sys
import time

import pytest

from aliyun_sdk_secretsmanager_common_plugin import SecretFormatError
from aliyun_sdk_secretsmanager_common_plugin.auth.secretsmanager_plugin_credentials import (
    SecretsManagerPluginCredentials,
)
from aliyun_sdk_secretsmanager_common_plugin.backoff_strategy import FullJitterBackoffStrategy
from aliyun_sdk_secretsmanager_common_plugin.secret_info import CacheSecretInfo, SecretInfo, answer_of
from aliyun_sdk_secretsmanager_common_plugin.service.monitor_memory_cache_secret_store_strategy import (
    judge_secret_expired,
)
from aliyun_sdk_secretsmanager_common_plugin.service.rotate_ak_secret_refresh_secret_strategy import (
    RotateAKSecretRefreshSecretStrategy,
    parse_next_rotation_time,
)
from aliyun_sdk_secretsmanager_common_plugin.utils.credentials_utils import (
    generate_credentials_by_secret,
    generate_secret_info_by_credentials,
)

NOW = 1700000000.0
USER_KEY = '{"SecretSubType": "RamUserAccessKey"}'
DEEP = "[" * 100000


@pytest.fixture
def now(monkeypatch):
    monkeypatch.setattr(time, "time", lambda: NOW)


@pytest.fixture
def strategy(now):
    made = RotateAKSecretRefreshSecretStrategy()
    made.random_disturbance = 7
    return made


class TestCredentialsOfASecret:
    def test_whole(self):
        credentials = generate_credentials_by_secret(json.dumps({
            "AccessKeyId": "id", "AccessKeySecret": "the secret", "ExpireTimestamp": "2026-11-21T10:00:00Z",
            "GenerateTimestamp": "2026-11-21T09:00:00Z"}))

        assert vars(credentials) == {
            "access_key_id": "id", "access_key_secret": "the secret",
            "expire_timestamp": 1795255200000.0, "generate_timestamp": 1795251600000.0}

    def test_least(self):
        credentials = generate_credentials_by_secret('{"AccessKeyId": "id", "AccessKeySecret": "the secret"}')

        assert (credentials.expire_timestamp, credentials.generate_timestamp) == (-1, sys.maxsize)
        assert "the secret" not in repr(credentials)

    @pytest.mark.parametrize("value, expected", [
        (1795255200000, 1795255200000), (1795255200000.0, 1795255200000.0), (None, -1)])
    def test_end_in_milliseconds_or_none(self, value, expected):
        credentials = generate_credentials_by_secret(json.dumps({
            "AccessKeyId": "id", "AccessKeySecret": "the secret", "ExpireTimestamp": value}))

        assert credentials.expire_timestamp == expected

    @pytest.mark.parametrize("value", [True, [], "soon"])
    def test_end_that_is_no_time_is_a_value_error(self, value):
        with pytest.raises(ValueError):
            generate_credentials_by_secret(json.dumps({
                "AccessKeyId": "id", "AccessKeySecret": "the secret", "ExpireTimestamp": value}))

    @pytest.mark.parametrize("data", [
        None, "", "the secret", '"the secret"', '{"AccessKeySecret": "the secret"}', '["the secret"]', '{"the secret',
        '{"AccessKeyId": "", "AccessKeySecret": "the secret"}',
    ])
    def test_none_is_a_value_error_that_does_not_show_it(self, data):
        with pytest.raises(ValueError) as caught:
            generate_credentials_by_secret(data)
        assert "the secret" not in str(caught.value).replace("the secret's", "")
        assert caught.value.__context__ is None

    @pytest.mark.parametrize("field", ["AccessKeyId", "AccessKeySecret"])
    @pytest.mark.parametrize("value", ["half\r\nhalf", "half\x00", "half\u5bc6", 5, ["half"]], ids=ascii)
    def test_key_that_no_request_can_be_signed_with_is_a_value_error(self, field, value):
        data = dict({"AccessKeyId": "id", "AccessKeySecret": "the secret"}, **{field: value})

        with pytest.raises(SecretFormatError, match="the {} in the secret's value".format(field)) as caught:
            generate_credentials_by_secret(json.dumps(data))
        assert "half" not in str(caught.value)

    @pytest.mark.parametrize("arguments", [("", "secret", -1), (None, "secret", -1), ("id", "", -1), ("id", None, -1)])
    def test_half_a_key_is_a_value_error(self, arguments):
        with pytest.raises(ValueError):
            SecretsManagerPluginCredentials(*arguments)


class TestSecretOfCredentials:
    def test_is_rotated_in_a_day(self, now):
        info = generate_secret_info_by_credentials(SecretsManagerPluginCredentials("id", "the secret", -1), "name")

        assert json.loads(info.secret_value) == {"AccessKeyId": "id", "AccessKeySecret": "the secret"}
        assert (info.secret_name, info.secret_data_type, info.secret_type) == ("name", "text", "RAMCredentials")
        assert (info.automatic_rotation, info.rotation_interval, info.extended_config) == ("Enabled", "86400s", "")
        assert info.create_time == "2023-11-14T22:13:20Z"
        assert info.next_rotation_date == "2023-11-15T22:13:20Z"
        assert info.version_id
        assert "the secret" not in repr(info) + repr(CacheSecretInfo(secret_info=info))

    def test_none_is_a_value_error(self):
        with pytest.raises(ValueError):
            generate_secret_info_by_credentials(None, "name")


def test_secret_info_is_what_was_answered():
    answer = {
        "VersionId": "v", "SecretData": "d", "SecretDataType": "text", "CreateTime": "c", "SecretType": "RAMCredentials",
        "AutomaticRotation": "Enabled", "ExtendedConfig": "{}", "RotationInterval": "1s", "NextRotationDate": "n"}
    info = SecretInfo.from_answer("name", answer)

    assert info.secret_name == "name"
    assert answer_of(info) == answer
    assert {info, SecretInfo.from_answer("name", answer)} == {info}
    assert info != answer


class TestRotationTime:
    def test_is_the_date_of_the_secret(self):
        info = SecretInfo(next_rotation_date="2026-11-21T10:00:00Z", secret_value="{}")
        assert parse_next_rotation_time(info) == 1795255200000

    def test_is_in_the_value_where_there_is_no_date(self):
        assert parse_next_rotation_time(SecretInfo(secret_value='{"scheduleRotateTimestamp": 1795255200}')) == 1795255200000

    def test_is_unknown_otherwise(self):
        assert parse_next_rotation_time(SecretInfo(next_rotation_date="", secret_value="{}")) == -1

    @pytest.mark.parametrize("date", ["soon", "0001-01-01T00:00:00Z", "2026-99-99T10:00:00Z", 5, [], True])
    def test_is_unknown_where_the_date_is_absurd(self, date):
        assert parse_next_rotation_time(SecretInfo(next_rotation_date=date, secret_value="{}")) == -1

    @pytest.mark.parametrize("value", [
        '{"scheduleRotateTimestamp": %s}' % timestamp for timestamp in (
            '"soon"', "true", "NaN", "Infinity", "-1", "1e300", "1" + 400 * "0", "[]", "null")] + ["[]", "no JSON", DEEP])
    def test_is_unknown_where_the_value_is_absurd(self, value):
        assert parse_next_rotation_time(SecretInfo(secret_value=value)) == -1


class TestRefreshStrategy:
    def due(self, strategy, date):
        return strategy.parse_next_execute_time(CacheSecretInfo(
            secret_info=SecretInfo(next_rotation_date=date, secret_value="{}")))

    def test_is_due_some_minutes_after_the_rotation(self, strategy):
        assert self.due(strategy, "2023-11-14T23:13:20Z") == (NOW + 3600) * 1000 + 300000 + 7

    @pytest.mark.parametrize("date", ["2023-11-16T22:13:20Z", "2023-11-14T22:13:20Z", "2023-11-13T22:13:20Z", None])
    def test_is_due_after_the_interval_otherwise(self, strategy, date):
        assert self.due(strategy, date) == NOW * 1000 + 21600000 + 7

    def test_next_time_is_the_end_of_the_time_to_live(self, strategy):
        assert strategy.get_next_execute_time("name", 1000, NOW * 1000 - 400) == NOW * 1000 + 600 + 7

    def test_next_time_counts_from_now_where_that_is_over(self, strategy):
        assert strategy.get_next_execute_time("name", 1000, NOW * 1000 - 1000) == NOW * 1000 + 1000 + 7

    @pytest.mark.parametrize("info, expected", [
        (SecretInfo(secret_type="RAMCredentials", extended_config=USER_KEY, rotation_interval="604800s"), 604800000 + 7),
        (SecretInfo(secret_type="RAMCredentials", extended_config=USER_KEY, rotation_interval=""), 21600000 + 7),
        (SecretInfo(secret_type="RAMCredentials", extended_config="{}", secret_value='{"refreshInterval": "60s"}'),
         60000 + 7),
        (SecretInfo(secret_type="Generic", secret_value='{"refreshInterval": "60s"}'), 60000 + 7),
        (SecretInfo(secret_type="Generic", secret_value="{}"), -1),
        (SecretInfo(secret_value="{}"), -1),
        (SecretInfo(secret_type="RAMCredentials", extended_config=USER_KEY, rotation_interval="soon"), 21600000 + 7),
        (SecretInfo(secret_type="RAMCredentials", extended_config=USER_KEY, rotation_interval=60), 21600000 + 7),
        (SecretInfo(secret_type="RAMCredentials", extended_config=USER_KEY, rotation_interval="9" * 40 + "s"),
         (10 ** 40 - 1) * 1000 + 7),
        (SecretInfo(secret_type="RAMCredentials", extended_config=DEEP, secret_value="{}"), -1),
        (SecretInfo(secret_type="RAMCredentials", extended_config="[]", secret_value="[]"), -1),
        (SecretInfo(secret_type="Generic", secret_value='{"refreshInterval": NaN}'), -1),
        (SecretInfo(secret_type="Generic", secret_value=DEEP), -1),
        (SecretInfo(secret_type="Generic"), -1),
    ])
    def test_time_to_live(self, strategy, info, expected):
        assert strategy.parse_ttl(info) == expected


class TestJudgeSecretExpired:
    @pytest.mark.parametrize("refresh_timestamp, expected", [
        (NOW * 1000, False), (NOW * 1000 + 60000, False), (NOW * 1000 + 60001, True)])
    def test_compares_with_the_end_of_an_interval_from_now(self, now, refresh_timestamp, expected):
        assert judge_secret_expired("60s", refresh_timestamp) is expected

    @pytest.mark.parametrize("interval", [None, "", "soon"])
    def test_no_interval_is_a_value_error(self, interval):
        with pytest.raises(ValueError):
            judge_secret_expired(interval, 0)


def test_backoff_doubles_to_its_capacity_and_gives_up():
    strategy = FullJitterBackoffStrategy(3, 2000, 10000)
    assert [strategy.get_wait_time_exponential(times) for times in range(5)] == [2000, 4000, 8000, 10000, -1]
    assert FullJitterBackoffStrategy(10 ** 9).get_wait_time_exponential(10 ** 6) == 10000
