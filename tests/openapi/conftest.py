"""Clients of the V2.0 SDKs for the local cloud. Without alibabacloud-tea-openapi, there are no tests here."""

import pytest

from tests import tasks
from tests.conftest import SECRET
from tests.tasks import PATIENCE

try:
    import alibabacloud_tea_openapi.client  # noqa: F401
except ImportError:
    collect_ignore_glob = ["test_*.py"]


@pytest.fixture
def config(cloud):
    """Make a Config for the local cloud."""
    from alibabacloud_tea_openapi.models import Config

    def make(**more):
        given = {"endpoint": cloud.api_endpoint, "protocol": "http", "connect_timeout": PATIENCE * 1000,
                 "read_timeout": PATIENCE * 1000}
        return Config(**dict(given, **more))

    return make


@pytest.fixture
def make_client(properties, config, closing):
    """Make a managed client. The default class is the base class of all others."""
    from alibabacloud_tea_openapi.client import Client

    from aliyun_sdk_secretsmanager_openapi_plugin import managed

    def make(secret_name=SECRET, client_class=Client, ak_expire_handler=None, **configured):
        return closing(managed(client_class)(config(**configured), secret_name, ak_expire_handler))

    return make


@pytest.fixture
def client(make_client):
    return make_client()


@pytest.fixture
def run():
    return tasks.run
