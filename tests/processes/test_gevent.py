"""Programs that gevent patches before their other imports, so that greenlets are their threads."""

import pytest

from aliyun_sdk_secretsmanager_testing import Fault
from tests.conftest import SECRET

pytestmark = pytest.mark.matrix

PATCHED = """
    from gevent import monkey
    monkey.patch_all()
    import gevent, time
    from gevent.threadpool import ThreadPoolExecutor
    from tests.processes.calling import *

    listener = ThreadPoolExecutor(1)

    def wait():
        # In a thread of its own, so that the greenlets are not blocked.
        listener.submit(sys.stdin.readline).result()
"""


def test_fifty_greenlets_over_a_rotation(start, cloud, log, until):
    program = start(PATCHED + """
    client = new_client()
    over = False

    def load():
        while not over:
            call(client)

    greenlets = [gevent.spawn(load) for _ in range(50)]
    tell("calling")
    wait()
    over = True
    gevent.joinall(greenlets, raise_error=True)
    """)
    assert program.says() == "calling"
    until(lambda: log.by_process())
    former = cloud.secret(SECRET).current.access_key_id
    new = cloud.rotate(SECRET).access_key_id
    until(lambda: log.accepted(new))

    program.go_on()

    assert program.ends() == 0, program.problems()
    assert log.rejected() == {(program.process.pid, former)}
    assert log.fetches() == 2


def test_deadlines_hold_and_other_greenlets_go_on(start, cloud, log):
    cloud.create_secret("other/key")
    program = start(PATCHED + """
    from aliyunsdkcore.acs_exception.exceptions import ClientException, ServerException

    def seconds(function, error):
        began = time.monotonic()
        try:
            function()
        except error:
            return time.monotonic() - began

    client = new_client()
    tell("read")
    wait()
    ticks = 0

    def tick():
        global ticks
        while True:
            gevent.sleep(0.02)
            ticks += 1

    ticking = gevent.spawn(tick)
    reading = gevent.spawn(seconds, lambda: new_client("other/key"), ClientException)
    renewing = [gevent.spawn(seconds, lambda: call(client), ServerException) for _ in range(10)]
    gevent.joinall([reading] + renewing)
    tell([reading.value, [one.value for one in renewing], ticks])
    """, fetch_timeout_milliseconds=2000, renew_timeout_milliseconds=1000)
    assert program.says() == "read"
    cloud.rotate(SECRET)
    cloud.inject("secrets_manager", Fault.hang())
    program.go_on()

    reading, renewing, ticks = program.says()

    assert 1.9 < reading < 50
    assert all(0.9 < one < 50 for one in renewing)
    assert ticks > 10
    assert program.ends() == 0, program.problems()
    assert log.fetches(SECRET) == 2


def test_refreshes_run(start, cloud):
    program = start(PATCHED + """
    client = new_client()
    client._managed_credentials.subscribe(lambda *key: tell("new key"))
    tell("read")
    wait()
    call(client)
    """, refresh_interval_milliseconds=1000)
    assert program.says() == "read"
    new = cloud.rotate(SECRET)

    assert program.says() == "new key"

    program.go_on()
    assert program.ends() == 0, program.problems()
    assert [(call.status, call.access_key_id) for call in cloud.calls("api")] == [(200, new.access_key_id)]


def test_forked_while_a_refresh_hangs(start, cloud, log, until):
    program = start(PATCHED + """
    client = new_client()
    call(client)
    tell("read")
    wait()
    refreshing = gevent.spawn(client._managed_credentials.refresh, "app/key")
    wait()

    def child():
        call(client)
        assert refreshing.get()  # its greenlet lives on in the child, and asks again there

    in_child(child)
    tell("forked")
    wait()
    assert refreshing.get()
    call(client)
    """, renew_timeout_milliseconds=50000)
    assert program.says() == "read"
    cloud.inject("secrets_manager", Fault.hang(), times=1)
    program.go_on()
    until(lambda: log.fetches() == 2)

    program.go_on()

    assert program.says() == "forked"
    cloud.clear("secrets_manager")
    program.go_on()
    assert program.ends() == 0, program.problems()
    assert len(log.by_process()) == 2
    assert log.rejected() == set()
    assert log.fetches() == 3
