"""Programs of a user's, as processes of their own, over a local cloud in the test's process."""

import collections
import json
import os
import select
import signal
import subprocess
import sys
import textwrap
import time

import pytest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
# How long a test waits for a process; only a broken product takes as long.
PATIENCE = 60
# Warnings are errors, but for one of cryptography's about old versions of Python.
STRICT = ("-X", "dev", "-W", "error", "-W", "ignore:Python 3")


class Program:
    """A program that a test has a word with; what it starts ends with it.

    Args:
        command: of the command line.
        directory: where it runs, and its standard error goes.
        environment: of the process.
    """

    def __init__(self, command, directory, environment):
        self._problems = os.path.join(directory, "stderr-{}".format(len(os.listdir(directory))))
        with open(self._problems, "wb") as file:
            self.process = subprocess.Popen(
                command, cwd=directory, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=file,
                start_new_session=True)
        self._heard = b""

    def says(self):
        """Return what it tells next."""
        while b"\n" not in self._heard:
            ready = select.select([self.process.stdout], [], [], PATIENCE)[0]
            piece = os.read(self.process.stdout.fileno(), 65536) if ready else b""
            assert piece, "it {}: {}".format("ended" if ready else "hangs", self.problems())
            self._heard += piece
        line, _, self._heard = self._heard.partition(b"\n")
        return json.loads(line.decode("utf-8"))

    def go_on(self):
        """Let it go on where it waits."""
        self.process.stdin.write(b"\n")
        self.process.stdin.flush()

    def ends(self):
        """Return its exit code, when it ended."""
        return self.process.wait(PATIENCE)

    def problems(self):
        """Return what it wrote to its standard error."""
        with open(self._problems, encoding="utf-8", errors="replace") as file:
            return file.read()

    def kill(self):
        try:
            os.killpg(self.process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self.process.wait()
        self.process.stdin.close()
        self.process.stdout.close()


@pytest.fixture
def start(cloud, tmp_path):
    """Start a program: Python code, or a command; its configuration is that of the cloud, with ``settings``."""
    programs = []

    def start_program(program, *options, **settings):
        path = cloud.write_properties(tmp_path, **settings)
        environment = dict(os.environ, MANAGED_CREDENTIALS_CONFIG=path, API=cloud.api_endpoint, PYTHONPATH=ROOT)
        if isinstance(program, str):
            script = tmp_path / "program.py"
            script.write_text(textwrap.dedent(program))
            program = [sys.executable] + list(options or ("-W", "ignore")) + [str(script)]
        else:
            environment["PYTHONPATH"] = os.pathsep.join([ROOT, str(tmp_path)])
        programs.append(Program(program, str(tmp_path), environment))
        return programs[-1]

    yield start_program
    for program in programs:
        program.kill()


class Log:
    """What the cloud saw of the processes."""

    def __init__(self, cloud):
        self._cloud = cloud

    def fetches(self, secret=None):
        """Return how many requests for a secret Secrets Manager has had."""
        return len(self._cloud.calls("secrets_manager", secret=secret))

    def by_process(self):
        """Return the calls to the service, by the id of the process."""
        calls = collections.defaultdict(list)
        for call in self._cloud.calls("api"):
            calls[int(call.action[len("In"):])].append(call)
        return calls

    def rejected(self):
        """Return process and key of the calls whose key was rejected, each pair once."""
        return {(process, call.access_key_id)
                for process, calls in self.by_process().items() for call in calls if call.status != 200}

    def accepted(self, access_key_id):
        """Return the processes that had a call accepted with a key."""
        return {process for process, calls in self.by_process().items()
                for call in calls if call.access_key_id == access_key_id and call.status == 200}

    def last_key(self, process):
        """Return the id of the key of the last call of a process, which was accepted."""
        last = self.by_process()[process][-1]
        assert last.status == 200
        return last.access_key_id


@pytest.fixture
def log(cloud):
    return Log(cloud)


@pytest.fixture
def until():
    """Wait for a condition that other processes bring about."""

    def wait_until(condition):
        deadline = time.monotonic() + PATIENCE
        while not condition():
            assert time.monotonic() < deadline, "it did not happen within {} s".format(PATIENCE)
            select.select([], [], [], 0.01)

    return wait_until
