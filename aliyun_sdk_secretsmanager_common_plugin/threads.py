"""Daemon threads: how they are started, and how a fork waits for threads that end.

A thread may be started by a signal's handler or a finalizer, which can interrupt anything. So a raw thread starts it:
the caller takes no lock of ``threading``, and an exception that interrupts the caller leaves nothing half done.
"""

import _thread
import collections
import os
import threading
import time
from typing import Any, Callable, Deque, Optional

# Seconds for which a fork, or the end of the program, waits for a thread that is about to end.
LEAVING_PATIENCE = 0.1
# Seconds for which a thread that was started counts as running before it runs.
START_PATIENCE = 0.1

_leaving: Deque[int] = collections.deque(maxlen=256)  # the system's ids of threads that are about to end


def start(name: str, target: Callable[[], Any], failed: Callable[[RuntimeError], Any]) -> bool:
    """Run a function in a new daemon thread.

    Args:
        name: the thread's name.
        target: the function.
        failed: called with the error if the system gives no more threads, or the interpreter ends (Python 3.12): in
            this thread, or later in the raw thread that was to start the other one.

    Returns:
        False if ``failed`` was called in this thread.
    """
    try:
        _thread.start_new_thread(_start, (name, target, failed))
    except RuntimeError as error:
        failed(error)
        return False
    return True


def _start(name: str, target: Callable[[], Any], failed: Callable[[RuntimeError], Any]) -> None:
    # Noted first: the new thread may have ended before this one, which waits for its start, goes on.
    if hasattr(threading, "get_native_id"):  # Python 3.8
        _leaving.append(threading.get_native_id())
    try:
        threading.Thread(target=target, name=name, daemon=True).start()
    except RuntimeError as error:
        failed(error)


def run_soon(thread: threading.Thread) -> None:
    """Start a thread; in ``atexit`` handlers, where Python 3.12 starts none, run its function in this thread.

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
    """Note that a thread is about to end, so that the next fork waits until it is gone."""
    native_id = getattr(thread, "native_id", None)
    if native_id is not None:
        _leaving.append(native_id)


def await_leaving() -> None:
    """Wait, before a fork, until the threads are gone that ``leaves`` noted."""
    while _leaving:
        try:
            native_id = _leaving.popleft()
        except IndexError:  # another thread that forks took the last one
            break
        _await_exit(native_id)


def await_exit(thread: threading.Thread) -> None:
    """Wait, before a fork, until the system has removed a thread that has ended (Linux).

    CPython counts such a thread, and it may hold a lock of OpenSSL, which would stay locked in the child.
    """
    native_id = getattr(thread, "native_id", None)
    if native_id is not None:
        _await_exit(native_id)


def _await_exit(native_id: int) -> None:
    if native_id == threading.get_native_id():  # under gevent it is this thread
        return
    task = "/proc/self/task/{}".format(native_id)
    deadline = time.monotonic() + LEAVING_PATIENCE
    while os.path.exists(task) and time.monotonic() < deadline:
        time.sleep(0.0002)


class SoleThread:
    """At most one thread, which exists while it has work.

    Args:
        name: the thread's name.
        work: what the thread calls, again and again while ``has_work`` says so.
        has_work: returns whether there is anything to do.

    Attributes:
        thread: the thread that was started last; None if there was none.
    """

    def __init__(self, name: str, work: Callable[[], Any], has_work: Callable[[], bool]) -> None:
        self._name = name
        self._work = work
        self._has_work = has_work
        self._token = _thread.allocate_lock()  # held by the thread that works
        self._worker: Optional[int] = None  # that thread's identifier
        self._started = 0.0  # when the thread was started, while it does not work yet
        self.thread: Optional[threading.Thread] = None

    def is_there(self) -> bool:
        """Return whether a thread works, or is about to."""
        return self._token.locked() or time.monotonic() < self._started + START_PATIENCE

    def is_this(self) -> bool:
        """Return whether the calling thread is the one that works."""
        return self._worker == _thread.get_ident()

    def ensure(self) -> bool:
        """Start the thread if there is none; return whether there is one now."""
        if self.is_there():
            return True
        self._started = time.monotonic()
        return start(self._name, self._run, self._not_started)

    def work_here(self, work: Optional[Callable[[], Any]] = None) -> None:
        """Work once in the calling thread, since no other can be started; do nothing while another thread works.

        Args:
            work: what to call instead of the usual work.
        """
        if self._token.acquire(False):
            try:
                self._worker = _thread.get_ident()
                (work or self._work)()
            finally:
                self._worker = None
                self._token.release()

    def await_end(self, until: float, wake: Callable[[], Any] = lambda: None) -> None:
        """Wait, before a fork, until no thread works. The thread that works does not wait for itself.

        Args:
            until: when to give up, by the system's monotonic clock.
            wake: called again and again meanwhile.
        """
        while self.is_there() and not self.is_this() and time.monotonic() < until:
            wake()
            time.sleep(0.0002)
        thread = self.thread
        if thread is not None and not self.is_there() and thread.ident != _thread.get_ident():
            thread.join(max(0.0, until - time.monotonic()))

    def _not_started(self, error: RuntimeError) -> None:
        self._started = 0.0

    def _run(self) -> None:
        # The token is taken here, not in ensure(): an exception that interrupts the caller cannot leave it taken.
        while True:
            if self._token.acquire(False):
                self.thread = thread = threading.current_thread()
                self._worker = _thread.get_ident()
                self._started = 0.0
                try:
                    self._work()
                finally:
                    leaves(thread)
                    self._worker = None
                    self._token.release()
            self._started = 0.0
            # Whoever added work meanwhile saw that a thread works or is about to, and started none: look once more.
            if self._token.locked() or not self._has_work():
                return
