"""The scripts of the shared store in a real Redis: its rules, what it forgives, and what it says of failures."""

import random
import threading

import pytest

from aliyun_sdk_secretsmanager_common_plugin.access_key import parse_secret
from aliyun_sdk_secretsmanager_common_plugin.keeper.actions import Free, Probe, Share, Take
from aliyun_sdk_secretsmanager_common_plugin.keeper.events import Position
from aliyun_sdk_secretsmanager_common_plugin.secrets_manager import Connections
from aliyun_sdk_secretsmanager_common_plugin.settings import SharedStoreSettings
from aliyun_sdk_secretsmanager_common_plugin.stores.redis_store import RedisStore
from tests.conftest import wait_until
from tests.keeper.store import OTHER, OWNER, Store

NAME = "app/key"
ANY_AGE = float("inf")


def access_key(version):
    return parse_secret(NAME, {
        "SecretData": '{{"AccessKeyId": "LTAI5t{0}", "AccessKeySecret": "secret {0}"}}'.format(version),
        "SecretType": "RAMCredentials", "VersionId": "version-" + str(version)})


A, B = access_key("aaaaaaaa"), access_key("bbbbbbbb")


class Process:
    """A process as Redis sees it."""

    def __init__(self, server, **settings):
        self.store = RedisStore(SharedStoreSettings(**dict(
            {"url": server and server.url, "password": "password", "timeout": 10.0}, **settings)), 600.0)
        self.connections = Connections()

    def run(self, action):
        return self.store.run(action, self.connections)

    def take(self, known=None, max_age=ANY_AGE, lease=1.0, name=NAME):
        event = self.run(Take(1, name, known, max_age, lease))
        assert not event.error
        return event

    def share(self, key, position, name=NAME):
        event = self.run(Share(1, name, key, position))
        assert not event.error


@pytest.fixture
def processes(redis_server):
    made = [Process(redis_server) for _ in range(2)]
    yield made
    for process in made:
        process.connections.close()


class TestTake:
    def test_of_nothing_brings_the_lease(self, processes):
        taken = processes[0].take()

        assert (taken.found, taken.is_leased, taken.position.number) == (None, True, 1)

    def test_brings_what_another_process_shared(self, processes):
        processes[0].share(A, processes[0].take().position)
        found = processes[1].take().found

        assert (found.key, found.key.version_id, found.position.number) == (A, A.version_id, 1)
        assert 0.0 <= found.age < 10.0

    def test_does_not_bring_what_is_known(self, processes):
        position = processes[0].take().position
        processes[0].share(A, position)
        taken = processes[1].take(known=position)

        assert (taken.found, taken.is_leased, taken.position.number) == (None, True, 2)

    def test_does_not_bring_what_is_too_old(self, processes):
        processes[0].share(A, processes[0].take().position)

        assert processes[1].take(max_age=-1.0).found is None

    def test_brings_no_lease_while_another_process_has_it(self, processes):
        processes[0].take()
        taken = processes[1].take()

        assert (taken.is_leased, taken.position.number) == (False, 2)

    def test_brings_the_lease_again_to_who_has_it(self, processes):
        processes[0].take()

        assert processes[0].take().is_leased

    def test_brings_a_lease_that_has_ended(self, processes):
        processes[0].take(lease=0.001)

        wait_until(lambda: processes[1].take().is_leased)

    @pytest.mark.parametrize("spoil", [
        lambda redis, key: redis.persist(key),
        lambda redis, key: redis.pexpire(key, 3600 * 1000),
        lambda redis, key: (redis.delete(key), redis.lpush(key, "x")),
        lambda redis, key: redis.set(key, "forged"),
    ])
    def test_brings_a_lease_that_is_no_lease_of_ours(self, processes, redis_server, spoil):
        processes[0].take()
        (key,) = [key for key in redis_server.client.scan_iter() if key.endswith(b":lease")]
        spoil(redis_server.client, key)

        assert processes[1].take().is_leased

    def test_of_a_store_that_went_back_brings_a_number_above_what_is_known_and_says_so(self, processes, redis_server):
        processes[0].share(A, processes[0].take().position)
        backup = {key: redis_server.client.dump(key) for key in redis_server.client.scan_iter()}
        for _ in range(3):
            position = processes[0].take(max_age=-1.0).position
            processes[0].share(B, position)
        for key, value in backup.items():
            redis_server.client.restore(key, 60000, value, replace=True)
        taken = processes[0].take(known=position)

        assert (taken.found, taken.position.number) == (None, position.number + 1)
        assert "older" in taken.ignored

    def test_of_an_emptied_store_begins_another_count(self, processes, redis_server):
        before = processes[0].take().position
        redis_server.client.flushall()
        after = processes[0].take(known=before).position

        assert after.number == 1
        assert after.generation != before.generation

    def test_leaves_nothing_in_redis_for_ever(self, processes, redis_server):
        processes[0].share(A, processes[0].take().position)
        processes[0].take(max_age=-1.0)
        processes[0].run(Probe(1))

        client = redis_server.client
        lives = [client.pttl(key) for key in client.scan_iter()]
        assert len(lives) == 3
        assert all(0 < life <= 1201 * 1000 for life in lives)


class TestShare:
    def test_of_an_older_number_is_refused(self, processes):
        late, later = processes[0].take().position, processes[1].take().position
        processes[1].share(B, later)
        processes[0].share(A, late)

        assert processes[0].take().found.key == B

    def test_frees_the_lease(self, processes):
        processes[0].share(A, processes[0].take().position)

        assert processes[1].take(max_age=-1.0).is_leased

    def test_leaves_another_process_its_lease(self, processes):
        late = processes[0].take(lease=0.001).position
        wait_until(lambda: processes[1].take().is_leased)
        processes[0].share(A, late)

        assert not processes[0].take(max_age=-1.0).is_leased

    def test_after_the_store_was_emptied_goes_on_with_the_count(self, processes, redis_server):
        position = processes[0].take().position
        redis_server.client.flushall()
        processes[0].share(A, position)

        assert processes[1].take().found.position == position

    def test_in_another_count_is_refused(self, processes, redis_server):
        position = processes[0].take().position
        redis_server.client.flushall()
        processes[1].share(B, processes[1].take().position)
        processes[0].share(A, position._replace(number=900))

        assert processes[0].take().found.key == B

    def test_is_announced(self, processes, redis_server):
        processes[1].take()  # whoever has not asked for a secret does not know it
        with redis_server.client.pubsub() as heard:
            heard.subscribe(processes[0].store.channel())
            heard.get_message(timeout=10)
            position = processes[0].take().position
            processes[0].share(A, position)
            message = heard.get_message(timeout=10)["data"]

        announced = processes[1].store.heard(message)
        assert (announced.name, announced.found.key, announced.found.position) == (NAME, A, position)
        assert Process(redis_server).store.heard(message) is None, "it knows a secret that it never asked for"


def test_freed_lease_is_another_process_s_to_take(processes):
    processes[0].take()
    processes[0].run(Free(1, NAME))

    assert processes[1].take().is_leased


class TestWhatIsNotTrusted:
    """Whatever stands in Redis, a process gets no key but what was sealed for this secret and position."""

    def hash_key(self, server):
        (key,) = [key for key in server.client.scan_iter() if server.client.type(key) == b"hash"]
        return key

    @pytest.mark.parametrize("field, value", [
        ("v", b""), ("v", b"x" * 11), ("v", b"garbage" * 50), ("w", b"2"), ("t", b"1700000000000"), ("g", b"another"),
        ("g", b"\xff\xfe"), ("w", b"1.5"), ("w", b"0x1"), ("t", b"-5"), ("t", b"-9" + b"0" * 14), ("w", b"1e300"), ("w", b"inf"),
        ("t", b"inf"), ("t", b"-inf"), ("w", b"nan"), ("w", b"9" * 16), ("w", b"9" * 400),
    ])
    def test_a_changed_field(self, processes, redis_server, field, value):
        processes[0].share(A, processes[0].take().position)
        redis_server.client.hset(self.hash_key(redis_server), field, value)
        taken = processes[1].take()

        assert taken.found is None
        assert taken.ignored
        assert taken.is_leased
        processes[1].share(B, taken.position)
        assert processes[0].take().found.key == B, "what nobody can open keeps out the next answer"

    @pytest.mark.parametrize("fields", [
        {"v": b"x" * (1 << 20), "w": b"9" * 10}, {"t": b"nonsense", "w": b"9" * 10}, {"v": b"", "w": b"9" * 10}])
    def test_a_number_without_its_answer(self, processes, redis_server, fields):
        processes[0].share(A, processes[0].take().position)
        redis_server.client.hset(self.hash_key(redis_server), mapping=fields)
        processes[1].share(B, processes[1].take().position)

        assert processes[0].take().found.key == B

    def test_an_answer_of_a_megabyte(self, processes, redis_server):
        processes[0].share(A, processes[0].take().position)
        redis_server.client.hset(self.hash_key(redis_server), "v", b"x" * (1 << 20))

        assert processes[1].take().is_leased

    @pytest.mark.parametrize("n", [b"", b"nonsense", b"-1", b"1e300", b"9" * 30, b"nan", b"inf"])
    def test_a_count_that_is_none(self, processes, redis_server, n):
        processes[0].share(A, processes[0].take().position)
        redis_server.client.hset(self.hash_key(redis_server), "n", n)
        taken = processes[1].take(max_age=-1.0)

        assert taken.position.number >= 1
        assert taken.ignored
        processes[1].share(B, taken.position)
        assert processes[0].take().found.key == B

    @pytest.mark.parametrize("spoil", [
        lambda redis, key: redis.set(key, "text"),
        lambda redis, key: (redis.delete(key), redis.lpush(key, "x")),
        lambda redis, key: redis.hdel(key, "g"),
        lambda redis, key: redis.hdel(key, "v"),
    ])
    def test_a_key_of_another_kind(self, processes, redis_server, spoil):
        processes[0].share(A, processes[0].take().position)
        spoil(redis_server.client, self.hash_key(redis_server))
        taken = processes[1].take()

        assert (taken.found, taken.is_leased) == (None, True)
        assert taken.ignored
        processes[1].share(B, taken.position)
        assert processes[0].take().found.key == B

    def test_an_answer_that_another_secret_has(self, processes, redis_server):
        processes[0].share(A, processes[0].take().position)
        redis_server.client.rename(self.hash_key(redis_server), processes[0].store._keys("another")[0])

        assert processes[0].take(name="another").found is None

    def test_an_older_answer_put_back_beside_a_later_number(self, processes, redis_server):
        processes[0].share(A, processes[0].take().position)
        old = redis_server.client.hget(self.hash_key(redis_server), "v")
        processes[0].share(B, processes[0].take(max_age=-1.0).position)
        redis_server.client.hset(self.hash_key(redis_server), "v", old)

        assert processes[1].take().ignored

    def test_what_another_password_sealed(self, processes, redis_server):
        processes[0].share(A, processes[0].take().position)
        stranger = Process(redis_server, password="another password")

        assert stranger.take().is_leased, "it sees another secret of this name"

    @pytest.mark.parametrize("message", [
        b"", b"a b c d e", b"\xff" * 100, b"TAG g 1 2 garbage", b"TAG g " + b"9" * 1000 + b" 2 x", b"TAG", b"TAG g x y z", None, 7,
    ])
    def test_an_announcement_that_is_none(self, processes, message):
        processes[0].take()
        if isinstance(message, bytes):
            message = message.replace(b"TAG", processes[0].store._seal.tag(NAME).encode())
        announced = processes[0].store.heard(message)

        assert announced is None or announced.found is None


class TestFailures:
    def test_of_a_server_that_is_not_there(self, redis_server, processes):
        redis_server.kill()

        assert "cannot be reached" in processes[0].run(Take(1, NAME, None, 1.0, 1.0)).error

    def test_of_a_kept_connection_that_was_closed_is_none(self, redis_server, processes):
        processes[0].take()
        redis_server.client.client_kill_filter(_type="normal", skipme=True)

        assert processes[0].take().is_leased

    @pytest.mark.parametrize("action", [Take(1, NAME, None, 1.0, 1.0), Probe(1)])
    def test_of_a_full_server(self, redis_server, processes, action):
        redis_server.client.config_set("maxmemory", "1")

        assert "full" in processes[0].run(action).error

    @pytest.mark.parametrize("action", [Take(1, NAME, None, 1.0, 1.0), Probe(1)])
    def test_of_a_replica(self, redis_server, processes, action):
        redis_server.client.replicaof("127.0.0.1", 1)

        assert "replica" in processes[0].run(action).error

    def test_of_a_password(self, redis_server):
        redis_server.client.config_set("requirepass", "right password")
        for auth in (None, "wrong password"):
            error = Process(redis_server, auth=auth).run(Take(1, NAME, None, 1.0, 1.0)).error
            assert "shared_store_auth" in error
            assert "wrong password" not in error
        assert Process(redis_server, auth="right password").take().is_leased

    def test_of_an_acl_that_forbids(self, redis_server):
        redis_server.client.execute_command(
            "ACL", "SETUSER", "app", "on", ">app's password", "~other:*", "&*", "+@all")
        process = Process(redis_server, url=redis_server.url.replace("//", "//app@"), auth="app's password")

        assert "NOPERM" in process.run(Take(1, NAME, None, 1.0, 1.0)).error

    @pytest.mark.parametrize("command", [
        "eval", "publish", "time", "type", "hmget", "hset", "get", "set", "del", "pttl", "pexpire"])
    def test_of_a_command_that_is_forbidden_are_those_of_a_probe_too(self, redis_server, processes, command):
        """Otherwise the store would come back after each failure, and fail again."""
        redis_server.client.execute_command("ACL", "SETUSER", "default", "-" + command)

        assert "the ACL of Redis forbids" in processes[0].run(Probe(1)).error

    def test_of_who_is_no_redis(self, cloud):
        process = Process(None, url="redis://" + cloud.api_endpoint)

        assert process.run(Take(1, NAME, None, 1.0, 1.0)).error

    def test_is_none_that_an_answer_takes_longer_than_the_timeout(self, redis_server):
        """When its time is over, the keeper says: it knows whether this process ran."""
        process = Process(redis_server, timeout=0.5)
        process.take()
        redis_server.client.client_pause(700)

        assert process.take().is_leased

    def test_ends_at_once_when_another_thread_gives_it_up(self, redis_server, processes):
        processes[0].take()
        redis_server.stop()
        ended = []
        thread = threading.Thread(target=lambda: ended.append(processes[0].run(Take(1, NAME, None, 1.0, 1.0))))
        thread.start()
        wait_until(lambda: not thread.is_alive() or processes[0].connections.abort())
        redis_server.go_on()

        assert ended[0].error


def test_real_redis_keeps_the_rules_of_the_model(redis_server, processes):
    """``tests/keeper`` uses the model. Both get the same random operations."""
    random.seed(19)
    model = Store(lambda: 0.0)
    generations = {}
    owners = {OWNER: processes[0], OTHER: processes[1]}
    positions = []

    def same(position):
        """Return the model's position for one of Redis."""
        return position and Position(
            generations.setdefault(position.generation, model.generation), position.number, 0)

    for step in range(600):
        owner = random.choice(sorted(owners))
        kind = random.choice(["take", "take", "share", "share", "free", "flush" if step % 10 == 0 else "take"])
        if kind == "take":
            known = random.choice([None] + positions[-3:])
            max_age = random.choice([ANY_AGE, -1.0])
            taken = owners[owner].take(known, max_age)
            expected = model.take(Take(1, NAME, same(known), max_age, 1.0), owner)
            found, found_expected = taken.found, expected.found
            assert (found and (found.key, same(found.position))) == (
                found_expected and (found_expected.key, found_expected.position)), step
            assert same(taken.position) == expected.position, step
            assert taken.is_leased == expected.is_leased, step
            assert not taken.ignored, step
            if taken.position is not None:
                positions.append(taken.position)
        elif kind == "share" and positions:
            position, key = random.choice(positions[-4:]), random.choice([A, B])
            owners[owner].share(key, position)
            model.share(Share(1, NAME, key, same(position)), owner)
        elif kind == "free":
            owners[owner].run(Free(1, NAME))
            model.free(Free(1, NAME), owner)
        elif kind == "flush":
            redis_server.client.flushall()
            model.flush()
            positions.clear()  # an answer of the former count would begin another one in Redis

