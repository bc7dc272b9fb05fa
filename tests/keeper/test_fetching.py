"""How a fetch asks the gateways: order, hedging, the shares of its deadline, attempts."""


import pytest
from aliyunsdkcore.acs_exception.exceptions import ClientException, ServerException

from aliyun_sdk_secretsmanager_common_plugin import ConfigurationError, SecretFormatError
from aliyun_sdk_secretsmanager_common_plugin.identities.identity import IdentityError
from aliyun_sdk_secretsmanager_common_plugin.keeper import FIRST_READ, REFRESH, RENEWAL
from aliyun_sdk_secretsmanager_common_plugin.keeper.entry import equal_jitter
from aliyun_sdk_secretsmanager_common_plugin.keeper.outcomes import is_throttling
from aliyun_sdk_secretsmanager_common_plugin.keeper.timing import FIRST_READ_DELAYS, LONGEST_COOL_DOWN
from aliyun_sdk_secretsmanager_common_plugin.secrets_manager.gateways import UntrustedGateway

from ..common.fakes import key
from .world import (
    FINAL,
    NAME,
    NEVER,
    NO_CONNECTION,
    TIMED_OUT,
    UNAVAILABLE,
    UNTRUSTED,
    WORTH_ANOTHER_REGION,
    After,
    World,
    identity_error,
    server_error,
    timing_out,
)

A, B, C = key("A"), key("B"), key("C")


def name_of(error):
    return "{}-{}".format(type(error).__name__, error.get_error_code())


def order(world):
    """Return the order in which the regions are asked now, when none answers."""
    for gateway in world.gateways:
        gateway.answer = NO_CONNECTION
    world.pass_time(LONGEST_COOL_DOWN)
    del world.requests[:]
    world.ask(REFRESH if NAME in world.keys else FIRST_READ, seconds=20.0)
    world.pass_time(20.0)
    return world.log[:len(world.gateways)]


class TestRegions:
    def test_first_that_answers_is_enough(self):
        world = World(A, B)

        assert world.read() == A
        assert world.log == ["r1"]

    @pytest.mark.parametrize("error", WORTH_ANOTHER_REGION, ids=name_of)
    def test_next_is_asked_where_it_may_do_better(self, error):
        world = World(error, B)

        assert world.read() == B
        assert world.log == ["r1", "r2"]

    @pytest.mark.parametrize("error", FINAL, ids=name_of)
    def test_final_error_stops(self, error):
        world = World(error, B)

        with pytest.raises(ServerException) as caught:
            world.read()
        assert caught.value.get_error_code() == error.get_error_code()
        assert world.log == ["r1"]

    def test_secret_of_a_wrong_format_stops(self):
        world = World(SecretFormatError("the value of secret 'app/key' is no JSON object"), B)

        with pytest.raises(SecretFormatError, match=NAME):
            world.read()
        assert world.log == ["r1"]

    def test_last_error_surfaces(self):
        world = World(NO_CONNECTION, server_error("Last", 503))

        with pytest.raises(ServerException, match="Last"):
            world.read(retry=False)

    def test_final_error_of_the_second_stops_before_the_third(self):
        world = World(NO_CONNECTION, FINAL[0], A)

        with pytest.raises(ServerException):
            world.read()
        assert world.log == ["r1", "r2"]

    def test_settings_without_a_gateway_say_so(self):
        with pytest.raises(ConfigurationError, match="name no gateway.*cache_client_region_id"):
            World().read()


class TestOrder:
    def test_last_good_one_is_kept(self):
        world = World(NO_CONNECTION, A, B)
        world.read()
        world.gateways[0].answer = C

        assert world.refresh()
        assert world.keys[NAME] == A
        assert world.log == ["r1", "r2", "r2"]

    def test_last_good_one_is_asked_first_even_after_it_failed(self):
        """Otherwise a region without the secret, which refuses at once, would keep it from being asked ever again."""
        world = World(A, FINAL[1])
        world.read()
        world.gateways[0].answer = NO_CONNECTION
        assert not world.refresh()
        world.gateways[0].answer = A

        assert world.refresh()
        assert world.log == ["r1", "r1", "r2", "r1"]

    def test_those_that_were_never_asked_come_before_those_that_failed(self):
        world = World(NO_CONNECTION, A, B)
        world.read()
        world.gateways[1].answer = NO_CONNECTION

        assert world.refresh()
        assert world.keys[NAME] == B
        assert world.log[2:] == ["r2", "r3"]

    def test_one_that_hung_until_the_deadline_failed_too(self):
        world = World(After(2.2, A), After(1.7, A), After(0.2, A))
        world.read()
        world.pass_time(1.0)
        for gateway in world.gateways:
            gateway.answer = NO_CONNECTION
        world.gateways[1].answer = NEVER
        assert not world.refresh()

        assert order(world) == ["r1", "r3", "r2"]

    def test_those_that_failed_are_asked_in_the_configured_order(self):
        world = World(*[NO_CONNECTION] * 3)
        with pytest.raises(ClientException):
            world.read(retry=False)

        assert order(world) == ["r1", "r2", "r3"]

    def test_near_ones_come_before_far_ones_and_those_that_nobody_knows(self):
        far, near, good = After(3.4, A), After(2.2, A), After(0.3, A)
        world = World(far, near, good, NEVER, renew_timeout=20.0)
        world.read()
        world.pass_time(2.0)

        assert order(world) == ["r3", "r2", "r1", "r4"]

    def test_one_that_was_overtaken_comes_last(self):
        world = World(NEVER, B, C, renew_timeout=20.0)
        world.read()

        assert order(world) == ["r2", "r3", "r1"]

    def test_one_that_was_overtaken_comes_last_no_more_once_it_answers_well(self):
        world = World(NEVER, B, C, renew_timeout=20.0)
        world.read()
        world.end(1, A)

        assert order(world) == ["r2", "r1", "r3"]

    def test_late_answer_does_not_make_a_region_the_first(self):
        world = World(After(3.0, A), After(1.5, B))
        world.read()
        world.pass_time(3.0)
        world.gateways[1].answer = B
        assert world.refresh()

        assert world.log == ["r1", "r2", "r2"]


class TestHedge:
    def test_slow_one_is_overtaken_after_a_second(self):
        world = World(After(1.5, A), After(0.25, B), C)
        asker = world.ask(FIRST_READ)

        assert world.wait_for(asker) == B
        assert asker.took == 1.25
        assert world.log == ["r1", "r2"]

    def test_fast_enough_one_is_not(self):
        world = World(After(0.9, A), B)

        assert world.read() == A
        assert world.log == ["r1"]

    def test_first_good_answer_wins_whoever_gives_it(self):
        world = World(After(1.5, A), After(0.75, B))
        asker = world.ask(FIRST_READ)

        assert world.wait_for(asker) == A
        assert asker.took == 1.5

    def test_goes_on_through_regions_that_hang(self):
        world = World(*[timing_out] * 3 + [A])
        asker = world.ask(FIRST_READ)

        assert world.wait_for(asker) == A
        assert asker.took == 3.0
        assert world.refresh()
        assert world.log == ["r1", "r2", "r3", "r4", "r4"]

    def test_comes_earlier_where_time_is_short(self):
        world = World(timing_out, timing_out, After(0.25, A))
        asker = world.ask(FIRST_READ, seconds=1.5)

        assert world.wait_for(asker) == A
        assert asker.took == 1.25

    def test_next_one_is_asked_at_once_when_the_latest_failed(self):
        world = World(NEVER, After(0.25, TIMED_OUT), B)
        asker = world.ask(FIRST_READ)

        assert world.wait_for(asker) == B
        assert asker.took == 1.25

    def test_failure_of_one_that_was_overtaken_calls_nobody_else(self):
        world = World(After(1.1, TIMED_OUT), After(0.5, A), B)

        assert world.read() == A
        assert world.log == ["r1", "r2"]

    def test_final_error_does_not_lose_to_answers_that_are_on_their_way(self):
        world = World(After(3.0, A), FINAL[1], B)
        asker = world.ask(FIRST_READ)

        assert world.wait_for(asker) == A
        assert asker.took == 3.0
        assert world.log == ["r1", "r2"]

    def test_final_error_surfaces_when_the_others_have_had_their_share(self):
        world = World(NEVER, FINAL[1], B)
        asker = world.ask(FIRST_READ, seconds=9.0, delays=(0.5, 1.0))

        with pytest.raises(ServerException, match="ResourceNotFound"):
            world.wait_for(asker)
        assert asker.took == 3.0
        assert world.log == ["r1", "r2"]

    def test_error_of_the_identity_is_worth_another_gateway(self):
        world = World(identity_error(retryable=False), A)

        assert world.read() == A

    def test_answer_after_its_share_is_good_while_others_are_waited_for(self):
        world = World(After(4.0, A), NEVER, NEVER)
        asker = world.ask(FIRST_READ, seconds=9.0)

        assert world.wait_for(asker) == A
        assert asker.took == 4.0
        world.gateways[0].answer = B
        asker = world.ask(RENEWAL, rejected=A)  # no fetch is in progress
        assert asker.result().key == B

    def test_refusal_after_its_share_is_told_while_others_are_waited_for(self):
        world = World(After(4.0, FINAL[1]), NEVER, NEVER)

        with pytest.raises(ServerException, match="ResourceNotFound"):
            world.read(seconds=9.0)


class TestDeadline:
    def test_a_single_region_has_all_of_it(self):
        world = World(A)
        world.read(seconds=7.0)

        assert world.gateways[0].seconds == [7.0]

    def test_each_region_has_its_share_of_what_is_left(self):
        world = World(*[After(0.75, NO_CONNECTION)] * 3)

        with pytest.raises(ClientException):
            world.read(seconds=9.0, retry=False)

        assert [gateway.seconds for gateway in world.gateways] == [[3.0], [4.125], [7.5]]

    def test_share_is_no_shorter_than_the_hedge_unless_the_deadline_is(self):
        world = World(*[After(0.25, NO_CONNECTION)] * 3)

        with pytest.raises(ClientException):
            world.read(seconds=1.25)

        assert [gateway.seconds for gateway in world.gateways] == [[1.0], [1.0], [0.75]]

    def test_region_without_time_is_not_asked(self):
        world = World(NEVER, B)

        with pytest.raises(ClientException):
            world.read(seconds=0.09)
        assert world.log == ["r1"]
        assert world.gateways[0].seconds == [pytest.approx(0.09)]

    def test_hanging_regions_end_at_the_deadline_with_an_error_that_names_them(self):
        world = World(NEVER, NO_CONNECTION, NEVER)
        asker = world.ask(FIRST_READ, seconds=7.0)

        with pytest.raises(ClientException) as caught:
            world.wait_for(asker)

        assert asker.took == 7.0
        assert NAME in str(caught.value)
        assert ("no answer within 7.0 s from Secrets Manager in r1 (r1.example.com) and "
                "Secrets Manager in r3 (r3.example.com)") in str(caught.value)
        assert caught.value.__context__ is None

    @pytest.mark.parametrize("purpose", [FIRST_READ, RENEWAL])
    def test_who_leaves_before_that_is_told_which_regions_hang(self, purpose):
        world = World(NEVER, NEVER)
        long = world.ask(purpose, seconds=10.0, rejected=A)
        short = world.ask(purpose, seconds=1.5, rejected=A)
        world.pass_time(1.5)

        (answer,) = short.answers
        error = answer.error or answer.value.error
        assert "no answer within 1.5 s from Secrets Manager in r1 (r1.example.com) and Secrets Man" in str(error)
        assert not long.answers

    def test_is_named_once_what_several_regions_waited_for(self):
        world = World(NEVER, NEVER)
        for gateway in world.gateways:
            gateway.waiting_for = lambda: "the identity (credentials_type=ecs_ram_role)"

        with pytest.raises(ClientException, match=r"within 7.0 s from the identity \(credentials_type=ecs_ram_role\);"):
            world.read(seconds=7.0)

    def test_region_that_hangs_costs_its_share_and_not_the_time_to_ask_again(self, longest_jitter):
        world = World(NEVER, UNAVAILABLE)
        asker = world.ask(FIRST_READ, seconds=10.0, delays=(0.5, 1.0, 2.0))
        world.pass_time(5.0)
        world.gateways[1].answer = B

        assert world.wait_for(asker) == B
        assert asker.took == 5.0 + 0.5 + 1.0

    def test_has_passed_before_an_attempt_could_begin(self, longest_jitter):
        """The process stood still meanwhile."""
        world = World(NO_CONNECTION)
        asker = world.ask(FIRST_READ, seconds=10.0, delays=(0.5, 1.0, 2.0))
        world.stop(60)

        with pytest.raises(ClientException, match="no answer"):
            world.wait_for(asker)
        assert world.log == ["r1"]


class TestRetry:
    def test_is_not_done_unless_asked_for(self):
        world = World(NO_CONNECTION, NO_CONNECTION)
        asker = world.ask(FIRST_READ)

        with pytest.raises(ClientException):
            world.wait_for(asker)
        assert asker.took == 0.0
        assert world.log == ["r1", "r2"]

    def test_goes_round_the_regions_with_backoff_until_the_deadline(self, longest_jitter):
        world = World(NO_CONNECTION, NO_CONNECTION)

        with pytest.raises(ClientException):
            world.read(seconds=20.0)

        assert world.log == ["r1", "r2"] * 5
        # The second pause comes from the pace.
        assert world.pauses == [0.0, 0.5, 0.5, 1.0, 0.0, 2.0, 0.0, 4.0, 0.0]

    def test_never_passes_the_deadline(self, longest_jitter):
        world = World(NO_CONNECTION)
        asker = world.ask(FIRST_READ, seconds=3.0, delays=(0.5, 1.0, 2.0))
        with pytest.raises(ClientException, match="no connection"):
            world.wait_for(asker)

        assert asker.took == 1.5

    @pytest.mark.parametrize("error", [
        error for error in WORTH_ANOTHER_REGION if error is not UNTRUSTED and not is_throttling(error)], ids=name_of)
    def test_succeeds_when_secrets_manager_comes_back(self, error):
        world = World(error)
        asker = world.ask(FIRST_READ, delays=(0.5,))
        world.gateways[0].answer = A

        assert world.wait_for(asker) == A
        assert 0.25 <= asker.took <= 0.5

    def test_is_not_done_for_certificates_alone(self):
        world = World(UNTRUSTED, UNTRUSTED)

        with pytest.raises(UntrustedGateway):
            world.read()
        assert world.log == ["r1", "r2"]

    @pytest.mark.parametrize("retryable", [True, False])
    def test_is_done_for_the_identity_where_that_may_help(self, retryable):
        world = World(identity_error(retryable))
        with pytest.raises(IdentityError):
            world.read()

        assert (len(world.log) > 1) is retryable

    @pytest.mark.parametrize("errors", [(NO_CONNECTION, UNTRUSTED), (UNTRUSTED, NO_CONNECTION)])
    def test_is_done_where_one_region_of_two_may_do_better(self, errors):
        world = World(*errors)
        with pytest.raises(ClientException):
            world.read()

        assert len(world.log) > 2

    @pytest.mark.parametrize("at", [0, 1])
    def test_ends_with_the_refusal_of_one_region_whichever_it_is(self, at):
        errors = [UNAVAILABLE, UNAVAILABLE]
        errors[at] = identity_error(retryable=False)
        world = World(*errors)

        with pytest.raises(IdentityError):
            world.read()

    def test_ends_with_the_refusal_of_an_earlier_attempt(self, longest_jitter):
        """In the last attempt its region may not be asked, because of the pace."""
        world = World(NO_CONNECTION, UNTRUSTED)
        asker = world.ask(FIRST_READ, delays=(0.5,))
        world.gateways[1].answer = identity_error(retryable=False)
        world.pass_time(2.0)

        with pytest.raises(IdentityError):
            asker.result()

    def test_stops_at_a_final_error(self):
        world = World(NO_CONNECTION)
        asker = world.ask(FIRST_READ, delays=(0.5, 1.0))
        world.gateways[0].answer = FINAL[0]

        with pytest.raises(ServerException):
            world.wait_for(asker)
        assert world.log == ["r1", "r1"]

    @pytest.mark.parametrize("purpose", [RENEWAL, REFRESH])
    def test_is_done_for_first_reads_alone(self, purpose):
        world = World(A)
        world.read()
        world.gateways[0].answer = NO_CONNECTION
        world.ask(purpose, rejected=A)

        assert world.log == ["r1", "r1"]

    def test_is_not_done_for_a_refresh_by_hand_of_a_secret_that_was_read(self):
        world = World(A)
        world.read()
        world.gateways[0].answer = NO_CONNECTION
        asker = world.ask(REFRESH, delays=FIRST_READ_DELAYS)

        assert not asker.result()
        assert world.log == ["r1", "r1"]


class TestEqualJitter:
    def test_is_half_fixed_and_half_random(self):
        drawn = [equal_jitter(8.0) for _ in range(200)]

        assert 4.0 <= min(drawn) < 4.5
        assert 7.5 < max(drawn) <= 8.0
