"""Contract 9: a child of a fork has the keys, nothing in flight, and refreshes what it uses itself."""

import pytest
from aliyunsdkcore.acs_exception.exceptions import ClientException, ServerException

from aliyun_sdk_secretsmanager_common_plugin.keeper import FIRST_READ, REFRESH, RENEWAL, SecretStats
from aliyun_sdk_secretsmanager_common_plugin.keeper import events as told

from ..common.fakes import key
from .world import NAME, NEVER, NO_CONNECTION, World

A, B, C = key("A"), key("B"), key("C")
FORBIDDEN = ServerException("Forbidden.KMS", "not allowed", 403, "request-1")
INTERVAL = 3600.0


@pytest.fixture
def world():
    world = World(A)
    world.lease()
    world.read()
    return world


def next_refresh(world, name=NAME):
    return world.keeper.stats(world.now)[name].next_refresh


class TestChild:
    def test_first_reader_has_the_key_and_plans_its_refresh(self, world):
        world.fork()
        assert world.keys == {}
        assert next_refresh(world) is None
        assert world.keeper.wake_at() is None

        assert world.ask(FIRST_READ).result() is A
        assert world.keys == {NAME: A}
        assert 0.8 * INTERVAL < next_refresh(world) <= INTERVAL
        assert len(world.requests) == 1

    def test_refreshes_what_it_uses_and_nothing_else(self, world):
        world.read(name="other")
        world.fork()
        world.read()
        asked = len(world.requests)
        world.pass_time(INTERVAL)

        assert {request.name for request in world.requests[asked:]} == {NAME}

    def test_does_not_wait_for_a_fetch_of_its_parent(self):
        world = World(NEVER)
        parents = world.ask(FIRST_READ)
        world.fork()
        world.gateways[0].answer = B

        assert world.read() is B
        assert not parents.answers

    def test_answers_nobody_who_waited_in_its_parent(self, world):
        world.gateways[0].answer = NEVER
        askers = [world.ask(RENEWAL, 2.0, rejected=A), world.ask(FIRST_READ, name="other"), world.ask(REFRESH)]
        del askers[-1].answers[:]
        world.preload(["app/1", "app/2"])
        world.fork()
        world.pass_time(60.0)

        assert all(not asker.answers for asker in askers)
        assert world.given_up == []

    def test_takes_no_answer_to_a_request_of_its_parent(self, world):
        world.gateways[0].answer = NEVER
        world.ask(REFRESH)
        number = world.requests[-1].number
        world.fork()
        world.handle(told.Ended(number, B))

        assert world.read() is A

    def test_takes_the_newest_answer_of_its_own(self, world):
        """Its requests are newer than those of its parent."""
        world.fork()
        world.read()
        world.gateways[0].answer = B

        assert world.renew(A).key is B
        assert len({request.number for request in world.requests}) == len(world.requests)

    def test_refreshes_as_many_at_a_time_as_its_parent_did(self, world):
        names = ["app/{}".format(number) for number in range(8)]
        for name in names:
            world.read(name=name)
        world.gateways[0].answer = NEVER
        world.stop(INTERVAL)
        world.handle(told.Ticked())
        world.fork()
        asked = len(world.requests)
        for name in names:
            world.ask(FIRST_READ, name=name)

        assert len(world.requests) - asked == 4
        for _ in range(4):
            world.end(max(world.under_way), A)
        assert {request.name for request in world.requests[asked:]} == set(names)

    def test_knows_the_clients_of_its_parent(self, world):
        world.fork()
        assert world.keeper._clients
        world.read()

        world.release(1)

        assert not world.keeper._clients
        assert world.keys == {}

    def test_keeps_the_cool_down(self, world):
        world.gateways[0].answer = FORBIDDEN
        world.renew(A)
        world.fork()
        asked = len(world.requests)

        renewal = world.renew(A)

        assert (renewal.key, str(renewal.error)) == (None, str(FORBIDDEN))
        assert len(world.requests) == asked

    def test_keeps_the_backoff_of_a_refresh_that_failed(self, world, longest_jitter):
        world.gateways[0].answer = NO_CONNECTION
        world.refresh()
        world.stop(0.5)
        world.fork()
        world.read()

        assert next_refresh(world) == 1.5

    def test_has_the_age_of_a_key_that_replaced_another(self, world):
        world.gateways[0].answer = B
        world.renew(A)
        world.pass_time(5.0)
        world.fork()

        assert world.renew(B).age == 5.0

    def test_is_told_again_of_what_it_is_to_heed(self, world):
        """The child has not been told what its parent was."""
        assert world.heeded == {NAME}
        world.heeded.clear()
        world.fork()

        assert world.heeded == {NAME}

    def test_reads_a_key_again_that_was_being_read_again(self, world):
        world.close()
        world.stop(INTERVAL)
        world.gateways[0].answer = NEVER
        world.ask(FIRST_READ)
        world.fork()
        world.gateways[0].answer = B

        assert world.read() is B

    def test_does_not_wait_for_what_its_parent_kept(self):
        world = World(NO_CONNECTION, can_recover=True)
        world.ask(FIRST_READ, 2.0)
        world.pass_time(1.95)
        assert world.recoveries
        world.fork()
        world.gateways[0].answer = A

        assert world.read() is A

    def test_forgets_a_name_that_could_not_be_read(self):
        world = World(FORBIDDEN)
        with pytest.raises(ServerException):
            world.read()
        world.fork()
        world.pass_time(10.0)

        assert world.known_names() == []

    def test_of_a_child_is_as_any(self, world):
        for _ in range(3):
            world.fork()
            assert world.ask(FIRST_READ).result() is A

        assert len(world.requests) == 1


class TestChildThatWasForkedAmidAnEvent:
    """If no hook ran before the fork, only the published keys and the clients are known."""

    @pytest.fixture
    def child(self, world):
        world.lease("other")
        world.keeper = world.keeper.born_again(dict(world.keys))
        world.fork()
        return world

    def test_keeper_knows_while_it_is_amid_one(self, world):
        assert not world.keeper.is_amid
        seen = []
        world.keeper._handlers[told.Ticked] = lambda event: seen.append(world.keeper.is_amid)
        world.handle(told.Ticked())

        assert seen == [True]
        assert not world.keeper.is_amid

    def test_has_the_keys(self, child):
        child.gateways[0].answer = NEVER

        assert child.ask(FIRST_READ).result() is A
        assert child.keys == {NAME: A}
        assert child.keeper.stats(child.now)[NAME] == SecretStats("version-A", None, 0.0, 0, 0, 0, 0)

    def test_reads_them_again_soon_since_nobody_knows_how_old_they_are(self, child):
        child.gateways[0].answer = B
        child.ask(FIRST_READ)
        child.pass_time(1.0)

        assert child.keys == {NAME: B}

    def test_knows_the_clients(self, child):
        assert child.keeper._clients
        child.read()
        child.release(1)
        assert child.keeper._clients
        assert child.keys == {}
        child.release(2)

        assert not child.keeper._clients

    def test_renews(self, child):
        child.gateways[0].answer = B

        assert child.renew(A).key is B

    def test_keeps_its_configuration(self):
        world = World(NO_CONNECTION, refresh_interval=100.0, renew_timeout=1.0, can_recover=True, secret_names=[NAME],
                      provider_refresh_interval=20.0)
        world.keeper = world.keeper.born_again({})
        with pytest.raises(ClientException):
            world.read(2.0)
        assert world.recoveries
        world.gateways[0].answer = A
        world.pass_time(10.0)
        world.read()
        world.lease("other")
        world.release(world.lease())
        assert world.keys == {NAME: A}
        assert next_refresh(world) <= 100.0
        world.sign()
        assert 20.0 <= world.signed_from[NAME] - world.monotonic <= 22.0
        world.gateways[0].answer = NEVER
        assert world.refresh() is False
        assert world.requests[-1].seconds == 1.0


class TestFaultOfTheKeeper:
    def test_leaves_what_it_had_decided_on_to_be_carried_out_once(self, world):
        def fail(event):
            world.keeper._do(told.Ticked())
            raise ZeroDivisionError

        world.keeper._handlers[told.Closed] = fail
        with pytest.raises(ZeroDivisionError):
            world.keeper.handle(told.Closed(), world.now)

        assert world.keeper.left_undone() == [told.Ticked()]
        assert world.keeper.left_undone() == []
