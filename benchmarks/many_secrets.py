"""What 10,000 secrets in one process cost: memory, threads, when they are read again, and the refresher's tick.

Run it with ``nox -s soak``. What reads the secrets is in this process, and answers as Secrets Manager does.
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

from aliyun_sdk_secretsmanager_common_plugin import ManagedCredentials, managed_credentials
from aliyun_sdk_secretsmanager_common_plugin.access_key import parse_secret
from aliyun_sdk_secretsmanager_common_plugin.secrets_manager import Fetched, LateAnswer, next_start
from aliyun_sdk_secretsmanager_common_plugin.settings import Settings
from aliyun_sdk_secretsmanager_testing.access_key import new_access_key

SECRETS = 10000
Figure = Tuple[str, float, str]


def fetch(name: str, _timeout: float, _retry: bool, _late: LateAnswer) -> Fetched:
    """Read a secret as from the network: each answer is parsed from JSON, and shares no text with another."""
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
    return Fetched(next_start(), parse_secret(name, json.loads(json.dumps(answer))))


def microseconds(function: Callable[[], Any], times: int) -> float:
    """Return the CPU time of one call, which a busy machine disturbs less: the median of nine rounds."""
    rounds = []
    for _ in range(9):
        started = time.process_time()
        for _ in range(times):
            function()
        rounds.append((time.process_time() - started) / times)
    return statistics.median(rounds) * 1e6


def memory(credentials: ManagedCredentials, names: List[str]) -> List[Figure]:
    """Read all secrets, and return what is held of each."""
    gc.collect()
    tracemalloc.start()
    for name in names:
        credentials.get(name)
    gc.collect()
    held = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    return [("memory a secret", held / len(names), "bytes"), ("threads", threading.active_count() - 1, "")]


def spread(credentials: ManagedCredentials) -> List[Figure]:
    """Return when the secrets are read again."""
    due = sorted(stats.next_refresh or 0.0 for stats in credentials.stats().values())
    a_second = collections.Counter(int(each) for each in due)
    return [("first refresh due in", due[0], "s"), ("last refresh due in", due[-1], "s"),
            ("refreshes a second, at most", max(a_second.values()), "")]


def costs(credentials: ManagedCredentials, name: str) -> List[Figure]:
    """Return what the refresher takes, and a read beside it."""
    refresher = managed_credentials._refresher

    def tick_after_the_clock_was_set() -> None:
        refresher._ahead += 10.0
        refresher.tick()

    tick = microseconds(refresher.tick, 2000)
    schedule = microseconds(lambda: credentials._schedule(name, 3000.0), 2000)
    refreshes = len(credentials.stats()) / credentials.settings.refresh_interval
    return [
        ("share of a core, beside the requests", 1e-4 * refreshes * (2 * tick + schedule), "%"),
        ("a tick, nothing due", tick, "us"),
        ("a tick after the clock was set", microseconds(tick_after_the_clock_was_set, 1), "us"),
        ("a refresh is scheduled", schedule, "us"),
        ("a key is read", microseconds(lambda: credentials.get(name), 2000), "us"),
    ]


def measure(count: int) -> List[Figure]:
    """Return what so many secrets cost a process that had none."""
    credentials = ManagedCredentials(Settings(), fetch=fetch)
    credentials.get("warm")
    names = ["team-{}/application-{}/key".format(number % 100, number) for number in range(count)]
    figures = memory(credentials, names) + spread(credentials) + costs(credentials, names[0])
    credentials.close()
    return figures


def main() -> None:
    """Print the table; in JSON for the benchmarks."""
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
