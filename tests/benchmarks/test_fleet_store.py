"""The simulated store: whether it does what Redis does, takes as long as it says, and fails as it is told to."""

import random
import shutil
import time

import pytest

pytest.importorskip("greenlet", reason="it runs the threads of a fleet")
pytest.importorskip("redis", reason="the model is held against a real Redis")

from aliyun_sdk_secretsmanager_common_plugin.access_key import parse_secret  # noqa: E402
from aliyun_sdk_secretsmanager_common_plugin.keeper.actions import Free, Probe, Share, Take  # noqa: E402
from aliyun_sdk_secretsmanager_common_plugin.keeper.events import Position  # noqa: E402
from aliyun_sdk_secretsmanager_common_plugin.secrets_manager import Connections  # noqa: E402
from aliyun_sdk_secretsmanager_common_plugin.settings import SharedStoreSettings  # noqa: E402
from aliyun_sdk_secretsmanager_common_plugin.stores.redis_store import RedisStore  # noqa: E402
from benchmarks.fleet import Simulation  # noqa: E402
from benchmarks.fleet_store import AWAY, Costs, Store  # noqa: E402
from tests.redis_server import RedisServer  # noqa: E402

NAME = "app/key"
COSTS = Costs(1.0, 2.0, 4.0, 0.5, 8.0, 16.0)
ANY_AGE = float("inf")


def access_key(version):
    return parse_secret(NAME, {
        "SecretData": '{{"AccessKeyId": "LTAI5t{0}", "AccessKeySecret": "secret {0}"}}'.format(version),
        "SecretType": "RAMCredentials", "VersionId": str(version)})


KEYS = [access_key(version) for version in range(5)]


@pytest.fixture
def simulation():
    return Simulation()


@pytest.fixture
def store(simulation):
    return Store(simulation, 1e6, costs=COSTS)


def take(known=None, max_age=ANY_AGE, lease=4.0):
    return Take(1, NAME, known, max_age, lease)


def fill(store, owner, key):
    position = store.run(owner, take(max_age=-1.0))[1].position
    store.run(owner, Share(2, NAME, key, position))
    return position


class TestRules:
    @pytest.mark.skipif(shutil.which("redis-server") is None, reason="needs redis-server")
    def test_are_those_of_redis(self, simulation):
        random.seed(1)
        server = RedisServer()
        modelled = Store(simulation, 1200.0)
        settings = SharedStoreSettings(url=server.url, password="password", timeout=10.0)
        owners = [(RedisStore(settings, 600.0), Connections()) for _ in range(3)]
        generations = {}  # Redis's own, by the model's
        positions = [None]
        try:
            began = time.monotonic()
            for number in range(600):
                simulation.run(time.monotonic() - began)  # leases end in both
                if number % 20 == 19:  # the next one may leave an answer of before
                    server.client.flushall()
                    modelled.go_down()
                    modelled.come_back()
                owner, action = random.randrange(3), random.choice("tttttssf")
                position, key = random.choice(positions[-4:]), random.choice(KEYS)
                if action == "t":
                    given = Take(number, NAME, position, random.choice([ANY_AGE, -1.0]), 1.9)
                elif action == "s" and position is not None:
                    given = Share(number, NAME, key, position)
                else:
                    given = Free(number, NAME)

                def in_redis(it):
                    if it is None:
                        return None
                    return Position(generations.get(it.generation, it.generation), it.number, it.time)

                known = {field: in_redis(getattr(given, field)) for field in ("known", "position")
                         if field in given._fields}
                real_store, connections = owners[owner]
                real = real_store.run(given._replace(**known), connections)
                ended = modelled.run(owner, given)[1]

                assert not real.error
                assert (real.found is None, real.is_leased) == (ended.found is None, ended.is_leased), number
                for ours, its in ((ended.position, real.position),
                                  (ended.found and ended.found.position, real.found and real.found.position)):
                    assert (ours is None) == (its is None)
                    if ours is not None:
                        generations.setdefault(ours.generation, its.generation)
                        assert in_redis(ours)[:2] == its[:2], number
                assert len(set(generations.values())) == len(generations)
                if ended.found is not None:
                    assert ended.found.key == real.found.key
                if ended.position is not None:
                    positions.append(ended.position)
        finally:
            for _, connections in owners:
                connections.close()
            server.close()
        assert len(generations) >= 3

    def test_age_and_lease_go_by_its_time(self, simulation):
        store = Store(simulation, 1e6)
        fill(store, "a", KEYS[0])
        store.run("a", take(max_age=-1.0, lease=4.0))
        simulation.run(1000.0)

        young, old = (store.run("b", take(max_age=age))[1] for age in (1001.0, 900.0))

        assert young.found.key == KEYS[0]
        assert 999.0 < young.found.age < 1001.0
        assert old.found is None
        assert old.is_leased

    def test_hash_ends_after_its_life(self, simulation):
        store = Store(simulation, 100.0)
        before = fill(store, "a", KEYS[0])
        simulation.run(101.0)

        after = store.run("b", take())[1]

        assert after.found is None
        assert after.position.generation != before.generation


class TestTime:
    def test_operations_wait_for_each_other(self, store):
        ends = [store.run(owner, take())[0] for owner in ("a", "a", "b")]

        assert ends == pytest.approx([16 + 2 + 2 * AWAY, 16 + 4 + 2 * AWAY, 32 + 6 + 2 * AWAY])
        assert store.operations == {0: 3}
        assert store.busy[0] == pytest.approx(38)

    def test_connection_that_is_kept_is_not_made_again(self, simulation, store):
        store.run("a", Probe(1))
        simulation.run(9.0)
        store.run("a", Probe(1))
        simulation.run(20.0)
        store.run("a", Probe(1))

        assert [store.busy[second] for second in (0, 9, 20)] == [24.0, 8.0, 24.0]

    def test_part_of_a_store_is_slower(self, simulation):
        store = Store(simulation, 1e6, slower=10.0, costs=COSTS)

        assert store.run("a", Probe(1))[0] == pytest.approx(240 + 2 * AWAY)

    def test_announcement_reaches_one_after_the_other_and_keeps_redis_busy(self, simulation, store):
        heard = []
        for owner in range(4):
            store.listen(owner, lambda event, owner=owner: heard.append((owner, simulation.monotonic(), event)))
        busy = store.busy[0]
        fill(store, 0, KEYS[0])
        simulation.run(1000.0)

        assert [owner for owner, _, _ in heard] == [0, 1, 2, 3]
        assert heard[3][1] - heard[0][1] == pytest.approx(3 * COSTS.told)
        assert {event.found.key for _, _, event in heard} == {KEYS[0]}
        assert store.busy[0] - busy == pytest.approx(COSTS.connected + COSTS.taken + COSTS.shared + 4 * COSTS.told)


class TestFailures:
    def test_lost_announcements_reach_nobody(self, simulation):
        store = Store(simulation, 1e6, lost=1.0)
        heard = []
        store.listen("a", heard.append)
        fill(store, "b", KEYS[0])
        simulation.run(10.0)

        assert not heard

    def test_down_store_fails_at_once_and_comes_back_empty(self, simulation, store):
        heard = []
        store.listen("a", heard.append)
        fill(store, "b", KEYS[0])
        simulation.run(100.0)
        store.go_down()
        ends_at, ended = store.run("b", take())
        simulation.run(200.0)
        store.come_back()
        simulation.run(300.0)
        taken = store.run("b", take())[1]
        store.run("b", Share(2, NAME, KEYS[1], taken.position))
        simulation.run(400.0)

        assert ended.error
        assert ends_at == pytest.approx(100.0 + AWAY)
        assert taken.found is None
        assert [event.found.key for event in heard] == KEYS[:2]

    def test_hung_store_never_answers(self, store):
        store.is_hung = True

        assert store.run("a", take())[0] == float("inf")

    def test_process_that_left_hears_no_more(self, simulation, store):
        heard = []
        store.listen("a", heard.append)
        store.leave("a")
        fill(store, "b", KEYS[0])
        simulation.run(100.0)

        assert not heard
