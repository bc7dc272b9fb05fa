"""Contract 10: clients are counted, and a secret that no client uses is not refreshed."""

import asyncio
import gc
import logging
import threading
import weakref

import pytest
from aliyunsdkcore.acs_exception.exceptions import ClientException, ServerException

from aliyun_sdk_secretsmanager_common_plugin import ConfigurationError, ManagedCredentialsError
from aliyun_sdk_secretsmanager_common_plugin.secrecy import mask_access_key_id
from tests.common.fakes import Gate, Running, everything_in, key
from tests.conftest import wait_until

from .world import NAME, OTHER, A, B

THREAD = "managed-credentials-owner"


class TestClients:
    def test_constructor_makes_the_first_read(self, suite):
        suite.client()

        assert suite.asked() == [NAME]

    def test_of_one_secret_share_the_read(self, suite):
        clients = [suite.client() for _ in range(5)]

        assert {id(client.key()) for client in clients} == {id(clients[0].key())}
        assert suite.asked() == [NAME]

    @pytest.mark.parametrize(("name", "what"), [
        ("", "empty"), ("  ", "empty"), ("\n", "empty"), (None, "of type NoneType"), (5, "of type int"),
        (b"LTAI5tExample", "of type bytes")])
    def test_bad_secret_name_is_a_clear_error(self, suite, name, what):
        with pytest.raises(ConfigurationError) as caught:
            suite.client(name)
        assert str(caught.value) == "secret_name is {}; give the name of a secret in Secrets Manager".format(what)
        assert suite.asked() == []

    @pytest.mark.parametrize(
        "name", ["LTAI5tFooBarBaz0123456789", "LTAI4Fexample1", " STS.NUexample123456 ", "TMP.3Kexample12"])
    def test_id_of_an_access_key_is_no_secrets_name_and_is_masked(self, suite, name, caplog):
        caplog.set_level(logging.DEBUG)

        def get_async(name):
            loop = asyncio.new_event_loop()
            try:
                loop.run_until_complete(suite.credentials.get_async(name))
            finally:
                loop.close()

        for attempt in (suite.client, suite.credentials.get, suite.credentials.refresh, get_async):
            with pytest.raises(ConfigurationError, match="the name of the secret .* that holds the AccessKey") as caught:
                attempt(name)
            assert mask_access_key_id(name.strip()) in str(caught.value)
            assert name.strip() not in everything_in(caught.value) + caplog.text
        assert suite.asked() == []

    def test_wrong_secret_shows_at_start_and_leaves_nothing_behind(self, suite):
        suite.source.answer = ServerException("Forbidden.ResourceNotFound", "no such secret", 404, "1")

        with pytest.raises(ServerException, match="no such secret"):
            suite.client()

        assert suite.credentials._account.clients == {}
        assert suite.refreshed() == []
        suite.advance(10)
        assert suite.thread_ends()
        assert suite.credentials.stats() == {}

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
        assert suite.credentials.stats() == {}
        assert suite.thread() is None
        client = suite.client()

        assert suite.refreshed() == [NAME]
        assert suite.thread().is_alive()
        client.lease.close()

    def test_with_the_last_client_thread_and_schedule_stop(self, suite):
        clients = [suite.client(), suite.client(OTHER)]
        for client in clients:
            assert suite.thread().is_alive()
            client.lease.close()

        assert suite.refreshed() == []
        assert suite.thread_ends()

    def test_a_shutdown_releases_what_that_client_alone_used(self, suite):
        one, two, other = suite.client(), suite.client(), suite.client(OTHER)
        one.lease.close()
        assert suite.refreshed() == [NAME, OTHER]
        two.lease.close()

        assert suite.refreshed() == [OTHER]
        assert other.key() == key("o")
        other.lease.close()

    def test_one_client_shut_down_another_secrets_client_still_renews(self, suite):
        """The existing plugin stops the cache for all."""
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

        assert suite.refreshed() == [NAME]
        two.lease.close()

    def test_client_made_afterwards_works_and_is_refreshed(self, suite):
        suite.client().lease.close()
        client = suite.client()

        assert client.key() == key("a")
        assert suite.refreshed() == [NAME]
        assert suite.thread().is_alive()
        client.lease.close()

    def test_key_stays_for_the_next_client_while_it_is_young(self, suite, longest_jitter):
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
        assert suite.refreshed() == [NAME, OTHER]
        other.lease.close()

        assert suite.refreshed() == []

    def test_dropped_client_is_not_kept_alive(self, suite):
        client = suite.client()
        reference = weakref.ref(client)
        del client
        gc.collect()

        assert reference() is None

    def test_dropped_client_is_released(self, suite):
        client = suite.client()
        del client
        gc.collect()

        assert suite.refreshed() == []
        assert suite.thread_ends()

    def test_dropped_client_that_was_shut_down_is_not_released_twice(self, suite):
        one, two = suite.client(), suite.client()
        one.lease.close()
        del one
        gc.collect()

        assert suite.refreshed() == [NAME]
        two.lease.close()

    def test_dropped_one_of_two_leaves_the_other_refreshed(self, suite):
        one, two = suite.client(), suite.client()
        del one
        gc.collect()

        assert suite.refreshed() == [NAME]
        two.lease.close()

    def test_facade_is_a_context_manager_that_stops_refreshing(self, suite):
        with suite.credentials as credentials:
            credentials.get(NAME)
            assert suite.refreshed() == [NAME]

        assert suite.refreshed() == []
        assert suite.thread_ends()

    def test_close_is_idempotent_and_reads_start_it_again(self, suite):
        suite.credentials.get(NAME)
        suite.credentials.close()
        suite.credentials.close()
        suite.settle()

        assert suite.credentials.get(NAME) == key("a")
        assert suite.refreshed() == [NAME]
        assert suite.asked() == [NAME]

    def test_closing_one_facade_leaves_another_going(self, suite):
        other = suite.make()
        suite.credentials.get(NAME)
        other.get(OTHER)

        suite.credentials.close()

        assert suite.refreshed() == []
        assert suite.refreshed(other) == [OTHER]
        assert suite.thread().is_alive()

    def test_facade_that_is_dropped_is_not_kept_alive_once_it_is_closed(self, suite):
        credentials = suite.make()
        credentials.get(NAME)
        credentials.close()
        assert suite.thread_ends()
        reference = weakref.ref(credentials)
        del credentials
        gc.collect()

        assert reference() is None

    @pytest.mark.parametrize("answer", [B, ClientException("SDK.HttpError", "no answer")])
    def test_refresh_that_ends_while_the_last_client_goes_leaves_no_schedule(self, suite, answer):
        client = suite.client()
        gate = Gate(answer)
        suite.source.answer = lambda asked: gate()
        refresh = Running(lambda: suite.credentials.refresh(NAME))
        gate.wait_entered()
        client.lease.close()
        suite.settle()

        gate.open()
        refresh.result()

        assert suite.refreshed() == []
        assert suite.thread_ends()

    def test_one_thread_for_many_clients_and_secrets(self, suite, in_threads):
        before = set(threading.enumerate())
        clients = in_threads([lambda at=at: suite.client("secret-{}".format(at % 10)) for at in range(40)])

        wait_until(lambda: {one for one in threading.enumerate() if one.name == THREAD} - before == {suite.thread()})
        for client in clients:
            client.lease.close()
