"""Buckets for the local cloud."""

import pytest

from aliyun_sdk_secretsmanager_oss_plugin.proxy_bucket import ProxyBucket
from tests.conftest import SECRET


@pytest.fixture
def make_bucket(cloud, properties, closing):
    def make(secret_name=SECRET, **arguments):
        return closing(ProxyBucket(secret_name, cloud.oss_endpoint, "bucket", **arguments))

    return make


@pytest.fixture
def bucket(make_bucket):
    return make_bucket()
