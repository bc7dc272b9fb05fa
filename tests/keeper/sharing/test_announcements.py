"""What a process does with the answers that others announce, and in which order answers count."""

import pytest

from aliyun_sdk_secretsmanager_common_plugin.keeper import FIRST_READ, REFRESH, RENEWAL
from aliyun_sdk_secretsmanager_common_plugin.keeper.events import Announced, Found

from ..world import NAME, NEVER, NO_CONNECTION
from .worlds import INTERVAL, A, B, C, kinds, make_world, store_stats


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

    def test_that_ends_a_renewal_does_not_make_a_gateway_well_that_hangs(self):
        world = make_world(A, NEVER, C)
        world.read()
        world.gateways[0].answer = NO_CONNECTION
        world.ask(RENEWAL, 2.0, rejected=A)
        world.handle(world.shared_store.other_shares(NAME, B))
        world.pass_time(5.0)
        del world.requests[:]

        assert world.renew(B).key == C
        assert world.log == ["r1", "r3"]

    def test_ends_a_first_read_that_waits(self, world):
        position = world.shared_store.lease_to_other(NAME, 4.0)
        asker = world.ask(FIRST_READ)
        world.pass_time(3.0)
        asked = len(world.operations)
        world.handle(world.shared_store.other_shares(NAME, B, position))

        assert asker.result() == B
        assert len(world.operations) == asked, "the store was asked again"
        assert world.keeper.stats(world.now)[NAME].age == 0.0
        assert any("read" in line and "from the shared store" in line for line in world.lines)

        world.pass_time(1.0)
        world.shared_store.mode = "fails"
        assert world.refresh(), "what it took has no place in time"
        assert world.keys == {NAME: A}

    def test_has_a_renewal_that_waits_look_at_once_at_a_store_that_was_emptied(self, reader):
        reader.pass_time(10.0)
        reader.shared_store.lease_to_other(NAME, 100.0)
        asker = reader.ask(RENEWAL, 2.0, rejected=A)
        reader.pass_time(1.0)
        reader.shared_store.flush()
        announced = reader.shared_store.other_shares(NAME, B)
        reader.shared_store.other_shares(NAME, C)
        reader.handle(announced)

        assert reader.wait_for(asker).key == C, "only the store can tell which is the newer one"
        assert asker.took == pytest.approx(1.0)
        assert len(reader.requests) == 1

    def test_after_the_store_was_emptied_puts_off_no_refresh_that_is_due_sooner(self, reader):
        reader.pass_time(reader.keeper.stats(reader.now)[NAME].next_refresh - 0.5)
        reader.shared_store.flush()
        reader.handle(reader.shared_store.other_shares(NAME, B))

        assert reader.keeper.stats(reader.now)[NAME].next_refresh == pytest.approx(0.5)

    def test_to_a_process_whose_store_never_answered_has_the_store_asked(self, world):
        world.shared_store.mode = "fails"
        world.read()
        world.shared_store.mode = "works"
        world.pass_time(10.0)
        world.handle(world.shared_store.other_shares(NAME, B))
        world.pass_time(30.0)

        assert world.keys == {NAME: B}

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
        (warning,) = [line for line in reader.lines if "ignored" in line]
        assert NAME in warning and "an announcement that is not sealed" in warning
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
