"""The runtime of a process: one thread at a time changes the keepers, the owner or a worker that brings an answer.

Callers put events into an inbox, and may wait for the owner's answer by a ticket of their own. They hold no lock
meanwhile, so signal handlers, finalizers and threads that fork may do the same, and an exception in a waiting caller
leaves nothing half done.
"""

import _thread
import collections
import contextlib
import logging
import math
import os
import threading
import time
import weakref
from typing import Any, Callable, Deque, Dict, Iterator, List, NamedTuple, Optional, Tuple

from ..clock import Clock
from ..exceptions import ManagedCredentialsError
from ..keeper import Now
from ..keeper.events import Closed, Leased, Released, Ticked
from ..secrecy import logger_of
from ..threads import SoleThread, await_leaving
from .executors import SerialExecutor
from .tickets import Ticket
from .workers import Workers

# Seconds for which a fork waits for the owner, which stops between two events, and for imports.
FORK_PATIENCE = 5.0
# Seconds for which a fork waits for each executor: most callbacks take a moment, but a subscriber may take its time.
CALLBACK_PATIENCE = 0.1
# Seconds for which a fork waits for the thread that hears announcements, which may be waiting for a name server.
LISTENER_PATIENCE = 0.5
# Seconds for which the end of the program waits until subscribers have the last key.
AT_EXIT_PATIENCE = 1.0
# Seconds for which an account gets no ticks after a fault of this package, which must not keep a core busy.
FAULT_PAUSE = 1.0
# Seconds for which the owner waits for its turn before it looks whether a fork has begun: a finalizer may fork in the
# worker that has the turn, and that fork waits for the owner.
TURN_PATIENCE = 0.05

# Events that a forked child still takes from its parent's inbox.
_KEPT_BY_CHILD = (Leased, Released, Closed)

# An ``Account``, whose module imports this one.
_Account = Any

# The log's readers know the core by this name, whichever module writes the line.
logger = logger_of("aliyun_sdk_secretsmanager_common_plugin.keeper")


class Fork(NamedTuple):
    """A fork in progress.

    Attributes:
        thread: the identifier of the thread that forks.
        until: when the fork counts as over, by the system's monotonic clock, if an exception skipped the hook after it.
    """

    thread: int
    until: float


class Runtime:
    """Everything that a process has once. A test can make another one.

    Args:
        clock: the clocks.

    Attributes:
        workers: the threads that ask gateways.
        default: by settings, the credentials that clients share by default; one entry at most.
        chosen: the credentials that the program chose as the default instead.
    """

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.workers = Workers()
        self.default: Dict[Any, Any] = {}
        self.chosen: Any = None
        self._accounts: Dict[int, "weakref.ReferenceType[_Account]"] = {}
        self._planned: Dict[_Account, float] = {}  # when each account gets its next tick
        self._inbox: Deque[Tuple[_Account, Any]] = collections.deque()
        self._forks: List[Fork] = []  # several, since hooks can interrupt each other
        self._process = os.getpid()
        self._log = SerialExecutor("managed-credentials-log")
        self._reset()

    def _reset(self) -> None:
        """Make the locks and the owner's thread, at first and in a forked child."""
        self._imports = threading.RLock()  # held during imports, and by a thread that forks
        self._wake = _thread.allocate_lock()  # a semaphore: it is released when the owner has something to do
        self._wake.acquire()
        self._turn = _thread.allocate_lock()  # held by the thread that changes keepers at this moment
        self._turn_holder: Optional[int] = None  # that thread
        # Until when the owner sleeps: a worker wakes it only for what is earlier. Changed by who has the turn.
        self._sleeps_until = math.inf
        self._thread = thread = SoleThread(
            "managed-credentials-owner",
            self._work,
            lambda: bool(self._inbox or self._planned) and self._thread is thread and not self._is_forking(),
        )

    def now(self) -> Now:
        """Return the present moment by both clocks."""
        return Now(self.clock.monotonic(), self.clock.time())

    def add(self, account: _Account) -> None:
        """Add an account. It is kept alive only while it has something to do."""
        number = id(account)
        accounts = self._accounts
        accounts[number] = weakref.ref(account, lambda reference: accounts.pop(number, None))

    def accounts(self) -> List[_Account]:
        """Return all accounts that are alive."""
        accounts = [reference() for reference in list(self._accounts.values())]
        return [account for account in accounts if account is not None]

    def thread(self) -> Optional[threading.Thread]:
        """Return the owner's thread, None while there is none."""
        return self._thread.thread if self._thread.is_there() else None

    def put(self, account: _Account, event: Any) -> None:
        """Give the owner an event. Any thread may call this at any moment, also in a signal handler or a finalizer.

        Args:
            account: the account that takes the event.
            event: the event.
        """
        self._inbox.append((account, event))
        if not self._is_forking() and self._thread.ensure():
            self.wake()

    def put_from_worker(self, account: _Account, event: Any) -> None:
        """Take an event in the calling worker's thread if nobody has the turn; otherwise leave it to who has.

        In a busy process each change of threads may take 5 ms for each thread that wants to run. This saves the change
        to the owner's thread, for which the askers would wait.

        Args:
            account: the account that takes the event.
            event: the event.
        """
        self._inbox.append((account, event))
        # Whoever has the turn looks at the inbox once more when it has given the turn back. A worker takes only what is
        # there: its own next job may be among what these events begin.
        while self._inbox and not self._is_forking():
            with self._turn_taken(0.0) as is_taken:
                if not is_taken:
                    return
                self._take_events(len(self._inbox))
                is_left_to_owner = bool(self._inbox)
                if (is_left_to_owner or self._owner_has_work()) and self._thread.ensure():
                    self.wake()
                    if is_left_to_owner:
                        return

    def wake(self) -> None:
        """Have the owner look at the inbox and at the clock."""
        try:
            self._wake.release()
        except RuntimeError:  # it is released already
            pass

    def wait(self, ticket: Ticket, until: float) -> bool:
        """Wait for an answer; whatever a signal's handler raises meanwhile passes.

        Args:
            ticket: the ticket of the event.
            until: when to give up, in seconds of the monotonic clock.

        Returns:
            Whether the answer came.

        Raises:
            ManagedCredentialsError: the calling thread is the owner or has the turn, as where a finalizer runs in it.
        """
        if self._thread.is_this() or self._turn_holder == _thread.get_ident():
            raise ManagedCredentialsError(
                "a finalizer, which runs in the thread of this package just now, cannot wait for a secret; read it "
                "before, or in a thread of the program's own")
        # A thread that waits does not fork: a handler interrupted its fork, or an exception skipped the last hook.
        while self._end_fork():
            pass
        while ticket.outcome is None:
            remaining = until - self.clock.monotonic()
            if remaining <= 0:
                break
            if self._is_forking() or self._thread.ensure():
                ticket.wait_slice(remaining)
            else:  # no thread can be started: this one does the owner's work
                self._thread.work_here(lambda: self._work(
                    lambda: ticket.outcome is not None or self.clock.monotonic() >= until))
        return ticket.outcome is not None

    def attend(self) -> None:
        """Start the owner if there is none. Where no thread can be started, do what is due in this one."""
        if not self._is_forking() and not self._thread.ensure():
            self._thread.work_here(lambda: self._work(lambda: True))

    @contextlib.contextmanager
    def importing(self) -> Iterator[None]:
        """Hold back forks during imports: a child that is forked amid an import has half a module."""
        is_taken = self._imports.acquire(timeout=FORK_PATIENCE)
        try:
            yield
        finally:
            if is_taken:
                self._imports.release()

    def write(self, lines: Tuple[Any, ...]) -> None:
        """Log in another thread: a thread that waits for the owner may hold a lock that a log handler needs.

        Args:
            lines: (level, message, args, fields) of each line.
        """
        def log() -> None:
            for level, message, args, fields in lines:
                logger.log(level, message, *args, extra=fields)

        self._log.submit(log)

    def _work(self, is_enough: Optional[Callable[[], bool]] = None) -> None:
        """Do the owner's work until nothing is planned, or a fork begins.

        Args:
            is_enough: whether to stop earlier, where a thread of the program does the work.
        """
        thread = self._thread
        # A finalizer may fork here. The child has another thread.
        while self._thread is thread and not self._is_forking():
            wake_at: Optional[float] = self.clock.monotonic()  # if the turn is not free: to look again at once
            with self._turn_taken(TURN_PATIENCE) as is_taken:
                if is_taken:
                    self._take_events()
                    if not self._inbox:
                        self._do_what_is_due()
                    wake_at = self._next_moment()
                    self._sleeps_until = math.inf if wake_at is None or is_enough else wake_at
            if is_enough and is_enough():
                return
            if self._inbox:
                continue
            if wake_at is None:
                return
            self._wake.acquire(True, min(max(0.0, wake_at - self.clock.monotonic()), threading.TIMEOUT_MAX))

    @contextlib.contextmanager
    def _turn_taken(self, patience: float) -> Iterator[bool]:
        """Take the turn to change keepers, if it is free within ``patience`` seconds; yield whether it was."""
        turn = self._turn
        if not turn.acquire(timeout=patience):
            yield False
            return
        try:
            self._turn_holder = _thread.get_ident()
            yield True
        finally:
            if self._turn is turn:  # in a child that a finalizer forked meanwhile, the turn is another lock
                self._turn_holder = None
            turn.release()

    def _take_events(self, most: float = math.inf) -> None:
        """Take the events of the inbox, at most so many, until it is empty or a fork begins."""
        turn = self._turn
        while self._inbox and most > 0 and self._turn is turn and not self._is_forking():  # a child has another turn
            most -= 1
            self._take(*self._inbox.popleft())

    def _do_what_is_due(self) -> None:
        """Send the ticks that are due, and end idle workers."""
        now = self.clock.monotonic()
        for account, moment in list(self._planned.items()):
            if now >= moment and account in self._planned:  # in a child that a finalizer forks here, nothing is planned
                self._take(account, Ticked())
        self.workers.end_idle(now if self._planned else None)

    def _next_moment(self) -> Optional[float]:
        """Return when the owner has to look again, by the monotonic clock; None if nothing is planned."""
        if not self._planned:
            return None
        moment = min(self._planned.values())
        idle_until = self.workers.wake_at()
        return moment if idle_until is None else min(moment, idle_until)

    def _owner_has_work(self) -> bool:
        """Return whether the owner has to be woken: it is to end, would look too late by itself, or is not there."""
        moment = self._next_moment()
        looks_at = max(self._sleeps_until, self.clock.monotonic())  # the owner may be late
        return moment is None or moment < looks_at or not self._thread.is_there()

    def _take(self, account: _Account, event: Any) -> None:
        not_before = 0.0
        try:
            account.take(event)
        except Exception as error:  # a fault of this package, which must not end the thread of all accounts
            not_before = self.clock.monotonic() + FAULT_PAUSE
            self.write(((logging.ERROR, "%s was raised while %s was taken, which nobody expected; please report it",
                         (type(error).__name__, type(event).__name__), {}),))
        wake_at = account.wake_at()
        if wake_at is None:
            self._planned.pop(account, None)
        else:
            self._planned[account] = max(wake_at, not_before)

    def before_fork(self) -> None:
        """Stop the owner between two events, and end all threads but those that wait for the network."""
        until = time.monotonic() + FORK_PATIENCE
        self._forks.append(Fork(_thread.get_ident(), until + FORK_PATIENCE))
        # Whoever takes the turn from now on sees the fork. The lock is only looked at, not taken:
        # an exception of a signal's handler could leave it taken.
        while self._turn.locked() and self._turn_holder != _thread.get_ident() and time.monotonic() < until:
            time.sleep(0.0002)
        self._thread.await_end(until, self.wake)
        for worker in self.workers.end_idle():
            worker.await_end()
        for executor in self._executors():
            executor.await_end(min(until, time.monotonic() + CALLBACK_PATIENCE))
        for account in self.accounts():
            account.await_silence(min(until, time.monotonic() + LISTENER_PATIENCE))
        await_leaving()
        self._imports.acquire(timeout=max(0.0, until - time.monotonic()))
        for account in self.accounts():
            account.before_fork()

    def after_fork_in_parent(self) -> None:
        """Go on. The owner's thread starts only if somebody waits: CPython looks for threads after this hook."""
        self._end_fork()
        try:
            self._imports.release()
        except RuntimeError:  # an exception cut before_fork() short
            pass
        if self._inbox and not self._is_forking() and self._thread.ensure():
            self.wake()

    def after_fork_in_child(self) -> None:
        """Go on with the keepers' data, in the only thread of the child."""
        self._forks.clear()
        self._log.reset()
        self.workers.forget()
        self._reset()
        self._planned.clear()
        events = list(self._inbox)
        self._inbox.clear()
        for account in self.accounts():
            account.after_fork_in_child()
        for account, event in events:
            ticket = getattr(event, "ticket", None)
            if isinstance(event, _KEPT_BY_CHILD):
                account.take(event)
            elif ticket is not None:
                ticket.forget()
        self._process = os.getpid()

    def _is_forking(self) -> bool:
        return any(time.monotonic() < fork.until for fork in tuple(self._forks))

    def _end_fork(self) -> bool:
        """Remove the calling thread's latest fork; return whether there was one."""
        for fork in reversed(self._forks):
            if fork.thread == _thread.get_ident():
                self._forks.remove(fork)
                return True
        return False

    def check_process(self) -> None:
        """Notice a fork. Clients call this when they are made and at each call where there are no hooks (3.6)."""
        if os.getpid() != self._process:
            lock = _checks.setdefault(os.getpid(), threading.Lock())
            with lock:
                if os.getpid() != self._process:
                    self.after_fork_in_child()

    def at_exit(self) -> None:
        """Wait a moment until subscribers have the last key, and until no thread of ours is about to end."""
        until = self.clock.monotonic() + AT_EXIT_PATIENCE
        for executor in self._executors():
            if executor.last is not None:
                executor.last.wait(self.clock, until)
        for account in self.accounts():
            account.await_shared(until)
        await_leaving()

    def _executors(self) -> List[SerialExecutor]:
        return [executor for account in self.accounts() for executor in account.executors()] + [self._log]


# Locks by process id: a thread of the parent may have held the parent's lock at the fork.
_checks: Dict[int, Any] = {}
