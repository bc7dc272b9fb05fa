"""The shared store: who asks Secrets Manager, who waits, what is taken from the store, and how its failures are met."""

import pytest

from aliyun_sdk_secretsmanager_common_plugin.keeper import FIRST_READ, REFRESH, RENEWAL
from aliyun_sdk_secretsmanager_common_plugin.keeper import actions as does
from aliyun_sdk_secretsmanager_common_plugin.keeper import events as told
from aliyun_sdk_secretsmanager_common_plugin.keeper.events import Announced, Found

from ..common.fakes import key
from .store import OTHER, OWNER
from .world import NAME, NEVER, NO_CONNECTION, After, World

A, B, C = key("A"), key("B"), key("C")
INTERVAL = 600.0
TIMEOUT = 0.2
# A fetch of 10 s waits so long for the process that has the lease; one of 2 s so long.
FIRST_READ_WAIT, RENEWAL_WAIT = 6.0, 1.2


def make_world(answer=A, **options):
    return World(answer, refresh_interval=INTERVAL, store_timeout=TIMEOUT, **options)


@pytest.fixture
def world():
    """The store is empty, and Secrets Manager has A."""
    return make_world()


@pytest.fixture
def reader(world):
    """A world in which A was read and shared."""
    world.read()
    return world


def store_stats(world):
    return world.keeper.stats(world.now)[NAME].shared_store


def kinds(world):
    return [type(operation).__name__ for operation in world.operations]


class TestFirstRead:
    def test_asks_secrets_manager_with_the_lease_and_shares_the_answer(self, world):
        assert world.read() == A

        assert kinds(world) == ["Take", "Share"]
        assert world.shared_store.held(NAME).answer[1] == A
        assert world.shared_store.held(NAME).lease is None
        assert store_stats(world)[:4] == (0, 1, 1, 0)

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

    def test_looks_less_and_less_often_while_it_waits(self, world):
        world.shared_store.lease_to_other(NAME, 100.0)
        world.wait_for(world.ask(FIRST_READ))

        assert 15 <= kinds(world).count("Take") <= 35

    def test_frees_the_lease_if_secrets_manager_fails(self, world):
        world.gateways[0].answer = NO_CONNECTION

        with pytest.raises(type(NO_CONNECTION)):
            world.read(retry=False)

        assert kinds(world) == ["Take", "Free"]
        assert world.shared_store.held(NAME).lease is None

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

    def test_that_somebody_asked_for_waits_for_nobody(self, reader):
        reader.shared_store.lease_to_other(NAME, 1.0)
        asker = reader.ask(REFRESH)

        assert reader.wait_for(asker) is True
        assert asker.took == 0.0


class TestAnnouncement:
    def test_of_a_newer_answer_is_followed_at_once(self, reader):
        reader.handle(reader.shared_store.other_shares(NAME, B))

        assert reader.keys == {NAME: B}
        assert [told_of.key for told_of in reader.told] == [A, B]
        assert kinds(reader) == ["Take", "Share"], "the store was asked again"
        assert store_stats(reader).announcements == 1

    def test_puts_off_the_refresh(self, reader):
        reader.pass_time(INTERVAL / 2)
        reader.handle(reader.shared_store.other_shares(NAME, A))

        stats = reader.keeper.stats(reader.now)[NAME]
        assert stats.age == 0.0
        assert stats.next_refresh > INTERVAL / 2

    def test_of_an_older_answer_is_ignored(self, reader):
        old = Announced(NAME, Found(C, reader.shared_store.held(NAME).answer[0], 0.0))
        reader.handle(reader.shared_store.other_shares(NAME, B))
        reader.handle(old)

        assert reader.keys == {NAME: B}

    def test_of_its_own_does_not_count(self, reader):
        reader.handle(Announced(NAME, Found(A, reader.shared_store.held(NAME).answer[0], 0.0)))

        assert store_stats(reader).announcements == 0

    def test_ends_a_renewal_that_waits_for_a_gateway_that_hangs(self, reader):
        reader.gateways[0].answer = NEVER
        asker = reader.ask(RENEWAL, 2.0, rejected=A)
        reader.pass_time(0.5)
        position = reader.shared_store.lease_to_other(NAME, 1.0)
        reader.handle(reader.shared_store.other_shares(NAME, B, position))

        assert asker.result().key == B
        assert asker.took == 0.5
        assert reader.renew(B).key is None, "a cool-down or a fetch stands in the way"

    def test_ends_a_first_read_that_waits(self, world):
        position = world.shared_store.lease_to_other(NAME, 4.0)
        asker = world.ask(FIRST_READ)
        world.pass_time(3.0)
        asked = len(world.operations)
        world.handle(world.shared_store.other_shares(NAME, B, position))

        assert asker.result() == B
        assert len(world.operations) == asked, "the store was asked again"

    def test_after_the_store_was_emptied_has_the_store_asked_what_is_newer(self, reader):
        reader.pass_time(10.0)
        reader.shared_store.flush()
        reader.handle(reader.shared_store.other_shares(NAME, B))
        asked = len(reader.operations)
        reader.pass_time(0.9)
        assert len(reader.operations) == asked, "all processes of a fleet would ask at once"
        reader.pass_time(30.0)

        assert reader.keys == {NAME: B}
        assert len(reader.requests) == 1

    def test_from_before_the_store_was_emptied_that_is_repeated_leaves_renewals_their_room(self, reader):
        """Each of them has the store asked, and the floor counts that."""
        old = reader.shared_store.other_shares(NAME, A)
        reader.shared_store.flush()
        reader.refresh()
        for _ in range(50):
            reader.handle(old)
            reader.pass_time(0.1)
        reader.gateways[0].answer = B

        assert reader.renew(A).key == B

    def test_that_cannot_be_read_is_ignored_with_one_warning_a_minute(self, reader):
        for _ in range(3):
            reader.handle(Announced(NAME, None))
            reader.pass_time(1.0)

        assert store_stats(reader).ignored == 3
        assert len([line for line in reader.lines if "ignored" in line]) == 1
        reader.pass_time(60.0)
        reader.handle(Announced(NAME, None))
        assert len([line for line in reader.lines if "ignored" in line]) == 2

    def test_of_an_unknown_secret_is_no_matter(self, reader):
        reader.handle(Announced("another", Found(B, reader.shared_store.lease_to_other("another", 1.0), 0.0)))

        assert reader.known_names() == [NAME]


class TestOrder:
    def test_an_answer_of_a_request_that_began_before_an_announced_one_is_dropped(self, reader):
        reader.gateways[0].answer = NEVER
        reader.ask(REFRESH)
        reader.handle(reader.shared_store.other_shares(NAME, B))
        reader.end(reader.requests[-1].number, A)

        assert reader.keys == {NAME: B}

    def test_an_answer_of_a_request_that_began_after_an_announced_one_is_used(self, reader):
        reader.gateways[0].answer = NEVER
        position = reader.shared_store.lease_to_other(NAME, 0.1)
        reader.pass_time(0.2)
        reader.ask(REFRESH)
        announced = Announced(NAME, Found(B, position, 0.0))
        reader.handle(announced)
        reader.end(reader.requests[-1].number, C)

        assert reader.keys == {NAME: C}

    def test_an_answer_without_a_place_in_the_order_is_used_if_its_request_began_later(self, reader):
        reader.handle(reader.shared_store.other_shares(NAME, B))
        reader.pass_time(1.0)
        reader.shared_store.mode = "fails"
        reader.gateways[0].answer = C

        assert reader.renew(B).key == C

    def test_an_answer_without_a_place_in_the_order_is_dropped_if_its_request_began_earlier(self, reader):
        reader.pass_time(1.0)
        reader.shared_store.mode = "fails"
        reader.gateways[0].answer = NEVER
        reader.ask(REFRESH)
        reader.pass_time(0.5)
        reader.handle(reader.shared_store.other_shares(NAME, B))
        reader.end(reader.requests[-1].number, A)

        assert reader.keys == {NAME: B}

    def test_a_late_answer_does_not_undo_a_newer_one_of_the_store(self, reader):
        """The fence: its number is smaller than the one that was written."""
        reader.gateways[0].answer = NEVER
        reader.ask(REFRESH)
        reader.shared_store.other_shares(NAME, B)
        reader.end(reader.requests[-1].number, C)

        assert reader.shared_store.held(NAME).answer[1] == B


class TestStoreThatLies:
    """A hostile Redis can keep nobody from the key that Secrets Manager has."""

    @pytest.fixture
    def liar(self, reader):
        """Call it with a function of the true answer and the number of answers before; it changes what the store says."""
        told_so_far = []

        def lie(change):
            true = reader.operated

            def operated(action):
                event = true(action)
                if isinstance(action, does.Take):
                    told_so_far.append(action)
                    event = change(event, len(told_so_far))
                return event

            reader.operated = operated
            return told_so_far

        return lie

    def test_with_the_same_answer_again_and_again(self, reader, liar):
        position = reader.shared_store.held(NAME).answer[0]
        asked = liar(lambda event, count: told.StoreEnded(event.number, Found(A, position, 0.0)))
        reader.gateways[0].answer = B

        assert reader.renew(A).key == B
        assert len(asked) <= 4

    def test_with_ever_newer_answers(self, reader, liar):
        position = reader.shared_store.held(NAME).answer[0]
        asked = liar(lambda event, count: told.StoreEnded(
            event.number, Found(A, position._replace(number=10 + count), 100.0)))
        reader.gateways[0].answer = B

        assert reader.renew(A).key == B
        assert len(asked) <= 4

    def test_with_positions_that_are_not_after_the_one_that_is_held(self, reader, liar):
        reader.handle(reader.shared_store.other_shares(NAME, A))
        reader.pass_time(1.0)
        liar(lambda event, count: event._replace(position=event.position._replace(number=1)))
        reader.gateways[0].answer = B

        assert reader.renew(A).key == B

    def test_with_a_clock_that_jumps_ahead(self, reader):
        reader.shared_store._time = lambda: reader.time + 1e6
        reader.handle(reader.shared_store.other_shares(NAME, A))
        reader.shared_store.mode = "fails"
        reader.pass_time(1.0)
        reader.gateways[0].answer = B

        assert reader.renew(A).key == B

    def test_with_the_rejected_key_again_and_again(self, reader, liar):
        """Another process asks a region that does not know of the rotation."""
        reader.pass_time(1.0)
        reader.shared_store.lease_to_other(NAME, 1.0)
        reader.ask(RENEWAL, 2.0, rejected=A)
        reader.pass_time(0.01)
        reader.handle(reader.shared_store.other_shares(NAME, A))
        reader.pass_time(5.0)
        reader.gateways[0].answer = B
        reader.shared_store.lease_to_other(NAME, 1.0)
        asker = reader.ask(RENEWAL, 2.0, rejected=A)
        reader.pass_time(0.01)
        reader.handle(reader.shared_store.other_shares(NAME, A))

        assert reader.wait_for(asker).key == B

    def test_with_announcements_from_before_it_was_emptied(self, reader):
        old = reader.shared_store.other_shares(NAME, A)
        reader.shared_store.flush()
        reader.pass_time(1.0)
        reader.refresh()
        asked = len(reader.requests)
        for _ in range(50):
            reader.handle(old)
            reader.pass_time(1.0)

        assert len(reader.requests) == asked


class TestStoreThatFails:
    def test_is_left_out_at_once(self, world):
        world.shared_store.mode = "fails"

        assert world.read() == A
        assert kinds(world) == ["Take"]

    def test_that_hangs_costs_its_timeout_and_no_more(self, world):
        world.shared_store.mode = "hangs"
        asker = world.ask(FIRST_READ)

        assert world.wait_for(asker) == A
        assert asker.took == pytest.approx(TIMEOUT)
        assert world.given_up == [world.operations[0].number]

    def test_is_given_more_time_while_this_process_does_not_run(self, world):
        """On a machine with more to do than it can, not the store is slow."""
        world.shared_store.mode = "hangs"
        asker = world.ask(FIRST_READ)
        for _ in range(8):
            world.stop(0.1)
            world.handle(told.Ticked())
        assert not asker.answers

        world.handle(world.operated(world.operations[0]))
        assert world.wait_for(asker) == A
        assert kinds(world) == ["Take", "Share"]

    def test_is_given_up_however_little_this_process_runs(self, world):
        world.shared_store.mode = "hangs"
        world.ask(FIRST_READ)
        for _ in range(10):
            world.stop(0.1)
            world.handle(told.Ticked())

        assert world.given_up == [world.operations[0].number]

    @pytest.mark.parametrize("timeout", [2.0, 5.0])
    def test_that_hangs_leaves_a_renewal_its_time_whatever_its_own_timeout_is(self, timeout):
        world = World(A, refresh_interval=INTERVAL, store_timeout=timeout)
        world.read()
        world.shared_store.mode = "hangs"
        world.gateways[0].answer = After(0.5, B)

        assert world.renew(A, 2.0).key == B

    def test_costs_later_fetches_nothing(self, reader):
        reader.shared_store.mode = "hangs"
        reader.gateways[0].answer = B
        reader.renew(A)
        reader.gateways[0].answer = C
        asker = reader.ask(RENEWAL, 2.0, rejected=B)

        assert asker.result().key == C
        assert asker.took == 0.0

    def test_is_tried_in_the_background_and_used_again(self, reader):
        reader.shared_store.mode = "fails"
        reader.refresh()
        assert store_stats(reader).is_off
        reader.pass_time(5.0)
        assert "Probe" in kinds(reader)
        reader.shared_store.mode = "works"
        reader.pass_time(10.0)
        assert not store_stats(reader).is_off

        reader.shared_store.other_shares(NAME, B)
        assert reader.renew(A).key == B

    def test_is_left_alone_for_one_pause_however_many_operations_fail_together(self, world):
        world.shared_store.mode = "hangs"
        for number in range(8):
            world.ask(FIRST_READ, name="secret-{}".format(number))
        world.pass_time(TIMEOUT + 1.0)

        assert "Probe" in kinds(world)

    @pytest.mark.parametrize("mode", ["fails", "hangs"])
    def test_is_tried_less_and_less_often(self, reader, mode):
        reader.shared_store.mode = mode
        reader.refresh()
        reader.pass_time(590.0)

        assert 18 <= kinds(reader).count("Probe") <= 48

    def test_is_not_tried_while_no_secret_is_in_use(self, reader):
        reader.lease()
        reader.shared_store.mode = "fails"
        reader.refresh()
        reader.close()
        reader.pass_time(100.0)

        assert "Probe" not in kinds(reader)
        assert reader.keeper.wake_at() is None

    def test_is_warned_of_once_a_minute(self, reader):
        reader.shared_store.mode = "fails"
        reader.refresh()
        reader.pass_time(50.0)

        assert len([line for line in reader.lines if "the shared store fails" in line]) == 1

    def test_gives_no_place_in_the_order_with_what_it_answers_late(self, world):
        world.shared_store.mode = "hangs"
        world.gateways[0].answer = After(1.0, A)
        asker = world.ask(FIRST_READ)
        world.pass_time(TIMEOUT + 0.01)
        world.shared_store.mode = "works"
        world.handle(world.operated(world.operations[0]))
        assert world.shared_store.held(NAME).lease[0] == OWNER

        assert world.wait_for(asker) == A
        assert world.shared_store.held(NAME).answer is None, "a number that was taken late says nothing"


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


class TestFork:
    def test_leaves_the_operations_to_the_parent(self, world):
        world.shared_store.mode = "hangs"
        world.ask(FIRST_READ)
        world.fork()
        world.shared_store.mode = "works"

        world.handle(world.operated(world.operations[0]))
        assert world.read() == A

    def test_keeps_what_is_held_and_its_place(self, reader):
        reader.fork()
        assert reader.read() == A
        reader.shared_store.other_shares(NAME, B)

        assert reader.renew(A).key == B
        assert store_stats(reader).hits == 1

    def test_goes_on_to_try_a_store_that_is_off(self, reader):
        reader.shared_store.mode = "fails"
        reader.refresh()
        reader.fork()
        reader.shared_store.mode = "works"
        reader.read()
        reader.pass_time(5.0)

        assert not store_stats(reader).is_off


def test_operations_without_a_store_are_none():
    world = World(A)
    world.read()

    assert not any(isinstance(request, does.Take) for request in world.requests)
    assert world.keeper.stats(world.now)[NAME].shared_store is None
