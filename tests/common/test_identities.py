"""Identities as objects: AccessKeys of the settings, credentials of the program, one retrieval for all threads, errors."""

import importlib.util
import json
import subprocess
import sys
import time
import types

import pytest
from aliyunsdkcore.acs_exception.exceptions import ClientException

from aliyun_sdk_secretsmanager_common_plugin import ConfigurationError
from aliyun_sdk_secretsmanager_common_plugin.identities import configured_identity, program_identity, renewable_identity
from aliyun_sdk_secretsmanager_common_plugin.identities.credentials_source import CredentialsSource
from aliyun_sdk_secretsmanager_common_plugin.identities.identity import IdentityError
from aliyun_sdk_secretsmanager_common_plugin.settings import IdentitySettings

from ..forks import in_child
from ..instance import ROOT
from .fakes import PATIENCE, Gate, Running, Threading, everything_in, threads_named

ID = "LTAI5tIdentity0123456789"
SECRET = "TheSecretThatNobodyMaySee42"
TOKEN = "CAIS+The/Token==That.Nobody_May-See42"
KEY = types.SimpleNamespace(access_key_id=ID, access_key_secret=SECRET, security_token=None)
OTHER = types.SimpleNamespace(access_key_id="LTAI5tOther0123456789", access_key_secret=SECRET, security_token=None)


class Provider:
    """A provider of the program. It gives ``answer``, raises it, or calls it."""

    def __init__(self, answer=KEY):
        self.answer = answer
        self.asked = 0

    def get_credentials(self):
        self.asked += 1
        answer = self.answer() if callable(self.answer) else self.answer
        if isinstance(answer, BaseException):
            raise answer
        return answer


def failure_of(function):
    with pytest.raises(IdentityError) as caught:
        function()
    return caught.value


def signs_with(identity):
    credential = identity.signer()._credential
    return {name.replace("sts_", ""): value for name, value in vars(credential).items()}


class TestKeysOfTheSettings:
    @pytest.mark.parametrize(("credentials_type", "token"), [("ak", ""), ("token", ""), ("sts_token", TOKEN)])
    def test_signs_with_them(self, credentials_type, token):
        identity = configured_identity(IdentitySettings(
            credentials_type, access_key_id=ID, access_key_secret=SECRET, security_token=token))

        signed = signs_with(identity)

        assert (signed["access_key_id"], signed["access_key_secret"]) == (ID, SECRET)
        assert signed.get("token", "") == token
        assert identity.access_key_id() == ID
        assert (identity.renew(), identity.waiting_for()) == (False, "")
        assert repr(identity) == "Identity(credentials_type={}, LTAI********6789)".format(credentials_type)
        identity.after_fork_in_child()

    def test_nothing_more_is_imported(self):
        code = ("import sys; import aliyun_sdk_secretsmanager_common_plugin.identities.identity; "
                "print([name for name in sys.modules if name.split('.')[0] in "
                "('alibabacloud_credentials', 'Tea', 'requests', 'urllib3', 'aiohttp', 'cryptography')])")

        assert subprocess.check_output([sys.executable, "-W", "ignore", "-c", code], cwd=ROOT).strip() == b"[]"


@pytest.mark.parametrize("credentials_type", ["ram_role", "sts", "ecs_ram_role", "oidc_role_arn", "credentials_uri",
                                              "default"])
def test_missing_extra_is_named_at_once(monkeypatch, credentials_type):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, package=None: None)

    with pytest.raises(ConfigurationError) as caught:
        configured_identity(IdentitySettings(credentials_type))

    assert str(caught.value) == (
        'credentials_type={} needs the extra "identities": pip install '
        '"aliyun-sdk-managed-credentials-providers[identities]"'.format(credentials_type))


class Getters:
    def __init__(self, security_token):
        self.get_access_key_id = lambda: ID
        self.get_access_key_secret = lambda: SECRET
        self.get_security_token = lambda: security_token


class TestCredentialsOfTheProgram:
    @pytest.mark.parametrize("given", [
        KEY,
        types.SimpleNamespace(access_key_id=ID, access_key_secret=SECRET),
        types.SimpleNamespace(access_key_id=ID, access_key_secret=SECRET, security_token=""),
        Getters(None),
    ], ids=["None", "no token", "empty token", "getters"])
    @pytest.mark.parametrize("wrap", [
        lambda given: types.SimpleNamespace(get_credentials=lambda: given),
        lambda given: types.SimpleNamespace(get_credential=lambda: given, get_credentials=lambda config: None),
        lambda given: types.SimpleNamespace(credentials=given, request_id="of a function"),
    ], ids=["provider", "client", "context"])
    def test_key_without_a_token(self, given, wrap):
        signed = signs_with(program_identity(wrap(given)))

        assert signed == {"access_key_id": ID, "access_key_secret": SECRET}

    @pytest.mark.parametrize("given", [
        types.SimpleNamespace(access_key_id=ID, access_key_secret=SECRET, security_token=TOKEN), Getters(TOKEN)])
    def test_key_with_a_token(self, given):
        signed = signs_with(program_identity(Provider(given)))

        assert signed == {"access_key_id": ID, "access_key_secret": SECRET, "token": TOKEN}

    @pytest.mark.parametrize("other", [None, SECRET, 5, object(), {"access_key_id": ID}, KEY],
                             ids=["None", "text", "number", "object", "dict", "key"])
    def test_anything_else_is_refused_at_once(self, other):
        with pytest.raises(ConfigurationError, match="get_credentials") as caught:
            program_identity(other)

        assert SECRET not in everything_in(caught.value)
        assert type(other).__name__ in str(caught.value)

    @pytest.mark.parametrize("given", [
        None, "x", types.SimpleNamespace(access_key_id=ID, access_key_secret=""),
        types.SimpleNamespace(access_key_id=None, access_key_secret=SECRET),
        types.SimpleNamespace(access_key_id=5, access_key_secret=SECRET),
        types.SimpleNamespace(access_key_id=ID, access_key_secret=SECRET.encode())])
    def test_no_credentials(self, given):
        error = failure_of(program_identity(Provider(given)).signer)

        assert "identity (the program's Provider): there is no access_key_id, or no access_key_secret" in str(error)

    def test_token_that_is_no_text(self):
        given = types.SimpleNamespace(access_key_id=ID, access_key_secret=SECRET, security_token=TOKEN.encode())

        error = failure_of(program_identity(Provider(given)).signer)

        assert "the security_token in what was given is no text" in str(error)

    @pytest.mark.parametrize("part", ["access_key_id", "access_key_secret", "security_token"])
    @pytest.mark.parametrize("character", ["\r\nX-Evil: 1", "\x00", "\x7f", "\u5bc6", "\udcff"], ids=ascii)
    def test_key_that_no_request_can_be_signed_with(self, part, character):
        parts = {"access_key_id": ID, "access_key_secret": SECRET, "security_token": TOKEN}
        parts[part] += character

        error = failure_of(program_identity(Provider(types.SimpleNamespace(**parts))).signer)

        assert "what was given has a line end" in str(error)
        assert SECRET not in everything_in(error)
        assert TOKEN not in everything_in(error)
        assert TOKEN not in everything_in(error)

    def test_errors_are_named_only(self):
        error = failure_of(program_identity(Provider(ValueError(SECRET))).signer)

        assert isinstance(error, ClientException)
        assert error.get_error_code() == "SDK.InvalidCredential"
        assert error.message == ("identity (the program's Provider): ValueError was raised; see to it that the object "
                                 "gives credentials")
        assert error.retryable
        assert SECRET not in everything_in(error)

    def test_it_is_asked_for_each_request(self):
        provider = Provider()
        identity = program_identity(provider)
        identity.signer()
        provider.answer = OTHER

        assert identity.access_key_id() == OTHER.access_key_id
        assert identity.renew() is True

    def test_credentials_in_use_serve_on_while_it_fails(self, caplog):
        provider = Provider()
        identity = program_identity(provider)
        identity.signer()
        provider.answer = OSError(SECRET)

        assert identity.access_key_id() == ID

        (record,) = caplog.records
        assert record.levelname == "WARNING"
        assert "going on with the credentials in use" in record.getMessage()
        assert SECRET not in caplog.text
        assert identity.renew()
        assert "OSError was raised" in str(failure_of(identity.signer))


@pytest.fixture
def waiting(monkeypatch):
    """Its ``until_waits`` returns when that many callers wait for an answer."""
    fake = Threading()
    monkeypatch.setattr(renewable_identity, "threading", fake)
    return fake


class TestThreads:
    def test_who_waits_takes_the_outcome_of_who_asks(self, waiting):
        gate = Gate(KEY)
        provider = Provider(gate)
        identity = program_identity(provider)
        running = [Running(identity.access_key_id) for _ in range(16)]
        waiting.until_waits(16)
        gate.open()

        assert [one.result() for one in running] == [ID] * 16
        assert provider.asked == 1

    def test_who_waits_takes_a_copy_of_the_error(self, waiting):
        gate = Gate(ValueError())
        provider = Provider(gate)
        identity = program_identity(provider)
        running = [Running(lambda: failure_of(identity.signer)) for _ in range(16)]
        waiting.until_waits(16)
        gate.open()

        errors = [one.result() for one in running]
        assert provider.asked == 1
        assert len({str(error) for error in errors}) == 1
        assert len({id(error) for error in errors}) == 16

    def test_the_next_one_asks_again(self):
        provider = Provider(ValueError())
        identity = program_identity(provider)
        failure_of(identity.signer)
        provider.answer = KEY

        assert identity.access_key_id() == ID

    def test_what_it_waits_for(self):
        gate = Gate(KEY)
        identity = program_identity(Provider(gate))
        assert identity.waiting_for() == ""
        asking = Running(identity.signer)
        gate.wait_entered()

        assert identity.waiting_for() == "the identity (the program's Provider)"

        gate.open()
        asking.result()
        assert identity.waiting_for() == ""

    def test_credentials_that_came_after_the_refused_ones_are_kept(self):
        provider = Provider()
        identity = program_identity(provider)
        identity.signer()  # these are refused, but another thread renews first
        provider.answer = OTHER
        Running(identity.signer).result()
        identity.renew()
        provider.answer = ValueError()

        assert identity.access_key_id() == OTHER.access_key_id

    @pytest.mark.parametrize("raised", [KeyboardInterrupt(), SystemExit(SECRET)], ids=repr)
    def test_what_it_raises_ends_no_program(self, raised):
        error = failure_of(program_identity(Provider(raised)).signer)

        assert "{} was raised".format(type(raised).__name__) in str(error)
        assert SECRET not in everything_in(error)

    def test_system_that_gives_no_more_threads(self, monkeypatch):
        identity = program_identity(Provider())
        with monkeypatch.context() as patch:
            patch.setattr(renewable_identity.threading.Thread, "start", raising(RuntimeError("can't start new thread")))

            error = failure_of(identity.signer)

        assert "cannot ask: can't start new thread" in str(error)
        assert error.retryable
        assert identity.access_key_id() == ID

    @pytest.mark.filterwarnings("ignore:.*multi-threaded.*:DeprecationWarning")
    def test_child_of_a_process_that_is_asking(self):
        gate = Gate(KEY)
        provider = Provider(gate)
        identity = program_identity(provider)
        asking = Running(identity.signer)
        gate.wait_entered()

        def child():
            identity.after_fork_in_child()
            provider.answer = OTHER
            return identity.access_key_id()

        assert in_child(child) == OTHER.access_key_id
        gate.open()
        asking.result()


def raising(error):
    def function(*ignored):
        raise error

    return function


def wait_until(condition):
    for _ in range(PATIENCE * 100):
        if condition():
            return
        time.sleep(0.01)
    raise AssertionError("it did not come to pass")


def nobody_asks():
    return not threads_named("managed-credentials-identity")


def answer_late_and_no_more(gate, provider):
    """Let the retrieval that waits at the gate end, and let the next ones fail."""
    gate.open()
    wait_until(nobody_asks)
    provider.answer = OSError()


class TestHanging:
    @pytest.fixture
    def gate(self):
        """A gate that a provider waits at until the end of the test."""
        gate = Gate(OTHER)
        yield gate
        gate.open()
        wait_until(nobody_asks)

    @pytest.fixture
    def soon(self, monkeypatch):
        monkeypatch.setattr(renewable_identity, "LIMIT", 0.4)
        monkeypatch.setattr(renewable_identity, "BRIEFLY", 0.01)

    def test_credentials_in_use_are_preferred_to_a_long_wait(self, gate, caplog):
        provider = Provider()
        identity = program_identity(provider)
        identity.signer()
        provider.answer = gate
        began = time.monotonic()

        ids = [identity.access_key_id() for _ in range(5)]

        assert time.monotonic() - began < renewable_identity.LIMIT
        assert ids == [ID] * 5
        assert provider.asked == 2
        assert {record.getMessage() for record in caplog.records} == {
            "identity (the program's Provider): no answer within 0.5 s; see to it that the object gives credentials; "
            "going on with the credentials in use"}
        assert identity.waiting_for() == ""

    def test_the_answer_that_came_late_is_the_next_ones(self, gate, soon):
        provider = Provider()
        identity = program_identity(provider)
        identity.signer()
        provider.answer = gate
        identity.signer()
        answer_late_and_no_more(gate, provider)

        assert identity.access_key_id() == OTHER.access_key_id

    def test_credentials_past_their_end_are_not_used(self, gate, soon):
        provider = Provider(types.SimpleNamespace(expiration=time.time() - 1, **vars(KEY)))
        identity = program_identity(provider)
        identity.signer()  # the clock of the source may differ
        provider.answer = gate

        error = failure_of(identity.signer)

        assert identity.waiting_for() == "the identity (the program's Provider)"
        assert str(error).endswith(
            "identity (the program's Provider): no answer within 0.4 s; see to it that the object gives credentials")
        assert error.retryable

    @pytest.mark.parametrize("expiration", [time.time() + 3600, None, "2020-01-01T00:00:00Z"],
                             ids=["in an hour", "unknown", "no number"])
    def test_credentials_before_their_end_or_without_a_known_one_are_used(self, gate, soon, expiration):
        provider = Provider(types.SimpleNamespace(expiration=expiration, **vars(KEY)))
        identity = program_identity(provider)
        identity.signer()
        provider.answer = gate

        assert identity.access_key_id() == ID

    def test_nobody_waits_longer_than_the_limit_and_the_next_one_asks_anew(self, gate, soon):
        provider = Provider(gate)
        identity = program_identity(provider)
        assert "no answer within 0.4 s" in str(failure_of(identity.signer))
        provider.answer = KEY

        assert identity.access_key_id() == ID
        assert len(threads_named("managed-credentials-identity")) == 1

    def test_no_provider_is_called_by_two_threads(self, gate, soon):
        made = []

        def make():
            made.append(Provider(gate if not made else KEY))
            return made[-1]

        identity = renewable_identity.RenewableIdentity("a role", CredentialsSource("x", make))
        failure_of(identity.signer)

        assert [identity.access_key_id() for _ in range(2)] == [ID] * 2
        assert [provider.asked for provider in made] == [1, 2]

    def test_answer_that_is_late_is_kept_while_there_is_no_newer_one(self, gate, soon):
        provider = Provider(gate)
        identity = program_identity(provider)
        failure_of(identity.signer)
        provider.answer = OSError()
        failure_of(identity.signer)
        gate.open()
        wait_until(nobody_asks)

        assert identity.access_key_id() == OTHER.access_key_id

    def test_answer_that_comes_after_a_newer_one_is_dropped(self, gate, soon):
        provider = Provider(gate)
        identity = program_identity(provider)
        failure_of(identity.signer)
        provider.answer = KEY
        identity.signer()
        answer_late_and_no_more(gate, provider)

        assert identity.access_key_id() == ID

    def test_answer_that_was_asked_for_before_a_refusal_is_dropped(self, gate, soon):
        provider = Provider()
        identity = program_identity(provider)
        identity.signer()
        provider.answer = gate
        identity.signer()
        identity.renew()
        answer_late_and_no_more(gate, provider)

        assert "OSError" in str(failure_of(identity.signer))

    def test_credentials_refused_while_others_are_asked_for(self, gate, soon):
        provider = Provider()
        identity = program_identity(provider)
        identity.signer()
        provider.answer = gate
        identity.signer()
        identity.renew()
        provider.answer = types.SimpleNamespace(access_key_id="LTAI5tThird0123456789", access_key_secret=SECRET)

        assert identity.access_key_id() == "LTAI5tThird0123456789"


class CredentialException(Exception):
    """Named as the library's."""


class RetryError(Exception):
    """Named as Tea's."""


def explained(error):
    return CredentialsSource("x", lambda: None, "is it there?", "does it know us?").explain(error)


URL = "https://sts/?OIDCToken=" + TOKEN


class TestWhatErrorsSay:
    @pytest.mark.parametrize(("text", "what", "retryable"), [
        ("error refreshing credentials from ram_role_arn, http_code: 404, result: " + json.dumps(
            {"Code": "EntityNotExist.Role", "Message": "The role not exists.",
             "RequestId": "6894B13B-6D71-4EF5-88FA-F32781734A7F"}),
         "HTTP status 404, EntityNotExist.Role: The role not exists. (request id 6894B13B-6D71-4EF5-88FA-F32781734A7F)"
         "; check the ARN of the role (credentials_role_arn)", False),
        ('{"Code": "NoPermission", "Message": "You are not authorized."}',
         "NoPermission: You are not authorized.; let the role's trust policy", False),
        ('{"Code": "Throttling.User", "Message": "Request was denied."}', "Throttling.User: ", True),
        ("error refreshing credentials from http://x,  http_code=500, result: no JSON",
         "HTTP status 500; does it know us?", True),
        ("Failed to get RAM session credentials from ECS metadata service. HttpCode=429", "HTTP status 429", True),
        ("Get credentials from http://x failed,  HttpCode=403", "HTTP status 403; does it know us?", False),
        ('error retrieving credentials from http://x result: {"Code": "Success"}', "no credentials in the answer", False),
        ("No cached value was found.", "the credentials given have expired already; set the clock of this machine", False),
        ("<html>", "no credentials in the answer", True),
    ])
    def test_answers(self, text, what, retryable):
        failure = explained(CredentialException(text))

        assert str(failure).startswith(what)
        assert failure.retryable is retryable

    @pytest.mark.parametrize("secret", [SECRET + "123", TOKEN, URL])
    def test_no_part_of_an_answer_that_may_be_secret(self, secret):
        answer = json.dumps({"Code": secret * 3, "Message": "not " + secret, "RequestId": secret, "Other": secret})

        for text in (answer, "http_code: 403, result: " + answer, secret, "http_code: 403, result: " + secret):
            assert secret not in everything_in(explained(CredentialException(text)))

    def test_no_url_of_a_failed_connection(self):
        requests = pytest.importorskip("requests")
        errors = [RetryError(URL), requests.exceptions.InvalidURL(URL), requests.exceptions.ConnectionError(URL)]

        for error in errors:
            failure = explained(error)
            assert str(failure) == "no answer ({}); is it there?".format(type(error).__name__)
            assert failure.retryable

    def test_innermost_reason_of_a_failed_connection(self):
        try:
            try:
                raise ConnectionRefusedError(111, "Connection refused")
            except OSError:
                raise RetryError(URL)
        except RetryError as error:
            failure = explained(error)

        assert str(failure) == "no answer (ConnectionRefusedError: [Errno 111] Connection refused); is it there?"

    @pytest.mark.parametrize("error", [
        json.JSONDecodeError("no", SECRET, 0), UnicodeDecodeError("utf-8", SECRET.encode(), 0, 1, "no"),
        RecursionError(SECRET)], ids=repr)
    def test_answer_that_is_no_json(self, error):
        failure = explained(error)

        assert str(failure) == "the answer is no JSON; does it know us?"
        assert failure.retryable

    def test_all_others_are_named_only(self):
        failure = explained(KeyError(SECRET))

        assert str(failure) == "KeyError was raised; does it know us?"
        assert not failure.retryable
