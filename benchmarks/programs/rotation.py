"""What a rotation costs one process with many clients: their calls are refused at once, until they have the new key."""

import statistics
import sys
import threading
import time

from clients import GIVEN, call, control, proxy_client, report

ROTATIONS = 5
THREADS = 16


def slowest(clients):
    """Let each client make one call, several at once; return the seconds of the slowest, and how many failed."""
    waiting, seconds, failures = list(clients), [], []

    def work():
        while True:
            try:
                client = waiting.pop()
            except IndexError:
                return
            started = time.perf_counter()
            try:
                call(client, GIVEN["api"])
            except Exception as error:
                failures.append(error)
            seconds.append(time.perf_counter() - started)

    threads = [threading.Thread(target=work) for _ in range(min(THREADS, len(waiting)))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return max(seconds), len(failures)


def fetches():
    return len(control("/calls?service=secrets_manager")["calls"])


rows = []
for count in map(int, sys.argv[1:]):
    name = "{}/{}".format(GIVEN["who"], count)
    control("/secrets", {"name": name})
    clients = [proxy_client(name) for _ in range(count)]
    slowest(clients)
    without, during, failed, asked = [], [], 0, []
    for _ in range(ROTATIONS):
        without.append(1e3 * slowest(clients)[0])
        before = fetches()
        control("/secrets/rotate", {"name": name})
        longest, failures = slowest(clients)
        during.append(1e3 * longest)
        asked.append(fetches() - before)
        failed += failures
    of = "{} client{}".format(count, "s" * (count > 1))
    rows += [["rotation, {}: slowest call (plain: without one)".format(of), "ms",
              statistics.median(without), statistics.median(during)],
             ["rotation, {}: calls to Secrets Manager".format(of), "", None, max(asked)],
             ["rotation, {}: failed calls".format(of), "", None, failed]]
report(*rows)
