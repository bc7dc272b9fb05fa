"""What ProxyBucket costs with bodies of all sizes, side by side with oss2.Bucket in one run: time and peak memory.

Run it with ``python -m benchmarks.oss_bodies``. Each measurement is a process of its own, so that its peak memory is
its own; the local cloud is another. The two clients take turns; every figure is the median of five rounds, and the
ratios are medians of the rounds' ratios: of the time that passed, in which the cloud has its part, and of the
client's own CPU time, which a busy machine disturbs less. Memory is what the peak grows by beyond that of a client
that has made one call.
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
    """One thing to measure: what is done with a body of which size, and how often in one process."""

    what: str
    body: str
    size: int
    times: int

    @property
    def name(self) -> str:
        """As the table shows it."""
        size = "{} MiB".format(self.size // MIB) if self.size >= MIB else "{} KiB".format(self.size // KIB)
        return "{} of {} ({})".format(self.what, size, self.body)


CASES = (
    Case("upload", "bytes", KIB, 200), Case("upload", "bytes", MIB, 20), Case("upload", "file", 256 * MIB, 1),
    Case("upload", "generator", 256 * MIB, 1),
    Case("download", "stream", KIB, 200), Case("download", "stream", MIB, 20), Case("download", "stream", 256 * MIB, 1),
)
# What shows the same in less time.
SHORT_CASES = [case for case in CASES if case.size < 256 * MIB] + [Case("upload", "generator", 32 * MIB, 1)]


# In a process of its own: one client, one case.


def measure(given: Dict[str, Any]) -> Dict[str, float]:
    """Return the seconds of one call, those of them on the CPU, and by how many bytes the process grew."""
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
    """The SDK's own client, in a process that knows nothing of ours."""
    import oss2

    return oss2.Bucket(oss2.Auth(*given["key"]), given["endpoint"], "bucket")


def proxy_bucket(given: Dict[str, Any]) -> Any:
    """Ours."""
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
    """Get the object of that size, and forget it piece by piece."""
    assert sum(len(piece) for piece in bucket.get_object(str(case.size))) == case.size


def pieces(size: int) -> Iterator[bytes]:
    """A body that can be read only once."""
    for _ in range(size // PIECE):
        yield b"x" * PIECE


def peak() -> int:
    """The most memory that this process ever had, in bytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def prepare(given: Dict[str, Any]) -> List[str]:
    """Store what will be downloaded, and return the key that plain oss2 signs with."""
    from aliyun_sdk_secretsmanager_common_plugin import ManagedCredentials

    bucket = proxy_bucket(given)
    for case in CASES:
        if case.what == "download":
            bucket.put_object(str(case.size), b"x" * case.size)
    with ManagedCredentials.from_properties(given["properties"]) as credentials:
        key = credentials.get("bench")
        return [key.access_key_id, key.access_key_secret]


# The process that starts the others. It is small: the memory that it has when it starts them would count as theirs.


def run(what: str, given: Dict[str, Any]) -> Any:
    """Run a function of this module in a fresh interpreter."""
    done = subprocess.run([sys.executable, os.path.abspath(__file__), what], input=json.dumps(given).encode(),
                          stdout=subprocess.PIPE, env=dict(os.environ, PYTHONPATH=ROOT), check=True)
    return json.loads(done.stdout.decode())


def write_properties(path: str, cloud: Dict[str, Any]) -> None:
    """The file that ManagedCredentials reads."""
    regions = [{"regionId": region, "endpoint": endpoint, "caFilePath": cloud["ca_file"]}
               for region, endpoint in cloud["regions"].items()]
    with open(path, "w", encoding="utf-8") as file:
        file.write("credentials_type=ak\ncredentials_access_key_id={access_key_id}\n"
                   "credentials_access_secret={access_key_secret}\n".format(**cloud["identity"]))
        file.write("cache_client_region_id={}\n".format(json.dumps(regions)))


def write_body(path: str) -> None:
    """The file to upload."""
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
    """Measure the cases on a local cloud that has the secret ``bench``."""
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
