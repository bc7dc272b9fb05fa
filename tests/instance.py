"""A network namespace that is like an ECS instance: the metadata service has its real address there."""
import os
import subprocess
import sys
import uuid
from contextlib import contextmanager

import pytest

ADDRESS = ("100.100.100.200", 80)

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


@contextmanager
def namespace():
    """Yield a function that runs Python code in a new network namespace and returns what the code printed.

    The namespace has a loopback interface with 127.0.0.1 and ``ADDRESS``, and reaches no other network. The test is skipped where
    namespaces are not permitted.

    Example::

        with namespace() as run:
            assert run("print(1 + 1)") == "2\\n"
    """
    name = "local-cloud-" + uuid.uuid4().hex[:12]
    try:
        _output("ip", "netns", "add", name)
    except (OSError, AssertionError) as error:
        pytest.skip("no network namespace can be made here: {}".format(error))
    try:
        _output("ip", "-n", name, "addr", "add", ADDRESS[0] + "/32", "dev", "lo")
        _output("ip", "-n", name, "link", "set", "lo", "up")
        yield lambda code: _output("ip", "netns", "exec", name, sys.executable, "-W", "ignore", "-c", code)
    finally:
        _output("ip", "netns", "delete", name)


def _output(*command):
    run = subprocess.run(command, env=dict(os.environ, PYTHONPATH=ROOT), stdout=subprocess.PIPE,
                         stderr=subprocess.PIPE, universal_newlines=True, timeout=60)
    assert run.returncode == 0, run.stderr
    return run.stdout
