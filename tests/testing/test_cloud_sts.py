"""STS: who may assume which role, the life of temporary credentials, and the real client library."""
import json
import re
import time

import pytest
import requests
from aliyunsdkcore.request import CommonRequest

from aliyun_sdk_secretsmanager_testing import AccessKeyPair, LocalCloud

from .client_keys import Signer
from .conftest import client_of
from .sdk_requests import Replayer, answer, changes, get_secret_value, recorded, rpc
from .test_cloud_openapi_signatures import UNSIGNED_BY_RPC, refused

NAMES = {"RoleSessionName": "session@x.y-z_1"}


def assume(endpoint, role_arn, method="GET", protocol="https", **parameters):
    request = CommonRequest(domain=endpoint, version="2015-04-01", action_name="AssumeRole")
    request.set_protocol_type(protocol)
    request.set_method(method)
    for name, value in dict(NAMES, RoleArn=role_arn, **parameters).items():
        if value is not None and method == "POST":
            request.add_body_params(name, value)
        elif value is not None:
            request.add_query_param(name, value)
    return request


def with_oidc(cloud, token, method="POST", **parameters):
    """Call AssumeRoleWithOIDC, which has no signature, and return status and JSON."""
    given = dict({"Action": "AssumeRoleWithOIDC", "Version": "2015-04-01", "Format": "JSON", "OIDCToken": token,
                  "OIDCProviderArn": cloud.oidc_provider_arn, "RoleArn": cloud.role_arn}, **NAMES)
    given.update(parameters)
    given = {name: value for name, value in given.items() if value is not None}
    response = requests.request(method, "https://" + cloud.sts_endpoint, verify=cloud.ca_file, timeout=30,
                                **{"data" if method == "POST" else "params": given})
    return response.status_code, response.json()


def key_in(document):
    credentials = document["Credentials"]
    return AccessKeyPair(credentials["AccessKeyId"], credentials["AccessKeySecret"], credentials["SecurityToken"])


def read(cloud, key):
    return answer(client_of(cloud, key), get_secret_value(cloud.gateway_endpoint()))["SecretName"]


def assumed(cloud, key=None, role_arn=None, **parameters):
    request = assume(cloud.sts_endpoint, role_arn or cloud.role_arn, **parameters)
    return answer(client_of(cloud, key or cloud.identity), request)


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_assume_role(cloud, clock, method):
    document = assumed(cloud, method=method, Policy='{"Version": "1"}', DurationSeconds="900")
    assert document["AssumedRoleUser"]["Arn"] == cloud.role_arn + "/session@x.y-z_1"
    assert re.match(r"[0-9]{18}:session@x.y-z_1$", document["AssumedRoleUser"]["AssumedRoleId"])
    assert document["Credentials"]["AccessKeyId"].startswith("STS.N")
    assert re.match(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$", document["Credentials"]["Expiration"])
    assert len(document["RequestId"]) == 36
    assert read(cloud, key_in(document)) == "app/key"
    (call,) = cloud.calls("sts")
    assert call[2:7] == ("AssumeRole", None, cloud.identity.access_key_id, 200, "")
    assert call.given == document["Credentials"]["AccessKeyId"]


def test_an_identity_with_a_token_and_a_role_may_assume_a_role(cloud):
    first = key_in(assumed(cloud, cloud.add_identity(token=True)))
    second = key_in(assumed(cloud, first))
    assert read(cloud, second) == "app/key"


def test_temporary_credentials_end(cloud, clock, monkeypatch):
    # The SDK's clock must advance with the cloud's, since the shortest session is as long as a date may be off.
    monkeypatch.setattr("aliyunsdkcore.utils.parameter_helper.get_iso_8061_date",
                        lambda: time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(clock.time())))
    document = assumed(cloud, DurationSeconds="900")
    key = key_in(document)
    clock.advance(899)
    assert read(cloud, key)
    clock.advance(1)
    request = get_secret_value(cloud.gateway_endpoint())
    assert refused(client_of(cloud, key), request) == (400, "InvalidSecurityToken.Expired")
    assert refused(client_of(cloud, key), assume(cloud.sts_endpoint, cloud.role_arn)) == (
        400, "InvalidSecurityToken.Expired")


def test_temporary_credentials_need_their_token(cloud):
    key = key_in(assumed(cloud))
    for token, code in ((None, "MissingSecurityToken"), ("wrong", "InvalidSecurityToken.Malformed")):
        client = client_of(cloud, key._replace(security_token=token))
        assert refused(client, get_secret_value(cloud.gateway_endpoint())) == (400, code)


def test_revoked_credentials_are_refused_and_new_ones_are_not(cloud):
    key = key_in(assumed(cloud))
    managed = cloud.create_secret("temporary", token=True).current
    cloud.revoke_temporary_credentials()
    assert refused(client_of(cloud, key), get_secret_value(cloud.gateway_endpoint())) == (
        400, "InvalidSecurityToken.Malformed")
    assert read(cloud, key_in(assumed(cloud))) == "app/key"
    assert answer(client_of(cloud, managed), rpc(cloud.api_endpoint))


def test_temporary_credentials_may_only_read_secrets(cloud):
    key = key_in(assumed(cloud))
    assert refused(client_of(cloud, key), rpc(cloud.api_endpoint)) == (403, "Forbidden.RAM")


def test_a_role_that_may_not_read_secrets(cloud):
    key = key_in(assumed(cloud, role_arn=cloud.create_role("powerless", may_read_secrets=False)))
    assert refused(client_of(cloud, key), get_secret_value(cloud.gateway_endpoint())) == (
        403, "Forbidden.NoPermission")
    assert refused(client_of(cloud, key), rpc(cloud.api_endpoint)) == (403, "Forbidden.RAM")
    assert read(cloud, key_in(assumed(cloud, key))) == "app/key"


@pytest.mark.parametrize("parameters, status, code", [
    ({"RoleSessionName": None}, 400, "MissingRoleSessionName"),
    ({"RoleSessionName": "x"}, 400, "InvalidParameter.RoleSessionName"),
    ({"RoleSessionName": "x" * 65}, 400, "InvalidParameter.RoleSessionName"),
    ({"RoleSessionName": "né"}, 400, "InvalidParameter.RoleSessionName"),
    ({"DurationSeconds": "899"}, 400, "InvalidParameter.DurationSeconds"),
    ({"DurationSeconds": "3601"}, 400, "InvalidParameter.DurationSeconds"),
    ({"DurationSeconds": "-900"}, 400, "InvalidParameter.DurationSeconds"),
    ({"DurationSeconds": "1h"}, 400, "InvalidParameter.DurationSeconds"),
    ({"Policy": "{"}, 400, "InvalidParameter.PolicyGrammar"),
    ({"Policy": "[]"}, 400, "InvalidParameter.PolicyGrammar"),
])
def test_parameters_of_both_actions(cloud, parameters, status, code):
    client = client_of(cloud, cloud.identity)
    assert refused(client, assume(cloud.sts_endpoint, cloud.role_arn, **dict(NAMES, **parameters))) == (status, code)
    answered, document = with_oidc(cloud, cloud.oidc_token(), **parameters)
    assert (answered, document["Code"]) == (status, code)


@pytest.mark.parametrize("role_arn, status, code", [
    ("acs:ram::1234567890123456:role/none", 404, "EntityNotExist.Role"),
    ("local-cloud", 400, "InvalidParameter.RoleArn"),
    (None, 400, "MissingRoleArn"),
])
def test_roles_that_are_none(cloud, role_arn, status, code):
    assert refused(client_of(cloud, cloud.identity), assume(cloud.sts_endpoint, role_arn)) == (status, code)
    answered, document = with_oidc(cloud, cloud.oidc_token(), RoleArn=role_arn)
    assert (answered, document["Code"]) == (status, code)


def test_the_external_id_must_be_the_roles(cloud):
    arn = cloud.create_role("guarded", external_id="abc")
    client = client_of(cloud, cloud.identity)
    assert refused(client, assume(cloud.sts_endpoint, arn)) == (403, "NoPermission")
    assert refused(client, assume(cloud.sts_endpoint, arn, ExternalId="abd")) == (403, "NoPermission")
    assert assumed(cloud, role_arn=arn, ExternalId="abc")
    assert assumed(cloud, ExternalId="not asked for")


def test_a_role_has_a_longest_session(cloud):
    arn = cloud.create_role("long", max_session_seconds=7200)
    assert assumed(cloud, role_arn=arn, DurationSeconds="7200")
    assert refused(client_of(cloud, cloud.identity), assume(cloud.sts_endpoint, arn, DurationSeconds="7201")) == (
        400, "InvalidParameter.DurationSeconds")
    with pytest.raises(ValueError, match="900 to 43200"):
        cloud.create_role("longer", max_session_seconds=43201)
    with pytest.raises(ValueError, match="a role 'long' already"):
        cloud.create_role("long")


def test_who_may_not_assume_a_role(cloud, key):
    assert refused(client_of(cloud, key), assume(cloud.sts_endpoint, cloud.role_arn)) == (403, "NoPermission")
    unknown = AccessKeyPair("LTAIunknownunknown", "secret")
    assert refused(client_of(cloud, unknown), assume(cloud.sts_endpoint, cloud.role_arn)) == (
        404, "InvalidAccessKeyId.NotFound")


def test_a_request_is_refused_with_any_signed_byte_changed(cloud):
    key = cloud.add_identity(token=True)
    raw = recorded(lambda address: client_of(cloud, key).do_action_with_exception(
        assume(address, cloud.role_arn, protocol="http")))
    with Replayer(cloud.sts_endpoint, cloud.ca_file) as replayer:
        assert replayer.send(raw)[0] == 200
        assert [note for note, changed in changes(raw, UNSIGNED_BY_RPC) if replayer.send(changed)[0] < 400] == []


def test_other_actions_and_versions_are_unknown(cloud):
    request = assume(cloud.sts_endpoint, cloud.role_arn)
    request.set_version("2014-01-01")
    assert refused(client_of(cloud, cloud.identity), request) == (404, "InvalidAction.NotFound")
    request = assume(cloud.sts_endpoint, cloud.role_arn)
    request.set_action_name("GetCallerIdentity")
    assert refused(client_of(cloud, cloud.identity), request) == (404, "InvalidAction.NotFound")
    assert with_oidc(cloud, cloud.oidc_token(), Version="2014-01-01")[0] == 404


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_assume_role_with_oidc(cloud, method):
    token = cloud.oidc_token()
    assert token.count(".") == 2
    status, document = with_oidc(cloud, token, method)
    assert status == 200
    assert read(cloud, key_in(document)) == "app/key"
    assert document["OIDCTokenInfo"]["VerificationInfo"] == "Success"
    assert document["AssumedRoleUser"]["Arn"].startswith(cloud.role_arn)
    assert with_oidc(cloud, token)[0] == 200  # a token may be used again
    assert [call.action for call in cloud.calls("sts")] == ["AssumeRoleWithOIDC"] * 2


def test_oidc_tokens_that_are_none(cloud, clock):
    revoked, short = cloud.oidc_token(), cloud.oidc_token(expires_in=60)
    assert with_oidc(cloud, revoked)[0] == with_oidc(cloud, short)[0] == 200
    cloud.revoke_oidc_token(revoked)
    clock.advance(60)
    invalid, expired = "AuthenticationFail.OIDCToken.Invalid", "AuthenticationFail.OIDCToken.Expired"
    for token, code in ((revoked, invalid), ("x.y.z", invalid), (short, expired), (None, "MissingOIDCToken")):
        status, document = with_oidc(cloud, token)
        assert (status, document["Code"]) == (400, code)
        assert not token or token not in json.dumps(document)
    with pytest.raises(ValueError, match="no such token"):
        cloud.revoke_oidc_token(revoked)


def test_an_unknown_oidc_provider(cloud):
    status, document = with_oidc(cloud, cloud.oidc_token(), OIDCProviderArn=cloud.oidc_provider_arn + "x")
    assert (status, document["Code"]) == (404, "EntityNotExist.OIDCProvider")


def test_sts_speaks_no_plain_http(cloud):
    with pytest.raises(requests.ConnectionError):
        requests.get("http://{}/".format(cloud.sts_endpoint), timeout=30)


def test_roles_are_a_clouds_own_and_outlive_its_stop():
    cloud = LocalCloud()
    arn = cloud.create_role("mine")
    for _ in range(2):
        with cloud, LocalCloud() as other:
            assert assumed(cloud, role_arn=arn)
            assert refused(client_of(other, other.identity), assume(other.sts_endpoint, arn)) == (
                404, "EntityNotExist.Role")


def test_the_client_library(cloud, tmp_path):
    """The library refreshes by itself, with the cloud's CA in place of its default."""
    ram_role_arn = pytest.importorskip("alibabacloud_credentials.provider.ram_role_arn",
                                       reason="needs alibabacloud-credentials 1.0 or newer")
    oidc = pytest.importorskip("alibabacloud_credentials.provider.oidc")
    token_file = tmp_path / "token"
    token_file.write_text(cloud.oidc_token())
    providers = [
        ram_role_arn.RamRoleArnCredentialsProvider(
            access_key_id=cloud.identity.access_key_id, access_key_secret=cloud.identity.access_key_secret,
            role_arn=cloud.create_role("guarded", external_id="abc"), role_session_name="session",
            external_id="abc", policy="{}", sts_endpoint=cloud.sts_endpoint),
        oidc.OIDCRoleArnCredentialsProvider(
            role_arn=cloud.role_arn, oidc_provider_arn=cloud.oidc_provider_arn, oidc_token_file_path=str(token_file),
            role_session_name="session", sts_endpoint=cloud.sts_endpoint),
    ]
    for provider in providers:
        provider._runtime_options["ca"] = cloud.ca_file
        found = provider.get_credentials()
        key = AccessKeyPair(found.get_access_key_id(), found.get_access_key_secret(), found.get_security_token())
        assert read(cloud, key) == "app/key"
    assert [call.action for call in cloud.calls("sts")] == ["AssumeRole", "AssumeRoleWithOIDC"]


def test_a_client_key_may_not_assume_a_role(cloud, tmp_path):
    from aliyunsdkcore.auth.algorithm import sha_hmac256
    signer = Signer(cloud.create_client_key(tmp_path, "x"), "x")
    request = rpc(cloud.sts_endpoint, "GET", sha_hmac256)
    request.set_protocol_type("https")
    request.set_version("2015-04-01")
    request.set_action_name("AssumeRole")
    assert refused(signer.client(cloud), request) == (403, "NoPermission")
