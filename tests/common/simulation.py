"""A world for the product's own code, in which time, network and threads do what a test says, one step at a time.

``FakeClock`` is its time, ``Secrets`` what Secrets Manager holds, and ``Region`` a gateway to that. ``Threads`` stands
in for the module ``threading``; what runs in one thread needs none of it.
"""

import collections
import json
import queue
import threading
import time

from aliyunsdkcore.acs_exception.exceptions import ClientException, ServerException

from aliyun_sdk_secretsmanager_common_plugin.access_key import DATE
from aliyun_sdk_secretsmanager_common_plugin.gateways import Gateway

from .fakes import PATIENCE

# How many points a thread may pass in one turn, and how many turns each may have, before it waits for another moment.
MOST_POINTS = 200
MOST_TURNS = 50


class Gone(BaseException):
    """Ends a thread of a world that is over."""


class Secrets:
    """What Secrets Manager holds: of each secret a version, which has a number.

    Args:
        clock: says when versions are made.
        rotation_intervals: by name, the seconds after which a secret says that it will be rotated next.
    """

    def __init__(self, clock, rotation_intervals=()):
        self._clock = clock
        self._rotation_intervals = dict(rotation_intervals)
        self._newest = collections.Counter()
        self._current = {}
        self._made = {}

    def current(self, name):
        """Return the number of the current version."""
        return self._current.setdefault(name, 0)

    def rotate(self, name):
        self.current(name)
        self._newest[name] += 1
        self._current[name] = self._newest[name]
        self._made[name] = self._clock.time()

    def roll_back(self, name):
        """Make the former version current again, if there is one."""
        self._current[name] = max(self.current(name) - 1, 0)

    def answer(self, name, version, version_id):
        """Return the fields of GetSecretValue's answer for a version."""
        answer = {
            "SecretType": "RAMCredentials",
            "SecretData": json.dumps({"AccessKeyId": self.access_key_id(name, version),
                                      "AccessKeySecret": self.access_key_secret(name, version)}),
            "VersionId": version_id,
        }
        if name in self._rotation_intervals:
            rotation = self._made.setdefault(name, self._clock.time()) + self._rotation_intervals[name]
            answer["NextRotationDate"] = time.strftime(DATE, time.gmtime(rotation))
        return answer

    def access_key_id(self, name, version):
        return "LTAI5tSimulated{}{}".format(name, version)

    def access_key_secret(self, name, version):
        return "secret-of-{}-{}".format(name, version)

    def version_of(self, name, key):
        """Return the number of the version that a key is; an AssertionError if it is none, or half of one."""
        version = int(key.access_key_id[len(self.access_key_id(name, "")):])
        assert key.access_key_id == self.access_key_id(name, version), (name, key.access_key_id)
        assert key.access_key_secret == self.access_key_secret(name, version), (name, key.access_key_id)
        assert version <= self._newest[name], (name, version)
        return version


class Exchange:
    """A request to a region.

    Attributes:
        number: grows with the start of each.
        version: of the secret when it started.
        answer: what came of it: a function that returns GetSecretValue's answer, or raises; None while it is under way.
    """

    def __init__(self, region, name, number, version):
        self.region = region
        self.name = name
        self.number = number
        self.version = version
        self.answer = None


class Region(Gateway):
    """A gateway whose exchanges end when, and as, a test says.

    Attributes:
        mode: what becomes of an exchange: "good" and "bad" end it at once, "held" waits for the test, at most as long
            as sockets wait, and "hung" longer than that, as where the answer drips.
        exchanges: those under way.

    Args:
        secrets: what it answers.
        numbers: an iterator that numbers the exchanges of all regions.
        block: ``Threads.block``; not needed while each exchange ends at once.
    """

    def __init__(self, secrets, numbers, block=None):
        self.mode = "good"
        self.exchanges = []
        self._secrets = secrets
        self._numbers = numbers
        self._block = block

    def get_secret_value(self, secret_name, timeout):
        exchange = Exchange(self, secret_name, next(self._numbers), self._secrets.current(secret_name))
        self.exchanges.append(exchange)
        if self.mode == "good":
            self.give(exchange)
        elif self.mode == "bad":
            self.fail(exchange, "unavailable")
        else:
            self._block(lambda: exchange.answer is not None, None if self.mode == "hung" else timeout)
        if exchange.answer is None:
            self.fail(exchange, "silent")
        return exchange.answer()

    def give(self, exchange, as_of_its_start=False):
        """End an exchange with the version of now, or of when it started."""
        version = exchange.version if as_of_its_start else self._secrets.current(exchange.name)
        answer = self._secrets.answer(exchange.name, version, str(exchange.number))
        self._end(exchange, lambda: answer)

    def fail(self, exchange, how):
        """End an exchange in one of the ways of ``FAILURES``."""
        self._end(exchange, FAILURES[how])

    def waiting_for(self):
        return "a region"

    def after_fork_in_child(self):
        """Its parent's exchanges are none of the child's."""
        del self.exchanges[:]

    def _end(self, exchange, answer):
        self.exchanges.remove(exchange)
        exchange.answer = answer


def _raises(make):
    def fail():
        raise make()

    return fail


FAILURES = {
    "unavailable": _raises(lambda: ServerException("ServiceUnavailableTemporary", "try again", 503)),
    "forbidden": _raises(lambda: ServerException("Forbidden.KMS", "not allowed", 403)),
    "silent": _raises(lambda: ClientException("SDK.HttpError", "no answer")),
    "unexpected": _raises(lambda: KeyError("a bug")),
    "half a key": lambda: {"SecretData": json.dumps({"AccessKeyId": "LTAI5tHalf"}), "VersionId": "half"},
}


class Threads:
    """Threads of which one runs at a time, as far as the test lets it: stands in for the module ``threading``.

    A thread may stop at each point where another could get ahead of it: before it takes a lock and after it released
    one, before it waits and after it woke others. ``run`` says how many of these points it passes.

    Args:
        clock: ends waits; its ``sleep`` becomes a thread's.

    Attributes:
        alive: the threads that were started and did not end.
        errors: what threads raised that was not handled.
        refusals: how many of the next starts fail, as where the system has no more threads.
        current: the thread that runs; None while the test does.
    """

    def __init__(self, clock):
        self.alive = []
        self.errors = []
        self.refusals = 0
        self.current = None
        self.clock = clock
        clock.sleep = lambda seconds: self.block(lambda: False, seconds)
        self._workers = []
        self._idle_workers = []
        self._test = _taken_lock()

    # What the module threading has.

    def Lock(self):  # noqa: N802
        return _Lock(self)

    def RLock(self):  # noqa: N802
        return _Lock(self, reentrant=True)

    def Condition(self):  # noqa: N802
        return _Condition(self)

    def Event(self):  # noqa: N802
        return _Event(self)

    def Thread(self, target, args=(), name="", daemon=False):  # noqa: N802
        return _Thread(self, target, args, name)

    def current_thread(self):
        return self.current

    # What the module queue has.

    Empty = queue.Empty

    def Queue(self):  # noqa: N802
        return _Queue(self)

    # What a test does.

    def ready(self):
        """Return the threads that could run now."""
        return [thread for thread in self.alive if thread.is_ready()]

    def run(self, thread, points=None):
        """Let a thread that is ready run until it waits, ends, or has passed so many points."""
        thread.points = MOST_POINTS if points is None else points
        self.give_baton(thread, thread.worker)

    def settle(self):
        """Let all run until each waits for another moment."""
        for _ in range(MOST_TURNS):
            ready = self.ready()
            if not ready:
                return
            for thread in ready:
                if thread.is_alive() and thread.is_ready():
                    self.run(thread)
        raise AssertionError("threads go on and on, and no time passes: {}".format([thread.name for thread in ready]))

    def pass_time(self, seconds, at_rest=lambda: None):
        """Move the clock on, let each thread run when it is its time, and call ``at_rest()`` whenever all wait."""
        end = self.clock.monotonic() + seconds
        while True:
            self.settle()
            at_rest()
            until = min([thread.deadline for thread in self.alive if thread.deadline is not None] + [end])
            if until >= end:
                self.clock.advance(end - self.clock.monotonic())
                self.settle()
                at_rest()
                return
            self.clock.advance(until - self.clock.monotonic())

    def forget_others(self):
        """As in a process that a thread forked: no other is there."""
        self.alive = [self.current]

    def end(self):
        """End all threads, wherever they are."""
        for worker in self._workers:
            worker.end()

    # What those that stand in do.

    def start(self, thread):
        if self.refusals:
            self.refusals -= 1
            raise RuntimeError("can't start new thread")
        self.alive.append(thread)
        if not self._idle_workers:
            worker = _Worker(self)
            self._workers.append(worker)
            self._idle_workers.append(worker)
        thread.begin(self._idle_workers.pop())
        self.point()

    def point(self):
        """Pass a point where another thread may get ahead of the current one."""
        if self.current is not None:
            self.current.point()

    def block(self, until, timeout=None):
        """Wait until ``until()``, and return True; or for so many seconds, and return False."""
        return self.current.block(until, timeout)

    def give_baton(self, thread, worker):
        self.current = thread
        worker.baton.release()
        assert self._test.acquire(timeout=PATIENCE), "a simulated thread waits for something real"
        self.current = None

    def hand_back(self):
        self._test.release()

    def ended(self, thread, worker):
        if thread in self.alive:
            self.alive.remove(thread)
        self._idle_workers.append(worker)


class _Worker:
    """A real thread, in which one simulated thread after the other runs.

    Attributes:
        baton: free when it is its turn.
        thread: the one that runs in it; None ends it.
        is_ending: whether what runs in it is to end.
    """

    def __init__(self, threads):
        self.baton = _taken_lock()
        self.thread = None
        self.is_ending = False
        self._threads = threads
        self._real = threading.Thread(target=self._run, name="simulated", daemon=True)
        self._real.start()

    def end(self):
        self.is_ending = True
        self._threads.give_baton(self.thread, self)
        self._real.join(PATIENCE)

    def _run(self):
        while True:
            self.baton.acquire()
            if self.thread is not None:
                self.thread.run()
                self._threads.ended(self.thread, self)
                self.thread = None
            is_ending = self.is_ending
            self._threads.hand_back()
            if is_ending:
                return


class _Thread:
    """A thread that runs while it has the baton.

    Attributes:
        worker: where it runs.
        points: how many more it passes before it stops.
        deadline: when it goes on without what it waits for, None if never.
        waits: whether it waits for more than a lock.
        interruption: what is raised where it waits, as a signal does in the main thread.
    """

    def __init__(self, threads, target, args, name):
        self.name = name
        self.worker = None
        self.points = 0
        self.deadline = None
        self.waits = False
        self.interruption = None
        self._threads = threads
        self._target = target
        self._args = args
        self._until = lambda: True

    def start(self):
        self._threads.start(self)

    def join(self, timeout=None):
        self._threads.block(lambda: not self.is_alive(), timeout)

    def is_alive(self):
        return self in self._threads.alive

    def is_ready(self):
        return (
            self._until()
            or self.deadline is not None and self._threads.clock.monotonic() >= self.deadline
            or self.interruption is not None
        )

    def begin(self, worker):
        self.worker = worker
        worker.thread = self

    def run(self):
        try:
            if not self.worker.is_ending:
                self._target(*self._args)
        except Gone:
            pass
        except BaseException as error:
            self._threads.errors.append(error)

    def point(self):
        if self.worker.is_ending:
            raise Gone()
        self.points -= 1
        if self.points < 0:
            self._stop()

    def block(self, until, timeout, waits=True):
        if self.worker.is_ending:
            raise Gone()
        self.deadline = None if timeout is None else self._threads.clock.monotonic() + timeout
        self._until, self.waits = until, waits
        if not self.is_ready():
            self._stop()
        self._until, self.waits, self.deadline = lambda: True, False, None
        if self.interruption is not None:
            interruption, self.interruption = self.interruption, None
            raise interruption
        return bool(until())

    def _stop(self):
        self._threads.hand_back()
        self.worker.baton.acquire()
        if self.worker.is_ending:
            raise Gone()


class _Lock:
    def __init__(self, threads, reentrant=False):
        self._threads = threads
        self._reentrant = reentrant
        self._owner = None
        self._depth = 0

    def acquire(self, blocking=True):
        me = self._threads.current
        self._threads.point()
        if self._depth and not (self._reentrant and self._owner is me):
            if not blocking:
                return False
            me.block(lambda: not self._depth, None, waits=False)
        self._owner = me
        self._depth += 1
        return True

    def release(self):
        if not self._depth or self._owner is not self._threads.current:
            raise RuntimeError("cannot release a lock that is not held")
        self._depth -= 1
        self._threads.point()

    def __enter__(self):
        return self.acquire()

    def __exit__(self, *exc_info):
        self.release()


class _Condition(_Lock):
    def __init__(self, threads):
        super().__init__(threads, reentrant=True)
        self._notifications = 0

    def wait(self, timeout=None):
        notifications, depth = self._notifications, self._depth
        self._depth = 0
        try:
            return self._threads.block(lambda: self._notifications > notifications, timeout)
        finally:
            self.acquire()
            self._depth = depth

    def notify_all(self):
        self._notifications += 1


class _Event:
    def __init__(self, threads):
        self._threads = threads
        self._is_set = False

    def is_set(self):
        return self._is_set

    def set(self):
        self._is_set = True
        self._threads.point()

    def wait(self, timeout=None):
        self._threads.point()
        return self._threads.block(self.is_set, timeout)


class _Queue:
    def __init__(self, threads):
        self._threads = threads
        self._items = collections.deque()

    def empty(self):
        return not self._items

    def put(self, item):
        self._items.append(item)
        self._threads.point()

    def get(self, timeout=None):
        if not self._threads.block(lambda: bool(self._items), timeout):
            raise queue.Empty
        return self._items.popleft()


def _taken_lock():
    lock = threading.Lock()
    lock.acquire()
    return lock
