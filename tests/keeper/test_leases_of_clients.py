"""Contract 10: which secrets are in use, and what happens to the key of a secret that no client uses any more."""

import pytest
from aliyunsdkcore.acs_exception.exceptions import ServerException

from aliyun_sdk_secretsmanager_common_plugin.keeper import FIRST_READ, REFRESH, RENEWAL

from ..common.fakes import key
from .world import NAME, NEVER, NO_CONNECTION, After, World, timing_out

A, B = key("A"), key("B")
FORBIDDEN = ServerException("Forbidden.KMS", "not allowed", 403, "request-1")
INTERVAL = 3600.0


@pytest.fixture
def world():
    """A client uses a secret."""
    world = World(A)
    world.client = world.lease()
    world.read()
    return world


def is_scheduled(world, name=NAME):
    return world.keeper.stats(world.now)[name].next_refresh is not None


class TestUse:
    def test_begins_with_the_first_read_and_ends_with_the_last_client(self, world):
        assert not world.is_idle(NAME)
        world.release(world.client)

        assert world.is_idle(NAME)
        assert world.keys == {}
        assert not is_scheduled(world)

    def test_goes_on_while_another_client_has_the_secret(self, world):
        other = world.lease()
        world.release(world.client)
        assert not world.is_idle(NAME)
        assert is_scheduled(world)

        world.release(other)

        assert world.is_idle(NAME)

    def test_of_one_secret_ends_beside_anothers(self, world):
        other = world.lease("other")
        world.read(name="other")
        world.release(world.client)

        assert world.keys == {"other": A}
        assert world.keeper._clients
        world.release(other)
        assert not world.keeper._clients

    def test_ends_of_all_secrets_with_the_last_client(self, world):
        world.read(name="read without a client")
        assert set(world.keys) == {NAME, "read without a client"}

        world.release(world.client)

        assert world.keys == {}
        assert world.keeper.wake_at() is None

    def test_ends_once_however_often_a_client_is_released(self, world):
        other = world.lease()
        for _ in range(3):
            world.release(world.client)

        assert not world.is_idle(NAME)
        world.release(other)
        assert world.is_idle(NAME)

    def test_of_a_client_that_nobody_knows_changes_nothing(self, world):
        world.release(10 ** 6)

        assert not world.is_idle(NAME)

    def test_begins_again_with_whoever_reads_after_all_was_closed(self, world):
        world.close()
        assert world.keys == {}
        assert world.keeper.wake_at() is None

        assert world.ask(FIRST_READ).result() is A
        assert is_scheduled(world)

    def test_of_a_secret_that_was_never_read_may_end(self):
        world = World(A)
        client = world.lease()
        world.release(client)
        world.close()

        assert world.known_names() == []
        assert not world.keeper._clients

    def test_of_ten_thousand_clients_leaves_nothing(self):
        world = World(A)
        world.read()
        for _ in range(10000):
            world.release(world.lease())

        assert not world.keeper._clients
        assert not world.keeper._uses


class TestSecretNames:
    @pytest.fixture
    def world(self):
        world = World(A, secret_names=[NAME])
        world.wait_for(world.preload([NAME]))
        return world

    def test_stay_in_use_while_there_is_any_client(self, world):
        client, other = world.lease(), world.lease("other")
        world.release(client)
        assert is_scheduled(world)
        assert world.keys == {NAME: A}

        world.release(other)

        assert not is_scheduled(world)
        assert world.keys == {}

    def test_are_in_use_before_the_first_client(self, world):
        assert is_scheduled(world)
        assert not world.keeper._clients


class TestYoungKey:
    def test_serves_the_next_client(self, world):
        world.release(world.client)
        world.stop(0.8 * INTERVAL)
        world.lease()

        assert world.ask(FIRST_READ).result() is A
        assert world.keys == {NAME: A}
        assert len(world.requests) == 1
        assert world.keeper.stats(world.now)[NAME].next_refresh <= 0.2 * INTERVAL

    def test_is_not_refreshed_while_nobody_uses_it(self, world):
        world.release(world.client)
        world.pass_time(10 * INTERVAL)

        assert len(world.requests) == 1

    def test_is_not_refreshed_by_a_renewal_either(self, world):
        world.release(world.client)
        world.gateways[0].answer = B

        assert world.renew(A).key is B
        assert world.keys == {}
        assert world.is_idle(NAME)
        assert not is_scheduled(world)


class TestOldKey:
    """A secret that no client used for the refresh interval is read again for the next client."""

    @pytest.fixture
    def old(self, world):
        world.release(world.client)
        world.stop(INTERVAL)
        world.lease()
        return world

    def test_is_read_again(self, old):
        old.gateways[0].answer = B

        assert old.read() is B
        assert old.keys == {NAME: B}

    @pytest.mark.parametrize("jump", ["wall", "monotonic"])
    def test_is_old_by_either_clock(self, world, jump):
        world.release(world.client)
        if jump == "wall":
            world.jump(INTERVAL)
        else:
            world.monotonic += INTERVAL
        world.gateways[0].answer = B

        assert world.read() is B

    def test_that_is_in_use_serves_however_old(self, world):
        world.gateways[0].answer = NO_CONNECTION
        world.pass_time(100 * INTERVAL)

        assert world.keys == {NAME: A}
        assert world.ask(FIRST_READ).result() is A

    @pytest.mark.parametrize("error", [NO_CONNECTION, FORBIDDEN, timing_out], ids=["outage", "refusal", "hangs"])
    def test_serves_where_it_cannot_be_read_again(self, old, error):
        old.gateways[0].answer = error

        assert old.read() is A
        assert old.keys == {NAME: A}
        assert 0 < old.keeper.stats(old.now)[NAME].next_refresh <= 2.0

    def test_is_read_to_the_end_though_an_answer_comes_that_is_older_still(self, world):
        world.gateways[0].answer = NEVER
        world.refresh()
        late = world.requests[-1].number
        world.gateways[0].answer = A
        world.pass_time(10.0)
        assert len(world.requests) == 3
        world.release(world.client)
        world.stop(INTERVAL)
        world.gateways[0].answer = NEVER
        fetches = world.keeper.stats(world.now)[NAME].fetches
        reader = world.ask(FIRST_READ)
        world.end(late, A)
        assert world.keeper.stats(world.now)[NAME].fetches == fetches
        world.end(world.requests[-1].number, B)

        assert reader.result() is B

    def test_serves_where_a_renewal_has_just_failed(self, old):
        old.gateways[0].answer = NO_CONNECTION
        assert old.renew(A).error is not None

        assert old.ask(FIRST_READ).result() is A
        assert old.keys == {NAME: A}

    @pytest.mark.parametrize("purpose", [FIRST_READ, RENEWAL])
    def test_serves_who_has_not_the_time_to_wait_for_a_newer_one(self, old, purpose):
        old.gateways[0].answer = NEVER
        old.ask(purpose, 10.0, rejected=A)
        reader = old.ask(FIRST_READ, 1.0)

        assert old.wait_for(reader) is A
        assert reader.took == 1.0

    def test_that_served_so_is_refreshed_when_secrets_manager_is_back(self, old):
        old.gateways[0].answer = NO_CONNECTION
        old.read()
        assert any("refresh failed" in line and "no connection" in line for line in old.lines)
        old.gateways[0].answer = B
        old.pass_time(5.0)

        assert old.keys == {NAME: B}

    def test_that_served_so_serves_the_next_clients_which_need_not_wait_for_the_outage_again(self, old):
        old.gateways[0].answer = NEVER
        assert old.read() is A
        asked = len(old.requests)
        for _ in range(20):
            old.close()
            old.lease()
            reader = old.ask(FIRST_READ)
            assert reader.answers
            assert reader.result() is A
            old.stop(0.01)

        assert len(old.requests) == asked

    def test_is_read_once_for_all_who_wait(self, old):
        old.gateways[0].answer = After(1.0, B)
        readers = [old.ask(FIRST_READ) for _ in range(8)]

        assert {old.wait_for(reader) for reader in readers} == {B}
        assert len(old.requests) == 2

    def test_is_the_one_to_use_instead_of_another_that_was_refused(self, old):
        old.gateways[0].answer = NEVER
        old.ask(FIRST_READ)

        assert old.renew(B).key is A

    @pytest.mark.parametrize("error", [NO_CONNECTION, FORBIDDEN], ids=["outage", "refusal"])
    def test_that_was_released_meanwhile_stays_idle_where_it_cannot_be_read_again(self, old, error):
        """Otherwise readers would have that key for ever, since an idle secret is not refreshed."""
        old.gateways[0].answer = NEVER
        reader = old.ask(FIRST_READ, 2.0)
        old.close()
        for number in sorted(old.under_way):
            old.end(number, error)
        old.wait_for(reader)

        assert old.keys == {}
        assert not is_scheduled(old)
        old.gateways[0].answer = B
        old.pass_time(10.0)
        assert old.read() is B

    def test_that_was_released_meanwhile_is_read_by_the_next_client(self, old):
        old.gateways[0].answer = NEVER
        old.ask(FIRST_READ)
        old.close()
        old.lease()
        reader = old.ask(FIRST_READ)
        assert not reader.answers
        old.end(old.requests[-1].number, B)

        assert reader.result() is B
        assert old.keys == {NAME: B}


class TestReleasedAmidAFetch:
    def test_late_answer_is_kept_for_the_next_client_and_plans_nothing(self, world):
        world.gateways[0].answer = NEVER
        world.renew(A)
        world.release(world.client)
        world.end(world.requests[-1].number, B)

        assert not is_scheduled(world)
        assert world.keys == {}
        assert world.ask(FIRST_READ).result() is B
        assert len(world.requests) == 2

    def test_first_read_answers_and_plans_nothing(self):
        world = World(NEVER)
        client = world.lease()
        reader = world.ask(FIRST_READ)
        world.release(client)
        world.end(world.requests[-1].number, A)

        assert reader.result() is A
        assert world.is_idle(NAME)
        assert world.keys == {}
        assert not is_scheduled(world)
        world.lease()
        assert world.ask(FIRST_READ).result() is A
        assert is_scheduled(world)

    @pytest.mark.parametrize("outcome", [B, NO_CONNECTION], ids=["answer", "error"])
    def test_refresh_of_one_that_is_used_again_goes_on(self, world, outcome):
        world.gateways[0].answer = NEVER
        world.ask(REFRESH)
        world.release(world.client)
        world.lease()
        assert world.ask(FIRST_READ).result() is A
        world.end(world.requests[-1].number, outcome)

        assert is_scheduled(world)
        assert world.keys == {NAME: outcome if outcome is B else A}

    def test_schedule_stops_when_the_last_request_is_over(self, world):
        world.gateways[0].answer = NEVER
        world.renew(A)
        world.release(world.client)
        assert world.keeper.wake_at() is not None  # to give the request up
        world.pass_time(5.0)

        assert world.given_up
        assert world.keeper.wake_at() is None
