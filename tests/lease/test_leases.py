"""What a client holds: the current key, until it is closed."""

import pickle
import threading

import pytest

from aliyun_sdk_secretsmanager_common_plugin import ManagedCredentialsError
from aliyun_sdk_secretsmanager_common_plugin.lease import Lease

from .world import NAME, A, B, Codes


class TestLease:
    def test_access_key_is_the_current_one(self, world):
        lease = world.lease()
        assert lease.access_key() is A
        world.source.answer = B
        world.account.renew_elsewhere(NAME, A)
        assert lease.access_key() is B

    def test_close_that_an_exception_cut_short_may_be_repeated(self, world):
        interrupted = [KeyboardInterrupt()]

        def release():
            if interrupted:
                raise interrupted.pop()
            world.events.append("released")

        lease = Lease(NAME, world.account, world.clock, Codes(), release)
        with pytest.raises(KeyboardInterrupt):
            lease.close()
        lease.close()

        assert world.events == ["released"]

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
        """Sixteen threads and one rotation are no failed call and one renewal."""
        world.account.get(NAME)
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


def test_lease_cannot_be_pickled_and_says_what_to_do(world):
    with pytest.raises(TypeError, match="'app/key'.* make a client in each process"):
        pickle.dumps(world.lease())
