"""Clients under load: no rotation makes a call fail, or costs a needless fetch."""

import gc
import os
import socket
import threading
import time
import weakref

import oss2
import pytest
from aliyunsdkcore.acs_exception.exceptions import ClientException, ServerException

from aliyun_sdk_secretsmanager_common_plugin import ConfigurationError, ManagedCredentials, ManagedCredentialsError
from aliyun_sdk_secretsmanager_common_plugin.runtime import workers
from aliyun_sdk_secretsmanager_oss_plugin.proxy_bucket import ProxyBucket
from aliyun_sdk_secretsmanager_sdk_core_plugin.proxy_acs_client import ProxyAcsClient
from aliyun_sdk_secretsmanager_testing import Fault
from tests.conftest import SECRET, wait_until
from tests.drills import Load, loud, owner_threads
from tests.forks import in_child


def succeeds(function):
    """Return whether a function succeeds; a service, or Secrets Manager, may answer an error."""
    try:
        function()
    except ServerException:
        return False
    return True


class TestRotation:
    def test_sixteen_threads_one_rotation(self, cloud, fetches, make_client, call):
        client = make_client(pool_size=16)
        with Load([lambda: call(client)] * 16) as load:
            wait_until(lambda: load.calls > 100)
            new = cloud.rotate(SECRET)
            load.more(100)

        assert load.failures == []
        assert fetches() == 2
        assert cloud.calls("api")[-1].access_key_id == new.access_key_id

    def test_ten_rotations_in_a_row_and_nothing_in_the_log(self, cloud, fetches, make_client, make_bucket, call, caplog):
        client, bucket = make_client(pool_size=8), make_bucket()
        with Load([lambda: call(client)] * 4 + [lambda: bucket.put_object("key", b"content")] * 4) as load:
            for _ in range(10):
                load.more(30)
                cloud.rotate(SECRET)
            load.more(30)

        assert load.failures == []
        assert fetches() == 11
        assert {call.status for call in cloud.calls("api")} == {200, 404}
        assert loud(caplog) == []

    def test_hundred_clients_on_hundred_threads_ask_once(self, cloud, fetches, make_client, call, in_threads):
        clients = [make_client() for _ in range(100)]
        cloud.rotate(SECRET)

        in_threads([lambda client=client: call(client) for client in clients])

        assert fetches() == 2

    def test_old_key_that_lives_on_costs_nothing(self, cloud, fetches, make_client, call):
        client = make_client()
        cloud.rotate(SECRET, grace=60)

        call(client)

        assert fetches() == 1

    def test_new_key_that_services_do_not_know_yet_is_tried_again(self, cloud, fetches, make_client, call):
        client = make_client()
        cloud.rotate(SECRET, propagation=0.5)

        call(client)

        assert fetches() == 2 or fetches() == 3

    def test_rollback_is_followed(self, cloud, make_client, call):
        client = make_client()
        first = client.get_access_key()
        cloud.rotate(SECRET)
        call(client)
        cloud.rollback(SECRET)

        call(client)

        assert client.get_access_key() == first


class TestOutage:
    @pytest.mark.parametrize("fault", ["refuse", "status 503", "html"])
    def test_calls_fail_fast_meanwhile_and_succeed_within_six_seconds_of_its_return(
        self, cloud, make_client, call, fault
    ):
        client = make_client()
        cloud.inject("secrets_manager", {"refuse": Fault.refuse(), "status 503": Fault.status(503),
                                         "html": Fault.html()}[fault])
        cloud.rotate(SECRET)
        until = time.monotonic() + 1.5
        slowest = 0.0
        while time.monotonic() < until:
            started = time.monotonic()
            with pytest.raises(ServerException) as caught:
                call(client)
            slowest = max(slowest, time.monotonic() - started)
            assert caught.value.get_error_code() == "InvalidAccessKeyId.NotFound"
            assert isinstance(caught.value.__cause__, (ServerException, ClientException))
        cloud.clear()
        back = time.monotonic()

        wait_until(lambda: succeeds(lambda: call(client)))

        assert slowest < 1.5  # less than a renewal's timeout, and less than the waits for a young key
        assert time.monotonic() - back < 6

    def test_a_hang_costs_those_who_wait_the_renew_timeout_and_the_others_nothing(
        self, cloud, tmp_path, make_client, call, in_threads
    ):
        cloud.write_properties(tmp_path, renew_timeout_milliseconds=1500)
        client = make_client(pool_size=8)
        cloud.inject("secrets_manager", Fault.hang())
        cloud.rotate(SECRET)

        def timed_failure():
            started = time.monotonic()
            with pytest.raises(ServerException):
                call(client)
            return time.monotonic() - started

        assert 1.4 < max(in_threads([timed_failure] * 8)) < 4
        assert timed_failure() < 1.2
        cloud.clear()

    @pytest.mark.parametrize("fault", [Fault.drip(30), Fault.hang(), Fault.cut()], ids=["drip", "hang", "cut"])
    def test_one_bad_answer_does_not_keep_the_next_from_coming(self, cloud, tmp_path, make_client, call, fault):
        cloud.write_properties(tmp_path, renew_timeout_milliseconds=500)
        client = make_client()
        cloud.inject("secrets_manager", fault, times=1)
        cloud.rotate(SECRET)
        began = time.monotonic()

        wait_until(lambda: succeeds(lambda: call(client)))

        assert time.monotonic() - began < 6
        cloud.clear()

    def test_answer_that_came_too_late_for_its_call_serves_the_next(
        self, cloud, fetches, tmp_path, make_client, call, monkeypatch
    ):
        cloud.write_properties(tmp_path, renew_timeout_milliseconds=300)
        monkeypatch.setattr(workers, "IDLE", 0)  # connections are not kept
        client = make_client()
        call(client)  # opens its connection, so that from now on only the name of Secrets Manager is looked up
        slow = threading.Event()
        resolve = socket.getaddrinfo
        monkeypatch.setattr(socket, "getaddrinfo", lambda *where, **how: slow.wait(30) and resolve(*where, **how))
        cloud.rotate(SECRET)
        with pytest.raises(ServerException):
            call(client)
        slow.set()
        new = cloud.secret(SECRET).current.access_key_id
        wait_until(lambda: client.get_access_key() == new)

        call(client)

        assert fetches() == 2

    def test_nothing_is_asked_of_it_while_the_key_is_valid(self, cloud, fetches, make_client, call):
        client = make_client()
        cloud.inject("secrets_manager", Fault.hang())

        for _ in range(20):
            call(client)

        assert fetches() == 1


class TestForks:
    pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")

    @pytest.mark.filterwarnings("ignore:This process")
    def test_child_forked_after_a_rotation_works(self, cloud, make_client, make_bucket, call):
        client, bucket = make_client(), make_bucket()
        call(client)
        bucket.put_object("key", b"content")
        cloud.rotate(SECRET)

        def child():
            call(client)
            bucket.put_object("key", b"from the child")
            wait_until(lambda: len(owner_threads()) == 1)

        in_child(child)
        assert cloud.object("bucket", "key") == b"from the child"
        call(client)

    @pytest.mark.filterwarnings("ignore:This process")
    def test_child_reads_no_secret_that_the_parent_has_read(self, fetches, make_client, call):
        client = make_client()

        in_child(lambda: call(client))
        assert fetches() == 1

    @pytest.mark.filterwarnings("ignore:This process")
    def test_child_uses_no_socket_of_its_parent(self, cloud, make_client, make_bucket, call):
        client, bucket = make_client(), make_bucket()
        call(client)
        bucket.put_object("key", b"content")
        pools = [client.session.get_adapter("http://").poolmanager,
                 bucket.session.session.get_adapter("http://").poolmanager]

        def child():
            call(client)
            bucket.get_object("key").read()
            assert client.session.get_adapter("http://").poolmanager is not pools[0]
            assert bucket.session.session.get_adapter("http://").poolmanager is not pools[1]

        in_child(child)
        call(client)
        assert bucket.get_object("key").read() == b"content"


class TestLifecycle:
    def test_one_client_shut_down_another_secrets_client_still_renews(self, cloud, make_client, call):
        cloud.create_secret("other")
        first, second = make_client(), make_client("other")
        first.shutdown()
        cloud.rotate("other")

        call(second)

        assert cloud.calls("api")[-1].access_key_id == cloud.secret("other").current.access_key_id

    def test_shutdown_twice_is_fine_and_calls_after_it_say_so(self, make_client, make_bucket, call):
        for client, use in ((make_client(), call), (make_bucket(), lambda bucket: bucket.get_object("key"))):
            client.shutdown()
            client.shutdown()
            with pytest.raises(ManagedCredentialsError, match="shut down"):
                use(client)

    def test_with_statement_shuts_down(self, cloud, properties, call):
        with ProxyAcsClient(SECRET) as client:
            call(client)

        with pytest.raises(ManagedCredentialsError):
            call(client)

    def test_thread_ends_with_the_last_client_and_the_key_serves_the_next(
        self, nothing_of_other_tests, fetches, make_client, make_bucket, call
    ):
        client, bucket = make_client(), make_bucket()
        wait_until(lambda: len(owner_threads()) == 1)
        client.shutdown()
        wait_until(lambda: len(owner_threads()) == 1)
        bucket.shutdown()
        wait_until(lambda: not owner_threads())

        call(make_client())

        wait_until(lambda: len(owner_threads()) == 1)
        assert fetches() == 1

    def test_shutdown_by_a_finalizer_wherever_the_collector_runs_it(self, make_client, in_threads):
        clients = [make_client() for _ in range(40)]

        class Garbage:
            def __init__(self, client):
                self.client, self.itself = client, self

            def __del__(self):
                self.client.shutdown()

        def read_amid_finalizers():
            for _ in range(10):
                Garbage(clients.pop())
                ManagedCredentials.default().refresh(SECRET)

        in_threads([read_amid_finalizers] * 4)

    @pytest.mark.parametrize("kind", ["client", "bucket"])
    def test_dropped_client_is_not_kept_alive(self, cloud, properties, kind):
        client = ProxyAcsClient(SECRET) if kind == "client" else ProxyBucket(SECRET, cloud.oss_endpoint, "bucket")
        reference = weakref.ref(client)

        del client
        gc.collect()

        assert reference() is None


class TestFirstRead:
    def test_a_secret_that_does_not_exist(self, make_client):
        with pytest.raises(ServerException) as caught:
            make_client("missing")

        assert caught.value.get_error_code() == "Forbidden.ResourceNotFound"
        assert "'missing'" in str(caught.value)
        assert "check the secret's name" in str(caught.value)

    @pytest.mark.parametrize("name", ["", "  ", None])
    def test_an_empty_name(self, make_client, name):
        with pytest.raises(ConfigurationError, match="secret_name"):
            make_client(name)

    def test_a_later_client_succeeds_after_the_fault_is_gone(self, cloud, make_client, call):
        cloud.inject("secrets_manager", Fault.forbidden())
        with pytest.raises(ServerException):
            make_client()
        cloud.clear()

        wait_until(lambda: succeeds(make_client))

    def test_bad_argument_of_the_sdk_raises_its_own_error(self, properties):
        with pytest.raises(oss2.exceptions.ClientError):
            ProxyBucket(SECRET, "http://oss-cn-hangzhou.aliyuncs.com", "Not A Bucket")
