"""Threads at the end of the interpreter, and before a fork."""

import collections
import os
import threading
import time
from typing import Deque

_leaving: Deque[threading.Thread] = collections.deque(maxlen=16)


def start(thread: threading.Thread) -> None:
    """Start a thread; in ``atexit`` handlers, to which Python 3.12 gives no thread, run it in this one.

    Raises:
        RuntimeError: the system gives no more threads.
    """
    try:
        thread.start()
    except RuntimeError:
        if threading.main_thread().is_alive():
            raise
        thread.run()


def leaves(thread: threading.Thread) -> None:
    """Say that a thread is about to end, in it; the next fork waits until the last of those are gone."""
    _leaving.append(thread)


def await_leaving() -> None:
    """Wait until the threads are gone that said that they end, before a fork."""
    while _leaving:
        await_exit(_leaving.popleft())


def await_exit(thread: threading.Thread) -> None:
    """Wait until the system's thread of one that ended is gone, too, before a fork (Linux).

    CPython counts those; and as they end they hold locks of OpenSSL, which would stay taken in the child.
    """
    native_id = getattr(thread, "native_id", None)
    if native_id is None or native_id == threading.get_native_id():  # Python 3.7; a greenlet
        return
    task = "/proc/self/task/{}".format(native_id)
    deadline = time.monotonic() + 0.1
    while os.path.exists(task) and time.monotonic() < deadline:
        time.sleep(0.0002)
