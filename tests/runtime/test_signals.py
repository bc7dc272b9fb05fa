"""Exceptions that a signal's handler raises at random moments: each reaches its caller, and nothing is left behind."""

import collections
import gc
import itertools
import random
import signal
import sys
import threading
import time

import pytest

from aliyun_sdk_secretsmanager_common_plugin import AccessKey, DefaultAKExpireHandler, ManagedCredentials
from aliyun_sdk_secretsmanager_common_plugin.runtime import process
from aliyun_sdk_secretsmanager_common_plugin.settings import Settings
from tests.conftest import wait_until

NAMES = ["secret-{}".format(number) for number in range(4)]


class Interrupted(Exception):
    """A time limit of the caller's own."""


class Client:
    """A plugin's client."""


class Vault:
    """A fetch function that gives a new key each time, some of them after a moment."""

    def __init__(self):
        self._numbers = itertools.count()

    def __call__(self, name, seconds):
        number = next(self._numbers)
        if number % 8 == 0:
            threading.Event().wait(0.0005)
        return AccessKey("LTAI5t{:010d}".format(number), "secret", None, "version")


class Limits:
    """Calls under time limits so short that most of them end amid the call.

    Attributes:
        raised: the exceptions that the signal's handler raised.
        reached: those that reached who called.
    """

    def __init__(self):
        self.raised = []
        self.reached = []
        self._is_limited = False  # a signal may be handled a little after its timer was stopped

    def handle(self, number, frame):
        if self._is_limited:
            self.raised.append(Interrupted(len(self.raised)))
            raise self.raised[-1]

    def unraisable(self, args):
        """Count exceptions in finalizers as reached: the interpreter swallows them, and passes them to this hook."""
        self.reach(args.exc_value)

    def reach(self, error):
        error.__traceback__ = error.__context__ = None  # they lead to the frames of the call, and its client
        self.reached.append(error)

    def call(self, function, seconds):
        try:
            try:
                self._is_limited = True
                signal.setitimer(signal.ITIMER_REAL, seconds)
                function()
            finally:
                self._is_limited = False
                signal.setitimer(signal.ITIMER_REAL, 0)
        except Interrupted as error:
            self.reach(error)


@pytest.fixture
def limits():
    limits = Limits()
    former = signal.signal(signal.SIGALRM, limits.handle)
    yield limits
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, former)


@pytest.fixture
def collected_if_told():
    """Where no hook is told what the interpreter swallows (3.6, 3.7), collect no garbage.

    There an exception that a signal's handler raises amid a collection is lost, whoever's code is interrupted:
    hypothesis has a callback that runs in each one.
    """
    if not hasattr(sys, "unraisablehook"):
        gc.disable()
    yield
    gc.enable()


@pytest.fixture
def credentials():
    with ManagedCredentials(Settings(fetch_timeout=5.0, renew_timeout=5.0), fetch=Vault()) as managed_credentials:
        yield managed_credentials


def get(credentials, name):
    assert credentials.get(name).access_key_id


def renew(credentials, name):
    former = credentials.get(name)
    new = credentials.renew(name, former)
    assert new != former
    if new is not None:
        credentials._account.accepted(name, new)  # or the floor would be reached: no service knows these keys


def use_a_client(credentials, name):
    client = Client()
    client.lease = credentials.lease(client, name, DefaultAKExpireHandler(), lambda client: None)
    get(credentials, name)
    client.lease.close()


def drop_a_client(credentials, name):
    client = Client()
    client.lease = credentials.lease(client, name, DefaultAKExpireHandler(), lambda client: None)


def close(credentials, name):
    credentials.close()


CALLS = [get, renew, renew, use_a_client, close]
if hasattr(sys, "unraisablehook"):  # Python 3.8
    CALLS.append(drop_a_client)


def test_thousands_of_limited_calls(credentials, limits, collected_if_told, monkeypatch):
    seed = random.randrange(2 ** 32)
    print("seed", seed)  # shown where it fails
    dice = random.Random(seed)
    others = []

    calls = collections.Counter()
    began = time.monotonic()

    def are_enough():
        return sum(calls.values()) > 100 and len(limits.reached) > 20

    with monkeypatch.context() as watched:
        watched.setattr(threading, "excepthook", others.append, raising=False)
        watched.setattr(sys, "unraisablehook", limits.unraisable, raising=False)  # pytest has one of its own till here
        while time.monotonic() < began + (1.0 if are_enough() else 30.0):  # a busy machine makes fewer calls a second
            function, name = dice.choice(CALLS), dice.choice(NAMES)
            limits.call(lambda: function(credentials, name), dice.uniform(0.00001, 0.0006))
            calls[function.__name__] += 1
            assert limits.reached == limits.raised, "the last one was swallowed"

    assert are_enough(), calls
    assert others == []
    gc.collect()
    for name in NAMES:  # none is wedged
        began = time.monotonic()
        get(credentials, name)
        assert time.monotonic() - began < 2
    credentials._account.preload((), wait=True)
    assert credentials._account.clients == {}
    assert credentials._account._tickets == {}
    credentials.close()
    wait_until(lambda: process.thread() is None)
