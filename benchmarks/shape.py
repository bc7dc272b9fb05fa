"""Counts of what the suite does beyond the plain SDKs, such as locks and system calls; no machine changes them.

``nox -s shape`` compares them with those in ``shape.json``, where each has a margin. The test suite does so, too.
``nox -s shape -- --update`` stores them after an intended change.
"""

import argparse
import collections
import errno
import json
import os
import subprocess
import sys
import tempfile
from typing import Counter, Dict, Iterator, Optional, Sequence

from aliyun_sdk_secretsmanager_testing import LocalCloud
from benchmarks import shape_counts

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
STORED = os.path.join(ROOT, "benchmarks", "shape.json")
PYTHON = "{}.{}".format(*sys.version_info)
# The SDK of each plugin.
PLUGINS = {
    "aliyun_sdk_secretsmanager_sdk_core_plugin": "aliyunsdkcore.client",
    "aliyun_sdk_secretsmanager_oss_plugin": "oss2",
}

# By scene ("import", "cached read" or "call"), by what is counted, and by place: how often.
Shape = Dict[str, Dict[str, Dict[str, int]]]


def shape(plugin: str) -> Shape:
    """Return the counts of a plugin on the local cloud."""
    sdk = PLUGINS[plugin]
    with LocalCloud() as cloud, tempfile.TemporaryDirectory() as directory:
        cloud.create_secret(shape_counts.SECRET)
        cloud.create_bucket(shape_counts.BUCKET)
        properties = cloud.write_properties(directory)
        endpoint = cloud.oss_endpoint if sdk == "oss2" else cloud.api_endpoint
        process = subprocess.Popen(
            # Without site and the user's variables, since what they import would be missing in the plugin's imports.
            [sys.executable, "-S", "-W", "ignore", "-m", "benchmarks.shape_counts", sdk, plugin, properties, endpoint],
            cwd=ROOT,
            env={"PYTHONPATH": os.pathsep.join([ROOT] + sys.path), "PYTHONHASHSEED": "0"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            universal_newlines=True,
        )
        with process:
            counted: Shape = json.loads(process.stdout.readline())  # type: ignore[union-attr]
            if sys.platform.startswith("linux"):
                _add_system_calls(counted, process)
    return counted


def _add_system_calls(counted: Shape, process: "subprocess.Popen[str]") -> None:
    from ptrace import PtraceError

    try:
        traced = list(_system_calls(process))
    except PtraceError as error:
        if error.errno != errno.EPERM:
            raise
        return  # tracing is not allowed, as in some containers
    scenes = [scene for scene in counted if scene != "import"]
    for at, scene in enumerate(scenes):
        counted[scene]["system calls"] = shape_counts.beyond(
            *(traced[2 * at + which::2 * len(scenes)] for which in (0, 1)))


def _system_calls(process: "subprocess.Popen[str]") -> Iterator["Counter[str]"]:
    """Yield for each pair of calls of ``kill`` the system calls of the first thread between them, counted by name."""
    from ptrace.debugger import ProcessExit, PtraceDebugger
    from ptrace.func_call import FunctionCallOptions

    debugger = PtraceDebugger()
    counting: Optional[Counter[str]] = None
    try:
        traced = debugger.addProcess(process.pid, is_attached=False)
        process.stdin.write("go on\n")  # type: ignore[union-attr]
        process.stdin.flush()  # type: ignore[union-attr]
        while True:
            traced.syscall()
            debugger.waitSyscall(traced)
            call = traced.syscall_state.event(FunctionCallOptions())
            if call is None or call.result is not None:  # the end of a system call
                continue
            if call.name != "kill":
                if counting is not None:
                    counting[call.name] += 1
            elif counting is None:
                counting = collections.Counter()
            else:
                yield counting
                counting = None
    except ProcessExit:
        pass
    finally:
        debugger.quit()


def numbers(counted: Shape) -> Dict[str, Dict[str, int]]:
    """Return the counts without the places, in the form in which they are stored."""
    return {scene: {what: sum(places.values()) for what, places in sorted(counts.items())}
            for scene, counts in sorted(counted.items())}


def stored() -> Dict[str, Dict[str, Dict[str, Dict[str, int]]]]:
    """Return the stored numbers of this interpreter by plugin; empty if there are none."""
    with open(STORED) as file:
        return json.load(file)["numbers"].get(PYTHON, {})  # type: ignore[no-any-return]


def changes(plugin: str, counted: Shape) -> str:
    """Return a line for each number that differs from the stored one; empty if none does."""
    with open(STORED) as file:
        margins = json.load(file)["margins"]
    expected, lines = stored()[plugin], []
    for scene, counts in numbers(counted).items():
        for what, number in counts.items():
            former, margin = expected[scene][what], margins[scene][what]
            if abs(number - former) > margin:
                most = sorted(counted[scene][what].items(), key=lambda item: (-abs(item[1]), item[0]))[:12]
                lines.append("{}, {}: {} changed from {} (give or take {}) to {}: {}".format(
                    plugin, scene, what, former, margin, number,
                    ", ".join("{} {}".format(place, count) for place, count in most) or "none"))
    if lines:
        lines.append("If that is meant, store it on each interpreter: nox -s shape -- --update")
    return "\n".join(lines)


def update(counted: Dict[str, Shape]) -> None:
    """Store the numbers of this interpreter."""
    with open(STORED) as file:
        content = json.load(file)
    content["numbers"][PYTHON] = {plugin: numbers(each) for plugin, each in counted.items()}
    with open(STORED, "w") as file:
        json.dump(content, file, indent=1, sort_keys=True)
        file.write("\n")


def main(arguments: Optional[Sequence[str]] = None) -> None:
    """Print the numbers, and compare or store them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--update", action="store_true", help="store the numbers of this interpreter")
    options = parser.parse_args(arguments)

    counted = {plugin: shape(plugin) for plugin in PLUGINS}
    for plugin, each in counted.items():
        for scene, counts in numbers(each).items():
            print("{}, {}: {}".format(plugin, scene, ", ".join(
                "{} {}".format(number, what) for what, number in counts.items())))
    if options.update:
        update(counted)
        return
    changed = [changes(plugin, each) for plugin, each in counted.items()]
    if any(changed):
        sys.exit("\n".join(filter(None, changed)))


if __name__ == "__main__":
    main()
