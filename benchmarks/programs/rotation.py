"""The cost of a rotation in a process with many clients, whose calls are all rejected until they have the new key."""

import statistics
import sys
import time
from concurrent.futures import ThreadPoolExecutor

from clients import GIVEN, call, control, proxy_client, report

ROTATIONS = 5
PARTS = ((0.5, "median"), (0.99, "99th of 100"), (1.0, "slowest"))
THREADS = 16


def calls(clients):
    """Make one call with each client, several at once; return their milliseconds in order, and how many failed."""

    def timed_call(client):
        started, failed = time.perf_counter(), False
        try:
            call(client, GIVEN["api"])
        except Exception:
            failed = True
        return 1e3 * (time.perf_counter() - started), failed

    with ThreadPoolExecutor(THREADS) as pool:
        milliseconds, failed = zip(*pool.map(timed_call, clients))
    return sorted(milliseconds), sum(failed)


def fetches():
    return len(control("/calls?service=secrets_manager")["calls"])


rows = []
for count in map(int, sys.argv[1:]):
    name = "{}/{}".format(GIVEN["who"], count)
    control("/secrets", {"name": name})
    clients = [proxy_client(name) for _ in range(count)]
    calls(clients)
    without, during, failed, asked = [], [], 0, []
    for _ in range(ROTATIONS):
        without.append(calls(clients)[0])
        before = fetches()
        control("/secrets/rotate", {"name": name})
        taken, failures = calls(clients)
        during.append(taken)
        asked.append(fetches() - before)
        failed += failures
    of = "{} client{}".format(count, "s" * (count > 1))
    for part, which in PARTS if count >= 100 else PARTS[-1:]:
        rows.append(["rotation, {}: {} call (plain: without one)".format(of, which), "ms", *(
            statistics.median(taken[int(part * (len(taken) - 1))] for taken in each) for each in (without, during))])
    rows += [["rotation, {}: calls to Secrets Manager".format(of), "", None, max(asked)],
             ["rotation, {}: failed calls".format(of), "", None, failed]]
report(*rows)
