"""What drills share: threads that call all the time, and what they look at."""

import logging
import threading
import time

from tests.conftest import wait_until


def owner_threads():
    return [thread for thread in threading.enumerate() if thread.name == "managed-credentials-owner"]


def no_thread_of_ours():
    """Return whether no thread of the product runs."""
    return not [thread for thread in threading.enumerate() if thread.name.startswith("managed-credentials")]


def loud(caplog):
    """Return the records that a program sees which logs WARNING and above."""
    return [record for record in caplog.records if record.levelno >= logging.WARNING]


class Load:
    """Threads that call functions until the ``with`` block ends. ``failures`` has each error with its start and end."""

    def __init__(self, functions):
        self.calls = 0
        self.failures = []
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._run, args=(function,), daemon=True) for function in functions]

    def _run(self, function):
        while not self._stop.is_set():
            started = time.monotonic()
            try:
                function()
            except Exception as error:
                self.failures.append((started, time.monotonic(), error))
            self.calls += 1
            self._stop.wait(0.01)

    def more(self, calls):
        """Wait for that many more calls."""
        done = self.calls
        wait_until(lambda: self.calls > done + calls)

    def __enter__(self):
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *exc_info):
        self._stop.set()
        for thread in self._threads:
            thread.join(30)
