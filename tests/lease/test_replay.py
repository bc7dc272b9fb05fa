"""``Lease.replay``, requests that are restored before they are sent again, and what a failed call leaves."""

import gc
import io
import weakref

import pytest
from aliyunsdkcore.acs_exception.exceptions import ServerException

from aliyun_sdk_secretsmanager_common_plugin import ReplayError

from .world import A, B, C, D, Judge, ServiceError


class TestReplay:
    """``replay`` needs no rewind, and takes the errors that ``send`` raises."""

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
        (record,) = [record for record in caplog.records if "closed file" in record.getMessage()]
        assert record.version_id == A.version_id


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


class Body:
    """The body of a user's request."""


class TestFailedCallLeavesNothingToTheGarbageCollector:
    @pytest.fixture(autouse=True)
    def collector_is_off(self):
        gc.collect()
        gc.disable()
        yield
        gc.enable()

    @staticmethod
    def is_gone_after(lease, errors, rewind=None):
        """Return whether the body of a call, each attempt of which raises an error, is gone after the last one."""
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
