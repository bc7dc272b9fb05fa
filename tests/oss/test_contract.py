"""The clients and the provider for oss2 pass the contract of all plugins."""

import oss2
import pytest

from aliyun_sdk_secretsmanager_oss_plugin import (
    ManagedCredentialsProvider,
    ProxyBucket,
    ProxyCryptoBucket,
    ProxyService,
)
from aliyun_sdk_secretsmanager_testing.plugin_contract import (
    BUCKET,
    BodyContract,
    CopyContract,
    PluginContract,
    ProviderContract,
)


class TestProxyBucket(BodyContract, CopyContract):
    service_name = "oss"
    error = oss2.exceptions.ServerError

    def new_client(self, service, secret_name, **arguments):
        return ProxyBucket(secret_name, service.cloud.oss_endpoint, BUCKET, **arguments)

    def call(self, service, client):
        client.put_object("key", b"content")

    def upload(self, service, client, body):
        client.put_object("key", body)
        return service.cloud.object(BUCKET, "key")


class TestProxyService(PluginContract, CopyContract):
    service_name = "oss"
    error = oss2.exceptions.ServerError

    def new_client(self, service, secret_name, **arguments):
        return ProxyService(secret_name, service.cloud.oss_endpoint, **arguments)

    def call(self, service, client):
        client.list_buckets()


class TestProxyCryptoBucket(PluginContract):
    """A crypto bucket cannot be copied."""

    service_name = "oss"
    error = oss2.exceptions.ServerError

    if not issubclass(oss2.CryptoBucket, oss2.Bucket):
        # In old versions of oss2 a crypto provider is for one thread.
        test_threads_that_share_a_client_renew_once = test_threads_with_clients_of_their_own_renew_once = None

    @pytest.fixture(autouse=True)
    def provider(self, crypto_provider):
        self.crypto_provider = crypto_provider

    def new_client(self, service, secret_name, **arguments):
        return ProxyCryptoBucket(secret_name, service.cloud.oss_endpoint, BUCKET, self.crypto_provider, **arguments)

    def call(self, service, client):
        client.put_object("key", b"content")


@pytest.mark.skipif(not hasattr(oss2, "credentials"), reason="newer versions have it")
class TestProvider(ProviderContract, CopyContract):
    def new_client(self, service, secret_name, **arguments):
        return ManagedCredentialsProvider(secret_name, **arguments)

    def call(self, service, client):
        return client.get_credentials().get_access_key_id()
