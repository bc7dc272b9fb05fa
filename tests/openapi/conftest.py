"""Clients of the V2.0 SDKs for the local cloud; where alibabacloud-tea-openapi is not installed, no test."""

import pytest

from tests import tasks
from tests.conftest import SECRET
from tests.tasks import PATIENCE

try:
    import alibabacloud_tea_openapi.client  # noqa: F401
except ImportError:
    collect_ignore_glob = ["test_*.py"]

# What the SDKs do that newer versions of Python warn of.
SDK_WARNINGS = [pytest.mark.filterwarnings("ignore:" + beginning) for beginning in (
    "datetime.datetime.utcnow", "There is no current event loop", "This process", "Call to deprecated function")]


def pytest_collection_modifyitems(items):
    for item in items:
        if item.nodeid.startswith("tests/openapi/"):
            for mark in SDK_WARNINGS:
                item.add_marker(mark)


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
    """Make a managed client: of the class that all others inherit from, unless another is given."""
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
