"""The CPU time of first reads, beside that of a bare POST of requests on a kept connection to the same server."""

import os
import time

import requests
from clients import GIVEN, control, reader, report

SECRETS = 40


def cpu_of(function, each):
    """Return the milliseconds of CPU time that a call takes, on average."""
    started = time.process_time()
    for one in each:
        function(one)
    return 1e3 * (time.process_time() - started) / len(each)


names = ["first/{}-{}".format(os.getpid(), number) for number in range(SECRETS)]
for name in names:
    control("/secrets", {"name": name})
with requests.Session() as session:
    session.trust_env, session.verify = False, GIVEN["ca_file"]
    session.post(GIVEN["gateway"], data=b"")
    bare = cpu_of(lambda _: session.post(GIVEN["gateway"], data=b""), names)
read, _ = reader()
report(["a first read, CPU time (plain: a POST of requests)", "ms", bare, cpu_of(read, names)])
