"""A cloud whose time stands still, and clients of the official SDKs for it."""
import os

import pytest
from aliyunsdkcore.client import AcsClient

from aliyun_sdk_secretsmanager_testing import LocalCloud, MovableClock


def pytest_collection_modifyitems(items):
    for item in items:
        if str(item.fspath).startswith(os.path.dirname(__file__) + os.sep):
            item.add_marker(pytest.mark.plain_sdks)


@pytest.fixture
def clock():
    return MovableClock()


@pytest.fixture
def cloud(clock):
    """A cloud whose time stands still, with one secret and one bucket."""
    with LocalCloud(clock=clock) as cloud:
        cloud.create_secret("app/key")
        cloud.create_bucket("bucket")
        yield cloud


@pytest.fixture
def key(cloud):
    return cloud.secret("app/key").current


@pytest.fixture
def identity_client(cloud):
    """An AcsClient that trusts the cloud and signs with the application's own key."""
    return client_of(cloud, cloud.identity)


@pytest.fixture
def client(cloud, key):
    return client_of(cloud, key)


@pytest.fixture
def bucket(cloud, key):
    return bucket_of(cloud, key)


def client_of(cloud, key):
    if key.security_token is None:
        return AcsClient(key.access_key_id, key.access_key_secret, "cn-hangzhou", auto_retry=False,
                         verify=cloud.ca_file)
    from aliyunsdkcore.auth.credentials import StsTokenCredential
    credential = StsTokenCredential(key.access_key_id, key.access_key_secret, key.security_token)
    return AcsClient(region_id="cn-hangzhou", credential=credential, auto_retry=False, verify=cloud.ca_file)


def bucket_of(cloud, key, name="bucket", version="v1", **more):
    import oss2
    if key.security_token is None:
        auth = oss2.make_auth(key.access_key_id, key.access_key_secret, version)
    else:
        auth = oss2.StsAuth(key.access_key_id, key.access_key_secret, key.security_token, version)
    return oss2.Bucket(auth, cloud.oss_endpoint, name, **dict({"region": "cn-hangzhou"}, **more))
