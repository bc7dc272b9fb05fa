"""Threads that run the program's own code: subscribers, recovery strategies, and the handlers of the log."""

import collections
import logging
from typing import Any, Callable, Deque, Optional

from ..clock import Clock
from ..threads import SoleThread
from .tickets import Latch

logger = logging.getLogger(__name__)


class Callback(Latch):
    """A function that an executor runs; the latch opens when the function has returned or raised."""

    __slots__ = ("run", "_thread")

    def __init__(self, run: Callable[[], Any], thread: SoleThread) -> None:
        super().__init__()
        self.run = run
        self._thread = thread

    def wait(self, clock: Clock, until: float) -> Any:
        """Wait as any latch does, but not in the executor's own thread, where it would wait for itself.

        Args:
            clock: the clocks.
            until: when to wait no longer, in seconds of the monotonic clock.
        """
        return None if self._thread.is_this() else super().wait(clock, until)


class SerialExecutor:
    """Runs callbacks one after the other, in a daemon thread that exists only while there are callbacks.

    A callback that blocks delays no other executor, and delays callers only as long as they choose to wait for it.

    Args:
        name: the thread's name.

    Attributes:
        last: the callback that was submitted last; None if there was none in this process.
    """

    last: Optional[Callback]
    _callbacks: Deque[Callback]
    _thread: SoleThread

    def __init__(self, name: str) -> None:
        self._name = name
        self.reset()

    def submit(self, run: Callable[[], Any]) -> Callback:
        """Have a function run in the thread, and return its callback, to wait for."""
        self.last = callback = Callback(run, self._thread)
        self._callbacks.append(callback)
        if not self._thread.ensure():
            self._thread.work_here()  # no thread can be started while the interpreter ends
        return callback

    def await_end(self, until: float) -> None:
        """Wait, before a fork, until all callbacks have run; a callback that forks does not wait for itself."""
        self._thread.await_end(until)

    def reset(self) -> None:
        """Start anew in a forked child: the callbacks that are left are run by the parent."""
        self.last = None
        callbacks: Deque[Callback] = collections.deque()
        self._callbacks = callbacks
        self._thread = SoleThread(self._name, lambda: self._work(callbacks), lambda: bool(callbacks))

    def _work(self, callbacks: Deque[Callback]) -> None:
        while callbacks:
            callback = callbacks.popleft()
            try:
                callback.run()
            except BaseException as error:
                # The traceback and the text are left out: they may contain the key.
                logger.error("%s: %s was raised, which nobody expected", self._name, type(error).__name__)
            finally:
                callback.set()
            del callback  # or its objects would live until the next one has run
