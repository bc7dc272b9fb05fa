"""The dedicated gateway of a KMS instance, and client keys on the shared one, over real HTTPS."""

import json
import logging
import threading

import pytest
from aliyunsdkcore.acs_exception.exceptions import ClientException, ServerException
from aliyunsdkcore.request import CommonRequest

from aliyun_sdk_secretsmanager_common_plugin import ConfigurationError, ManagedCredentials
from aliyun_sdk_secretsmanager_common_plugin.secrets_manager import protobuf
from aliyun_sdk_secretsmanager_common_plugin.secrets_manager.gateways import (
    DedicatedGateway,
    UnreadableAnswer,
    UntrustedGateway,
)
from aliyun_sdk_secretsmanager_common_plugin.settings import load_settings
from aliyun_sdk_secretsmanager_oss_plugin import ProxyBucket
from aliyun_sdk_secretsmanager_sdk_core_plugin import ProxyAcsClient
from aliyun_sdk_secretsmanager_testing import Fault, LocalCloud
from tests.conftest import SECRET, wait_until

from .common.fakes import everything_in
from .raw_answers import BROKEN, RawAnswer

PASSWORD = "ThePasswordThatNobodyMaySee42"
INSTANCE = "kst-hangzhou"


@pytest.fixture
def cloud(tmp_path):
    with LocalCloud(dedicated=(INSTANCE, "kst-shanghai")) as local_cloud:
        local_cloud.create_secret(SECRET)
        local_cloud.create_bucket("bucket")
        yield local_cloud


@pytest.fixture
def client_key(cloud, tmp_path):
    (tmp_path / "password").write_text(PASSWORD + "\n")
    return cloud.create_client_key(tmp_path, password=PASSWORD)


@pytest.fixture
def write(cloud, client_key, tmp_path):
    """Write a properties file with dedicated gateways, and with other keys if given; None leaves a field out."""

    def write_properties(instances=(INSTANCE,), keys=None, **changes):
        def entry(name):
            fields = dict({"regionId": "cn-hangzhou", "endpoint": cloud.dedicated_endpoint(name),
                           "clientKeyFile": client_key.path, "passwordFromFilePath": "password",
                           "ignoreSslCerts": False, "caFilePath": cloud.ca_file}, **changes)
            return {field: value for field, value in fields.items() if value is not None}

        keys = dict({"credentials_type": None, "credentials_access_key_id": None, "credentials_access_secret": None,
                     "cache_client_region_id": None}, **(keys or {}))
        return cloud.write_properties(
            tmp_path, cache_client_dkms_config_info=json.dumps([entry(name) for name in instances]), **keys)

    return write_properties


@pytest.fixture
def make_gateway(write):
    def make(**changes):
        return DedicatedGateway(load_settings(write(**changes)).dedicated_gateways[0])

    return make


def request(cloud):
    return CommonRequest(domain=cloud.api_endpoint, version="2014-05-26", action_name="DescribeRegions")


class TestAnswer:
    def test_it_has_the_fields_of_the_shared_gateways(self, cloud, make_gateway, tmp_path):
        answer = make_gateway().get_secret_value(SECRET, 5)

        shared = ManagedCredentials(load_settings(cloud.write_properties(tmp_path)))._account._backends.gateways[0]
        theirs = shared.get_secret_value(SECRET, 5)
        assert dict(answer, RequestId="") == dict(theirs, RequestId="")

    @pytest.mark.parametrize("name", ["a/b c+\u4f60&=%", "x" * 200])
    def test_names_with_any_character_and_length(self, cloud, make_gateway, name):
        cloud.create_secret(name)

        assert make_gateway().get_secret_value(name, 5)["SecretName"] == name

    def test_password_of_the_environment(self, cloud, make_gateway, monkeypatch):
        monkeypatch.setenv("APP_PASSWORD", PASSWORD)

        gateway = make_gateway(passwordFromFilePath=None, passwordFromEnvVariable="APP_PASSWORD")

        assert gateway.get_secret_value(SECRET, 5)["SecretName"] == SECRET

    def test_secrecy_of_what_is_logged(self, cloud, make_gateway, caplog):
        caplog.set_level(logging.DEBUG)

        gateway = make_gateway()
        gateway.get_secret_value(SECRET, 5)

        assert "Bearer" not in caplog.text
        assert cloud.secret(SECRET).current.access_key_secret not in caplog.text
        assert PASSWORD not in caplog.text + repr(gateway)


class TestCertificate:
    def test_untrusted_one_is_refused(self, cloud, make_gateway):
        with pytest.raises(UntrustedGateway, match="caFilePath in cache_client_dkms_config_info"):
            make_gateway(caFilePath=None).get_secret_value(SECRET, 5)

        assert cloud.calls("dedicated") == []

    def test_expired_one_is_refused(self, cloud, make_gateway):
        cloud.inject("dedicated", Fault.expired_certificate())

        with pytest.raises(UntrustedGateway):
            make_gateway().get_secret_value(SECRET, 5)

    @pytest.mark.filterwarnings("ignore:Unverified HTTPS request")
    def test_ignore_ssl_certs_takes_any_and_warns_each_start(self, cloud, make_gateway, caplog):
        cloud.inject("dedicated", Fault.untrusted_certificate())

        for _ in range(2):
            assert make_gateway(caFilePath=None, ignoreSslCerts=True).get_secret_value(SECRET, 5)["SecretName"] == SECRET

        warnings = [record for record in caplog.records if "ignoreSslCerts" in record.getMessage()]
        assert [record.levelno for record in warnings] == [logging.WARNING] * 2

    def test_nothing_is_said_where_it_is_verified(self, make_gateway, caplog):
        make_gateway()

        assert caplog.records == []


class TestErrors:
    @pytest.mark.parametrize(("fault", "code", "status"), [
        (Fault.throttling(), "Rejected.Throttling", 429),
        (Fault.forbidden(), "Forbidden.NoPermission", 403),
        (Fault.status(503, code="ServiceUnavailableTemporary"), "ServiceUnavailableTemporary", 503),
    ], ids=["throttling", "forbidden", "503"])
    def test_they_keep_code_status_and_request_id(self, cloud, make_gateway, fault, code, status):
        cloud.inject("dedicated", fault)

        with pytest.raises(ServerException) as caught:
            make_gateway().get_secret_value(SECRET, 5)

        assert (caught.value.get_error_code(), caught.value.get_http_status()) == (code, status)
        assert caught.value.get_request_id()
        assert repr(SECRET) in str(caught.value)

    def test_missing_secret_names_it(self, make_gateway):
        with pytest.raises(ServerException, match="'missing'.*check the secret's name") as caught:
            make_gateway().get_secret_value("missing", 5)

        assert caught.value.get_error_code() == "Forbidden.ResourceNotFound"

    def test_fields_that_nobody_knows_yet_cost_nothing(self, cloud, make_gateway):
        gateway = make_gateway()
        unknown = b"\xa2\x06\x02\xff\xfe\x08\x93\x03"
        cloud.inject("dedicated", Fault.body(
            protobuf.encode({2: "InvalidX", 3: "of the test", 4: "request-1"}) + unknown, status=403))

        with pytest.raises(ServerException, match="of the test") as caught:
            gateway.get_secret_value(SECRET, 5)

        assert (caught.value.get_error_code(), caught.value.get_request_id()) == ("InvalidX", "request-1")

    def test_revoked_client_key_is_named(self, cloud, make_gateway, client_key):
        gateway = make_gateway()
        cloud.revoke_client_key(client_key.key_id)

        with pytest.raises(ServerException, match="client key " + client_key.key_id) as caught:
            gateway.get_secret_value(SECRET, 5)

        assert caught.value.get_error_code() == "Unauthorized"

    @pytest.mark.parametrize("fault", [
        Fault.html(), Fault.html(status=502), Fault.body(b""), Fault.body(b"\x0a"), Fault.body(b"\x0a\x01x"),
        Fault.body(b'{"Code": "x"}', status=400), Fault.body(b"", status=500), Fault.body(b"\x0a\x01x", status=500),
    ], ids=["html", "html 502", "empty", "cut", "no SecretData", "json 400", "empty 500", "no code 500"])
    def test_what_is_no_answer_of_secrets_manager_says_so(self, cloud, make_gateway, fault):
        cloud.inject("dedicated", fault)

        with pytest.raises(UnreadableAnswer, match="not Secrets Manager's") as caught:
            make_gateway().get_secret_value(SECRET, 5)

        assert caught.value.__context__ is None

    def test_what_is_no_http_is_no_answer(self, cloud, make_gateway):
        gateway = make_gateway()
        failures = {}
        for name in BROKEN:
            cloud.inject("dedicated", RawAnswer(BROKEN[name]), INSTANCE)
            try:
                gateway.get_secret_value(SECRET, 5)
            except ClientException as error:
                failures[name] = error.__context__
            cloud.clear()

        assert failures == dict.fromkeys(BROKEN)

    @pytest.mark.parametrize("fault", [Fault.reset(), Fault.cut(), Fault.refuse()], ids=["reset", "cut", "refuse"])
    def test_broken_connection_shows_no_signature(self, cloud, make_gateway, fault):
        cloud.inject("dedicated", fault)

        with pytest.raises(ClientException, match="no answer") as caught:
            make_gateway().get_secret_value(SECRET, 5)

        assert "Bearer" not in everything_in(caught.value)

    def test_wrong_password_names_the_file(self, make_gateway, tmp_path, client_key):
        (tmp_path / "other").write_text("NotThePassword")

        with pytest.raises(ConfigurationError, match="password does not open it") as caught:
            make_gateway(passwordFromFilePath="other")

        assert str(client_key.path) in str(caught.value)
        assert "NotThePassword" not in everything_in(caught.value)


class TestApplication:
    @pytest.fixture
    def working_directory(self, write):
        write()  # in the working directory, where proxies look

    def test_no_call_fails_over_a_rotation(self, cloud, working_directory, in_threads):
        with ProxyAcsClient(SECRET) as client, ProxyBucket(SECRET, cloud.oss_endpoint, "bucket") as bucket:
            client.do_action_with_exception(request(cloud))
            cloud.rotate(SECRET)
            in_threads([lambda: client.do_action_with_exception(request(cloud)),
                        lambda: bucket.put_object("key", b"body")] * 4)

        assert cloud.object("bucket", "key") == b"body"
        assert len(cloud.calls("dedicated")) == 2
        assert cloud.calls("secrets_manager") == []

    def test_another_instance_answers_where_the_first_does_not(self, cloud, write):
        cloud.inject("dedicated", Fault.refuse(), region=INSTANCE)

        with ManagedCredentials.from_properties(write(instances=(INSTANCE, "kst-shanghai"))) as credentials:
            assert credentials.get(SECRET).access_key_id == cloud.secret(SECRET).current.access_key_id

    @pytest.fixture
    def mixed(self, cloud, write):
        """The properties file with a dedicated and a shared gateway."""
        shared = [{"regionId": "cn-hangzhou", "endpoint": cloud.gateway_endpoint(), "caFilePath": cloud.ca_file}]
        return write(keys={"cache_client_region_id": json.dumps(shared), "credentials_type": "ak",
                           "credentials_access_key_id": cloud.identity.access_key_id,
                           "credentials_access_secret": cloud.identity.access_key_secret})

    def test_the_shared_gateway_answers_where_the_dedicated_does_not(self, cloud, mixed):
        cloud.inject("dedicated", Fault.status(500))

        with ManagedCredentials.from_properties(mixed) as credentials:
            assert credentials.get(SECRET).access_key_id == cloud.secret(SECRET).current.access_key_id

        assert len(cloud.calls("dedicated")) == len(cloud.calls("secrets_manager")) == 1

    def test_the_shared_gateway_answers_where_the_client_key_was_revoked(self, cloud, mixed, client_key):
        cloud.revoke_client_key(client_key.key_id)

        with ManagedCredentials.from_properties(mixed) as credentials:
            assert credentials.get(SECRET).access_key_id == cloud.secret(SECRET).current.access_key_id

    def test_a_revoked_client_key_is_not_tried_again_and_again(self, cloud, write, client_key):
        cloud.revoke_client_key(client_key.key_id)

        with ManagedCredentials.from_properties(write()) as credentials, pytest.raises(ServerException):
            credentials.get(SECRET)

        assert len(cloud.calls("dedicated")) == 1

    def test_dedicated_gateways_are_asked_before_shared_ones(self, cloud, mixed):
        with ManagedCredentials.from_properties(mixed) as credentials:
            credentials.get(SECRET)

        assert cloud.calls("secrets_manager") == []

    @pytest.mark.parametrize("fault", [Fault.hang(), Fault.drip(30)], ids=["hang", "drip"])
    def test_deadline_is_wall_time(self, cloud, write, fault):
        cloud.inject("dedicated", fault)

        with ManagedCredentials.from_properties(write(keys={"fetch_timeout_milliseconds": 500})) as credentials, \
                pytest.raises(ClientException, match=r"no answer within \d\.\d s"):
            credentials.get(SECRET)
        cloud.clear()

    def test_no_thread_is_left(self, cloud, working_directory):
        threads_of_other_tests = set(threading.enumerate())
        with ProxyAcsClient(SECRET) as client:
            client.do_action_with_exception(request(cloud))

        wait_until(lambda: not [
            thread for thread in threading.enumerate()
            if thread.name.startswith("managed-credentials-fetch") and thread not in threads_of_other_tests])


class TestClientKeyOnTheSharedGateway:
    @pytest.fixture
    def path(self, cloud, client_key, tmp_path):
        return cloud.write_properties(
            tmp_path, credentials_type="client_key", client_key_private_key_path=client_key.path,
            client_key_password_from_file_path="password", credentials_access_key_id=None,
            credentials_access_secret=None)

    def test_it_reads_secrets_and_rotations_cost_no_call(self, cloud, path):
        with ProxyAcsClient(SECRET) as client:
            client.do_action_with_exception(request(cloud))
            cloud.rotate(SECRET)
            client.do_action_with_exception(request(cloud))

        assert [call.status for call in cloud.calls("secrets_manager")] == [200, 200]

    def test_requests_are_signed_with_it(self, cloud, path, client_key):
        with ManagedCredentials.from_properties(path) as credentials:
            credentials.get(SECRET)

        assert [call.access_key_id for call in cloud.calls("secrets_manager")] == [client_key.key_id]

    def test_revoked_key_says_what_to_check(self, cloud, path, client_key):
        cloud.revoke_client_key(client_key.key_id)

        with ManagedCredentials.from_properties(path) as credentials, \
                pytest.raises(ServerException, match="check the identity") as caught:
            credentials.get(SECRET)

        assert caught.value.get_error_code() == "InvalidAccessKeyId.NotFound"

    def test_expired_key_is_refused_at_start(self, cloud, path, tmp_path):
        expired = cloud.create_client_key(tmp_path, password=PASSWORD, valid=-60)
        path = cloud.write_properties(
            tmp_path, credentials_type="client_key", client_key_private_key_path=expired.path,
            client_key_password_from_file_path="password")

        with pytest.raises(ConfigurationError, match="certificate expired"):
            ManagedCredentials.from_properties(path)
