"""Run functions in several threads at once, in a forked child, or in an event loop."""

import _thread
import asyncio
import multiprocessing
import os
import threading
import time
from typing import Any, Callable, List

# Seconds. Only a broken plugin takes that long.
PATIENCE = 60

_TASKS = "/proc/self/task"


def at_once(functions: List[Callable[[], Any]]) -> None:
    """Run functions at the same time, each in its own thread, and raise the first of their errors."""
    errors: List[BaseException] = []
    barrier = threading.Barrier(len(functions))

    def work(function: Callable[[], Any]) -> None:
        try:
            barrier.wait(PATIENCE)
            function()
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=work, args=(function,), daemon=True) for function in functions]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
    if errors:
        raise errors[0]


def in_child(function: Callable[[], Any]) -> None:
    """Run a function in a forked child, and check that it did not fail there."""
    await_ended_threads()
    child = multiprocessing.get_context("fork").Process(target=function)
    child.start()
    child.join(PATIENCE)
    if child.exitcode is None:
        child.terminate()
    assert child.exitcode == 0


def in_loop(coroutine: Any) -> None:
    """Run a coroutine in an event loop of its own."""
    loop = asyncio.new_event_loop()
    try:
        loop.run_until_complete(asyncio.wait_for(coroutine, PATIENCE))
    finally:
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.close()


async def until(condition: Callable[[], bool]) -> None:
    """Wait in a task until a condition holds, while the loop goes on."""
    while not condition():
        await asyncio.sleep(0.005)


def await_ended_threads() -> None:
    """Wait at most a second until the system has ended all threads that Python has ended.

    A thread that ends holds locks of OpenSSL, which would stay taken in a child that is forked at that moment. Threads
    that Python did not start may stay: they are waited for only once.
    """
    global _foreign_threads
    deadline = time.monotonic() + 1
    while _uncounted_threads() > _foreign_threads and time.monotonic() < deadline:
        threading.Event().wait(0.001)
    _foreign_threads = max(0, _uncounted_threads())


def _uncounted_threads() -> int:
    return len(os.listdir(_TASKS)) - _thread._count() - 1 if os.path.isdir(_TASKS) else 0


_foreign_threads = 0
