"""The official client alone, the official client as a backend, and our gateways: same answers and errors."""

import json

import pytest
from aliyunsdkcore.acs_exception.exceptions import ServerException

from aliyun_sdk_secretsmanager_common_plugin import ManagedCredentials
from aliyun_sdk_secretsmanager_common_plugin.settings import load_settings
from aliyun_sdk_secretsmanager_testing import Fault
from tests.conftest import SECRET

from . import witness
from .conftest import PASSWORD, VENDOR_WARNINGS

pytest.importorskip("alibaba_cloud_secretsmanager_client", reason="nox -s parity installs the official client")
pytestmark = VENDOR_WARNINGS

SERVICES = {"shared": "secrets_manager", "dedicated": "dedicated"}


@pytest.fixture(params=["shared", "dedicated"])
def where(request):
    return request.param


@pytest.fixture
def readers(cloud, write, where, request):
    """The three ways to read a secret, from the same gateway."""
    key = cloud.identity
    if where == "dedicated":
        official = witness.dedicated(cloud, request.getfixturevalue("client_key"), PASSWORD)
    else:
        official = witness.shared(cloud, witness.builder().with_access_key(key.access_key_id, key.access_key_secret))

    def ours(secrets_client):
        gateway = ManagedCredentials(load_settings(write(where, secrets_client=secrets_client)))._account._backends.gateways[0]
        return lambda name: gateway.get_secret_value(name, 5)

    return [
        lambda name: json.loads(official.get_secret_value(witness.request(name)).decode("utf-8")),
        ours("aliyun-secret-manager-client"),
        ours("native"),
    ]


@pytest.mark.parametrize("name", [SECRET, "a/b c+\u4f60&=%"])
def test_a_secret_is_the_same(cloud, readers, name):
    if name != SECRET:
        cloud.create_secret(name)
    cloud.rotate(name)

    answers = [dict(read(name), RequestId="") for read in readers]

    assert cloud.secret(name).current.access_key_id in answers[0]["SecretData"]
    assert answers[1] == answers[0]
    assert answers[2] == answers[0]


def test_a_secret_that_is_no_managed_key_is_the_same(cloud, readers):
    # The official client returns missing fields as empty strings.
    cloud.create_secret("text", secret_data="\u4f60 \"quoted\"\n", secret_type="Generic")

    answers = [{field: value for field, value in read("text").items() if value} for read in readers]

    assert answers[0]["SecretType"] == "Generic"
    assert [dict(answer, RequestId="") for answer in answers] == [dict(answers[0], RequestId="")] * 3


def refusals(readers, name):
    errors = []
    for read in readers:
        with pytest.raises(ServerException) as caught:
            read(name)
        errors.append((caught.value.get_error_code(), caught.value.get_http_status()))
        assert caught.value.get_request_id()
    return errors


def test_a_secret_that_is_not_there_is_refused_alike(readers):
    assert refusals(readers, "missing") == [("Forbidden.ResourceNotFound", 404)] * 3


@pytest.mark.parametrize(("fault", "refusal"), [
    (Fault.forbidden(), ("Forbidden.NoPermission", 403)),
    (Fault.status(500, "InternalFailure"), ("InternalFailure", 500)),
], ids=["forbidden", "failure"])
def test_a_refusal_is_the_same(cloud, readers, where, fault, refusal):
    cloud.inject(SERVICES[where], fault)

    assert refusals(readers, SECRET) == [refusal] * 3


def test_throttling_is_passed_on_at_once_by_ours_alone(cloud, readers, where):
    cloud.inject(SERVICES[where], Fault.throttling())

    assert refusals(readers[1:], SECRET) == [("Rejected.Throttling", 429)] * 2
    assert len(cloud.calls(SERVICES[where])) == 2


@pytest.mark.parametrize("where", ["dedicated"], indirect=True)
def test_a_client_key_that_is_not_known_is_refused(cloud, client_key, readers):
    cloud.revoke_client_key(client_key.key_id)

    # The official client uses the error code of the shared gateway.
    assert refusals(readers, SECRET) == [("InvalidAccessKeyId.NotFound", 401)] * 2 + [("Unauthorized", 401)]
