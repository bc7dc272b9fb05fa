"""The small service for plugins whose service the local cloud lacks."""

import pytest
import requests

from aliyun_sdk_secretsmanager_testing.plugin_service import DENIED, INVALID, REJECTED
from tests.conftest import SECRET

from .small_plugin import SmallService, signature


@pytest.fixture
def service(cloud):
    with SmallService(cloud, SECRET) as service:
        yield service


def post(service, key, **headers):
    given = {"X-Key": key.access_key_id, "X-Signature": signature(key.access_key_secret, b"content")}
    return requests.post("http://" + service.address, b"content", headers=dict(given, **headers))


def test_accepts_the_current_key_and_notes_the_call(cloud, service):
    key = cloud.secret(SECRET).current

    assert post(service, key).content == b"content"
    assert service.calls() == [(key.access_key_id, 200, "")]


def test_rejects_a_key_when_the_cloud_does(cloud, service):
    key = cloud.secret(SECRET).current
    cloud.rotate(SECRET, grace=60, propagation=60)
    new = cloud.secret(SECRET).current

    assert [post(service, each).status_code for each in (key, new)] == [200, 403]
    assert [cloud.accepts(each) for each in (key, new)] == [True, False]
    cloud.disable_key(key.access_key_id)
    assert post(service, key).json() == {"code": "InvalidAccessKeyId"}


def test_rejects_the_key_of_another_secret(cloud, service):
    cloud.create_secret("other")

    assert post(service, cloud.secret("other").current).json() == {"code": "InvalidAccessKeyId"}


def test_refuses_a_wrong_signature(cloud, service):
    assert post(service, cloud.secret(SECRET).current, **{"X-Signature": "wrong"}).json() == {
        "code": "SignatureDoesNotMatch"}


def test_refuses_the_next_request_as_it_is_told(cloud, service):
    for why in (DENIED, INVALID, REJECTED):
        service.refuse(why)

    codes = [post(service, cloud.secret(SECRET).current).json()["code"] for _ in range(3)]

    assert codes == ["Forbidden", "InvalidParameter", "InvalidAccessKeyId"]
    assert post(service, cloud.secret(SECRET).current).status_code == 200
