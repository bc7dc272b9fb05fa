"""A shared store that lies, fails or hangs, and what a fork leaves of it."""

import pytest

from aliyun_sdk_secretsmanager_common_plugin.keeper import FIRST_READ, RENEWAL
from aliyun_sdk_secretsmanager_common_plugin.keeper import actions as does
from aliyun_sdk_secretsmanager_common_plugin.keeper import events as told
from aliyun_sdk_secretsmanager_common_plugin.keeper.events import Found

from ..store import OWNER
from ..world import NAME, NEVER, After
from .worlds import TIMEOUT, A, B, C, kinds, make_world, store_stats


def probe_pauses(world, began):
    """Return the times between the probes since a moment, the first of them since the moment itself."""
    moments = [began] + [moment for operation, moment in zip(world.operations, world.operations_begun)
                         if isinstance(operation, does.Probe) and moment > began]
    return [later - earlier for earlier, later in zip(moments, moments[1:])]


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
        assert len(asked) == 4

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
        assert any("of the test" in line for line in world.lines), "the log does not say why"

    def test_amid_the_sharing_of_an_answer_costs_nothing(self, world):
        def fail_then_answer(request):
            world.shared_store.mode = "fails"
            return A

        world.gateways[0].answer = fail_then_answer

        assert world.read() == A
        assert kinds(world) == ["Take", "Share"]
        assert store_stats(world).is_off

    def test_that_hangs_leaves_the_fetch_all_its_gateways(self):
        world = make_world(NEVER, A)
        world.shared_store.mode = "hangs"

        assert world.read() == A
        assert world.log == ["r1", "r2"]

    def test_does_not_bring_back_a_fetch_that_an_announcement_ended(self, reader):
        position = reader.shared_store.lease_to_other(NAME, 0.0)
        reader.shared_store.mode = "hangs"
        asker = reader.ask(RENEWAL, 2.0, rejected=A)
        reader.handle(reader.shared_store.other_shares(NAME, B, position))
        assert asker.result().key == B
        reader.pass_time(2.0)

        assert len(reader.requests) == 1

    def test_that_hangs_costs_its_timeout_and_no_more(self, world):
        world.shared_store.mode = "hangs"
        asker = world.ask(FIRST_READ)

        assert world.wait_for(asker) == A
        assert asker.took == pytest.approx(TIMEOUT)
        assert world.given_up == [world.operations[0].number]
        assert any("no answer within 200 ms" in line for line in world.lines)

    def test_that_hangs_when_the_wait_for_another_process_ends_has_its_timeout_too(self, world):
        world.shared_store.lease_to_other(NAME, 100.0)
        asker = world.ask(FIRST_READ)
        world.pass_time(5.9)
        world.shared_store.mode = "hangs"
        world.wait_for(asker)

        last = max(moment for operation, moment in zip(world.operations, world.operations_begun)
                   if isinstance(operation, does.Take))
        assert asker.began + asker.took - last == pytest.approx(TIMEOUT)

    def test_that_hangs_leaves_each_of_many_fetches_all_its_gateways(self):
        world = make_world(NEVER, A)
        world.shared_store.mode = "hangs"
        askers = [world.ask(FIRST_READ, name="secret-{}".format(number)) for number in range(3)]

        assert [world.wait_for(asker) for asker in askers] == [A, A, A]
        assert max(asker.took for asker in askers) < 2.0

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
        world = make_world(A, store_timeout=timeout)
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
    def test_is_tried_less_and_less_often(self, reader, mode, longest_jitter):
        reader.shared_store.mode = mode
        began = reader.monotonic
        reader.refresh()
        reader.pass_time(150.0)

        took = TIMEOUT if mode == "hangs" else 0.0
        pauses = probe_pauses(reader, began)
        assert pauses == pytest.approx([pause + took for pause in (1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0, 30.0)])

    def test_is_tried_as_often_as_at_first_when_it_fails_anew(self, reader, longest_jitter):
        reader.shared_store.mode = "fails"
        reader.refresh()
        reader.pass_time(10.0)
        reader.shared_store.mode = "works"
        reader.pass_time(10.0)
        assert not store_stats(reader).is_off
        reader.shared_store.mode = "fails"
        began = reader.monotonic
        reader.refresh()
        reader.pass_time(4.0)

        assert probe_pauses(reader, began) == pytest.approx([1.0, 2.0])

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
        del reader.lines[:]
        reader.pass_time(50.0)
        assert any("the shared store fails" in line and "of the test" in line for line in reader.lines)

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


class TestFork:
    def test_that_could_not_use_its_parents_keeper_still_uses_the_store(self, reader):
        reader.keeper = reader.keeper.born_again(reader.keys)
        reader.fork()
        reader.shared_store.other_shares(NAME, B)

        assert reader.renew(A).key == B

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

    def test_tries_a_store_that_is_off_a_second_later(self, reader, longest_jitter):
        reader.shared_store.mode = "fails"
        reader.refresh()
        reader.pass_time(50.0)
        reader.fork()
        reader.shared_store.mode = "works"
        reader.read()
        reader.pass_time(0.9)
        assert store_stats(reader).is_off
        reader.pass_time(0.1)

        assert not store_stats(reader).is_off
