"""Helpers for tests with tasks in event loops."""

import asyncio
import time

# Seconds. Only a broken product takes that long.
PATIENCE = 300


def run(coroutine, new_loop=asyncio.new_event_loop, seconds=PATIENCE):
    """Run a coroutine in a new event loop, and return its result."""
    loop = new_loop()
    try:
        return loop.run_until_complete(asyncio.wait_for(coroutine, seconds))
    finally:
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.close()


async def until(condition, seconds=PATIENCE):
    """Wait without blocking the loop until a condition holds, which other threads or tasks bring about."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen within {} s".format(seconds)
        await asyncio.sleep(0.01)


def drive(coroutine):
    """Run a coroutine that never waits, without an event loop, and return its result."""
    try:
        coroutine.send(None)
    except StopIteration as end:
        return end.value
    finally:
        coroutine.close()


class AsyncLoad:
    """Tasks that call until they are stopped. Their errors are raised at the end."""

    def __init__(self, call, tasks):
        self.calls = 0
        self._call = call
        self._tasks = tasks
        self._stopped = False

    async def _run(self):
        while not self._stopped:
            await self._call()
            self.calls += 1

    async def more(self, calls):
        """Wait for that many more calls."""
        done = self.calls
        await until(lambda: self.calls > done + calls or any(task.done() for task in self._running))

    async def __aenter__(self):
        self._running = [asyncio.ensure_future(self._run()) for _ in range(self._tasks)]
        return self

    async def __aexit__(self, *exc_info):
        self._stopped = True
        await asyncio.gather(*self._running)
