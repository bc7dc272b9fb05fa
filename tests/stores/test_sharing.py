"""Processes that share a Redis: each ``ManagedCredentials`` here is as a process of its own."""

import asyncio
import base64
import logging
import os
import subprocess
import sys
import threading
import time

import pytest

from aliyun_sdk_secretsmanager_common_plugin import ConfigurationError, ManagedCredentials
from aliyun_sdk_secretsmanager_common_plugin.compat.credentials_provider import DefaultPluginCredentialsLoader
from aliyun_sdk_secretsmanager_common_plugin.compat.provided_credentials import ProvidedCredentials
from aliyun_sdk_secretsmanager_common_plugin.runtime import Account, process
from aliyun_sdk_secretsmanager_common_plugin.secret_info import CacheSecretInfo
from aliyun_sdk_secretsmanager_common_plugin.settings import ConfigLoader
from aliyun_sdk_secretsmanager_testing.faults import Fault
from tests import forks
from tests.conftest import SECRET, wait_until
from tests.drills import no_thread_of_ours

from .conftest import PASSWORD, PASSWORD_VARIABLE

pytestmark = pytest.mark.filterwarnings("ignore:.*multi-threaded.*:DeprecationWarning")


def shared(credentials):
    return credentials.stats()[SECRET].shared_store


def listeners():
    return [thread for thread in threading.enumerate() if thread.name == "managed-credentials-listener"]


def subscribers(server):
    return sum(count for _, count in server.client.pubsub_numsub("managed-credentials:announcements"))


@pytest.fixture
def pair(make_credentials, redis_server):
    """Two processes that have read the secret, and hear."""
    both = [make_credentials(), make_credentials()]
    for credentials in both:
        credentials.get(SECRET)
    wait_until(lambda: subscribers(redis_server) == 2)
    return both


class TestTwoProcesses:
    def test_ask_secrets_manager_once(self, pair, fetches):
        assert pair[0].get(SECRET) == pair[1].get(SECRET)
        assert fetches() == 1
        assert (shared(pair[0]).leases, shared(pair[1]).hits) == (1, 1)

    def test_hear_of_a_rotation_from_each_other(self, cloud, pair, fetches):
        old = pair[0].get(SECRET)
        cloud.rotate(SECRET)
        new = pair[0].renew(SECRET, old)

        wait_until(lambda: pair[1].get(SECRET) == new)
        assert fetches() == 2
        assert shared(pair[1]).announcements == 1

    def test_of_which_one_missed_the_announcement_find_the_key_in_the_store(
            self, cloud, pair, fetches, redis_server):
        old = pair[0].get(SECRET)
        redis_server.client.client_kill_filter(_type="pubsub")
        cloud.rotate(SECRET)
        new = pair[0].renew(SECRET, old)

        assert pair[1].renew(SECRET, old) == new
        assert fetches() == 2

    def test_renew_at_once_with_one_request(self, cloud, pair, fetches, in_threads):
        old = pair[0].get(SECRET)
        cloud.rotate(SECRET)
        new = in_threads([lambda each=each: each.renew(SECRET, old) for each in pair * 4])

        assert set(new) == {pair[0].get(SECRET)}
        assert fetches() == 2

    def test_get_a_refreshed_key_from_each_other(self, pair, fetches):
        pair[0].refresh(SECRET)

        wait_until(lambda: shared(pair[1]).announcements == 1)
        assert fetches() == 2

    def test_one_of_which_only_refreshes_and_ends_tell_each_other(self, pair, store_properties, cloud):
        """As the command ``refresh`` does, or a function that is frozen when it returns."""
        cloud.rotate(SECRET)
        code = ("import os\nfrom aliyun_sdk_secretsmanager_common_plugin import ManagedCredentials\n"
                "ManagedCredentials.from_properties({!r}).refresh({!r})\nos._exit(0)")
        old = pair[0].get(SECRET)
        subprocess.run([sys.executable, "-c", code.format(str(store_properties()), SECRET)], check=True)

        wait_until(lambda: pair[0].get(SECRET) == pair[1].get(SECRET) != old)

    def test_with_different_passwords_know_nothing_of_each_other(self, make_credentials, monkeypatch, fetches):
        make_credentials().get(SECRET)
        monkeypatch.setenv(PASSWORD_VARIABLE, "another passphrase 18")
        stranger = make_credentials()

        assert stranger.get(SECRET)
        assert fetches() == 2
        assert shared(stranger).ignored == 0

    def test_with_different_prefixes_know_nothing_of_each_other(self, make_credentials, fetches):
        for prefix in ("one {of} 2: ", "another:"):
            make_credentials(shared_store_prefix=prefix).get(SECRET)

        assert fetches() == 2


class TestCommandRefresh:
    @pytest.fixture
    def refresh(self, store_properties):
        def run(**others):
            command = [sys.executable, "-m", "aliyun_sdk_secretsmanager_cli", "refresh", "--config",
                       str(store_properties(**others)), SECRET]
            return subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, universal_newlines=True)

        return run

    def test_tells_other_processes(self, pair, cloud, refresh):
        old = pair[0].get(SECRET)
        cloud.rotate(SECRET)

        assert refresh().returncode == 0
        wait_until(lambda: pair[0].get(SECRET) == pair[1].get(SECRET) != old)

    def test_fails_if_it_cannot_tell_them(self, refresh, redis_server):
        redis_server.kill()
        done = refresh()

        assert done.returncode == 1
        assert "the shared store fails" in done.stdout
        assert "Traceback" not in done.stdout


class TestRedisThat:
    """... fails, whatever it does: calls go on as without it."""

    def test_is_not_there_costs_nothing_but_a_warning(self, make_credentials, redis_server, cloud, caplog):
        redis_server.kill()
        credentials = make_credentials()
        old = credentials.get(SECRET)
        cloud.rotate(SECRET)

        assert credentials.renew(SECRET, old) not in (None, old)
        assert shared(credentials).is_off
        wait_until(lambda: "the shared store fails" in caplog.text)
        assert caplog.text.count("the shared store fails") == 1

    def test_hangs_costs_its_timeout_once(self, make_credentials, redis_server, cloud):
        credentials = make_credentials(shared_store_timeout_milliseconds=200)
        old = credentials.get(SECRET)
        redis_server.stop()
        try:
            cloud.rotate(SECRET)
            assert credentials.renew(SECRET, old) not in (None, old)
            assert shared(credentials).is_off
        finally:
            redis_server.go_on()

    def test_comes_back_empty_is_used_again(self, pair, redis_server, cloud, fetches):
        redis_server.kill()
        old = pair[0].get(SECRET)
        cloud.rotate(SECRET)
        new = pair[0].renew(SECRET, old)
        assert pair[1].renew(SECRET, old) == new
        redis_server.start()
        wait_until(lambda: not any(shared(each).is_off for each in pair) and subscribers(redis_server) == 2)

        cloud.rotate(SECRET)
        newest = pair[0].renew(SECRET, new)
        wait_until(lambda: pair[1].get(SECRET) == newest)
        assert fetches() == 4

    @pytest.mark.parametrize("fault", [
        lambda client: client.config_set("maxmemory", "1"),
        lambda client: client.replicaof("127.0.0.1", 1),
        lambda client: client.execute_command("ACL", "SETUSER", "default", "-eval"),
        lambda client: client.flushall(),
    ], ids=["is full", "is a replica", "forbids", "is flushed"])
    def test_changes_amid_rotations_fails_no_renewal(self, pair, redis_server, cloud, fault):
        fault(redis_server.client)
        for _ in range(3):
            old = pair[0].get(SECRET)
            cloud.rotate(SECRET)
            new = pair[0].renew(SECRET, old)
            assert new not in (None, old)
            wait_until(lambda: pair[1].get(SECRET) == new or pair[1].renew(SECRET, pair[1].get(SECRET)) == new)

    def test_has_all_its_values_overwritten_gives_no_wrong_key(self, pair, redis_server, cloud, make_credentials, caplog):
        client, key = redis_server.client, pair[0].get(SECRET)
        for name in client.scan_iter():
            client.hset(name, "v", b"garbage")

        assert make_credentials().get(SECRET) == key
        wait_until(lambda: "was ignored" in caplog.text)
        old = pair[0].get(SECRET)
        cloud.rotate(SECRET)
        new = pair[0].renew(SECRET, old)
        wait_until(lambda: pair[1].get(SECRET) == new)


def test_nothing_readable_gets_to_redis(pair, redis_server, cloud, make_credentials):
    """Neither in its keys and values, nor in what MONITOR shows: commands, channels and announcements."""
    seen, keys = [], []
    with redis_server.client.monitor() as monitor:
        def watch():
            for command in monitor.listen():
                seen.append(repr(command).encode())
                if "the end" in command["command"]:
                    return

        watching = threading.Thread(target=watch, daemon=True)
        watching.start()
        for _ in range(2):
            old = pair[0].get(SECRET)
            cloud.rotate(SECRET)
            keys += [old, pair[0].renew(SECRET, old)]
        make_credentials().get(SECRET)
        for name in redis_server.client.scan_iter():
            seen.append(name + (redis_server.client.dump(name) or b""))
        redis_server.client.echo("the end")
        watching.join(30)
    everything = b"\n".join(seen)
    assert b"PUBLISH" in everything

    secrets = [SECRET, PASSWORD] + [text for key in keys for text in (
        key.access_key_id, key.access_key_secret, key.version_id)]
    for secret in secrets:
        raw = secret.encode()
        for form in (raw, base64.b64encode(raw).rstrip(b"="), raw.hex().encode()):
            assert form not in everything, "{}... can be read in Redis".format(secret[:4])


class TestFork:
    def test_leaves_each_side_its_own_connections(self, pair, cloud, redis_server, fetches):
        def child():
            process.check_process()  # Python 3.6 has no hooks for forks
            old = pair[0].get(SECRET)
            renewed = pair[0].renew(SECRET, old)
            wait_until(lambda: subscribers(redis_server) >= 1)
            pair[0]._account.await_shared(time.monotonic() + 30)  # this process ends without a hook
            return renewed != old and fetches_of(pair[0])

        old = pair[0].get(SECRET)
        cloud.rotate(SECRET)
        assert forks.in_child(child)

        wait_until(lambda: pair[1].get(SECRET) != old or pair[1].renew(SECRET, old))
        assert pair[0].renew(SECRET, old) == pair[1].get(SECRET)
        assert fetches() == 2
        wait_until(lambda: subscribers(redis_server) == 2)

    @pytest.mark.skipif(not hasattr(os, "register_at_fork"), reason="hooks for forks came with 3.7")
    def test_finds_no_thread_that_listens(self, pair):
        found = []

        def look():
            found.append(listeners())

        os.register_at_fork(after_in_parent=look)
        forks.in_child(lambda: True)
        assert found[-1] == []
        pair[0].get(SECRET)
        wait_until(listeners)

    def test_without_a_hook_before_it_leaves_the_parent_its_connections(self, pair, redis_server, monkeypatch):
        """Python 3.6 has no such hook, and servers that fork in C do not run it."""
        def connections():
            return sorted(client["id"] for client in redis_server.client.client_list(_type="pubsub"))

        before = connections()
        with monkeypatch.context() as without_hook:
            without_hook.setattr(Account, "await_silence", lambda account, until: None)
            forks.in_child(process.check_process)

        pair[0].get(SECRET)
        wait_until(lambda: subscribers(redis_server) == 2)
        assert connections() == before


def fetches_of(credentials):
    return credentials.stats()[SECRET].fetches


def test_key_that_a_programs_own_store_kept_is_not_shared(
        credentials, store_properties, make_credentials, cloud, fetches):
    """It may have been replaced since, and nobody knows when Secrets Manager gave it."""
    kept = credentials.get(SECRET)  # without a shared store
    ConfigLoader.set_config_name(store_properties())
    loaded = DefaultPluginCredentialsLoader().load()
    loaded.cache_secret_store_strategy.store_secret(
        CacheSecretInfo("ACSCurrent", int(time.time() * 1000), kept.secret_info))
    cloud.rotate(SECRET)

    with ProvidedCredentials(loaded) as provided:
        assert provided.get(SECRET) == kept
        new = make_credentials().get(SECRET)

        assert new.access_key_id == cloud.secret(SECRET).current.access_key_id
        assert fetches() == 2
        assert provided.renew(SECRET, kept) == new
        assert fetches() == 2


class TestThread:
    def test_that_listens_is_gone_with_the_last_client(self, make_client, store_properties, redis_server):
        store_properties()
        client = make_client()
        wait_until(lambda: subscribers(redis_server) == 1)
        client.shutdown()

        wait_until(no_thread_of_ours)
        wait_until(lambda: subscribers(redis_server) == 0)

    def test_that_listens_comes_back_when_its_connection_was_cut(self, pair, redis_server):
        redis_server.client.client_kill_filter(_type="pubsub")

        wait_until(lambda: subscribers(redis_server) == 2)

    def test_that_may_not_listen_says_so_once(self, make_credentials, redis_server, caplog):
        redis_server.client.execute_command("ACL", "SETUSER", "default", "-subscribe")
        make_credentials().get(SECRET)

        wait_until(lambda: [entry for entry in redis_server.client.acl_log() if entry["count"] >= 2])
        warnings = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
        assert len(warnings) == 1
        assert "are not heard: the ACL of Redis forbids the command subscribe" in warnings[0]

    def test_of_an_event_loop_is_not_blocked(self, make_credentials, redis_server):
        credentials = make_credentials(shared_store_timeout_milliseconds=1000)
        redis_server.stop()
        turns = []

        async def count():
            while True:
                turns.append(time.monotonic())
                await asyncio.sleep(0.01)

        async def read():
            counting = asyncio.ensure_future(count())
            key = await credentials.get_async(SECRET)
            counting.cancel()
            return key

        loop = asyncio.new_event_loop()
        try:
            assert loop.run_until_complete(read())
        finally:
            loop.close()
            redis_server.go_on()
        assert len(turns) > 20, "the loop stood still while Redis hung"


def test_dead_process_is_replaced_within_five_seconds(make_credentials, store_properties, cloud, fetches):
    """It has the lease, and dies while Secrets Manager hangs."""
    path = store_properties(fetch_timeout_milliseconds=10000)
    cloud.inject("secrets_manager", Fault.hang())
    holder = subprocess.Popen([sys.executable, "-c", (
        "from aliyun_sdk_secretsmanager_common_plugin import ManagedCredentials\n"
        "ManagedCredentials.from_properties({!r}).get({!r})").format(str(path), SECRET)])
    wait_until(lambda: fetches() >= 1)
    holder.kill()
    holder.wait()
    cloud.clear()
    began = time.monotonic()
    assert make_credentials(fetch_timeout_milliseconds=10000).get(SECRET)
    assert time.monotonic() - began < 5.0


def test_core_does_not_import_redis(store_properties):
    code = ("import sys\nfrom aliyun_sdk_secretsmanager_common_plugin import ManagedCredentials\n"
            "assert 'redis' not in sys.modules")
    subprocess.run([sys.executable, "-c", code], check=True)


def test_missing_extra_is_named_with_its_pip_command(store_properties, monkeypatch):
    path = store_properties()
    for module in [name for name in sys.modules if name == "redis" or ".stores.redis" in name or name.endswith(
            ".stores.listener")]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.setitem(sys.modules, "redis", None)

    with pytest.raises(ConfigurationError, match=r"pip install .*\[redis\]"):
        ManagedCredentials.from_properties(path)


def test_repr_and_logs_show_no_password(make_credentials, caplog, redis_server):
    caplog.set_level(logging.DEBUG)
    url = redis_server.url.replace("redis://", "redis://default:very-secret-17@")
    redis_server.client.config_set("requirepass", "another-one")
    credentials = make_credentials(shared_store_url=url)
    credentials.get(SECRET)

    wait_until(lambda: "shared_store_auth" in caplog.text)
    assert "very-secret-17" not in caplog.text + repr(credentials) + repr(credentials.settings)
