"""A real fleet of 200 processes, to hold the simulation against: a local cloud, a redis-server, and one rotation.

Run it with ``python -m benchmarks.fleet_real``; ``nox -s fleet`` does so, too. Each process has its own
``ManagedCredentials`` and one client, and makes a call every few seconds, so that two cores are enough.
"""

import contextlib
import json
import math
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from typing import Any, Dict, Iterator, List, NamedTuple, Optional, Tuple

from aliyunsdkcore.request import CommonRequest

from aliyun_sdk_secretsmanager_common_plugin import ManagedCredentials
from aliyun_sdk_secretsmanager_common_plugin.stores.seal import Seal
from aliyun_sdk_secretsmanager_sdk_core_plugin import ProxyAcsClient
from benchmarks import fleet
from benchmarks.fleet import CALL_INTERVAL
from benchmarks.fleet_redis import redis_server  # what it imports is imported before the forks

PROCESSES = 200
SECRET = "fleet"
PASSWORD, PREFIX = "the fleet's password", "managed-credentials:"
START = 80.0  # seconds over which the processes start
QUIET = 5.0  # seconds between the last start and the rotation
WATCHED = 15.0  # seconds from the rotation on


class Run(NamedTuple):
    """What a run, real or simulated, gave.

    Attributes:
        started: reads of Secrets Manager until all processes had started.
        reads: reads of Secrets Manager from the rotation on.
        rejected: calls that the service rejected, even if they then succeeded with another key.
        failed: calls that failed.
        moments: the seconds after which each process had the new key, in ascending order.
    """

    started: int
    reads: int
    rejected: int
    failed: int
    moments: List[float]

    def until(self, share: float) -> float:
        """Return the seconds until a share of the processes had the new key; infinite if that never happened."""
        at = max(math.ceil(share * PROCESSES) - 1, 0)
        return self.moments[at] if at < len(self.moments) else math.inf


def live(properties: str, api_endpoint: str, until: float) -> Dict[str, Any]:
    """Be one process of the fleet; return what it saw.

    Args:
        properties: the path of its properties file.
        api_endpoint: the service that it calls.
        until: when it ends, by the monotonic clock.
    """
    random.seed()
    keys: List[Tuple[float, str]] = []
    credentials = ManagedCredentials.from_properties(properties)
    credentials.subscribe(lambda name, key: keys.append((time.monotonic(), key.access_key_id)))
    failures = []
    request = CommonRequest(domain=api_endpoint, version="2014-05-26", action_name="DescribeRegions")
    with ProxyAcsClient(SECRET, managed_credentials=credentials) as client:
        call_at = time.monotonic() + random.uniform(0, CALL_INTERVAL)
        while call_at < until:
            time.sleep(max(call_at - time.monotonic(), 0.0))
            call_at += CALL_INTERVAL
            try:
                client.do_action_with_exception(request)
            except Exception as error:
                failures.append(str(error))
    return {"keys": keys, "failures": failures}


@contextlib.contextmanager
def cloud() -> Iterator[Dict[str, Any]]:
    """Run a local cloud in a process; yield what it says of itself."""
    process = subprocess.Popen([sys.executable, "-m", "aliyun_sdk_secretsmanager_testing", "--secret", SECRET],
                               stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdin is not None and process.stdout is not None
    try:
        yield json.loads(process.stdout.readline().decode("utf-8"))
    finally:
        process.stdin.close()
        process.wait()


def control(url: str, path: str, body: Any = None) -> Any:
    """Ask the controls of the local cloud; return the answer.

    Args:
        url: their URL.
        path: what is asked.
        body: what is sent.
    """
    data = None if body is None else json.dumps(body).encode("ascii")
    with urllib.request.urlopen(url + path, data) as answer:
        return json.loads(answer.read().decode("utf-8"))


def real(redis_url: Optional[str]) -> Tuple[Run, float]:
    """Run the fleet; return what it gave, and the median seconds of an answer of Secrets Manager.

    Args:
        redis_url: where the shared store is; None for none.
    """
    with cloud() as said, tempfile.TemporaryDirectory() as directory:
        store = {} if redis_url is None else {
            "shared_store_url": redis_url, "shared_store_password_from_env_variable": "FLEET_PASSWORD"}
        properties = os.path.join(directory, "managed_credentials_providers.properties")
        with open(properties, "w") as file:
            region, endpoint = next(iter(said["regions"].items()))
            values = dict(store, credentials_type="ak", credentials_access_key_id=said["identity"]["access_key_id"],
                          credentials_access_secret=said["identity"]["access_key_secret"],
                          cache_client_region_id=json.dumps(
                              [{"regionId": region, "endpoint": endpoint, "caFilePath": said["ca_file"]}]))
            file.writelines("{}={}\n".format(key, value) for key, value in values.items())
        began = time.monotonic()
        rotate_at = began + START + QUIET
        children = []
        for number in range(PROCESSES):
            time.sleep(max(began + number * START / PROCESSES - time.monotonic(), 0.0))
            child = os.fork()
            if not child:
                report = "[]"
                try:
                    report = json.dumps(live(properties, said["api_endpoint"], rotate_at + WATCHED))
                finally:
                    with open(os.path.join(directory, str(number)), "w") as file:
                        file.write(report)
                    os._exit(0)
            children.append(child)
        time.sleep(max(rotate_at - time.monotonic(), 0.0))
        rotated = time.monotonic()
        key = control(said["control_url"], "/secrets/rotate", {"name": SECRET})["access_key_id"]
        for child in children:
            os.waitpid(child, 0)
        calls = control(said["control_url"], "/calls")["calls"]
        reports = []
        for number in range(PROCESSES):
            with open(os.path.join(directory, str(number))) as file:
                reports.append(json.load(file))
    reads = [call for call in calls if call["action"] == "GetSecretValue"]
    late = [call for call in reads if call["given"] == key]
    moments = sorted(moment - rotated for report in reports for moment, given in report["keys"] if given == key)
    return Run(
        len(reads) - len(late), len(late), sum(call["service"] == "api" and call["status"] >= 400 for call in calls),
        sum(len(report["failures"]) for report in reports), moments,
    ), statistics.median(call["ended"] - call["started"] for call in reads)


def simulated(stores: int, answer_time: float) -> Run:
    """Simulate the same; return what that gave.

    Args:
        stores: 1 with a shared store, else 0.
        answer_time: seconds of an answer of Secrets Manager.
    """
    played = fleet.Fleet(PROCESSES, whole=PROCESSES, secrets=1, stores=stores, answer_time=answer_time)
    asked = played.regions[0].asked
    with played.simulated():
        played.start(START)
        played.simulation.run(START + QUIET)
        started = sum(asked.values())
        played.rotate(fleet.ROTATED)
        played.call(fleet.ROTATED)
        played.simulation.run(START + QUIET + WATCHED)
    return Run(started, sum(asked.values()) - started, played.rejected_calls, played.failed_calls,
               [moment - START - QUIET for moment in played.has_it[fleet.ROTATED]])


def main() -> None:
    """Run both, and print them side by side."""
    os.environ["FLEET_PASSWORD"] = PASSWORD
    Seal(PASSWORD, PREFIX)  # its keys are derived before the forks, since that takes a core 0.1 s in each process
    print("{:<44}{:>8}{:>8}{:>10}{:>8}{:>9}{:>9}{:>9}{:>9}".format(
        "{} processes".format(PROCESSES), "start", "reads", "rejected", "failed", "first", "half", "99 %", "all"),
        flush=True)
    for stores in map(int, sys.argv[1:] or (0, 1)):
        with redis_server() as url:
            run, answer_time = real(url if stores else None)
        what = "with a store" if stores else "without a store"
        for title, each in ((what + ", real", run), (what + ", simulated", simulated(stores, answer_time))):
            print("{:<44}{:>8}{:>8}{:>10}{:>8}{:>9}{:>9}{:>9}{:>9}".format(
                title, each.started, each.reads, each.rejected, each.failed,
                *("{:.2f} s".format(each.until(share)) for share in (0.0, 0.5, 0.99, 1.0))), flush=True)
        print("an answer of Secrets Manager took {:.0f} ms".format(1e3 * answer_time), flush=True)


if __name__ == "__main__":
    main()
