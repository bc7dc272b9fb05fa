"""The main job: rotations under load cost no call, and Secrets Manager no needless one."""

import gc
import os
import socket
import threading
import time
import weakref

import oss2
import pytest
from aliyunsdkcore.acs_exception.exceptions import ClientException, ServerException
from aliyunsdkcore.request import CommonRequest

from aliyun_sdk_secretsmanager_common_plugin import (
    ConfigurationError,
    ManagedCredentials,
    ManagedCredentialsError,
    managed_credentials,
)
from aliyun_sdk_secretsmanager_oss_plugin.proxy_bucket import ProxyBucket
from aliyun_sdk_secretsmanager_sdk_core_plugin.proxy_acs_client import ProxyAcsClient
from aliyun_sdk_secretsmanager_testing import Fault
from tests.common.test_managed_credentials import in_child
from tests.conftest import SECRET, wait_until


def fetches(cloud):
    return len(cloud.calls("secrets_manager"))


def refresher_threads():
    return [thread for thread in threading.enumerate() if thread.name == "managed-credentials-refresher"]


@pytest.fixture
def make_client(properties, closing):
    return lambda secret=SECRET, **arguments: closing(ProxyAcsClient(secret, **arguments))


@pytest.fixture
def make_bucket(cloud, properties, closing):
    return lambda secret=SECRET, **arguments: closing(
        ProxyBucket(secret, cloud.oss_endpoint, "bucket", **arguments))


@pytest.fixture
def call(cloud):
    """Call the business API with a client."""

    def do(client):
        request = CommonRequest(domain=cloud.api_endpoint, version="2014-05-26", action_name="DescribeRegions")
        return client.do_action_with_exception(request)

    return do


class Load:
    """Threads that call until they are stopped, and note what failed when."""

    def __init__(self, functions):
        self.calls = 0
        self.failures = []
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._run, args=(function,), daemon=True) for function in functions]

    def _run(self, function):
        while not self._stop.is_set():
            started = time.monotonic()
            try:
                function()
            except Exception as error:
                self.failures.append((started, time.monotonic(), error))
            self.calls += 1
            self._stop.wait(0.01)

    def __enter__(self):
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *exc_info):
        self._stop.set()
        for thread in self._threads:
            thread.join(30)


class TestRotation:
    def test_sixteen_threads_one_rotation(self, cloud, make_client, call):
        client = make_client(pool_size=16)
        with Load([lambda: call(client)] * 16) as load:
            wait_until(lambda: load.calls > 100)
            new = cloud.rotate(SECRET)
            done = load.calls
            wait_until(lambda: load.calls > done + 100)

        assert load.failures == []
        assert fetches(cloud) == 2
        assert cloud.calls("api")[-1].access_key_id == new.access_key_id

    def test_ten_rotations_in_a_row(self, cloud, make_client, make_bucket, call):
        client, bucket = make_client(pool_size=8), make_bucket()
        with Load([lambda: call(client)] * 4 + [lambda: bucket.put_object("key", b"content")] * 4) as load:
            for _ in range(10):
                done = load.calls
                wait_until(lambda: load.calls > done + 30)
                cloud.rotate(SECRET)
            done = load.calls
            wait_until(lambda: load.calls > done + 30)

        assert load.failures == []
        assert fetches(cloud) == 11

    def test_hundred_clients_on_hundred_threads_ask_once(self, cloud, make_client, call, in_threads):
        clients = [make_client() for _ in range(100)]
        cloud.rotate(SECRET)

        in_threads([lambda client=client: call(client) for client in clients])

        assert fetches(cloud) == 2

    def test_old_key_that_lives_on_costs_nothing(self, cloud, make_client, call):
        client = make_client()
        cloud.rotate(SECRET, grace=60)

        call(client)

        assert fetches(cloud) == 1

    def test_new_key_that_services_do_not_know_yet_is_tried_again(self, cloud, make_client, call):
        client = make_client()
        cloud.rotate(SECRET, propagation=0.5)

        call(client)

        assert fetches(cloud) == 2 or fetches(cloud) == 3

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

        def succeeds():
            try:
                return call(client)
            except ServerException:
                return False

        wait_until(succeeds)

        assert slowest < 1.5  # less than a renewal's timeout, and than the waits for a new key to be known
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

        def succeeds():
            try:
                return call(client)
            except ServerException:
                return False

        wait_until(succeeds)

        assert time.monotonic() - began < 6
        cloud.clear()

    def test_answer_that_came_too_late_for_its_call_serves_the_next(
        self, cloud, tmp_path, make_client, call, monkeypatch
    ):
        cloud.write_properties(tmp_path, renew_timeout_milliseconds=300)
        client = make_client()
        call(client)  # its connection is there: only Secrets Manager's name is looked up from now on
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

        assert fetches(cloud) == 2

    def test_nothing_is_asked_of_it_while_the_key_is_valid(self, cloud, make_client, call):
        client = make_client()
        cloud.inject("secrets_manager", Fault.hang())

        for _ in range(20):
            call(client)

        assert fetches(cloud) == 1


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
            assert len(refresher_threads()) == 1

        in_child(child)
        assert cloud.object("bucket", "key") == b"from the child"
        call(client)

    @pytest.mark.filterwarnings("ignore:This process")
    def test_child_reads_no_secret_that_the_parent_has_read(self, cloud, make_client, call):
        client = make_client()

        in_child(lambda: call(client))
        assert fetches(cloud) == 1

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
        self, nothing_of_other_tests, cloud, make_client, make_bucket, call
    ):
        client, bucket = make_client(), make_bucket()
        assert len(refresher_threads()) == 1
        client.shutdown()
        assert len(refresher_threads()) == 1
        bucket.shutdown()
        wait_until(lambda: not refresher_threads())

        call(make_client())

        assert len(refresher_threads()) == 1
        assert fetches(cloud) == 1

    def test_shutdown_by_a_finalizer_wherever_the_collector_runs_it(self, make_client, in_threads):
        client, credentials = make_client(), ManagedCredentials.default()

        def finalize_amid_a_change():
            with credentials._lock, credentials._cache._lock, managed_credentials._refresher._changed:
                client.shutdown()

        in_threads([finalize_amid_a_change])

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

        def succeeds():
            try:
                return make_client()
            except ServerException:
                return None

        wait_until(succeeds)

    def test_bad_argument_of_the_sdk_raises_its_own_error(self, properties):
        with pytest.raises(oss2.exceptions.ClientError):
            ProxyBucket(SECRET, "http://oss-cn-hangzhou.aliyuncs.com", "Not A Bucket")
