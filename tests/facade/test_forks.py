"""What a forked child has of its parent's clients (contract 9)."""

import gc
import os
import weakref

import pytest

from aliyun_sdk_secretsmanager_common_plugin import ManagedCredentials, SecretStats
from aliyun_sdk_secretsmanager_common_plugin import managed_credentials as module
from aliyun_sdk_secretsmanager_common_plugin.settings import Settings
from tests.common.fakes import Gate, Running, key
from tests.conftest import wait_until
from tests.forks import in_child

from .world import NAME, OTHER, A, B, C, Client


@pytest.mark.filterwarnings("ignore:.*multi-threaded.*:DeprecationWarning")
class TestFork:
    def test_child_has_the_cached_keys_without_a_fetch(self, suite):
        client, other = suite.client(), suite.client(OTHER)

        keys, asked = in_child(lambda: ((client.key(), other.key()), suite.asked()))

        assert keys == (key("a"), key("o"))
        assert asked == [NAME, OTHER]

    def test_child_that_reads_has_an_owner_of_its_own(self, suite):
        client = suite.client()

        def child():
            cold = suite.thread() is None
            client.key()
            return cold or not hasattr(os, "register_at_fork"), suite.refreshed(), suite.thread().is_alive()

        assert in_child(child) == (True, [NAME], True)

    def test_child_does_not_wait_for_its_refresh(self, suite):
        client = suite.client()

        def child():
            suite.clock.advance(10 ** 6)
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
            return suite.refreshed()

        assert in_child(child) == []
        assert client.key() == key("a")
        client.lease.close()

    def test_parent_goes_on(self, suite):
        client = suite.client()
        in_child(client.key)

        assert client.key() == key("a")
        assert suite.refreshed() == [NAME]
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

    def test_fork_during_a_first_read_in_another_thread(self, suite):
        """The child has no such fetch: it reads by itself."""
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
        refreshing = Running(lambda: suite.credentials.refresh(NAME))
        gate.wait_entered()

        def child():
            suite.source.answer = B
            return client.key(), suite.credentials.renew(NAME, client.key())

        assert in_child(child) == (key("a"), B)
        gate.open()
        assert refreshing.result()

    def test_fork_during_a_request_to_a_gateway(self, suite, monkeypatch):
        """The one request that contract 7 allows is the parent's; the child makes its own."""
        gate = Gate()

        class Gateway:
            forked = []

            def get_secret_value(self, name, seconds, connections):
                if not self.forked:
                    gate()
                return {"SecretData": '{"AccessKeyId": "in-%s", "AccessKeySecret": "x"}' % (
                    "child" if self.forked else "parent")}

            def waiting_for(self):
                return "a gateway"

            def after_fork_in_child(self):
                self.forked.append(True)

        monkeypatch.setattr(module, "_gateways", lambda *ignored: [Gateway()])
        credentials = ManagedCredentials(Settings())
        client = suite.client()
        reading = Running(lambda: credentials.get(OTHER))
        gate.wait_entered()

        def child():
            client.key()
            return credentials.get(OTHER).access_key_id

        assert in_child(child) == "in-child"
        gate.open()
        assert reading.result().access_key_id == "in-parent"

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

    def test_client_that_goes_at_the_moment_of_the_fork_is_gone_in_the_child(self, suite):
        """An event that the owner had not taken before the fork is not lost."""
        keeps, goes = suite.client(), suite.client(OTHER)
        suite.settle()
        suite.runtime.before_fork()
        goes.lease.close()
        suite.runtime.after_fork_in_child()
        keeps.key()

        assert suite.refreshed() == [NAME]

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

        wait_until(lambda: forked)
        assert forked == [key("a")]
