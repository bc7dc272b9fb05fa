"""Clients that are shut down in finalizers, at any moment, and by several threads at once."""

import gc
import itertools
import sys
import threading

import pytest
from aliyunsdkcore.acs_exception.exceptions import ServerException

from aliyun_sdk_secretsmanager_common_plugin import ManagedCredentials, ManagedCredentialsError
from aliyun_sdk_secretsmanager_common_plugin.settings import Settings
from aliyun_sdk_secretsmanager_sdk_core_plugin import SdkCoreAKExpireHandler
from aliyun_sdk_secretsmanager_sdk_core_plugin.proxy_acs_client import ProxyAcsClient

from ..forks import in_child
from .interruptions import done_at_each_line, in_time
from .vault import Vault

THREADS = 8


@pytest.fixture
def hasty():
    """Switch threads, and collect garbage, as often as the interpreter allows."""
    interval, thresholds = sys.getswitchinterval(), gc.get_threshold()
    sys.setswitchinterval(1e-5)
    gc.set_threshold(20, 2, 2)
    yield
    sys.setswitchinterval(interval)
    gc.set_threshold(*thresholds)


@pytest.fixture
def credentials():
    with ManagedCredentials(Settings(), secrets_client=Vault()) as managed_credentials:
        yield managed_credentials


class Client:
    """A plugin's client."""

    def __init__(self, credentials, name):
        self.lease = credentials.lease(self, name, SdkCoreAKExpireHandler(), lambda client: None)


class Owner:
    """Holds a client, and is part of a cycle, so the garbage collector ends it, in whatever thread it runs."""

    def __init__(self, client):
        self.client = client
        self.itself = self

    def __del__(self):
        self.client.shutdown()


def at_once(functions):
    """Run functions, a thread each; return what they raised."""
    errors = []

    def run(function):
        try:
            function()
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=run, args=(function,), daemon=True) for function in functions]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return errors


def test_finalizers_that_shut_clients_down_leave_no_call_waiting(hasty, credentials):
    numbers = itertools.count()

    def work():
        for _ in range(25):
            name = "secret/{}".format(next(numbers))
            Owner(ProxyAcsClient(name, managed_credentials=credentials))
            current = credentials.get(name)
            assert credentials.renew(name, current) != current

    def drill():
        return [repr(error) for error in at_once([work] * THREADS)]

    assert in_child(drill) == []


def test_finalizer_that_reads_in_a_thread_of_a_program_gets_the_key(credentials):
    read = []

    class Reader:
        def __init__(self):
            self.itself = self

        def __del__(self):
            read.append(credentials.get("other").access_key_id)

    def drill():
        gc.disable()
        Reader()
        credentials.get("secret")
        gc.collect()
        return len(read)

    assert in_child(drill) == 1


def test_clients_that_several_threads_drop_and_shut_down_at_once(hasty, credentials):
    def work():
        for number in range(50):
            dropped = [Client(credentials, "secret/{}".format(number % 4)) for _ in range(8)]
            kept = Client(credentials, "secret")
            del dropped
            kept.lease.close()

    def drill():
        return [repr(error) for error in at_once([work] * THREADS)]

    assert in_child(drill) == []


def test_client_that_is_shut_down_wherever_another_one_is(credentials):
    def shut_down(at):
        dropped, kept = Client(credentials, "secret"), Client(credentials, "secret")
        del dropped
        kept.lease.close()

    def shut_down_another(at):
        Client(credentials, "another").lease.close()

    in_time(lambda: done_at_each_line(shut_down, shut_down_another))
    assert not credentials.stats()["secret"].failures


def test_one_that_runs_in_the_thread_that_reads_its_secret_does_not_wait_for_itself():
    refused = []

    class Reader:
        def __del__(self):
            try:
                credentials.get("secret")
            except ManagedCredentialsError as error:
                refused.append(str(error))

    def asked(name):
        Reader()

    with ManagedCredentials(Settings(), secrets_client=Vault(asked)) as credentials:
        assert credentials.get("secret").access_key_id

    assert len(refused) == 1 and "cannot wait" in refused[0]


def test_call_of_one_that_runs_in_the_thread_that_reads_its_secret_gets_the_error_of_the_service():
    clients, rejections, raised = [], [], []

    def send(key):
        rejections.append(ServerException("InvalidAccessKeyId.NotFound", "no such key", http_status=404))
        raise rejections[-1]

    class Caller:
        def __del__(self):
            try:
                clients[0].lease.replay(send)
            except ServerException as error:
                raised.append(error)

    def asked(name):
        if clients:
            Caller()

    with ManagedCredentials(Settings(), secrets_client=Vault(asked)) as credentials:
        clients.append(Client(credentials, "secret"))
        credentials.refresh("secret")

    assert raised == rejections and "cannot wait" in str(raised[0].__cause__)
