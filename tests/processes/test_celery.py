"""celery with its prefork pool: rotations between tasks and during them, and processes that are replaced."""

import signal
import sys
import textwrap

import pytest

from tests.conftest import SECRET

pytestmark = pytest.mark.matrix

APPLICATION = """
    import os
    from celery import Celery
    from celery.signals import worker_init
    from tests.processes.calling import call, new_client

    app = Celery("application")
    app.conf.update(
        # The working directory is the broker.
        broker_url="filesystem://",
        broker_transport_options={
            "data_folder_in": "messages", "data_folder_out": "messages", "control_folder": "control",
        },
        result_backend="file://" + os.path.abspath("results"),
        worker_prefetch_multiplier=1,
    )

    @worker_init.connect
    def make_client(**event):
        app.client = new_client()

    @app.task(name="once")
    def once():
        return call(app.client)[0]

    @app.task(name="until_told")
    def until_told():
        while not os.path.exists("over"):
            process = call(app.client)[0]
        return process
"""
CALLER = """
    from application import once, until_told
    from tests.processes.calling import *

    def answers(tasks):
        return [task.get(timeout=50) for task in tasks]

    def both():
        seen = set()
        while len(seen) < 2:
            seen.update(answers([once.delay() for _ in range(4)]))
        tell(sorted(seen))
        wait()
"""


@pytest.fixture
def work(start, tmp_path):
    """Start a worker of two processes."""
    for folder in ("messages", "control", "results"):
        (tmp_path / folder).mkdir()
    (tmp_path / "application.py").write_text(textwrap.dedent(APPLICATION))

    def start_worker(*options):
        command = [sys.executable, "-W", "ignore", "-m", "celery", "--app", "application", "worker", "--pool", "prefork",
                   "--concurrency", "2", "--without-gossip", "--without-mingle", "--without-heartbeat"]
        return start(command + list(options))

    return start_worker


def stop(worker):
    worker.process.send_signal(signal.SIGTERM)
    assert worker.ends() == 0, worker.problems()
    assert "Traceback" not in worker.problems()


def test_rotations_between_tasks_and_during_them(work, start, cloud, log, until, tmp_path):
    worker = work()
    keys = [cloud.secret(SECRET).current.access_key_id]
    caller = start(CALLER + """
    both()
    both()
    tasks = [until_told.delay() for _ in range(2)]
    tell(sorted(answers(tasks)))
    """)
    processes = caller.says()
    assert log.fetches() == 1
    keys.append(cloud.rotate(SECRET).access_key_id)
    caller.go_on()
    assert caller.says() == processes
    caller.go_on()
    for _ in range(2):
        keys.append(cloud.rotate(SECRET).access_key_id)
        until(lambda: log.accepted(keys[-1]) == set(processes))
    (tmp_path / "over").write_text("")

    assert caller.says() == processes
    assert caller.ends() == 0, caller.problems()
    stop(worker)
    assert log.rejected() == {(process, key) for process in processes for key in keys[:-1]}
    assert log.fetches() == 1 + len(log.rejected())


def test_processes_made_anew_over_rotations(work, start, cloud, log):
    """``--max-tasks-per-child``: new processes begin with the worker's key, even if that is old."""
    worker = work("--max-tasks-per-child", "3")
    caller = start(CALLER + """
    for _ in range(3):
        tell(answers([once.delay() for _ in range(8)]))
        wait()
    """)
    processes = set()
    for _ in range(3):
        processes.update(caller.says())
        cloud.rotate(SECRET)
        caller.go_on()

    assert caller.ends() == 0, caller.problems()
    stop(worker)
    assert len(processes) >= 8
    assert set(log.by_process()) == processes
    assert log.fetches() == 1 + len(log.rejected())
