"""Who of several processes asks Secrets Manager, who waits for it, and what is taken from the shared store."""

import pytest

from aliyun_sdk_secretsmanager_common_plugin.keeper import FIRST_READ, REFRESH, RENEWAL
from aliyun_sdk_secretsmanager_common_plugin.keeper import actions as does
from aliyun_sdk_secretsmanager_common_plugin.keeper import events as told
from aliyun_sdk_secretsmanager_common_plugin.keeper.events import Found
from aliyun_sdk_secretsmanager_common_plugin.secrecy import log_fields

from ...common.fakes import key
from ..store import OTHER
from ..world import NAME, NEVER, NO_CONNECTION, After, World
from .worlds import INTERVAL, A, B, C, is_untroubled, kinds, store_stats

# A fetch of 10 s waits so long for the process that has the lease; one of 2 s so long.
FIRST_READ_WAIT, RENEWAL_WAIT = 6.0, 1.2


class TestFirstRead:
    def test_asks_secrets_manager_with_the_lease_and_shares_the_answer(self, world):
        assert world.read() == A

        assert kinds(world) == ["Take", "Share"]
        assert world.shared_store.held(NAME).answer[1] == A
        assert world.shared_store.held(NAME).lease is None
        assert store_stats(world)[:4] == (0, 1, 1, 0)
        assert is_untroubled(world)

    @pytest.mark.parametrize("seconds, lease", [(10.0, 1.0), (1.0, 0.5)])
    def test_has_the_lease_for_half_of_its_time_or_a_second(self, world, seconds, lease):
        world.read(seconds)

        assert world.operations[0].lease == pytest.approx(lease)

    def test_takes_what_another_process_left(self, world):
        world.shared_store.other_shares(NAME, B)

        assert world.read() == B
        assert world.keys == {NAME: B}
        assert world.log == []
        assert store_stats(world).hits == 1

    def test_counts_the_age_of_what_it_takes(self, world):
        world.shared_store.other_shares(NAME, B)
        world.pass_time(INTERVAL / 2)

        world.read()

        stats = world.keeper.stats(world.now)[NAME]
        assert stats.age == pytest.approx(INTERVAL / 2)
        assert stats.next_refresh <= INTERVAL / 2
        world.jump(100.0)
        assert world.keeper.stats(world.now)[NAME].age == pytest.approx(INTERVAL / 2 + 100.0), "the machine was suspended"

    def test_does_not_take_what_is_older_than_the_refresh_interval(self, world):
        world.shared_store.other_shares(NAME, B)
        world.pass_time(INTERVAL + 1.0)

        assert world.read() == A

    def test_waits_for_the_process_that_asks(self, world):
        position = world.shared_store.lease_to_other(NAME, 4.0)
        asker = world.ask(FIRST_READ)
        world.pass_time(1.0)
        assert not asker.answers
        world.shared_store.other_shares(NAME, B, position)

        assert world.wait_for(asker) == B
        assert asker.took < 1.5
        assert world.log == []
        assert store_stats(world).waits == 1

    def test_takes_over_when_the_lease_of_a_dead_process_ends(self, world):
        world.shared_store.lease_to_other(NAME, 4.0)
        asker = world.ask(FIRST_READ)

        assert world.wait_for(asker) == A
        assert 4.0 <= asker.took <= 4.4
        assert world.shared_store.held(NAME).answer[1] == A

    def test_asks_by_itself_in_time_if_the_lease_does_not_end(self, world):
        world.shared_store.lease_to_other(NAME, 100.0)
        asker = world.ask(FIRST_READ)

        assert world.wait_for(asker) == A
        assert asker.took == pytest.approx(FIRST_READ_WAIT)
        assert world.shared_store.held(NAME).answer[1] == A, "its number says that it is the latest"
        assert world.shared_store.held(NAME).lease[0] == OTHER

    def test_looks_less_and_less_often_while_it_waits(self, world, longest_jitter):
        world.shared_store.lease_to_other(NAME, 100.0)
        world.wait_for(world.ask(FIRST_READ))

        began = world.operations_begun
        assert [moment - began[0] for moment in began[:7]] == pytest.approx([0.0, 0.05, 0.15, 0.35, 0.75, 1.15, 1.55])

    def test_frees_the_lease_if_secrets_manager_fails(self, world):
        world.gateways[0].answer = NO_CONNECTION

        with pytest.raises(type(NO_CONNECTION)):
            world.read(retry=False)

        assert kinds(world) == ["Take", "Free"]
        assert world.shared_store.held(NAME).lease is None
        assert is_untroubled(world)

    def test_that_the_programs_own_store_answers_shares_nothing(self, world):
        world.gateways[0].answer = NEVER
        asker = world.ask(FIRST_READ)
        world.pass_time(0.0)
        (number,) = world.under_way
        world.end(number, B, is_kept=True)
        world.pass_time(0.0)

        assert asker.result() == B
        assert kinds(world) == ["Take", "Free"]
        assert world.shared_store.held(NAME).lease is None
        world.handle(world.shared_store.other_shares(NAME, A))
        world.pass_time(INTERVAL)
        assert world.keys == {NAME: A}, "it is newer, whatever its position"

    def test_of_a_key_that_was_not_in_use_for_long_looks_at_the_store(self, reader):
        reader.lease()
        reader.close()
        reader.pass_time(INTERVAL + 1.0)
        reader.shared_store.other_shares(NAME, B)

        assert reader.read() == B
        assert len(reader.requests) == 1


class TestRenewal:
    def test_takes_the_newer_key_that_another_process_left(self, reader):
        reader.shared_store.other_shares(NAME, B)

        assert reader.renew(A).key == B
        assert len(reader.requests) == 1

    def test_takes_a_newer_key_however_long_ago_another_process_left_it(self, reader):
        reader.shared_store.other_shares(NAME, B)
        reader.stop(INTERVAL + 1.0)

        assert reader.renew(A).key == B
        assert RENEWAL not in [request.purpose for request in reader.requests]

    def test_is_not_held_back_by_those_before_it_that_brought_a_key_which_works(self, reader):
        """They are off the floor, as those are that asked Secrets Manager."""
        keys = [A] + [key("K{}".format(number)) for number in range(15)]
        for rejected, newer in zip(keys, keys[1:]):
            reader.shared_store.other_shares(NAME, newer)
            assert reader.renew(rejected).key == newer
            reader.accept(newer)
            reader.pass_time(0.1)

    def test_asks_the_store_once_more_at_most_if_its_answer_is_no_news(self, reader):
        """Then only for a place in the order, whatever answer the store has."""
        position, _ = reader.shared_store.held(NAME).answer
        reader.gateways[0].answer = B
        reader.renew(A)
        reader.shared_store.flush()
        reader.shared_store.held(NAME).answer = position._replace(generation="another"), A
        reader.shared_store.generation = "another"
        reader.gateways[0].answer = C

        assert reader.renew(B).key == C
        assert kinds(reader)[-3:] == ["Take", "Take", "Share"]

    def test_asks_secrets_manager_if_the_store_has_the_rejected_key(self, reader):
        reader.gateways[0].answer = B

        assert reader.renew(A).key == B
        assert reader.shared_store.held(NAME).answer[1] == B

    def test_asks_secrets_manager_if_a_newer_answer_has_the_rejected_key_too(self, reader):
        reader.shared_store.other_shares(NAME, A)  # another process refreshed, before the rotation
        reader.pass_time(10.0)
        reader.gateways[0].answer = B

        assert reader.renew(A).key == B

    def test_of_a_key_from_the_store_asks_secrets_manager(self, world):
        """A store may have a key that was rotated long ago."""
        world.shared_store.other_shares(NAME, B)
        world.read()

        assert world.renew(B).key == A

    def test_waits_for_the_process_that_asks(self, reader):
        position = reader.shared_store.lease_to_other(NAME, 1.0)
        asker = reader.ask(RENEWAL, 2.0, rejected=A)
        reader.pass_time(0.3)
        reader.shared_store.other_shares(NAME, B, position)

        assert reader.wait_for(asker).key == B
        assert asker.took < 0.8
        assert len(reader.requests) == 1

    def test_gives_up_waiting_well_before_its_deadline(self, reader):
        reader.gateways[0].answer = B
        reader.shared_store.lease_to_other(NAME, 100.0)
        asker = reader.ask(RENEWAL, 2.0, rejected=A)

        assert reader.wait_for(asker).key == B
        assert asker.took == pytest.approx(RENEWAL_WAIT)

    def test_ends_if_a_process_that_asked_later_got_the_rejected_key_again(self, reader):
        """Else all processes would ask, one after the other, until Secrets Manager knows of the rotation."""
        reader.shared_store.lease_to_other(NAME, 1.0)
        asker = reader.ask(RENEWAL, 2.0, rejected=A)
        reader.pass_time(0.01)
        reader.handle(reader.shared_store.other_shares(NAME, A))

        assert reader.wait_for(asker).key is None
        assert len(reader.requests) == 1
        assert reader.keeper.renewal(NAME, A, reader.now).key is None, "it does not cool down"

    def test_goes_on_if_a_process_that_asked_earlier_got_the_rejected_key_again(self, reader):
        """It may have asked before the rotation."""
        position = reader.shared_store.lease_to_other(NAME, 1.0)
        asker = reader.ask(RENEWAL, 2.0, rejected=A)
        reader.pass_time(0.01)
        reader.gateways[0].answer = B
        reader.handle(reader.shared_store.other_shares(NAME, A, position))

        assert reader.wait_for(asker).key == B

    def test_is_not_ended_by_an_announcement_that_comes_late(self, reader):
        """It is of an answer from before the rotation."""
        announced = reader.shared_store.other_shares(NAME, A)
        reader.pass_time(1.0)
        reader.gateways[0].answer = After(0.1, B)
        asker = reader.ask(RENEWAL, 2.0, rejected=A)
        reader.handle(announced)

        assert reader.wait_for(asker).key == B

    def test_does_not_take_an_older_answer_that_was_put_back(self, reader):
        old = reader.shared_store.held(NAME).answer
        reader.gateways[0].answer = B
        reader.renew(A)
        reader.shared_store.held(NAME).answer = old[0], C
        reader.gateways[0].answer = A

        assert reader.renew(B).key == A

    def test_takes_a_new_key_from_a_store_that_was_emptied(self, reader):
        for _ in range(3):
            reader.refresh()
        reader.pass_time(1.0)
        reader.shared_store.flush()
        reader.shared_store.other_shares(NAME, B)

        assert reader.renew(A).key == B
        assert len(reader.requests) == 4

    def test_does_not_take_an_old_key_from_a_store_that_was_exchanged(self, reader):
        reader.shared_store.flush()
        reader.shared_store.other_shares(NAME, C)
        reader.pass_time(100.0)
        reader.gateways[0].answer = B
        assert reader.refresh()
        held = reader.shared_store.held(NAME)
        held.answer = held.answer[0]._replace(generation="another", number=1, time=held.answer[0].time - 50000), C
        reader.shared_store.generation = "another"
        reader.gateways[0].answer = A

        assert reader.renew(B).key == A

    def test_does_not_take_an_answer_from_before_the_store_was_emptied_however_young_the_store_calls_it(self, reader):
        position, key_before = reader.shared_store.held(NAME).answer
        reader.pass_time(100.0)
        reader.shared_store.flush()
        reader.gateways[0].answer = B
        assert reader.refresh()
        reader.pass_time(1.0)
        reader.gateways[0].answer = C
        reader.shared_store.mode = "hangs"
        asker = reader.ask(RENEWAL, 2.0, rejected=B)
        reader.shared_store.mode = "works"
        reader.handle(told.StoreEnded(reader.operations[-1].number, Found(key_before, position, 0.0)))

        assert reader.wait_for(asker).key == C
        assert [action.key for action in reader.told] == [A, B, C]


class TestRefresh:
    def test_of_the_schedule_takes_what_another_process_left(self, reader):
        reader.pass_time(INTERVAL / 2)
        reader.shared_store.other_shares(NAME, B)
        reader.pass_time(INTERVAL / 2)

        assert reader.keys == {NAME: B}
        assert len(reader.requests) == 1

    def test_of_the_schedule_asks_and_announces_if_nobody_has(self, reader):
        reader.gateways[0].answer = B
        reader.pass_time(INTERVAL)

        assert reader.shared_store.held(NAME).answer[1] == B

    def test_that_somebody_asked_for_asks_secrets_manager_whatever_the_store_has(self, reader):
        reader.shared_store.other_shares(NAME, C)
        reader.gateways[0].answer = B

        assert reader.refresh()
        assert reader.keys == {NAME: B}
        assert reader.shared_store.held(NAME).answer[1] == B
        assert [action.key for action in reader.told] == [A, B], "the store's answer was taken before"

    def test_that_somebody_asked_for_waits_for_nobody(self, reader):
        reader.shared_store.lease_to_other(NAME, 1.0)
        asker = reader.ask(REFRESH)

        assert reader.wait_for(asker) is True
        assert asker.took == 0.0


def test_counters_count_each_fetch(reader):
    for newer in (B, C):
        reader.gateways[0].answer = newer
        assert reader.refresh()
        reader.handle(reader.shared_store.other_shares(NAME, A))
        reader.shared_store.other_shares(NAME, B)
        assert reader.renew(A).key == B
        reader.pass_time(1.0)

    assert store_stats(reader)[:6] == (2, 3, 3, 0, 2, 0)


def test_value_that_cannot_be_used_is_ignored_with_a_warning_that_names_the_secret(world):
    world.shared_store.mode = "hangs"
    asker = world.ask(FIRST_READ)
    taken = world.operated(world.operations[0])
    (warning,) = [action for action in world.handle(taken._replace(ignored="it is garbage"))
                  if isinstance(action, does.Log) and "ignored" in action.message]

    assert warning.args == (NAME, "it is garbage")
    assert warning.fields == log_fields(NAME)
    assert world.wait_for(asker) == A
    assert store_stats(world).ignored == 1


def test_lease_that_comes_when_the_fetch_is_over_is_freed(reader):
    position = reader.shared_store.lease_to_other(NAME, 0.0)
    reader.shared_store.mode = "hangs"
    asker = reader.ask(RENEWAL, 2.0, rejected=A)
    leased = reader.operated(reader.operations[-1])
    reader.handle(reader.shared_store.other_shares(NAME, B, position))
    assert asker.result().key == B
    reader.shared_store.mode = "works"
    reader.handle(leased)
    reader.pass_time(0.0)

    assert kinds(reader)[-1] == "Free"
    assert reader.shared_store.held(NAME).lease is None


def test_operations_without_a_store_are_none():
    world = World(A)
    world.read()

    assert not any(isinstance(request, does.Take) for request in world.requests)
    assert world.keeper.stats(world.now)[NAME].shared_store is None
