"""Tasks of event loops, as drills have them."""

import asyncio
import time

# Only a broken product takes as long.
PATIENCE = 300


def run(coroutine, new_loop=asyncio.new_event_loop, seconds=PATIENCE):
    """Run a coroutine in an event loop of its own, and return what it returns."""
    loop = new_loop()
    try:
        return loop.run_until_complete(asyncio.wait_for(coroutine, seconds))
    finally:
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.close()


async def until(condition, seconds=PATIENCE):
    """Wait, without blocking the loop, for what other threads or tasks bring about."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen within {} s".format(seconds)
        await asyncio.sleep(0.01)


class AsyncLoad:
    """Tasks that call until they are stopped; what fails is raised at the end."""

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
        """Wait for so many calls more."""
        done = self.calls
        await until(lambda: self.calls > done + calls or any(task.done() for task in self._running))

    async def __aenter__(self):
        self._running = [asyncio.ensure_future(self._run()) for _ in range(self._tasks)]
        return self

    async def __aexit__(self, *exc_info):
        self._stopped = True
        await asyncio.gather(*self._running)
