"""Contract 2: a first read happens once for all who wait, and each of them gets its own error object."""

import pytest
from aliyunsdkcore.acs_exception.exceptions import ClientException, ServerException

from aliyun_sdk_secretsmanager_common_plugin import ConfigurationError, SecretFormatError
from aliyun_sdk_secretsmanager_common_plugin.keeper import FIRST_READ, RENEWAL
from aliyun_sdk_secretsmanager_common_plugin.keeper import events as told

from ..common.fakes import key
from .world import NAME, NEVER, NO_CONNECTION, After, World, timing_out

A, B = key("A"), key("B")
FORBIDDEN = ServerException("Forbidden.KMS", "not allowed", 403, "request-1")
ERRORS = [FORBIDDEN, NO_CONNECTION, SecretFormatError("secret 'app/key' is no JSON")]


class TestFirstRead:
    def test_publishes_the_key_and_answers_with_it(self):
        world = World(A)

        assert world.read() is A
        assert world.keys == {NAME: A}
        assert [request.purpose for request in world.requests] == [FIRST_READ]

    def test_happens_once_for_all_who_wait(self):
        world = World(After(1.0, A))

        askers = [world.ask(FIRST_READ) for _ in range(16)]

        assert {id(world.wait_for(asker)) for asker in askers} == {id(A)}
        assert len(world.requests) == 1

    def test_happens_once_a_secret(self):
        world = World(lambda request: key(request.name))

        assert world.read(name="a") == key("a")
        assert world.read(name="b") == key("b")
        assert world.read(name="a") == key("a")
        assert [request.name for request in world.requests] == ["a", "b"]

    def test_goes_on_beside_one_of_another_secret_that_hangs(self):
        world = World(lambda request: NEVER if request.name == "hangs" else B)
        hanging = world.ask(FIRST_READ, name="hangs")

        assert world.read(name="other") is B
        assert world.renew(A).key is B
        assert not hanging.answers

    def test_of_a_key_that_is_held_is_answered_at_once(self):
        """For example, because a fork emptied the dictionary of readers."""
        world = World(A)
        world.read()
        world.keys.clear()

        assert world.ask(FIRST_READ).result() is A
        assert world.keys == {NAME: A}
        assert len(world.requests) == 1

    def test_for_which_nobody_waits_is_for_those_who_come(self):
        world = World(After(1.0, A))
        world.handle(told.Asked(None, FIRST_READ, NAME, world.monotonic + 10.0))

        assert world.read() is A
        assert len(world.requests) == 1

    def test_for_which_nobody_waits_may_fail(self):
        world = World(FORBIDDEN)
        world.handle(told.Asked(None, FIRST_READ, NAME, world.monotonic + 10.0))

        with pytest.raises(ServerException):
            world.read()

    def test_without_a_gateway_names_the_key_of_the_configuration(self):
        with pytest.raises(ConfigurationError, match="cache_client_region_id"):
            World().read()


class TestWhoWaits:
    def test_leaves_when_its_own_time_is_over_and_the_fetch_goes_on(self):
        world = World(After(5.0, A))
        patient = world.ask(FIRST_READ, 10.0)
        other = world.ask(FIRST_READ, 2.0)

        with pytest.raises(ClientException, match="'app/key': no answer within 2.0 s from Secrets Manager in r1"):
            world.wait_for(other)
        assert other.took == 2.0
        assert not patient.answers
        assert world.wait_for(patient) is A
        assert len(world.requests) == 1

    def test_for_no_time_at_all_is_told_so_by_the_sdks_error(self):
        world = World(A)

        with pytest.raises(ClientException, match="'app/key': no answer within 0.0 s from any region") as caught:
            world.ask(FIRST_READ, 0.0).result()
        assert caught.value.get_error_code() == "SDK.HttpError"
        assert world.requests == []

    def test_longer_than_the_fetch_has_its_error(self):
        world = World(lambda request: After(request.seconds, NO_CONNECTION))
        leader = world.ask(FIRST_READ, 2.0)
        world.pass_time(1.0)
        follower = world.ask(FIRST_READ, 10.0)

        for asker in (leader, follower):
            with pytest.raises(ClientException, match="no connection|no answer within 2.0 s"):
                world.wait_for(asker)
        assert follower.took == 1.0

    @pytest.mark.parametrize("error", ERRORS, ids=["server", "client", "format"])
    def test_gets_an_error_of_its_own(self, error):
        world = World(After(1.0, error))
        askers = [world.ask(FIRST_READ) for _ in range(8)]
        world.pass_time(10.0)

        errors = [asker.answers[0].error for asker in askers]

        assert len({id(each) for each in errors + [error]}) == 9
        for each in errors:
            assert type(each) is type(error)
            assert str(each) == str(error)
            assert vars(each) == vars(error)
            assert each.__cause__ is None
            assert each.__context__ is None
            assert each.__traceback__ is None
        assert len(world.requests) == 1

    def test_gets_an_error_that_cannot_be_made_again_all_the_same(self):
        class Stubborn(ClientException):
            def __new__(cls, *args, **kwargs):
                return super(Stubborn, cls).__new__(cls, kwargs["code"])

            def __init__(self, code):
                super(Stubborn, self).__init__(code, "stubborn")

        world = World(After(1.0, Stubborn(code="x")))
        askers = [world.ask(FIRST_READ) for _ in range(2)]
        world.pass_time(10.0)

        assert [type(asker.answers[0].error) for asker in askers] == [Stubborn, Stubborn]


class TestAfterAFailure:
    @pytest.mark.parametrize("error", ERRORS, ids=["server", "client", "format"])
    def test_next_readers_have_the_error_again_at_once_during_the_cool_down(self, longest_jitter, error):
        world = World(error)
        with pytest.raises(type(error)):
            world.read(retry=False)
        world.gateways[0].answer = A

        world.pass_time(0.49)
        again = world.ask(FIRST_READ)

        assert type(again.answers[0].error) is type(error)
        assert again.answers[0].error is not error
        assert len(world.requests) == 1
        world.pass_time(0.02)
        assert world.read() is A

    def test_cool_down_doubles_to_five_seconds(self, longest_jitter):
        world = World(FORBIDDEN)
        for asked, delay in enumerate([0.5, 1.0, 2.0, 4.0, 5.0, 5.0], 1):
            with pytest.raises(ServerException):
                world.read()
            world.pass_time(delay - 0.01)
            with pytest.raises(ServerException):
                world.read()
            assert len(world.requests) == asked
            world.pass_time(0.02)

    def test_cool_down_after_a_read_that_hung_is_a_quarter_of_a_second(self, longest_jitter):
        """Secrets Manager may have come back since it was asked."""
        world = World(timing_out)
        for asked in (1, 2, 3, 4):
            with pytest.raises(ClientException):
                world.read(10.0)
            world.pass_time(0.24)
            assert world.ask(FIRST_READ).answers
            assert len(world.requests) == asked
            world.pass_time(0.02)

    def test_failure_of_one_secret_is_not_anothers(self):
        world = World(lambda request: FORBIDDEN if request.name == "bad" else A)
        with pytest.raises(ServerException):
            world.read(name="bad")

        assert world.read(name="good") is A

    def test_late_answer_ends_it(self):
        world = World(NEVER)
        with pytest.raises(ClientException):
            world.read(2.0)

        world.end(world.requests[0].number, A)

        assert world.ask(FIRST_READ).result() is A
        assert world.keys == {NAME: A}
        assert len(world.requests) == 1

    def test_of_a_renewal_is_that_of_readers_too(self):
        """Whoever asked first, Secrets Manager is not asked again at once."""
        world = World(FORBIDDEN)
        world.renew(A)

        with pytest.raises(ServerException, match="not allowed"):
            world.ask(FIRST_READ).result()
        assert len(world.requests) == 1


class TestRecovery:
    """If no region answers, the key in the program's store serves."""

    READ = 1600000000.0

    @pytest.fixture
    def world(self, longest_jitter):
        world = World(NO_CONNECTION, can_recover=True)
        world.kept[NAME] = A, self.READ
        return world

    def test_serves_is_told_and_is_as_old_as_it_is(self, world):
        assert world.read(2.0) is A
        assert world.keys == {NAME: A}
        assert [(action.key, action.is_recovered) for action in world.told] == [(A, True)]
        assert world.stored == {}
        (recovery,) = world.recoveries
        assert (recovery.name, str(recovery.failure)) == (NAME, str(NO_CONNECTION))
        stats = world.keeper.stats(world.now)[NAME]
        assert (stats.age, stats.fetches, stats.failures) == (world.time - self.READ, 1, 1)
        assert any("recovered" in line for line in world.lines)

    def test_is_asked_for_within_the_askers_time(self, world):
        world.gateways[0].answer = NEVER
        asker = world.ask(FIRST_READ, 10.0)

        assert world.wait_for(asker) is A
        assert asker.took == pytest.approx(9.5)

    def test_is_not_asked_for_where_secrets_manager_refuses(self, world):
        world.gateways[0].answer = FORBIDDEN

        with pytest.raises(ServerException):
            world.read()
        assert world.recoveries == []

    def test_is_not_asked_for_by_a_renewal_or_a_refresh(self, world):
        world.gateways[0].answer = A
        world.read()
        world.gateways[0].answer = NO_CONNECTION

        world.renew(A)
        world.refresh()

        assert world.recoveries == []

    def test_that_has_nothing_leaves_the_error(self, world):
        world.kept[NAME] = None
        asker = world.ask(FIRST_READ)

        with pytest.raises(ClientException, match="no connection"):
            world.wait_for(asker)
        assert asker.took == 0.0
        assert len(world.recoveries) == 1
        with pytest.raises(ClientException, match="no connection"):
            world.ask(FIRST_READ).result()
        assert len(world.recoveries) == 1

    def test_that_has_nothing_after_a_hung_read_leaves_a_short_cool_down(self, world):
        """As without a store: a fetch that hung has waited already."""
        world.kept[NAME] = None
        world.gateways[0].answer = NEVER
        for _ in range(3):  # the third cool-down would be of 2 s
            with pytest.raises(ClientException):
                world.read(10.0)
            world.pass_time(0.26)

        assert not world.ask(FIRST_READ).answers

    def test_that_hangs_is_waited_for_as_long_as_the_asker_waits_and_no_longer(self, world):
        """The next reader asks Secrets Manager again, whatever the store does."""
        del world.kept[NAME]
        world.gateways[0].answer = NO_CONNECTION
        asker = world.ask(FIRST_READ, 2.0)
        with pytest.raises(ClientException, match="no connection"):
            world.wait_for(asker)
        assert asker.took <= 2.0
        assert len(world.recoveries) == 1
        world.gateways[0].answer = B
        world.pass_time(2.0)

        assert world.read(2.0) is B
        world.handle(told.Recovered(NAME, A, self.READ))  # late: it brings nothing new
        assert world.keys == {NAME: B}

    def test_that_comes_when_nobody_waits_any_more_serves_the_next(self, world):
        del world.kept[NAME]
        with pytest.raises(ClientException):
            world.read(2.0)

        world.handle(told.Recovered(NAME, A, self.READ))

        assert world.ask(FIRST_READ).result() is A

    def test_gives_way_to_a_late_answer_and_starts_no_cool_down(self, world):
        del world.kept[NAME]
        world.gateways[0].answer = NEVER
        asker = world.ask(FIRST_READ, 2.0)
        world.pass_time(1.95)
        assert world.recoveries

        world.end(world.requests[0].number, B)
        world.handle(told.Recovered(NAME, A, self.READ))

        assert asker.result() is B
        assert [action.key for action in world.told] == [B]
        world.gateways[0].answer = A
        assert world.renew(B).key is A

    def test_is_asked_for_again_after_2_seconds_doubling_to_5_minutes(self, world):
        world.gateways[0].answer = FORBIDDEN
        world.handle(told.Recovered(NAME, A, self.READ))
        world.read()
        world.pass_time(1500.0)

        assert [later - earlier for earlier, later in zip([5000.0] + world.begun, world.begun)] == pytest.approx(
            [2, 4, 8, 16, 32, 64, 128, 256, 300, 300, 300], abs=1e-4)

    def test_serves_the_next_client_which_need_not_wait_for_the_outage_again(self, world):
        world.read(2.0)
        asked = len(world.requests)
        for _ in range(3):
            world.close()
            assert world.ask(FIRST_READ).result() is A

        assert len(world.requests) == asked
        assert world.keeper.stats(world.now)[NAME].next_refresh == 2.0

    def test_gives_way_to_the_answer_of_any_fetch(self, world):
        world.read(2.0)
        world.gateways[0].answer = B

        assert world.refresh()
        assert world.keys == {NAME: B}
        assert [action.key for action in world.told] == [A, B]

    def test_is_renewed_as_any_other(self, world):
        world.read(2.0)
        world.gateways[0].answer = B

        assert world.renew(A).key is B


class TestPreload:
    NAMES = ["app/{}".format(number) for number in range(20)]

    def test_reads_few_at_a_time_and_each_once(self):
        world = World(After(1.0, A))

        asker = world.preload(self.NAMES + self.NAMES)

        assert len(world.under_way) == 8
        world.wait_for(asker)
        assert asker.took == 3.0
        assert [request.name for request in world.requests] == self.NAMES
        assert set(world.keys) == set(self.NAMES)

    def test_of_nothing_is_over_at_once(self):
        assert World(A).preload([]).answers

    def test_of_what_is_held_asks_for_nothing(self):
        world = World(A)
        world.read(name=self.NAMES[0])

        assert world.preload(self.NAMES[:1]).answers
        assert len(world.requests) == 1

    def test_names_in_the_log_what_could_not_be_read(self):
        world = World(lambda request: FORBIDDEN if request.name == "app/3" else A)

        world.wait_for(world.preload(self.NAMES))

        (line,) = [line for line in world.lines if line.startswith("secret_names")]
        assert line.startswith("secret_names: 'app/3' could not be read at start: ")
        assert "not allowed" in line
        assert len(world.keys) == 19

    def test_shows_nothing_of_an_error_of_the_programs_own(self):
        world = World(ValueError("the value was secret-of-A"))

        world.wait_for(world.preload(self.NAMES[:1], retry=False))

        (line,) = [line for line in world.lines if line.startswith("secret_names")]
        assert line == "secret_names: 'app/0' could not be read at start: ValueError"

    def test_goes_on_when_who_asked_has_left(self):
        world = World(lambda request: NEVER if request.name in self.NAMES[:8] else A)
        asker = world.preload(self.NAMES, seconds=10.0, until=10.0)

        world.wait_for(asker)
        assert asker.took == 10.0
        world.pass_time(1.0)

        assert set(world.keys) == set(self.NAMES[8:])
        assert len(asker.answers) == 1

    def test_waits_for_later_ones_no_longer_than_who_asked(self):
        world = World(timing_out)
        asker = world.preload(self.NAMES, seconds=2.0, until=3.0)

        world.wait_for(asker)
        assert asker.took == 4.0  # when the reads that had begun by then are over
        world.pass_time(60.0)

        assert len({request.name for request in world.requests}) == 20
        assert len(asker.answers) == 1

    def test_tries_again_as_other_first_reads_do(self):
        world = World(NO_CONNECTION)
        asker = world.preload(self.NAMES[:1])
        world.gateways[0].answer = A

        world.wait_for(asker)
        assert list(world.keys) == self.NAMES[:1]

    def test_of_thousands_that_fail_at_once_is_over_at_once(self):
        world = World()

        assert world.preload(["app/{}".format(number) for number in range(2000)]).answers
        assert sum("could not be read at start" in line for line in world.lines) == 2000

    @pytest.mark.parametrize("end", [World.close, lambda world: world.release(world.lease())], ids=["close", "release"])
    def test_ends_with_the_use_of_all_secrets(self, end):
        world = World(After(1.0, A))
        asker = world.preload(self.NAMES)

        end(world)
        world.wait_for(asker)
        world.pass_time(2 * 3600.0)

        assert [request.name for request in world.requests] == self.NAMES[:8]
        assert not world.keys

    def test_for_which_nobody_waits(self):
        world = World(After(1.0, A))
        world.handle(told.Preload(None, self.NAMES, world.monotonic + 10.0, 10.0))
        world.pass_time(10.0)

        assert set(world.keys) == set(self.NAMES)


def test_a_renewal_joins_a_first_read():
    world = World(After(1.0, B))
    reader = world.ask(FIRST_READ)
    renewal = world.ask(RENEWAL, 2.0, rejected=A)

    assert world.wait_for(reader) is B
    assert world.wait_for(renewal).key is B
    assert len(world.requests) == 1


def test_preloaded_secrets_each_have_delays_of_their_own():
    world = World(NO_CONNECTION)
    delays = []

    def own():
        delays.append(iter((0.5,)))
        return delays[-1]

    world.handle(told.Preload(None, ("a", "b", "c"), world.monotonic + 10.0, 10.0, own))

    assert len(delays) == 3
