"""The start of a process with many secrets in secret_names, against Secrets Manager's quota."""

import sys
import time

from clients import report

from aliyun_sdk_secretsmanager_common_plugin import ManagedCredentials

properties, secrets = sys.argv[1], int(sys.argv[2])
cpu, started = time.process_time(), time.perf_counter()
credentials = ManagedCredentials.from_properties(properties)
while True:
    stats = credentials.stats()
    if sum(each.version_id is not None for each in stats.values()) == secrets:
        break
    time.sleep(0.1)
cpu, seconds = time.process_time() - cpu, time.perf_counter() - started
of = "start with {:,} secrets: ".format(secrets)
report([of + "reads a second", "1/s", None, secrets / seconds],
       [of + "CPU time a read", "ms", None, 1e3 * cpu / secrets],
       [of + "fetches that failed", "", None, sum(each.failures for each in stats.values())])
