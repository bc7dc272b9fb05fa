"""What the suite costs, side by side with the plain SDKs in one run: reads, calls and imports, as ratios.

Run it with ``nox -s bench``. Every figure is the median of rounds in which the plain SDK and the proxy take turns.
"""

import statistics
import subprocess
import sys
import tempfile
import time
from typing import Any, Callable, Dict, List

import oss2
from aliyunsdkcore.client import AcsClient
from aliyunsdkcore.request import CommonRequest

from aliyun_sdk_secretsmanager_common_plugin import ManagedCredentials
from aliyun_sdk_secretsmanager_oss_plugin import ProxyBucket
from aliyun_sdk_secretsmanager_sdk_core_plugin import ProxyAcsClient
from aliyun_sdk_secretsmanager_testing import LocalCloud

ROUNDS = 9


def rounds(functions: Dict[str, Callable[[], Any]], times: int) -> Dict[str, float]:
    """Return the median seconds of one call of each function; they take turns."""
    seconds: Dict[str, List[float]] = {name: [] for name in functions}
    for _ in range(ROUNDS):
        for name, function in functions.items():
            started = time.perf_counter()
            for _ in range(times):
                function()
            seconds[name].append((time.perf_counter() - started) / times)
    return {name: statistics.median(values) for name, values in seconds.items()}


def import_seconds(module: str) -> None:
    """Import ``module`` in a fresh interpreter."""
    subprocess.check_call([sys.executable, "-c", "import " + module])


def show(what: str, figures: Dict[str, float]) -> None:
    """Print a row: the plain SDK, the proxy, and their ratio."""
    plain, proxy = figures.values()
    print("{:<28}{:>12.1f} us{:>12.1f} us{:>9.3f}".format(what, plain * 1e6, proxy * 1e6, proxy / plain))


def main() -> None:
    """Print the table."""
    with LocalCloud() as cloud, tempfile.TemporaryDirectory() as directory:
        cloud.create_secret("bench")
        cloud.create_bucket("bucket")
        key = cloud.secret("bench").current
        with ManagedCredentials.from_properties(cloud.write_properties(directory)) as credentials:
            client = ProxyAcsClient("bench", managed_credentials=credentials)
            bucket = ProxyBucket("bench", cloud.oss_endpoint, "bucket", managed_credentials=credentials)
            plain_client = AcsClient(key.access_key_id, key.access_key_secret)
            plain_bucket = oss2.Bucket(
                oss2.Auth(key.access_key_id, key.access_key_secret), cloud.oss_endpoint, "bucket")
            by_name = {"bench": key}

            def call(client: AcsClient) -> None:
                client.do_action_with_exception(
                    CommonRequest(domain=cloud.api_endpoint, version="2014-05-26", action_name="DescribeRegions"))

            print("{:<28}{:>15}{:>15}{:>9}".format("", "plain", "proxy", "ratio"))
            show("read a key (plain: a dict)", rounds(
                {"plain": lambda: by_name.get("bench"), "proxy": lambda: credentials.get("bench")}, 100000))
            show("sdk-core call", rounds({"plain": lambda: call(plain_client), "proxy": lambda: call(client)}, 100))
            show("oss2 put of 1 KiB", rounds({
                "plain": lambda: plain_bucket.put_object("key", b"x" * 1024),
                "proxy": lambda: bucket.put_object("key", b"x" * 1024)}, 50))
            show("import, sdk-core", rounds({
                "plain": lambda: import_seconds("aliyunsdkcore.client"),
                "proxy": lambda: import_seconds("aliyun_sdk_secretsmanager_sdk_core_plugin")}, 1))
            show("import, oss2", rounds({
                "plain": lambda: import_seconds("oss2"),
                "proxy": lambda: import_seconds("aliyun_sdk_secretsmanager_oss_plugin")}, 1))
            client.shutdown()
            bucket.shutdown()


if __name__ == "__main__":
    main()
