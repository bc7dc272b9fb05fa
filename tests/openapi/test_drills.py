"""V2.0 clients under load, in threads and in tasks: no rotation makes a call fail, or costs a needless fetch."""

import asyncio
import contextlib
import os
import signal
import threading

import pytest
from aliyunsdkcore.request import CommonRequest

from aliyun_sdk_secretsmanager_sdk_core_plugin import ProxyAcsClient
from aliyun_sdk_secretsmanager_testing import Fault
from tests.conftest import SECRET, wait_until
from tests.drills import Load, loud, no_thread_of_ours, owner_threads
from tests.forks import in_child
from tests.tasks import PATIENCE, AsyncLoad, until

from .calls import BODIES, arguments


def call(client):
    return client.call_api(*arguments("RPC", BODIES["form"]))


async def call_async(client):
    return await client.call_api_async(*arguments("ROA", BODIES["json"]))


class TestRotation:
    def test_thousand_tasks_one_rotation(self, cloud, fetches, client, run, new_loop):
        async def main():
            at_once = asyncio.Semaphore(200)  # each call of the SDK's asynchronous client opens a connection

            async def one():
                async with at_once:
                    return await call_async(client)

            tasks = [asyncio.ensure_future(one()) for _ in range(1000)]
            await until(lambda: len(cloud.calls("api")) > 100)
            cloud.rotate(SECRET)
            return await asyncio.gather(*tasks)

        answers = run(main(), new_loop)

        assert {answer["statusCode"] for answer in answers} == {200}
        assert fetches() == 2
        assert {each.status for each in cloud.calls("api")} == {200, 404}

    def test_ten_rotations_in_a_row_with_threads_and_tasks(self, cloud, fetches, client, run, caplog):
        async def main():
            async with AsyncLoad(lambda: call_async(client), 4) as tasks:
                for _ in range(10):
                    await tasks.more(10)
                    cloud.rotate(SECRET)
                await tasks.more(10)

        with Load([lambda: call(client)] * 4) as threads:
            run(main())

        assert threads.failures == []
        assert fetches() == 11
        assert loud(caplog) == []

    def test_old_and_new_client_on_one_secret_renew_once(self, cloud, fetches, client, closing, run):
        old = closing(ProxyAcsClient(SECRET))
        request = CommonRequest(domain=cloud.api_endpoint, version="2014-05-26", action_name="DescribeRegions")
        cloud.rotate(SECRET)

        call(client)
        old.do_action_with_exception(request)
        run(call_async(client))

        assert [each.status for each in cloud.calls("api")] == [404, 200, 200, 200]
        assert fetches() == 2

    def test_hundred_clients_renew_once(self, cloud, fetches, make_client, run):
        clients = [make_client() for _ in range(100)]
        cloud.rotate(SECRET)

        async def main():
            await asyncio.gather(*[call_async(each) for each in clients])

        run(main())
        assert fetches() == 2

    def test_several_loops_in_several_threads_renew_once(self, cloud, fetches, client, run, in_threads):
        async def main():
            await asyncio.gather(*[call_async(client) for _ in range(20)])

        cloud.rotate(SECRET)
        in_threads([lambda: run(main())] * 4)

        assert fetches() == 2

    def test_one_loop_after_another(self, cloud, fetches, client, run):
        for _ in range(3):
            cloud.rotate(SECRET)
            run(call_async(client))

        assert fetches() == 4


class TestHangs:
    """While Secrets Manager does not answer, the event loop and calls with other keys go on."""

    def test_first_read_serves_the_client_that_was_made_meanwhile(self, fetches, make_client, run):
        async def main():
            client = make_client()
            await call_async(client)

        run(main())
        assert fetches() == 1

    @pytest.fixture
    def patient(self, cloud, tmp_path, make_client):
        """A client that waits for a hanging Secrets Manager for as long as the test runs."""
        cloud.write_properties(tmp_path, renew_timeout_milliseconds=PATIENCE * 1000)
        client = make_client()
        cloud.inject("secrets_manager", Fault.hang())
        cloud.rotate(SECRET)
        return client

    def test_key_that_was_fetched_for_cancelled_tasks_serves_the_next(self, cloud, fetches, patient, run):
        async def main():
            task = asyncio.ensure_future(call_async(patient))
            await until(lambda: fetches() == 2)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

        run(main())
        cloud.clear()
        new = cloud.secret(SECRET).current.access_key_id
        wait_until(lambda: patient._lease.access_key().access_key_id == new, PATIENCE)
        call(patient)

        assert fetches() == 2

    def test_executor_of_the_loop_may_be_full(self, cloud, client, run):
        release = threading.Event()

        async def main():
            loop = asyncio.get_running_loop()
            jobs = [loop.run_in_executor(None, release.wait) for _ in range(2 * (os.cpu_count() or 1) + 40)]
            cloud.rotate(SECRET)
            try:
                # Host names are resolved in the executor. An address needs no executor.
                await call_async(client)
            finally:
                release.set()
            await asyncio.gather(*jobs)

        run(main())


class TestForks:
    pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")

    def test_child_forked_after_a_rotation_renews(self, cloud, client, run):
        cloud.rotate(SECRET)

        def child():
            run(call_async(client))

        in_child(child)

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
    def test_thread_ends_with_the_last_client_and_the_key_serves_the_next(
        self, nothing_of_other_tests, fetches, make_client
    ):
        client = make_client()
        wait_until(lambda: len(owner_threads()) == 1)
        client.shutdown()
        wait_until(lambda: not owner_threads())

        call(make_client())

        assert fetches() == 1

    def test_no_thread_is_left(self, nothing_of_other_tests, cloud, make_client, run):
        client = make_client()
        cloud.rotate(SECRET)
        run(call_async(client))
        client.shutdown()

        wait_until(no_thread_of_ours)
