"""The start of a process with many secrets, in secret_names or read by threads, against Secrets Manager's quota."""

import concurrent.futures
import sys
import time

from clients import report

from aliyun_sdk_secretsmanager_common_plugin import ManagedCredentials

PATIENCE = 120  # seconds

properties, what, secrets, threads = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
cpu, started = time.process_time(), time.perf_counter()
credentials = ManagedCredentials.from_properties(properties)
if threads:
    with concurrent.futures.ThreadPoolExecutor(threads) as pool:
        for number in range(secrets):
            pool.submit(credentials.get, "app-{}".format(number))
read = -1
while read < secrets and time.perf_counter() - started < PATIENCE:
    time.sleep(0.1)
    read = sum(each.version_id is not None for each in credentials.stats().values())
cpu, seconds = time.process_time() - cpu, time.perf_counter() - started
report([what + ": reads a second", "1/s", None, read / seconds],
       [what + ": CPU time a read", "ms", None, 1e3 * cpu / secrets],
       [what + ": secrets that were not read", "", None, secrets - read])
