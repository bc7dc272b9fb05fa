"""The clocks of the suite, passed as an object so that tests can move time instead of waiting for it."""

import time


class Clock:
    """The system's clocks."""

    def monotonic(self) -> float:
        """Return seconds from an arbitrary start, for deadlines and backoff."""
        return time.monotonic()

    def time(self) -> float:
        """Return seconds since the epoch, to compare with the dates of Secrets Manager, which are UTC."""
        return time.time()

    def sleep(self, seconds: float) -> None:
        """Wait for ``seconds``."""
        time.sleep(seconds)

    async def sleep_async(self, seconds: float) -> None:
        """Wait for ``seconds`` in a task of an event loop."""
        from asyncio import sleep  # here, so that programs without an event loop do not import it

        await sleep(seconds)
