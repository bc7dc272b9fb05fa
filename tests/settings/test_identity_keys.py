"""The keys of each credentials_type."""

import pytest

from aliyun_sdk_secretsmanager_common_plugin.settings import ClientKeySettings, IdentitySettings, load_settings

from .conftest import GOOD, OIDC_KEYS, ROLE, ROLE_KEYS, SECRET


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
        (tmp_path / "token").write_text("token")

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
        write("", name="token")

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
        write("", name="key.json")
        (tmp_path / "password").write_text(SECRET + "\n")

        identity = self.identity(write, credentials_type="client_key", client_key_private_key_path="key.json",
                                 client_key_password_from_file_path="password")

        assert identity.client_key == ClientKeySettings(str(tmp_path / "key.json"), SECRET)

    def test_client_key_with_its_password_in_a_variable(self, write, monkeypatch):
        write("", name="key.json")
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
        write("", name="a")

        message = refused(write(**changes))

        assert key + " is missing" in message
        assert changes["credentials_type"] in message

    @pytest.mark.parametrize(("changes", "words"), [
        ({"credentials_sts_endpoint": "https://sts.example.com"}, ["credentials_sts_endpoint", "without scheme"]),
        ({"credentials_sts_endpoint": "sts.example.com/path"}, ["credentials_sts_endpoint", "without scheme"]),
        ({"credentials_duration_seconds": "899"}, ["credentials_duration_seconds", "900"]),
        ({"credentials_duration_seconds": "0"}, ["credentials_duration_seconds", "900"]),
        ({"credentials_duration_seconds": "an hour"}, ["credentials_duration_seconds", "900"]),
    ])
    def test_wrong_value_for_a_role(self, refused, write, changes, words):
        message = refused(write(**dict(ROLE_KEYS, **changes)))

        assert all(word in message for word in words)

    @pytest.mark.parametrize("uri", [
        "127.0.0.1/path", "ftp://127.0.0.1/", "http://", "file:///etc/passwd", "http://[::1]/x", "http://[::1/x",
        "http://127.0.0.1:0/x", "http://127.0.0.1:65536", "http://300.0.0.1/x", "http://a..b/x", "http://-a/x",
        "http://127.0.0.1:99999/x", "http://127.0.0.1:port/x"])
    def test_uri_that_is_none(self, refused, write, uri):
        assert "credentials_uri is no URL" in refused(write(credentials_type="credentials_uri", credentials_uri=uri))

    @pytest.mark.parametrize(("source", "value", "problem"), [
        ("env_variable", "NOT_SET", "not set"), ("file_path", "missing", "No such file"), ("file_path", "empty", "empty"),
        ("file_path", "binary", "UTF-8"), ("file_path", "bell\acharacter", "control character"),
        ("file_path", "directory", "Is a directory; name the file in it"), ("file_path", "/dev/null", "neither")])
    def test_password_that_cannot_be_had(self, refused, write, tmp_path, source, value, problem):
        (tmp_path / "empty").write_text("\n")
        (tmp_path / "directory").mkdir()
        (tmp_path / "key.json").write_text("")
        (tmp_path / "binary").write_bytes(SECRET.encode("utf-16"))

        message = refused(write(credentials_type="client_key", client_key_private_key_path="key.json",
                                **{"client_key_password_from_" + source: value}))

        assert "client_key_password_from_" + source in message
        assert problem in message
        assert (value in message) is (value not in ("missing", "bell\acharacter"))
