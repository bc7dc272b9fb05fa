"""The time and the peak memory of ProxyBucket with bodies of all sizes, beside those of oss2.Bucket.

Run it with ``python -m benchmarks.oss_bodies``. Each measurement has a process of its own, and so has the local cloud.
The two clients take turns. Every figure is the median of five rounds, and a ratio is the median of the rounds' ratios.
There are two ratios: of the wall time, which includes the cloud's work, and of the client's CPU time, which a busy
machine changes less. Memory is the growth of the peak since the client's first call.
"""

import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from typing import Any, Dict, Iterator, List, NamedTuple, Sequence, Tuple

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
ROUNDS = 5
CLIENTS = ("plain", "proxy")
PIECE = 64 * 1024
Results = Dict[str, List[Dict[str, float]]]
KIB, MIB = 1024, 1024 * 1024


class Case(NamedTuple):
    """One measurement.

    Attributes:
        what: ``upload`` or ``download``.
        body: the kind of the body.
        size: its size in bytes.
        times: how many calls one process makes.
    """

    what: str
    body: str
    size: int
    times: int

    @property
    def name(self) -> str:
        """The name of the row in the table."""
        size = "{} MiB".format(self.size // MIB) if self.size >= MIB else "{} KiB".format(self.size // KIB)
        return "{}{} of {} ({})".format("first " if self.times == 1 else "", self.what, size, self.body)


CASES = (
    Case("upload", "bytes", KIB, 200), Case("upload", "bytes", MIB, 20), Case("upload", "file", 256 * MIB, 1),
    Case("upload", "generator", 256 * MIB, 1),
    Case("download", "stream", KIB, 200), Case("download", "stream", MIB, 20), Case("download", "stream", 256 * MIB, 1),
)
# Cases that take less time, for benchmarks.bench.
SHORT_CASES = [case for case in CASES if case.size < 256 * MIB] + [
    Case("upload", "generator", 32 * MIB, times) for times in (1, 10)]


def measure(given: Dict[str, Any]) -> Dict[str, float]:
    """Measure one client in one case, in this process; return wall and CPU seconds of one call, and bytes of growth."""
    case = Case(*given["case"])
    bucket = proxy_bucket(given) if given["client"] == "proxy" else plain_bucket(given)
    bucket.put_object("warm", b"x" * KIB)
    bucket.get_object("warm").read()
    call = (upload if case.what == "upload" else download)
    arguments = (bucket, case, given["file"])
    before = peak()
    started, cpu_started = time.perf_counter(), time.process_time()
    for _ in range(case.times):
        call(*arguments)
    seconds, cpu = time.perf_counter() - started, time.process_time() - cpu_started
    return {"seconds": seconds / case.times, "cpu": cpu / case.times, "bytes": peak() - before}


def plain_bucket(given: Dict[str, Any]) -> Any:
    """Return the SDK's own client, without importing anything of ours."""
    import oss2

    return oss2.Bucket(oss2.Auth(*given["key"]), given["endpoint"], "bucket")


def proxy_bucket(given: Dict[str, Any]) -> Any:
    """Return a ProxyBucket."""
    from aliyun_sdk_secretsmanager_common_plugin import ManagedCredentials
    from aliyun_sdk_secretsmanager_oss_plugin import ProxyBucket

    credentials = ManagedCredentials.from_properties(given["properties"])
    return ProxyBucket("bench", given["endpoint"], "bucket", managed_credentials=credentials)


def upload(bucket: Any, case: Case, file: str) -> None:
    """Put one object."""
    if case.body == "file":
        bucket.put_object_from_file("key", file)
    elif case.body == "generator":
        bucket.put_object("key", pieces(case.size))
    else:
        bucket.put_object("key", b"x" * case.size)


def download(bucket: Any, case: Case, _file: str) -> None:
    """Get the object of that size, and discard it piece by piece."""
    assert sum(len(piece) for piece in bucket.get_object(str(case.size))) == case.size


def pieces(size: int) -> Iterator[bytes]:
    """Yield a body that can be read only once."""
    for _ in range(size // PIECE):
        yield b"x" * PIECE


def peak() -> int:
    """Return the peak memory of this process in bytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def prepare(given: Dict[str, Any]) -> List[str]:
    """Store the objects that are downloaded, and return the key that plain oss2 signs with."""
    from aliyun_sdk_secretsmanager_common_plugin import ManagedCredentials

    bucket = proxy_bucket(given)
    for case in CASES:
        if case.what == "download":
            bucket.put_object(str(case.size), b"x" * case.size)
    with ManagedCredentials.from_properties(given["properties"]) as credentials:
        key = credentials.get("bench")
        return [key.access_key_id, key.access_key_secret]


def run(what: str, given: Dict[str, Any]) -> Any:
    """Run a function of this module in a new interpreter.

    This process imports little, since its own memory would count as the new one's.
    """
    done = subprocess.run([sys.executable, os.path.abspath(__file__), what], input=json.dumps(given).encode(),
                          stdout=subprocess.PIPE, env=dict(os.environ, PYTHONPATH=ROOT), check=True)
    return json.loads(done.stdout.decode())


def write_properties(path: str, cloud: Dict[str, Any]) -> None:
    """Write the properties file for a local cloud."""
    regions = [{"regionId": region, "endpoint": endpoint, "caFilePath": cloud["ca_file"]}
               for region, endpoint in cloud["regions"].items()]
    with open(path, "w", encoding="utf-8") as file:
        file.write("credentials_type=ak\ncredentials_access_key_id={access_key_id}\n"
                   "credentials_access_secret={access_key_secret}\n".format(**cloud["identity"]))
        file.write("cache_client_region_id={}\n".format(json.dumps(regions)))


def write_body(path: str) -> None:
    """Write the file to upload."""
    with open(path, "wb") as file:
        for _ in range(256):
            file.write(b"x" * MIB)


def show(case: Case, results: Results) -> None:
    """Print a row."""
    seconds = {client: statistics.median(result["seconds"] for result in results[client]) for client in CLIENTS}
    ratio, cpu = (statistics.median(proxy[of] / plain[of] for plain, proxy in zip(results["plain"], results["proxy"]))
                  for of in ("seconds", "cpu"))
    memory = {client: statistics.median(result["bytes"] for result in results[client]) / MIB for client in CLIENTS}
    print("{:<34}{:>11.2f} ms{:>11.2f} ms{:>8.3f}{:>8.3f}{:>10.1f} MiB{:>8.1f} MiB{:>+8.1f} MiB".format(
        case.name, seconds["plain"] * 1e3, seconds["proxy"] * 1e3, ratio, cpu, memory["plain"], memory["proxy"],
        memory["proxy"] - memory["plain"]), flush=True)


def measured(cloud: Dict[str, Any], directory: str, cases: Sequence[Case]) -> Iterator[Tuple[Case, Results]]:
    """Measure the cases on a local cloud that has the secret ``bench``, and yield each with its results."""
    urllib.request.urlopen(cloud["control_url"] + "/buckets", b'{"name": "bucket"}').close()
    given: Dict[str, Any] = {"endpoint": cloud["oss_endpoint"], "file": os.path.join(directory, "body"),
                             "properties": os.path.join(directory, "properties")}
    write_properties(given["properties"], cloud)
    write_body(given["file"])
    given["key"] = run("prepare", given)
    for case in cases:
        results: Results = {client: [] for client in CLIENTS}
        for number in range(ROUNDS):
            for client in CLIENTS if number % 2 else reversed(CLIENTS):
                results[client].append(run("measure", dict(given, client=client, case=case)))
        yield case, results


def main() -> None:
    """Print the table."""
    cloud_process = subprocess.Popen(
        [sys.executable, "-m", "aliyun_sdk_secretsmanager_testing", "--secret", "bench"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=dict(os.environ, PYTHONPATH=ROOT))
    with cloud_process, tempfile.TemporaryDirectory() as directory:
        cloud = json.loads(cloud_process.stdout.readline().decode())
        print("{:<34}{:>14}{:>14}{:>8}{:>8}{:>14}{:>12}{:>12}".format(
            "", "plain", "proxy", "ratio", "cpu", "plain", "proxy", "more"))
        for case, results in measured(cloud, directory, CASES):
            show(case, results)
        cloud_process.stdin.close()


if __name__ == "__main__":
    if len(sys.argv) == 2:
        print(json.dumps({"measure": measure, "prepare": prepare}[sys.argv[1]](json.load(sys.stdin))))
    else:
        main()
