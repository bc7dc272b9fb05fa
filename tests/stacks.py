"""Shows where a program hangs: a program that exceeds its time limit, and its children, end with their stacks."""

import contextlib
import os
import signal
import subprocess

# faulthandler shows the stacks of all threads at this signal, even if they wait for locks. No server handles it.
SIGNAL = signal.SIGBUS
PATIENCE = 10


def end(process):
    """End a program that hangs, and its session. The stacks are then at the end of its standard error.

    Args:
        process: a ``Popen`` with ``start_new_session``, and ``PYTHONFAULTHANDLER`` in its environment.
    """
    process.send_signal(SIGNAL)
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(PATIENCE)  # the program before its children, so that their lines are not mixed
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, SIGNAL)


def outcome(process, seconds=60):
    """Wait until a program ends, and return its standard output and error.

    Args:
        process: see ``end``; both outputs are pipes.
        seconds: the time limit.

    Raises:
        AssertionError: the program exceeded the limit; the message has the stacks.
    """
    try:
        return process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        end(process)
    raise AssertionError("it hangs: {}".format(process.communicate()[1]))
