"""The facade: clients counted, the default instance, secrets read at start, and forks (contracts 9 and 10)."""

import _thread
import gc
import logging
import os
import pickle
import select
import signal
import subprocess
import sys
import textwrap
import threading
import time
import traceback
import weakref
from unittest import mock

import pytest
from aliyunsdkcore.acs_exception.exceptions import ClientException, ServerException

from aliyun_sdk_secretsmanager_common_plugin import (
    AKExpireHandler,
    ConfigLoader,
    ConfigurationError,
    ManagedCredentials,
    ManagedCredentialsError,
    SecretStats,
)
from aliyun_sdk_secretsmanager_common_plugin import managed_credentials as module
from aliyun_sdk_secretsmanager_common_plugin.refresher import Refresher
from aliyun_sdk_secretsmanager_common_plugin.settings import IdentitySettings, Settings

from .fakes import PATIENCE, Gate, Running, Source, key

NAME = "app/key"
OTHER = "other/key"
A, B, C = key("A"), key("B"), key("C")
THREAD = "managed-credentials-refresher"
SECRET = "TheSecretThatNobodyMaySee42"
TASKS = "/proc/self/task"


class Client:
    """What a plugin's client is to the facade."""

    def __init__(self, credentials, name=NAME, after_fork=lambda client: None):
        self.lease = credentials.lease(self, name, AKExpireHandler(), after_fork)

    def key(self):
        return self.lease.access_key()


class Suite:
    """A facade over a scripted source, with a clock and a refresher of the test's own."""

    def __init__(self, clock):
        self.clock = clock
        self.source = Source(lambda asked: key(asked.name[0]))
        self.credentials = self.make()

    def make(self, source=None, **settings):
        return ManagedCredentials(Settings(IdentitySettings("ak", "LTAI5tIdentity0123456789", SECRET), **settings), source or self.source)

    def client(self, name=NAME, **options):
        return Client(self.credentials, name, **options)

    def asked(self):
        return [asked.name for asked in self.source.asked]

    def scheduled(self):
        return sorted(name for _, name in module._refresher._jobs)

    def thread(self):
        return module._refresher._thread

    def thread_ends(self, thread):
        thread.join(PATIENCE)
        return not thread.is_alive() and self.thread() is None


@pytest.fixture
def suite(clock, monkeypatch):
    refresher = Refresher(clock, module._release_dropped_clients)
    monkeypatch.setattr(module, "_clock", clock)
    monkeypatch.setattr(module, "_refresher", refresher)
    monkeypatch.setattr(module, "_default", None)
    monkeypatch.setattr(module, "_instances", weakref.WeakSet())
    yield Suite(clock)
    refresher.park()


class TestReading:
    def test_get_reads_once(self, suite):
        assert suite.credentials.get(NAME) == suite.credentials.get(NAME)
        assert suite.asked() == [NAME]

    def test_get_of_a_subclass_or_of_a_test_is_asked(self, suite, monkeypatch):
        class Own(ManagedCredentials):
            def get(self, secret_name):
                return super().get("own/" + secret_name)

        own = Own(suite.credentials.settings, suite.source)
        monkeypatch.setattr(ManagedCredentials, "get", lambda self, secret_name: secret_name)

        assert own.get(NAME) == "own/" + NAME
        assert suite.make().get(NAME) == NAME

    def test_renew_and_subscribe_are_the_caches(self, suite):
        told = []
        suite.credentials.subscribe(lambda name, new: told.append((name, new)))
        first = suite.credentials.get(NAME)
        suite.source.answer = B

        assert suite.credentials.renew(NAME, first) is B
        assert told == [(NAME, first), (NAME, B)]

    def test_timeouts_are_those_of_the_settings(self, suite):
        credentials = suite.make(fetch_timeout=7.0, renew_timeout=3.0)
        credentials.renew(NAME, credentials.get(NAME))

        assert [asked.timeout for asked in suite.source.asked] == [7.0, 3.0]

    def test_without_a_fetch_secrets_manager_is_read(self, suite, monkeypatch):
        monkeypatch.setattr(module.SecretsManager, "fetch", lambda self, name, *args: suite.source(name, *args))

        assert ManagedCredentials(Settings()).get(NAME) == key("a")

    def test_shows_no_secret(self, suite):
        suite.credentials.get(NAME)

        for text in (repr(suite.credentials), str(suite.credentials)):
            assert SECRET not in text
            assert "secret-of" not in text
            assert "LTAI5tIdentity" not in text


class TestStats:
    def next_refresh(self, suite, name=NAME):
        return suite.credentials.stats()[name].next_refresh

    def test_are_the_caches_with_the_next_refresh(self, suite, longest_jitter):
        client = suite.client()
        suite.clock.advance(60)

        assert suite.credentials.stats() == {NAME: SecretStats("version-a", 60.0, 3540.0, 1, 0, 0, 0)}
        client.lease.close()

    def test_secret_that_could_not_be_read_has_no_next_refresh(self, suite):
        suite.source.answer = ClientException("SDK.HttpError", "no answer")
        with pytest.raises(ClientException):
            suite.credentials.get(NAME)

        assert suite.credentials.stats() == {NAME: SecretStats(None, None, None, 1, 1, 0, 0)}

    def test_secret_that_nobody_uses_any_more_has_no_next_refresh(self, suite):
        client, other = suite.client(), suite.client(OTHER)
        client.lease.close()

        assert self.next_refresh(suite) is None
        assert self.next_refresh(suite, OTHER) is not None
        other.lease.close()

    def test_next_refresh_is_the_next_attempt_after_one_that_failed(self, suite, longest_jitter):
        client = suite.client()
        suite.source.answer = ClientException("SDK.HttpError", "no answer")
        suite.credentials.refresh(NAME)

        assert self.next_refresh(suite) == 2.0
        client.lease.close()

    def test_next_refresh_is_by_the_clock_that_is_nearer_to_it_and_never_past(self, suite, longest_jitter):
        module._refresher.park()  # or it would do what becomes due
        client = suite.client()
        suite.clock.jump_time(3000)

        assert self.next_refresh(suite) == 600.0
        suite.clock.jump_monotonic(3500)
        assert self.next_refresh(suite) == 100.0
        suite.clock.advance(1000)
        assert self.next_refresh(suite) == 0.0
        client.lease.close()

    def test_next_refresh_is_now_while_it_runs(self, suite):
        client = suite.client()
        gate = suite.source.answer = Gate(B)
        module._refresher.schedule((suite.credentials._cache.refresh, NAME), 0)
        gate.wait_entered()

        assert self.next_refresh(suite) == 0.0
        gate.open()
        client.lease.close()

    def test_ask_nobody(self, suite):
        suite.client()
        asked = suite.asked()
        for _ in range(10):
            suite.credentials.stats()

        assert suite.asked() == asked

    def test_schedule_is_logged_at_debug(self, suite, caplog, longest_jitter):
        caplog.set_level(logging.DEBUG, module.__name__)
        client = suite.client()

        assert {record.getMessage() for record in caplog.records if record.name == module.__name__} == {
            "secret 'app/key': the next refresh is due in 3600.0 s"}
        client.lease.close()


class TestClients:
    def test_constructor_makes_the_first_read(self, suite):
        suite.client()

        assert suite.asked() == [NAME]

    def test_of_one_secret_share_the_read(self, suite):
        clients = [suite.client() for _ in range(5)]

        assert {id(client.key()) for client in clients} == {id(clients[0].key())}
        assert suite.asked() == [NAME]

    @pytest.mark.parametrize("name", ["", "  ", "\n", None, 5, b"app/key"])
    def test_bad_secret_name_is_a_clear_error(self, suite, name):
        with pytest.raises(ConfigurationError, match="secret_name is") as caught:
            suite.client(name)
        assert repr(name) in str(caught.value)
        assert suite.asked() == []

    def test_wrong_secret_shows_at_start_and_leaves_nothing_behind(self, suite):
        suite.source.answer = ServerException("Forbidden.ResourceNotFound", "no such secret", 404, "1")

        with pytest.raises(ServerException, match="no such secret"):
            suite.client()

        assert suite.credentials._clients == {}
        assert suite.scheduled() == []
        assert suite.thread() is None

    def test_a_later_client_may_succeed(self, suite):
        suite.source.answer = ClientException("SDK.HttpError", "no answer")
        with pytest.raises(ClientException):
            suite.client()
        suite.source.answer = A
        suite.clock.advance(1)

        assert suite.client().key() is A

    def test_after_shutdown_one_says_so(self, suite):
        client = suite.client()
        client.lease.close()
        client.lease.close()

        with pytest.raises(ManagedCredentialsError, match="was shut down"):
            client.key()


class TestLifecycle:
    def test_refresh_is_scheduled_and_the_thread_runs_while_there_are_clients(self, suite):
        assert suite.thread() is None
        client = suite.client()

        assert suite.scheduled() == [NAME]
        assert suite.thread().is_alive()
        client.lease.close()

    def test_with_the_last_client_thread_and_schedule_stop(self, suite):
        clients = [suite.client(), suite.client(OTHER)]
        thread = suite.thread()
        for client in clients:
            assert thread.is_alive()
            client.lease.close()

        assert suite.scheduled() == []
        assert suite.thread_ends(thread)

    def test_a_shutdown_releases_what_that_client_alone_used(self, suite):
        one, two, other = suite.client(), suite.client(), suite.client(OTHER)
        one.lease.close()
        assert suite.scheduled() == [NAME, OTHER]
        two.lease.close()

        assert suite.scheduled() == [OTHER]
        assert other.key() == key("o")
        other.lease.close()

    def test_one_client_shut_down_another_secrets_client_still_renews(self, suite):
        """The issue: the existing plugin stops the cache for all."""
        one, other = suite.client(), suite.client(OTHER)
        one.lease.close()
        suite.source.answer = B

        assert suite.credentials.renew(OTHER, other.key()) is B
        assert other.key() is B
        other.lease.close()

    def test_shutdown_twice_counts_once(self, suite):
        one, two = suite.client(), suite.client()
        one.lease.close()
        one.lease.close()

        assert suite.scheduled() == [NAME]
        two.lease.close()

    def test_client_made_afterwards_works_and_is_refreshed(self, suite):
        suite.client().lease.close()
        client = suite.client()

        assert client.key() == key("a")
        assert suite.scheduled() == [NAME]
        assert suite.thread().is_alive()
        client.lease.close()

    def test_key_stays_for_the_next_client_while_it_is_young(self, suite):
        suite.client().lease.close()
        suite.clock.advance(3599)
        suite.client().lease.close()
        assert suite.asked() == [NAME]
        suite.clock.advance(2)
        suite.client()

        assert suite.asked() == [NAME, NAME]

    def test_secret_names_stay_refreshed_until_the_last_client_is_gone(self, suite):
        suite.credentials = suite.make(secret_names=(NAME,))
        one, other = suite.client(), suite.client(OTHER)
        one.lease.close()
        assert suite.scheduled() == [NAME, OTHER]
        other.lease.close()

        assert suite.scheduled() == []

    def test_dropped_client_is_not_kept_alive(self, suite):
        client = suite.client()
        reference = weakref.ref(client)
        del client
        gc.collect()

        assert reference() is None

    def test_dropped_client_is_released_at_the_next_wake_up(self, suite):
        client = suite.client()
        thread = suite.thread()
        del client
        gc.collect()

        module._release_dropped_clients()

        assert suite.scheduled() == []
        assert suite.thread_ends(thread)

    def test_dropped_client_that_was_shut_down_is_not_released_twice(self, suite):
        one, two = suite.client(), suite.client()
        one.lease.close()
        del one
        gc.collect()
        module._release_dropped_clients()

        assert suite.scheduled() == [NAME]
        two.lease.close()

    def test_dropped_one_of_two_leaves_the_other_refreshed(self, suite):
        one, two = suite.client(), suite.client()
        del one
        gc.collect()
        module._release_dropped_clients()

        assert suite.scheduled() == [NAME]
        two.lease.close()

    def test_client_that_the_collector_finds_while_locks_are_held_does_no_harm(self, suite):
        client = suite.client()
        with suite.credentials._lock, suite.credentials._cache._lock, module._refresher._changed:
            dropping = Running(lambda holder=[client]: holder.pop() and None)
            del client
            dropping.result()
            del dropping
            gc.collect()

    def test_facade_is_a_context_manager_that_stops_refreshing(self, suite):
        with suite.credentials as credentials:
            credentials.get(NAME)
            thread = suite.thread()
            assert suite.scheduled() == [NAME]

        assert suite.scheduled() == []
        assert suite.thread_ends(thread)

    def test_close_is_idempotent_and_reads_start_it_again(self, suite):
        suite.credentials.get(NAME)
        suite.credentials.close()
        suite.credentials.close()

        assert suite.credentials.get(NAME) == key("a")
        assert suite.scheduled() == [NAME]
        assert suite.asked() == [NAME]

    def test_closing_one_facade_leaves_another_going(self, suite):
        other = suite.make()
        suite.credentials.get(NAME)
        other.get(OTHER)

        suite.credentials.close()

        assert suite.scheduled() == [OTHER]
        assert suite.thread().is_alive()

    def test_facade_that_is_dropped_is_not_kept_alive_once_it_is_closed(self, suite):
        credentials = suite.make()
        credentials.get(NAME)
        thread = suite.thread()
        credentials.close()
        assert suite.thread_ends(thread)
        del suite.source.asked[:]  # each has a method of the cache's, for late answers
        reference = weakref.ref(credentials)
        del credentials
        gc.collect()

        assert reference() is None

    @pytest.mark.parametrize("answer", [B, ClientException("SDK.HttpError", "no answer")])
    def test_refresh_that_ends_while_the_last_client_goes_leaves_no_schedule(self, suite, answer):
        client = suite.client()
        thread = suite.thread()
        gate = Gate()
        cache = suite.credentials._cache
        schedule = cache._schedule

        def late_schedule(name, seconds):
            gate()
            schedule(name, seconds)

        cache._schedule = late_schedule
        suite.source.answer = answer
        refresh = Running(lambda: cache.refresh(NAME))
        gate.wait_entered()
        client.lease.close()

        gate.open()
        refresh.result()

        assert suite.scheduled() == []
        assert suite.thread_ends(thread)

    def test_one_thread_for_many_clients_and_secrets(self, suite, in_threads):
        before = set(threading.enumerate())
        clients = in_threads([lambda at=at: suite.client("secret-{}".format(at % 10)) for at in range(40)])

        refreshers = [one for one in threading.enumerate() if one.name == THREAD and one not in before]
        assert refreshers == [suite.thread()]
        for client in clients:
            client.lease.close()


@pytest.fixture
def write(tmp_path):
    def write_properties(name="managed_credentials_providers.properties", **changes):
        values = dict({
            "credentials_type": "ak",
            "credentials_access_key_id": "LTAI5tIdentity0123456789",
            "credentials_access_secret": SECRET,
            "cache_client_region_id": '[{"regionId": "cn-hangzhou"}]',
        }, **changes)
        path = tmp_path / name
        path.write_bytes("".join("{}={}\n".format(*item) for item in values.items()).encode("utf-8"))
        return str(path)

    return write_properties


@pytest.fixture
def secrets_manager(suite, monkeypatch):
    """In place of Secrets Manager for facades that come from a properties file."""
    monkeypatch.setattr(module.SecretsManager, "fetch", lambda self, name, *args: suite.source(name, *args))
    return suite


class TestFromProperties:
    def test_reads_secret_names(self, secrets_manager, write):
        ManagedCredentials.from_properties(write("x", secret_names="a,b,c"))

        assert sorted(secrets_manager.asked()) == ["a", "b", "c"]

    def test_secret_name_that_fails_is_a_warning(self, secrets_manager, write, caplog):
        def answer(asked):
            return ServerException("Forbidden", "not allowed", 403, "1") if asked.name == "bad" else A

        secrets_manager.source.answer = answer

        credentials = ManagedCredentials.from_properties(write("x", secret_names="bad,good"))

        (record,) = [one for one in caplog.records if "secret_names" in one.getMessage()]
        assert record.levelno == logging.WARNING
        assert "'bad'" in record.getMessage()
        assert "not allowed" in record.getMessage()
        assert credentials.get("good") is A

    def test_secret_names_that_hang_do_not_hold_up_the_start(self, secrets_manager, write, monkeypatch):
        gate = secrets_manager.source.answer = Gate(A)

        credentials = Running(lambda: ManagedCredentials.from_properties(
            write("x", secret_names="a,b", fetch_timeout_milliseconds="50"))).result()

        gate.open()
        assert credentials.get("a") is A

    def test_bad_file_is_an_error(self, secrets_manager, tmp_path):
        with pytest.raises(ConfigurationError, match="missing.properties"):
            ManagedCredentials.from_properties(str(tmp_path / "missing.properties"))


class TestDefault:
    def test_is_one_for_all(self, secrets_manager, write, in_threads):
        write(secret_names="a")

        defaults = in_threads([ManagedCredentials.default] * 8)

        assert len(set(defaults)) == 1
        assert ManagedCredentials.default() is defaults[0]
        assert secrets_manager.asked() == ["a"]

    def test_is_the_one_of_the_file_that_was_set(self, secrets_manager, write):
        write()
        ConfigLoader.set_config_name(write("b", secret_names="b"))

        assert ManagedCredentials.default().settings.secret_names == ("b",)

    def test_file_that_says_something_else_makes_a_new_one_for_the_clients_to_come(self, secrets_manager, write):
        write()
        former = ManagedCredentials.default()
        client = Client(former)
        write(credentials_access_secret="another")

        new = ManagedCredentials.default()

        assert new is not former
        assert new.settings.identity.access_key_secret == "another"
        assert client.key() == key("a")
        client.lease.close()

    def test_variable_that_says_something_else_too(self, secrets_manager, write, monkeypatch):
        write()
        former = ManagedCredentials.default()
        monkeypatch.setenv("credentials_access_secret", "another")

        assert ManagedCredentials.default() is not former

    def test_file_that_is_written_anew_with_the_same_content_changes_nothing(self, secrets_manager, write):
        write()
        former = ManagedCredentials.default()
        write()

        assert ManagedCredentials.default() is former

    def test_file_that_is_gone_changes_nothing_while_there_are_clients(
            self, secrets_manager, write, tmp_path, monkeypatch):
        write()
        former = ManagedCredentials.default()
        client = Client(former)
        elsewhere = tmp_path / "elsewhere"
        elsewhere.mkdir()
        monkeypatch.chdir(str(elsewhere))
        assert ManagedCredentials.default() is former

        client.lease.close()

        with pytest.raises(ConfigurationError):
            ManagedCredentials.default()

    def test_file_that_became_wrong_is_an_error_even_so(self, secrets_manager, write):
        write()
        client = Client(ManagedCredentials.default())
        write(credentials_type="no such")

        with pytest.raises(ConfigurationError, match="credentials_type"):
            ManagedCredentials.default()
        client.lease.close()

    def test_missing_file_is_an_error_and_the_next_call_may_succeed(self, secrets_manager, write):
        with pytest.raises(ConfigurationError, match="managed_credentials_providers.properties"):
            ManagedCredentials.default()
        write()

        assert ManagedCredentials.default().get(NAME) == key("a")


def await_ended_threads():
    """Wait, while there is hope, until the system's threads of those that ended are gone, too.

    As they end they hold locks of OpenSSL, which would stay taken in a child that is forked then.
    """
    deadline = time.monotonic() + 1
    while os.path.isdir(TASKS) and len(os.listdir(TASKS)) > _thread._count() + 1 and time.monotonic() < deadline:
        threading.Event().wait(0.001)


def in_child(function):
    """Fork; return what ``function`` returned in the child, raise what went wrong there."""
    await_ended_threads()
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            try:
                outcome = (function(), None)
            except BaseException:
                outcome = (None, traceback.format_exc())
            with os.fdopen(writing, "wb") as file:
                pickle.dump(outcome, file)
        finally:
            os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as file:
        ready = select.select([file], [], [], PATIENCE)[0]
        if not ready:
            os.kill(child, signal.SIGKILL)
        sent = file.read()
    os.waitpid(child, 0)
    assert ready, "the child hangs"
    value, problem = pickle.loads(sent)
    assert problem is None, problem
    return value


needs_hooks = pytest.mark.skipif(not hasattr(os, "register_at_fork"), reason="hooks for forks came with 3.7")


@pytest.mark.filterwarnings("ignore:.*multi-threaded.*:DeprecationWarning")
class TestFork:
    @pytest.fixture(autouse=True)
    def former_process(self, monkeypatch):
        monkeypatch.setattr(module, "_process", os.getpid())

    def test_child_has_the_cached_keys_without_a_fetch(self, suite):
        client, other = suite.client(), suite.client(OTHER)

        keys, asked = in_child(lambda: ((client.key(), other.key()), suite.asked()))

        assert keys == (key("a"), key("o"))
        assert asked == [NAME, OTHER]

    def test_goes_on_where_a_signal_interrupted_the_preparation_of_one(self, suite, monkeypatch):
        client = suite.client()

        with monkeypatch.context() as interrupted:
            interrupted.setattr(module, "await_leaving", mock.Mock(side_effect=KeyboardInterrupt))
            with pytest.raises(KeyboardInterrupt):
                module._before_fork()
            module._after_fork_in_parent()

        assert in_child(client.key) == key("a")

    def test_child_that_reads_has_a_refresher_of_its_own(self, suite):
        client = suite.client()

        def child():
            cold = suite.thread() is None
            client.key()
            return cold or not hasattr(os, "register_at_fork"), suite.scheduled(), suite.thread().is_alive()

        assert in_child(child) == (True, [NAME], True)

    def test_child_does_not_wait_for_its_refresh(self, suite):
        client = suite.client()

        def child():
            suite.clock.advance(10 ** 6)  # here only: the parent's refresher would see that it is due
            gate = suite.source.answer = Gate(B)
            first = client.key()
            gate.wait_entered()
            second = client.key()
            gate.open()
            return first, second

        assert in_child(child) == (key("a"), key("a"))

    def test_child_renews(self, suite):
        client = suite.client()

        def child():
            suite.source.answer = B
            return suite.credentials.renew(NAME, client.key()), client.key()

        assert in_child(child) == (B, B)
        assert client.key() == key("a")

    def test_counters_of_a_child_start_at_zero_beside_the_key_of_its_parent(self, suite, longest_jitter):
        client = suite.client()
        suite.source.answer = B
        suite.credentials.renew(NAME, client.key())
        suite.clock.advance(60)
        of_parent = suite.credentials.stats()

        def child():
            cold = suite.credentials.stats()
            client.key()
            return cold, suite.credentials.stats()

        assert in_child(child) == (
            {NAME: SecretStats("version-B", 60.0, None, 0, 0, 0, 0)},
            {NAME: SecretStats("version-B", 60.0, 3540.0, 0, 0, 0, 0)},
        )
        assert of_parent == suite.credentials.stats() == {NAME: SecretStats("version-B", 60.0, 3540.0, 2, 0, 1, 1)}
        client.lease.close()

    def test_child_tells_subscribers_though_its_parent_was_telling_them(self, suite):
        client = suite.client()
        gate, told = Gate(), []

        def slow(name, new):
            told.append(new)
            if new == B:
                gate()

        suite.credentials.subscribe(slow)
        suite.source.answer = B
        renewal = Running(lambda: suite.credentials.renew(NAME, client.key()))
        gate.wait_entered()

        def child():
            suite.source.answer = C
            suite.credentials.renew(NAME, client.key())
            return told

        assert in_child(child) == [B, C]
        gate.open()
        renewal.result()

    def test_child_forked_after_a_rotation_has_the_new_key(self, suite):
        client = suite.client()
        suite.source.answer = B
        suite.credentials.renew(NAME, client.key())

        assert in_child(client.key) == B

    def test_child_reads_secrets_that_its_parent_did_not(self, suite):
        client = suite.client()

        assert in_child(lambda: (client.key(), suite.client(OTHER).key())) == (key("a"), key("o"))

    def test_grandchild_has_the_keys_too(self, suite):
        client = suite.client()

        assert in_child(lambda: in_child(client.key)) == key("a")

    def test_child_shuts_down_without_touching_the_parent(self, suite):
        client = suite.client()

        def child():
            client.key()
            client.lease.close()
            return suite.scheduled()

        assert in_child(child) == []
        assert client.key() == key("a")
        client.lease.close()

    def test_parent_goes_on(self, suite):
        client = suite.client()
        in_child(client.key)

        assert client.key() == key("a")
        assert suite.scheduled() == [NAME]
        assert suite.thread() is not None
        assert suite.thread().is_alive()
        assert suite.asked() == [NAME]
        client.lease.close()

    def test_many_forks_one_after_the_other(self, suite):
        client = suite.client()

        assert [in_child(client.key) for _ in range(10)] == [key("a")] * 10
        assert client.key() == key("a")

    def test_forks_of_several_threads_at_once(self, suite, in_threads):
        client = suite.client()

        assert in_threads([lambda: in_child(client.key)] * 6) == [key("a")] * 6

    @pytest.mark.skipif(not hasattr(os, "register_at_fork"), reason="only where there are hooks")
    def test_the_end_of_one_fork_undoes_nothing_of_the_next(self, suite, monkeypatch):
        class ForkLock:
            """Is taken for the next fork before ``release`` returns."""

            lock = threading.Lock()
            acquire = lock.acquire
            next = None

            def release(self):
                self.lock.release()
                if self.next is None:
                    self.next = Running(self.fork)
                    assert self.prepared.wait(PATIENCE)

            def fork(self):
                module._before_fork()
                self.prepared.set()
                assert self.ended.wait(PATIENCE)
                assert self.lock.locked()
                module._after_fork_in_parent()

        fork_lock = ForkLock()
        fork_lock.prepared, fork_lock.ended = threading.Event(), threading.Event()
        monkeypatch.setattr(module, "_fork_lock", fork_lock)

        module._before_fork()
        module._after_fork_in_parent()
        fork_lock.ended.set()

        fork_lock.next.result()
        assert not fork_lock.lock.locked()

    def test_fork_during_a_first_read_in_another_thread(self, suite):
        """The child has no such flight: it reads by itself."""
        client = suite.client()
        gate = suite.source.answer = Gate(A)
        reading = Running(lambda: suite.client(OTHER))
        gate.wait_entered()

        def child():
            suite.source.answer = B
            client.key()
            return suite.client(OTHER).key()

        assert in_child(child) == B
        assert reading.alive()
        gate.open()
        assert reading.result().key() is A

    def test_fork_during_a_renewal_in_another_thread(self, suite):
        client = suite.client()
        gate = suite.source.answer = Gate(A)
        renewing = Running(lambda: suite.credentials.renew(NAME, key("a")))
        gate.wait_entered()

        def child():
            suite.source.answer = B
            return client.key(), suite.credentials.renew(NAME, client.key())

        assert in_child(child) == (key("a"), B)
        gate.open()
        assert renewing.result() is A

    def test_fork_during_a_refresh_in_another_thread(self, suite):
        client = suite.client()
        gate = suite.source.answer = Gate(A)
        module._refresher.schedule((suite.credentials._cache.refresh, NAME), 0)
        gate.wait_entered()

        def child():
            suite.source.answer = B
            return client.key(), suite.credentials.renew(NAME, client.key())

        assert in_child(child) == (key("a"), B)
        gate.open()

    def test_fork_during_a_request_to_a_gateway(self, suite, monkeypatch):
        """Contract 7's one request a secret and region is the parent's; the child makes its own."""
        gate = Gate()

        class Gateway:
            region_id, endpoint = "r1", "r1.example.com"

            def get_secret_value(self, name, timeout):
                if os.getpid() == parent:
                    gate()
                return {"SecretData": '{"AccessKeyId": "in-%s", "AccessKeySecret": "x"}' % (
                    "parent" if os.getpid() == parent else "child")}

        parent = os.getpid()
        suite.source.answer = A
        credentials = ManagedCredentials(Settings(), None)
        credentials._secrets_manager._gateways.append(Gateway())
        client = suite.client()
        reading = Running(lambda: credentials.get(OTHER))
        gate.wait_entered()

        def child():
            client.key()
            return credentials.get(OTHER).access_key_id

        assert in_child(child) == "in-child"
        gate.open()
        assert reading.result().access_key_id == "in-parent"

    @needs_hooks
    @pytest.mark.parametrize("which", ["cache", "credentials", "refresher", "secrets manager"])
    def test_lock_that_another_thread_holds_at_the_moment_of_the_fork(self, suite, which):
        client = suite.client()
        lock = {
            "cache": suite.credentials._cache._lock,
            "credentials": suite.credentials._lock,
            "refresher": module._refresher._changed,
            "secrets manager": suite.credentials._secrets_manager._lock,
        }[which]
        holds, may_end = threading.Event(), threading.Event()

        def hold():
            with lock:
                holds.set()
                # What a fork waits for ends soon; what it does not wait for is held over it.
                may_end.wait(0.2 if which in ("cache", "refresher") else PATIENCE)

        holding = Running(hold)
        assert holds.wait(PATIENCE)

        def child():
            one = suite.client(OTHER)
            keys = client.key(), one.key()
            client.lease.close()
            return keys, suite.credentials.renew(OTHER, B)

        assert in_child(child) == ((key("a"), key("o")), key("o"))
        may_end.set()
        holding.result()
        assert client.key() == key("a")

    @pytest.mark.skipif(hasattr(os, "register_at_fork"), reason="only where there are no hooks")
    def test_lock_that_another_thread_holds_without_hooks(self, suite):
        client = suite.client()
        suite.credentials._cache._lock.acquire()
        try:
            value = in_child(lambda: (client.key(), suite.client(OTHER).key()))
        finally:
            suite.credentials._cache._lock.release()

        assert value == (key("a"), key("o"))

    def test_clients_let_go_of_their_parents_sockets_in_the_child_only(self, suite):
        told = []
        client = suite.client(after_fork=lambda one: told.append((one, os.getpid())))

        def child():
            client.key()
            return [(one is client, pid == os.getpid()) for one, pid in told]

        assert in_child(child) == [(True, True)]
        assert told == []

    def test_client_that_was_shut_down_or_dropped_is_not_told(self, suite):
        told = []
        keeps = suite.client()
        one, two = (suite.client(after_fork=lambda client: told.append(client)) for _ in range(2))
        one.lease.close()
        del two
        gc.collect()

        assert in_child(lambda: (keeps.key(), len(told))) == (key("a"), 0)

    @pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
    def test_client_that_fails_to_let_go_does_not_keep_others_from_working(self, suite):
        def fail(client):
            raise RuntimeError("an adapter of the user's")

        told = []
        others = suite.make()
        clients = [suite.client(after_fork=fail), suite.client(after_fork=told.append),
                   Client(others, after_fork=told.append)]

        def child():
            return [one.key() for one in clients], len(told)

        assert in_child(child) == ([key("a")] * 3, 2)

    def test_every_facade_is_ready_in_the_child(self, suite):
        others = [suite.make() for _ in range(3)]
        clients = [Client(credentials) for credentials in others]

        assert in_child(lambda: [client.key() for client in clients]) == [key("a")] * 3

    @needs_hooks
    def test_fork_does_not_keep_facades_alive(self, suite):
        credentials = suite.make()
        client = suite.client()
        in_child(client.key)
        reference = weakref.ref(credentials)
        del credentials
        gc.collect()

        assert reference() is None

    def test_default_instance_works_in_the_child(self, secrets_manager, write):
        write()
        client = Client(ManagedCredentials.default())

        assert in_child(lambda: (client.key(), Client(ManagedCredentials.default()).key())) == (key("a"), key("a"))
        client.lease.close()

    def test_a_subscriber_may_fork(self, suite):
        forked = []
        suite.credentials.subscribe(lambda name, new: forked.append(in_child(lambda: suite.credentials.get(name))))

        suite.client()

        assert forked == [key("a")]


def run_python(script):
    """Run a script in an interpreter of its own, where no other test left a thread; return what it printed."""
    root = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    process = subprocess.Popen(
        [sys.executable, "-W", "always", "-c", textwrap.dedent(script)], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        env=dict(os.environ, PYTHONPATH=root), universal_newlines=True)
    try:
        out, err = process.communicate(timeout=60)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        raise
    assert process.returncode == 0, err
    return out, err


PRELUDE = """
    import os, sys, threading, warnings
    from aliyun_sdk_secretsmanager_common_plugin import AKExpireHandler, AccessKey, ManagedCredentials
    from aliyun_sdk_secretsmanager_common_plugin import managed_credentials as module
    from aliyun_sdk_secretsmanager_common_plugin.secrets_manager import Fetched, next_start
    from aliyun_sdk_secretsmanager_common_plugin.settings import Settings

    class Client:
        pass

    credentials = ManagedCredentials(
        Settings(), lambda name, *_: Fetched(next_start(), AccessKey("id", "secret", version_id="v")))
    client = Client()
    client.lease = credentials.lease(client, "app/key", AKExpireHandler(), lambda client: None)
"""


class TestProcesses:
    """In an interpreter of their own."""

    def test_no_warning_about_threads_where_only_the_refresher_runs(self):
        """Contract 9: from 3.12 on a fork of a process with threads warns."""
        out, err = run_python(PRELUDE + """
    forks = 0
    assert module._refresher._thread.is_alive()
    for _ in range(20):
        client.lease.access_key()
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            child = os.fork()
            if child == 0:
                os._exit(0 if client.lease.access_key().access_key_id == "id" else 1)
            assert os.waitpid(child, 0)[1] == 0
        for warning in caught:
            print(warning.message)
        forks += 1
    client.lease.access_key()
    assert module._refresher._thread.is_alive()
    print(forks)
""")
        assert out == "20\n"

    def test_interpreter_ends_at_once_with_clients_and_a_refresher(self):
        out, err = run_python(PRELUDE + """
    print(module._refresher._thread.is_alive())
""")
        assert out == "True\n"
        assert err == ""

    @pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
    def test_multiprocessing(self, method, tmp_path):
        script = tmp_path / "worker.py"
        script.write_text(textwrap.dedent(PRELUDE) + textwrap.dedent("""
    def work(number):
        return client.lease.access_key().access_key_id, number

    if __name__ == "__main__":
        import multiprocessing

        with multiprocessing.get_context({!r}).Pool(2) as pool:
            print(pool.map(work, range(4)))
    """.format(method)))
        out, _ = run_python("""
    import runpy, sys
    sys.argv = [{0!r}]
    sys.path.insert(0, {1!r})
    import subprocess
    subprocess.check_call([sys.executable, {0!r}])
""".format(str(script), str(tmp_path)))

        assert out == "[('id', 0), ('id', 1), ('id', 2), ('id', 3)]\n"
