"""Contract 6: secrets in use are refreshed when they are due, a few at a time, whatever fails."""

import collections
import gc
import json
import logging
import sys
import tracemalloc
import uuid

import pytest
from aliyunsdkcore.acs_exception.exceptions import ClientException, ServerException

from aliyun_sdk_secretsmanager_common_plugin.access_key import parse_secret
from aliyun_sdk_secretsmanager_common_plugin.keeper import FIRST_READ, REFRESH, RENEWAL, Keeper, Now
from aliyun_sdk_secretsmanager_common_plugin.keeper import events as told
from aliyun_sdk_secretsmanager_common_plugin.keeper.actions import Log
from aliyun_sdk_secretsmanager_testing.access_key import new_access_key

from .. import secrecy_watch
from ..common.fakes import key
from .world import NAME, NEVER, NO_CONNECTION, THROTTLED, After, World

A, B = key("A"), key("B")
FORBIDDEN = ServerException("Forbidden.KMS", "not allowed", 403, "request-1")
INTERVAL = 3600.0


@pytest.fixture
def world():
    world = World(A)
    world.read()
    world.accept(A)
    return world


def due_in(world, name=NAME):
    """Return the seconds until the next refresh, None if none is planned."""
    return world.keeper.stats(world.now)[name].next_refresh


NOW = World().time


class TestSchedule:
    def test_reads_again_when_it_is_due_and_not_before(self, world, longest_jitter):
        world.refresh()
        asked = len(world.requests)
        world.gateways[0].answer = B
        world.pass_time(INTERVAL - 0.01)
        assert len(world.requests) == asked
        world.pass_time(0.02)

        assert world.keys == {NAME: B}
        assert [request.purpose for request in world.requests[asked:]] == [REFRESH]

    def test_goes_on_and_on(self, world):
        world.pass_time(10 * INTERVAL)

        assert 10 <= len(world.requests) - 1 <= 12

    def test_asks_each_region_once_within_renew_timeout(self):
        world = World(A, NO_CONNECTION, renew_timeout=3.0)
        world.read()
        for gateway in world.gateways:
            gateway.answer = NO_CONNECTION
        world.pass_time(INTERVAL + 0.1)

        asked = [request for request in world.requests if request.purpose == REFRESH][:2]
        assert [request.gateway for request in asked] == [0, 1]
        assert all(request.seconds <= 3.0 for request in asked)

    def test_is_each_secrets_own(self, longest_jitter):
        world = World(lambda request: key(request.name))
        for name in ("first", "second", "third"):
            world.read(name=name)
            world.pass_time(100.0)
        asked = len(world.requests)
        world.pass_time(INTERVAL)

        assert [request.name for request in world.requests[asked:]] == ["first", "second", "third"]

    def test_plans_nothing_before_the_first_read(self):
        world = World(A)

        assert world.keeper.wake_at() is None
        world.lease()
        assert world.keeper.wake_at() is None

    def test_wakes_when_the_first_is_due_and_within_a_minute(self, longest_jitter):
        world = World(lambda request: key(request.name, expires=world.time + 50.0))
        world.read(name="soon")
        assert world.keeper.wake_at() == pytest.approx(world.monotonic + 40.0, abs=1e-5)

        world = World(A)
        world.read()
        assert world.keeper.wake_at() == world.monotonic + 60.0


class TestFailure:
    @staticmethod
    def backoffs(world, count):
        """Refresh by hand several times, and fail each time; return when the schedule would have tried again."""
        waits = []
        for _ in range(count):
            world.refresh()
            waits.append(due_in(world))
            world.pass_time(1.5)
        return waits

    def test_keeps_the_key_and_says_when_it_is_tried_again(self, world, longest_jitter):
        world.gateways[0].answer = NO_CONNECTION

        assert world.refresh() is False

        assert world.keys == {NAME: A}
        assert due_in(world) == 2.0
        (line,) = [line for line in world.lines if "refresh failed" in line]
        assert line.startswith("secret 'app/key': refresh failed, the key stays; next attempt in 2.0 s: ")
        assert "secret-of" not in "\n".join(world.lines)

    @pytest.mark.parametrize("error", [FORBIDDEN, NO_CONNECTION, ValueError("of the program's own")], ids=str)
    def test_never_ends_the_schedule(self, world, longest_jitter, error):
        world.gateways[0].answer = error
        world.refresh()
        asked = len(world.requests)
        world.pass_time(2.1)
        assert len(world.requests) > asked
        world.gateways[0].answer = B
        world.pass_time(5.0)

        assert world.keys == {NAME: B}

    def test_backs_off_from_two_seconds_to_five_minutes_and_starts_over_after_success(self, world, longest_jitter):
        world.gateways[0].answer = FORBIDDEN
        world.pass_time(INTERVAL + 4000.0)
        begun = world.begun[1:]
        waits = [later - earlier for earlier, later in zip(begun, begun[1:])]
        assert waits[:11] == pytest.approx([2, 4, 8, 16, 32, 64, 128, 256, 300, 300, 300], abs=1e-5)

        world.gateways[0].answer = A
        world.refresh()
        world.gateways[0].answer = FORBIDDEN
        world.refresh()
        assert due_in(world) == 2.0

    def test_backs_off_half_as_long_at_least(self, world, shortest_jitter):
        world.gateways[0].answer = FORBIDDEN
        world.refresh()

        assert due_in(world) == 1.0

    def test_never_backs_off_longer_than_five_minutes(self, world, longest_jitter):
        world.gateways[0].answer = FORBIDDEN
        world.pass_time(40 * INTERVAL)

        assert 0 < due_in(world) <= 300.0

    @pytest.mark.parametrize("error", [
        THROTTLED, ServerException("TooManyRequests", "too many", 429)], ids=["code", "status"])
    def test_by_throttling_leaves_the_quota_to_others_for_longer(self, world, longest_jitter, error):
        world.gateways[0].answer = error
        world.pass_time(INTERVAL + 1200.0)
        begun = world.begun[1:]
        waits = [later - earlier for earlier, later in zip(begun, begun[1:])]

        assert waits[:5] == pytest.approx([30, 60, 120, 240, 300], abs=1e-5)

    @pytest.mark.parametrize(("seconds", "expected"), [(0.5, 1.5), (1.5, 0.5), (3.0, INTERVAL - 3)])
    def test_is_tried_again_no_sooner_though_clients_come_and_go(self, world, longest_jitter, seconds, expected):
        world.gateways[0].answer = NO_CONNECTION
        world.refresh()
        world.close()
        world.stop(seconds)
        world.read()

        assert due_in(world) == expected

    def test_delays_nothing_once_a_renewal_has_read_the_secret(self, world, longest_jitter):
        world.gateways[0].answer = NO_CONNECTION
        world.refresh()
        world.gateways[0].answer = B
        world.renew(A)

        assert due_in(world) == INTERVAL

    def test_that_hangs_ends_with_renew_timeout(self, world):
        world.gateways[0].answer = NEVER
        asker = world.ask(REFRESH)

        assert world.wait_for(asker) is False
        assert asker.took == 2.0
        assert 2.0 / 2 <= due_in(world) <= 2.0


class TestByHand:
    def test_reads_the_secret_and_plans_the_next(self, world, longest_jitter):
        world.pass_time(100.0)
        world.gateways[0].answer = B

        assert world.refresh() is True
        assert world.keys == {NAME: B}
        assert due_in(world) == INTERVAL

    def test_waits_no_longer_than_who_asks(self, world):
        world.gateways[0].answer = NEVER
        asker = world.ask(REFRESH, 0.5)

        assert world.wait_for(asker) is False
        assert asker.took == 0.5

    def test_does_not_wait_for_a_fetch_in_progress_which_may_have_begun_too_early(self, world, longest_jitter):
        world.gateways[0].answer = NEVER
        world.ask(RENEWAL, 2.0, rejected=A)

        assert world.ask(REFRESH).result() is False
        assert due_in(world) == 2.0
        assert len(world.requests) == 2

    def test_of_a_secret_that_nobody_uses_any_more_reads_it_and_does_not_put_it_into_use(self, world):
        world.close()
        world.gateways[0].answer = B

        assert world.refresh() is True
        assert world.is_idle(NAME) and world.keys == {}
        assert world.keeper.wake_at() is None
        assert world.ask(FIRST_READ).result() is B

    def test_of_a_secret_that_nobody_uses_and_that_is_being_read_plans_nothing(self, world):
        world.close()
        world.gateways[0].answer = NEVER
        world.ask(REFRESH)

        assert world.ask(REFRESH).result() is False
        assert due_in(world) is None

    @pytest.mark.parametrize("outcome", ["read", "failed", "in progress", "nobody's"])
    def test_needs_nobody_who_waits(self, world, longest_jitter, outcome):
        world.gateways[0].answer = {"read": B, "failed": NO_CONNECTION, "in progress": NEVER, "nobody's": B}[outcome]
        if outcome == "nobody's":
            world.close()
        for _ in range(2):
            world.handle(told.Asked(None, REFRESH, NAME, world.monotonic + 10.0))

        assert world.keeper.key(NAME) is {"read": B, "nobody's": B}.get(outcome, A)
        assert (NAME in world.keys) is (outcome != "nobody's")

    def test_leaves_the_turns_of_the_schedule_as_they_are(self, longest_jitter):
        """A secret that waits for its turn is refreshed by hand; the secrets after it have their turn all the same."""
        world = World(lambda request: key(request.name))
        names = ["app/{:02}".format(number) for number in range(9)]
        for name in names:
            world.read(name=name)
        world.gateways[0].answer = NEVER
        world.stop(INTERVAL)
        world.handle(told.Ticked())
        assert len(world.under_way) == 4
        world.handle(told.Asked(None, REFRESH, names[5], world.monotonic + 10.0))
        for _ in range(9):
            for number in sorted(world.under_way):
                world.end(number, A)

        refreshed = collections.Counter(request.name for request in world.requests[9:])
        assert refreshed == dict.fromkeys(names, 1)


class TestByHandOfASecretThatWasNotReadYet:
    @pytest.fixture
    def unread(self):
        return World(A)

    def test_reads_it_once_and_does_not_put_it_into_use(self, unread):
        assert unread.refresh() is True
        assert unread.keys == {} and [told.key for told in unread.told] == [A]
        assert unread.keeper.wake_at() is None
        assert unread.ask(FIRST_READ).result() is A
        assert len(unread.requests) == 1

    def test_has_the_time_and_the_attempts_of_a_first_read(self, unread, longest_jitter):
        answers = [NO_CONNECTION, NO_CONNECTION, After(3.0, A)]
        unread.gateways[0].answer = lambda request: answers.pop(0)

        asker = unread.ask(REFRESH, 10.0, delays=(0.5, 1.0))

        assert unread.wait_for(asker) is True
        assert asker.took == 4.5

    def test_raises_why_it_cannot_be_read_and_so_do_those_who_ask_in_the_cool_down(self, unread):
        unread.gateways[0].answer = FORBIDDEN

        askers = [unread.ask(purpose) for purpose in (REFRESH, FIRST_READ, REFRESH, REFRESH)]

        for asker in askers:
            with pytest.raises(ServerException, match="not allowed"):
                asker.result()
        assert len({id(FORBIDDEN)} | {id(asker.answers[0].error) for asker in askers}) == 5
        assert len(unread.requests) == 1
        unread.pass_time(0.5)
        assert len(unread.requests) == 1
        unread.gateways[0].answer = A
        assert unread.refresh() is True

    def test_is_over_at_the_deadline_of_who_asks(self, unread):
        unread.gateways[0].answer = NEVER
        asker = unread.ask(REFRESH, 5.0)

        with pytest.raises(ClientException, match="no answer within 5.0 s"):
            unread.wait_for(asker)
        assert asker.took == 5.0

    def test_does_not_wait_for_a_first_read_in_progress(self, unread):
        unread.gateways[0].answer = NEVER
        unread.ask(FIRST_READ)

        assert unread.ask(REFRESH).result() is False
        assert due_in(unread) is None
        assert len(unread.requests) == 1

    def test_serves_first_reads_that_join_it_and_put_the_secret_into_use(self, unread):
        unread.gateways[0].answer = NEVER
        asker, joiner = unread.ask(REFRESH), unread.ask(FIRST_READ)
        unread.end(unread.requests[0].number, A)

        assert (asker.result(), joiner.result()) == (True, A)
        assert unread.keys == {NAME: A}
        assert due_in(unread) is not None


class TestByHandOfASecretThatWasNotReadYetWithAStoreOfTheProgram:
    @pytest.fixture
    def unread(self):
        world = World(NO_CONNECTION, can_recover=True)
        world.kept[NAME] = (A, 0.0)
        return world

    def test_raises_though_the_store_has_a_key_which_serves_first_reads(self, unread):
        with pytest.raises(ClientException, match="no connection"):
            unread.refresh()

        assert unread.ask(FIRST_READ).result() is A
        assert len(unread.requests) == 1

    def test_serves_first_reads_that_joined_it_from_the_store(self, unread):
        unread.gateways[0].answer = NEVER
        asker, joiner = unread.ask(REFRESH), unread.ask(FIRST_READ)
        unread.end(unread.requests[0].number, NO_CONNECTION)

        with pytest.raises(ClientException, match="no connection"):
            asker.result()
        assert unread.wait_for(joiner) is A

    def test_raises_at_once_while_the_store_is_asked(self, unread):
        del unread.kept[NAME]
        unread.ask(FIRST_READ)

        with pytest.raises(ClientException, match="no connection"):
            unread.ask(REFRESH).result()
        assert len(unread.requests) == 1


class TestFewAtATime:
    NAMES = ["app/{:02}".format(number) for number in range(12)]

    @pytest.fixture
    def world(self, longest_jitter):
        """Twelve secrets are due."""
        world = World(lambda request: key(request.name))
        for name in self.NAMES:
            world.read(name=name)
        world.gateways[0].answer = NEVER
        world.stop(INTERVAL)
        world.handle(told.Ticked())
        return world

    def refreshed(self, world):
        return [request.name for request in world.requests[len(self.NAMES):]]

    def test_four_are_refreshed_and_the_others_wait(self, world):
        assert self.refreshed(world) == self.NAMES[:4]
        world.handle(told.Ticked())
        assert self.refreshed(world) == self.NAMES[:4]

    @pytest.mark.parametrize("given", [A, FORBIDDEN], ids=["answer", "error"])
    def test_each_that_ends_makes_room_at_once(self, world, given):
        for count in range(5, 13):
            world.end(min(world.under_way), given)
            assert self.refreshed(world) == self.NAMES[:count]

    def test_hung_ones_make_room_when_their_time_is_over(self, world):
        world.pass_time(1.99)
        assert len(self.refreshed(world)) == 4
        world.pass_time(0.02)

        assert len(self.refreshed(world)) == 8

    def test_those_that_wait_are_about_to_be_refreshed(self, world):
        assert {due_in(world, name) for name in self.NAMES} == {0.0}

    def test_one_that_is_released_meanwhile_is_not_refreshed(self, world):
        world.close()
        for number in sorted(world.under_way):
            world.end(number, A)

        assert self.refreshed(world) == self.NAMES[:4]
        assert world.keeper.wake_at() is None

    def test_one_that_is_released_and_read_again_is_refreshed_once(self, world):
        world.close()
        for name in self.NAMES:
            world.ask(FIRST_READ, name=name)
        while world.under_way:
            world.end(min(world.under_way), A)

        assert sorted(self.refreshed(world)) == sorted(self.NAMES)

    def test_one_that_is_renewed_meanwhile_needs_no_refresh(self, world):
        renewal = world.ask(RENEWAL, 2.0, self.NAMES[11], rejected=key(self.NAMES[11]))
        world.end(world.requests[-1].number, B)
        assert renewal.answers
        while world.under_way:
            world.end(min(world.under_way), A)

        assert self.refreshed(world).count(self.NAMES[11]) == 1

    @pytest.mark.parametrize("given", [B, FORBIDDEN], ids=["answer", "error"])
    def test_one_that_is_being_renewed_at_its_turn_is_looked_at_again(self, world, given):
        """Otherwise a renewal that fails would end the schedule."""
        world.ask(RENEWAL, 2.0, self.NAMES[4], rejected=key(self.NAMES[4]))
        renewal = max(world.under_way)
        for number in sorted(world.under_way)[:4]:
            world.end(number, A)
        world.end(renewal, given)
        while world.under_way:
            world.end(min(world.under_way), A)

        assert due_in(world, self.NAMES[4]) is not None
        assert due_in(world, self.NAMES[4]) <= (INTERVAL if given is B else 2.0)

    def test_hundreds_that_may_not_be_asked_for_are_no_matter(self, longest_jitter):
        """Their refreshes end as soon as they begin, since their requests hang for ever."""
        names = ["app/{:02}".format(number) for number in range(304)]
        world = World(A, refresh_interval=35.0)
        for name in names:
            world.read(name=name)
        world.gateways[0].answer = NEVER
        for _ in range(3):
            for name in names[4:]:
                world.ask(RENEWAL, 0.5, name, rejected=A)
            world.pass_time(10.0)
        assert len(world.given_up) == 900
        world.pass_time(5.1)
        assert [request.name for request in world.requests[-4:]] == names[:4]

        world.end(world.requests[-1].number, A)
        world.pass_time(1.9)

        assert len(world.requests) == 304 + 900 + 4
        assert {due_in(world, name) is not None for name in names} == {True}


class TestIdleSecrets:
    def test_refresh_that_ends_after_the_secret_was_released_plans_nothing(self, world):
        for outcome in (B, NO_CONNECTION):
            world.gateways[0].answer = NEVER
            world.ask(REFRESH)
            world.close()
            world.end(world.requests[-1].number, outcome)

            assert due_in(world) is None
            assert world.keys == {}
            world.pass_time(10.0)
            world.gateways[0].answer = B
            world.read()


class TestCosts:
    def test_wake_up_looks_at_no_secret_that_is_not_due(self, longest_jitter):
        world = World(lambda request: key(request.name))
        for number in range(100):
            world.read(name=str(number))
        looked_at = []
        look_at = world.keeper._look_at
        world.keeper._look_at = lambda entry: looked_at.append(entry) or look_at(entry)
        world.pass_time(60.0)
        world.jump(0.5)
        world.handle(told.Ticked())

        assert looked_at == []

    def test_fault_that_leaves_an_entry_due_is_logged_and_keeps_no_core_busy(self, world, monkeypatch):
        keeper, now = world.keeper, world.now
        with monkeypatch.context() as patch:
            patch.setattr(keeper, "_next_look", lambda entry: now.monotonic)
            actions = keeper.handle(told.Asked(object(), FIRST_READ, NAME, now.monotonic + 10.0), now)

        (line,) = [action.message % action.args for action in actions
                   if isinstance(action, Log) and action.level == logging.ERROR]
        assert line.startswith("secret 'app/key': the keeper makes no progress")
        assert keeper.wake_at() == now.monotonic + 1.0
        world.pass_time(INTERVAL)
        assert len(world.requests) >= 2

    def test_refreshing_again_and_again_does_not_grow(self, world):
        for _ in range(2000):
            world.refresh()
            world.pass_time(1.1)

        assert len(world.keeper._heap) < 200

    def test_of_many_secrets_each_takes_less_than_1800_bytes(self, monkeypatch):
        """Its AccessKey and the fields of its answer included, also after a refresh."""
        monkeypatch.setattr(secrecy_watch.ledger, "add", lambda *secrets: None)  # its notes take as much memory
        names = ["team-{}/application-{}/key".format(number % 100, number) for number in range(500)]
        texts = [answer(name) for name in names]
        keeper = Keeper([object()], INTERVAL, 2.0)
        numbers = iter(range(1, 10 ** 6))

        def read(purpose, now):
            for name, text in zip(names, texts):
                keeper.handle(told.Asked(object(), purpose, name, now.monotonic + 10.0), now)
                keeper.handle(told.Ended(next(numbers), parse_secret(name, json.loads(text))), now)
            gc.collect()
            return tracemalloc.get_traced_memory()[0] / len(names)

        gc.collect()
        tracemalloc.start()
        try:
            when_read = read(FIRST_READ, Now(5000.0, NOW))
            when_refreshed = read(REFRESH, Now(5060.0, NOW + 60.0))
        finally:
            tracemalloc.stop()

        # Dictionaries take more on older interpreters.
        most = 1800 if sys.version_info >= (3, 11) else 2000 if sys.version_info >= (3, 8) else 2200
        assert when_read < most
        assert when_refreshed < most


def answer(name):
    """Return the text of an answer of Secrets Manager."""
    pair = new_access_key(False)
    return json.dumps({
        "RequestId": str(uuid.uuid4()),
        "SecretName": name,
        "VersionId": str(uuid.uuid4()),
        "CreateTime": "2026-11-21T10:00:00Z",
        "SecretData": json.dumps({"AccessKeyId": pair.access_key_id, "AccessKeySecret": pair.access_key_secret}),
        "SecretDataType": "text",
        "SecretType": "RAMCredentials",
        "AutomaticRotation": "Enabled",
        "RotationInterval": "604800s",
        "NextRotationDate": "2099-11-28T10:00:00Z",
        "ExtendedConfig": json.dumps({"SecretSubType": "RamUserAccessKey", "UserName": "application"}),
        "VersionStages": {"VersionStage": ["ACSCurrent"]},
    })
