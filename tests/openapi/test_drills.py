"""The main job with V2.0 clients, in threads and in tasks: rotations cost no call, and Secrets Manager no needless one."""

import asyncio
import contextlib
import os
import signal
import threading
import time

import pytest
from aliyunsdkcore.acs_exception.exceptions import ClientException, ServerException
from aliyunsdkcore.request import CommonRequest
from Tea.exceptions import TeaException

from aliyun_sdk_secretsmanager_common_plugin import ManagedCredentialsError
from aliyun_sdk_secretsmanager_sdk_core_plugin import ProxyAcsClient
from aliyun_sdk_secretsmanager_testing import Fault
from tests.conftest import SECRET, wait_until
from tests.tasks import PATIENCE, AsyncLoad, until
from tests.test_drills import Load, refresher_threads

from .calls import BODIES, arguments


def fetches(cloud):
    return len(cloud.calls("secrets_manager"))


def call(client):
    return client.call_api(*arguments("RPC", BODIES["form"]))


async def call_async(client):
    return await client.call_api_async(*arguments("ROA", BODIES["json"]))


class TestRotation:
    def test_sixteen_threads_one_rotation(self, cloud, client):
        with Load([lambda: call(client)] * 16) as load:
            wait_until(lambda: load.calls > 50, PATIENCE)
            new = cloud.rotate(SECRET)
            done = load.calls
            wait_until(lambda: load.calls > done + 50, PATIENCE)

        assert load.failures == []
        assert fetches(cloud) == 2
        assert cloud.calls("api")[-1].access_key_id == new.access_key_id

    def test_thousand_tasks_one_rotation(self, cloud, client, run, new_loop):
        async def main():
            at_once = asyncio.Semaphore(200)  # connections: each call of the SDK's asynchronous client opens one

            async def one():
                async with at_once:
                    return await call_async(client)

            tasks = [asyncio.ensure_future(one()) for _ in range(1000)]
            await until(lambda: len(cloud.calls("api")) > 100)
            cloud.rotate(SECRET)
            return await asyncio.gather(*tasks)

        answers = run(main(), new_loop)

        assert {answer["statusCode"] for answer in answers} == {200}
        assert fetches(cloud) == 2
        assert {each.status for each in cloud.calls("api")} == {200, 404}

    def test_ten_rotations_in_a_row_with_threads_and_tasks(self, cloud, client, run):
        async def main():
            async with AsyncLoad(lambda: call_async(client), 4) as tasks:
                for _ in range(10):
                    await tasks.more(10)
                    cloud.rotate(SECRET)
                await tasks.more(10)

        with Load([lambda: call(client)] * 4) as threads:
            run(main())

        assert threads.failures == []
        assert fetches(cloud) == 11

    def test_old_and_new_client_on_one_secret_renew_once(self, cloud, client, closing, run):
        old = closing(ProxyAcsClient(SECRET))
        request = CommonRequest(domain=cloud.api_endpoint, version="2014-05-26", action_name="DescribeRegions")
        cloud.rotate(SECRET)

        call(client)
        old.do_action_with_exception(request)
        run(call_async(client))

        assert [each.status for each in cloud.calls("api")] == [404, 200, 200, 200]
        assert fetches(cloud) == 2

    def test_hundred_clients_renew_once(self, cloud, make_client, run):
        clients = [make_client() for _ in range(100)]
        cloud.rotate(SECRET)

        async def main():
            await asyncio.gather(*[call_async(each) for each in clients])

        run(main())
        assert fetches(cloud) == 2

    def test_several_loops_in_several_threads_renew_once(self, cloud, client, run, in_threads):
        async def main():
            await asyncio.gather(*[call_async(client) for _ in range(20)])

        cloud.rotate(SECRET)
        in_threads([lambda: run(main())] * 4)

        assert fetches(cloud) == 2

    def test_one_loop_after_another(self, cloud, client, run):
        for _ in range(3):
            cloud.rotate(SECRET)
            run(call_async(client))

        assert fetches(cloud) == 4


class TestHangs:
    """Secrets Manager does not answer; the loop and all that does not need it go on."""

    @pytest.fixture
    def beats(self):
        """Run a coroutine beside a heart, and return the longest time between two beats."""

        async def beat(longest):
            last = time.monotonic()
            while True:
                await asyncio.sleep(0.01)
                longest[0] = max(longest[0], time.monotonic() - last)
                last = time.monotonic()

        async def do(coroutine):
            longest = [0.0]
            heart = asyncio.ensure_future(beat(longest))
            await asyncio.sleep(0)  # for the first one
            try:
                await coroutine
                await asyncio.sleep(0.1)  # for the last one
            finally:
                heart.cancel()
            return longest[0]

        return do

    def test_renewal_does_not_stop_the_loop(self, cloud, tmp_path, make_client, run, beats):
        cloud.write_properties(tmp_path, renew_timeout_milliseconds=6000)
        client = make_client()
        cloud.inject("secrets_manager", Fault.hang())
        cloud.rotate(SECRET)

        async def main():
            started = time.monotonic()
            with pytest.raises(TeaException) as caught:
                await call_async(client)
            assert caught.value.code == "InvalidAccessKeyId.NotFound"
            assert isinstance(caught.value.__cause__, (ServerException, ClientException))
            assert time.monotonic() - started > 5.9

        assert run(beats(main())) < 4
        cloud.clear()

    def test_first_read_does_not_stop_the_loop_in_which_the_client_is_made(
        self, cloud, tmp_path, make_client, run, beats
    ):
        cloud.write_properties(tmp_path, fetch_timeout_milliseconds=6000, secret_names=SECRET)
        cloud.inject("secrets_manager", Fault.hang())

        async def main():
            client = make_client()
            with pytest.raises(ClientException, match="no answer within"):
                await call_async(client)

        assert run(beats(main())) < 4
        cloud.clear()

    def test_first_read_serves_the_client_that_was_made_meanwhile(self, cloud, make_client, run):
        async def main():
            client = make_client()
            await call_async(client)

        run(main())
        assert fetches(cloud) == 1

    @pytest.fixture
    def patient(self, cloud, tmp_path, make_client):
        """A client that waits for a hanging Secrets Manager as long as the test does."""
        cloud.write_properties(tmp_path, renew_timeout_milliseconds=PATIENCE * 1000)
        client = make_client()
        cloud.inject("secrets_manager", Fault.hang())
        cloud.rotate(SECRET)
        return client

    def test_cancelled_task_leaves_at_once_and_the_others_get_the_key(self, cloud, patient, run):

        async def main():
            first, second = [asyncio.ensure_future(call_async(patient)) for _ in range(2)]
            await until(lambda: fetches(cloud) == 2 and len(cloud.calls("api")) == 2)
            first.cancel()
            with pytest.raises(asyncio.CancelledError):
                await first
            cloud.clear()
            return await second

        assert run(main())["statusCode"] == 200
        assert fetches(cloud) == 2

    def test_key_that_was_fetched_for_cancelled_tasks_serves_the_next(self, cloud, patient, run):
        async def main():
            task = asyncio.ensure_future(call_async(patient))
            await until(lambda: fetches(cloud) == 2)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

        run(main())
        cloud.clear()
        new = cloud.secret(SECRET).current.access_key_id
        wait_until(lambda: patient._lease.access_key().access_key_id == new, PATIENCE)
        call(patient)

        assert fetches(cloud) == 2

    def test_executor_of_the_loop_may_be_full(self, cloud, client, run):
        release = threading.Event()

        async def main():
            loop = asyncio.get_running_loop()
            jobs = [loop.run_in_executor(None, release.wait) for _ in range(2 * (os.cpu_count() or 1) + 40)]
            cloud.rotate(SECRET)
            try:
                # The names of hosts are resolved in the executor; an address needs none.
                await call_async(client)
            finally:
                release.set()
            await asyncio.gather(*jobs)

        run(main())


class TestForks:
    pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")

    def test_child_works_with_sockets_of_its_own_and_reads_nothing_again(self, cloud, client, run):
        import alibabacloud_tea_openapi.client as sdk

        core = getattr(sdk, "DaraCore", None) or sdk.TeaCore
        call(client)
        sessions = dict(core._sessions)
        assert sessions

        pid = os.fork()
        if pid == 0:
            status = 1
            try:
                call(client)
                run(call_async(client))
                assert not any(core._sessions[key] is sessions[key] for key in sessions if key in core._sessions)
                status = 0
            except BaseException:
                import traceback

                traceback.print_exc()
            finally:
                os._exit(status)
        assert os.waitpid(pid, 0)[1] == 0
        assert fetches(cloud) == 1
        call(client)

    def test_child_forked_after_a_rotation_renews(self, cloud, client, run):
        cloud.rotate(SECRET)
        pid = os.fork()
        if pid == 0:
            status = 1
            try:
                run(call_async(client))
                status = 0
            finally:
                os._exit(status)
        assert os.waitpid(pid, 0)[1] == 0

    def test_child_does_not_wait_for_a_lock_of_a_thread_of_its_parent(self, client):
        import alibabacloud_tea_openapi.client as sdk

        core = getattr(sdk, "DaraCore", None) or sdk.TeaCore
        call(client)
        queues = [pool.pool for session in core._sessions.values() for adapter in session.adapters.values()
                  for pool in adapter.poolmanager.pools._container.values()]
        assert queues
        with contextlib.ExitStack() as locks:
            for queue in queues:
                locks.enter_context(queue.mutex)
            pid = os.fork()
            if pid == 0:
                os._exit(0)
        try:
            wait_until(lambda: os.waitpid(pid, os.WNOHANG)[0] == pid)
        except AssertionError:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            raise


class TestLifecycle:
    def test_shutdown_twice_is_fine_and_calls_after_it_say_so(self, client, run):
        client.shutdown()
        client.shutdown()

        with pytest.raises(ManagedCredentialsError, match="shut down"):
            call(client)
        with pytest.raises(ManagedCredentialsError, match="shut down"):
            run(call_async(client))

    def test_with_statement_shuts_down(self, make_client):
        with make_client() as client:
            call(client)

        with pytest.raises(ManagedCredentialsError):
            call(client)

    def test_thread_ends_with_the_last_client_and_the_key_serves_the_next(
        self, nothing_of_other_tests, cloud, make_client
    ):
        client = make_client()
        assert len(refresher_threads()) == 1
        client.shutdown()
        wait_until(lambda: not refresher_threads())

        call(make_client())

        assert fetches(cloud) == 1

    def test_dropped_client_is_not_kept_alive(self, nothing_of_other_tests, config, properties, cloud):
        import gc
        import weakref

        from alibabacloud_tea_openapi.client import Client

        from aliyun_sdk_secretsmanager_openapi_plugin import managed

        client = managed(Client)(config(), SECRET)
        call(client)
        reference = weakref.ref(client)
        assert len(refresher_threads()) == 1

        del client
        gc.collect()

        assert reference() is None
        managed(Client)(config(), SECRET).shutdown()  # at the latest within a minute, but now when any is shut down
        wait_until(lambda: not refresher_threads())

    def test_no_thread_is_left(self, nothing_of_other_tests, cloud, make_client, run):
        client = make_client()
        cloud.rotate(SECRET)
        run(call_async(client))
        client.shutdown()

        wait_until(lambda: not [thread for thread in threading.enumerate()
                                if thread.name.startswith("managed-credentials")])
