"""The clients and the provider for alibabacloud-oss-v2 pass the contract of all plugins."""

from alibabacloud_oss_v2 import Client, PutObjectRequest
from alibabacloud_oss_v2.aio import AsyncClient
from alibabacloud_oss_v2.config import Config
from alibabacloud_oss_v2.exceptions import OperationError

from aliyun_sdk_secretsmanager_oss_v2_plugin import ManagedCredentialsProvider, managed
from aliyun_sdk_secretsmanager_testing.plugin_contract import (
    BUCKET,
    AsyncContract,
    BodyContract,
    CopyContract,
    ProviderContract,
)


def config(service):
    return Config(region="cn-hangzhou", endpoint=service.cloud.oss_endpoint)


class TestClient(BodyContract, CopyContract):
    service_name = "oss"
    error = OperationError

    def new_client(self, service, secret_name, **arguments):
        return managed(Client)(config(service), secret_name, **arguments)

    def call(self, service, client):
        client.put_object(PutObjectRequest(BUCKET, "key", body=b"content"))

    def upload(self, service, client, body):
        client.put_object(PutObjectRequest(BUCKET, "key", body=body))
        return service.cloud.object(BUCKET, "key")


class TestAsyncClient(AsyncContract, BodyContract, CopyContract):
    service_name = "oss"
    error = OperationError
    bodies = ("bytes", "file", "file from where it is")
    # An asynchronous client is for one event loop, and accepts only streams that are awaited.
    test_threads_that_share_a_client_renew_once = None
    test_body_that_cannot_be_sent_again_surfaces_the_services_error_and_why = None

    def new_client(self, service, secret_name, **arguments):
        return managed(AsyncClient)(config(service), secret_name, **arguments)

    async def call_async(self, service, client):
        await client.put_object(PutObjectRequest(BUCKET, "key", body=b"content"))

    async def close_async(self, client):
        await client._client.close()  # closes the connections, but does not release the secret

    def upload(self, service, client, body):
        self.run(client, lambda: client.put_object(PutObjectRequest(BUCKET, "key", body=body)))
        return service.cloud.object(BUCKET, "key")


class TestProvider(ProviderContract, CopyContract):
    def new_client(self, service, secret_name, **arguments):
        return ManagedCredentialsProvider(secret_name, **arguments)

    def call(self, service, client):
        return client.get_credentials().access_key_id
