"""Does what the keepers decide: the owner's thread, workers, executors, the tickets of waiting callers, and forks."""

import atexit
import os

from ..clock import Clock
from .account import Account, Backends, Subscriber
from .owner import Runtime
from .tickets import in_event_loop, require_task

__all__ = ["Account", "Backends", "Runtime", "Subscriber", "in_event_loop", "process", "require_task"]

process = Runtime(Clock())

# The hooks look the name up when they are called: tests replace it.
atexit.register(lambda: process.at_exit())
if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=lambda: process.before_fork(),
        after_in_parent=lambda: process.after_fork_in_parent(),
        after_in_child=lambda: process.after_fork_in_child(),
    )
