"""Clients of alibabacloud-oss-v2 under load, in threads and in tasks: no rotation makes a call fail."""

import asyncio
import json
import os

import alibabacloud_oss_v2 as oss
import oss2
import pytest
from alibabacloud_oss_v2.aio import AsyncClient
from alibabacloud_oss_v2.credentials import StaticCredentialsProvider
from alibabacloud_oss_v2.exceptions import OperationError
from alibabacloud_oss_v2.retry import StandardRetryer
from aliyunsdkcore.acs_exception.exceptions import ClientException, ServerException
from aliyunsdkcore.request import CommonRequest

from aliyun_sdk_secretsmanager_oss_plugin import ProxyBucket
from aliyun_sdk_secretsmanager_oss_v2_plugin import managed
from aliyun_sdk_secretsmanager_sdk_core_plugin import ProxyAcsClient
from aliyun_sdk_secretsmanager_testing import Fault
from tests.conftest import SECRET, wait_until
from tests.drills import Load, loud, no_thread_of_ours, owner_threads
from tests.forks import in_child
from tests.tasks import AsyncLoad, run, until

HEAD = oss.HeadObjectRequest("bucket", "key")


def put(client):
    return client.put_object(oss.PutObjectRequest("bucket", "key", body=b"body"))


@pytest.fixture
def new_client(make_client):
    """Make an asynchronous client that has read its secret. Whoever uses it closes its connections."""
    return lambda **more: make_client(client_class=AsyncClient, **more)


class TestRotation:
    def test_thousand_tasks_one_rotation(self, cloud, fetches, with_async_client, new_loop):
        async def work(client):
            tasks = [asyncio.ensure_future(put(client)) for _ in range(1000)]
            await until(lambda: len(cloud.calls("oss")) > 100)
            cloud.rotate(SECRET)
            return await asyncio.gather(*tasks)

        answers = with_async_client(work, new_loop)

        assert {answer.status_code for answer in answers} == {200}
        assert fetches() == 2
        assert {each.status for each in cloud.calls("oss")} == {200, 403}

    def test_ten_rotations_in_a_row_with_threads_and_tasks(self, cloud, fetches, client, with_async_client, caplog):
        async def work(async_client):
            async with AsyncLoad(lambda: put(async_client), 4) as tasks:
                for _ in range(10):
                    await tasks.more(10)
                    cloud.rotate(SECRET)
                await tasks.more(10)

        with Load([lambda: put(client)] * 4) as threads:
            with_async_client(work)

        assert threads.failures == []
        assert fetches() == 11
        assert loud(caplog) == []

    @pytest.mark.parametrize("version", ["v1", "v4"])
    def test_secrets_with_and_without_a_token_follow_one_another(self, cloud, make_client, with_async_client, version):
        cloud.create_secret("sts", token=True)
        client = make_client("sts", signature_version=version)
        for _ in range(2):
            cloud.rotate("sts")
            put(client)

        async def work(async_client):
            cloud.rotate("sts")
            await put(async_client)

        with_async_client(work, secret_name="sts", signature_version=version)
        assert [each.status for each in cloud.calls("oss")] == [403, 200] * 3

    @pytest.mark.parametrize("version", ["v1", "v4"])
    def test_key_without_a_token_after_one_with_a_token(self, cloud, make_client, version):
        cloud.create_secret("sts", token=True)
        client = make_client("sts", signature_version=version)
        cloud.rotate("sts")
        key = cloud.secret(SECRET).current
        cloud.put_secret_value("sts", json.dumps(
            {"AccessKeyId": key.access_key_id, "AccessKeySecret": key.access_key_secret}))

        put(client)

        assert [each.status for each in cloud.calls("oss")] == [403, 200]

    def test_hundred_clients_renew_once(self, cloud, fetches, make_client, new_client):
        clients, async_clients = [make_client() for _ in range(50)], [new_client() for _ in range(50)]
        cloud.rotate(SECRET)

        async def main():
            await asyncio.gather(*[put(each) for each in async_clients])
            await asyncio.gather(*[each.close() for each in async_clients])

        run(main())
        for each in clients:
            put(each)
        assert fetches() == 2

    def test_several_loops_in_several_threads_renew_once(self, cloud, fetches, new_client, in_threads):
        clients = [new_client() for _ in range(4)]

        async def main(client):
            async with client:
                await asyncio.gather(*[put(client) for _ in range(20)])

        cloud.rotate(SECRET)
        in_threads([lambda client=client: run(main(client)) for client in clients])

        assert fetches() == 2

    def test_four_sdks_on_one_secret_renew_once(self, cloud, fetches, properties, closing, client, with_async_client):
        openapi = pytest.importorskip("alibabacloud_tea_openapi.client")
        from aliyun_sdk_secretsmanager_openapi_plugin import managed as managed_openapi
        from tests.openapi.calls import BODIES, arguments

        models = pytest.importorskip("alibabacloud_tea_openapi.models")
        ecs_class = openapi.Client
        try:
            from alibabacloud_ecs20140526.client import Client as ecs_class
        except ImportError:  # its base class sends the same
            pass
        config = models.Config(endpoint=cloud.api_endpoint, protocol="http", region_id="cn-hangzhou")
        ecs = closing(managed_openapi(ecs_class)(config, SECRET))
        acs_client = closing(ProxyAcsClient(SECRET))
        bucket = closing(ProxyBucket(SECRET, cloud.oss_endpoint, "bucket"))
        cloud.rotate(SECRET)

        ecs.call_api(*arguments("RPC", BODIES["form"]))
        put(client)
        acs_client.do_action_with_exception(
            CommonRequest(domain=cloud.api_endpoint, version="2014-05-26", action_name="DescribeRegions"))
        bucket.put_object("key", b"body")
        with_async_client(put)

        assert [each.status for each in cloud.calls("api")] == [404, 200, 200]
        assert [each.status for each in cloud.calls("oss")] == [200, 200, 200]
        assert fetches() == 2


class Retries(StandardRetryer):
    """The program's retryer, which records what it is asked."""

    def __init__(self, **more):
        super().__init__(base_delay=0.001, **more)
        self.asked = []

    def is_error_retryable(self, error):
        self.asked.append(getattr(error, "code", type(error).__name__))
        return super().is_error_retryable(error)


class TestRetryer:
    def test_is_not_asked_about_a_rejected_key_that_is_renewed(self, cloud, make_client, with_async_client):
        retryer = Retries()
        client = make_client(retryer=retryer)
        cloud.rotate(SECRET)
        put(client)

        async def work(async_client):
            cloud.rotate(SECRET)
            await put(async_client)

        with_async_client(work, retryer=retryer)
        assert retryer.asked == []

    def test_is_asked_about_other_errors_as_ever(self, cloud, config, make_client, with_async_client):
        key = cloud.secret(SECRET).current
        provider = StaticCredentialsProvider(key.access_key_id, key.access_key_secret)

        def asked(make, fault):
            retryer = Retries()
            cloud.inject("oss", fault, times=2)
            before = len(cloud.calls("oss"))
            try:
                make(retryer)
            except OperationError as error:
                retryer.asked.append(type(error.unwrap()).__name__)
            cloud.clear("oss")
            return retryer.asked, len(cloud.calls("oss")) - before

        async def put_plain(configured):
            async with AsyncClient(configured) as async_client:
                await put(async_client)

        for fault in (Fault.throttling(), Fault.reset(), Fault.status(409, "FileAlreadyExists")):
            def configured(retryer):
                return config(retryer=retryer, credentials_provider=provider)

            assert asked(lambda retryer: put(make_client(retryer=retryer)), fault) == \
                asked(lambda retryer: put(oss.Client(configured(retryer))), fault)
            assert asked(lambda retryer: with_async_client(put, retryer=retryer), fault) == \
                asked(lambda retryer: run(put_plain(configured(retryer))), fault)

    def test_retries_after_a_rotation_are_signed_with_the_new_key(self, cloud, make_client):
        client = make_client(retryer=Retries())
        cloud.inject("oss", Fault.throttling(), times=1)
        cloud.rotate(SECRET)

        assert put(client).status_code == 200
        assert [each.status for each in cloud.calls("oss")] == [503, 403, 200]

    def test_that_retries_everything_multiplies_no_renewal(self, cloud, fetches, make_client):
        class Stubborn(Retries):
            def is_error_retryable(self, error):
                super().is_error_retryable(error)
                return True

        retryer = Stubborn(max_attempts=5)
        client = make_client(retryer=retryer)
        cloud.disable_key(cloud.secret(SECRET).current.access_key_id)  # Secrets Manager has no newer key

        with pytest.raises(OperationError) as caught:
            put(client)

        assert caught.value.unwrap().code == "InvalidAccessKeyId"
        assert retryer.asked == ["InvalidAccessKeyId"] * 5
        assert fetches() == 2

    def test_stale_token_is_not_sent_again(self, cloud, make_client):
        """The retry after a 503 begins with the given request, not with the signed one."""
        cloud.create_secret("sts", token=True)
        client = make_client("sts", retryer=Retries())
        cloud.inject("oss", Fault.throttling(), times=1)
        sent = []
        session_send = client._client._options.http_client.send

        def send(request, **more):
            sent.append(request.headers.get("x-oss-security-token"))
            if len(sent) == 1:
                key = cloud.rotate("sts")
                cloud.put_secret_value("sts", json.dumps(
                    {"AccessKeyId": key.access_key_id, "AccessKeySecret": key.access_key_secret}))
                client._lease._account.refresh("sts")
            return session_send(request, **more)

        client._client._options.http_client.send = send
        with pytest.raises(OperationError):  # OSS does not accept the key without its token
            put(client)

        assert sent[0] is not None
        assert sent[1] is None


class TestErrors:
    def test_surface_as_the_services_own_with_the_reason_as_cause(self, cloud, client, with_async_client):
        cloud.inject("secrets_manager", Fault.status(403, "Forbidden.NoPermission"))
        cloud.rotate(SECRET)
        with pytest.raises(OperationError) as caught:
            put(client)
        assert caught.value.unwrap().code == "InvalidAccessKeyId"
        assert isinstance(caught.value.unwrap().__cause__, (ServerException, ClientException))

        async def work(async_client):
            with pytest.raises(OperationError) as caught:
                await put(async_client)
            assert caught.value.unwrap().code == "InvalidAccessKeyId"

        with_async_client(work)

    def test_head_that_is_refused_has_its_code_in_a_header(self, cloud, client, with_async_client):
        put(client)
        cloud.rotate(SECRET)
        assert client.head_object(HEAD).content_length == 4

        async def work(async_client):
            cloud.rotate(SECRET)
            return await async_client.head_object(HEAD)

        assert with_async_client(work).content_length == 4

    def test_of_the_secret_are_not_judged(self, cloud, properties, config, closing):
        cloud.inject("secrets_manager", Fault.status(404, "InvalidAccessKeyId.NotFound"))

        with pytest.raises(ServerException):
            managed(oss.Client)(config(), SECRET)
        assert cloud.calls("oss") == []

    def test_handler_of_the_program_decides(self, fetches, make_client):
        from aliyun_sdk_secretsmanager_oss_v2_plugin import OssV2AkExpireHandler

        client = make_client(ak_expire_handler=OssV2AkExpireHandler(["AccessDenied", "NoSuchKey"]))
        with pytest.raises(OperationError):
            client.get_object(oss.GetObjectRequest("bucket", "nothing"))

        assert fetches() == 2


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
def test_child_works_with_sockets_of_its_own_and_reads_nothing_again(fetches, client, new_client):
    put(client)
    async_client = new_client()
    session = client._client._options.http_client.session
    pools = dict(session.adapters)

    def child():
        put(client)
        return session.adapters["http://"] is pools["http://"], async_client._client._options.http_client.session

    async def main():
        await put(async_client)
        assert in_child(child) == (False, None)
        await put(async_client)
        await async_client.close()

    run(main())
    put(client)
    assert fetches() == 1


class TestLifecycle:
    def test_connections_of_a_given_http_client_are_left_open(self, make_client):
        from alibabacloud_oss_v2.transport import RequestsHttpClient

        given = RequestsHttpClient()
        closed = []
        client = make_client(http_client=given)
        put(client)
        given.session.close = lambda: closed.append(True)
        client.shutdown()

        assert closed == []

    def test_thread_ends_with_the_last_client_and_the_key_serves_the_next(
        self, nothing_of_other_tests, fetches, make_client
    ):
        client = make_client()
        wait_until(lambda: len(owner_threads()) == 1)
        client.shutdown()
        wait_until(lambda: not owner_threads())

        put(make_client())

        assert fetches() == 1

    def test_no_thread_is_left(self, nothing_of_other_tests, cloud, with_async_client):
        async def work(client):
            cloud.rotate(SECRET)
            await put(client)

        with_async_client(work)

        wait_until(no_thread_of_ours)

    def test_failed_call_leaves_no_key_in_the_error(self, cloud, client):
        secret = cloud.secret(SECRET).current.access_key_secret
        with pytest.raises(OperationError) as caught:
            client.get_object(oss.GetObjectRequest("bucket", "nothing"))

        held = []
        traceback = caught.value.unwrap().__traceback__
        while traceback is not None:
            held += traceback.tb_frame.f_locals.values()
            traceback = traceback.tb_next
        contexts = [value for value in held if hasattr(value, "credentials")]
        assert contexts
        assert all(context.credentials is None for context in contexts)
        assert not [value for value in held
                    if isinstance(getattr(value, "credentials_provider", None), StaticCredentialsProvider)]
        assert secret not in str(caught.value)


def test_plain_buckets_of_oss2_beside_it(cloud, client, closing):
    """One SDK stores an object and the other reads it, with a rotation between."""
    bucket = closing(ProxyBucket(SECRET, cloud.oss_endpoint, "bucket", auth_version="v4", region="cn-hangzhou")
                     if hasattr(oss2, "AuthV4") else ProxyBucket(SECRET, cloud.oss_endpoint, "bucket"))
    bucket.put_object("key", b"of oss2")
    cloud.rotate(SECRET)

    assert client.get_object(oss.GetObjectRequest("bucket", "key")).body.content == b"of oss2"
