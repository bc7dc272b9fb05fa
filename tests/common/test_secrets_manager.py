"""GetSecretValue over the regions: order, hedge, deadline and its shares, backoff, one request a secret and region."""

import gc
import json
import math
import queue
import threading
import time
import weakref

import pytest
from aliyunsdkcore.acs_exception.exceptions import ClientException, ServerException

from aliyun_sdk_secretsmanager_common_plugin import ConfigurationError, ManagedCredentialsError, SecretFormatError
from aliyun_sdk_secretsmanager_common_plugin import secrets_manager as module
from aliyun_sdk_secretsmanager_common_plugin.gateways import UnreadableAnswer, UntrustedGateway
from aliyun_sdk_secretsmanager_common_plugin.identities import IdentityError
from aliyun_sdk_secretsmanager_common_plugin.secrets_manager import SecretsManager, equal_jitter, next_start

from .fakes import PATIENCE, Gate, Running, everything_in, key

NAME = "app/key"
A, B, C = key("A"), key("B"), key("C")


def answer(one):
    return {"SecretData": json.dumps({"AccessKeyId": one.access_key_id, "AccessKeySecret": one.access_key_secret}),
            "SecretType": "RAMCredentials", "VersionId": one.version_id}


def until(condition):
    """Wait for a condition that another thread brings about."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        threading.Event().wait(0.001)


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
TIMED_OUT = ClientException("SDK.HttpError", "read timed out")
FINAL = [
    server_error("Forbidden.KMS", 403),
    server_error("Forbidden.ResourceNotFound", 404),
    server_error("InvalidAccessKeyId.NotFound", 404),
    server_error("SignatureDoesNotMatch", 400),
]


def identity_error(retryable):
    return IdentityError("no credentials", retryable)


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

    def waiting_for(self):
        return "Secrets Manager in {} ({})".format(self.region_id, self.endpoint)

    def __repr__(self):
        return "Gateway({})".format(self.region_id)


class World:
    def __init__(self, clock, *answers):
        self.clock = clock
        self.log = []
        self.gateways = [Gateway("r" + str(at), given, self.log) for at, given in enumerate(answers, 1)]
        self.manager = SecretsManager(self.gateways, clock)
        self.late = []
        self._began = None

    def fetch(self, timeout=10.0, retry=False, name=NAME):
        self._began = self.clock.monotonic()
        return self.manager.fetch(name, timeout, retry, lambda *late: self.late.append(late))

    def took(self):
        """Return the seconds since the last fetch began."""
        return self.clock.monotonic() - self._began


class Simulation:
    """In place of the module's ``threading`` and ``queue``: time passes by the clock, and only when everybody waits."""

    Empty = queue.Empty

    def __init__(self, clock):
        self.clock = clock
        self._changed = threading.Condition()
        self._busy = 0
        self._sleepers = []

    def after(self, seconds, given):
        """Return an answer that comes after ``seconds``, whatever the socket's timeout is."""
        return lambda timeout: self._sleep(seconds) or given

    def never(self, given):
        """Return an answer that comes when ``release`` is called."""
        return self.after(math.inf, given)

    def timing_out(self, timeout):
        """The answer of a region that hangs: the socket's timeout."""
        self._sleep(timeout)
        raise TIMED_OUT

    def release(self):
        """Let all answers come that still wait."""
        while self._sleepers:
            self._wake(self._sleepers[0])

    def Thread(self, target, **options):  # noqa: N802
        def run():
            try:
                target()
            finally:
                self._busier(-1)

        thread = threading.Thread(target=run, **options)
        start = thread.start

        def start_and_wait():
            self._busier(1)
            start()
            self._wait_for_others()

        thread.start = start_and_wait
        return thread

    def Queue(self):  # noqa: N802
        simulated = queue.Queue()
        get = simulated.get

        def get_by_the_clock(timeout=0):
            until = self.clock.monotonic() + timeout
            while simulated.empty():
                wake_at = min((sleeper[0] for sleeper in self._sleepers), default=math.inf)
                self.clock.advance(max(0, min(wake_at, until) - self.clock.monotonic()))
                if wake_at > until:
                    break
                for sleeper in [one for one in self._sleepers if one[0] <= self.clock.monotonic()]:
                    self._wake(sleeper)
            return get(block=False)

        simulated.get = get_by_the_clock
        return simulated

    def __getattr__(self, name):
        return getattr(threading, name)

    def _sleep(self, seconds):
        sleeper = (self.clock.monotonic() + seconds, threading.Event())
        self._sleepers.append(sleeper)
        self._busier(-1)
        assert sleeper[1].wait(PATIENCE), "nobody woke the request"

    def _wake(self, sleeper):
        self._sleepers.remove(sleeper)
        self._busier(1)
        sleeper[1].set()
        self._wait_for_others()

    def _busier(self, change):
        with self._changed:
            self._busy += change
            self._changed.notify_all()

    def _wait_for_others(self):
        with self._changed:
            assert self._changed.wait_for(lambda: self._busy == 0, PATIENCE), "a request neither ended nor waits"


@pytest.fixture
def time_passes(clock, monkeypatch):
    simulation = Simulation(clock)
    monkeypatch.setattr(module, "threading", simulation)
    monkeypatch.setattr(module, "queue", simulation)
    yield simulation
    simulation.release()


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

    def test_mistake_of_a_gateways_surfaces_and_is_forgotten(self, clock):
        world = World(clock, KeyError("a sensitive mistake"))
        with pytest.raises(ManagedCredentialsError, match="KeyError was raised") as caught:
            world.fetch()
        assert "sensitive" not in everything_in(caught.value)
        world.gateways[0].answer = answer(A)

        assert world.fetch().key == A

    def test_error_keeps_nothing_of_who_asked_alive(self, clock):
        class Asking:
            pass

        def fail(timeout):
            raise ClientException("SDK.HttpError", "no connection")

        world = World(clock, fail)
        references = []

        def ask():
            asking = Asking()
            references.append(weakref.ref(asking))
            world.fetch()

        gc.disable()
        try:
            try:
                ask()
            except ClientException:
                pass
            assert references[0]() is None
        finally:
            gc.enable()

    def test_error_holds_no_secret(self, clock):
        world = World(clock, {"SecretData": json.dumps({"AccessKeyId": "", "AccessKeySecret": "secret-of-A"})})

        error = Running(world.fetch).error()

        assert isinstance(error, SecretFormatError)
        assert "secret-of-A" not in everything_in(error)


class TestOrder:
    def test_last_good_one_is_kept(self, clock):
        world = World(clock, WORTH_ANOTHER_REGION[0], answer(A), answer(B))
        world.fetch()
        world.gateways[0].answer = answer(C)

        assert world.fetch().key == A
        assert world.log == ["r1", "r2", "r2"]

    def test_last_good_one_is_asked_first_even_after_it_failed(self, clock):
        """Or a region that has no such secret, and says so at once, would keep it from being asked ever again."""
        world = World(clock, answer(A), FINAL[1])
        world.fetch()
        world.gateways[0].answer = WORTH_ANOTHER_REGION[0]
        with pytest.raises(ServerException):
            world.fetch()
        world.gateways[0].answer = answer(A)

        assert world.fetch().key == A
        assert world.log == ["r1", "r1", "r2", "r1"]

    def test_those_that_were_never_asked_come_before_those_that_failed(self, clock):
        world = World(clock, WORTH_ANOTHER_REGION[0], answer(A), answer(B))
        world.fetch()
        world.gateways[1].answer = WORTH_ANOTHER_REGION[0]

        assert world.fetch().key == B
        assert world.log[2:] == ["r2", "r3"]

    def test_one_that_hung_until_the_deadline_failed_too(self, clock, time_passes):
        world = World(clock, *[WORTH_ANOTHER_REGION[0]] * 2 + [time_passes.never(answer(A))])
        with pytest.raises(ClientException):
            world.fetch()

        assert world.manager.in_order() == world.gateways

    def test_those_that_failed_are_asked_in_the_configured_order(self, clock):
        world = World(clock, *[WORTH_ANOTHER_REGION[0]] * 3)
        for _ in range(2):
            with pytest.raises(ClientException):
                world.fetch()

        assert world.log == ["r1", "r2", "r3"] * 2

    def test_near_ones_come_before_far_ones_and_those_that_nobody_knows(self, clock, time_passes):
        world = World(clock, answer(A), None, None, None)
        unknown, far, near, last = world.gateways
        for gateway, seconds in ((far, 0.4), (near, 0.2), (last, 0.3)):
            for other in world.gateways:
                other.answer = WORTH_ANOTHER_REGION[0]
            gateway.answer = time_passes.after(seconds, answer(B))
            world.fetch()
        for gateway in (far, near):  # each failed since
            assert gateway in world.manager._unwell
            world.manager._unwell.discard(gateway)
        world.manager._unwell.discard(unknown)

        assert world.manager.in_order() == [last, near, far, unknown]

    def test_one_that_was_overtaken_comes_last_until_it_answers_well(self, clock, time_passes):
        world = World(clock, time_passes.never(answer(A)), answer(B), answer(C))
        first, second, third = world.gateways
        world.fetch()
        assert world.manager.in_order() == [second, third, first]

        time_passes.release()

        assert world.manager.in_order() == [second, first, third]

    def test_late_answer_does_not_make_a_region_the_first(self, clock, time_passes):
        world = World(clock, time_passes.after(3.0, answer(A)), time_passes.after(1.5, answer(B)))
        world.fetch()
        time_passes.release()
        world.gateways[1].answer = answer(B)
        world.fetch()

        assert world.log == ["r1", "r2", "r2"]


class TestHedge:
    def test_slow_one_is_overtaken_after_a_second(self, clock, time_passes):
        world = World(clock, time_passes.after(1.5, answer(A)), time_passes.after(0.25, answer(B)), answer(C))

        assert world.fetch().key == B
        assert world.took() == 1.25
        assert world.log == ["r1", "r2"]

    def test_fast_enough_one_is_not(self, clock, time_passes):
        world = World(clock, time_passes.after(0.9, answer(A)), answer(B))

        assert world.fetch().key == A
        assert world.log == ["r1"]

    def test_first_good_answer_wins_whoever_gives_it(self, clock, time_passes):
        world = World(clock, time_passes.after(1.5, answer(A)), time_passes.after(0.75, answer(B)))

        assert world.fetch().key == A
        assert world.took() == 1.5
        world.gateways[0].answer = answer(C)
        assert world.fetch().key == C

    def test_goes_on_through_regions_that_hang(self, clock, time_passes):
        world = World(clock, *[time_passes.timing_out] * 3 + [answer(A)])

        assert world.fetch(timeout=10.0).key == A
        assert world.took() == 3.0
        world.fetch()
        assert world.took() == 0
        assert world.log == ["r1", "r2", "r3", "r4", "r4"]

    def test_comes_earlier_where_time_is_short(self, clock, time_passes):
        world = World(clock, time_passes.timing_out, time_passes.timing_out, time_passes.after(0.5, answer(A)))

        assert world.fetch(timeout=1.5).key == A
        assert world.took() == 1.5

    def test_next_one_is_asked_at_once_when_the_latest_failed(self, clock, time_passes):
        world = World(clock, time_passes.never(answer(A)), time_passes.after(0.25, TIMED_OUT), answer(B))

        assert world.fetch().key == B
        assert world.took() == 1.25

    def test_failure_of_one_that_was_overtaken_calls_nobody_else(self, clock, time_passes):
        world = World(clock, time_passes.after(1.1, TIMED_OUT), time_passes.after(0.5, answer(A)), answer(B))

        assert world.fetch().key == A
        assert world.log == ["r1", "r2"]

    def test_final_error_does_not_lose_to_answers_that_are_on_their_way(self, clock, time_passes):
        world = World(clock, time_passes.after(3.0, answer(A)), FINAL[1], answer(B))

        assert world.fetch().key == A
        assert world.took() == 3.0
        assert world.log == ["r1", "r2"]

    def test_final_error_surfaces_when_the_others_have_had_their_share(self, clock, time_passes):
        world = World(clock, time_passes.never(answer(A)), FINAL[1], answer(B))

        with pytest.raises(ServerException) as caught:
            world.fetch(timeout=9.0, retry=True)
        assert caught.value is FINAL[1]
        assert world.took() == 3.0
        assert world.log == ["r1", "r2"]

    def test_error_of_the_identity_is_worth_another_gateway(self, clock):
        world = World(clock, identity_error(retryable=False), answer(A))

        assert world.fetch().key == A

    def test_answer_after_its_share_is_good_while_others_are_waited_for(self, clock, time_passes):
        world = World(clock, time_passes.after(4.0, answer(A)), *[time_passes.timing_out] * 2)

        assert world.fetch(timeout=9.0).key == A
        assert world.took() == 4.0


class TestDeadline:
    def test_a_single_region_has_all_of_it(self, clock):
        world = World(clock, answer(A))
        world.fetch(timeout=7.0)

        assert world.gateways[0].timeouts == [7.0]

    def test_each_region_has_its_share_of_what_is_left(self, clock, time_passes):
        world = World(clock, *[time_passes.after(0.75, WORTH_ANOTHER_REGION[0])] * 3)

        with pytest.raises(ClientException):
            world.fetch(timeout=9.0)

        assert [gateway.timeouts for gateway in world.gateways] == [[3.0], [4.125], [7.5]]

    def test_share_is_no_shorter_than_the_hedge_unless_the_deadline_is(self, clock, time_passes):
        world = World(clock, *[time_passes.after(0.25, WORTH_ANOTHER_REGION[0])] * 3)

        with pytest.raises(ClientException):
            world.fetch(timeout=1.25)

        assert [gateway.timeouts for gateway in world.gateways] == [[1.0], [1.0], [0.75]]

    def test_region_without_time_is_not_asked(self, clock, time_passes):
        world = World(clock, time_passes.never(answer(A)), answer(B))

        with pytest.raises(ClientException):
            world.fetch(timeout=0.09)
        assert world.log == ["r1"]
        assert world.gateways[0].timeouts == [pytest.approx(0.09)]

    def test_hanging_regions_end_at_the_deadline_with_an_error_that_names_them(self, clock, time_passes):
        world = World(clock, time_passes.never(answer(A)), WORTH_ANOTHER_REGION[0], time_passes.never(answer(B)))

        with pytest.raises(ClientException) as caught:
            world.fetch(timeout=7.0)

        assert world.took() == 7.0
        assert NAME in str(caught.value)
        assert ("no answer within 7.0 s from Secrets Manager in r1 (r1.example.com) and "
                "Secrets Manager in r3 (r3.example.com)") in str(caught.value)
        assert caught.value.__context__ is None

    def test_is_named_once_what_several_regions_waited_for(self, clock, time_passes):
        world = World(clock, *[time_passes.never(answer(A))] * 2)
        for gateway in world.gateways:
            gateway.waiting_for = lambda: "the identity (credentials_type=ecs_ram_role)"

        with pytest.raises(ClientException, match=r"within 7.0 s from the identity \(credentials_type=ecs_ram_role\);"):
            world.fetch(timeout=7.0)

    def test_region_that_hangs_costs_its_share_and_not_the_time_to_ask_again(self, clock, time_passes, longest_jitter):
        world = World(clock, time_passes.never(answer(A)), WORTH_ANOTHER_REGION[3])

        def come_back(seconds):
            world.gateways[1].answer = answer(B)

        clock.on_sleep = come_back

        assert world.fetch(timeout=10.0, retry=True).key == B
        assert world.took() == 5.0 + 0.5 + 1.0

    def test_has_passed_before_an_attempt_could_begin(self, clock, time_passes, longest_jitter):
        world = World(clock, WORTH_ANOTHER_REGION[3])

        def oversleep(seconds):
            clock.advance(60)
            world.gateways[0].answer = time_passes.never(answer(A))

        clock.on_sleep = oversleep

        with pytest.raises(ClientException, match="no answer"):
            world.fetch(timeout=10.0, retry=True)
        assert min(world.gateways[0].timeouts) > 0


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

        assert clock.sleeps == [0.5, 0.5, 1.0, 2.0, 4.0, 4.0, 4.0]  # the second is the pace's
        assert world.log == ["r1", "r2"] * 7

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

    @pytest.mark.parametrize("retryable", [True, False])
    def test_is_done_for_the_identity_where_that_may_help(self, clock, retryable):
        world = World(clock, identity_error(retryable))
        with pytest.raises(IdentityError):
            world.fetch(retry=True)

        assert bool(clock.sleeps) is retryable

    @pytest.mark.parametrize("order", [(0, 2), (2, 0)])
    def test_is_done_where_one_region_of_two_may_do_better(self, clock, order):
        world = World(clock, *[WORTH_ANOTHER_REGION[at] for at in order])
        with pytest.raises(ClientException):
            world.fetch(retry=True)

        assert clock.sleeps

    @pytest.mark.parametrize("order", [(0, 1), (1, 0)])
    def test_ends_with_the_refusal_of_one_region_whichever_it_is(self, clock, order):
        errors = WORTH_ANOTHER_REGION[0], identity_error(retryable=False)
        world = World(clock, *[errors[at] for at in order])

        with pytest.raises(IdentityError):
            world.fetch(retry=True)

    def test_stops_at_a_final_error(self, clock):
        world = World(clock, WORTH_ANOTHER_REGION[0])

        def refuse(seconds):
            world.gateways[0].answer = FINAL[0]

        clock.on_sleep = refuse

        with pytest.raises(ServerException):
            world.fetch(retry=True)
        assert world.log == ["r1", "r1"]


class TestPace:
    """Of one secret, over all regions, and only while no good answer comes."""

    @pytest.fixture
    def failing(self, clock):
        """Return a world whose ``begun`` is when which region failed."""

        def make(regions, error=WORTH_ANOTHER_REGION[0]):
            world = World(clock, *[error] * regions)
            world.begun = []
            for gateway in world.gateways:
                gateway.answer = lambda timeout: world.begun.append(clock.monotonic()) or error
            return world

        return make

    @pytest.mark.parametrize("regions", [1, 2, 3, 4, 7])
    def test_three_requests_begin_within_a_second(self, clock, failing, regions, shortest_jitter):
        world = failing(regions)

        for _ in range(5):
            with pytest.raises(ClientException, match="no connection"):
                world.fetch(timeout=2.0, retry=True)
            clock.advance(0.25)

        assert min(later - earlier for earlier, later in zip(world.begun, world.begun[3:])) >= module.PACE
        assert {gateway.region_id for gateway in world.gateways} == set(world.log)

    def test_a_refused_identity_counts_as_three_since_its_gateway_may_ask_twice(self, clock, failing):
        world = failing(1, ServerException("InvalidSecurityToken.Expired", "it has expired", http_status=400))

        for _ in range(2):
            with pytest.raises(ServerException):
                world.fetch(timeout=2.0)

        assert world.begun[1] - world.begun[0] >= module.PACE

    def test_a_region_after_the_third_is_asked_when_it_may_be(self, clock):
        world = World(clock, *[WORTH_ANOTHER_REGION[0]] * 3 + [answer(A)])

        assert world.fetch(timeout=2.0).key == A
        assert clock.sleeps == [module.PACE]

    def test_a_region_that_had_to_wait_is_overtaken_no_sooner(self, clock, time_passes):
        world = World(clock, *[WORTH_ANOTHER_REGION[0]] * 3 + [time_passes.after(0.9, answer(A)), answer(B)])

        assert world.fetch(timeout=10.0).key == A
        assert world.log == ["r1", "r2", "r3", "r4"]

    def test_who_has_not_the_time_to_wait_is_told_so_at_once(self, clock, failing):
        world = failing(3)
        with pytest.raises(ClientException, match="no connection"):
            world.fetch(timeout=1.0)

        with pytest.raises(ClientException, match=r"last 3 requests .* failed, and Gateway\(r1\) may be asked in 1.0 s"):
            world.fetch(timeout=1.0)
        assert clock.sleeps == []
        assert len(world.log) == 3

    def test_counts_from_the_end_of_what_took_long_to_arrive(self, clock, time_passes):
        error = WORTH_ANOTHER_REGION[0]
        world = World(clock, *[time_passes.after(0.3, error)] * 3 + [answer(A)])

        assert world.fetch(timeout=5.0).key == A
        assert world.took() == pytest.approx(0.3 + module.PACE)

    def test_counts_from_when_it_has_arrived_what_is_still_under_way(self, clock, time_passes):
        world = World(clock, *[time_passes.never(answer(A))] * 3 + [answer(B), answer(C)])

        assert world.fetch(timeout=1.5).key == B  # overtaken after 0.3 s each
        assert world.took() == pytest.approx(module.ARRIVAL + module.PACE)

    def test_good_answers_are_not_paced(self, clock):
        world = World(clock, answer(A))

        for _ in range(20):
            world.fetch()
        assert clock.sleeps == []

    def test_good_answer_ends_it(self, clock):
        world = World(clock, *[WORTH_ANOTHER_REGION[0]] * 2 + [answer(A)])
        world.fetch(timeout=1.0)

        world.gateways[2].answer = WORTH_ANOTHER_REGION[0]
        with pytest.raises(ClientException, match="no connection"):
            world.fetch(timeout=1.0)
        assert world.log == ["r1", "r2", "r3", "r3", "r1", "r2"]

    def test_secrets_have_one_each(self, clock, failing):
        world = failing(3)
        for name in (NAME, "other"):
            with pytest.raises(ClientException):
                world.fetch(timeout=1.0, name=name)

        assert len(world.log) == 6

    def test_does_not_keep_from_joining_a_request_in_progress(self, clock, time_passes):
        late = answer(A)
        world = World(clock, time_passes.never(late), time_passes.never(late), time_passes.never(late))
        with pytest.raises(ClientException):
            world.fetch(timeout=0.9)

        with pytest.raises(ClientException, match="r1.*r2.*r3"):
            world.fetch(timeout=0.3)
        assert clock.sleeps == []
        assert world.log == ["r1", "r2", "r3"]


class TestOneRequest:
    """Contract 7: at most one a secret and region."""

    def test_hanging_request_is_not_followed_by_another(self, clock, time_passes):
        world = World(clock, time_passes.never(answer(A)))
        for _ in range(3):
            with pytest.raises(ClientException):
                world.fetch()

        assert world.log == ["r1"]

    def test_hanging_request_is_waited_for_again_by_the_fetch_that_began_it(self, clock, time_passes, longest_jitter):
        world = World(clock, time_passes.after(7.0, answer(A)), WORTH_ANOTHER_REGION[3])

        assert world.fetch(timeout=10.0, retry=True).key == A
        assert world.took() == 7.0
        assert world.log.count("r1") == 1

    def test_hanging_request_that_fails_in_a_later_attempt_is_followed_by_another(
        self, clock, time_passes, longest_jitter
    ):
        world = World(clock, time_passes.after(7.0, TIMED_OUT), WORTH_ANOTHER_REGION[3])

        def come_back(seconds):
            world.gateways[0].answer = answer(B)

        clock.on_sleep = come_back

        assert world.fetch(timeout=10.0, retry=True).key == B
        assert world.took() == 8.0

    def test_other_secrets_and_regions_have_their_own(self, clock, time_passes):
        world = World(clock, time_passes.never(answer(A)), answer(B))
        world.fetch()
        world.gateways[1].answer = WORTH_ANOTHER_REGION[0]
        world.gateways[0].answer = answer(C)

        assert world.fetch(name="other").key == C
        assert world.log == ["r1", "r2", "r2", "r1"]

    def test_who_finds_one_in_progress_asks_anew_when_it_has_ended(self, clock, time_passes):
        """It may have read before the rotation."""
        world = World(clock, time_passes.after(8.0, answer(A)))
        with pytest.raises(ClientException):
            world.fetch(timeout=7.0)
        world.gateways[0].answer = answer(B)

        fetched = world.fetch()

        assert fetched.key == B
        assert world.took() == 1.0
        assert world.log == ["r1", "r1"]
        assert world.gateways[0].timeouts == [7.0, 9.0]
        assert world.late[0][1].key == A
        assert world.late[0][1].started < fetched.started

    def test_who_finds_one_in_progress_asks_the_next_region_after_a_second(self, clock, time_passes):
        world = World(clock, time_passes.never(answer(A)), answer(B))
        world.gateways[1].answer = WORTH_ANOTHER_REGION[0]
        with pytest.raises(ClientException):
            world.fetch()
        world.gateways[1].answer = answer(B)

        assert world.fetch().key == B
        assert world.took() == 1.0

    def test_who_finds_one_in_progress_asks_anew_even_when_its_share_is_over(self, clock, time_passes):
        world = World(clock, time_passes.after(8.0, answer(A)), time_passes.never(answer(C)))
        with pytest.raises(ClientException):
            world.fetch(timeout=2.0)
        world.gateways[0].answer = answer(B)

        assert world.fetch(timeout=10.0).key == B
        assert world.took() == 6.0

    def test_fetches_in_two_threads_each_have_an_answer_of_their_own(self, clock):
        gate = Gate(answer(A))
        world = World(clock, gate)
        first = Running(world.fetch)
        gate.wait_entered()
        second = Running(world.fetch)
        (request,) = world.manager._requests.values()
        until(lambda: len(request.inquiries) == 2)
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

    def test_no_lock_is_held_while_asking(self, clock):
        world = World(clock, None)
        held = []
        world.gateways[0].answer = lambda timeout: held.append(world.manager._lock.locked()) or answer(A)

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

    def test_forgotten_threads_of_a_parent_are_not_waited_for(self, clock, time_passes):
        world = World(clock, time_passes.never(answer(A)))
        with pytest.raises(ClientException):
            world.fetch()
        parents_lock = world.manager._lock
        parents_lock.acquire()

        world.manager.forget_threads()

        world.gateways[0].answer = answer(B)
        assert world.fetch().key == B
        assert world.took() == 0
        parents_lock.release()


class TestLateAnswers:
    def test_are_handed_over_with_the_number_of_their_start(self, clock, time_passes):
        world = World(clock, time_passes.never(answer(A)))
        before = next_start()
        with pytest.raises(ClientException):
            world.fetch()
        after = next_start()

        time_passes.release()

        (name, fetched), = world.late
        assert name == NAME
        assert fetched.key == A
        assert before < fetched.started < after

    def test_of_a_region_that_was_overtaken_are_the_older_ones(self, clock, time_passes):
        world = World(clock, time_passes.never(answer(A)), answer(B))
        fetched = world.fetch()

        time_passes.release()

        assert world.late[0][1].started < fetched.started

    def test_of_a_region_that_was_asked_later_are_the_newer_ones(self, clock, time_passes):
        world = World(clock, time_passes.after(1.5, answer(A)), time_passes.never(answer(B)))
        fetched = world.fetch()

        time_passes.release()

        assert world.late[0][1].key == B
        assert world.late[0][1].started > fetched.started

    def test_that_came_together_with_the_one_that_won_are_handed_over(self, clock, time_passes):
        world = World(clock, time_passes.after(1.5, answer(A)), time_passes.after(0.5, answer(B)))
        fetched = world.fetch()

        (name, other), = world.late
        assert {fetched.key, other.key} == {A, B}
        assert world.took() == 1.5

    def test_errors_that_come_late_are_dropped(self, clock, time_passes):
        world = World(clock, time_passes.never(WORTH_ANOTHER_REGION[0]))
        with pytest.raises(ClientException):
            world.fetch()
        time_passes.release()
        world.gateways[0].answer = answer(B)

        assert world.fetch().key == B
        assert world.late == []

    def test_answers_in_time_are_not_handed_over(self, clock):
        world = World(clock, answer(A))
        world.fetch()

        assert world.late == []

    def test_number_of_the_start_grows(self, clock):
        world = World(clock, answer(A))

        assert world.fetch().started < world.fetch().started


    def test_settings_without_a_gateway_say_so(self, clock):
        with pytest.raises(ConfigurationError, match="name no gateway.*cache_client_region_id"):
            SecretsManager([], clock).fetch("app/key", 1.0, True, lambda name, fetched: None)


class TestEqualJitter:
    def test_is_half_fixed_and_half_random(self):
        drawn = [equal_jitter(8.0) for _ in range(200)]

        assert 4.0 <= min(drawn) < 4.5
        assert 7.5 < max(drawn) <= 8.0
