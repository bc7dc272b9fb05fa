"""Signal handlers that raise, read, make clients or fork, at each line of the thread that they interrupt."""

import asyncio
import functools
import gc
import os
import random
import signal
import threading
import time
import traceback
import weakref

import pytest
from aliyunsdkcore.acs_exception.exceptions import ClientException

from aliyun_sdk_secretsmanager_common_plugin import DefaultAKExpireHandler, ManagedCredentials
from aliyun_sdk_secretsmanager_common_plugin.settings import Settings

from ..conftest import SECRET, wait_until
from ..forks import in_child
from .interruptions import Interrupted, done_at_each_line, in_time, interrupted, raised_at_each_line
from .vault import Vault

OURS = "aliyun_sdk_secretsmanager_common_plugin"
# Python 3.6 has no hook for forks: there a client notices one at its next call.
needs_hooks = pytest.mark.skipif(not hasattr(os, "register_at_fork"), reason="no hooks for forks")
# A wedged secret fails after this time; a machine that is busy needs less.
TIMEOUT = 3.0


@pytest.fixture
def credentials():
    settings = Settings(fetch_timeout=TIMEOUT, renew_timeout=TIMEOUT)
    with ManagedCredentials(settings, secrets_client=Vault()) as managed_credentials:
        yield managed_credentials


class Client:
    """A plugin's client."""

    def __init__(self, credentials, name, wait=True):
        self.lease = credentials.lease(self, name, DefaultAKExpireHandler(), lambda client: None, wait)


def name_of(at):
    return "secret/{}".format(at)


@pytest.mark.parametrize("error", [Interrupted, KeyboardInterrupt])
class TestExceptionOutOfAHandler:
    def test_in_a_first_read(self, credentials, error):
        def check(at):
            assert credentials.get(name_of(at)).access_key_id

        in_time(lambda: raised_at_each_line(lambda at: credentials.get(name_of(at)), check, error))

    def test_in_a_renewal(self, credentials, error):
        def renew(at):
            credentials.renew(name_of(at), credentials.get(name_of(at)))

        def check(at):
            current = credentials.get(name_of(at))
            assert credentials.renew(name_of(at), current) not in (None, current)
            credentials.get(name_of(at + 1))

        credentials.get(name_of(1))
        in_time(lambda: raised_at_each_line(renew, check, error))

    def test_in_a_refresh(self, credentials, error):
        def check(at):
            former = credentials.get(name_of(at))
            deadline = time.monotonic() + TIMEOUT
            while not credentials.refresh(name_of(at)):  # the one that was interrupted goes on
                assert time.monotonic() < deadline
            assert credentials.get(name_of(at)) != former
            credentials.get(name_of(at + 1))

        credentials.get(name_of(1))
        in_time(lambda: raised_at_each_line(lambda at: credentials.refresh(name_of(at)), check, error))

    def test_where_a_client_is_made_and_shut_down(self, credentials, error):
        def use(at):
            client = Client(credentials, name_of(at))
            client.lease.close()

        def check(at):
            client = Client(credentials, name_of(at))
            assert client.lease.access_key() == credentials.get(name_of(at))
            client.lease.close()

        in_time(lambda: raised_at_each_line(use, check, error, OURS))


class TestExceptionInATask:
    @pytest.fixture
    def loop(self):
        loop = asyncio.new_event_loop()
        loop.set_exception_handler(lambda loop, context: None)
        yield loop
        loop.close()

    @pytest.fixture
    def credentials(self, monkeypatch):
        settings = Settings(fetch_timeout=0.1, renew_timeout=0.1)
        with ManagedCredentials(settings, secrets_client=Vault()) as managed_credentials:
            yield managed_credentials

    @pytest.mark.slow  # where the loop loses the answer, its task waits until the time is over
    def test_leaves_the_secret_to_other_tasks(self, credentials, loop):
        at = 0
        is_over = False

        async def read(at):
            return await credentials.get_async(name_of(at))

        def fail():
            raise Interrupted

        def sweep():
            nonlocal at, is_over
            while not is_over:
                at += 1
                try:
                    is_over = interrupted(lambda: loop.run_until_complete(read(at)), at, fail, OURS) is None
                except (Interrupted, ClientException):
                    pass
                key = loop.run_until_complete(asyncio.wait_for(read(at), TIMEOUT))
                assert credentials.get(name_of(at)) == key
            assert at > 5

        in_time(sweep)

    def test_loop_that_is_closed_meanwhile_is_not_kept(self):
        begun, over = threading.Event(), threading.Event()

        def asked(name):
            begun.set()
            over.wait(TIMEOUT)

        with ManagedCredentials(Settings(), secrets_client=Vault(asked)) as credentials:
            loop = asyncio.new_event_loop()
            task = loop.create_task(credentials.get_async(SECRET))
            loop.call_soon(begun.wait)
            with pytest.raises(asyncio.TimeoutError):
                loop.run_until_complete(asyncio.wait_for(asyncio.shield(task), 0.01))
            task.cancel()
            loop.run_until_complete(asyncio.gather(task, return_exceptions=True))
            loop.close()
            closed = weakref.ref(loop)
            del loop, task
            over.set()
            assert credentials.get(SECRET).access_key_id
            wait_until(lambda: gc.collect() is not None and closed() is None)


def read_another(credentials, at):
    assert credentials.get("other/{}".format(at)).access_key_id


def read_the_same(credentials, at):
    assert credentials.get(name_of(at)).access_key_id


def renew_the_same(credentials, at):
    current = credentials.get(name_of(at))
    assert credentials.renew(name_of(at), current) != current


def use_a_client(credentials, at):
    client = Client(credentials, "other/{}".format(at))
    assert client.lease.access_key()
    client.lease.close()


def fork(credentials, at):
    assert in_child(lambda: bool(credentials.get("other/{}".format(at)) and credentials.get(name_of(at))))


ACTIONS = [read_another, read_the_same, renew_the_same, use_a_client]


class TestHandlerThatReturns:
    @pytest.mark.parametrize("action", ACTIONS)
    def test_in_a_first_read(self, credentials, action):
        def read(at):
            assert credentials.get(name_of(at)).access_key_id

        in_time(lambda: done_at_each_line(read, lambda at: action(credentials, at)))

    @pytest.mark.parametrize("action", ACTIONS)
    def test_in_a_renewal(self, credentials, action):
        def renew(at):
            current = credentials.get(name_of(at))
            assert credentials.renew(name_of(at), current) != current

        in_time(lambda: done_at_each_line(renew, lambda at: action(credentials, at)))

    @needs_hooks
    @pytest.mark.slow  # a fork each time
    def test_forks_in_a_first_read(self, credentials):
        def read(at):
            assert credentials.get(name_of(at)).access_key_id

        in_time(lambda: done_at_each_line(read, lambda at: fork(credentials, at), OURS))

    @needs_hooks
    @pytest.mark.slow
    def test_forks_where_the_child_goes_on_with_what_was_interrupted(self, credentials):
        parent = os.getpid()
        children = []

        def read(at):
            try:
                key = credentials.get(name_of(at))
            except Exception:
                if os.getpid() != parent:  # its only thread would end, and the status would be 0
                    traceback.print_exc()
                    os._exit(1)
                raise
            if os.getpid() != parent:
                os._exit(7 if key.access_key_id else 1)

        def forks(at):
            child = os.fork()
            if child:
                children.append(child)

        try:
            in_time(lambda: done_at_each_line(read, forks, OURS))
        finally:
            if os.getpid() != parent:
                os._exit(2)
        for child in children:
            status = os.waitpid(child, 0)[1]
            assert (os.WTERMSIG(status), os.WEXITSTATUS(status)) == (0, 7)


class TestSignals:
    """Real signals, which come while the thread waits."""

    @pytest.mark.parametrize("action", ACTIONS + [pytest.param(fork, marks=needs_hooks)])
    def test_handler_runs_while_its_thread_waits_for_a_fetch(self, action):
        def drill():
            begun, handled = [], threading.Event()

            def asked(name):
                if name == name_of(1) and not begun:
                    begun.append(name)
                    os.kill(os.getpid(), signal.SIGUSR1)
                    # Others that ask for the same secret wait for this fetch, as the handler's thread does.
                    handled.wait(TIMEOUT if action in (read_another, use_a_client, fork) else 0.05)

            def handle(number, frame):
                action(credentials, 1)
                handled.set()

            signal.signal(signal.SIGUSR1, handle)
            settings = Settings(fetch_timeout=TIMEOUT, renew_timeout=TIMEOUT)
            with ManagedCredentials(settings, secrets_client=Vault(asked)) as credentials:
                key = credentials.get(name_of(1))
            return bool(key.access_key_id) and handled.is_set()

        assert in_child(drill)

    @pytest.mark.slow  # a hundred calls
    def test_time_limits_reach_their_callers_alone(self, cloud, make_client, call):
        client, other = make_client(), make_client()
        reached = []

        def raise_it(number, frame):
            raise Interrupted

        def limited(seconds):
            try:
                try:
                    signal.setitimer(signal.ITIMER_REAL, seconds)
                    call(client)
                finally:
                    signal.setitimer(signal.ITIMER_REAL, 0)
            except Interrupted:
                reached.append(seconds)

        call(client)
        former = signal.signal(signal.SIGALRM, raise_it)
        try:
            for _ in range(60):
                cloud.rotate(SECRET)
                limited(random.uniform(0.0005, 0.03))
                assert call(other)
                assert call(client)
        finally:
            signal.signal(signal.SIGALRM, former)
        assert reached

    @pytest.mark.parametrize("make", [
        lambda raise_it: raise_it,
        lambda raise_it: functools.partial(raise_it),
        lambda raise_it: type("Limit", (), {"ends": lambda self, number, frame: raise_it(number, frame)})().ends,
        lambda raise_it: type("Limit", (), {"__call__": lambda self, number, frame: raise_it(number, frame)})(),
    ], ids=["function", "partial", "method", "object"])
    @pytest.mark.parametrize("where", ["rewind", "judge"])
    def test_time_limit_is_no_failure_of_what_it_interrupts(self, credentials, make, where):
        def raise_it(number, frame):
            raise Interrupted

        def interrupt(there):
            if there == where:
                os.kill(os.getpid(), signal.SIGUSR1)
                threading.Event().wait(0.1)

        class Judge(DefaultAKExpireHandler):
            def judge_ak_expire(self, error):
                interrupt("judge")
                return True

        def send(access_key):
            raise ValueError("rejected")

        client = Client(credentials, SECRET)
        lease = credentials.lease(client, SECRET, Judge(), lambda client: None)
        former = signal.signal(signal.SIGUSR1, make(raise_it))
        try:
            with pytest.raises(Interrupted):
                lease.replay(send, lambda: interrupt("rewind"))
        finally:
            signal.signal(signal.SIGUSR1, former)
            client.lease.close()

    def test_interrupt_reaches_who_refreshes(self):
        def drill():
            begun = []

            def asked(name):
                if begun:
                    os.kill(os.getpid(), signal.SIGINT)
                    threading.Event().wait(0.5)
                begun.append(name)

            signal.signal(signal.SIGINT, signal.default_int_handler)
            with ManagedCredentials(Settings(), secrets_client=Vault(asked)) as credentials:
                credentials.get(SECRET)
                try:
                    credentials.refresh(SECRET)
                except KeyboardInterrupt:
                    return True
            return False

        assert in_child(drill)
