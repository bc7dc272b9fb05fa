"""Programs like those of users, in processes of their own, with a local cloud in the test's process."""

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

from tests import stacks

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
# Seconds for which a test waits for a process. Only a broken product takes that long.
PATIENCE = 60
# Warnings are errors, except for cryptography's about old versions of Python.
STRICT = ("-X", "dev", "-W", "error", "-W", "ignore:Python 3")


class Program:
    """A running program, with which a test exchanges messages. Its children end with it.

    Args:
        command: the command line.
        directory: the working directory, which also gets a file with the standard error.
        environment: the environment variables.
    """

    def __init__(self, command, directory, environment):
        self._problems = os.path.join(directory, "stderr-{}".format(len(os.listdir(directory))))
        with open(self._problems, "wb") as file:
            self.process = subprocess.Popen(
                command, cwd=directory, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=file,
                start_new_session=True)
        self._heard = b""

    def says(self):
        """Return the next message that the program tells."""
        while b"\n" not in self._heard:
            ready = select.select([self.process.stdout], [], [], PATIENCE)[0]
            piece = os.read(self.process.stdout.fileno(), 65536) if ready else b""
            assert piece, "it ended: " + self.problems() if ready else "it hangs: " + self.stacks()
            self._heard += piece
        line, _, self._heard = self._heard.partition(b"\n")
        return json.loads(line.decode("utf-8"))

    def go_on(self):
        """Continue the program where it waits."""
        self.process.stdin.write(b"\n")
        self.process.stdin.flush()

    def ends(self):
        """Wait for the end of the program, and return its exit code."""
        try:
            return self.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            problem = "it does not end: " + self.stacks()
        raise AssertionError(problem)

    def problems(self):
        """Return the standard error of the program."""
        with open(self._problems, encoding="utf-8", errors="replace") as file:
            return file.read()

    def stacks(self):
        """End the program; return its standard error, with the stacks of its threads and its children at the end."""
        stacks.end(self.process)
        output = self.process.stdout
        while select.select([output], [], [], stacks.PATIENCE)[0] and os.read(output.fileno(), 65536):
            pass  # the end comes when the last of its children has ended
        return self.problems()

    def kill(self):
        try:
            os.killpg(self.process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self.process.wait()
        self.process.stdin.close()
        self.process.stdout.close()


@pytest.fixture
def programs():
    """The programs that the test started, which are killed after it."""
    started = []
    yield started
    for program in started:
        program.kill()


@pytest.fixture
def start(cloud, tmp_path, programs):
    """A function that starts a program, which is Python code or a command, with a properties file for the cloud."""

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

    return start_program


class Log:
    """What the cloud's log says about the processes."""

    def __init__(self, cloud):
        self._cloud = cloud

    def fetches(self, secret=None):
        """Return how many requests Secrets Manager has had, or those for one secret."""
        return len(self._cloud.calls("secrets_manager", secret=secret))

    def by_process(self):
        """Return the calls of the service by the id of the process."""
        calls = collections.defaultdict(list)
        for call in self._cloud.calls("api"):
            calls[int(call.action[len("In"):])].append(call)
        return calls

    def rejected(self):
        """Return the pairs of process and key for which a call was rejected."""
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
def until(programs):
    """A function that waits for a condition that other processes bring about."""

    def wait_until(condition):
        deadline = time.monotonic() + PATIENCE
        while not condition():
            assert time.monotonic() < deadline, "it did not happen within {} s: {}".format(
                PATIENCE, "".join(program.stacks() for program in programs))
            select.select([], [], [], 0.01)

    return wait_until
