"""Processes that did not run for a while: stopped, suspended with their machine, or frozen instances of functions."""

import os
import signal
import time

import pytest

from aliyun_sdk_secretsmanager_testing import Fault, LocalCloud, MovableClock
from tests.conftest import SECRET

HOUR = 3600
# The wall clock of the process and of the SDK is ahead by ``hours``, and the keeper ticks often.
WITH_A_CLOCK = """
    import time
    hours = 0
    now, utc = time.time, time.gmtime
    time.time = lambda: now() + 3600 * hours
    time.gmtime = lambda seconds=None: utc(time.time() if seconds is None else seconds)

    from aliyun_sdk_secretsmanager_common_plugin.keeper import timing
    timing.LONGEST_SLEEP = 0.1
    from tests.processes.calling import *
"""


@pytest.fixture
def clock():
    return MovableClock()


@pytest.fixture
def cloud(clock):
    with LocalCloud(clock=clock) as local_cloud:
        local_cloud.create_secret(SECRET)
        yield local_cloud


def stop(program, seconds, until):
    """Stop a program, and return after that many seconds."""
    os.kill(program.process.pid, signal.SIGSTOP)
    stopped = time.monotonic()
    until(lambda: time.monotonic() >= stopped + seconds)


def statuses(log):
    return [call.status for calls in log.by_process().values() for call in calls]


def test_after_an_hour_the_key_is_refreshed_within_a_wake_up(start, cloud, clock, log):
    program = start(WITH_A_CLOCK + """
    client = new_client()
    client._managed_credentials.subscribe(lambda *key: tell("new key"))
    tell("read")
    wait()
    hours = 1
    wait()
    call(client)
    client.shutdown()
    """)
    assert program.says() == "read"
    new = cloud.rotate(SECRET)
    clock.advance(HOUR)
    program.go_on()

    assert program.says() == "new key"

    program.go_on()
    assert program.ends() == 0, program.problems()
    assert statuses(log) == [200]
    assert log.last_key(program.process.pid) == new.access_key_id
    assert log.fetches() == 2


@pytest.mark.matrix
@pytest.mark.parametrize("token", [False, True], ids=["rotated", "expired"])
def test_after_an_hour_a_call_at_once_is_renewed(start, cloud, clock, log, token):
    cloud.create_secret("other/key", token=token, expires_in=HOUR / 2 if token else None)
    program = start(WITH_A_CLOCK + """
    timing.LONGEST_SLEEP = 60
    client = new_client("other/key")
    tell("read")
    wait()
    hours = 1
    call(client)
    """)
    assert program.says() == "read"
    clock.advance(HOUR)
    new = cloud.rotate("other/key")
    program.go_on()

    assert program.ends() == 0, program.problems()
    assert statuses(log)[1:] == [200]
    assert log.last_key(program.process.pid) == new.access_key_id
    assert log.fetches("other/key") == 2


@pytest.mark.matrix
def test_stopped_process_refreshes_when_it_goes_on(start, cloud, log, until):
    """Its clocks advance meanwhile, like those of a frozen instance of a function."""
    program = start("""
        from tests.processes.calling import *

        client = new_client()
        client._managed_credentials.subscribe(lambda *key: tell("new key"))
        tell("read")
        wait()
        call(client)
        client.shutdown()
    """, refresh_interval_milliseconds=3000)
    assert program.says() == "read"
    stop(program, 3.5, until)
    before = log.fetches()
    new = cloud.rotate(SECRET)

    os.kill(program.process.pid, signal.SIGCONT)

    assert program.says() == "new key"
    program.go_on()
    assert program.ends() == 0, program.problems()
    assert statuses(log) == [200]
    assert log.last_key(program.process.pid) == new.access_key_id
    assert [call.given for call in cloud.calls("secrets_manager")][before] == new.access_key_id


@pytest.mark.matrix
@pytest.mark.parametrize("seconds", [0.2, 2.5], ids=["short of the deadline", "past the deadline"])
def test_process_that_was_stopped_amid_a_first_read(start, cloud, log, until, seconds):
    """The answer comes meanwhile. If the deadline has passed then, that is an error, but the answer is not lost."""
    program = start("""
        import time
        from aliyunsdkcore.acs_exception.exceptions import ClientException
        from tests.processes.calling import *

        client = None
        while client is None:
            try:
                client = new_client()
            except ClientException:
                time.sleep(0.01)
        call(client)
    """, fetch_timeout_milliseconds=2000)
    cloud.inject("secrets_manager", Fault.hang(), times=1)
    until(lambda: log.fetches() == 1)
    stop(program, 0, until)
    cloud.clear("secrets_manager")
    stop(program, seconds, until)

    os.kill(program.process.pid, signal.SIGCONT)

    assert program.ends() == 0, program.problems()
    assert statuses(log) == [200]
    assert log.fetches() == 1
