"""What the unit tests use in place of time, Secrets Manager and other threads' luck."""

import collections
import threading
import traceback

from hypothesis import HealthCheck
from hypothesis import settings as hypothesis_settings

from aliyun_sdk_secretsmanager_common_plugin.access_key import AccessKey

# How long a test waits for what another thread is to do; only a broken product takes as long.
PATIENCE = 10

# A busy machine is no fault of a test.
quick = hypothesis_settings(
    max_examples=50, deadline=None, database=None, suppress_health_check=[HealthCheck.too_slow])


def key(name, token=None, **dates):
    """Return the key of version ``name``; its secret and token hold the words that must not be shown."""
    return AccessKey("LTAI5t{}{}".format("0123456789", name), "secret-of-" + name, token, "version-" + name, **dates)


class FakeClock:
    """Both clocks; they stand still but for ``advance``, ``sleep`` and the jumps."""

    def __init__(self):
        self._monotonic = 5000.0
        self._time = 1700000000.0
        self.readings = 0
        self.sleeps = []
        self.on_sleep = None

    def monotonic(self):
        self.readings += 1
        return self._monotonic

    def time(self):
        self.readings += 1
        return self._time

    def sleep(self, seconds):
        self.sleeps.append(seconds)
        self.advance(seconds)
        if self.on_sleep is not None:
            self.on_sleep(seconds)

    async def sleep_async(self, seconds):
        self.sleep(seconds)

    def advance(self, seconds):
        self._monotonic += seconds
        self._time += seconds

    def jump_time(self, seconds):
        """Set the wall clock; forward it is also what a suspended machine looks like."""
        self._time += seconds

    def jump_monotonic(self, seconds):
        self._monotonic += seconds


Asked = collections.namedtuple("Asked", "name timeout")


class Source:
    """The ``fetch`` of a facade: answers with ``answer``: a key, an error to raise, or a function of the call."""

    def __init__(self, answer=None):
        self.answer = answer
        self.asked = []

    def __call__(self, name, timeout):
        asked = Asked(name, timeout)
        self.asked.append(asked)
        answer = self.answer(asked) if callable(self.answer) else self.answer
        if isinstance(answer, BaseException):
            raise answer
        return answer


class Gate:
    """An answer that waits: ``entered`` is set when it is asked for, and it is given after ``open()``."""

    def __init__(self, answer=None):
        self.answer = answer
        self.entered = threading.Event()
        self._open = threading.Event()

    def __call__(self, *ignored):
        self.entered.set()
        if not self._open.wait(PATIENCE):
            raise AssertionError("nobody opened the gate")
        return self.answer

    def wait_entered(self):
        assert self.entered.wait(PATIENCE), "nobody came to the gate"

    def open(self):
        self._open.set()


class Running:
    """A function that runs in a thread of its own."""

    def __init__(self, function):
        self._function = function
        self._value = None
        self._error = None
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self):
        try:
            self._value = self._function()
        except BaseException as error:
            self._error = error

    def alive(self):
        return self._thread.is_alive()

    def join(self, seconds):
        """Wait for its end, for a while at most."""
        self._thread.join(seconds)

    def result(self):
        """Return what the function returned; raise what it raised."""
        self._thread.join(PATIENCE)
        assert not self._thread.is_alive(), "still running after {} s".format(PATIENCE)
        if self._error is not None:
            raise self._error
        return self._value

    def error(self):
        """Return what the function raised, None if it returned."""
        try:
            self.result()
        except BaseException as error:
            return error
        return None


class Threading:
    """In place of a module's ``threading``: counts who waits for an event, and which locks are held."""

    def __init__(self):
        self._changed = threading.Condition()
        self.waits = 0
        self.locks = []
        self.acquisitions = 0

    def until_waits(self, count):
        """Return when, all in all, ``count`` waits for events have begun."""
        with self._changed:
            assert self._changed.wait_for(lambda: self.waits >= count, PATIENCE), "only {} waits".format(self.waits)

    def held(self):
        """Return whether any lock is held."""
        return any(lock.locked() for lock in self.locks)

    def RLock(self):  # noqa: N802
        lock = _CountedLock(self)
        self.locks.append(lock)
        return lock

    def Event(self):  # noqa: N802
        return _CountedEvent(self)

    def began_to_wait(self):
        with self._changed:
            self.waits += 1
            self._changed.notify_all()

    def __getattr__(self, name):
        return getattr(threading, name)


class _CountedLock:
    """A reentrant lock that counts."""

    def __init__(self, owner):
        self._owner = owner
        self._lock = threading.RLock()
        self._depth = 0

    def locked(self):
        return self._depth > 0

    def acquire(self, *args, **kwargs):
        self._owner.acquisitions += 1
        acquired = self._lock.acquire(*args, **kwargs)
        self._depth += acquired
        return acquired

    def release(self):
        self._depth -= 1
        self._lock.release()

    def __enter__(self):
        return self.acquire()

    def __exit__(self, *exc_info):
        self.release()


class _CountedEvent:
    def __init__(self, owner):
        self._owner = owner
        self._event = threading.Event()
        self.set = self._event.set
        self.is_set = self._event.is_set

    def wait(self, timeout=None):
        if not self._event.is_set():
            self._owner.began_to_wait()
        return self._event.wait(timeout)


def threads_named(name):
    return [thread for thread in threading.enumerate() if thread.name == name]


def everything_in(error):
    """Return all that a report of ``error`` could show: its text, its traceback, and the attributes of its chain."""
    texts = []
    seen = []
    pending = [error]
    while pending:
        one = pending.pop()
        if one is None or any(one is other for other in seen):
            continue
        seen.append(one)
        texts += [str(one), repr(one), repr(one.args), repr(vars(one))]
        texts += [repr(getattr(one, name, None)) for name in ("object", "doc", "filename", "strerror", "msg", "text")]
        texts += traceback.format_exception(type(one), one, one.__traceback__)
        pending += [one.__cause__, one.__context__]
    return "\n".join(texts)
