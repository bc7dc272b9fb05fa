"""The first call of a process, from its first import to the answer, and then the first read of another secret."""

import json
import sys
import time

started = time.perf_counter()
from clients import call, plain_client, proxy_client, reader, seconds_of  # noqa: E402

call(proxy_client() if sys.argv[1] == "other" else plain_client())
figures = [1e3 * (time.perf_counter() - started)]
if sys.argv[1] == "other":
    read, _ = reader()
    figures.append(1e3 * seconds_of(read, "bench-2"))
print(json.dumps(figures))
