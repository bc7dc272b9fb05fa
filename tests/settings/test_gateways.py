"""The JSON lists of shared and dedicated gateways, and the CAs that they trust."""

import json
import ssl

import certifi
import pytest

from aliyun_sdk_secretsmanager_common_plugin.settings import (
    ClientKeySettings,
    DedicatedGatewaySettings,
    Settings,
    load_settings,
    system_ca,
)

from .conftest import ROLE_KEYS, SECRET, instance


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

    @pytest.mark.parametrize("text", ["{}", "[]", "null", "1", '{"regionId": "cn-a"}'])
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
        "https://kms.example.com", "http://kms.example.com", "kms.example.com/path", "kms.example.com:99999", "[1:2]",
        "kms.example.com:0", "kms.example.com:65536", "kms.example.com:", "kms..example.com", ".example.com",
        "-kms.example.com", "kms-.example.com", "kms .example.com", "a" * 64 + ".example.com", "a." * 127 + "com",
        "300.1.2.3", "1.2.3", "[::1", "[::1]:0", "k\u00efms.example.com", "user@kms.example.com", "single", SECRET])
    @pytest.mark.parametrize("key", [
        "cache_client_region_id", "cache_client_dkms_config_info", "credentials_sts_endpoint"])
    def test_endpoint_that_cannot_be(self, refused, write, key, endpoint):
        value = endpoint if key == "credentials_sts_endpoint" else json.dumps([{"regionId": "cn-a", "endpoint": endpoint}])

        message = refused(write(**dict(ROLE_KEYS, **{key: value})))

        assert key in message
        assert endpoint not in message
        assert "a value of {} characters; write it without scheme and path".format(len(endpoint)) in message

    @pytest.mark.parametrize("endpoint", [
        "kms.example.com", "kms.example.com.", "kms.example.com:1", "kms.example.com:65535", "127.0.0.1:8443", "[::1]",
        "[::1]:8443", "kms:8443", "my_kms.local", "KMS.Example.com", "a" * 63 + ".com"])
    def test_endpoint_that_can_be(self, write, endpoint):
        regions = json.dumps([{"regionId": "cn-a", "endpoint": endpoint}])

        assert load_settings(write(cache_client_region_id=regions)).shared_gateways[0].endpoint == endpoint

    @pytest.mark.parametrize("region_id", [
        "cn", "cn-", "-cn", "cn hangzhou", "CN-HANGZHOU", "cn-hangzhou.evil.example", "cn-h\u00e4ngzhou", "cn--a", SECRET,
        "cn-" + "a" * 61])
    @pytest.mark.parametrize("key", [
        "cache_client_region_id", "cache_client_dkms_config_info", "credentials_sts_region_id"])
    def test_region_that_cannot_be(self, refused, write, key, region_id):
        value = region_id if key == "credentials_sts_region_id" else json.dumps([{"regionId": region_id}])

        message = refused(write(**dict(ROLE_KEYS, **{key: value})))

        assert key in message and 'name a region, such as "cn-hangzhou"' in message
        assert region_id not in message.split(key)[1] or len(region_id) < 4

    def test_typo_in_a_field_warns_with_the_nearest(self, write, caplog):
        load_settings(write(cache_client_region_id='[{"regionId": "cn-a", "endPoint": "kms.example.com"}]'))

        assert "line 4: cache_client_region_id entry 1 has an unknown field of 8 characters" in caplog.text
        assert "did you mean 'endpoint'" in caplog.text
        assert "cache_client_region_id" in caplog.text

    @pytest.mark.parametrize("content", [None, b"", b"no certificate", b"\x30\x82\x00\x01", b"-----BEGIN CERTIFICATE"])
    def test_ca_file_that_is_none(self, refused, write, tmp_path, content):
        if content is not None:
            (tmp_path / "bad.pem").write_bytes(content)

        message = refused(write(cache_client_region_id='[{"regionId": "cn-a", "caFilePath": "bad.pem"}]'))

        assert "caFilePath" in message
        assert (str(tmp_path / "bad.pem") in message) is (content is not None)
        assert "entry 1" in message

    def test_ca_file_that_is_cut_off(self, refused, write, tmp_path, ca_file):
        pem = ca_file.read_text()
        (tmp_path / "bad.pem").write_text(pem + pem[:len(pem) // 2])

        message = refused(write(cache_client_region_id='[{"regionId": "cn-a", "caFilePath": "bad.pem"}]'))

        assert "a certificate in it is cut off" in message

    def test_ca_file_with_a_letter_in_a_certificate(self, refused, write, tmp_path, ca_file):
        pem = ca_file.read_text()
        (tmp_path / "bad.pem").write_text(pem[:100] + "\u00e9" + pem[101:], encoding="utf-8")

        message = refused(write(cache_client_region_id='[{"regionId": "cn-a", "caFilePath": "bad.pem"}]'))

        assert "it is no file of certificates" in message

    def test_ca_file_with_another_label(self, write, tmp_path, ca_file):
        (tmp_path / "old.pem").write_text(ca_file.read_text().replace(" CERTIFICATE", " X509 CERTIFICATE"))

        load_settings(write(cache_client_region_id='[{"regionId": "cn-a", "caFilePath": "old.pem"}]'))

    def test_ca_file_that_is_a_directory(self, refused, write, tmp_path):
        message = refused(write(cache_client_region_id='[{"regionId": "cn-a", "caFilePath": "%s"}]' % tmp_path))

        assert "caFilePath" in message

    def test_ca_file_that_holds_a_private_key_does_not_show_it(self, refused, write, tmp_path):
        pem = "-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n".format(SECRET)
        (tmp_path / "bad.pem").write_bytes(pem.encode("ascii"))

        refused(write(cache_client_region_id='[{"regionId": "cn-a", "caFilePath": "bad.pem"}]'))


class TestJson:
    DEEP = "[" * 100000

    @pytest.mark.parametrize("key", ["cache_client_region_id", "cache_client_dkms_config_info", "credentials_policy"])
    @pytest.mark.parametrize("text", [DEEP, '{"a":' * 100000, '[{"regionId": ' + "[" * 100000],
                             ids=["lists", "objects", "field"])
    def test_nested_deeply(self, refused, write, key, text):
        assert key + " is nested too deeply" in refused(write(**dict(ROLE_KEYS, **{key: text})))

    @pytest.mark.parametrize("key", ["cache_client_region_id", "cache_client_dkms_config_info"])
    @pytest.mark.parametrize("number", ["9" * 100000, "1e999999", "-Infinity", "NaN"])
    def test_huge_number(self, refused, write, key, number):
        assert '{} entry 1: "regionId" is a number'.format(key) in refused(write(**{
            key: '[{"regionId": %s}]' % number}))

    @pytest.mark.parametrize("depth", [500, 900, 950, 990])
    def test_field_as_deep_as_the_parser_goes(self, refused, write, depth):
        for field in ("vpc", "endpoint", "caFilePath"):
            text = '[{"regionId": "cn-a", "%s": %s%s}]' % (field, "[" * depth, "]" * depth)
            assert "cache_client_region_id" in refused(write(cache_client_region_id=text))

    @pytest.mark.parametrize("content", [
        'cache_client_region_id=[\n  {"regionId": "cn-a"}\n]\n', 'cache_client_region_id=\n[{"regionId": "cn-a"}]\n',
        'cache_client_region_id=[{"regionId": "cn-a"},\n {"regionId": "cn-b"}]\n'])
    def test_over_several_lines_without_backslash_gets_a_hint(self, refused, write, content):
        assert "line 2: no 'key=value'; end the line before it with a backslash" in refused(write(content))

    def test_that_ends_early_gets_a_hint(self, refused, write):
        content = 'cache_client_region_id=[{"regionId":\n"cn-a", "endpoint": "a=b"}]\n'

        assert "in a file, end this line in a backslash where the value goes on in the next one" in refused(write(content))

    def test_over_several_lines_in_a_variable(self, monkeypatch, write):
        monkeypatch.setenv("cache_client_region_id", '[\n  {"regionId": "cn-b"}\n]\n')

        assert load_settings(write()).shared_gateways[0].region_id == "cn-b"

    def test_policy_that_is_none(self, refused, write):
        assert "credentials_policy is no JSON at column 1" in refused(write(**dict(ROLE_KEYS, credentials_policy="x")))


class TestDedicatedGateways:
    @pytest.fixture(autouse=True)
    def password_file(self, tmp_path):
        (tmp_path / "password").write_text(SECRET)
        (tmp_path / "key.json").write_text("")

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
        ({"caFilePath": "missing.pem"}, ["caFilePath", "a file of 11 characters", "No such file"]),
        ({"clientKeyFile": "missing.json"}, ["clientKeyFile", "a file of 12 characters", "No such file"]),
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


class TestSystemsCertificates:
    @pytest.fixture
    def say(self, monkeypatch, tmp_path):
        """Let OpenSSL say that the system's CAs are there."""
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

        assert system_ca() == certifi.where()

    def test_directory_of_the_environment_may_be_one_of_certificates(self, write, monkeypatch, tmp_path, ca_file):
        monkeypatch.setenv("ALIBABA_CLOUD_CA_BUNDLE", str(tmp_path))

        assert load_settings(write()).shared_gateways[0].ca_file == str(tmp_path)
