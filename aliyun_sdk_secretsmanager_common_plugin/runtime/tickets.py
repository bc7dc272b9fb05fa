"""How a thread or a task waits for an answer of a keeper.

A thread has a ticket of its own. Tasks of one event loop that ask for the same thing share a ticket.
"""

import _thread
import sys
from typing import Any, Callable, NamedTuple, Optional, Tuple

from ..clock import Clock
from ..exceptions import ManagedCredentialsError

# A wait is made of slices of so many seconds: where a signal comes just before CPython begins to wait for a lock, its
# handler runs only when that wait ends.
SLICE = 0.5


class Outcome(NamedTuple):
    """What an asker is answered.

    Attributes:
        value: the answer.
        error: what is to be raised instead, if not None.
        lines: lines about the asker's own call, which it writes to the log: (level, message, args, fields).
        callbacks: the calls of subscribers with a new key, for which the asker waits a moment.
        must_ask_again: true in a forked child, where no answer will come.
    """

    value: Any = None
    error: Optional[Exception] = None
    lines: Tuple[Any, ...] = ()
    callbacks: Tuple["Latch", ...] = ()
    must_ask_again: bool = False


class Latch:
    """A one-shot event: it opens once, with an outcome, and lets all waiting threads go on."""

    __slots__ = ("_lock", "outcome")

    def __init__(self) -> None:
        self._lock = _thread.allocate_lock()
        self._lock.acquire()
        self.outcome: Any = None

    def set(self, outcome: Any = True) -> None:
        """Open the latch, unless it is open already."""
        if self.outcome is None:
            self.outcome = outcome
            self._release()

    def wait(self, clock: Clock, until: float) -> Any:
        """Wait until the latch opens.

        Args:
            clock: the clocks.
            until: when to give up, in seconds of the monotonic clock.

        Returns:
            The outcome; None if the time is over.
        """
        while self.outcome is None:
            remaining = until - clock.monotonic()
            if remaining <= 0:
                break
            self.wait_slice(remaining)
        return self.outcome

    def wait_slice(self, seconds: float) -> None:
        """Wait until the latch opens, for ``seconds`` or one slice, whichever is less."""
        if self._lock.acquire(True, min(seconds, SLICE)):
            self._release()  # for the other waiting threads

    def _release(self) -> None:
        try:
            self._lock.release()
        except RuntimeError:  # another thread has released it
            pass


class Ticket(Latch):
    """The ticket of a thread."""

    __slots__ = ()

    def forget(self) -> None:
        """Have the asker ask again, in a forked child: the thread that forked, or a greenlet of it, lives on there."""
        self.set(Outcome(must_ask_again=True))


class TaskTicket:
    """The ticket of all tasks of one event loop that ask for the same thing.

    Args:
        loop: the event loop, which runs in this thread.
        seconds: how long the tasks wait at most, by the loop's clock.
        ended: called with the ticket, in any thread, when no further task may share it.

    Attributes:
        future: what the tasks await.
    """

    __slots__ = ("_loop", "_ended", "_deadline", "_next_look", "future")

    def __init__(self, loop: Any, seconds: float, ended: Callable[["TaskTicket"], Any]) -> None:
        self._loop = loop
        self._ended = ended
        self.future = loop.create_future()
        self._next_look: Any = None
        # The keeper has a deadline, too, but its answer can be lost in the loop, by an exception of a signal's handler.
        self._deadline = loop.call_later(seconds, self._time_out)

    def set(self, outcome: Outcome) -> None:
        """Let the tasks go on; called by the thread that has the turn."""
        self._ended(self)
        try:
            self._loop.call_soon_threadsafe(self._resolve, outcome)
        except RuntimeError:  # the loop is closed, and its tasks are gone
            pass

    def forget(self) -> None:
        """Do nothing in a forked child, where the event loop does not run."""

    def watch(self, look: Callable[[], Any]) -> None:
        """Call ``look`` now, and then every slice until there is an answer."""
        self._next_look = self._loop.call_later(SLICE, self.watch, look)
        look()

    def _time_out(self) -> None:
        self._ended(self)
        self._resolve(Outcome(error=TimeoutError()))

    def _resolve(self, outcome: Outcome) -> None:
        if not self.future.done():
            self.future.set_result(outcome)
        self._deadline.cancel()
        if self._next_look is not None:
            self._next_look.cancel()


def in_event_loop() -> bool:
    """Return whether an event loop runs in this thread, which must not block then."""
    events: Any = sys.modules.get("asyncio.events")
    return events is not None and events._get_running_loop() is not None


def require_task() -> None:
    """Check that the caller is a task of asyncio, as the coroutines of this package need.

    A running loop is not enough: it may be the host of trio, or run a callback that drives a coroutine by itself.

    Raises:
        ManagedCredentialsError: the caller is no task of asyncio.
    """
    if in_event_loop():
        import asyncio

        where: Any = asyncio if hasattr(asyncio, "current_task") else asyncio.Task  # of Python 3.6
        if where.current_task() is not None:
            return
    raise ManagedCredentialsError(
        "this is to be awaited in a task of asyncio, whose event loop may be uvloop's; elsewhere, as under trio, call "
        "the synchronous method or client in a thread"
    )
