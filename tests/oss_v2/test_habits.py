"""What programs do with a client besides calls: its config, isinstance, help, an editor; and what is imported."""

import asyncio
import copy
import inspect
import pickle
import pydoc
import subprocess
import sys
import textwrap

import alibabacloud_oss_v2 as oss
import pytest
from alibabacloud_oss_v2.aio import AsyncClient
from alibabacloud_oss_v2.credentials import StaticCredentialsProvider
from alibabacloud_oss_v2.exceptions import OperationError
from alibabacloud_oss_v2.transport import RequestsHttpClient
from alibabacloud_oss_v2.vectors import Client as VectorsClient
from alibabacloud_oss_v2.vectors.models import ListVectorBucketsRequest

import aliyun_sdk_secretsmanager_oss_v2_plugin.client
from aliyun_sdk_secretsmanager_common_plugin import ManagedCredentialsError
from aliyun_sdk_secretsmanager_oss_v2_plugin import (
    ManagedAsyncClient,
    ManagedClient,
    OssV2AkExpireHandler,
    managed,
)
from aliyun_sdk_secretsmanager_testing import Fault
from tests.conftest import SECRET
from tests.instance import ROOT
from tests.tasks import drive, run
from tests.type_checker import checked


def put(client):
    return client.put_object(oss.PutObjectRequest("bucket", "key", body=b"body"))


class TestClass:
    def test_is_a_subclass_and_the_same_each_time(self, client):
        assert issubclass(managed(oss.Client), oss.Client)
        assert managed(oss.Client) is managed(oss.Client)
        assert isinstance(client, oss.Client)

    def test_of_the_programs_own_works_alike(self, cloud, config, properties, closing):
        class MyClient(ManagedClient, oss.Client):
            pass

        client = closing(MyClient(config(), secret_name=SECRET))
        cloud.rotate(SECRET)

        assert put(client).status_code == 200

    def test_of_the_programs_own_in_a_task_works_alike(self, cloud, config, properties):
        class MyClient(ManagedAsyncClient, AsyncClient):
            pass

        client = MyClient(config(), secret_name=SECRET)
        cloud.rotate(SECRET)

        async def main():
            async with client:
                return await put(client)

        assert run(main()).status_code == 200

    def test_of_the_programs_own_with_the_wrong_mixin_says_so(self):
        with pytest.raises(TypeError, match="MyClient: mix ManagedAsyncClient"):
            class MyClient(ManagedClient, AsyncClient):
                pass

    def test_of_the_programs_own_spoils_no_other(self, cloud, config, make_client, closing, monkeypatch):
        class Mistaken(ManagedAsyncClient, oss.Client):
            pass

        monkeypatch.setattr(aliyun_sdk_secretsmanager_oss_v2_plugin.client, "_classes", {})
        closing(Mistaken(config(), secret_name=SECRET))
        client = make_client()
        cloud.rotate(SECRET)

        assert put(client).status_code == 200

    def test_of_other_services_works_alike(self, cloud, config, properties, closing):
        """The local cloud does not have this service, but it judges the key before it judges the rest of a request."""
        client = closing(managed(VectorsClient)(config(account_id="1"), SECRET))
        cloud.rotate(SECRET)

        with pytest.raises(OperationError):
            client.list_vector_buckets(ListVectorBucketsRequest())

        assert [each.code for each in cloud.calls("oss")][0] == "InvalidAccessKeyId"
        assert cloud.calls("oss")[-1].access_key_id == cloud.secret(SECRET).current.access_key_id

    def test_names_its_secret_and_its_handler(self, make_client):
        handler = OssV2AkExpireHandler("Mine")

        assert make_client(ak_expire_handler=handler).ak_expire_handler is handler
        assert make_client().secret_name == SECRET

    @pytest.mark.parametrize("client_class", [oss.Client, AsyncClient])
    def test_every_method_is_called_alike(self, client_class):
        for name, method in inspect.getmembers(client_class, inspect.isfunction):
            if not name.startswith("__"):
                ours = inspect.signature(getattr(managed(client_class), name))
                assert ours.parameters == inspect.signature(method).parameters

    def test_help_says_what_it_takes(self):
        text = pydoc.plain(pydoc.render_doc(managed(oss.Client)))

        for words in ("secret_name: the name of a managed RAM credential", "shutdown(self)", "put_object"):
            assert words in text


class TestConfig:
    def test_is_not_changed_and_its_provider_is_not_used(self, cloud, config, properties, closing, caplog):
        given = config(credentials_provider=StaticCredentialsProvider("LTAIgiven00000000000", "given-secret"))
        before = dict(vars(given))

        put(closing(managed(oss.Client)(given, SECRET)))

        assert vars(given) == before
        assert cloud.calls("oss")[-1].access_key_id == cloud.secret(SECRET).current.access_key_id
        assert "the credentials_provider of the client's config is not used" in caplog.text
        assert "given-secret" not in caplog.text

    def test_none_is_the_sdks_own_error(self, properties):
        with pytest.raises(AttributeError, match="region"):
            managed(oss.Client)(None, SECRET)

    def test_other_arguments_reach_the_sdk(self, config, properties, closing):
        client = closing(managed(oss.Client)(config(), SECRET, region="cn-beijing"))

        assert client._client._options.region == "cn-beijing"

    def test_without_a_secret_name_it_says_so(self, properties):
        with pytest.raises(TypeError, match="secret_name"):
            managed(oss.Client)(oss.config.Config())


class Written(ManagedClient, oss.Client):
    """A class that a program defines."""


class Below(managed(oss.Client)):
    """A subclass of a class that ``managed`` made."""


COPIES = {
    "copy": copy.copy,
    "deepcopy": copy.deepcopy,
    "pickle": lambda client: pickle.loads(pickle.dumps(client)),
}


@pytest.mark.parametrize("how", sorted(COPIES))
class TestCopies:
    def test_of_subclasses(self, cloud, config, properties, closing, how):
        for client_class in (Written, Below):
            client = closing(client_class(config(), SECRET))
            put(client)
            other = closing(COPIES[how](client))
            client.shutdown()
            cloud.rotate(SECRET)

            assert type(other) is client_class
            assert put(other).status_code == 200

    def test_of_other_services(self, cloud, config, properties, closing, how):
        client = closing(managed(VectorsClient)(config(account_id="1"), SECRET))
        other = closing(COPIES[how](client))
        client.shutdown()
        cloud.rotate(SECRET)

        with pytest.raises(OperationError):
            other.list_vector_buckets(ListVectorBucketsRequest())

        assert cloud.calls("oss")[-1].access_key_id == cloud.secret(SECRET).current.access_key_id

    def test_keeps_what_a_replay_may_keep_and_the_handler(self, make_client, closing, how):
        client = make_client(ak_expire_handler=OssV2AkExpireHandler("Mine"), spool=7)
        other = closing(COPIES[how](client))

        assert other._client.replay_bytes == client._client.replay_bytes == (7, 7)
        assert other.ak_expire_handler.get_ak_expire_code() == "Mine"

    def test_presigns_with_the_current_key_after_the_original(self, cloud, client, closing, how):
        other = closing(COPIES[how](client))
        client.shutdown()
        url = other.presign(oss.GetObjectRequest("bucket", "key")).url

        assert cloud.secret(SECRET).current.access_key_id in url

    def test_has_connections_of_its_own(self, client, closing, how):
        put(client)
        other = closing(COPIES[how](client))
        put(other)

        assert other._client._options.http_client.session is not client._client._options.http_client.session

    def test_of_an_asynchronous_client_works_beside_it_and_after_it(self, cloud, with_async_client, how):
        async def work(client):
            async def put(each):
                return (await each.put_object(oss.PutObjectRequest("bucket", "key", body=b"body"))).status_code

            await put(client)
            async with COPIES[how](client) as other:
                assert await asyncio.gather(put(client), put(other)) == [200, 200]
                await client.close()
                cloud.rotate(SECRET)
                return await put(other)

        assert with_async_client(work) == 200

    def test_in_an_event_loop_does_not_wait_for_the_secret(self, cloud, fetches, config, properties, how):
        cloud.inject("secrets_manager", Fault.hang())

        async def main():
            async with managed(AsyncClient)(config(), SECRET) as client, COPIES[how](client) as other:
                cloud.clear("secrets_manager")
                for each in (client, other):
                    await each.put_object(oss.PutObjectRequest("bucket", "key", body=b"body"))

        run(main())
        assert fetches() == 1


def test_copy_shares_the_http_client_that_was_given(make_client, closing):
    http_client = RequestsHttpClient()
    client = make_client(http_client=http_client)
    other = closing(copy.copy(client))

    assert other._client._options.http_client is http_client


def test_client_shows_no_secret(cloud, client):
    put(client)

    assert cloud.secret(SECRET).current.access_key_secret not in repr(client) + repr(vars(client)) + repr(
        vars(client._client))


@pytest.mark.slow
def test_asynchronous_clients_alone_need_aiohttp():
    program = """
        import sys
        sys.modules["aiohttp"] = None
        import alibabacloud_oss_v2 as oss
        from aliyun_sdk_secretsmanager_oss_v2_plugin import managed
        print(managed(oss.Client).__name__)
    """

    assert subprocess.check_output(
        [sys.executable, "-W", "ignore", "-c", textwrap.dedent(program)], cwd=ROOT, universal_newlines=True,
    ) == "ManagedClient\n"


@pytest.mark.slow
def test_call_outside_of_asyncio_says_so_and_is_not_sent(cloud, make_client):
    client = make_client(client_class=AsyncClient)

    with pytest.raises(OperationError) as caught:
        drive(client.put_object(oss.PutObjectRequest("bucket", "key", body=b"body")))

    assert isinstance(caught.value.unwrap(), ManagedCredentialsError)
    assert "a task of asyncio" in str(caught.value)
    assert cloud.calls("oss") == []


def test_checker_and_editor_know_the_methods_of_the_sdks_clients(tmp_path):
    pytest.importorskip("mypy")
    output = checked("""
        from alibabacloud_oss_v2 import Client
        from alibabacloud_oss_v2.aio import AsyncClient
        from alibabacloud_oss_v2.config import Config

        from aliyun_sdk_secretsmanager_oss_v2_plugin import ManagedClient, managed

        client = managed(Client)(Config(), secret_name="my-secret", replay_spool_bytes=0)
        reveal_type(client)
        client.do_nonsense
        managed(Client)(Config())
        reveal_type(managed(AsyncClient)(Config(), "my-secret"))

        class MyClient(ManagedClient, Client):
            pass

        with MyClient(Config(), secret_name="my-secret") as mine:
            reveal_type(mine.put_object)
            mine.do_nonsense
    """, tmp_path)

    assert 'Revealed type is "alibabacloud_oss_v2.client.Client"' in output
    assert 'Revealed type is "alibabacloud_oss_v2.aio.client.AsyncClient"' in output
    assert '"Client" has no attribute "do_nonsense"' in output
    assert "secret_name" in output
    assert 'Revealed type is "def (request: ' in output
    assert '"MyClient" has no attribute "do_nonsense"' in output
    assert "Found 3 errors in 1 file" in output
