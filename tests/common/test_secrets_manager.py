"""GetSecretValue over the regions: order, shares of the deadline, backoff, one request a secret and region."""

import json
import threading

import pytest
from aliyunsdkcore.acs_exception.exceptions import ClientException, ServerException

from aliyun_sdk_secretsmanager_common_plugin import SecretFormatError
from aliyun_sdk_secretsmanager_common_plugin import secrets_manager as module
from aliyun_sdk_secretsmanager_common_plugin.gateways import UnreadableAnswer, UntrustedGateway
from aliyun_sdk_secretsmanager_common_plugin.secrets_manager import SecretsManager, equal_jitter, next_start

from .fakes import PATIENCE, Gate, Running, Threading, everything_in, key

NAME = "app/key"
A, B, C = key("A"), key("B"), key("C")


def answer(one):
    return {"SecretData": json.dumps({"AccessKeyId": one.access_key_id, "AccessKeySecret": one.access_key_secret}),
            "SecretType": "RAMCredentials", "VersionId": one.version_id}


def server_error(code, status):
    return ServerException(code, "of the test", status, "request-1")


WORTH_ANOTHER_REGION = [
    ClientException("SDK.HttpError", "no connection"),
    UnreadableAnswer("SDK.UnknownServerError", "a page of a proxy"),
    UntrustedGateway("SDK.HttpError", "certificate"),
    server_error("Rejected.Throttling", 400),
    server_error("ServiceUnavailableTemporary", 403),
    server_error("InternalFailure", 400),
    server_error("Anything", 500),
    server_error("Anything", 503),
    server_error("Anything", 429),
]
FINAL = [
    server_error("Forbidden.KMS", 403),
    server_error("Forbidden.ResourceNotFound", 404),
    server_error("InvalidAccessKeyId.NotFound", 404),
    server_error("SignatureDoesNotMatch", 400),
]


def name_of(error):
    return "{}-{}".format(type(error).__name__, error.get_error_code())


class Gateway:
    """A region that answers with ``answer``: fields, an error to raise, or a function of the timeout."""

    def __init__(self, region_id, given, log):
        self.region_id = region_id
        self.endpoint = region_id + ".example.com"
        self.answer = given
        self.timeouts = []
        self._log = log

    def get_secret_value(self, secret_name, timeout):
        self._log.append(self.region_id)
        self.timeouts.append(timeout)
        given = self.answer(timeout) if callable(self.answer) else self.answer
        if isinstance(given, BaseException):
            raise given
        return given

    def __repr__(self):
        return "Gateway({})".format(self.region_id)


class World:
    def __init__(self, clock, *answers):
        self.clock = clock
        self.log = []
        self.gateways = [Gateway("r" + str(at), given, self.log) for at, given in enumerate(answers, 1)]
        self.manager = SecretsManager(self.gateways, clock)
        self.late = []
        self.late_came = threading.Semaphore(0)

    def take_late(self, name, fetched):
        self.late.append((name, fetched))
        self.late_came.release()

    def fetch(self, timeout=10.0, retry=False, name=NAME):
        return self.manager.fetch(name, timeout, retry, self.take_late)

    def wait_late(self):
        assert self.late_came.acquire(timeout=PATIENCE), "no late answer"


class Hangs:
    """In place of the module's ``threading``: the wait for a request that hangs is over at once, by the clock."""

    def __init__(self, clock):
        self.clock = clock
        self.changed = threading.Condition()
        self.hanging = 0

    def gate(self, given):
        """Return an answer that hangs until the gate opens."""
        gate = Gate(given)
        enter = gate.entered.set

        def enter_and_tell():
            enter()
            with self.changed:
                self.hanging += 1
                self.changed.notify_all()

        gate.entered.set = enter_and_tell
        return gate

    def Event(self):  # noqa: N802
        return _HangingEvent(self)

    def __getattr__(self, name):
        return getattr(threading, name)


class _HangingEvent:
    def __init__(self, owner):
        self._owner = owner
        self._is_set = False

    def is_set(self):
        return self._is_set

    def set(self):
        with self._owner.changed:
            self._is_set = True
            self._owner.changed.notify_all()

    def wait(self, timeout):
        with self._owner.changed:
            assert self._owner.changed.wait_for(lambda: self._is_set or self._owner.hanging, PATIENCE)
            if not self._is_set:
                self._owner.hanging -= 1
                self._owner.clock.advance(timeout)
            return self._is_set


@pytest.fixture
def hangs(clock, monkeypatch):
    fake = Hangs(clock)
    monkeypatch.setattr(module, "threading", fake)
    return fake


def taking(clock, seconds, given):
    """An answer that comes after ``seconds``."""
    def take(timeout):
        clock.advance(seconds)
        return given

    return take


class TestRegions:
    def test_first_that_answers_is_enough(self, clock):
        world = World(clock, answer(A), answer(B))

        assert world.fetch().key == A
        assert world.log == ["r1"]

    @pytest.mark.parametrize("error", WORTH_ANOTHER_REGION, ids=name_of)
    def test_next_is_asked_where_it_may_do_better(self, clock, error):
        world = World(clock, error, answer(B))

        assert world.fetch().key == B
        assert world.log == ["r1", "r2"]

    @pytest.mark.parametrize("error", FINAL, ids=name_of)
    def test_final_error_stops(self, clock, error):
        world = World(clock, error, answer(B))

        with pytest.raises(ServerException) as caught:
            world.fetch(retry=True)
        assert caught.value is error
        assert world.log == ["r1"]

    @pytest.mark.parametrize("fields", [
        {"SecretType": "Generic", "SecretData": "x"}, {"SecretData": "x"}, {"SecretData": "{}"}, {}])
    def test_secret_of_a_wrong_format_stops(self, clock, fields):
        world = World(clock, fields, answer(B))

        with pytest.raises(SecretFormatError, match=NAME):
            world.fetch(retry=True)
        assert world.log == ["r1"]

    def test_last_error_surfaces(self, clock):
        world = World(clock, WORTH_ANOTHER_REGION[0], WORTH_ANOTHER_REGION[-2])

        with pytest.raises(ServerException) as caught:
            world.fetch()
        assert caught.value is WORTH_ANOTHER_REGION[-2]

    def test_final_error_of_the_second_stops_before_the_third(self, clock):
        world = World(clock, WORTH_ANOTHER_REGION[0], FINAL[0], answer(A))

        with pytest.raises(ServerException):
            world.fetch(retry=True)
        assert world.log == ["r1", "r2"]

    def test_last_good_one_is_asked_first(self, clock):
        world = World(clock, WORTH_ANOTHER_REGION[0], answer(A), answer(B))
        world.fetch()
        world.fetch()
        assert world.log == ["r1", "r2", "r2"]

        world.gateways[1].answer = WORTH_ANOTHER_REGION[0]
        world.gateways[0].answer = answer(B)
        assert world.fetch().key == B
        assert world.log[3:] == ["r2", "r1"]
        world.fetch()
        assert world.log[5:] == ["r1"]

    def test_mistake_of_a_gateways_surfaces_and_is_forgotten(self, clock):
        world = World(clock, KeyError("a mistake"))
        with pytest.raises(KeyError):
            world.fetch()
        world.gateways[0].answer = answer(A)

        assert world.fetch().key == A

    def test_error_holds_no_secret(self, clock):
        world = World(clock, {"SecretData": json.dumps({"AccessKeyId": "", "AccessKeySecret": "secret-of-A"})})

        error = Running(world.fetch).error()

        assert isinstance(error, SecretFormatError)
        assert "secret-of-A" not in everything_in(error)


class TestDeadline:
    def test_a_single_region_has_all_of_it(self, clock):
        world = World(clock, answer(A))
        world.fetch(timeout=7.0)

        assert world.gateways[0].timeouts == [7.0]

    def test_each_region_has_its_share_of_what_is_left(self, clock):
        world = World(clock, None, None, None)
        for gateway, seconds in zip(world.gateways, (1.0, 4.5, 2.0)):
            gateway.answer = taking(clock, seconds, WORTH_ANOTHER_REGION[0])

        with pytest.raises(ClientException):
            world.fetch(timeout=9.0)

        assert [gateway.timeouts for gateway in world.gateways] == [[3.0], [4.0], [3.5]]

    def test_region_without_time_is_not_asked(self, clock):
        world = World(clock, None, answer(A))
        world.gateways[0].answer = taking(clock, 9.0, WORTH_ANOTHER_REGION[0])

        with pytest.raises(ClientException):
            world.fetch(timeout=9.0)
        assert world.log == ["r1"]

    def test_hanging_region_leaves_the_others_their_share(self, clock, hangs):
        gate = hangs.gate(answer(A))
        world = World(clock, gate, answer(B))
        began = clock.monotonic()

        assert Running(lambda: world.fetch(timeout=9.0)).result().key == B

        assert world.log == ["r1", "r2"]
        assert clock.monotonic() - began == 4.5
        assert world.gateways[1].timeouts == [4.5]
        gate.open()
        world.wait_late()

    def test_hanging_regions_end_at_the_deadline_with_an_error_that_names_them(self, clock, hangs):
        gate = hangs.gate(answer(A))
        world = World(clock, gate)
        began = clock.monotonic()

        error = Running(lambda: world.fetch(timeout=7.0)).error()

        assert clock.monotonic() - began == 7.0

        assert isinstance(error, ClientException)
        assert "r1 (r1.example.com)" in str(error)
        assert NAME in str(error)
        assert "no answer within" in str(error)
        gate.open()
        world.wait_late()


class TestRetry:
    def test_is_not_done_unless_asked_for(self, clock):
        world = World(clock, WORTH_ANOTHER_REGION[0], WORTH_ANOTHER_REGION[0])

        with pytest.raises(ClientException):
            world.fetch(retry=False)
        assert world.log == ["r1", "r2"]
        assert clock.sleeps == []

    def test_goes_round_the_regions_with_backoff_until_the_deadline(self, clock, longest_jitter):
        world = World(clock, WORTH_ANOTHER_REGION[0], WORTH_ANOTHER_REGION[0])

        with pytest.raises(ClientException):
            world.fetch(timeout=20.0, retry=True)

        assert clock.sleeps == [0.5, 1.0, 2.0, 4.0, 4.0, 4.0, 4.0]
        assert world.log == ["r1", "r2"] * 8

    def test_backoff_is_half_as_long_at_least(self, clock, shortest_jitter):
        world = World(clock, WORTH_ANOTHER_REGION[0])
        with pytest.raises(ClientException):
            world.fetch(timeout=4.0, retry=True)

        assert clock.sleeps == [0.25, 0.5, 1.0, 2.0]

    def test_never_passes_the_deadline(self, clock, longest_jitter):
        world = World(clock, WORTH_ANOTHER_REGION[0])
        began = clock.monotonic()
        with pytest.raises(ClientException):
            world.fetch(timeout=3.0, retry=True)

        assert clock.monotonic() - began < 3.0

    @pytest.mark.parametrize("error", [error for error in WORTH_ANOTHER_REGION
                                       if not isinstance(error, UntrustedGateway)], ids=name_of)
    def test_succeeds_when_secrets_manager_comes_back(self, clock, error):
        world = World(clock, error)

        def come_back(seconds):
            world.gateways[0].answer = answer(A)

        clock.on_sleep = come_back

        assert world.fetch(retry=True).key == A

    def test_is_not_done_for_certificates_alone(self, clock):
        world = World(clock, WORTH_ANOTHER_REGION[2], WORTH_ANOTHER_REGION[2])

        with pytest.raises(UntrustedGateway):
            world.fetch(retry=True)
        assert world.log == ["r1", "r2"]
        assert clock.sleeps == []

    @pytest.mark.parametrize("order", [(0, 2), (2, 0)])
    def test_is_done_where_one_region_of_two_may_do_better(self, clock, order):
        world = World(clock, *[WORTH_ANOTHER_REGION[at] for at in order])
        with pytest.raises(ClientException):
            world.fetch(retry=True)

        assert clock.sleeps

    def test_stops_at_a_final_error(self, clock):
        world = World(clock, WORTH_ANOTHER_REGION[0])

        def refuse(seconds):
            world.gateways[0].answer = FINAL[0]

        clock.on_sleep = refuse

        with pytest.raises(ServerException):
            world.fetch(retry=True)
        assert world.log == ["r1", "r1"]


class TestOneRequest:
    """Contract 7: at most one a secret and region."""

    def test_hanging_request_is_not_followed_by_another(self, clock, hangs):
        gate = hangs.gate(answer(A))
        world = World(clock, gate)
        assert isinstance(Running(world.fetch).error(), ClientException)
        for _ in range(2):
            hangs.hanging = 1  # it still does
            assert isinstance(Running(world.fetch).error(), ClientException)

        assert world.log == ["r1"]
        gate.open()
        world.wait_late()

    def test_other_secrets_and_regions_have_their_own(self, clock, hangs):
        gate = hangs.gate(answer(A))
        world = World(clock, gate, answer(B))
        Running(world.fetch).result()
        assert world.log == ["r1", "r2"]
        world.gateways[1].answer = WORTH_ANOTHER_REGION[0]
        world.gateways[0].answer = answer(C)

        assert Running(lambda: world.fetch(name="other")).result().key == C

        assert world.log == ["r1", "r2", "r2", "r1"]
        gate.open()
        world.wait_late()

    def test_who_finds_one_in_progress_asks_anew_when_it_has_ended(self, clock, monkeypatch):
        """It may have read before the rotation."""
        fake = Threading()
        monkeypatch.setattr(module, "threading", fake)
        gate = Gate(answer(A))
        world = World(clock, gate)
        first = Running(world.fetch)
        gate.wait_entered()
        second = Running(world.fetch)
        fake.until_waits(2)
        world.gateways[0].answer = answer(B)

        gate.open()

        assert first.result().key == A
        assert second.result().key == B
        assert second.result().started > first.result().started
        assert world.log == ["r1", "r1"]

    def test_runs_in_a_short_lived_daemon_thread(self, clock):
        threads = []
        world = World(clock, None)

        def see(timeout):
            threads.append(threading.current_thread())
            return answer(A)

        world.gateways[0].answer = see
        world.fetch()

        (thread,) = threads
        assert thread is not threading.current_thread()
        assert thread.daemon
        thread.join(PATIENCE)
        assert not thread.is_alive()

    def test_no_lock_is_held_while_asking(self, clock, monkeypatch):
        fake = Threading()
        monkeypatch.setattr(module, "threading", fake)
        world = World(clock, None)
        held = []
        world.gateways[0].answer = lambda timeout: held.append(fake.held()) or answer(A)

        world.fetch()

        assert held == [False]

    def test_no_thread_left_is_an_error_and_no_hang(self, clock, monkeypatch):
        def none_left(thread):
            raise RuntimeError("can't start new thread")

        world = World(clock, answer(A))
        with monkeypatch.context() as patch:
            patch.setattr(threading.Thread, "start", none_left)
            with pytest.raises(ClientException, match="can't start new thread"):
                world.fetch()

        assert world.fetch().key == A

    def test_forgotten_threads_of_a_parent_are_not_waited_for(self, clock, hangs):
        gate = hangs.gate(answer(A))
        world = World(clock, gate)
        assert isinstance(Running(world.fetch).error(), ClientException)
        world.manager._lock.acquire()

        world.manager.forget_threads()

        world.gateways[0].answer = answer(B)
        assert Running(world.fetch).result().key == B
        gate.open()


class TestLateAnswers:
    def test_are_handed_over_with_the_number_of_their_start(self, clock, hangs):
        gate = hangs.gate(answer(A))
        world = World(clock, gate)
        before = next_start()
        assert isinstance(Running(world.fetch).error(), ClientException)
        after = next_start()

        gate.open()
        world.wait_late()

        (name, fetched), = world.late
        assert name == NAME
        assert fetched.key == A
        assert before < fetched.started < after

    def test_of_a_region_that_another_one_stood_in_for_are_the_older_ones(self, clock, hangs):
        gate = hangs.gate(answer(A))
        world = World(clock, gate, answer(B))
        fetched = Running(world.fetch).result()

        gate.open()
        world.wait_late()

        assert world.late[0][1].started < fetched.started

    def test_errors_that_come_late_are_dropped(self, clock, hangs):
        gate = hangs.gate(WORTH_ANOTHER_REGION[0])
        world = World(clock, gate)
        assert isinstance(Running(world.fetch).error(), ClientException)
        gate.open()
        world.gateways[0].answer = answer(B)

        assert Running(world.fetch).result().key == B
        assert world.late == []

    def test_answers_in_time_are_not_handed_over(self, clock):
        world = World(clock, answer(A))
        world.fetch()

        assert world.late == []

    def test_number_of_the_start_grows(self, clock):
        world = World(clock, answer(A))

        assert world.fetch().started < world.fetch().started


class TestEqualJitter:
    def test_is_half_fixed_and_half_random(self):
        drawn = [equal_jitter(8.0) for _ in range(200)]

        assert 4.0 <= min(drawn) < 4.5
        assert 7.5 < max(drawn) <= 8.0
