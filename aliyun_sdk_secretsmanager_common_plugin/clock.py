"""The clocks of the suite, handed in so that tests move time instead of waiting for it."""

import time


class Clock:
    """The system's clocks."""

    def monotonic(self) -> float:
        """Return seconds for deadlines and backoff; only differences mean something."""
        return time.monotonic()

    def time(self) -> float:
        """Return seconds since the epoch, to compare with the dates of Secrets Manager (UTC)."""
        return time.time()

    def sleep(self, seconds: float) -> None:
        """Wait for ``seconds``."""
        time.sleep(seconds)

    async def sleep_async(self, seconds: float) -> None:
        """As ``sleep``, for a task of an event loop."""
        from asyncio import sleep  # programs without an event loop pay nothing for it

        await sleep(seconds)
