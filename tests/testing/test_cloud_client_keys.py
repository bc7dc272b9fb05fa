"""Client keys: their files, and requests to a shared gateway that are signed with them."""
import datetime
import json
import os

import pytest
from aliyunsdkcore.auth.algorithm import sha_hmac256
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa

from .client_keys import PASSWORD, Signer, shared_request
from .sdk_requests import Replayer, answer, changes, get_secret_value, recorded, rpc
from .test_cloud_openapi_signatures import UNSIGNED_BY_RPC, refused

WRONG_SIGNATURE = (400, "InvalidAccessKeySecret")  # the SDK's name for a wrong signature


@pytest.fixture
def signer(cloud, tmp_path):
    return Signer(cloud.create_client_key(tmp_path, PASSWORD))


def test_the_file_is_as_kms_hands_it_out(cloud, clock, tmp_path):
    file = cloud.create_client_key(tmp_path, PASSWORD)
    with open(file.path, encoding="utf-8") as opened:
        document = json.load(opened)
    assert sorted(document) == ["KeyId", "PrivateKeyData"]
    assert document["KeyId"] == file.key_id
    assert file.key_id.startswith("KAAP.")
    assert os.path.dirname(file.path) == str(tmp_path)
    signer = Signer(file)
    assert isinstance(signer.private_key, rsa.RSAPrivateKey) and signer.private_key.key_size == 2048
    assert signer.certificate.public_key().public_numbers() == signer.private_key.public_key().public_numbers()
    assert common_name(signer.certificate) == file.key_id
    with pytest.raises(ValueError):
        Signer(file, "wrong")
    assert cloud.create_client_key(tmp_path, PASSWORD).path != file.path


def common_name(certificate):
    (attribute,) = certificate.subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME)
    return attribute.value


@pytest.mark.parametrize("valid", [None, 60, -60])
def test_the_certificate_ends_when_the_key_does(cloud, clock, tmp_path, valid):
    certificate = Signer(cloud.create_client_key(tmp_path, PASSWORD, valid=valid)).certificate
    start, end = ((moment - datetime.datetime(1970, 1, 1)).total_seconds() for moment in validity(certificate))
    assert abs(end - clock.time() - (5 * 365 * 86400 if valid is None else valid)) < 2
    assert start < end


def validity(certificate):
    if not hasattr(certificate, "not_valid_after_utc"):
        return certificate.not_valid_before, certificate.not_valid_after
    aware = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    return [moment.replace(tzinfo=None) for moment in aware]


def test_get_secret_value_with_a_client_key(cloud, signer):
    assert answer(signer.client(cloud), shared_request(cloud))["SecretName"] == "app/key"
    (call,) = cloud.calls("secrets_manager")
    assert (call.access_key_id, call.status) == (signer.key_id, 200)
    assert call.given == cloud.secret("app/key").current.access_key_id


def test_a_request_is_refused_with_any_signed_byte_changed(cloud, signer):
    def send(address):
        request = get_secret_value(address)
        request._signer = sha_hmac256
        request.set_protocol_type("http")
        signer.client(cloud).do_action_with_exception(request)

    raw = recorded(send)
    with Replayer(cloud.gateway_endpoint(), cloud.ca_file) as replayer:
        assert replayer.send(raw)[0] == 200
        assert [note for note, changed in changes(raw, UNSIGNED_BY_RPC) if replayer.send(changed)[0] < 400] == []


def test_codes_of_refused_client_keys(cloud, clock, signer, tmp_path):
    request = shared_request(cloud)
    other = Signer(cloud.create_client_key(tmp_path, PASSWORD))
    other.key_id = signer.key_id
    assert refused(other.client(cloud), request) == WRONG_SIGNATURE
    other.key_id = "KAAP.unknown"
    assert refused(other.client(cloud), request) == (404, "InvalidAccessKeyId.NotFound")
    expired = Signer(cloud.create_client_key(tmp_path, PASSWORD, valid=-1))
    assert refused(expired.client(cloud), request) == (404, "InvalidAccessKeyId.NotFound")
    cloud.disable_key(signer.key_id)
    assert refused(signer.client(cloud), request) == (400, "InvalidAccessKeyId.Inactive")
    cloud.enable_key(signer.key_id)
    assert answer(signer.client(cloud), request)
    cloud.revoke_client_key(signer.key_id)
    assert refused(signer.client(cloud), request) == (404, "InvalidAccessKeyId.NotFound")


def test_a_client_key_ends_with_its_certificate(cloud, clock, tmp_path):
    signer = Signer(cloud.create_client_key(tmp_path, PASSWORD, valid=60))
    assert answer(signer.client(cloud), shared_request(cloud))
    clock.advance(60)
    assert refused(signer.client(cloud), shared_request(cloud)) == (404, "InvalidAccessKeyId.NotFound")
    cloud.enable_key(signer.key_id)
    assert refused(signer.client(cloud), shared_request(cloud)) == (404, "InvalidAccessKeyId.NotFound")


def test_keys_of_one_kind_cannot_sign_as_the_other(cloud, signer):
    request = get_secret_value(cloud.gateway_endpoint())
    assert refused(signer.client(cloud), request) == WRONG_SIGNATURE
    signer.key_id = cloud.identity.access_key_id
    assert refused(signer.client(cloud), shared_request(cloud)) == WRONG_SIGNATURE


@pytest.mark.parametrize("name, kind, expected", [
    ("SHA256withRSA", "", (400, "InvalidParameter")), ("HMAC-SHA1", "PRIVATEKEY", WRONG_SIGNATURE)])
def test_a_signature_must_say_what_it_is(cloud, signer, name, kind, expected):
    class Mislabelled:
        get_sign_string = staticmethod(sha_hmac256.get_sign_string)
        get_signer_version = staticmethod(sha_hmac256.get_signer_version)
        get_signer_name = staticmethod(lambda: name)
        get_signer_type = staticmethod(lambda: kind)

    request = shared_request(cloud)
    request._signer = Mislabelled
    assert refused(signer.client(cloud), request) == expected


def test_a_client_key_may_not_call_business_apis(cloud, signer):
    request = rpc(cloud.api_endpoint, "GET", sha_hmac256)
    assert refused(signer.client(cloud), request) == (403, "Forbidden.RAM")
