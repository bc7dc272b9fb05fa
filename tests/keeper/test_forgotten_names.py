"""A name whose first read failed is forgotten when its cool-down is over: a process may be asked for any number."""

import pytest
from aliyunsdkcore.acs_exception.exceptions import ServerException

from aliyun_sdk_secretsmanager_common_plugin.keeper import FIRST_READ

from ..common.fakes import key
from .world import NAME, NEVER, NO_CONNECTION, World

A = key("A")
NOT_FOUND = ServerException("Forbidden.ResourceNotFound", "no such secret", 404, "request-1")


def read_in_vain(world, name=NAME):
    with pytest.raises(ServerException):
        world.read(name=name)


@pytest.fixture
def world(longest_jitter):
    return World(NOT_FOUND)


class TestForgetting:
    def test_comes_a_second_after_the_first_cool_down(self, world):
        read_in_vain(world)
        world.pass_time(1.49)
        assert world.known_names() == [NAME]
        assert NAME in world.keeper.stats(world.now)
        world.pass_time(0.02)

        assert world.known_names() == []
        assert world.keeper.stats(world.now) == {}
        assert world.keeper.wake_at() is None

    def test_comes_not_before_the_next_cool_down_can_double(self, world):
        """A program that asks all the time reads from Secrets Manager every five seconds."""
        began = []
        for _ in range(600):
            world.ask(FIRST_READ)
            world.pass_time(0.1)
        began = world.begun

        assert [later - earlier for earlier, later in zip(began[:7], began[1:])] == pytest.approx(
            [0.5, 1.0, 2.0, 4.0, 5.0, 5.0, 5.0], abs=0.11)

    def test_comes_after_fifteen_seconds_at_most(self, world):
        for _ in range(200):
            world.ask(FIRST_READ)
            world.pass_time(0.1)
        world.pass_time(15.1)

        assert world.known_names() == []

    def test_lets_the_next_read_ask_again(self, world):
        read_in_vain(world)
        world.pass_time(2.0)
        world.gateways[0].answer = A

        assert world.read() is A
        assert world.known_names() == [NAME]

    def test_is_of_names_that_were_renewed_in_vain_too(self, world):
        assert world.renew(A).key is None
        world.pass_time(2.0)

        assert world.known_names() == []

    def test_is_of_names_that_were_to_be_read_ahead_too(self, world):
        world.wait_for(world.preload(["app/{}".format(number) for number in range(100)]))
        world.pass_time(2.0)

        assert world.known_names() == []


class TestNotForgotten:
    def test_is_a_secret_that_was_read(self, world):
        world.gateways[0].answer = A
        world.read()
        world.gateways[0].answer = NOT_FOUND
        world.renew(A)
        world.close()
        world.pass_time(10 ** 6)

        assert world.known_names() == [NAME]

    def test_is_a_name_that_a_client_uses(self, world):
        client = world.lease()
        read_in_vain(world)
        world.pass_time(100.0)
        assert world.known_names() == [NAME]

        world.release(client)
        world.pass_time(1.0)

        assert world.known_names() == []

    def test_is_a_name_that_is_being_read(self, world):
        world.gateways[0].answer = NEVER
        reader = world.ask(FIRST_READ, 60.0)
        world.pass_time(50.0)
        assert world.known_names() == [NAME]

        world.end(max(world.under_way), A)

        assert reader.result() is A

    def test_is_a_name_whose_late_answer_may_still_come(self, world):
        world.gateways[0].answer = NEVER
        asker = world.ask(FIRST_READ, 1.0)
        world.pass_time(60.0)
        assert asker.answers
        assert world.known_names() == [NAME]

        world.end(world.requests[0].number, A)

        assert world.ask(FIRST_READ).result() is A

    def test_is_a_name_for_which_the_program_looks_in_its_store(self, longest_jitter):
        world = World(NO_CONNECTION, can_recover=True)
        world.ask(FIRST_READ, 2.0)
        world.pass_time(1.95)

        assert world.recoveries
        assert world.known_names() == [NAME]


    @pytest.mark.parametrize("secret_names", [(), (NAME,)])
    def test_is_one_that_another_client_uses_until_that_one_is_gone(self, secret_names):
        world = World(lambda request: NOT_FOUND if request.name == NAME else A, secret_names=secret_names)
        world.lease("other")
        world.read(name="other")
        clients = [world.lease(), world.lease()]
        read_in_vain(world)
        for client in clients:
            world.pass_time(60.0)
            assert NAME in world.known_names()
            world.release(client)

        assert world.known_names() == ["other"]


class TestManyWrongNames:
    def test_do_not_grow(self, world):
        """However long the program asks for wrong names, only those of the last second and a half are held."""
        most = 0
        for number in range(5000):
            world.ask(FIRST_READ, name="wrong-{}".format(number))
            del world.requests[:], world.begun[:], world.lines[:]
            world.pass_time(0.01)
            most = max(most, len(world.known_names()))
        assert most <= 151
        assert len(world.keeper._heap) < 500

        world.pass_time(2.0)

        assert world.known_names() == []
        assert world.keeper.wake_at() is None
        assert not world.keeper._heap
        assert not world.keeper._fetcher.sent

    def test_of_clients_that_could_not_be_made_do_not_grow(self, world):
        for number in range(1000):
            name = "wrong-{}".format(number)
            client = world.lease(name)
            read_in_vain(world, name)
            world.release(client)
            world.pass_time(0.01)
        world.pass_time(2.0)

        assert world.known_names() == []
        assert not world.keeper._uses
        assert not world.keeper._clients
