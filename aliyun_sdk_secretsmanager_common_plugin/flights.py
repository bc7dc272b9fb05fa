"""Calls that block, as tasks of event loops await them: in a thread, one for all who ask for the same."""

import sys
import threading
from typing import TYPE_CHECKING, Any, Callable, Dict, Hashable, Optional, Tuple

from . import threads
from .exceptions import ManagedCredentialsError

if TYPE_CHECKING:
    from concurrent.futures import Future

# What is specific to event loops is imported where a task needs it: programs without one pay nothing for it.

Outcome = Tuple[Any, Optional[Exception]]


class Flights:
    """The calls in progress.

    Each runs in a short-lived daemon thread of its own: a loop's default executor may be full of the program's work,
    and keeps the interpreter from ending. A task that is cancelled leaves at once; the call goes on for the others, of
    whichever loops they are.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()  # guards _futures
        self._futures: Dict[Hashable, Future[Outcome]] = {}

    async def join(self, key: Hashable, function: Callable[[], Any]) -> Outcome:
        """Await a call.

        Args:
            key: calls of the same key are one.
            function: what is called, unless such a call is in progress.

        Returns:
            What it returned, and None; or None, and what it raised, which all who await it share.
        """
        from asyncio import wrap_future

        return await wrap_future(self.start(key, function))

    def start(self, key: Hashable, function: Callable[[], Any]) -> "Future[Outcome]":
        """Begin a call, unless one of this key is in progress, and return its future."""
        from concurrent.futures import Future

        with self._lock:
            future = self._futures.get(key)
            if future is not None:
                return future
            future = self._futures[key] = Future()
            future.set_running_or_notify_cancel()  # the cancellation of a task is not to reach it
        try:
            threads.start(threading.Thread(
                target=self._run, args=(key, function, future), name="managed-credentials-flight", daemon=True))
        except RuntimeError as error:  # the system gives no more threads
            self._land(key, future, (None, error))
        return future

    def _run(self, key: Hashable, function: Callable[[], Any], future: "Future[Outcome]") -> None:
        try:
            outcome: Outcome = (function(), None)
        except BaseException as error:  # such as a subscriber's sys.exit(), which ends this thread, and no task
            outcome = None, error if isinstance(error, Exception) else ManagedCredentialsError(
                "{} ended what was waited for".format(type(error).__name__))
        self._land(key, future, outcome)

    def _land(self, key: Hashable, future: "Future[Outcome]", outcome: Outcome) -> None:
        with self._lock:
            del self._futures[key]
        future.set_result(outcome)


def in_event_loop() -> bool:
    """Return whether an event loop runs in this thread, which must not be blocked then."""
    events: Any = sys.modules.get("asyncio.events")
    return events is not None and events._get_running_loop() is not None
