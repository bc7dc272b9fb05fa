"""GetSecretValue over the shared gateway, and the effects of rotations and rollbacks on it and on the services."""
import json
import urllib.request

import oss2
import pytest
from aliyunsdkcore.acs_exception.exceptions import ServerException

from aliyun_sdk_secretsmanager_testing import AccessKeyPair, LocalCloud

from .conftest import bucket_of, client_of
from .sdk_requests import answer, get_secret_value, roa, rpc


def value(cloud, name="app/key", **more):
    return answer(client_of(cloud, cloud.identity), get_secret_value(cloud.gateway_endpoint(), name, **more))


def given(cloud, **more):
    return json.loads(value(cloud, **more)["SecretData"])["AccessKeyId"]


def code(call, *args, **more):
    with pytest.raises(ServerException) as caught:
        call(*args, **more)
    return caught.value.get_http_status(), caught.value.get_error_code()


def accepted(cloud, key):
    """Whether the services accept a key; all of them must agree."""
    results = set()
    for make in (rpc, roa):
        try:
            answer(client_of(cloud, key), make(cloud.api_endpoint))
            results.add(True)
        except ServerException as error:
            assert error.get_error_code() == "InvalidAccessKeyId.NotFound"
            results.add(False)
    try:
        bucket_of(cloud, key).list_objects()
        results.add(True)
    except oss2.exceptions.ServerError as error:
        assert error.code == "InvalidAccessKeyId"
        results.add(False)
    (result,) = results
    return result


def test_the_answer_has_all_that_the_real_one_has(cloud, clock, key):
    document = value(cloud, FetchExtendedConfig="true")
    assert json.loads(document["SecretData"]) == {
        "AccessKeyId": key.access_key_id, "AccessKeySecret": key.access_key_secret}
    assert document["SecretName"] == "app/key"
    assert document["SecretType"] == "RAMCredentials"
    assert document["SecretDataType"] == "text"
    assert document["AutomaticRotation"] == "Enabled"
    assert document["RotationInterval"] == "604800s"
    assert document["VersionStages"] == {"VersionStage": ["ACSCurrent"]}
    assert json.loads(document["ExtendedConfig"])["SecretSubType"] == "RamUserAccessKey"
    assert document["VersionId"] == cloud.secret("app/key").versions[0].version_id
    for date in ("CreateTime", "NextRotationDate", "LastRotationDate"):
        assert len(document[date]) == 20 and document[date].endswith("Z")
    assert document["NextRotationDate"] > document["LastRotationDate"]
    assert "ExtendedConfig" not in value(cloud)


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_parameters_may_come_in_the_query_or_in_a_form(cloud, method):
    request = get_secret_value(cloud.gateway_endpoint())
    request.set_method(method)
    if method == "POST":
        request.set_query_params({})
        request.add_body_params("SecretName", "app/key")
    assert answer(client_of(cloud, cloud.identity), request)["SecretName"] == "app/key"
    assert cloud.calls(service="secrets_manager")[0].secret == "app/key"


def test_a_secret_with_a_token_and_an_end(cloud, clock):
    key = cloud.create_secret("temporary", token=True, expires_in=3600.0, next_rotation=1800.0).current
    document = value(cloud, "temporary")
    data = json.loads(document["SecretData"])
    assert data["SecurityToken"] == key.security_token
    assert data["GenerateTimestamp"] < document["NextRotationDate"] < data["ExpireTimestamp"]
    assert accepted(cloud, key)


def test_arbitrary_data(cloud):
    cloud.create_secret("raw", secret_data="not json", secret_type="Generic")
    document = value(cloud, "raw", FetchExtendedConfig="true")
    assert (document["SecretData"], document["SecretType"]) == ("not json", "Generic")
    assert "NextRotationDate" not in document and "ExtendedConfig" not in document
    with pytest.raises(ValueError, match="no managed AccessKey"):
        cloud.secret("raw").current
    with pytest.raises(ValueError, match="no AccessKey to rotate"):
        cloud.rotate("raw")


def test_a_spoilt_secret_can_be_mended(cloud, key):
    cloud.put_secret_value("app/key", "{")
    assert value(cloud)["SecretData"] == "{"
    assert accepted(cloud, key)
    new = cloud.rotate("app/key")
    assert given(cloud) == new.access_key_id
    assert not accepted(cloud, key)


def test_who_may_read_a_secret(cloud, key):
    request = get_secret_value(cloud.gateway_endpoint())
    assert code(answer, client_of(cloud, key), request) == (403, "Forbidden.NoPermission")
    unknown = client_of(cloud, AccessKeyPair("LTAIunknownunknown", "x"))
    assert code(answer, unknown, request) == (404, "InvalidAccessKeyId.NotFound")
    for other in (cloud.add_identity(), cloud.add_identity(token=True)):
        assert answer(client_of(cloud, other), request)["SecretName"] == "app/key"


def test_what_is_not_there(cloud):
    assert code(value, cloud, "none") == (404, "Forbidden.ResourceNotFound")
    assert code(value, cloud, VersionStage="ACSPrevious") == (404, "Forbidden.ResourceNotFound")
    assert code(value, cloud, VersionStage="Nonsense") == (404, "Forbidden.ResourceNotFound")
    assert code(value, cloud, VersionId="none") == (404, "Forbidden.ResourceNotFound")
    assert code(value, cloud, "") == (400, "MissingParameter")
    request = get_secret_value(cloud.gateway_endpoint())
    request.set_action_name("DeleteSecret")
    assert code(answer, client_of(cloud, cloud.identity), request) == (404, "InvalidAction.NotFound")
    cloud.delete_secret("app/key")
    assert code(value, cloud) == (404, "Forbidden.ResourceNotFound")


def test_names_are_unique_and_not_empty(cloud):
    with pytest.raises(ValueError, match="already"):
        cloud.create_secret("app/key")
    with pytest.raises(ValueError, match="needs a name"):
        cloud.create_secret("")
    with pytest.raises(KeyError, match="no secret 'none'"):
        cloud.rotate("none")


def test_rotation_at_once(cloud, key):
    new = cloud.rotate("app/key")
    assert new != key and cloud.secret("app/key").current == new
    assert given(cloud) == new.access_key_id
    assert (accepted(cloud, key), accepted(cloud, new)) == (False, True)
    document = value(cloud, VersionStage="ACSPrevious")
    assert json.loads(document["SecretData"])["AccessKeyId"] == key.access_key_id
    assert document["VersionStages"] == {"VersionStage": ["ACSPrevious"]}
    assert value(cloud, VersionId=document["VersionId"])["VersionId"] == document["VersionId"]


def test_grace_lets_the_old_key_live_on(cloud, clock, key):
    new = cloud.rotate("app/key", grace=60.0)
    assert (accepted(cloud, key), accepted(cloud, new)) == (True, True)
    clock.advance(59.0)
    assert accepted(cloud, key)
    clock.advance(1.0)
    assert (accepted(cloud, key), accepted(cloud, new)) == (False, True)


def test_propagation_delays_the_services(cloud, clock, key):
    new = cloud.rotate("app/key", propagation=2.0)
    assert given(cloud) == new.access_key_id
    assert (accepted(cloud, key), accepted(cloud, new)) == (False, False)
    clock.advance(2.0)
    assert accepted(cloud, new)


def test_publish_delay_delays_secrets_manager(cloud, clock, key):
    new = cloud.rotate("app/key", publish_delay=2.0)
    assert given(cloud) == key.access_key_id == cloud.secret("app/key").current.access_key_id
    assert (accepted(cloud, key), accepted(cloud, new)) == (False, True)
    clock.advance(2.0)
    assert given(cloud) == new.access_key_id


def test_a_rotation_overtakes_one_that_is_still_to_be_published(cloud, clock, key):
    late = cloud.rotate("app/key", publish_delay=10.0, propagation=10.0, grace=30.0)
    clock.advance(1.0)
    new = cloud.rotate("app/key")
    clock.advance(20.0)
    assert given(cloud) == new.access_key_id
    assert [accepted(cloud, each) for each in (key, late, new)] == [False, False, True]


def test_rotation_may_bring_or_drop_a_token(cloud):
    with_token = cloud.rotate("app/key", token=True)
    assert with_token.security_token and accepted(cloud, with_token)
    assert cloud.rotate("app/key").security_token
    assert cloud.rotate("app/key", token=False).security_token is None


def test_a_rotated_key_ends_as_its_predecessor_did(cloud, clock):
    cloud.create_secret("temporary", token=True, expires_in=60.0)
    clock.advance(50.0)
    new = cloud.rotate("temporary")
    clock.advance(50.0)
    assert accepted(cloud, new)
    clock.advance(10.0)
    assert code(answer, client_of(cloud, new), rpc(cloud.api_endpoint)) == (400, "InvalidSecurityToken.Expired")


def test_rollback(cloud, clock, key):
    new = cloud.rotate("app/key")
    assert cloud.rollback("app/key", grace=5.0) == key
    assert given(cloud) == key.access_key_id
    assert (accepted(cloud, key), accepted(cloud, new)) == (True, True)
    clock.advance(5.0)
    assert (accepted(cloud, key), accepted(cloud, new)) == (True, False)
    assert cloud.rollback("app/key") == new
    assert (accepted(cloud, key), accepted(cloud, new)) == (False, True)


def test_there_must_be_something_to_roll_back_to(cloud):
    with pytest.raises(ValueError, match="no previous"):
        cloud.rollback("app/key")


def test_all_regions_have_the_same_secrets():
    with LocalCloud(regions=("cn-hangzhou", "cn-beijing")) as cloud:
        cloud.create_secret("app/key")
        client = client_of(cloud, cloud.identity)
        for region in cloud.regions:
            assert answer(client, get_secret_value(cloud.gateway_endpoint(region)))["SecretName"] == "app/key"
        assert [call.region for call in cloud.calls(service="secrets_manager")] == ["cn-hangzhou", "cn-beijing"]
        assert len(cloud.calls(region="cn-beijing")) == 1


def test_the_gateway_speaks_no_plain_http(cloud):
    with pytest.raises(OSError):
        urllib.request.urlopen("http://{}/".format(cloud.gateway_endpoint()), timeout=30)
    assert cloud.calls() == []


def test_no_repr_shows_a_secret(cloud):
    key = cloud.create_secret("temporary", token=True).current
    value(cloud, "temporary")
    shown = repr([key, cloud, cloud.identity, cloud.secret("temporary"), cloud.secret("temporary").versions,
                  cloud.calls()]) + str(key)
    for secret in (key.access_key_secret, key.security_token, key.access_key_id, cloud.identity.access_key_id,
                   cloud.identity.access_key_secret):
        assert secret not in shown
    assert "STS.********" in shown
