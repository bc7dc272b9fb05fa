"""Contract 4: which rejected calls are sent again, with which keys, and which error surfaces."""

import pytest
from aliyunsdkcore.acs_exception.exceptions import ClientException, ServerException

from .world import NAME, A, B, C, D, InBothWays, Judge, ServiceError


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
            world.account.retire()
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
            if key == B and sent.count(B) == 1:  # rejected, and then known to the service before the answer arrives
                world.accepts = {B}
                assert world.call(lease)[1] is None
                return None, ServiceError("InvalidAccessKeyId")
            return world.send(lambda: key)

        assert world.call(lease, send=send)[1] is None
        assert sent == [A, B, B]

    def test_at_most_three_keys_when_one_comes_during_a_wait(self, world):
        world.rotate(B, C)
        world.accepts = set()
        world.clock.on_sleep = lambda seconds: world.account.store(NAME, D)

        world.call()

        assert len(set(world.sent())) <= 3

    def test_new_key_is_used_though_the_secret_goes_out_of_use_meanwhile(self, world):
        """Another thread shuts the last client down: then the account has no current key."""
        world.rotate(B)
        world.accepts = {B}

        assert world.call(rewind=lambda: world.account.retire()) == ("answer", None)
        assert world.sent() == [A, B]

    def test_key_that_others_renewed_meanwhile_needs_no_fetch(self, world):
        lease = world.lease()
        world.rotate(B)
        world.accepts = {B}

        def send(pull):
            answer = world.send(pull)
            if len(world.sent()) == 1:
                world.account.store(NAME, B)
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
        world.account.renew_elsewhere(NAME, A)
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


class TestAcceptedCallIsTold:
    """Contract 3: an accepted call ends the doubling of the cool-down, not the cool-down that runs."""

    @pytest.fixture(autouse=True)
    def jitter(self, longest_jitter):
        pass

    @staticmethod
    def is_renewed_after(world, seconds):
        """Return whether a renewal fetches, so many seconds after one that brought nothing."""
        world.clock.advance(seconds)
        asked = len(world.source.asked)
        world.account.renew_elsewhere(NAME, A)
        return len(world.source.asked) == asked + 1

    @pytest.fixture
    def refused(self, world):
        """A service has rejected the key twice, and the cool-down has doubled."""
        world.accepts = set()
        for _ in range(2):
            world.call()
            world.clock.advance(0.6)
        world.call()
        assert len(world.source.asked) == 3
        return world

    def test_running_cool_down_goes_on(self, refused):
        refused.accepts = {A}
        refused.call()

        assert not self.is_renewed_after(refused, 0.3)

    @pytest.mark.parametrize("after", [0.1, 0.39])
    def test_next_cool_down_is_a_first_one(self, refused, after):
        refused.clock.advance(after)
        refused.accepts = {A}
        refused.call()

        assert self.is_renewed_after(refused, 0.41 - after)
        assert self.is_renewed_after(refused, 0.51)

    def test_without_one_the_cool_down_doubles(self, refused):
        assert self.is_renewed_after(refused, 0.41)
        assert not self.is_renewed_after(refused, 1.9)
        assert self.is_renewed_after(refused, 0.2)

    def test_first_call_and_replay_that_are_accepted_count_both(self, world):
        told = []
        world.account.accepted = lambda name, one: told.append((name, one))
        world.call()
        world.rotate(B)
        world.accepts = {B}
        world.call()

        assert told == [(NAME, A), (NAME, B)]
