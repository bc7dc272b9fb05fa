"""The cost of 10,000 secrets in one process: memory, threads, refreshes, and the keeper's tick.

Run it with ``nox -s soak``. A function of this module answers in place of Secrets Manager.
"""

import argparse
import collections
import gc
import json
import statistics
import threading
import time
import tracemalloc
import uuid
from typing import Any, Callable, List, Tuple

from aliyun_sdk_secretsmanager_common_plugin import ManagedCredentials
from aliyun_sdk_secretsmanager_common_plugin.access_key import AccessKey, parse_secret
from aliyun_sdk_secretsmanager_common_plugin.keeper import FIRST_READ, REFRESH, Keeper, Now
from aliyun_sdk_secretsmanager_common_plugin.keeper.actions import Request
from aliyun_sdk_secretsmanager_common_plugin.keeper.events import Asked, Ended, Ticked
from aliyun_sdk_secretsmanager_common_plugin.settings import Settings
from aliyun_sdk_secretsmanager_testing.access_key import new_access_key

SECRETS = 10000
Figure = Tuple[str, float, str]


def fetch(name: str, _seconds: float) -> AccessKey:
    """Read a secret. As with the network, each answer is parsed from JSON, and shares no text with another."""
    pair = new_access_key(False)
    answer = {
        "RequestId": str(uuid.uuid4()),
        "SecretName": name,
        "VersionId": str(uuid.uuid4()),
        "CreateTime": "2026-11-21T10:00:00Z",
        "SecretData": json.dumps({"AccessKeyId": pair.access_key_id, "AccessKeySecret": pair.access_key_secret}),
        "SecretDataType": "text",
        "SecretType": "RAMCredentials",
        "AutomaticRotation": "Enabled",
        "RotationInterval": "604800s",
        "NextRotationDate": "2099-11-28T10:00:00Z",
        "ExtendedConfig": json.dumps({"SecretSubType": "RamUserAccessKey", "UserName": "application"}),
        "VersionStages": {"VersionStage": ["ACSCurrent"]},
    }
    return parse_secret(name, json.loads(json.dumps(answer)))


def microseconds(function: Callable[[], Any], times: int) -> float:
    """Return the CPU time of one call, the median of nine rounds. A busy machine changes it less than the wall time."""
    rounds = []
    for _ in range(9):
        started = time.process_time()
        for _ in range(times):
            function()
        rounds.append((time.process_time() - started) / times)
    return statistics.median(rounds) * 1e6


def memory(credentials: ManagedCredentials, names: List[str]) -> List[Figure]:
    """Read all secrets, and return the memory of each and the number of threads."""
    gc.collect()
    tracemalloc.start()
    for name in names:
        credentials.get(name)
    gc.collect()
    held = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    return [("memory a secret", held / len(names), "bytes"), ("threads", threading.active_count() - 1, "")]


def spread(credentials: ManagedCredentials) -> List[Figure]:
    """Return when the secrets are refreshed."""
    due = sorted(stats.next_refresh or 0.0 for stats in credentials.stats().values())
    a_second = collections.Counter(int(each) for each in due)
    return [("first refresh due in", due[0], "s"), ("last refresh due in", due[-1], "s"),
            ("refreshes a second, at most", max(a_second.values()), "")]


def costs(names: List[str], credentials: ManagedCredentials) -> List[Figure]:
    """Return the CPU time of a keeper of these secrets, and that of a read."""
    now = Now(1e3, 1e9)
    keeper = Keeper(["a gateway"], credentials.settings.refresh_interval, 2.0)
    for name in names:
        for action in keeper.handle(Asked(None, FIRST_READ, name, now.monotonic + 10.0), now):
            if isinstance(action, Request):
                keeper.handle(Ended(action.number, fetch(name, 1.0)), now)

    def tick() -> None:
        keeper.handle(Ticked(), now)

    def tick_after_the_clock_was_set() -> None:
        nonlocal now
        now = now._replace(time=now.time + 10.0)
        tick()

    def refresh() -> None:
        nonlocal now
        now = Now(now.monotonic + 10.0, now.time + 10.0)
        for action in keeper.handle(Asked(None, REFRESH, names[0], now.monotonic + 10.0), now):
            if isinstance(action, Request):
                keeper.handle(Ended(action.number, key), now)

    key = fetch(names[0], 1.0)
    refreshed = microseconds(refresh, 9)
    refreshes = len(names) / credentials.settings.refresh_interval
    nothing_due = microseconds(tick, 2000)
    return [
        ("share of a core, beside the requests", 1e-4 * refreshes * (2 * nothing_due + refreshed), "%"),
        ("a tick, nothing due", nothing_due, "us"),
        ("a tick after the clock was set", microseconds(tick_after_the_clock_was_set, 1), "us"),
        ("a refresh is decided", refreshed, "us"),
        ("a key is read", microseconds(lambda: credentials.get(names[0]), 2000), "us"),
    ]


def measure(count: int) -> List[Figure]:
    """Return the cost of that many secrets in a process that had none."""
    credentials = ManagedCredentials(Settings(), fetch=fetch)
    credentials.get("warm")
    names = ["team-{}/application-{}/key".format(number % 100, number) for number in range(count)]
    figures = memory(credentials, names) + spread(credentials) + costs(names, credentials)
    credentials.close()
    return figures


def main() -> None:
    """Print the figures, as a table or as JSON."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--secrets", type=int, default=SECRETS)
    parser.add_argument("--json", action="store_true")
    chosen = parser.parse_args()
    figures = measure(chosen.secrets)
    if chosen.json:
        print(json.dumps(figures))
        return
    print("{} secrets".format(chosen.secrets))
    for what, figure, unit in figures:
        print("{:<44}{:>12.{}f} {}".format(what, figure, {"s": 1, "us": 1, "%": 4}.get(unit, 0), unit))


if __name__ == "__main__":
    main()
