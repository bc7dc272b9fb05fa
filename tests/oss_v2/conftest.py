"""Clients of alibabacloud-oss-v2 for the local cloud. Without that SDK, there are no tests here."""

import pytest

from tests.conftest import SECRET
from tests.tasks import PATIENCE, run

try:
    import alibabacloud_oss_v2.aio  # noqa: F401
except ImportError:
    collect_ignore_glob = ["test_*.py"]


@pytest.fixture
def config(cloud):
    """Make a Config for the local cloud."""
    from alibabacloud_oss_v2.config import Config

    def make(**more):
        given = {"region": "cn-hangzhou", "endpoint": cloud.oss_endpoint, "connect_timeout": PATIENCE,
                 "readwrite_timeout": PATIENCE}
        return Config(**dict(given, **more))

    return make


@pytest.fixture
def make_client(properties, config, closing):
    """Make a managed client. The default class is ``Client``."""
    from alibabacloud_oss_v2 import Client

    from aliyun_sdk_secretsmanager_oss_v2_plugin import managed

    def make(secret_name=SECRET, client_class=Client, ak_expire_handler=None, spool=None, **configured):
        return closing(managed(client_class)(
            config(**configured), secret_name, ak_expire_handler, replay_buffer_bytes=spool, replay_spool_bytes=spool))

    return make


@pytest.fixture
def client(make_client):
    return make_client()


@pytest.fixture
def with_async_client(make_client):
    """Run ``work(client)`` with an asynchronous client in an event loop, and return what it returns."""
    from alibabacloud_oss_v2.aio import AsyncClient

    def with_client(work, new_loop=None, **arguments):
        made = make_client(client_class=AsyncClient, **arguments)  # the secret is read here, outside of the loop

        async def main():
            async with made as client:
                return await work(client)

        return run(main(), *([new_loop] if new_loop else []))

    return with_client
