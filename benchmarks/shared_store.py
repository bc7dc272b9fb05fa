"""What a shared store costs a process that uses it, beside one that does not: reads, calls, first reads and renewals.

Run it with ``nox -s bench-store``. It needs ``redis-server``. Both sides are in one process and take
turns, so that a busy machine delays both. A figure is the median, and a ratio the median of the ratios of the turns.
"""

import itertools
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import timeit
from typing import Any, Callable, Iterator, List, Tuple

from aliyunsdkcore.request import CommonRequest

from aliyun_sdk_secretsmanager_common_plugin import ManagedCredentials
from aliyun_sdk_secretsmanager_sdk_core_plugin import ProxyAcsClient
from aliyun_sdk_secretsmanager_testing import LocalCloud
from benchmarks.bench import served

SECRET = "bench"
TURNS = 40
CALLS = 50
PASSWORD = "BENCH_SHARED_STORE_PASSWORD"


def turns(what: str, unit: str, without: Callable[[], float], with_store: Callable[[], float]) -> None:
    """Measure both sides in turns, and print a row.

    Args:
        what: what is measured.
        unit: the unit of the figures.
        without: measures the side without a store once.
        with_store: measures the other side once.
    """
    pairs: List[Tuple[float, float]] = []
    for turn in range(TURNS):
        sides = [without, with_store]
        first, second = (sides if turn % 2 else sides[::-1])
        figures = {first: first(), second: second()}
        pairs.append((figures[without], figures[with_store]))
    print("{:<28}{:>10.3g}{:>10.3g} {:<6}{:>7.3f}".format(
        what, statistics.median(plain for plain, _ in pairs), statistics.median(other for _, other in pairs), unit,
        statistics.median(other / plain for plain, other in pairs)), flush=True)


def reading(credentials: ManagedCredentials) -> Callable[[], float]:
    """Return a function that measures a read of a cached key, in microseconds."""
    get = credentials.get
    return lambda: min(timeit.repeat(lambda: get(SECRET), number=20000, repeat=3)) / 20000 * 1e6


def calling(credentials: ManagedCredentials, endpoint: str) -> Callable[[], float]:
    """Return a function that measures a call, in microseconds."""
    client = ProxyAcsClient(SECRET, managed_credentials=credentials)

    def call() -> None:
        client.do_action_with_exception(
            CommonRequest(domain=endpoint, version="2014-05-26", action_name="DescribeRegions"))

    return lambda: timeit.timeit(call, number=CALLS) / CALLS * 1e6


def new_secrets(credentials: ManagedCredentials, cloud: LocalCloud) -> Iterator[str]:
    """Make secrets that the other side does not use, and yield their names."""
    for number in itertools.count():
        name = "{}-{}".format("store" if credentials.settings.shared_store else "plain", number)
        cloud.create_secret(name)
        yield name


def milliseconds(function: Callable[..., Any], *arguments: Any) -> float:
    """Return how long a call takes."""
    began = time.perf_counter()
    function(*arguments)
    return 1e3 * (time.perf_counter() - began)


def first_reading(credentials: ManagedCredentials, secrets: Iterator[str]) -> Callable[[], float]:
    """Return a function that measures a first read, in milliseconds."""
    return lambda: milliseconds(credentials.get, next(secrets))


def renewing(credentials: ManagedCredentials, cloud: LocalCloud, secrets: Iterator[str]) -> Callable[[], float]:
    """Return a function that measures a renewal, in milliseconds."""
    def renew() -> float:
        name = next(secrets)
        old = credentials.get(name)
        cloud.rotate(name)
        return milliseconds(credentials.renew, name, old)

    return renew


def main() -> None:
    """Measure, and print the table."""
    os.environ[PASSWORD] = "of the benchmark"
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with tempfile.TemporaryDirectory() as directory, LocalCloud() as cloud, served("loopback.py") as loopback:
        redis = subprocess.Popen(
            ["redis-server", "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", directory],
            stdout=subprocess.DEVNULL)
        try:
            endpoint = "127.0.0.1:" + str(loopback.stdout.readline().decode().strip())
            cloud.create_secret(SECRET)
            sides = []
            for side, settings in (("plain", {}), ("store", {
                    "shared_store_url": "redis://127.0.0.1:{}".format(port),
                    "shared_store_password_from_env_variable": PASSWORD})):
                os.mkdir(os.path.join(directory, side))
                sides.append(ManagedCredentials.from_properties(
                    cloud.write_properties(os.path.join(directory, side), **settings)))
            plain, store = sides
            for credentials in sides:
                credentials.get(SECRET)
            print("{:<28}{:>10}{:>10} {:<6}{:>7}".format("", "without", "with", "", "ratio"))
            turns("read a cached key", "us", reading(plain), reading(store))
            turns("one call", "us", calling(plain, endpoint), calling(store, endpoint))
            made = [new_secrets(credentials, cloud) for credentials in sides]
            turns("a first read", "ms", *map(first_reading, sides, made))
            turns("a renewal", "ms", *map(renewing, sides, [cloud, cloud], made))
            assert not store.stats()[SECRET].shared_store.is_off, "the store was not used"  # type: ignore[union-attr]
        finally:
            redis.kill()
            redis.wait()
    print("Python {}, {} cores".format(sys.version.split()[0], os.cpu_count()))


if __name__ == "__main__":
    main()
