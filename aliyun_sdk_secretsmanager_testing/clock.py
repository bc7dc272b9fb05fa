"""The clock of the local cloud, which tests can replace by one that they move instead of sleeping."""
import time


class SystemClock:
    """The machine's own clocks."""

    def monotonic(self) -> float:
        """Return monotonic seconds, for the validity of keys and the times of calls."""
        return time.monotonic()

    def time(self) -> float:
        """Return seconds since 1970, for dates in requests and answers."""
        return time.time()


class MovableClock(SystemClock):
    """A clock that stands still until it is moved.

    Example::

        clock = MovableClock()
        with LocalCloud(clock=clock) as cloud:
            cloud.create_secret("app/key")
            cloud.rotate("app/key", grace=60.0)
            clock.advance(61.0)      # the old key is gone now
    """

    def __init__(self) -> None:
        self._monotonic = time.monotonic()
        self._time = time.time()

    def monotonic(self) -> float:
        return self._monotonic

    def time(self) -> float:
        return self._time

    def advance(self, seconds: float) -> None:
        """Move both clocks forward.

        Args:
            seconds: how far; not negative.

        Raises:
            ValueError: it is negative.
        """
        if seconds < 0:
            raise ValueError("a clock only moves forward, not by {} s".format(seconds))
        self._monotonic += seconds
        self._time += seconds


def utc(seconds: float) -> str:
    """Return a time, in seconds since 1970, in the form of the OpenAPI services: ``2026-11-21T10:00:00Z``."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))
