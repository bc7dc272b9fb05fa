"""Fixtures of the unit tests: a clock that moves when told, and a runtime on it."""

import threading

import pytest

from aliyun_sdk_secretsmanager_common_plugin import runtime as runtime_module
from aliyun_sdk_secretsmanager_common_plugin import threads

from .fakes import FakeClock


@pytest.fixture
def clock():
    return FakeClock()


@pytest.fixture
def runtime(clock, monkeypatch):
    """The process's state, one of the test's own: on the clock that moves when told; then call its ``wake()``."""
    runtime = runtime_module.Runtime(clock)
    monkeypatch.setattr(runtime_module, "process", runtime)
    yield runtime
    for account in runtime.accounts():
        account.close()
    for _ in range(100):  # until all that is planned is over, and what follows from it: the owner's thread ends
        if runtime.thread() is None:
            break
        clock.advance(10 ** 6)
        runtime.wake()
        threading.Event().wait(0.005)


@pytest.fixture
def no_threads(monkeypatch):
    """The system gives no more threads."""

    def start_new_thread(*ignored):
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threads._thread, "start_new_thread", start_new_thread)
