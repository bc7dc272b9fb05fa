"""Finalizers that shut clients down, read and renew, in whatever thread the garbage collector runs them."""

import gc
import random
import threading
import time

import pytest

from aliyun_sdk_secretsmanager_common_plugin import DefaultAKExpireHandler, ManagedCredentials, ManagedCredentialsError
from aliyun_sdk_secretsmanager_common_plugin.settings import Settings
from tests.common.fakes import key
from tests.conftest import wait_until

NAMES = ["secret-{}".format(number) for number in range(4)]


class Client:
    """A client that shuts itself down when it is collected. It is in a cycle, so the garbage collector decides when."""

    def __init__(self, credentials, name, also):
        self.itself = self
        self.also = also
        self.lease = credentials.lease(self, name, DefaultAKExpireHandler(), lambda client: None)

    def __del__(self):
        self.lease.close()
        self.also()


@pytest.fixture
def busy_collector():
    """The garbage collector runs after every few allocations."""
    threshold = gc.get_threshold()
    gc.set_threshold(7)
    yield
    gc.set_threshold(*threshold)


def test_do_no_harm_amid_calls_of_many_threads(busy_collector, in_threads):
    """Eight threads make, use and drop clients for a second; a deadlock exceeds the time limit."""
    refused = []

    def fetch(name, seconds):
        return key("{}-{}".format(name, random.random()))

    credentials = ManagedCredentials(Settings(fetch_timeout=20.0, renew_timeout=20.0), fetch)

    def read():
        try:
            credentials.get(random.choice(NAMES))
        except ManagedCredentialsError as error:  # in the owner's thread
            refused.append(error)

    def use():
        until = time.monotonic() + 0.5
        while time.monotonic() < until:
            name = random.choice(NAMES)
            Client(credentials, name, read)
            credentials.refresh(name)
            credentials.renew(name, credentials.get(name))
            assert credentials.get(name).access_key_id
        return True

    assert in_threads([use] * 8) == [True] * 8
    gc.collect()
    wait_until(lambda: not credentials._account.clients)
    credentials.close()
    for error in refused:
        assert "a finalizer" in str(error)
    assert threading.active_count() < 100
