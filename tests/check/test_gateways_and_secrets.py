"""``managed-credentials check``: the steps of gateways, secrets and keys."""

import json
import re
import socket
import sys

import pytest

from aliyun_sdk_secretsmanager_common_plugin import check as check_module
from aliyun_sdk_secretsmanager_testing import Fault
from tests.conftest import SECRET

from .conftest import PASSWORD, wait_for_threads_of_the_check


class TestGateway:
    @pytest.mark.parametrize(("broken", "what"), [
        ({"password": "wrong"}, "the password does not open it; check the password"),
        ({"content": "no JSON"}, "is no JSON object; give the file that KMS"),
        ({"content": '{"KeyId": "KAAP.1", "PrivateKeyData": "bm90IHBrY3MxMg=="}'}, "is no PKCS #12 archive"),
        ({"valid": -60.0}, "its certificate expired at 2"),
    ])
    def test_dedicated_with_a_key_that_cannot_be_opened(self, cloud, outcome, client_key, tmp_path, broken, what):
        entry = client_key(**broken)

        found = outcome(cloud.write_properties(tmp_path, cache_client_dkms_config_info=json.dumps([entry])), SECRET)

        assert found.failed() == ["gateway"]
        assert entry["clientKeyFile"] in found.error() and what in found.error()
        assert [step["ok"] for step in found.of("secret")] == [False, True, True]
        assert found.of("secret")[0]["detail"] == "not tried: the gateway failed"
        assert found.of("key")[0]["ok"], "the others gave it"

    def test_through_the_official_client_where_that_is_not_installed(self, cloud, outcome, tmp_path, monkeypatch):
        monkeypatch.setitem(sys.modules, "alibaba_cloud_secretsmanager_client", None)

        found = outcome(cloud.write_properties(tmp_path, secrets_client="aliyun-secret-manager-client"), SECRET)

        assert found.failed() == ["gateway", "gateway"]
        assert "aliyun-sdk-managed-credentials-providers[secret-manager-client]" in found.steps[2]["detail"]

    @pytest.mark.parametrize("fault", [Fault.untrusted_certificate(), Fault.expired_certificate()])
    def test_whose_certificate_is_not_trusted(self, cloud, outcome, tmp_path, fault):
        cloud.inject("secrets_manager", fault, region="cn-beijing")

        found = outcome(cloud.write_properties(tmp_path), SECRET)

        assert found.failed() == ["gateway"]
        assert not found.of("gateway")[1]["ok"]
        assert "CERTIFICATE_VERIFY_FAILED" in found.error()
        assert "set caFilePath in cache_client_region_id" in found.error()

    def test_of_another_name_is_not_trusted_though_its_ca_is(self, cloud, outcome, tmp_path, monkeypatch):
        lookup = socket.getaddrinfo
        monkeypatch.setattr(socket, "getaddrinfo", lambda host, *rest: lookup(
            "127.0.0.1" if host == "kms.example.com" else host, *rest))
        port = cloud.gateway_endpoint().rpartition(":")[2]
        path = cloud.write_properties(tmp_path, cache_client_region_id=json.dumps(
            [{"regionId": "cn-hangzhou", "endpoint": "kms.example.com:" + port, "caFilePath": cloud.ca_file}]))

        found = outcome(path, SECRET)

        assert found.failed() == ["gateway"]
        assert "is not trusted" in found.error() and "check the endpoint" in found.error()

    @pytest.mark.filterwarnings("ignore:Unverified HTTPS request")
    def test_whose_certificate_is_ignored_is_warned_of(self, cloud, outcome, client_key, tmp_path):
        cloud.inject("dedicated", Fault.untrusted_certificate())
        entry = client_key(ignoreSslCerts="true")

        found = outcome(cloud.write_properties(
            tmp_path, cache_client_dkms_config_info=json.dumps([entry]), cache_client_region_id=None), SECRET)

        assert found.code == 0, found.text
        gateway = found.of("gateway")[0]
        assert "certificate_expires" not in gateway
        assert "is not verified (ignoreSslCerts)" in gateway["detail"].split("\n")[1]

    def test_whose_certificate_ends_soon_is_warned_of(self, cloud, outcome, tmp_path, monkeypatch):
        monkeypatch.setattr(check_module, "CERTIFICATE_DAYS", 400000)

        found = outcome(cloud.write_properties(tmp_path), SECRET)

        assert found.code == 0, found.text
        assert "the certificate expires in less than 400000 days" in found.of("gateway")[0]["detail"].split("\n")[1]

    def test_where_nobody_listens(self, cloud, outcome, tmp_path):
        cloud.inject("secrets_manager", Fault.refuse(), region="cn-hangzhou")

        found = outcome(cloud.write_properties(tmp_path), SECRET)

        assert found.failed() == ["gateway"]
        assert "ConnectionRefusedError" in found.error()
        assert "check the endpoint in cache_client_region_id and the network" in found.error()
        assert [step["ok"] for step in found.of("secret")] == [False, True]

    def test_whose_name_is_unknown(self, cloud, outcome, tmp_path, monkeypatch):
        def unknown(*arguments):
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

        monkeypatch.setattr(socket, "getaddrinfo", unknown)
        path = cloud.write_properties(tmp_path, cache_client_region_id=json.dumps(
            [{"regionId": "cn-hangzhou", "endpoint": "kms.example.com"}]))

        found = outcome(path, SECRET)

        assert found.failed() == ["gateway"]
        assert "cannot connect" in found.error()

    def test_that_is_silent_is_given_up_at_the_fetch_timeout(self, cloud, outcome, tmp_path):
        with socket.socket() as silent:
            silent.bind(("127.0.0.1", 0))
            silent.listen(8)
            endpoint = "127.0.0.1:{}".format(silent.getsockname()[1])
            path = cloud.write_properties(tmp_path, fetch_timeout_milliseconds=300, cache_client_region_id=json.dumps(
                [{"regionId": "cn-hangzhou", "endpoint": endpoint, "caFilePath": cloud.ca_file}]))

            found = outcome(path, SECRET)

        assert found.failed() == ["gateway"]
        assert "no answer within 0.3 s" in found.error() or "timed out" in found.error()
        wait_for_threads_of_the_check()

    def test_behind_a_proxy_is_left_to_the_request(self, cloud, outcome, tmp_path, monkeypatch):
        monkeypatch.setenv("HTTPS_PROXY", "http://user:{}@127.0.0.1:9".format(PASSWORD))
        monkeypatch.delenv("NO_PROXY", raising=False)
        monkeypatch.delenv("no_proxy", raising=False)

        found = outcome(cloud.write_properties(tmp_path), SECRET)

        assert found.failed() == ["secret", "secret"]
        assert "through the proxy 127.0.0.1:9," in found.of("gateway")[0]["detail"]


class TestSecret:
    def test_not_named_anywhere_is_said_and_no_error(self, cloud, outcome, tmp_path):
        found = outcome(cloud.write_properties(tmp_path))

        assert found.failed() == []
        assert "no secret was tried; name one" in found.of("secret")[0]["detail"]

    def test_named_by_the_id_of_an_access_key_says_what_belongs_there(self, cloud, outcome, tmp_path):
        key = cloud.secret(SECRET).versions[-1].access_key

        found = outcome(cloud.write_properties(tmp_path), key.access_key_id, SECRET)

        assert found.failed() == ["secret"]
        assert found.of("secret")[0]["subject"].startswith("LTAI********")
        assert "give the name of the secret in Secrets Manager that holds the AccessKey" in found.error()
        assert found.of("key")[0]["ok"]
        assert len(cloud.calls(action="GetSecretValue")) == 2

    def test_that_one_gateway_alone_gives_is_an_error(self, cloud, outcome, tmp_path):
        cloud.inject("secrets_manager", Fault.forbidden(), region="cn-beijing")

        found = outcome(cloud.write_properties(tmp_path), SECRET)

        assert found.failed() == ["secret"]
        assert found.error().startswith("Forbidden.NoPermission (HTTP status 403, request id ")
        assert found.error().endswith("grant kms:GetSecretValue on the secret to the identity in the properties file")
        assert found.of("key")[0]["ok"]

    def test_that_is_unknown(self, cloud, outcome, tmp_path):
        found = outcome(cloud.write_properties(tmp_path), "unknown", SECRET)

        assert found.failed() == ["secret", "secret"]
        assert "check the secret's name" in found.of("secret")[0]["detail"]
        assert [step["subject"] for step in found.of("key")] == [SECRET]

    def test_that_hangs_is_given_up_at_the_fetch_timeout(self, cloud, outcome, tmp_path):
        cloud.inject("secrets_manager", Fault.drip(3600), region="cn-beijing")

        found = outcome(cloud.write_properties(tmp_path, fetch_timeout_milliseconds=700), SECRET)

        assert found.failed() == ["secret"]
        assert re.search(r"no answer within 0\.7 s|not whole within 0\.7 s", found.error())
        assert "cn-beijing" in found.error()
        cloud.clear()
        wait_for_threads_of_the_check()

    def test_answered_by_a_page_of_a_proxy(self, cloud, outcome, tmp_path):
        cloud.inject("secrets_manager", Fault.html(), region="cn-beijing")

        found = outcome(cloud.write_properties(tmp_path), SECRET)

        assert found.failed() == ["secret"]
        assert "check the endpoint and any proxy" in found.error()


class TestKey:
    @pytest.mark.parametrize(("data", "secret_type", "what"), [
        (PASSWORD, "RAMCredentials", "is no JSON object"),
        (json.dumps({"AccessKeyId": PASSWORD}), "RAMCredentials", "has no AccessKeySecret"),
        (json.dumps({"AccountPassword": PASSWORD}), "Rds", "is of type 'Rds'"),
    ], ids=["text", "half a key", "another type"])
    def test_that_is_none(self, cloud, outcome, tmp_path, data, secret_type, what):
        cloud.create_secret("other", secret_data=data, secret_type=secret_type)

        found = outcome(cloud.write_properties(tmp_path), "other")

        assert found.failed() == ["key"]
        assert what in found.error()

    def test_that_has_expired(self, cloud, outcome, tmp_path):
        cloud.create_secret("other", secret_data=json.dumps({
            "AccessKeyId": "STS.Expired", "AccessKeySecret": "s", "SecurityToken": "t",
            "ExpireTimestamp": "2020-01-01T00:00:00Z"}))

        found = outcome(cloud.write_properties(tmp_path), "other")

        assert found.failed() == ["key"]
        assert re.search(r"expired at 2020-01-01T00:00:00Z \(\d+ days ago\); rotate the secret", found.error())

    def test_of_which_the_gateways_have_different_versions(self, cloud, outcome, tmp_path):
        answer = {"SecretData": json.dumps({"AccessKeyId": "LTAI-another", "AccessKeySecret": "s"}), "VersionId": "v0"}
        cloud.inject("secrets_manager", Fault.body(json.dumps(answer).encode()), region="cn-beijing")

        key = outcome(cloud.write_properties(tmp_path), SECRET).of("key")[0]

        assert key["ok"]
        assert key["version_id"] == cloud.secret(SECRET).versions[-1].version_id
        assert "\nwarning: the gateways give different versions: " in key["detail"]
        assert "v0 from shared cn-beijing" in key["detail"]

    def test_without_a_rotation_says_so(self, cloud, outcome, tmp_path):
        answer = {"SecretData": json.dumps({"AccessKeyId": "LTAI-another", "AccessKeySecret": "s"}), "VersionId": "v0"}
        cloud.inject("secrets_manager", Fault.body(json.dumps(answer).encode()))

        found = outcome(cloud.write_properties(tmp_path), SECRET)

        assert found.code == 0, found.text
        assert "next rotation is not scheduled" in found.of("key")[0]["detail"]
        assert "next_rotation" not in found.of("key")[0]
