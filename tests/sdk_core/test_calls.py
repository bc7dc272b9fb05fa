"""Every way to call an AcsClient, each during a rotation."""

import base64
import json

import pytest
from aliyunsdkcore.acs_exception.exceptions import ClientException, ServerException
from aliyunsdkcore.auth.credentials import AccessKeyCredential
from aliyunsdkcore.auth.signers.access_key_signer import AccessKeySigner
from aliyunsdkcore.client import AcsClient
from aliyunsdkcore.request import RoaRequest, RpcRequest
from aliyunsdkcore.vendored.requests.structures import CaseInsensitiveDict
from aliyunsdkkms.request.v20160120.DescribeKeyRequest import DescribeKeyRequest

from aliyun_sdk_secretsmanager_sdk_core_plugin.client import CHANGED
from tests.conftest import SECRET


def product_rpc(cloud):
    request = DescribeKeyRequest()
    request.set_KeyId("key-1")
    request.set_protocol_type("http")
    request.set_endpoint(cloud.api_endpoint)
    return request


def rpc_with_form(cloud):
    request = RpcRequest("Ecs", "2014-05-26", "RunInstances")
    request.set_method("POST")
    request.add_body_params("Amount", "3")
    request.set_endpoint(cloud.api_endpoint)
    return request


def roa_with_body(cloud):
    request = RoaRequest("CS", "2015-12-15", "CreateCluster", method="POST", uri_pattern="/clusters")
    request.set_content(b'{"size": 3}')
    request.set_content_type("application/json")
    request.set_accept_format("JSON")
    request.set_endpoint(cloud.api_endpoint)
    return request


REQUESTS = {
    "rpc GET": lambda cloud, rpc, roa: rpc(Filter="a b*~/&"),
    "rpc POST": lambda cloud, rpc, roa: rpc(method="POST", Name="x"),
    "rpc form": lambda cloud, rpc, roa: rpc_with_form(cloud),
    "product rpc": lambda cloud, rpc, roa: product_rpc(cloud),
    "common roa": lambda cloud, rpc, roa: roa(),
    "roa": lambda cloud, rpc, roa: roa_with_body(cloud),
}


@pytest.fixture(params=sorted(REQUESTS))
def make_request(request, cloud, rpc, roa):
    return lambda: REQUESTS[request.param](cloud, rpc, roa)


@pytest.fixture
def request_to_send(make_request):
    return make_request()


class TestRotation:
    def test_call_succeeds_and_the_key_is_renewed_once(self, cloud, fetches, client, request_to_send, answer):
        cloud.rotate(SECRET)

        answer(client, request_to_send)

        assert [call.status for call in cloud.calls("api")] == [404, 200]
        assert fetches() == 2
        assert cloud.calls("api")[-1].access_key_id == cloud.secret(SECRET).current.access_key_id

    def test_second_attempt_sends_what_the_first_did(self, cloud, client, request_to_send, answer):
        before = answer(client, request_to_send)
        cloud.rotate(SECRET)

        after = answer(client, request_to_send)

        changing = ("RequestId", "AccessKeyId")
        signed = ("SignatureNonce", "Timestamp", "AccessKeyId")
        for document in (before, after):
            for name in changing:
                document.pop(name)
            for name in signed:
                document["Parameters"].pop(name, None)
        assert after == before

    def test_body_arrives_whole(self, cloud, client, roa, answer):
        cloud.rotate(SECRET)

        assert base64.b64decode(answer(client, roa(content=b"x" * 100000))["Body"]) == b"x" * 100000

    @pytest.mark.filterwarnings("ignore::DeprecationWarning")
    def test_do_action(self, cloud, client, rpc):
        cloud.rotate(SECRET)

        assert json.loads(client.do_action(rpc()).decode())["Action"] == "DescribeRegions"

    @pytest.mark.filterwarnings("ignore::DeprecationWarning")
    @pytest.mark.parametrize("method", ["get_response", "implementation_of_do_action"])
    def test_get_response(self, cloud, client, rpc, method):
        cloud.rotate(SECRET)

        status, headers, body = getattr(client, method)(rpc())

        assert status == 200
        assert json.loads(body.decode())["Action"] == "DescribeRegions"

    def test_get_access_key_is_the_current_one(self, cloud, client, rpc, answer):
        assert client.get_access_key() == cloud.secret(SECRET).current.access_key_id
        new = cloud.rotate(SECRET)
        answer(client, rpc())

        assert (client.get_access_key(), client.get_access_secret()) == (new.access_key_id, new.access_key_secret)

    def test_client_signer_signs_with_the_current_key(self, cloud, client, rpc, answer):
        new = cloud.rotate(SECRET)
        answer(client, rpc())
        request = rpc()
        request.trans_to_acs_request()

        _, url = client._signer.sign("cn-hangzhou", request)

        assert "AccessKeyId=" + new.access_key_id in url

    def test_a_signer_of_the_callers_own_is_used_and_not_judged(self, fetches, client, rpc):
        signer = AccessKeySigner(AccessKeyCredential("LTAIunknownunknown00", "secret"))

        _, _, _, error = client._implementation_of_do_action(rpc(), signer)

        assert error.get_error_code() == "InvalidAccessKeyId.NotFound"
        assert fetches() == 1


class TestErrors:
    def test_no_connection_is_the_sdks_own_error(self, client, rpc):
        request = rpc()
        request.set_domain("127.0.0.1:1")

        with pytest.raises(ClientException) as caught:
            client.do_action_with_exception(request)

        assert caught.value.get_error_code() == "SDK.HttpError"

    def test_what_is_no_request_is_refused_as_the_sdk_does(self, client):
        with pytest.raises(ClientException) as caught:
            client._implementation_of_do_action("request")

        assert caught.value.get_error_code() == "SDK.InvalidRequest"


class TestRequestIsLeftAsTheSdkLeavesIt:
    """After the call, the program's request is as after a call of the plain SDK with the accepted key."""

    VARYING = ("Date", "Authorization", "string_to_sign")

    def state(self, request):
        fields = {name: dict(value) if isinstance(value, dict) else value for name, value in vars(request).items()}
        for value in fields.values():
            if isinstance(value, dict):
                for name in self.VARYING:
                    if name in value:
                        value[name] = "varies"
        inner = fields.pop("request", None)
        fields.pop("string_to_sign")
        return fields, inner and self.state(inner)

    def test_after_a_rotation(self, cloud, client, make_request, answer):
        cloud.rotate(SECRET)
        used, again = make_request(), make_request()
        pair = cloud.secret(SECRET).current
        plain = AcsClient(pair.access_key_id, pair.access_key_secret, "cn-hangzhou")
        answer(client, used)
        answer(plain, again)

        assert self.state(used) == self.state(again)

    def test_the_sdk_changes_what_is_kept_and_what_each_call_makes_anew(self, cloud, make_request, answer):
        made_anew = {"_accept_format", "_style", "request", "string_to_sign"}
        pair = cloud.secret(SECRET).current
        request = make_request()
        before = {name: dict(value) if isinstance(value, dict) else value for name, value in vars(request).items()}

        answer(AcsClient(pair.access_key_id, pair.access_key_secret, "cn-hangzhou"), request)

        after = vars(request)
        changed = {name for name in after if name not in before or after[name] != before[name]}
        assert "_header" in changed and changed <= made_anew.union(CHANGED)

    def test_request_object_can_be_used_again_and_again(self, cloud, client, request_to_send, answer):
        for _ in range(3):
            answer(client, request_to_send)
            cloud.rotate(SECRET)
            answer(client, request_to_send)


class TestTokens:
    @pytest.mark.parametrize("fields", [dict, CaseInsensitiveDict])
    def test_token_of_the_former_key_is_gone(self, cloud, make_client, rpc, roa, answer, fields):
        cloud.create_secret("sts", token=True)
        client = make_client("sts")
        rpc_request, roa_request = rpc(), roa()
        for request in (rpc_request, roa_request):
            request.set_query_params(fields(request.get_query_params()))
        answer(client, rpc_request)
        answer(client, roa_request)
        cloud.rotate("sts", token=False)

        answer(client, rpc_request)
        answer(client, roa_request)

        assert "SecurityToken" not in rpc_request.get_query_params()
        assert "x-acs-security-token" not in roa_request.get_headers()

    def test_token_is_replaced(self, cloud, make_client, rpc, roa, answer):
        cloud.create_secret("sts", token=True)
        client = make_client("sts")
        request = rpc()
        answer(client, request)
        new = cloud.rotate("sts")

        answer(client, request)
        answer(client, roa())

        assert request.get_query_params()["SecurityToken"] == new.security_token

    def test_a_security_token_of_the_users_own_stays(self, cloud, client, rpc, roa):
        request = rpc(SecurityToken="mine")

        with pytest.raises(ServerException):
            client.do_action_with_exception(request)

        assert request.get_query_params()["SecurityToken"] == "mine"


class TestConstructor:
    def test_environment_does_not_replace_the_managed_key(self, cloud, make_client, rpc, answer, monkeypatch):
        monkeypatch.setenv("ALIYUN_ACCESS_KEY_ID", "LTAIenvironment00000")
        monkeypatch.setenv("ALIYUN_ACCESS_KEY_SECRET", "x" * 30)

        answer(make_client(), rpc())

        assert cloud.calls("api")[-1].access_key_id == cloud.secret(SECRET).current.access_key_id

    def test_other_credentials_are_not_used(self, cloud, make_client, rpc, answer, caplog):
        answer(make_client(ak="LTAIgiven00000000000", secret="given-secret"), rpc())

        assert cloud.calls("api")[-1].access_key_id == cloud.secret(SECRET).current.access_key_id
        assert "not used" in caplog.text
        assert "given-secret" not in caplog.text

    def test_it_is_an_acs_client(self, client):
        assert isinstance(client, AcsClient)

    def test_arguments_reach_the_sdk(self, make_client):
        client = make_client(region_id="cn-beijing", auto_retry=False, max_retry_time=7, user_agent="me", port=8080,
                             connect_timeout=3, timeout=4, verify=False, pool_size=33, proxy={"http": "http://p"})

        assert client.get_region_id() == "cn-beijing"
        assert (client.is_auto_retry(), client.get_max_retry_num(), client.get_user_agent()) == (False, 7, "me")
        assert (client.get_port(), client.get_verify(), client.proxy) == (8080, False, {"http": "http://p"})
        assert (client._connect_timeout, client._read_timeout) == (3, 4)
        assert client.session.get_adapter("http://x")._pool_maxsize == 33


class TestEndpointResolution:
    """Endpoint resolution is a separate call, with its own snapshot of the key."""

    @pytest.fixture
    def resolving(self, cloud, make_client):
        from aliyunsdkcore.endpoint.location_service_endpoint_resolver import LocationServiceEndpointResolver

        client = make_client(region_id="cn-test1")
        for resolver in client._endpoint_resolver._resolver.endpoint_resolvers:
            if isinstance(resolver, LocationServiceEndpointResolver):
                resolver.set_location_service_endpoint(cloud.api_https_endpoint)
        client.set_verify(cloud.ca_file)
        return client

    @pytest.fixture
    def unresolved(self):
        request = RpcRequest("Newproduct", "2020-01-01", "Describe", location_service_code="newproduct")
        request.set_protocol_type("https")
        return request

    def test_endpoint_is_resolved(self, cloud, resolving, unresolved, answer):
        answer(resolving, unresolved)

        assert [call.action for call in cloud.calls("location")] == ["DescribeEndpoints"]

    def test_resolution_survives_a_rotation(self, cloud, resolving, unresolved, answer):
        cloud.rotate(SECRET)

        answer(resolving, unresolved)

        assert [call.status for call in cloud.calls("location")] == [404, 200]
        assert [call.status for call in cloud.calls("api")] == [200]

    def test_failed_resolution_is_not_judged_again_by_the_outer_call(self, cloud, fetches, resolving, unresolved):
        from aliyun_sdk_secretsmanager_testing import Fault

        cloud.inject("location", Fault.status(404, code="InvalidAccessKeyId.NotFound"))

        with pytest.raises(ServerException) as caught:
            resolving.do_action_with_exception(unresolved)

        assert caught.value.get_error_code() == "InvalidAccessKeyId.NotFound"
        # The constructor read the secret, and one renewal did: the location service's rejection was judged once.
        assert fetches() == 2
        assert len(cloud.calls("location")) == 1
