"""What 10,000 secrets in one process cost: memory, threads, when they are read again, and the refresher's tick.

Run it with ``nox -s soak``. What reads the secrets is in this process, and answers as Secrets Manager does.
"""

import collections
import gc
import json
import os
import statistics
import threading
import time
import tracemalloc
import uuid
from typing import Any, Callable, List

from aliyun_sdk_secretsmanager_common_plugin import ManagedCredentials, managed_credentials
from aliyun_sdk_secretsmanager_common_plugin.access_key import parse_secret
from aliyun_sdk_secretsmanager_common_plugin.secrets_manager import Fetched, LateAnswer, next_start
from aliyun_sdk_secretsmanager_common_plugin.settings import Settings
from aliyun_sdk_secretsmanager_testing.access_key import new_access_key

SECRETS = 10000


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


def show(what: str, figure: str) -> None:
    """Print a row."""
    print("{:<44}{:>20}".format(what, figure))


def show_memory(credentials: ManagedCredentials, names: List[str]) -> None:
    """Read all secrets, and print what is held of each."""
    gc.collect()
    tracemalloc.start()
    for name in names:
        credentials.get(name)
    gc.collect()
    held = tracemalloc.get_traced_memory()[0]
    places = tracemalloc.take_snapshot().statistics("filename")[:5]
    tracemalloc.stop()
    show("memory a secret", "{:.0f} bytes".format(held / SECRETS))
    for place in places:
        show("  of which " + "/".join(place.traceback[0].filename.split(os.sep)[-2:])[-32:],
             "{:.0f} bytes".format(place.size / SECRETS))
    show("threads", str(threading.active_count() - 1))


def show_spread(credentials: ManagedCredentials) -> None:
    """Print when the secrets are read again."""
    due = sorted(stats.next_refresh or 0.0 for stats in credentials.stats().values())
    a_second = collections.Counter(int(each) for each in due)
    show("refreshes due in", "{:.0f} to {:.0f} s".format(due[0], due[-1]))
    show("  a second, on average", "{:.1f}".format(len(due) / (due[-1] - due[0])))
    show("  a second, at most", str(max(a_second.values())))


def show_costs(credentials: ManagedCredentials, name: str) -> None:
    """Print what the refresher takes, and a read beside it."""
    refresher = managed_credentials._refresher

    def tick_after_the_clock_was_set() -> None:
        refresher._ahead += 10.0
        refresher.tick()

    show("a tick, nothing due", "{:.1f} us".format(microseconds(refresher.tick, 2000)))
    show("a tick after the clock was set", "{:.0f} us".format(microseconds(tick_after_the_clock_was_set, 1)))
    show("a refresh is scheduled", "{:.1f} us".format(microseconds(lambda: credentials._schedule(name, 3000.0), 2000)))
    show("a key is read", "{:.2f} us".format(microseconds(lambda: credentials.get(name), 2000)))


def main() -> None:
    """Print the table."""
    credentials = ManagedCredentials(Settings(), fetch=fetch)
    credentials.get("warm")
    names = ["team-{}/application-{}/key".format(number % 100, number) for number in range(SECRETS)]
    print("{} secrets".format(SECRETS))
    show_memory(credentials, names)
    show_spread(credentials)
    show_costs(credentials, names[0])
    credentials.close()


if __name__ == "__main__":
    main()
