"""Daemon threads that ask gateways and the shared store.

Only the thread that has the turn, or that forks, gives them jobs or ends them.
"""

import _thread
import collections
import os
import threading
from typing import Any, Callable, Deque, List, Optional

from ..secrets_manager.connections import Connections
from ..threads import leaves, start

# Seconds for which an idle worker keeps its connections; then it ends.
IDLE = 10.0


class Job:
    """One request, or one operation of the shared store, and the worker that does it.

    Args:
        run: does it over the connections that it is given, and returns the outcome; it never raises.
        ended: called in the worker with the job and the outcome; the outcome is a RuntimeError where no thread can be
            started.
    """

    __slots__ = ("run", "ended", "is_given_up", "worker")

    def __init__(self, run: Callable[[Connections], Any], ended: Callable[["Job", Any], None]) -> None:
        self.run = run
        self.ended = ended
        self.is_given_up = False
        self.worker: Optional["Worker"] = None  # None, too, where the job ended without a thread


class Worker:
    """A thread that does one job after the other, and keeps its connections in between."""

    def __init__(self, job: Job) -> None:
        self.connections = Connections()
        self.idle_since = 0.0
        self._job: Optional[Job] = job
        self._has_work = _thread.allocate_lock()
        self._thread: Optional[threading.Thread] = None
        self._process = os.getpid()
        job.worker = self

    def give(self, job: Optional[Job]) -> None:
        """Give an idle worker its next job, or None to end it."""
        self._job = job
        if job is not None:
            job.worker = self
        self._has_work.release()

    def is_forked(self) -> bool:
        """Return whether this is a child where the thread lives on: a greenlet, or one in which a finalizer forked."""
        return os.getpid() != self._process

    def await_end(self) -> None:
        """Wait, before a fork, until an ended worker has closed its connections, and its thread ends."""
        thread = self._thread
        if thread is threading.current_thread():  # a finalizer forks here: the thread ends afterwards
            self.connections.close()
        elif thread is not None:
            thread.join(1.0)  # await_leaving() waits for the rest of it

    def run(self) -> None:
        """Do jobs until there are no more; called in the thread."""
        self._thread = threading.current_thread()
        self._has_work.acquire()
        while True:
            job, self._job = self._job, None
            if job is None:
                break
            outcome = job.run(self.connections)
            job.ended(job, outcome)
            del job, outcome  # an idle worker keeps nothing of a call
            if self.is_forked():  # nobody gives it another job
                break
            self._has_work.acquire()
        self.connections.close()
        leaves(self._thread)


class Workers:
    """The workers of a process."""

    def __init__(self) -> None:
        self._idle: Deque[Worker] = collections.deque()  # the one that has been idle for longest comes first

    def begin(self, job: Job) -> None:
        """Have a job done by an idle worker, or by a new one."""
        if self._idle:
            self._idle.pop().give(job)
            return
        worker = Worker(job)

        def failed(error: RuntimeError) -> None:
            """Do the job here if there are no threads because the interpreter ends; otherwise give it up."""
            outcome = error if threading.main_thread().is_alive() else job.run(worker.connections)
            worker.connections.close()
            job.worker = None
            job.ended(job, outcome)

        start("managed-credentials-fetch", worker.run, failed)

    def done(self, job: Job, now: float) -> None:
        """Take back the worker of a job. It is idle now, or ends if its job was given up: its connections are cut.

        Args:
            job: the job that has ended.
            now: the present moment, in seconds of the monotonic clock.
        """
        worker = job.worker
        if worker is None or worker.is_forked():
            return
        if job.is_given_up:
            worker.give(None)
        else:
            worker.idle_since = now
            self._idle.append(worker)

    def give_up(self, job: Job) -> None:
        """Close the sockets of a job that takes too long; its worker ends as soon as that unblocks it."""
        job.is_given_up = True
        worker = job.worker
        if worker is not None:
            worker.connections.abort()

    def wake_at(self) -> Optional[float]:
        """Return when the next idle worker is to end, by the monotonic clock; None if there is none."""
        return self._idle[0].idle_since + IDLE if self._idle else None

    def end_idle(self, now: Optional[float] = None) -> List[Worker]:
        """End the workers that have been idle for too long at ``now``, or all idle ones; return them."""
        ended: List[Worker] = []
        try:
            while now is None or now >= self._idle[0].idle_since + IDLE:
                ended.append(self._idle.popleft())
                ended[-1].give(None)
        except IndexError:  # no idle worker is left; another thread that forks may have ended the last one
            pass
        return ended

    def forget(self) -> None:
        """Drop the workers in a forked child, where their threads do not exist."""
        self._idle.clear()
