"""GetSecretValue over dedicated gateways: the messages, and every check of a request."""
import json

import pytest
import requests

from aliyun_sdk_secretsmanager_testing import LocalCloud
from aliyun_sdk_secretsmanager_testing.dedicated_gateway import messages
from aliyun_sdk_secretsmanager_testing.dedicated_gateway.messages import decode_request, encode

from .client_keys import PASSWORD, Signer, message, post, shared_request
from .sdk_requests import Replayer, answer, changes

pytest.importorskip("google.protobuf", reason="reads the answers")

UNSIGNED = {"host", "user-agent", "accept-encoding", "accept", "connection", "content-length"}


@pytest.fixture
def cloud(clock):
    with LocalCloud(clock=clock, dedicated=("kst-hangzhou", "kst-beijing")) as cloud:
        cloud.create_secret("app/key")
        yield cloud


@pytest.fixture
def signer(cloud, tmp_path):
    return Signer(cloud.create_client_key(tmp_path, PASSWORD))


@pytest.fixture
def ask(cloud, clock, signer):
    """A function that asks for a secret, with other headers if wanted, and returns status and message."""

    def ask(headers=None, instance=None, **values):
        body = message("GetSecretValueRequest", **dict({"SecretName": "app/key"}, **values)).SerializeToString()
        return post(cloud, body, signer.headers(body, clock.time(), **(headers or {})), instance=instance)

    return ask


def code(answered):
    status, error = answered
    assert error.StatusCode == status and error.RequestId
    return status, error.ErrorCode, error.ErrorMessage


def test_the_answer_is_that_of_the_shared_gateway(cloud, signer, ask):
    status, response = ask(FetchExtendedConfig=True)
    assert status == 200
    request = shared_request(cloud)
    request.add_query_param("FetchExtendedConfig", "true")
    document = answer(signer.client(cloud), request)
    assert list(response.VersionStages) == document.pop("VersionStages")["VersionStage"] == ["ACSCurrent"]
    assert response.RequestId != document.pop("RequestId")
    assert {name: getattr(response, name) for name in document} == document
    assert json.loads(response.SecretData)["AccessKeyId"] == cloud.secret("app/key").current.access_key_id
    assert ask()[1].ExtendedConfig == ""


def test_versions_and_stages(cloud, ask, key):
    cloud.rotate("app/key")
    for asked in ({"VersionStage": "ACSPrevious"}, {"VersionId": cloud.secret("app/key").versions[0].version_id}):
        status, response = ask(**asked)
        assert (status, list(response.VersionStages)) == (200, ["ACSPrevious"])
        assert json.loads(response.SecretData)["AccessKeyId"] == key.access_key_id
    assert code(ask(VersionStage="nonsense"))[:2] == (404, "Forbidden.ResourceNotFound")


def test_all_instances_have_the_same_secrets_and_client_keys(cloud, key, signer, ask):
    for name in cloud.dedicated:
        assert ask(instance=name)[0] == 200
    calls = cloud.calls("dedicated")
    assert [call.region for call in calls] == ["kst-hangzhou", "kst-beijing"]
    assert {call[2:5] for call in calls} == {("GetSecretValue", "app/key", signer.key_id)}
    assert {call.given for call in calls} == {key.access_key_id}
    assert cloud.dedicated_endpoint() == cloud.dedicated_endpoint("kst-hangzhou")


def test_arbitrary_data_of_any_length_and_script(cloud, ask):
    cloud.create_secret("données/鍵", secret_data="é" * 5000, secret_type="Generic")
    status, response = ask(SecretName="données/鍵")
    assert (status, response.SecretData, response.SecretType) == (200, "é" * 5000, "Generic")
    assert cloud.calls()[-1].secret == "données/鍵"


def test_a_request_is_refused_with_any_signed_byte_changed(cloud, clock, signer):
    body = message("GetSecretValueRequest", SecretName="app/key").SerializeToString()
    lines = ["POST / HTTP/1.1", "Host: x", "Content-Length: {}".format(len(body))]
    lines += ["{}: {}".format(*header) for header in signer.headers(body, clock.time()).items()]
    raw = "\r\n".join(lines + ["", ""]).encode() + body
    with Replayer(cloud.dedicated_endpoint(), cloud.ca_file) as replayer:
        assert replayer.send(raw)[0] == 200
        assert [note for note, changed in changes(raw, UNSIGNED) if replayer.send(changed)[0] < 400] == []
        assert replayer.send(raw)[0] == 200


@pytest.mark.parametrize("headers, message", [
    ({"content_sha256": "0" * 64}, "content-sha256"),
    ({"date": ""}, "date"),
    ({"date": "yesterday"}, "Date"),
    ({"x_kms_signaturemethod": "RSA_PSS_SHA_256"}, "x-kms-signaturemethod"),
    ({"x_kms_apiname": ""}, "x-kms-apiname"),
    ({"x_kms_apiname": "Decrypt"}, "x-kms-apiname"),
    ({"x_kms_apiversion": "dkms-gcs-0.1"}, "x-kms-apiversion"),
    ({"content_type": ""}, "content-type"),
])
def test_wrong_headers_though_rightly_signed(ask, headers, message):
    status, error, text = code(ask(headers))
    assert (status, error) == (400, "InvalidParam")
    assert message in text


@pytest.mark.parametrize("seconds, status", [(-16 * 60, 400), (-14 * 60, 200), (14 * 60, 200), (16 * 60, 400)])
def test_a_date_may_be_fifteen_minutes_off(cloud, clock, signer, seconds, status):
    body = message("GetSecretValueRequest", SecretName="app/key").SerializeToString()
    answered = post(cloud, body, signer.headers(body, clock.time() + seconds))
    assert answered[0] == status
    if status == 400:
        assert code(answered)[1:] == ("InvalidParam", "The Param Date is invalid.")


def test_codes_of_refused_client_keys(cloud, clock, signer, ask, tmp_path):
    known = signer.key_id
    other = Signer(cloud.create_client_key(tmp_path, PASSWORD))
    signer.private_key, private_key = other.private_key, signer.private_key
    assert code(ask()) == (400, "InvalidParam", "The Param Authorization is invalid.")
    signer.private_key = private_key
    signer.key_id = "KAAP.unknown"
    assert code(ask())[:2] == (401, "Unauthorized")
    signer.key_id = known
    cloud.disable_key(known)
    assert code(ask())[:2] == (401, "Unauthorized")
    cloud.enable_key(known)
    assert ask()[0] == 200
    cloud.revoke_client_key(known)
    assert code(ask())[:2] == (401, "Unauthorized")


def test_an_expired_client_key(cloud, clock, tmp_path):
    signer = Signer(cloud.create_client_key(tmp_path, PASSWORD, valid=-1))
    body = message("GetSecretValueRequest", SecretName="app/key").SerializeToString()
    assert code(post(cloud, body, signer.headers(body, clock.time())))[:2] == (401, "Unauthorized")


def test_an_authorization_that_is_none(cloud, clock, signer):
    body = message("GetSecretValueRequest", SecretName="app/key").SerializeToString()
    headers = signer.headers(body, clock.time())
    for authorization in ("Bearer", "Basic eA==", "Bearer no base64", "Bearer é"):
        headers["authorization"] = authorization.encode("utf-8")
        assert code(post(cloud, body, headers))[:2] == (400, "InvalidParam")


def test_unknown_secrets_and_none(ask):
    assert code(ask(SecretName="none"))[:2] == (404, "Forbidden.ResourceNotFound")
    assert code(ask(SecretName=""))[1:] == ("InvalidParam", "The Param SecretName is invalid.")


@pytest.mark.parametrize("body", [
    b"\x0a", b"\x0a\x05abc", b"\x0a\x02\xff\xfe", b"\x0f", b"\x08\x01", b"\x22\x01x", b"\x0a" + b"\xff" * 11, b"\x80"])
def test_a_body_that_is_no_message(cloud, clock, signer, body):
    answered = code(post(cloud, body, signer.headers(body, clock.time())))
    assert answered == (400, "InvalidParam", "The Param Body is invalid.")


def test_there_is_one_path_and_one_method(cloud, clock, signer):
    assert code(post(cloud, b"", signer.headers(b"", clock.time(), "/x"), "/x"))[:2] == (404, "InvalidApi.NotFound")
    url = "https://{}/".format(cloud.dedicated_endpoint())
    assert requests.get(url, verify=cloud.ca_file).status_code == 404


def test_the_gateway_speaks_no_plain_http(cloud):
    with pytest.raises(requests.ConnectionError):
        requests.post("http://{}/".format(cloud.dedicated_endpoint()), timeout=30)


def test_messages_are_those_of_protocol_buffers():
    values = {"SecretName": "n", "SecretData": "x" * 300, "VersionStages": ["ACSCurrent", "é"], "RequestId": "r"}
    assert message("GetSecretValueResponse", **values).SerializeToString() == encode(messages.RESPONSE, values)
    error = {"StatusCode": 404, "ErrorCode": "c", "ErrorMessage": "m", "RequestId": "r"}
    assert message("Error", **error).SerializeToString() == encode(messages.ERROR, error)
    asked = {"SecretName": "n" * 200, "VersionStage": "s", "VersionId": "é", "FetchExtendedConfig": True}
    assert decode_request(message("GetSecretValueRequest", **asked).SerializeToString()) == asked
    assert decode_request(b"") == {"SecretName": "", "VersionStage": "", "VersionId": "", "FetchExtendedConfig": False}


def test_fields_of_other_numbers_are_ignored():
    unknown = b"\x28\x96\x01" + b"\x2d1234" + b"\x2912345678" + b"\x2a\x02ab" + b"\xfa\x01\x01x"
    assert decode_request(unknown + b"\x0a\x01n" + unknown)["SecretName"] == "n"


def test_instances_are_named_when_the_cloud_is_made(cloud):
    with pytest.raises(ValueError, match="no region 'none'; there are kst-hangzhou, kst-beijing"):
        cloud.dedicated_endpoint("none")
    with pytest.raises(ValueError, match="a sequence of names"):
        LocalCloud(dedicated="kst-hangzhou")
    with LocalCloud() as without:
        with pytest.raises(ValueError, match="no dedicated gateway"):
            without.dedicated_endpoint()
