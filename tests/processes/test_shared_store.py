"""Programs that share a Redis: those that fork, and those that gevent patches."""

import os

import pytest

from tests.conftest import SECRET

from .conftest import STRICT

pytestmark = pytest.mark.matrix


@pytest.fixture
def store(redis_server, monkeypatch):
    """The settings of the store, with timeouts for a busy machine."""
    monkeypatch.setenv("SHARED_STORE_PASSWORD", "a passphrase of the test 19")
    return {
        "shared_store_url": redis_server.url,
        "shared_store_password_from_env_variable": "SHARED_STORE_PASSWORD",
        "shared_store_timeout_milliseconds": 10000,
        "fetch_timeout_milliseconds": 50000,
        "renew_timeout_milliseconds": 50000,
    }


@pytest.mark.skipif(not hasattr(os, "register_at_fork"), reason="hooks for forks came with 3.7")
def test_children_of_a_program_that_listens_share_nothing_but_the_store(start, cloud, log, store):
    """With warnings as errors: from Python 3.12 on, a fork while a thread of ours runs is one."""
    program = start("""
        from tests.processes.calling import *

        client = new_client()
        call(client)
        tell("read")
        wait()
        for _ in range(4):
            in_child(lambda: [call(client) for _ in range(3)])
        for _ in range(3):
            call(client)
        tell("over")
    """, *STRICT, **store)
    assert program.says() == "read"
    cloud.rotate(SECRET)
    program.go_on()

    assert program.says() == "over", program.problems()
    assert program.ends() == 0, program.problems()
    assert log.fetches() == 2, "a child asked by itself"
    assert "Warning" not in program.problems()


def test_greenlets_go_on_while_redis_hangs(start, cloud, log, store, redis_server):
    pytest.importorskip("gevent")
    program = start("""
        from gevent import monkey
        monkey.patch_all()
        import gevent, time
        from tests.processes.calling import *

        client = new_client()
        call(client)
        tell("read")
        turns = []

        def count():
            while True:
                turns.append(time.monotonic())
                gevent.sleep(0.01)

        counting = gevent.spawn(count)
        tell(os.getpid())
        gevent.sleep(0.1)
        call(client)
        counting.kill()
        tell(len(turns))
    """, **dict(store, shared_store_timeout_milliseconds=1000))
    assert program.says() == "read"
    redis_server.stop()
    try:
        cloud.rotate(SECRET)
        program.says()
        assert program.says() > 20, "the greenlets stood still"
    finally:
        redis_server.go_on()
    assert program.ends() == 0, program.problems()
    assert not log.rejected() or log.fetches() == 2
