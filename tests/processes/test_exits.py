"""A process with clients ends as soon and as silently as one without."""

import signal
import time

import pytest

from aliyun_sdk_secretsmanager_testing import Fault
from tests.conftest import SECRET

from .conftest import STRICT

PATIENT = {"fetch_timeout_milliseconds": 50000, "renew_timeout_milliseconds": 50000}
# Seconds by which a program may take longer to end on a busy machine. One that waits for a fetch takes 50 longer.
MARGIN = 25

# The imports of a program without clients of ours.
PLAIN = """
    import requests, threading
    import aliyunsdkkms.request.v20160120.GetSecretValueRequest
    from tests.processes.calling import *

    def begin(*functions):
        for function in functions:
            threading.Thread(target=function, daemon=True).start()
"""


def exits(program):
    """Continue a program where it waits, and return the seconds until its end."""
    program.go_on()
    began = time.monotonic()
    code = program.ends()
    seconds = time.monotonic() - began
    assert (code, program.problems()) == (0, "")
    return seconds


@pytest.fixture
def plain(start):
    """The seconds that a program without clients takes to end."""
    program = start(PLAIN + """
    tell("about to end")
    wait()
    """, *STRICT)
    assert program.says() == "about to end"
    return exits(program)


def test_hanging_fetches_delay_no_exit(start, cloud, log, until, plain):
    """A first read, a renewal and a refresh hang in threads, and the owner sleeps."""
    cloud.create_secret("other/key")
    cloud.create_secret("third/key")
    program = start(PLAIN + """
    renewing, refreshing = new_client(), new_client("third/key")
    tell("read")
    wait()
    begin(
        lambda: new_client("other/key"),
        lambda: call(renewing),
        lambda: refreshing._managed_credentials.refresh("third/key"),
    )
    wait()
    """, *STRICT, **PATIENT)
    assert program.says() == "read"
    cloud.rotate(SECRET)
    cloud.inject("secrets_manager", Fault.hang())
    program.go_on()
    until(lambda: log.fetches() == 5)

    assert exits(program) < plain + MARGIN


def test_atexit_handlers_still_call_over_a_rotation(start, cloud, log):
    program = start(PLAIN + """
    import atexit

    client = new_client()

    def last():
        call(client)
        tell("called")
        wait()
        call(client)

    atexit.register(last)
    wait()
    """, *STRICT)
    program.go_on()
    assert program.says() == "called"
    new = cloud.rotate(SECRET)

    program.go_on()

    assert (program.ends(), program.problems()) == (0, "")
    assert log.last_key(program.process.pid) == new.access_key_id
    assert log.fetches() == 2


@pytest.mark.matrix
@pytest.mark.parametrize("daemon", [True, False], ids=["daemon threads", "threads"])
def test_threads_that_call_until_the_end(start, cloud, log, until, daemon, plain):
    """The interpreter waits for threads that are no daemons; they call over a rotation meanwhile."""
    program = start(PLAIN + """
    client = new_client()
    over = threading.Event()

    def load():
        while not over.is_set():
            call(client)

    for _ in range(4):
        threading.Thread(target=load, daemon={0}).start()
    tell("calling")
    wait()
    threading.Timer(0 if {0} else 0.5, over.set).start()
    """.format(daemon), *STRICT)
    assert program.says() == "calling"
    until(lambda: len(log.by_process()) == 1)
    cloud.rotate(SECRET)

    assert exits(program) < plain + MARGIN
    assert log.fetches() <= 2


@pytest.mark.matrix
def test_sys_exit_in_a_thread_ends_that_thread_only(start, log):
    program = start(PLAIN + """
    client = new_client()

    def leave():
        call(client)
        sys.exit(3)

    thread = threading.Thread(target=leave)
    thread.start()
    thread.join()
    call(client)
    """, *STRICT)

    assert (program.ends(), program.problems()) == (0, "")
    assert len(log.by_process()[program.process.pid]) == 2


@pytest.mark.matrix
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=["SIGTERM", "SIGINT"])
@pytest.mark.parametrize("during", ["first read", "renewal"])
def test_signal_during_a_fetch_of_the_main_thread(start, cloud, log, until, plain, number, during):
    program = start(PLAIN + """
    import signal
    signal.signal(signal.SIGTERM, lambda *ignored: sys.exit(7))
    client = None
    if {!r} == "renewal":
        client = new_client()
    tell("began")
    wait()
    try:
        call(client or new_client())
    except KeyboardInterrupt:
        sys.exit(8)
    """.format(during), *STRICT, **PATIENT)
    assert program.says() == "began"
    before = log.fetches()
    cloud.rotate(SECRET)
    cloud.inject("secrets_manager", Fault.hang())
    program.go_on()
    until(lambda: log.fetches() == before + 1)

    program.process.send_signal(number)
    began = time.monotonic()

    assert (program.ends(), program.problems()) == (7 if number == signal.SIGTERM else 8, "")
    assert time.monotonic() - began < plain + MARGIN


@pytest.mark.matrix
def test_default_sigterm_during_a_fetch(start, cloud, log, until):
    program = start(PLAIN + """
    new_client()
    """, *STRICT, **PATIENT)
    cloud.inject("secrets_manager", Fault.hang())
    until(lambda: log.fetches() == 1)

    program.process.terminate()

    assert (program.ends(), program.problems()) == (-signal.SIGTERM, "")


@pytest.mark.matrix
def test_main_goes_on_after_an_interrupted_first_read(start, cloud, log, until):
    program = start(PLAIN + """
    try:
        new_client()
    except KeyboardInterrupt:
        tell("interrupted")
    wait()
    client = new_client()
    call(client)
    """, *STRICT, **PATIENT)
    cloud.inject("secrets_manager", Fault.hang(), times=1)
    until(lambda: log.fetches() == 1)

    program.process.send_signal(signal.SIGINT)

    assert program.says() == "interrupted"
    cloud.clear("secrets_manager")
    program.go_on()
    assert (program.ends(), program.problems()) == (0, "")
    assert [call.status for call in log.by_process()[program.process.pid]] == [200]
