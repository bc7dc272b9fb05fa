"""Contract 4: how often a key is tried again that services may not know yet, and when a call ends."""

import itertools

import pytest
from aliyunsdkcore.acs_exception.exceptions import ClientException
from hypothesis import given
from hypothesis.strategies import lists, sampled_from, tuples

from aliyun_sdk_secretsmanager_common_plugin.keeper import Renewal
from aliyun_sdk_secretsmanager_common_plugin.lease import Lease
from tests.common.fakes import FakeClock, quick

from .accounts import ScriptedAccount
from .world import NAME, WAITS, A, B, C, Codes, D, InBothWays, ServiceError


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
        young.clock.on_sleep = lambda seconds: young.account.store(NAME, C)

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
        young.account.renew_elsewhere(NAME, A)
        young.clock.advance(29)

        young.call()

        assert young.clock.sleeps[0] == 0.2

    def test_that_is_half_a_minute_old_surfaces_at_once(self, young):
        young.account.renew_elsewhere(NAME, A)
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
            young.account.renew_elsewhere(NAME, A)
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


class TestWhateverSecretsManagerAnswers:
    """Contract 4: of the rejected keys only a young one is sent again, and a call is sent 15 times at most."""

    class Flight:
        """A call that a service rejects with every key, while a script decides the renewals."""

        def __init__(self, clock, renew, current=A):
            self.account = ScriptedAccount(current, renew)
            self.sent = []
            self.rejected_when_sent = []
            self.clock = clock

        def call(self):
            def send(pull):
                one = pull()
                self.rejected_when_sent.append(one in self.sent)
                self.sent.append(one)
                return None, ServiceError("InvalidAccessKeyId")

            return Lease(NAME, self.account, self.clock, Codes(), lambda: None).call(send, lambda: None)

    def test_answers_that_flap_between_two_rejected_keys(self, clock):
        flight = self.Flight(clock, lambda rejected: Renewal(A if rejected == B else B))

        _, error = flight.call()

        assert flight.sent == [A, B]
        assert isinstance(error, ServiceError)

    def test_three_rejected_keys_in_turn(self, clock):
        following = {A: B, B: C, C: A}
        flight = self.Flight(clock, lambda rejected: Renewal(following[rejected]))

        flight.call()

        assert flight.sent == [A, B, C]

    def test_rollback_to_a_key_that_was_rejected_while_the_call_waits_for_a_young_one(self, clock):
        flight = self.Flight(clock, lambda rejected: Renewal(B) if rejected == A else Renewal(None, None, 1.0))
        clock.on_sleep = lambda seconds: setattr(flight.account, "key", A)

        flight.call()

        assert flight.sent == [A] + 5 * [B]

    def test_young_keys_one_after_the_other_are_fifteen_attempts(self, clock):
        asked = []

        def renew(rejected):
            asked.append(rejected)
            following = {A: B, B: C}.get(rejected)
            return Renewal(following) if following and asked.count(rejected) == 5 else Renewal(None, None, 1.0)

        flight = self.Flight(clock, renew)

        flight.call()

        assert flight.sent == 5 * [A] + 5 * [B] + 5 * [C]

    @quick
    @given(
        renewals=lists(tuples(sampled_from([None, None, A, B, C, D]), sampled_from([None, 0.0, 29.9, 30.0])), min_size=1),
        others=lists(sampled_from([None, A, B, C, D]), min_size=1),
    )
    def test_no_more_whatever_renewals_and_other_threads_bring(self, renewals, others):
        """A renewal brings a key, or nothing for a key of some age; other threads may store a key before each attempt."""
        clock = FakeClock()
        renewals, others = itertools.cycle(renewals), itertools.cycle(others)
        came_to = []

        def renew(rejected):
            brought, age = next(renewals)
            flight.account.key = next(others) or flight.account.key
            if brought == rejected:
                brought = None
            came_to.append(Renewal(brought, None, age))
            return came_to[-1]

        flight = self.Flight(clock, renew)
        _, error = flight.call()

        assert error is not None
        assert len(flight.sent) <= 15
        assert len(set(flight.sent)) <= 3
        for renewal, again in zip(came_to, flight.rejected_when_sent[1:]):
            is_young = renewal.key is None and renewal.age is not None and renewal.age < 30
            assert is_young or not again
