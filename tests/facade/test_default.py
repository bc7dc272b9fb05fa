"""Facades that a properties file describes, and the default one."""

import logging
import threading

import pytest
from aliyunsdkcore.acs_exception.exceptions import ServerException

from aliyun_sdk_secretsmanager_common_plugin import ConfigLoader, ConfigurationError, ManagedCredentials
from tests.common.fakes import Gate, Running, key
from tests.conftest import wait_until

from .world import NAME, A, Client


class TestFromProperties:
    def test_reads_secret_names(self, secrets_manager, write):
        ManagedCredentials.from_properties(write("x", secret_names="a,b,c"))

        assert sorted(secrets_manager.asked()) == ["a", "b", "c"]

    def test_secret_name_that_fails_is_a_warning(self, secrets_manager, write, caplog):
        def answer(asked):
            return ServerException("Forbidden", "not allowed", 403, "1") if asked.name == "bad" else A

        secrets_manager.source.answer = answer

        credentials = ManagedCredentials.from_properties(write("x", secret_names="bad,good"))

        (record,) = [one for one in list(caplog.records) if "secret_names" in one.getMessage()]
        assert record.levelno == logging.WARNING
        assert "'bad'" in record.getMessage()
        assert "not allowed" in record.getMessage()
        assert credentials.get("good") is A

    def test_secret_names_that_hang_do_not_hold_up_the_start(self, secrets_manager, write, caplog):
        gate = secrets_manager.source.answer = Gate(A)
        starting = Running(lambda: ManagedCredentials.from_properties(write("x", secret_names="a,b")))
        gate.wait_entered()
        secrets_manager.advance(10)

        credentials = starting.result()

        gate.open()
        wait_until(lambda: credentials.stats()["a"].age is not None)
        assert credentials.get("a") is A
        assert "secret_names: 'a' could not be read at start" in caplog.text

    def test_thousand_secret_names_are_read_a_few_at_a_time(self, secrets_manager, write):
        running = []
        most = []

        def answer(asked):
            running.append(asked)
            most.append(len(running))
            threading.Event().wait(0.0005)
            running.remove(asked)
            return A

        secrets_manager.source.answer = answer
        names = ["secret-{}".format(number) for number in range(1000)]

        ManagedCredentials.from_properties(write("x", secret_names=",".join(names)))

        assert sorted(secrets_manager.asked()) == sorted(names)
        assert max(most) <= 8

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
