"""The clients and the provider for the V2.0 SDKs pass the contract of all plugins."""

import pytest
from alibabacloud_tea_openapi.client import Client
from alibabacloud_tea_openapi.models import Config
from Tea.exceptions import TeaException

from aliyun_sdk_secretsmanager_openapi_plugin import ManagedCredentialsProvider, managed
from aliyun_sdk_secretsmanager_testing.plugin_contract import (
    AsyncContract,
    BodyContract,
    CopyContract,
    HandlerContract,
    PluginContract,
    ProviderContract,
)

from .calls import BODIES, Body, arguments, arrived


def config(service):
    return Config(endpoint=service.address, protocol="http")


class TestClient(BodyContract, AsyncContract, CopyContract):
    error = TeaException
    bodies = ("bytes", "file", "file from where it is", "stream")

    def new_client(self, service, secret_name, **more):
        return managed(Client)(config(service), secret_name, **more)

    def call(self, service, client):
        client.call_api(*arguments("RPC", BODIES["form"]))

    async def call_async(self, service, client):
        await client.call_api_async(*arguments("RPC", BODIES["form"]))

    def upload(self, service, client, body):
        return arrived(client.call_api(*arguments("RPC", Body(lambda: {"stream": body}, "binary")))["body"])


class TestEcsClient(PluginContract, CopyContract):
    """The client of a generated SDK."""

    error = TeaException

    def new_client(self, service, secret_name, **more):
        ecs = pytest.importorskip("alibabacloud_ecs20140526.client")
        return managed(ecs.Client)(config(service), secret_name, **more)

    def call(self, service, client):
        from alibabacloud_ecs20140526.models import DescribeRegionsRequest

        client.describe_regions(DescribeRegionsRequest())


class TestProvider(HandlerContract, ProviderContract, CopyContract):
    def new_client(self, service, secret_name, **more):
        return ManagedCredentialsProvider(secret_name, **more)

    def call(self, service, client):
        return client.get_credentials().get_access_key_id()
