"""A rotation where Secrets Manager and the service are far away: a call, and the slowest call at a rotation."""

import os
import statistics
import time

from clients import GIVEN, call, control, proxy_client, report, seconds_of

ROTATIONS = 3
# Seconds until a connection is no longer kept.
IDLE = 11

name = "far/{}".format(os.getpid())
control("/secrets", {"name": name})
client = proxy_client(name)
call(client, GIVEN["far_api"])


def rotated():
    control("/secrets/rotate", {"name": name})
    return 1e3 * seconds_of(call, client, GIVEN["far_api"])


one = 1e3 * statistics.median(seconds_of(call, client, GIVEN["far_api"]) for _ in range(5))
kept = statistics.median(rotated() for _ in range(ROTATIONS))
time.sleep(IDLE)
report(["rotation, 50 ms away: slowest call (plain: one without)", "ms", one, kept],
       ["rotation, 50 ms away, new connection: slowest call (same)", "ms", one, rotated()])
