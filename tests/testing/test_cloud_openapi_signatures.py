"""RPC and ROA signatures: those of the official SDK are accepted, and no request that differs in a signed byte."""
import json
import math

import pytest
from aliyunsdkcore.acs_exception.exceptions import ServerException
from aliyunsdkcore.client import AcsClient

from aliyun_sdk_secretsmanager_testing import Fault, LocalCloud, nonces
from tests.conftest import wait_until

from .conftest import client_of
from .sdk_requests import HmacSha256, Replayer, answer, changes, get_secret_value, recorded, roa, rpc

# Headers of the SDK that neither style signs.
UNSIGNED = {"host", "user-agent", "accept-encoding", "connection", "content-length", "x-sdk-client",
            "x-sdk-invoke-type"}
# Headers that RPC does not sign.
UNSIGNED_BY_RPC = UNSIGNED | {"accept", "content-md5", "content-type", "x-acs-action", "x-acs-version"}

REFUSALS = {"SignatureDoesNotMatch", "InvalidAccessKeyId.NotFound", "MissingParameter", "InvalidTimeStamp.Expired",
            "InvalidTimeStamp.Format", "InvalidParameter", "InvalidApi.NotFound", "IncompleteSignature",
            "ContentMD5NotMatched"}

STYLES = {
    "rpc get sha1": (lambda address: rpc(address), UNSIGNED_BY_RPC),
    "rpc post sha1": (lambda address: rpc(address, "POST"), UNSIGNED_BY_RPC),
    "rpc get sha256": (lambda address: rpc(address, "GET", HmacSha256), UNSIGNED_BY_RPC),
    "rpc post sha256": (lambda address: rpc(address, "POST", HmacSha256), UNSIGNED_BY_RPC),
    "roa get": (lambda address: roa(address), UNSIGNED),
    "roa put with a body": (lambda address: roa(address, "PUT", b'{"size": 3}'), UNSIGNED),
}


@pytest.mark.parametrize("style", sorted(STYLES))
def test_a_request_of_the_sdk_is_accepted_and_arrives_whole(cloud, client, style):
    request = STYLES[style][0](cloud.api_endpoint)
    document = answer(client, request)
    if style.startswith("rpc"):
        assert document["Action"] == "DescribeRegions"
        assert document["Parameters"]["Tricky"] == "a b*~/+&=é"
    else:
        assert document["Action"] == "DescribeCluster"
        assert document["Path"] == "/clusters/c1/nodes"
        assert document["Parameters"]["b"] == "x y&é"
    if "post" in style:
        assert document["Parameters"]["Field"] == "1 2&3=é~*"
    if "body" in style:
        assert document["Body"] == "eyJzaXplIjogM30="


@pytest.mark.parametrize("style", sorted(STYLES))
def test_a_recorded_request_is_accepted_as_it_is_and_refused_with_any_signed_byte_changed(cloud, style):
    key = cloud.create_secret("temporary", token=True).current
    make, unsigned = STYLES[style]
    raw = recorded(lambda address: client_of(cloud, key).do_action_with_exception(make(address)))
    with Replayer(cloud.api_endpoint) as replayer:
        accepted = []
        for note, changed in changes(raw, unsigned):
            status, _, body = replayer.send(changed)
            if status < 400:
                accepted.append(note)
            elif body.startswith(b"{"):
                assert json.loads(body.decode())["Code"] in REFUSALS, (note, body)
        assert accepted == []
        assert replayer.send(raw)[0] == 200


def test_a_recorded_get_secret_value_is_refused_with_any_signed_byte_changed(cloud):
    raw = recorded(lambda address: client_of(cloud, cloud.identity).do_action_with_exception(
        _plain(get_secret_value(address, FetchExtendedConfig="true"))))
    with Replayer(cloud.gateway_endpoint(), cloud.ca_file) as replayer:
        accepted = [note for note, changed in changes(raw, UNSIGNED_BY_RPC) if replayer.send(changed)[0] < 400]
        assert accepted == []
        assert replayer.send(raw)[0] == 200


def roa_with_a_nonce(address):
    request = roa(address)
    request.add_header("x-acs-signature-nonce", "nonce-1")
    return request


@pytest.mark.parametrize("make", [rpc, lambda address: rpc(address, "POST"), roa_with_a_nonce],
                         ids=["rpc get", "rpc post", "roa"])
def test_a_request_sent_twice_is_refused_as_its_nonce_was_used(cloud, client, make):
    raw = recorded(lambda address: client.do_action_with_exception(make(address)))
    with Replayer(cloud.api_endpoint) as replayer:
        assert replayer.send(raw)[0] == 200
        for _ in range(2):
            status, _, body = replayer.send(raw)
            document = json.loads(body.decode())
            assert (status, document["Code"]) == (400, "SignatureNonceUsed")
            assert document["Message"] == "Specified signature nonce was used already."
    assert [call.code for call in cloud.calls("api")] == ["", "SignatureNonceUsed", "SignatureNonceUsed"]


def test_a_nonce_counts_in_all_regions():
    with LocalCloud(regions=("cn-hangzhou", "cn-beijing")) as cloud:
        cloud.create_secret("app/key")
        raw = recorded(lambda address: client_of(cloud, cloud.identity).do_action_with_exception(
            _plain(get_secret_value(address))))
        statuses = []
        for region in cloud.regions:
            with Replayer(cloud.gateway_endpoint(region), cloud.ca_file) as replayer:
                statuses.append(replayer.send(raw)[0])
        assert statuses == [200, 400]


def test_another_key_may_use_the_same_nonce(cloud):
    keys = [cloud.create_secret(name).current for name in ("one", "two")]
    assert all(answer(client_of(cloud, key), roa_with_a_nonce(cloud.api_endpoint)) for key in keys)


def test_a_refused_request_uses_up_no_nonce(cloud, key):
    wrong = client_of(cloud, key._replace(access_key_secret="wrong"))
    assert refused(wrong, roa_with_a_nonce(cloud.api_endpoint)) == (400, "SignatureDoesNotMatch")
    assert answer(client_of(cloud, key), roa_with_a_nonce(cloud.api_endpoint))


@pytest.mark.parametrize("fault", [Fault.slow(60), Fault.status(503)], ids=["slow", "503"])
def test_the_sdk_signs_anew_when_it_tries_again(cloud, key, fault):
    client = AcsClient(key.access_key_id, key.access_key_secret, "cn-hangzhou", timeout=2, max_retry_time=2)
    cloud.inject("api", fault, times=1)
    assert answer(client, rpc(cloud.api_endpoint, signer=HmacSha256))
    wait_until(lambda: all(call.ended < math.inf for call in cloud.calls("api")))
    assert "SignatureNonceUsed" not in [call.code for call in cloud.calls("api")]
    assert len(cloud.calls("api")) == 2


def test_nonces_are_kept_for_half_an_hour_and_so_many_at_most(monkeypatch):
    monkeypatch.setattr(nonces, "_MOST", 3)
    used = nonces.Nonces()
    assert used.use("key", "n", 0) and not used.use("key", "n", 1800) and used.use("key", "n", 1801)
    assert [used.use("key", nonce, 1801) for nonce in ("a", "b", "b", "c", "n", "a")] == [
        True, True, False, True, True, True]
    assert len(used._used) == 3


def test_rpc_has_one_path(cloud, client):
    raw = recorded(lambda address: client.do_action_with_exception(rpc(address)))
    with Replayer(cloud.api_endpoint) as replayer:
        status, _, body = replayer.send(raw.replace(b"GET /?", b"GET /x?"))
    assert (status, json.loads(body.decode())["Code"]) == (404, "InvalidApi.NotFound")


def test_content_md5_is_checked_in_rpc_too(cloud, client):
    raw = recorded(lambda address: client.do_action_with_exception(rpc(address, "POST")))
    with Replayer(cloud.api_endpoint) as replayer:
        status, _, body = replayer.send(raw.replace(b"Content-MD5: ", b"Content-MD5: A"))
    assert (status, json.loads(body.decode())["Code"]) == (400, "ContentMD5NotMatched")


def _plain(request):
    request.set_protocol_type("http")
    return request


def refused(client, request):
    with pytest.raises(ServerException) as caught:
        client.do_action_with_exception(request)
    return caught.value.get_http_status(), caught.value.get_error_code()


@pytest.mark.parametrize("make", [rpc, roa])
def test_codes_of_refused_keys(cloud, client, key, make):
    from aliyun_sdk_secretsmanager_testing import AccessKeyPair
    request = make(cloud.api_endpoint)
    unknown = AccessKeyPair("LTAIunknownunknown", key.access_key_secret)
    assert refused(client_of(cloud, unknown), request) == (404, "InvalidAccessKeyId.NotFound")
    cloud.disable_key(key.access_key_id)
    assert refused(client, request) == (400, "InvalidAccessKeyId.Inactive")
    cloud.enable_key(key.access_key_id)
    assert answer(client, request)


def test_the_sdk_recognises_a_wrong_secret_by_the_string_to_sign(cloud, key):
    wrong = client_of(cloud, key._replace(access_key_secret="wrong"))
    assert refused(wrong, rpc(cloud.api_endpoint, "POST", HmacSha256)) == (400, "InvalidAccessKeySecret")
    assert refused(wrong, roa(cloud.api_endpoint)) == (400, "SignatureDoesNotMatch")


@pytest.mark.parametrize("make", [rpc, roa])
def test_codes_of_refused_tokens(cloud, clock, make):
    key = cloud.create_secret("temporary", token=True, expires_in=60.0).current
    request = make(cloud.api_endpoint)
    assert answer(client_of(cloud, key), request)
    wrong = client_of(cloud, key._replace(security_token="wrong"))
    assert refused(wrong, make(cloud.api_endpoint)) == (400, "InvalidSecurityToken.Malformed")
    missing = client_of(cloud, key._replace(security_token=None))
    assert refused(missing, make(cloud.api_endpoint)) == (400, "MissingSecurityToken")
    clock.advance(60.0)
    assert refused(client_of(cloud, key), make(cloud.api_endpoint)) == (400, "InvalidSecurityToken.Expired")


def test_a_refusal_does_not_show_the_token(cloud):
    key = cloud.create_secret("temporary", token=True).current
    for make in (rpc, roa):
        with pytest.raises(ServerException) as caught:
            client_of(cloud, key._replace(access_key_secret="wrong")).do_action_with_exception(make(cloud.api_endpoint))
        assert "server string to sign is" in str(caught.value)
        assert key.security_token not in str(caught.value)


@pytest.mark.parametrize("make", [rpc, roa])
@pytest.mark.parametrize("seconds, status", [(14 * 60, 200), (16 * 60, 400)])
def test_a_date_may_be_fifteen_minutes_off(cloud, clock, client, make, seconds, status):
    raw = recorded(lambda address: client.do_action_with_exception(make(address)))
    clock.advance(seconds)
    with Replayer(cloud.api_endpoint) as replayer:
        answered, _, body = replayer.send(raw)
    assert answered == status
    assert (b"InvalidTimeStamp.Expired" in body) == (status == 400)


def test_the_applications_own_key_may_not_call_business_apis(cloud, identity_client):
    assert refused(identity_client, rpc(cloud.api_endpoint)) == (403, "Forbidden.RAM")


def test_an_error_is_xml_where_the_request_asks_for_it(cloud):
    with Replayer(cloud.api_endpoint) as replayer:
        status, headers, body = replayer.send(b"GET /?Action=A&Format=XML HTTP/1.1\r\nHost: x\r\n\r\n")
    assert status == 400
    assert headers["Content-Type"].startswith("text/xml")
    assert b"<Code>MissingParameter</Code>" in body


def test_the_location_service_names_the_api_endpoint(cloud, client):
    from aliyunsdkcore.endpoint.location_service_endpoint_resolver import LocationServiceEndpointResolver
    from aliyunsdkcore.endpoint.resolver_endpoint_request import ResolveEndpointRequest
    resolver = LocationServiceEndpointResolver(client)
    resolver.set_location_service_endpoint(cloud.api_https_endpoint)
    wanted = ResolveEndpointRequest("cn-hangzhou", "ecs", "ecs", "openAPI")
    assert resolver.resolve(wanted) == cloud.api_endpoint
    assert [call.action for call in cloud.calls(service="location")] == ["DescribeEndpoints"]
    assert cloud.calls(service="api") == []


def test_the_api_endpoint_speaks_https_too(cloud, client):
    request = rpc(cloud.api_https_endpoint)
    request.set_protocol_type("https")
    assert answer(client, request)["Action"] == "DescribeRegions"
