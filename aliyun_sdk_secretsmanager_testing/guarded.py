"""State that several threads change under a lock, and that a forked child can still read."""
import os
import threading
import weakref
from typing import Any


class Guarded:
    """A base class for state with a lock.

    Another thread may hold the lock while this process forks. That thread does not exist in the child, where it would
    never release the lock, so the child gets a new one. (Python 3.6 has no hook for this.)

    Attributes:
        lock: hold it while reading or changing the state.
    """

    def __init__(self) -> None:
        self.lock: Any = threading.RLock()
        _all.add(self)


_all: "weakref.WeakSet[Guarded]" = weakref.WeakSet()


def _renew_locks() -> None:
    for guarded in list(_all):
        guarded.lock = threading.RLock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew_locks)
