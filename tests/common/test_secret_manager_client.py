"""A client that the program hands in, and the official client where its package is missing."""

import json
import sys
import types

import pytest
from aliyunsdkcore.acs_exception.exceptions import ClientException, ServerException
from aliyunsdkcore.request import CommonRequest

from aliyun_sdk_secretsmanager_common_plugin import ConfigurationError, ManagedCredentials, SecretFormatError
from aliyun_sdk_secretsmanager_common_plugin.secrets_manager.other_clients import (
    HandedInClient,
    OfficialDedicatedGateway,
)
from aliyun_sdk_secretsmanager_common_plugin.settings import (
    ClientKeySettings,
    DedicatedGatewaySettings,
    Settings,
)
from aliyun_sdk_secretsmanager_oss_plugin import ProxyBucket
from aliyun_sdk_secretsmanager_sdk_core_plugin import ProxyAcsClient
from aliyun_sdk_secretsmanager_testing import LocalCloud
from tests.conftest import SECRET

from .fakes import Gate, Running, everything_in

TOKEN = "TheTokenThatNobodyMaySee42"


class Reader:
    """A client that reads from the cloud, or returns or raises the given answer."""

    def __init__(self, cloud=None, answer=None):
        self._cloud = cloud
        self._answer = answer
        self.asked = []

    def get_secret_info(self, name):
        self.asked.append(name)
        if self._cloud is None:
            if isinstance(self._answer, BaseException):
                raise self._answer
            return self._answer
        key = self._cloud.secret(name).current
        return types.SimpleNamespace(secret_name=name, secret_value=json.dumps(
            {"AccessKeyId": key.access_key_id, "AccessKeySecret": key.access_key_secret}))


class CachingReader(Reader):
    """A client that caches secrets until refresh_now is called."""

    def __init__(self, cloud, refreshed=True):
        super().__init__(cloud)
        self._kept = {}
        self._refreshed = refreshed

    def get_secret_info(self, name):
        if name not in self._kept:
            self._kept[name] = super().get_secret_info(name)
        return self._kept[name]

    def refresh_now(self, name):
        if self._refreshed:
            self._kept[name] = super().get_secret_info(name)
        return self._refreshed


@pytest.fixture
def cloud():
    with LocalCloud() as local_cloud:
        local_cloud.create_secret(SECRET)
        local_cloud.create_bucket("bucket")
        yield local_cloud


@pytest.fixture
def properties(tmp_path):
    """A file that names neither an identity nor a gateway."""
    path = tmp_path / "managed_credentials_providers.properties"
    path.write_text("secret_names=" + SECRET)
    return str(path)


class TestHandedInClient:
    def test_its_fields_are_those_of_an_answer(self):
        secret = types.SimpleNamespace(secret_name=SECRET, secret_value="{}", secret_type="RAMCredentials",
                                       version_id="v1", next_rotation_date="2026-11-22T10:00:00Z")

        assert HandedInClient(Reader(answer=secret)).get_secret_value(SECRET, 5) == {
            "SecretName": SECRET, "SecretData": "{}", "SecretType": "RAMCredentials", "VersionId": "v1",
            "NextRotationDate": "2026-11-22T10:00:00Z"}

    def test_one_without_the_method_is_refused_at_once(self, properties):
        with pytest.raises(ConfigurationError, match=r"secrets_client is a dict, which has no get_secret_info\(name\)"):
            ManagedCredentials.from_properties(properties, secrets_client={})

    @pytest.mark.parametrize("make", [Reader, CachingReader])
    def test_both_proxies_renew_with_it(self, cloud, properties, closing, make):
        reader = make(cloud)
        with ManagedCredentials.from_properties(properties, secrets_client=reader) as credentials:
            client = closing(ProxyAcsClient(SECRET, managed_credentials=credentials))
            bucket = closing(ProxyBucket(SECRET, cloud.oss_endpoint, "bucket", managed_credentials=credentials))
            for _ in range(2):
                cloud.rotate(SECRET)
                client.do_action_with_exception(CommonRequest(
                    domain=cloud.api_endpoint, version="2014-05-26", action_name="DescribeRegions"))
                bucket.put_object("key", b"content")

        assert reader.asked == [SECRET] * 3
        assert cloud.calls("secrets_manager") == []

    def test_kept_version_is_taken_where_the_client_cannot_refresh_it(self, cloud):
        gateway = HandedInClient(CachingReader(cloud, refreshed=False))

        assert cloud.secret(SECRET).current.access_key_id in gateway.get_secret_value(SECRET, 5)["SecretData"]

    def test_refusal_keeps_code_status_and_request_id(self):
        refused = ServerException("Forbidden.NoPermission", "no", 403, "request-1")

        with pytest.raises(ServerException) as caught:
            HandedInClient(Reader(answer=refused)).get_secret_value(SECRET, 5)

        assert caught.value.get_error_code() == "Forbidden.NoPermission"
        assert (caught.value.get_http_status(), caught.value.get_request_id()) == (403, "request-1")
        assert SECRET in str(caught.value)

    @pytest.mark.parametrize(("error", "code", "text"), [
        (ClientException("SDK.HttpError", "refused with url: /?SecurityToken=" + TOKEN + " (Caused by X)"),
         "SDK.HttpError", "refused with url: / (Caused by X)"),
        (ValueError(TOKEN), "SDK.UnknownServerError", "ValueError"),
    ])
    def test_other_errors_show_no_signed_request(self, error, code, text):
        with pytest.raises(ClientException) as caught:
            HandedInClient(Reader(answer=error)).get_secret_value(SECRET, 5)

        assert caught.value.get_error_code() == code
        assert "secret 'app/key': get_secret_info() of the secrets_client (Reader) failed: " + text in str(caught.value)
        assert TOKEN not in everything_in(caught.value)

    @pytest.mark.parametrize(("answer", "gave"), [(None, "gave None"), (types.SimpleNamespace(), "a SimpleNamespace")])
    def test_answer_without_a_value_is_named(self, answer, gave):
        with pytest.raises(ClientException, match=gave + ".*secret_value"):
            HandedInClient(Reader(answer=answer)).get_secret_value(SECRET, 5)

    @pytest.mark.parametrize("field", ["AccessKeyId", "AccessKeySecret", "SecurityToken"])
    def test_key_that_no_request_can_be_signed_with_is_no_key(self, field):
        data = dict({"AccessKeyId": "LTAI", "AccessKeySecret": "x"}, **{field: TOKEN + "\r\nX-Evil: 1"})
        secret = types.SimpleNamespace(secret_value=json.dumps(data), version_id=5, next_rotation_date=float("nan"))

        with ManagedCredentials(Settings(), secrets_client=Reader(answer=secret)) as credentials, \
                pytest.raises(SecretFormatError, match="the {} in the value of secret".format(field)) as caught:
            credentials.get(SECRET)
        assert TOKEN not in everything_in(caught.value)

    def test_absurd_dates_and_fields_do_not_matter(self):
        secret = types.SimpleNamespace(
            secret_value='{"AccessKeyId": "LTAI", "AccessKeySecret": "x", "ExpireTimestamp": 1e400}', version_id=[[]],
            next_rotation_date=-1, secret_type=None, rotation_interval=10 ** 400)

        with ManagedCredentials(Settings(), secrets_client=Reader(answer=secret)) as credentials:
            key = credentials.get(SECRET)
        assert (key.access_key_id, key.version_id, key.next_rotation, key.expires) == ("LTAI", "", None, None)

    def test_hang_ends_at_the_deadline(self, properties):
        gate = Gate()
        client = types.SimpleNamespace(get_secret_info=gate)
        credentials = ManagedCredentials(Settings(fetch_timeout=0.2), secrets_client=client)
        reading = Running(lambda: credentials.get(SECRET))

        gate.wait_entered()
        assert "the secrets_client (SimpleNamespace)" in str(reading.error())
        gate.open()
        credentials.close()

    def test_shows_no_more_than_its_type(self, cloud):
        assert repr(HandedInClient(Reader(cloud))) == "HandedInClient(Reader)"


class TestMissingExtra:
    @pytest.fixture(autouse=True)
    def without_the_package(self, monkeypatch):
        monkeypatch.setitem(sys.modules, "alibaba_cloud_secretsmanager_client", None)

    REMEDY = r'needs the extra "secret-manager-client": pip install "aliyun-sdk-managed-credentials-providers\[secret'

    def test_shared_gateway_says_so(self, cloud, tmp_path):
        path = cloud.write_properties(tmp_path, secrets_client="aliyun-secret-manager-client")

        with pytest.raises(ConfigurationError, match="secrets_client=aliyun-secret-manager-client " + self.REMEDY):
            ManagedCredentials.from_properties(path)

    def test_dedicated_gateway_says_so(self, cloud, tmp_path):
        key = ClientKeySettings(cloud.create_client_key(tmp_path, password="password").path, "password")

        with pytest.raises(ConfigurationError, match=self.REMEDY):
            OfficialDedicatedGateway(DedicatedGatewaySettings("cn-hangzhou", "127.0.0.1:1", key))
