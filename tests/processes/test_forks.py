"""Forks of a program with clients: while fetches hang, under load, and in forked children (contract 9)."""

import os
import sys

import pytest

from aliyun_sdk_secretsmanager_testing import Fault
from tests.conftest import SECRET

from .conftest import STRICT

OTHER = "other/key"
PATIENT = {"fetch_timeout_milliseconds": 50000, "renew_timeout_milliseconds": 50000}

needs_hooks = pytest.mark.skipif(not hasattr(os, "register_at_fork"), reason="hooks for forks came with 3.7")


def test_forked_while_fetches_hang(start, cloud, log, until):
    """A first read, a renewal and a scheduled refresh hang in threads: the child makes its own, the parent gets its."""
    cloud.create_secret(OTHER)
    cloud.create_secret("third/key")
    program = start("""
        import threading
        from tests.processes.calling import *

        renewing, refreshing = new_client(), new_client("third/key")
        tell("read")
        wait()
        answers = []
        threads = [
            threading.Thread(target=lambda: answers.append(call(new_client("other/key")))),
            threading.Thread(target=lambda: answers.append(call(renewing))),
            threading.Thread(target=lambda: answers.append(refreshing._managed_credentials.refresh("third/key"))),
        ]
        for thread in threads:
            thread.start()
        wait()

        def child():
            for client in (new_client("other/key"), renewing, refreshing):
                call(client)

        in_child(child)
        in_child(child)
        tell([call(refreshing)[0], len(answers)])
        for thread in threads:
            thread.join()
        tell(len(answers))
    """, **PATIENT)
    assert program.says() == "read"
    cloud.rotate(SECRET)
    cloud.inject("secrets_manager", Fault.hang(), times=3)
    program.go_on()
    until(lambda: log.fetches() == 5)

    program.go_on()
    parent, answered = program.says()

    assert answered == 0
    children = [calls for process, calls in log.by_process().items() if process != parent]
    # The key before the renewal was rejected once. The third secret needed no fetch.
    assert [[call.status for call in calls] for calls in children] == [[200, 404, 200, 200]] * 2
    assert log.fetches(OTHER) == 3
    assert log.fetches(SECRET) == 4
    assert log.fetches("third/key") == 2
    cloud.clear("secrets_manager")
    assert program.says() == 3
    assert program.ends() == 0, program.problems()
    assert log.fetches() == 9


def test_fork_in_a_fork_and_in_a_subscriber(start, cloud, log):
    program = start("""
        from tests.processes.calling import *

        client = new_client()

        def child():
            call(client)
            in_child(lambda: call(client))
            call(client)

        in_child(child)
        client._managed_credentials.subscribe(lambda name, key: in_child(child))
        tell("forked")
        wait()
        tell(call(client))
    """)
    assert program.says() == "forked"
    assert log.fetches() == 1
    new = cloud.rotate(SECRET)

    program.go_on()
    parent = program.says()[0]

    assert program.ends() == 0, program.problems()
    assert log.fetches() == 2
    assert {process for process, _ in log.rejected()} == {parent}
    assert len(log.by_process()) == 5
    assert [log.last_key(process) for process in log.by_process()].count(new.access_key_id) == 3


@pytest.mark.matrix
def test_a_hundred_forks_under_load(start, cloud, log):
    program = start("""
        import threading
        from tests.processes.calling import *

        client = new_client()
        over = threading.Event()
        problems = []

        def load():
            while not over.is_set():
                try:
                    call(client)
                except Exception as error:
                    problems.append(repr(error))

        threads = [threading.Thread(target=load) for _ in range(4)]
        for thread in threads:
            thread.start()
        for number in range(100):
            if number % 25 == 0:
                tell(number)
            in_child(lambda: call(client))
        over.set()
        for thread in threads:
            thread.join()
        tell([problems, call(client)[0]])
    """)
    for number in (0, 25, 50, 75):
        assert program.says() == number
        cloud.rotate(SECRET)
    problems, parent = program.says()

    assert program.ends() == 0, program.problems()
    assert problems == []
    calls = log.by_process()
    assert len(calls) == 101
    assert all(log.last_key(process) for process in calls)
    assert len(calls[parent]) > 100
    # A rotation costs one fetch in each process whose key was rejected.
    assert log.fetches() == 1 + len(log.rejected())


@needs_hooks
@pytest.mark.parametrize("module", [
    "aliyun_sdk_secretsmanager_common_plugin.identities.client_key",
    "aliyun_sdk_secretsmanager_common_plugin.secrets_manager.protobuf",
    "aliyun_sdk_secretsmanager_common_plugin.identities.renewable_identity",
    "aliyun_sdk_secretsmanager_common_plugin.identities.credentials_library",
])
def test_fork_waits_for_an_import_of_the_first_client(start, log, module):
    """A child that is forked during an import in another thread would have half a module.

    That thread makes no connection and does not end, since OpenSSL's locks would stay taken in a child that is forked
    meanwhile.
    """
    program = start("""
        import importlib.abc, threading
        from tests.processes.calling import *
        from aliyun_sdk_secretsmanager_common_plugin import ManagedCredentials

        importing, forked = threading.Event(), threading.Event()

        class AmidImport(importlib.abc.MetaPathFinder):
            def find_spec(self, name, path, target=None):
                if name == MODULE:
                    importing.set()
                    forked.wait(0.5)

        def make():
            ManagedCredentials.from_properties()
            forked.wait()

        sys.meta_path.insert(0, AmidImport())
        thread = threading.Thread(target=make)
        thread.start()
        importing.wait()
        # The child must not touch the events, since the other thread may hold their locks at the fork.
        in_child(lambda: (sys.meta_path.pop(0), call(new_client())))
        forked.set()
        thread.join()
    """.replace("MODULE", repr(module)))

    assert program.ends() == 0, program.problems()
    assert [call.status for calls in log.by_process().values() for call in calls] == [200]


def test_an_object_that_is_asked_for_credentials_may_fork(start):
    program = start("""
        import subprocess
        from tests.processes.calling import *
        from aliyun_sdk_secretsmanager_common_plugin import ManagedCredentials

        class Own:
            @property
            def credentials(self):
                subprocess.check_call(["true"], preexec_fn=os.setsid)

        ManagedCredentials.from_properties(identity=Own())
    """)

    assert program.ends() == 0, program.problems()


@pytest.mark.matrix
def test_child_refreshes(start, cloud, log):
    program = start("""
        from tests.processes.calling import *

        client = new_client()

        def child():
            client._managed_credentials.subscribe(lambda *key: tell("new key"))
            call(client)
            tell("called")
            wait()
            call(client)

        in_child(child)
    """, refresh_interval_milliseconds=1000)
    assert program.says() == "called"
    new = cloud.rotate(SECRET)

    assert program.says() == "new key"

    program.go_on()
    assert program.ends() == 0, program.problems()
    assert log.rejected() == set()
    (child,) = log.by_process()
    assert log.last_key(child) == new.access_key_id


@pytest.mark.matrix
def test_new_processes_while_a_refresh_hangs_have_no_socket_of_ours(start, cloud, log, until):
    program = start("""
        import subprocess, threading
        from tests.processes.calling import *

        client = new_client()
        call(client)
        tell("called")
        wait()
        thread = threading.Thread(target=client._managed_credentials.refresh, args=("app/key",))
        thread.start()
        wait()
        command = ["ls", "-l", "/proc/self/fd"]
        printed = [
            subprocess.run(command, stdout=subprocess.PIPE, universal_newlines=True, **options).stdout
            for options in ({}, {"close_fds": False}, {"preexec_fn": lambda: None})
        ]
        if hasattr(os, "posix_spawn"):
            reading, writing = os.pipe()
            child = os.posix_spawn("/bin/ls", command, os.environ, file_actions=[(os.POSIX_SPAWN_DUP2, writing, 1)])
            os.close(writing)
            with os.fdopen(reading) as file:
                printed.append(file.read())
            os.waitpid(child, 0)
        tell(printed)
        wait()
        thread.join()
        client.shutdown()
    """, *STRICT, **PATIENT)
    assert program.says() == "called"
    cloud.inject("secrets_manager", Fault.hang())
    program.go_on()
    until(lambda: log.fetches() == 2)
    program.go_on()

    for printed in program.says():
        assert "pipe" in printed
        assert "socket" not in printed
    cloud.clear("secrets_manager")
    program.go_on()
    assert program.ends() == 0
    assert program.problems() == ""


@pytest.mark.matrix
@pytest.mark.skipif(sys.version_info < (3, 12), reason="Python warns of forks amid threads from 3.12 on")
def test_fork_as_soon_as_the_client_is_made_warns_of_no_thread(start):
    program = start("""
        from tests.processes.calling import *
        from aliyun_sdk_secretsmanager_common_plugin import ManagedCredentials

        for _ in range(10):
            credentials = ManagedCredentials.from_properties()
            client = new_client(managed_credentials=credentials)
            in_child(lambda: call(client))
            client.shutdown()
    """, "-W", "always")  # Python would not show the warning as an error

    assert program.ends() == 0, program.problems()
    assert program.problems() == ""
