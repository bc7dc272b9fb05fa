"""Contracts 4 and 5: which rejections are answered with another key, after which waits, and what surfaces."""

import gc
import io
import pickle
import threading
import weakref

import pytest
from aliyunsdkcore.acs_exception.exceptions import ClientException, ServerException

from aliyun_sdk_secretsmanager_common_plugin import (
    AKExpireHandler,
    DefaultAKExpireHandler,
    ManagedCredentialsError,
    ReplayError,
    ak_expire_handler,
    default_ak_expire_handler,
)
from aliyun_sdk_secretsmanager_common_plugin import lease as lease_module
from aliyun_sdk_secretsmanager_common_plugin.cache import Cache
from aliyun_sdk_secretsmanager_common_plugin.lease import Lease
from aliyun_sdk_secretsmanager_common_plugin.secrets_manager import Fetched

from .fakes import Source, key

NAME = "app/key"
A, B, C, D = (key(name) for name in "ABCD")
WAITS = [0.2, 0.4, 0.8, 1.6]


class ServiceError(Exception):
    def __init__(self, code):
        super(ServiceError, self).__init__(code)
        self.code = code


class Codes(DefaultAKExpireHandler):
    """A default handler, as a plugin defines one."""

    def __init__(self, codes="InvalidAccessKeyId"):
        self.codes = codes

    def get_ak_expire_code(self):
        return self.codes

    def get_error_code(self, exception):
        return exception.code if isinstance(exception, ServiceError) else None


class Judge(AKExpireHandler):
    """A handler of a user's: asks ``verdict``, and keeps what it was asked about."""

    def __init__(self, verdict=lambda error: True):
        self.verdict = verdict
        self.judged = []

    def judge_ak_expire(self, exception):
        self.judged.append(exception)
        return self.verdict(exception)


class World:
    """A cache in front of a scripted Secrets Manager, and a service that accepts some keys."""

    def __init__(self, clock, accepts=(A,), asynchronous=False):
        self.clock = clock
        self.asynchronous = asynchronous
        self.accepts = set(accepts)
        self.code = "InvalidAccessKeyId"
        self.events = []
        self.errors = []
        self.source = Source(A)
        self.cache = Cache(self.source, clock, lambda name, seconds: None, 3600, 10, 2)
        renewal = self.cache.renewal

        def observed(name, rejected):
            self.events.append("renew")
            return renewal(name, rejected)

        async def observed_async(name, rejected):
            return observed(name, rejected)

        self.cache.renewal = observed
        if asynchronous:
            self.cache.renewal_async = observed_async
        clock.on_sleep = lambda seconds: self.events.append(seconds)

    def lease(self, handler=None, **options):
        return Lease(NAME, self.cache, self.clock, handler or Codes(), lambda: None, **options)

    def send(self, pull):
        one = pull()
        self.events.append(one)
        if one in self.accepts:
            return "answer", None
        self.errors.append(ServiceError(self.code))
        return "refusal", self.errors[-1]

    def call(self, lease=None, rewind=lambda: None, send=None):
        lease, send = lease or self.lease(), send or self.send
        if not self.asynchronous:
            return lease.call(send, rewind)
        self.cache.get(NAME)  # so that nothing is awaited that takes an event loop

        async def sent(pull):
            return send(pull)

        return lease_module._at_once(lease.call_async(sent, rewind))

    def sent(self):
        return [event for event in self.events if not isinstance(event, (str, float))]

    def rotate(self, *keys):
        """Let the cache read A, and have Secrets Manager give each of ``keys``, the last one for ever."""
        self.cache.get(NAME)
        keys = list(keys)
        self.source.answer = lambda asked: keys.pop(0) if len(keys) > 1 else keys[0]


@pytest.fixture
def world(clock):
    return World(clock)


class InBothWays:
    @pytest.fixture(params=["call", "call_async"])
    def world(self, clock, request):
        return World(clock, asynchronous=request.param == "call_async")


class TestAcceptedCall(InBothWays):
    def test_is_sent_once_with_the_current_key(self, world):
        assert world.call() == ("answer", None)
        assert world.events == [A]

    def test_another_error_of_the_service_is_returned_as_it_is(self, world):
        world.accepts = set()
        world.code = "Throttling"

        assert world.call() == ("refusal", world.errors[0])
        assert world.events == [A]

    def test_signs_with_the_key_though_the_secret_goes_out_of_use_before(self, world):
        def send(pull):
            world.cache.retire(NAME)
            return world.send(pull)

        assert world.call(send=send) == ("answer", None)
        assert world.events == [A]

    def test_error_that_send_raises_passes_and_is_not_judged(self, world):
        judge = Judge()

        def fail(pull):
            pull()
            raise ServiceError("InvalidAccessKeyId")

        with pytest.raises(ServiceError):
            world.call(world.lease(judge), send=fail)
        assert judge.judged == []
        assert len(world.source.asked) == 1


class TestRenewAndReplay(InBothWays):
    def test_rejected_key_is_renewed_and_the_call_replayed(self, world):
        world.rotate(B)
        world.accepts = {B}

        assert world.call() == ("answer", None)
        assert world.events == [A, "renew", B]
        assert world.clock.sleeps == []

    def test_rewind_comes_before_each_replay_and_not_before_the_first_attempt(self, world):
        world.rotate(B, C)
        world.accepts = {C}

        world.call(rewind=lambda: world.events.append("rewind"))

        assert world.events == [A, "renew", "rewind", B, "renew", "rewind", C]

    def test_at_most_three_keys(self, world):
        world.rotate(B, C, D)
        world.accepts = {D}

        _, error = world.call()

        assert world.sent() == [A, B, C]
        assert error is world.errors[-1]

    def test_key_that_another_call_had_accepted_during_the_attempt_is_tried_again(self, world):
        world.rotate(B)
        world.accepts = set()
        lease = world.lease()
        sent = []

        def send(pull):
            key = pull()
            sent.append(key)
            if key == B and sent.count(B) == 1:  # refused, and then known to the service before the answer arrives
                world.accepts = {B}
                assert world.call(lease)[1] is None
                return None, ServiceError("InvalidAccessKeyId")
            return world.send(lambda: key)

        assert world.call(lease, send=send)[1] is None
        assert sent == [A, B, B]

    def test_at_most_three_keys_when_one_comes_during_a_wait(self, world):
        world.rotate(B, C)
        world.accepts = set()
        world.clock.on_sleep = lambda seconds: world.cache.store(NAME, Fetched(1000, D))

        world.call()

        assert len(set(world.sent())) <= 3

    def test_new_key_is_used_though_the_secret_goes_out_of_use_meanwhile(self, world):
        """Another thread shuts the last client down: then the cache has no current key."""
        world.rotate(B)
        world.accepts = {B}

        assert world.call(rewind=lambda: world.cache.retire(NAME)) == ("answer", None)
        assert world.sent() == [A, B]

    def test_key_that_others_renewed_meanwhile_needs_no_fetch(self, world):
        lease = world.lease()
        world.rotate(B)
        world.accepts = {B}

        def send(pull):
            answer = world.send(pull)
            if len(world.sent()) == 1:
                world.cache.store(NAME, Fetched(1000, B))
            return answer

        assert world.call(lease, send=send) == ("answer", None)
        assert world.sent() == [A, B]
        assert len(world.source.asked) == 1

    def test_what_surfaces_is_the_last_error_of_the_service(self, world):
        world.rotate(B, C, D)
        world.accepts = set()

        _, error = world.call()

        assert error is world.errors[2]
        assert len(world.errors) == 3


class TestYoungKey(InBothWays):
    """A key that replaced another may not be known to the service yet."""

    @pytest.fixture
    def young(self, world):
        """Key B has just replaced A; Secrets Manager has nothing newer."""
        world.rotate(B)
        world.accepts = set()
        return world

    def test_is_tried_again_after_each_wait_asking_renew_before(self, young):
        _, error = young.call()

        assert young.events == [A, "renew"] + [
            event for wait in WAITS for event in (B, "renew", wait)] + [B, "renew"]
        assert error is young.errors[-1]
        assert error.__cause__ is None

    @pytest.mark.parametrize("waits", [1, 2, 3, 4])
    def test_serves_as_soon_as_the_service_knows_it(self, young, waits):
        def learn(seconds):
            if len(young.clock.sleeps) == waits:
                young.accepts.add(B)

        young.clock.on_sleep = learn

        assert young.call() == ("answer", None)
        assert young.clock.sleeps == WAITS[:waits]

    def test_still_newer_key_ends_the_waiting(self, young):
        young.accepts = {C}

        def rotate(seconds):
            young.events.append(seconds)
            if len(young.clock.sleeps) == 2:
                young.source.answer = C

        young.clock.on_sleep = rotate

        assert young.call() == ("answer", None)
        assert young.sent()[-1] is C
        assert young.events[-2:] == ["renew", C]
        assert young.clock.sleeps == WAITS[:2]

    def test_key_that_another_thread_got_during_the_wait_is_used_next(self, young):
        young.accepts = {C}
        young.clock.on_sleep = lambda seconds: young.cache.store(NAME, Fetched(1000, C))

        assert young.call() == ("answer", None)
        assert young.sent() == [A, B, C]
        assert young.clock.sleeps == WAITS[:1]

    def test_each_new_key_has_waits_of_its_own(self, young):
        def rotate(seconds):
            if len(young.clock.sleeps) == 2:
                young.source.answer = C

        young.clock.on_sleep = rotate

        young.call()

        assert young.clock.sleeps == WAITS[:2] + WAITS
        assert set(young.sent()) == {A, B, C}

    def test_rewind_comes_before_each_try(self, young):
        rewinds = []

        young.call(rewind=lambda: rewinds.append(len(young.sent())))

        assert rewinds == [1, 2, 3, 4, 5]

    def test_failed_renewal_ends_the_waiting(self, young):
        def fail(seconds):
            young.source.answer = ClientException("SDK.HttpError", "no answer")

        young.clock.on_sleep = fail

        _, error = young.call()

        assert len(young.clock.sleeps) < 4
        assert "no answer" in str(error.__cause__)

    def test_read_by_another_client_is_young_for_this_one_too(self, young):
        young.cache.renew(NAME, A)
        young.clock.advance(29)

        young.call()

        assert young.clock.sleeps[0] == 0.2

    def test_that_is_half_a_minute_old_surfaces_at_once(self, young):
        young.cache.renew(NAME, A)
        young.clock.advance(30)

        young.call()

        assert young.clock.sleeps == []
        assert young.sent() == [B]

    def test_that_this_client_had_accepted_surfaces_at_once(self, young):
        lease = young.lease()
        young.accepts = {B}
        assert young.call(lease) == ("answer", None)
        young.accepts = set()
        del young.events[:]

        young.call(lease)

        assert young.clock.sleeps == []
        assert young.events == [B, "renew"]

    def test_that_this_client_had_accepted_surfaces_at_once_though_a_call_with_the_former_key_ends_later(self, young):
        lease = young.lease()

        def send(pull):
            answer = pull(), None
            young.accepts = {B}
            young.cache.renew(NAME, A)
            assert young.call(lease) == ("answer", None)
            return answer

        assert young.call(lease, send=send) == (A, None)
        young.accepts = set()

        young.call(lease)

        assert young.clock.sleeps == []

    def test_that_another_call_had_accepted_before_the_attempt_surfaces_at_once(self, young):
        lease = young.lease()

        def rewind():
            young.accepts = {B}
            assert young.call(lease) == ("answer", None)
            young.accepts = set()

        young.call(lease, rewind)

        assert young.clock.sleeps == []
        assert young.sent() == [A, B, B]

    def test_that_another_client_had_accepted_is_tried_again(self, young):
        young.accepts = {B}
        young.call(young.lease())
        young.accepts = set()

        young.call(young.lease())

        assert young.clock.sleeps == WAITS


class TestSurfacesAtOnce(InBothWays):
    def test_first_key(self, world):
        world.accepts = set()

        _, error = world.call()

        assert world.events == [A, "renew"]
        assert error is world.errors[0]
        assert error.__cause__ is None

    def test_first_key_again_and_again(self, world):
        world.accepts = set()
        for _ in range(20):
            world.call()

        assert world.clock.sleeps == []
        assert len(world.source.asked) == 2

    @pytest.mark.parametrize("failure", [
        ServerException("Forbidden.KMS", "not allowed", 403, "1"), ClientException("SDK.HttpError", "no answer")])
    def test_failed_renewal_is_the_cause(self, world, failure, caplog):
        world.rotate(failure)
        world.accepts = set()

        _, error = world.call()

        assert error is world.errors[0]
        assert type(error.__cause__) is type(failure)
        assert str(error.__cause__) == str(failure)
        assert str(failure) in caplog.text
        assert world.clock.sleeps == []

    def test_failed_renewal_is_the_cause_during_the_cool_down_too(self, world):
        world.rotate(ClientException("SDK.HttpError", "no answer"))
        world.accepts = set()
        world.call()

        _, error = world.call()

        assert "no answer" in str(error.__cause__)
        assert len(world.source.asked) == 2

    def test_failed_renewal_of_a_young_key(self, world):
        world.rotate(B)
        world.cache.renew(NAME, A)
        world.source.answer = ClientException("SDK.HttpError", "no answer")
        world.accepts = set()

        world.call()

        assert world.clock.sleeps == []

    def test_without_a_failed_renewal_the_errors_own_chain_stays(self, world):
        def send(pull):
            pull()
            try:
                try:
                    raise ValueError("the transport's")
                except ValueError as reason:
                    raise ServiceError("InvalidAccessKeyId") from reason
            except ServiceError as error:
                return None, error

        _, error = world.lease().call(send, lambda: None)

        assert str(error.__cause__) == "the transport's"


class TestReplay:
    """``replay``, by which a plugin needs to know neither of rewinding nor of errors that are returned."""

    @staticmethod
    def send(world, used):
        def send(access_key):
            used.append(access_key)
            if access_key not in world.accepts:
                raise ServiceError(world.code)
            return "done"

        return send

    def test_returns_what_send_returns(self, world):
        used = []

        assert world.lease().replay(self.send(world, used)) == "done"
        assert used == [A]

    def test_renews_a_rejected_key_and_sends_again(self, world):
        lease = world.lease()
        lease.access_key()
        world.rotate(B)
        world.accepts = {B}
        used = []

        assert lease.replay(self.send(world, used)) == "done"
        assert used == [A, B]

    def test_raises_what_send_raised_last_with_its_own_chain(self, world):
        world.accepts = set()
        used = []

        with pytest.raises(ServiceError) as caught:
            world.lease().replay(self.send(world, used))

        assert caught.value.code == "InvalidAccessKeyId"
        assert "send" in [entry.name for entry in caught.traceback]

    def test_another_error_is_judged_and_passes(self, world):
        judge = Judge(lambda error: False)
        refused = KeyError("refused")

        def send(access_key):
            raise refused

        with pytest.raises(KeyError) as caught:
            world.lease(judge).replay(send)

        assert caught.value is refused
        assert judge.judged == [refused]

    def test_errors_of_reading_the_secret_are_not_judged(self, world):
        world.source.answer = ServerException("InvalidAccessKeyId", "ours", 403)
        judge = Judge()

        with pytest.raises(ServerException):
            world.lease(judge).replay(lambda access_key: "done")

        assert judge.judged == []

    def test_request_that_cannot_be_rewound_is_not_sent_again(self, world):
        lease = world.lease()
        lease.access_key()
        world.rotate(B)
        world.accepts = {B}
        used = []

        with pytest.raises(ServiceError) as caught:
            lease.replay(self.send(world, used), rewind=lambda: ReplayError("the body is gone"))

        assert used == [A]
        assert "the body is gone" in str(caught.value.__cause__)

    def test_rewind_may_return_what_it_likes(self, world):
        lease = world.lease()
        lease.access_key()
        world.rotate(B)
        world.accepts = {B}
        body = io.BytesIO(b"content")

        assert lease.replay(self.send(world, []), rewind=lambda: body.seek(0)) == "done"

    def test_another_exception_that_rewind_returns_is_the_cause(self, world):
        world.rotate(B)
        reason = OSError("gone")
        world.accepts = set()

        with pytest.raises(ServiceError) as caught:
            world.lease().replay(self.send(world, []), rewind=lambda: reason)

        assert caught.value.__cause__ is reason

    def test_exception_that_rewind_raises_does_not_hide_the_services_error(self, world, caplog):
        world.rotate(B)
        world.accepts = {B}
        used = []
        body = io.BytesIO(b"content")
        body.close()

        with pytest.raises(ServiceError) as caught:
            world.lease().replay(self.send(world, used), rewind=lambda: body.seek(0))

        cause = caught.value.__cause__
        assert used == [A]
        assert isinstance(cause, ReplayError)
        assert isinstance(cause.__cause__, ValueError)
        assert "closed file" in str(cause)
        assert "closed file" in caplog.text


class Body:
    """What a user sends."""


class TestFailedCallLeavesNothingToTheGarbageCollector:
    @pytest.fixture(autouse=True)
    def collector_is_off(self):
        gc.collect()
        gc.disable()
        yield
        gc.enable()

    @staticmethod
    def is_gone_after(lease, errors, rewind=None):
        """Whether the body of a call, that raises ``errors`` one attempt each, goes with the last of them."""
        body = Body()
        reference = weakref.ref(body)
        lease.access_key()

        def send(access_key, body=body):
            raise errors.pop(0)

        with pytest.raises((ServiceError, ValueError, KeyboardInterrupt)):
            lease.replay(send, rewind)
        del body, send
        return reference() is None

    def test_that_is_no_matter_of_the_key(self, world):
        assert self.is_gone_after(world.lease(), [ValueError()])

    def test_that_was_replayed(self, world):
        world.rotate(B, C, D)

        assert self.is_gone_after(world.lease(), [ServiceError("InvalidAccessKeyId") for _ in range(3)])

    def test_that_ends_in_what_is_no_answer(self, world):
        world.rotate(B)

        assert self.is_gone_after(world.lease(), [ServiceError("InvalidAccessKeyId"), KeyboardInterrupt()])

    def test_that_could_not_be_rewound(self, world):
        def rewind():
            raise ValueError("closed")

        world.rotate(B)

        assert self.is_gone_after(world.lease(), [ServiceError("InvalidAccessKeyId")], rewind)


def test_lease_cannot_be_pickled_and_says_what_to_do(world):
    with pytest.raises(TypeError, match="'app/key'.* make a client in each process"):
        pickle.dumps(world.lease())


class TestRewindThatFails:
    def test_surfaces_the_services_error_with_the_reason_and_the_key_is_renewed_for_the_next_call(self, world, caplog):
        world.rotate(B)
        world.accepts = {B}
        reason = ReplayError("the body is a generator")

        _, error = world.call(rewind=lambda: reason)

        assert error is world.errors[0]
        assert error.__cause__ is reason
        assert world.sent() == [A]
        assert "the body is a generator" in caplog.text
        assert world.call() == ("answer", None)
        assert world.sent() == [A, B]


class TestAcceptedEndsTheCoolDown:
    """Contract 3: a call that the service accepted with that key ends the cool-down."""

    def next_rotation_is_seen(self, world):
        world.source.answer = B
        return world.cache.renew(NAME, A) is B

    def test_of_the_client_that_was_rejected(self, world):
        lease = world.lease()
        world.accepts = set()
        world.call(lease)
        assert world.cache.renew(NAME, A) is None

        world.accepts = {A}
        world.call(lease)

        assert self.next_rotation_is_seen(world)

    def test_of_another_client(self, world):
        world.accepts = set()
        world.call(world.lease())

        world.accepts = {A}
        world.call(world.lease())

        assert self.next_rotation_is_seen(world)

    def test_that_came_between_the_rejection_and_the_renewal(self, world):
        """Another thread's accepted call comes in while this one's renewal is under way; a later one counts, too."""
        lease = world.lease()
        world.accepts = set()
        world.cache.get(NAME)

        def accept_meanwhile(asked):
            world.accepts = {A}
            world.call(lease)
            return A

        world.source.answer = accept_meanwhile
        world.call(lease)

        world.call(lease)

        assert self.next_rotation_is_seen(world)


class TestJudge:
    def test_is_given_the_services_error_and_decides_alone(self, world):
        judge = Judge(lambda error: error.code == "Custom")
        world.rotate(B)
        world.accepts = {B}
        world.code = "Custom"

        assert world.call(world.lease(judge)) == ("answer", None)
        assert judge.judged == [world.errors[0]]

    def test_no_is_no_though_the_code_is_a_usual_one(self, world):
        world.rotate(B)
        world.accepts = {B}

        assert world.call(world.lease(Judge(lambda error: False))) == ("refusal", world.errors[0])
        assert world.sent() == [A]

    def test_one_that_raises_is_logged_and_counts_as_no(self, world, caplog):
        def fail(error):
            raise RuntimeError("a mistake of the user's")

        world.rotate(B)
        world.accepts = {B}

        assert world.call(world.lease(Judge(fail))) == ("refusal", world.errors[0])
        assert "a mistake of the user's" in caplog.text
        assert "Judge" in caplog.text
        assert "secret-of" not in caplog.text

    def test_one_that_is_not_finished_counts_as_no(self, world, caplog):
        world.accepts = set()

        assert world.call(world.lease(AKExpireHandler())) == ("refusal", world.errors[0])
        assert "judge_ak_expire" in caplog.text

    def test_errors_of_reading_the_secret_are_not_judged(self, world):
        judge = Judge()
        world.source.answer = ServerException("InvalidAccessKeyId.NotFound", "our own identity", 404, "1")

        with pytest.raises(ServerException):
            world.call(world.lease(judge))
        assert judge.judged == []
        assert len(world.source.asked) == 1

    def test_errors_of_renewing_the_secret_are_not_judged(self, world):
        judge = Judge()
        world.rotate(ServerException("InvalidAccessKeyId.NotFound", "our own identity", 404, "1"))
        world.accepts = set()

        _, error = world.call(world.lease(judge))

        assert judge.judged == [error]
        assert error is world.errors[0]


class TestDefaultHandler:
    @pytest.mark.parametrize(("codes", "expected"), [
        ("InvalidAccessKeyId", True),
        ("InvalidAccessKeyId.NotFound", False),
        ("xInvalidAccessKeyIdx", False),
        (("Other", "InvalidAccessKeyId"), True),
        (["InvalidAccessKeyId"], True),
        ({"InvalidAccessKeyId"}, True),
        ((), False),
    ])
    def test_takes_one_code_or_several(self, codes, expected):
        assert Codes(codes).judge_ak_expire(ServiceError("InvalidAccessKeyId")) is expected

    def test_error_without_a_code_is_none_of_the_keys(self):
        assert not Codes().judge_ak_expire(ValueError("InvalidAccessKeyId"))
        assert not Codes().judge_token_expire(ValueError("InvalidSecurityToken.Expired"))

    def test_documented_paths(self):
        assert ak_expire_handler.AKExpireHandler is AKExpireHandler
        assert default_ak_expire_handler.DefaultAKExpireHandler is DefaultAKExpireHandler

    def test_unfinished_subclass_is_told_what_to_define(self):
        with pytest.raises(NotImplementedError, match="get_error_code"):
            DefaultAKExpireHandler().get_error_code(ValueError())


class TestTokenCodes:
    WITH_TOKEN = key("T", token="the-token")

    @pytest.mark.parametrize("code", [
        "InvalidSecurityToken.Expired", "InvalidSecurityToken.Malformed", "InvalidSecurityToken"])
    def test_mean_a_rejected_key_where_the_secret_has_a_token(self, world, code):
        world.source.answer = self.WITH_TOKEN
        world.rotate(B)
        world.accepts = {B}
        world.code = code

        assert world.call() == ("answer", None)
        assert world.sent() == [self.WITH_TOKEN, B]

    def test_mean_nothing_where_it_has_none(self, world):
        world.rotate(B)
        world.accepts = {B}
        world.code = "InvalidSecurityToken.Expired"

        assert world.call() == ("refusal", world.errors[0])

    @pytest.mark.parametrize("code", ["InvalidSecurityTokens", "NotInvalidSecurityToken.Expired", "SecurityToken"])
    def test_others_that_look_alike_do_not(self, world, code):
        world.source.answer = self.WITH_TOKEN
        world.rotate(B)
        world.accepts = {B}
        world.code = code

        assert world.call() == ("refusal", world.errors[0])

    def test_are_no_matter_of_a_users_own_judge(self, world):
        world.source.answer = self.WITH_TOKEN
        world.rotate(B)
        world.accepts = {B}
        world.code = "InvalidSecurityToken.Expired"

        assert world.call(world.lease(Judge(lambda error: False))) == ("refusal", world.errors[0])

    def test_are_no_matter_of_a_default_handler_whose_judgement_a_user_replaced(self, world):
        """Contract 5: judge_ak_expire alone decides."""
        class Never(Codes):
            def judge_ak_expire(self, exception):
                return False

        world.source.answer = self.WITH_TOKEN
        world.rotate(B)
        world.accepts = {B}
        world.code = "InvalidSecurityToken.Expired"

        assert world.call(world.lease(Never())) == ("refusal", world.errors[0])


class TestLease:
    def test_access_key_is_the_current_one(self, world):
        lease = world.lease()
        assert lease.access_key() is A
        world.source.answer = B
        world.cache.renew(NAME, A)
        assert lease.access_key() is B

    def test_close_releases_once(self, world):
        released = []
        lease = Lease(NAME, world.cache, world.clock, Codes(), lambda: released.append(1))
        lease.close()
        lease.close()

        assert released == [1]

    def test_closed_one_says_so_and_names_the_secret(self, world):
        lease = world.lease()
        lease.close()

        for use in (lease.access_key, lambda: lease.call(world.send, lambda: None)):
            with pytest.raises(ManagedCredentialsError, match="'app/key' was shut down"):
                use()
        assert world.events == []

    def test_begins_comes_before_each_read(self, world):
        lease = world.lease(begins=lambda: world.events.append("begins"))
        lease.access_key()
        world.call(lease)

        assert world.events == ["begins", "begins", A]

    def test_shows_the_secrets_name_only(self, world):
        lease = world.lease()
        lease.access_key()

        assert repr(lease) == "Lease('app/key')"

    def test_sixteen_threads_need_one_renewal_and_no_call_fails(self, world, in_threads):
        """The issue: 16 threads, one rotation: 0 failed calls, 1 renewal."""
        world.cache.get(NAME)
        all_rejected = threading.Barrier(16)
        first = threading.local()
        world.source.answer = B
        world.accepts = {B}
        lease = world.lease()

        def send(pull):
            answer = world.send(pull)
            if not getattr(first, "done", False):
                first.done = True
                all_rejected.wait(10)
            return answer

        answers = in_threads([lambda: lease.call(send, lambda: None)] * 16)

        assert answers == [("answer", None)] * 16
        assert len(world.source.asked) == 2
