"""Refreshes ahead of need: one thread a process, whatever the number of secrets and clients."""

import heapq
import itertools
import logging
import threading
from typing import Callable, Dict, List, NamedTuple, Optional, Tuple

from .clock import Clock
from .threads import await_exit

logger = logging.getLogger(__name__)

# However a clock jumps, what is due is refreshed within one wake-up.
LONGEST_SLEEP = 60.0
CONCURRENT_REFRESHES = 4
CLOCK_JUMP = 1.0

Refresh = Callable[[str], object]
# Who refreshes (a cache's method), and which secret.
Job = Tuple[Refresh, str]


class _Due(NamedTuple):
    """When a job is due, by both clocks."""

    monotonic: float
    time: float


class Refresher:
    """A schedule of refreshes, and the daemon thread that starts them; the thread lives while there are jobs.

    The thread itself never waits for Secrets Manager: each refresh runs in a short-lived thread, few at a time. So it
    can park at once when the process forks.

    Args:
        clock: the clocks.
        wakes: called in the thread at each wake-up, at least once a minute.
    """

    def __init__(self, clock: Clock, wakes: Callable[[], None]) -> None:
        self._clock = clock
        self._wakes = wakes
        self._changed = threading.Condition()  # guards all below, wakes the thread; reentrant as the cache's lock
        self._jobs: Dict[Job, Optional[_Due]] = {}  # None: its refresh runs
        # (due by the monotonic clock, order, job); an entry that _jobs does not confirm is void.
        self._heap: List[Tuple[float, int, Job]] = []
        self._order = itertools.count()
        self._ahead = 0.0  # by how much the wall clock was ahead of the monotonic one when the heap was made
        self._running = 0
        self._parked = False
        self._thread: Optional[threading.Thread] = None

    def schedule(self, job: Job, seconds: float) -> bool:
        """Run ``job`` after ``seconds``, instead of when it was scheduled before; start the thread if needed.

        Returns:
            Whether there is the thread; if not, the next call tries again.
        """
        with self._changed:
            self._put(job, seconds)
            self._start_thread()
            self._changed.notify_all()
            return self._thread is not None

    def cancel(self, job: Job) -> None:
        """Forget ``job``; with the last one the thread ends."""
        with self._changed:
            self._jobs.pop(job, None)
            if not self._jobs:
                self._heap.clear()
            self._changed.notify_all()

    def due_in(self, job: Job) -> Optional[float]:
        """Return the seconds until ``job`` runs, 0 while it runs, None where it is not scheduled."""
        with self._changed:
            if job not in self._jobs:
                return None
            due = self._jobs[job]
            if due is None:
                return 0.0
            return max(min(due.monotonic - self._clock.monotonic(), due.time - self._clock.time()), 0.0)

    def tick(self) -> float:
        """Start the refreshes that are due, and return the seconds to sleep."""
        with self._changed:
            return self._tick()

    def park(self) -> None:
        """End the thread, before a fork; returns when it is gone."""
        with self._changed:
            self._parked = True
            thread = self._thread
            self._changed.notify_all()
        if thread is not None and thread is not threading.current_thread():
            thread.join()
            await_exit(thread)

    def unpark(self) -> None:
        """Go on after a fork, in the parent; the next ``schedule`` starts the thread.

        Not here: CPython looks for threads after this hook, and would warn of ours.
        """
        with self._changed:
            self._parked = False

    def forget(self) -> None:
        """Start with an empty schedule, in a forked child; the reads there schedule what it needs."""
        self.__init__(self._clock, self._wakes)  # type: ignore[misc]

    def _start_thread(self) -> None:
        if self._thread is None and self._jobs and not self._parked:
            thread = threading.Thread(target=self._run, name="managed-credentials-refresher", daemon=True)
            try:
                thread.start()
            except RuntimeError as error:  # no more threads, or the interpreter ends; the next schedule() tries again
                logger.warning("refreshes are suspended: %s", error)
            else:
                self._thread = thread

    def _run(self) -> None:
        while True:
            try:
                self._wakes()
            except Exception:
                logger.exception("the refresher goes on")
            with self._changed:
                if not self._jobs or self._parked:
                    self._thread = None
                    return
                self._changed.wait(self._tick())

    def _put(self, job: Job, seconds: float) -> None:
        due = self._jobs[job] = _Due(self._clock.monotonic() + seconds, self._clock.time() + seconds)
        self._push(job, due)

    def _push(self, job: Job, due: _Due) -> None:
        heapq.heappush(self._heap, (self._at(due), next(self._order), job))

    def _at(self, due: _Due) -> float:
        """Return when ``due`` is by the monotonic clock, as the wall clock stood when the heap was made."""
        return min(due.monotonic, due.time - self._ahead)

    def _tick(self) -> float:
        now = self._clock.monotonic()
        ahead = self._clock.time() - now
        if abs(ahead - self._ahead) > CLOCK_JUMP or len(self._heap) > 1.25 * len(self._jobs) + 64:
            self._ahead = ahead
            self._heap = []
            for job, due in list(self._jobs.items()):
                if due is not None:
                    self._push(job, due)
        while self._heap and self._running < CONCURRENT_REFRESHES:
            at, _, job = self._heap[0]
            due = self._jobs.get(job)
            if due is None or at != self._at(due):
                heapq.heappop(self._heap)
            elif at > now:
                return min(at - now, LONGEST_SLEEP)
            else:
                heapq.heappop(self._heap)
                self._start(job)
        return LONGEST_SLEEP

    def _start(self, job: Job) -> None:
        self._jobs[job] = None
        self._running += 1
        try:
            threading.Thread(target=self._refresh, args=(job,), name="managed-credentials-refresh", daemon=True).start()
        except RuntimeError as error:
            self._running -= 1
            logger.warning("secret %r: cannot refresh now: %s", job[1], error)
            self._put(job, LONGEST_SLEEP)

    def _refresh(self, job: Job) -> None:
        refresh, name = job
        failed = True
        try:
            refresh(name)
            failed = False
        except BaseException:
            logger.exception("secret %r: the refresh failed", name)
        finally:
            with self._changed:
                self._running -= 1
                if job in self._jobs and self._jobs[job] is None:  # neither cancelled nor scheduled again
                    if failed:
                        self._put(job, LONGEST_SLEEP)
                    else:
                        del self._jobs[job]
                self._changed.notify_all()
