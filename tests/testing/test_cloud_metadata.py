"""The metadata service, with plain requests and with the real clients at its real address; and a credentials URI."""
import calendar
import time

import pytest
import requests

from aliyun_sdk_secretsmanager_testing import AccessKeyPair, LocalCloud

from ..instance import namespace
from .conftest import client_of
from .sdk_requests import answer, get_secret_value
from .test_cloud_openapi_signatures import refused

CREDENTIALS = "/latest/meta-data/ram/security-credentials/"
TTL = "X-aliyun-ecs-metadata-token-ttl-seconds"
TOKEN = "X-aliyun-ecs-metadata-token"


@pytest.fixture
def metadata(cloud):
    """A function that sends a request and returns the response."""

    def send(method, path, **headers):
        return requests.request(method, "http://" + cloud.metadata_endpoint + path, timeout=30,
                                headers={name.replace("_", "-"): value for name, value in headers.items()})

    return send


@pytest.fixture
def token(metadata):
    return lambda seconds="21600": metadata("PUT", "/latest/api/token", **{TTL: seconds}).text


def key_in(document):
    return AccessKeyPair(document["AccessKeyId"], document["AccessKeySecret"], document["SecurityToken"])


def read(cloud, key):
    return answer(client_of(cloud, key), get_secret_value(cloud.gateway_endpoint()))["SecretName"]


def seconds(date):
    return calendar.timegm(time.strptime(date, "%Y-%m-%dT%H:%M:%SZ"))


@pytest.mark.parametrize("with_token", [True, False])
def test_a_role_and_its_credentials(cloud, metadata, token, with_token):
    headers = {TOKEN: token()} if with_token else {}
    for path in (CREDENTIALS, CREDENTIALS.rstrip("/")):
        assert metadata("GET", path, **headers).text == "local-cloud"
    document = metadata("GET", CREDENTIALS + "local-cloud", **headers).json()
    assert document.pop("Code") == "Success"
    assert seconds(document["Expiration"]) - seconds(document["LastUpdated"]) == 21600
    assert read(cloud, key_in(document)) == "app/key"
    asked = ["GetToken"] * with_token + ["GetRole", "GetRole", "GetCredentials"]
    calls = cloud.calls("metadata")
    assert [(call.action, call.status) for call in calls] == [(action, 200) for action in asked]
    assert calls[-1].given == document["AccessKeyId"]


def test_credentials_end(cloud, clock, metadata):
    cloud.set_metadata(expires_in=60)
    key = key_in(metadata("GET", CREDENTIALS + "local-cloud").json())
    assert read(cloud, key)
    clock.advance(60)
    assert refused(client_of(cloud, key), get_secret_value(cloud.gateway_endpoint())) == (
        400, "InvalidSecurityToken.Expired")


def test_credentials_can_be_revoked(cloud, metadata):
    key = key_in(metadata("GET", CREDENTIALS + "local-cloud").json())
    cloud.revoke_temporary_credentials()
    assert refused(client_of(cloud, key), get_secret_value(cloud.gateway_endpoint())) == (
        400, "InvalidSecurityToken.Malformed")


@pytest.mark.parametrize("ttl", ["0", "21601", "-1", "x", "", "999999"])
def test_a_token_lives_for_one_second_to_six_hours(metadata, ttl):
    assert metadata("PUT", "/latest/api/token", **{TTL: ttl}).status_code == 400
    assert metadata("PUT", "/latest/api/token").status_code == 400


def test_a_token_must_be_a_live_one(cloud, clock, metadata, token):
    short = token("60")
    assert metadata("GET", CREDENTIALS, **{TOKEN: "wrong"}).status_code == 403
    clock.advance(59)
    assert metadata("GET", CREDENTIALS, **{TOKEN: short}).status_code == 200
    clock.advance(1)
    assert metadata("GET", CREDENTIALS, **{TOKEN: short}).status_code == 403
    assert cloud.calls("metadata")[-1].code == "Forbidden"


def test_an_instance_with_tokens_only(cloud, metadata, token):
    cloud.set_metadata("v2")
    assert metadata("GET", CREDENTIALS).status_code == 403
    assert metadata("GET", CREDENTIALS, **{TOKEN: token()}).text == "local-cloud"


def test_an_instance_without_tokens(cloud, metadata):
    cloud.set_metadata("v1")
    assert metadata("PUT", "/latest/api/token", **{TTL: "60"}).status_code == 404
    assert metadata("GET", CREDENTIALS, **{TOKEN: "ignored"}).text == "local-cloud"


def test_an_instance_without_a_role(cloud, metadata):
    cloud.set_metadata(role=None)
    for path in (CREDENTIALS, CREDENTIALS + "local-cloud"):
        assert metadata("GET", path).status_code == 404


def test_other_roles_and_paths_are_unknown(cloud, metadata):
    cloud.create_role("other")
    for path in (CREDENTIALS + "other", "/", "/latest/meta-data/", "/latest/api/token"):
        assert metadata("GET", path).status_code == 404
    assert cloud.calls("metadata")[1].action == "GET /"
    cloud.set_metadata(role="other")
    assert metadata("GET", CREDENTIALS).text == "other"
    assert metadata("GET", CREDENTIALS + "other").json()["Code"] == "Success"


def test_a_role_that_may_not_read_secrets(cloud, metadata):
    cloud.create_role("powerless", may_read_secrets=False)
    cloud.set_metadata(role="powerless")
    key = key_in(metadata("GET", CREDENTIALS + "powerless").json())
    assert refused(client_of(cloud, key), get_secret_value(cloud.gateway_endpoint())) == (403, "Forbidden.NoPermission")


def test_settings_that_cannot_be(cloud):
    with pytest.raises(ValueError, match="the modes are v1, v2 and v1 and v2, not 'v3'"):
        cloud.set_metadata("v3")
    for set_role in (cloud.set_metadata, cloud.set_credentials_uri):
        with pytest.raises(KeyError, match="no role 'none'"):
            set_role(role="none")


def test_an_address_that_the_machine_does_not_have(recwarn):
    cloud = LocalCloud(metadata_address=("192.0.2.1", 80))
    with pytest.raises(OSError, match="cannot listen on 192.0.2.1:80"):
        cloud.start()
    cloud.stop()
    assert repr(cloud) == "LocalCloud(regions=('cn-hangzhou',), stopped)"
    assert [str(warning.message) for warning in recwarn if warning.category is ResourceWarning] == []


def test_an_address_can_be_had_again_after_a_fault_and_a_stop():
    with LocalCloud() as cloud:
        host, port = cloud.metadata_endpoint.split(":")
    cloud = LocalCloud(metadata_address=(host, int(port)))
    for _ in range(2):
        with cloud:
            assert cloud.metadata_endpoint == "{}:{}".format(host, port)
            assert requests.get("http://" + cloud.metadata_endpoint + CREDENTIALS, timeout=30).text == "local-cloud"


ON_AN_INSTANCE = """
import sys
from aliyunsdkcore.auth.credentials import EcsRamRoleCredential, StsTokenCredential
from aliyunsdkcore.client import AcsClient
from aliyunsdkkms.request.v20160120.GetSecretValueRequest import GetSecretValueRequest
from aliyun_sdk_secretsmanager_testing import LocalCloud


def library():
    try:
        from alibabacloud_credentials.provider.ecs_ram_role import EcsRamRoleCredentialsProvider
    except ImportError:
        from alibabacloud_credentials.providers import EcsRamRoleCredentialProvider
        found = EcsRamRoleCredentialProvider(role_name="").get_credentials()
        return StsTokenCredential(found.access_key_id, found.access_key_secret, found.security_token)
    provider = EcsRamRoleCredentialsProvider(async_update_enabled=False, disable_imds_v1={disable_v1})
    found = provider.get_credentials()
    return StsTokenCredential(found.get_access_key_id(), found.get_access_key_secret(), found.get_security_token())


with LocalCloud(metadata_address=("100.100.100.200", 80)) as cloud:
    cloud.create_secret("app/key")
    cloud.set_metadata({mode!r})
    request = GetSecretValueRequest()
    request.set_SecretName("app/key")
    request.set_endpoint(cloud.gateway_endpoint())
    request.set_protocol_type("https")
    client = AcsClient(region_id="cn-hangzhou", credential={credential}, verify=cloud.ca_file)
    client.do_action_with_exception(request)
    print(*["{{}}={{}}".format(call.action, call.status) for call in cloud.calls()])
"""

TOKENS_FIRST = "GetToken=200 GetRole=200 GetToken=200 GetCredentials=200 GetSecretValue=200\n"


@pytest.mark.parametrize("mode, disable_v1, asked", [
    ("v1 and v2", False, TOKENS_FIRST), ("v2", False, TOKENS_FIRST), ("v2", True, TOKENS_FIRST),
    ("v1", False, "GetToken=404 GetRole=200 GetToken=404 GetCredentials=200 GetSecretValue=200\n"),
])
def test_the_client_library_at_the_real_address(mode, disable_v1, asked):
    pytest.importorskip("alibabacloud_credentials")
    with namespace() as run:
        assert run(ON_AN_INSTANCE.format(mode=mode, disable_v1=disable_v1, credential="library()")) == asked


@pytest.mark.parametrize("mode", ["v1 and v2", "v1"])
def test_the_sdk_at_the_real_address(mode):
    with namespace() as run:
        printed = run(ON_AN_INSTANCE.format(mode=mode, disable_v1=False,
                                            credential='EcsRamRoleCredential("local-cloud")'))
    assert printed == "GetCredentials=200 GetSecretValue=200\n"


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_credentials_uri(cloud, clock, scheme):
    response = requests.get(cloud.credentials_uri.replace("http", scheme, 1), verify=cloud.ca_file, timeout=30)
    document = response.json()
    assert sorted(document) == ["AccessKeyId", "AccessKeySecret", "Code", "Expiration", "SecurityToken"]
    assert document["Code"] == "Success"
    assert abs(seconds(document["Expiration"]) - clock.time() - 3600) < 2
    key = key_in(document)
    assert read(cloud, key) == "app/key"
    (call,) = cloud.calls("credentials_uri")
    assert (call.action, call.status, call.given) == ("GetCredentials", 200, key.access_key_id)


def test_what_a_credentials_uri_gives_out(cloud, clock):
    cloud.create_role("powerless", may_read_secrets=False)
    cloud.set_credentials_uri("powerless", expires_in=60)
    key = key_in(requests.get(cloud.credentials_uri, timeout=30).json())
    request = get_secret_value(cloud.gateway_endpoint())
    assert refused(client_of(cloud, key), request) == (403, "Forbidden.NoPermission")
    clock.advance(60)
    assert refused(client_of(cloud, key), request) == (400, "InvalidSecurityToken.Expired")


def test_a_credentials_uri_has_one_path(cloud):
    response = requests.get(cloud.credentials_uri + "/x", timeout=30)
    assert (response.status_code, response.json()["Code"]) == (404, "NotFound")
    assert cloud.calls()[0].code == "NotFound"


def test_the_client_library_at_a_credentials_uri(cloud):
    uri = pytest.importorskip("alibabacloud_credentials.provider.uri",
                              reason="needs alibabacloud-credentials 1.0 or newer")
    found = uri.URLCredentialsProvider(uri=cloud.credentials_uri).get_credentials()
    key = AccessKeyPair(found.get_access_key_id(), found.get_access_key_secret(), found.get_security_token())
    assert read(cloud, key) == "app/key"
