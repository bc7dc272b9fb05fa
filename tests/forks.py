"""Runs functions of tests in forked children."""

import os
import pickle
import select
import traceback

from aliyun_sdk_secretsmanager_testing.running import await_ended_threads

from . import stacks

# Seconds that a child may take. Only a broken product takes that long, even on a busy machine.
PATIENCE = 60


def in_child(function):
    """Run a function in a forked child; return its result, and raise an error if it raised one."""
    await_ended_threads()
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            try:
                outcome = (function(), None)
            except BaseException:
                outcome = (None, traceback.format_exc())
            with os.fdopen(writing, "wb") as file:
                pickle.dump(outcome, file)
        finally:
            os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as file:
        ready = select.select([file], [], [], PATIENCE)[0]
        if not ready:
            os.kill(child, stacks.SIGNAL)
        sent = file.read()
    os.waitpid(child, 0)
    assert ready, "the child hangs"
    value, problem = pickle.loads(sent)
    assert problem is None, problem
    return value
