"""The provider for programs that make a CredentialClient: id, secret and token are always of one version."""

import asyncio
import contextvars

import pytest
from alibabacloud_credentials.client import Client as CredentialClient
from alibabacloud_credentials_api import ICredentialsProvider
from alibabacloud_tea_openapi.client import Client

from aliyun_sdk_secretsmanager_common_plugin import ManagedCredentialsError
from aliyun_sdk_secretsmanager_openapi_plugin import ManagedCredentialsProvider
from aliyun_sdk_secretsmanager_testing import Fault
from tests.conftest import SECRET

from .calls import BODIES, arguments


def three(key):
    return key.access_key_id, key.access_key_secret, key.security_token


@pytest.fixture
def provider(cloud, properties, closing):
    return closing(ManagedCredentialsProvider(SECRET))


@pytest.fixture
def rotate(cloud, provider):
    """Rotate the secret, and read the new key."""

    def do(**how):
        key = cloud.rotate(SECRET, **how)
        provider.lease._account.renew(SECRET, provider.lease.access_key())
        return key

    return do


class TestPlainClient:
    def test_signs_with_the_current_key(self, cloud, provider, rotate, config, run):
        client = Client(config(credential=CredentialClient(provider=provider)))
        client.call_api(*arguments("RPC", BODIES["form"]))
        new = rotate(token=True)

        client.call_api(*arguments("RPC", BODIES["form"]))
        run(client.call_api_async(*arguments("ROA", BODIES["json"])))

        assert [each.status for each in cloud.calls("api")] == [200, 200, 200]
        assert cloud.calls("api")[-1].access_key_id == new.access_key_id

    def test_is_a_provider_of_the_sdks(self, provider):
        assert isinstance(provider, ICredentialsProvider)
        assert provider.get_provider_name() not in ("bearer", "id_token")


class TestOneVersion:
    def test_all_at_once(self, cloud, provider, rotate):
        client = CredentialClient(provider=provider)
        old = cloud.secret(SECRET).current
        before = client.get_credential()
        new = rotate(token=True)

        assert three(before) == three(old)
        assert three(client.get_credential()) == three(new)

    def test_asynchronously(self, cloud, provider, rotate, run):
        client = CredentialClient(provider=provider)
        new = rotate()

        assert three(run(client.get_credential_async())) == three(new)

    @pytest.mark.parametrize("token", [False, True], ids=["without a token", "with a token"])
    def test_one_after_another_is_that_of_the_id(self, cloud, provider, rotate, token):
        wrap = CredentialClient(provider=provider).cloud_credential
        old = cloud.secret(SECRET).current
        access_key_id = wrap.get_access_key_id()
        new = rotate(token=token)

        assert (access_key_id, wrap.get_access_key_secret(), wrap.get_security_token()) == three(old)
        assert (wrap.get_access_key_id(), wrap.get_access_key_secret(), wrap.get_security_token()) == three(new)

    @pytest.mark.parametrize("how", ["one after another", "all at once"])
    def test_that_was_read_whole_is_not_mixed_into_the_next(self, cloud, provider, rotate, how):
        client = CredentialClient(provider=provider)
        if how == "all at once":
            assert three(client.get_credential()) == three(cloud.secret(SECRET).current)
        else:
            assert client.get_access_key_id()
            assert client.get_access_key_secret()
            assert client.get_security_token() is None
        new = rotate(token=True)

        token, secret, access_key_id = (
            client.get_security_token(), client.get_access_key_secret(), client.get_access_key_id())

        assert (access_key_id, secret, token) == three(new)

    def test_one_after_another_in_a_task(self, cloud, provider, rotate, run):
        wrap = CredentialClient(provider=provider).cloud_credential
        old = cloud.secret(SECRET).current

        async def read(between):
            access_key_id = await wrap.get_access_key_id_async()
            between()
            await asyncio.sleep(0)
            return access_key_id, await wrap.get_access_key_secret_async(), await wrap.get_security_token_async()

        async def main():
            first = asyncio.ensure_future(read(rotate))
            second = asyncio.ensure_future(read(lambda: None))
            return await first, await second

        first, second = run(main())
        assert first == three(old)
        assert second == three(cloud.secret(SECRET).current)

    def test_of_each_object_whichever_is_read_last(self, provider, rotate):
        old = provider.get_credentials()
        old_id = old.get_access_key_id()
        rotate()
        new = provider.get_credentials()
        new_id = new.get_access_key_id()

        assert old.get_access_key_secret() != new.get_access_key_secret()
        assert (old.get_access_key_id(), new.get_access_key_id()) == (old_id, new_id)

    def test_of_who_asks_for_the_secret_alone_is_the_current_one(self, cloud, provider):
        secret = contextvars.Context().run(lambda: provider.get_credentials().get_access_key_secret())

        assert secret == cloud.secret(SECRET).current.access_key_secret

    def test_of_another_provider_is_not_mixed_in(self, cloud, provider, closing):
        cloud.create_secret("other", token=True)
        other = closing(ManagedCredentialsProvider("other"))
        other.get_credentials().get_access_key_id()

        key = provider.get_credentials()

        assert key.get_access_key_secret() == cloud.secret(SECRET).current.access_key_secret
        assert key.get_security_token() is None


class TestLifecycle:
    def test_with_statement_shuts_down(self, properties, run):
        with ManagedCredentialsProvider(SECRET) as provider:
            provider.get_credentials()

        with pytest.raises(ManagedCredentialsError, match="shut down"):
            provider.get_credentials()
        with pytest.raises(ManagedCredentialsError, match="shut down"):
            run(provider.get_credentials_async())

    def test_made_in_a_loop_it_does_not_wait(self, cloud, properties, closing, run):
        cloud.inject("secrets_manager", Fault.hang())

        async def main():
            provider = closing(ManagedCredentialsProvider(SECRET))
            assert provider.lease._account.published_key(SECRET) is None
            cloud.clear()
            return await provider.get_credentials_async()

        assert run(main()).get_access_key_id() == cloud.secret(SECRET).current.access_key_id
