"""What a credentials provider asks of a lease: keys for somebody else's signatures, and renewals in the background."""

from types import SimpleNamespace

import pytest

from aliyun_sdk_secretsmanager_common_plugin import ManagedCredentialsError

from .world import NAME, A, B, InBothWays, at_once


class TestProvidedKey(InBothWays):
    @pytest.fixture
    def provide(self, world):
        lease = world.lease()
        if world.asynchronous:
            return lambda: at_once(lease.provide_async())
        return lease.provide

    def test_is_the_current_one_and_its_use_is_noted(self, world, provide):
        assert provide() is A
        world.account.store(NAME, B)
        assert provide() is B
        assert world.account.signatures == [NAME, NAME]


class TestRejectedKey:
    @pytest.fixture
    def lease(self, world):
        world.account.get(NAME)
        return world.lease()

    @pytest.mark.parametrize("form", [lambda key: key, lambda key: key.access_key_id,
                                      lambda key: SimpleNamespace(access_key_id=key.access_key_id)],
                             ids=["key", "id", "credentials of an SDK"])
    def test_is_renewed_if_it_is_the_current_one(self, world, lease, form):
        lease.rejected(form(B))
        assert world.account.renewals == []

        lease.rejected(form(A))
        assert world.account.renewals == [(NAME, A)]

    def test_is_not_renewed_before_the_first_read(self, world):
        world.lease().rejected(A)

        assert world.account.renewals == []

    def test_of_a_closed_client_is_an_error(self, world, lease):
        lease.close()

        with pytest.raises(ManagedCredentialsError, match="was shut down"):
            lease.rejected(A)
