"""What the facade reads, and what its stats say (contract 2)."""

import logging

import pytest
from aliyunsdkcore.acs_exception.exceptions import ClientException, ServerException

from aliyun_sdk_secretsmanager_common_plugin import ManagedCredentials, ManagedCredentialsError, SecretStats
from tests.common.fakes import Gate, Running, key
from tests.conftest import wait_until

from .world import IDENTITY_SECRET, NAME, OTHER, A, B


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

    def test_renewal_brings_the_new_key_and_subscribers_know_of_it_by_then(self, suite):
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

    def test_first_read_is_shared_by_all_threads_that_ask(self, suite, in_threads):
        assert in_threads([lambda: suite.credentials.get(NAME)] * 16) == [key("a")] * 16
        assert suite.asked() == [NAME]

    def test_each_reader_gets_an_error_of_its_own_and_the_next_ones_at_once(self, suite, in_threads):
        suite.source.answer = ServerException("Forbidden", "not allowed", 403, "1")

        def read():
            with pytest.raises(ServerException, match="not allowed") as caught:
                suite.credentials.get(NAME)
            return caught.value

        errors = in_threads([read] * 8) + [read()]
        assert len({id(error) for error in errors}) == 9
        assert suite.asked() == [NAME]

    def test_first_read_is_over_after_its_timeout_whoever_hangs(self, suite):
        gate = suite.source.answer = Gate(A)
        reading = Running(lambda: suite.credentials.get(NAME))
        gate.wait_entered()
        suite.advance(10)

        assert "no answer within 10.0 s from the fetch function" in str(reading.error())
        gate.open()

    def test_renewal_is_over_after_its_timeout_whoever_hangs(self, suite):
        suite.credentials.get(NAME)
        gate = suite.source.answer = Gate(B)
        renewing = Running(lambda: suite.credentials._account.renew(NAME, key("a")))
        gate.wait_entered()
        suite.advance(2)

        assert "no answer within 2.0 s from the fetch function" in str(renewing.result().error)
        gate.open()

    def test_late_answer_counts(self, suite):
        suite.credentials.get(NAME)
        gate = suite.source.answer = Gate(B)
        renewing = Running(lambda: suite.credentials.renew(NAME, key("a")))
        gate.wait_entered()
        suite.advance(2)
        assert renewing.result() is None

        gate.open()

        wait_until(lambda: suite.credentials.get(NAME) is B)

    def test_refresh_says_whether_the_secret_was_read(self, suite, caplog):
        assert suite.credentials.refresh(NAME)
        suite.source.answer = ClientException("SDK.HttpError", "no answer")
        assert not suite.credentials.refresh(NAME)

        assert suite.credentials.get(NAME) == key("a")
        assert "refresh failed, the key stays" in caplog.text

    def test_refresh_of_a_secret_that_was_not_read_yet_reads_it_once(self, suite):
        assert suite.credentials.refresh(NAME)

        assert suite.credentials.get(NAME) == key("a")
        assert [(asked.name, asked.timeout) for asked in suite.source.asked] == [(NAME, 10.0)]

    def test_refresh_of_a_secret_that_cannot_be_read_raises_the_error(self, suite):
        suite.source.answer = ClientException("SDK.HttpError", "no answer")

        with pytest.raises(ClientException, match="no answer"):
            suite.credentials.refresh(NAME)

    def test_unknown_subscriber_is_an_error(self, suite):
        with pytest.raises(ValueError, match="is no subscriber"):
            suite.credentials.unsubscribe(print)

    def test_shows_no_secret(self, suite):
        suite.credentials.get(NAME)

        for text in (repr(suite.credentials), str(suite.credentials)):
            assert IDENTITY_SECRET not in text
            assert "secret-of" not in text
            assert "LTAI5tIdentity" not in text


class TestStats:
    def next_refresh(self, suite, name=NAME):
        return suite.credentials.stats()[name].next_refresh

    def test_say_when_the_next_refresh_is(self, suite, longest_jitter):
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
        suite.settle()

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
        client = suite.client()
        suite.settle()  # then the owner sleeps: it does not look whether something became due
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
        suite.advance(3600)
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
        caplog.set_level(logging.DEBUG, "aliyun_sdk_secretsmanager_common_plugin")
        client = suite.client()

        wait_until(lambda: "secret 'app/key': the next refresh is due in 3600.0 s" in caplog.messages)
        client.lease.close()


class TestFetchFunction:
    @pytest.mark.parametrize("answer, what", [(None, "a NoneType"), ("LTAI5tSecret", "a str"), (("id", "secret"), "a tuple")])
    def test_what_is_no_key_is_an_error_that_says_so_and_shows_nothing(self, suite, answer, what):
        asked = []
        credentials = suite.make(lambda name, seconds: asked.append(name) or answer)

        with pytest.raises(ManagedCredentialsError, match="the fetch function returned {}; it must".format(what)) as caught:
            credentials.get(NAME)
        assert "LTAI5tSecret" not in str(caught.value)
        assert asked == [NAME]

    @pytest.mark.parametrize("status, code", [("503", "X"), (None, None), (503, None), ([], 5)])
    def test_odd_errors_of_the_sdk_surface_as_they_are(self, suite, status, code):
        error = ServerException(code, "odd", status)
        suite.source.answer = error

        with pytest.raises(ServerException, match="odd"):
            suite.credentials.get(NAME)
