"""Counts what an import, a cached read and a call do. ``benchmarks.shape`` runs it in a process of its own.

It imports nothing that the SDKs do not import, since that would be missing in the imports of a plugin. The counts of a
read are those beyond a function that does nothing. The counts of a call are those beyond the call of the plain SDK.
"""

import collections
import functools
import importlib
import operator
import sys
import threading
from typing import Any, Callable, Counter, Dict, Iterable, List, Tuple

# The counts of a call vary with the signature, whose "+" and "/" are escaped. Of this many calls one has at most one
# such character, which the margins allow for.
ROUNDS = 8
SECRET = "app/key"
BUCKET = "bucket"
BODY = b"x" * 2 ** 16

Function = Callable[[], Any]
Count = Callable[[Function], "Counter[str]"]


class _CountedLock:
    """Takes the place of the locks of ``threading``, and counts where the first thread takes one."""

    taken: "Counter[str]" = collections.Counter()
    _first_thread = threading.get_ident()

    def __init__(self) -> None:
        self._lock = self._make()  # type: ignore[attr-defined]

    def acquire(self, *args: Any, **kwargs: Any) -> bool:
        if threading.get_ident() == self._first_thread:
            self.taken[_place(sys._getframe(1).f_code)] += 1
        return self._lock.acquire(*args, **kwargs)  # type: ignore[no-any-return]

    __enter__ = acquire

    def __exit__(self, *exc_info: Any) -> None:
        self._lock.release()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._lock, name)


class _Lock(_CountedLock):
    _make = staticmethod(threading.Lock)


class _RLock(_CountedLock):
    _make = staticmethod(threading.RLock)


def modules(plugin: str) -> "Counter[str]":
    """Count the modules that an import adds, by package."""
    before = set(sys.modules)
    importlib.import_module(plugin)
    return collections.Counter(name.split(".")[0] for name in set(sys.modules) - before)


def locks(function: Function) -> "Counter[str]":
    """Count the locks that are taken, by place."""
    _CountedLock.taken.clear()
    function()
    return collections.Counter(_CountedLock.taken)


def functions(function: Function) -> "Counter[str]":
    """Count the functions that are called, of Python and of C."""
    called: Counter[str] = collections.Counter()

    def profile(frame: Any, event: str, what: Any) -> None:
        if event == "call":
            called[_place(frame.f_code)] += 1
        elif event == "c_call":
            called[what.__name__] += 1

    sys.setprofile(profile)
    try:
        function()
    finally:
        sys.setprofile(None)
    return called


def instructions(function: Function) -> "Counter[str]":
    """Count the bytecode instructions that are executed, by function."""
    executed: Counter[str] = collections.Counter()
    if hasattr(sys, "monitoring"):  # where it exists, a second trace would see few instructions
        events = sys.monitoring
        codes: Dict[int, Any] = {}
        times: Counter[int] = collections.Counter()

        def note(code: Any, _offset: int) -> None:
            codes[id(code)] = code
            times[id(code)] += 1

        events.use_tool_id(events.PROFILER_ID, "shape")
        events.register_callback(events.PROFILER_ID, events.events.INSTRUCTION, note)
        events.set_events(events.PROFILER_ID, events.events.INSTRUCTION)
        try:
            function()
        finally:
            events.set_events(events.PROFILER_ID, 0)
            events.free_tool_id(events.PROFILER_ID)
        for number, code in codes.items():
            executed[_place(code)] += times[number]
        return executed

    def enter(frame: Any, _event: str, _what: Any) -> Any:
        place = _place(frame.f_code)
        frame.f_trace_opcodes = True

        def trace(_frame: Any, event: str, _what: Any) -> Any:
            executed[place] += event == "opcode"
            return trace

        return trace

    sys.settrace(enter)
    try:
        function()
    finally:
        sys.settrace(None)
    return executed


def most_bytes(function: Function) -> "Counter[str]":
    """Return the peak memory in bytes."""
    import tracemalloc

    tracemalloc.start()
    try:
        function()
        return collections.Counter({"memory": tracemalloc.get_traced_memory()[1]})
    finally:
        tracemalloc.stop()


COUNTS: Dict[str, Count] = {"locks": locks, "functions": functions, "bytes": most_bytes}
if sys.version_info >= (3, 7):
    COUNTS["instructions"] = instructions


def beyond(function: "Iterable[Counter[str]]", plain: "Iterable[Counter[str]]") -> "Counter[str]":
    """Return what a function does in every round beyond what another one does, by place."""
    least: Counter[str] = functools.reduce(operator.and_, function)
    least.subtract(functools.reduce(operator.and_, plain))
    return collections.Counter({place: number for place, number in least.items() if number})


def scenes(sdk: str, properties: str, endpoint: str) -> Dict[str, Tuple[Function, Function]]:
    """Return by name the function that is counted, and the one that it is compared with."""
    from aliyun_sdk_secretsmanager_common_plugin import ManagedCredentials

    credentials = ManagedCredentials.from_properties(properties)
    key = credentials.get(SECRET)
    proxy, plain = {"aliyunsdkcore.client": _sdk_core_calls, "oss2": _oss_calls}[sdk](credentials, key, endpoint)
    return {"cached read": (lambda: credentials.get(SECRET), lambda: None), "call": (proxy, plain)}


def _sdk_core_calls(credentials: Any, key: Any, endpoint: str) -> Tuple[Function, Function]:
    from aliyunsdkcore.client import AcsClient
    from aliyunsdkcore.request import CommonRequest

    from aliyun_sdk_secretsmanager_sdk_core_plugin import ProxyAcsClient

    def call(client: AcsClient) -> None:
        client.do_action_with_exception(
            CommonRequest(domain=endpoint, version="2014-05-26", action_name="DescribeRegions"))

    proxy = ProxyAcsClient(SECRET, managed_credentials=credentials)
    plain = AcsClient(key.access_key_id, key.access_key_secret)
    return lambda: call(proxy), lambda: call(plain)


def _oss_calls(credentials: Any, key: Any, endpoint: str) -> Tuple[Function, Function]:
    import oss2

    from aliyun_sdk_secretsmanager_oss_plugin import ProxyBucket

    proxy = ProxyBucket(SECRET, endpoint, BUCKET, managed_credentials=credentials)
    plain = oss2.Bucket(oss2.Auth(key.access_key_id, key.access_key_secret), endpoint, BUCKET)
    return lambda: proxy.put_object("key", BODY), lambda: plain.put_object("key", BODY)


def _place(code: Any) -> str:
    return "{} {}".format(code.co_filename.rsplit("/", 1)[-1], code.co_name)


def main(sdk: str, plugin: str, properties: str, endpoint: str) -> None:
    """Print the counts as a line of JSON. After a line of input, call all functions again for a tracer."""
    threading.Lock, threading.RLock = _Lock, _RLock  # type: ignore[misc, assignment]
    importlib.import_module(sdk)
    counted: Dict[str, Dict[str, Dict[str, int]]] = {"import": {"modules": modules(plugin)}}

    import gc
    import json
    import os
    import urllib.parse

    gc.disable()
    urllib.parse.MAX_CACHE_SIZE = float("inf")  # type: ignore[attr-defined]  # before 3.11 there would be one more call now and then
    to_count = scenes(sdk, properties, endpoint)
    for scene, pair in to_count.items():
        for each in pair * 2:  # so that nothing is done for the first time later
            each()
        counted[scene] = {
            name: beyond(*([count(each) for _ in range(ROUNDS)] for each in pair)) for name, count in COUNTS.items()}
    print(json.dumps(counted), flush=True)

    in_turn: List[Function] = [each for pair in to_count.values() for each in pair]
    process = os.getpid()
    if sys.stdin.readline():
        for function in in_turn * ROUNDS:
            os.kill(process, 0)  # marks the begin and the end of a function's system calls
            function()
            os.kill(process, 0)
    os._exit(0)  # without waiting for threads


if __name__ == "__main__":
    main(*sys.argv[1:])
