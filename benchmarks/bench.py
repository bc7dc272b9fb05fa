"""The cost of the suite beside the plain SDKs and its peers: one table, results in JSON, and plots.

Run it with ``nox -s bench``. Each figure is measured in a new process. The environments take turns in five rounds, and
a ratio is the median of the rounds' ratios. Of imports, which a busy machine delays most, the least of 20 counts. Of
reads and signatures, which take microseconds, a round takes the least of ten. Rotations are measured five times in one
process, and many secrets once. Each environment is compared with the plain SDK in the same environment. The CA file has
the certificates of ``certifi``, as that of a real machine has.
"""

import argparse
import collections
import contextlib
import json
import os
import platform
import ssl
import statistics
import subprocess
import sys
import tempfile
from typing import Any, Dict, Iterator, List, NamedTuple, Optional, Tuple

import certifi
import pyperf

from benchmarks import oss_bodies

HERE = os.path.dirname(os.path.abspath(__file__))
ROUNDS = 5
PLUGINS = ("ours", "0.1.4")
SDKS = {"sdk-core": "aliyunsdkcore.client", "oss2": "oss2", "V2.0": "alibabacloud_tea_openapi.client",
        "OSS V2": "alibabacloud_oss_v2"}
PLUGIN_OF = {"sdk-core": "aliyun_sdk_secretsmanager_sdk_core_plugin.proxy_acs_client",
             "oss2": "aliyun_sdk_secretsmanager_oss_plugin.proxy_bucket",
             "V2.0": "aliyun_sdk_secretsmanager_openapi_plugin",
             "OSS V2": "aliyun_sdk_secretsmanager_oss_v2_plugin"}
CLIENTS = (1, 10, 100, 1000)
SECRETS = (1, 100, 10000)
THREADS = 16  # that read many secrets
IMPORTS = 20
ROUND_TRIP = 50  # milliseconds


class Figure(NamedTuple):
    """The measurement of one round, with that of the plain SDK where there is one."""

    what: str
    unit: str
    plain: Optional[float]
    other: float


class Environment(NamedTuple):
    """An environment in which a plugin or a peer is installed.

    Attributes:
        who: the name of the plugin or peer.
        python: its interpreter.
        given: what the programs get to know, by name.
    """

    who: str
    python: str
    given: Dict[str, Any]

    def run(self, program: str, *arguments: Any) -> str:
        """Return what a program prints, run by this environment's interpreter."""
        # Without bytecode each process would compile all that it imports.
        environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
        environment.update(BENCH=json.dumps(dict(self.given, who=self.who)), PYTHONWARNINGS="ignore")
        done = subprocess.run(
            [self.python, os.path.join(HERE, program), *map(str, arguments)], stdout=subprocess.PIPE, check=True,
            env=environment, cwd=self.given["directory"])
        return done.stdout.decode()

    def figures(self, program: str, *arguments: Any) -> Any:
        """Return the figures that a program prints."""
        return json.loads(self.run(program, *arguments))

    def reads(self) -> Iterator[Figure]:
        """Yield the figures of a read of a cached key, and of a signature."""
        path = os.path.join(self.given["directory"], "pyperf.json")
        self.run("programs/reads.py", "--quiet", "--processes=1", "--values=10", "--warmups=1", "--min-time=0.03",
                 "--inherit-environ=BENCH,PYTHONWARNINGS,HOME", "-o", path)
        least = {each.get_name(): 1e6 * min(each.get_values()) for each in pyperf.BenchmarkSuite.load(path)}
        os.remove(path)
        for name in [name for name in least if name.endswith("|plain")]:
            what = name.split("|")[0]
            yield Figure(what, "us", least[name], least[what + "|other"])

    def imports(self) -> Iterator[Figure]:
        """Yield the figures of the imports of the plugins, beside those of the SDKs alone."""
        for sdk, module in SDKS.items():
            if sdk != "sdk-core" and self.who != "ours":
                continue
            runs = [[self.figures("programs/imports.py", each) for each in (module, PLUGIN_OF[sdk])]
                    for _ in range(IMPORTS)]
            (plain, plain_modules), (other, modules) = map(min, zip(*runs))
            yield Figure("import, " + sdk, "ms", plain, other)
            yield Figure("modules, " + sdk, "", plain_modules, modules)

    def first_call(self) -> Iterator[Figure]:
        """Yield the figures of a process's first call, and of a later read of another secret."""
        plain, = self.figures("programs/first_call.py", "plain")
        other, fetch = self.figures("programs/first_call.py", "other")
        yield Figure("first call of a process", "ms", plain, other)
        yield Figure("a first read", "ms", None, fetch)

    def round(self) -> Iterator[Figure]:
        """Yield the figures of one round."""
        yield from self.reads()
        yield from self.rows("programs/in_threads.py")
        if self.who in PLUGINS:
            yield from self.first_call()
            yield from self.rows("programs/first_reads.py")
            yield from self._replace(given=dict(self.given, properties=self.given["far_properties"])).rows(
                "programs/far_rotation.py")
        if self.who == "ours":
            yield from self.rows("programs/in_tasks.py")

    def rows(self, program: str, *arguments: Any) -> Iterator[Figure]:
        """Yield the figures that a program reports."""
        yield from (Figure(*each) for each in self.figures(program, *arguments))

    def start(self, what: str, threads: int) -> Iterator[Figure]:
        """Yield the figures of a start with many secrets.

        Args:
            what: the beginning of the rows' names.
            threads: how many threads read them; if 0, they are in ``secret_names``.
        """
        with served("quota.py") as server:
            endpoint, ca_file = json.loads(server.stdout.readline().decode())
            path = os.path.join(self.given["directory"], "start.properties")
            oss_bodies.write_properties(path, {
                "regions": {"cn-hangzhou": endpoint}, "ca_file": with_certifi(ca_file, self.given["directory"]),
                "identity": {"access_key_id": "LTAI5tIdentity", "access_key_secret": "secret"}})
            if not threads:
                with open(path, "a", encoding="utf-8") as file:
                    names = ("app-{}".format(number) for number in range(SECRETS[-1]))
                    file.write("secret_names={}\n".format(",".join(names)))
            yield from self.rows("programs/start.py", path, what, SECRETS[-1], threads)
            most, refused = json.loads(server.communicate()[0].decode())
        yield Figure(what + ": most reads of one second", "", None, most)
        yield Figure(what + ": reads that were throttled", "", None, refused)


Rows = Dict[Tuple[str, str], List[Figure]]


def measure(environments: List[Environment], cloud: Dict[str, Any]) -> Rows:
    """Measure, and return the figures by what was measured and by the name of the environment."""
    rows: Rows = collections.OrderedDict()

    def take(who: str, figures: Iterator[Figure]) -> None:
        for figure in figures:
            rows.setdefault((figure.what, who), []).append(figure)

    for number in range(ROUNDS + 1):
        for environment in environments if number % 2 else reversed(environments):
            if number:
                take(environment.who, environment.round())
            elif environment.who in PLUGINS:  # bytecode is compiled
                take(environment.who, environment.imports())
    for environment in environments:
        if environment.who in PLUGINS:
            take(environment.who, environment.rows("programs/rotation.py", *CLIENTS))
    take("ours", environments[0].start("start with {:,} secrets".format(SECRETS[-1]), 0))
    take("ours", environments[0].start("{:,} secrets read by {} threads".format(SECRETS[-1], THREADS), THREADS))
    for count in SECRETS:
        figures = environments[0].figures("many_secrets.py", "--json", "--secrets", count)
        take("ours", (Figure("{:,} secrets: {}".format(count, what), unit, None, figure)
                      for what, figure, unit in figures))
    for case, results in oss_bodies.measured(cloud, environments[0].given["directory"], oss_bodies.SHORT_CASES):
        for of, unit, scale in (("seconds", "ms", 1e3), ("cpu", "ms", 1e3), ("bytes", "MiB", 1.0 / oss_bodies.MIB)):
            what = "{}{}".format(case.name, {"seconds": "", "cpu": ", CPU time", "bytes": ", memory"}[of])
            take("ours", (Figure(what, unit, scale * plain[of], scale * proxy[of])
                          for plain, proxy in zip(results["plain"], results["proxy"])))
    return rows


def summary(rows: Rows) -> List[Dict[str, Any]]:
    """Return the medians."""
    lines = []
    for (what, who), figures in rows.items():
        line: Dict[str, Any] = {"what": what, "who": who, "unit": figures[0].unit,
                                "figure": statistics.median(each.other for each in figures)}
        beside = [(each.plain, each.other) for each in figures if each.plain is not None]
        if beside:
            line["plain"] = statistics.median(plain for plain, _ in beside)
            if all(plain > 0 for plain, _ in beside) and line["unit"] != "MiB":
                line["ratio"] = statistics.median(other / plain for plain, other in beside)
        lines.append(line)
    return sorted(lines, key=lambda line: list(dict.fromkeys(what for what, _ in rows)).index(line["what"]))


def table(lines: List[Dict[str, Any]], machine: Dict[str, Any]) -> str:
    """Return the figures as text."""
    form = "{:<62}{:<28}{:>10}{:>10} {:<6}{:>7}"
    rows = [form.format("", "", "plain", "with it", "", "ratio")]
    for line in lines:
        plain, ratio = line.get("plain"), line.get("ratio")
        rows.append(form.format(
            line["what"], line["who"], "" if plain is None else number(plain), number(line["figure"]), line["unit"],
            "" if ratio is None else "{:.3f}".format(ratio)))
    rows.append("Python {python}, {tls}, {cores} cores, load {0:.1f} before and {1:.1f} after; a CA file with {cas} "
                "certificates".format(*machine["load"], **machine))
    return "".join(row.rstrip() + "\n" for row in rows)


def number(figure: float) -> str:
    """Return a figure with its significant digits."""
    return "{:,.0f}".format(figure) if figure == int(figure) or figure >= 1000 else "{:.3g}".format(figure)


def draw(lines: List[Dict[str, Any]], directory: str) -> None:
    """Plot the ratios, and the cost of a read."""
    from benchmarks.plots import figure

    def bars(name: str, title: str, chosen: List[Dict[str, Any]], of: str, label: str) -> None:
        with figure(directory, name, title) as (axis,):
            names = ["{} ({})".format(line["what"], line["who"]) for line in chosen]
            colors = ["#1f77b4" if line["who"] == "ours" else "#bbbbbb" for line in chosen]
            drawn = axis.barh(names, [line[of] for line in chosen], color=colors)
            axis.bar_label(drawn, ["{:.3g}".format(line[of]) for line in chosen], padding=3, fontsize=8)
            axis.tick_params(labelsize=8)
            axis.set_xlabel(label)
            axis.invert_yaxis()
            axis.margins(x=0.12)
            if of == "ratio":
                axis.axvline(1, color="black", linewidth=0.8)

    bars("reads", "Reading a cached key", [
        line for line in lines if line["what"] == "read a cached key"], "figure", "µs")
    bars("calls", "Beside the plain SDK", [
        line for line in lines if line["what"].startswith(("one call", "calls,", "import,")) and "ratio" in line
    ], "ratio", "ratio to the plain SDK in the same environment")


@contextlib.contextmanager
def served(program: str, *arguments: Any) -> Iterator[Any]:
    """Run a server of this directory, and end it."""
    server = subprocess.Popen(
        [sys.executable, os.path.join(HERE, program), *map(str, arguments)], stdin=subprocess.PIPE,
        stdout=subprocess.PIPE)
    try:
        yield server
    finally:
        server.kill()
        server.communicate()


def with_certifi(ca_file: str, directory: str) -> str:
    """Write a CA file with certifi's certificates and those of another file, and return its path."""
    path = os.path.join(directory, "with-certifi-" + os.path.basename(ca_file))
    with open(path, "wb") as bundle:
        for each in (certifi.where(), ca_file):
            with open(each, "rb") as file:
                bundle.write(file.read())
    return path


def main() -> None:
    """Measure, print the table, and write the results and the plots."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--environment", action="append", default=[], metavar="WHO=PYTHON", help="of a plugin or peer")
    parser.add_argument("--output", default=os.path.join(HERE, "results.json"))
    parser.add_argument("--docs", metavar="DIRECTORY", help="for plots and the table")
    chosen = parser.parse_args()
    load = os.getloadavg()[0]
    with contextlib.ExitStack() as stack:
        directory = stack.enter_context(tempfile.TemporaryDirectory())
        cloud_process = stack.enter_context(subprocess.Popen(
            [sys.executable, "-m", "aliyun_sdk_secretsmanager_testing", "--secret", "bench", "--secret", "bench-2"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE))
        cloud = json.loads(cloud_process.stdout.readline().decode())
        stack.callback(cloud_process.stdin.close)
        cloud["ca_file"] = with_certifi(cloud["ca_file"], directory)
        (region, gateway), = cloud["regions"].items()

        def started(program: str, *arguments: Any) -> str:
            server = stack.enter_context(served(program, *arguments))
            return "127.0.0.1:" + server.stdout.readline().decode().strip()

        given = {
            "directory": directory, "properties": os.path.join(directory, "bench.properties"),
            "far_properties": os.path.join(directory, "far.properties"), "ca_file": cloud["ca_file"],
            "gateway": "https://{}/".format(gateway), "loopback": started("loopback.py"), "api": cloud["api_endpoint"],
            "far_api": started("far.py", cloud["api_endpoint"], ROUND_TRIP), "control": cloud["control_url"],
            "credentials_uri": cloud["credentials_uri"], "key": ["LTAI5tBenchmarkBenchmark", "benchmark"],
        }
        oss_bodies.write_properties(given["properties"], cloud)
        oss_bodies.write_properties(
            given["far_properties"], dict(cloud, regions={region: started("far.py", gateway, ROUND_TRIP)}))
        os.environ["HOME"] = directory  # the plugins 0.1.4 log to a file there
        environments = [Environment("ours", sys.executable, given)] + [
            Environment(*each.split("=", 1), given) for each in chosen.environment]
        lines = summary(measure(environments, cloud))
    machine = {"python": platform.python_version(), "tls": ssl.OPENSSL_VERSION.rsplit(" ", 3)[0],
               "cas": certifi.contents().count("BEGIN CERTIFICATE"), "cores": os.cpu_count(),
               "load": [load, os.getloadavg()[0]]}
    print(table(lines, machine), end="")
    with open(chosen.output, "w", encoding="utf-8") as file:
        json.dump({"machine": machine, "rows": lines}, file, indent=1)
        file.write("\n")
    if chosen.docs:
        draw(lines, chosen.docs)
        with open(os.path.join(chosen.docs, "table.txt"), "w", encoding="utf-8") as file:
            file.write(table(lines, machine))


if __name__ == "__main__":
    main()
