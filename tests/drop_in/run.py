"""Runs the programs with the plugins 0.1.4 and with this package, and compares what they print.

``python tests/drop_in/run.py --existing PYTHON --ours PYTHON``: the interpreters of two environments, one with the
plugins 0.1.4 of the SDK and of OSS, one with this package and its extra ``testing``. Where the outputs differ,
docs/migrating.rst must say so, by its name and the observation, as ``program: observation``, and it says so of nothing else.
"""

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
PROGRAMS = os.path.join(HERE, "programs")
PATIENCE = 180


def main():
    parser = argparse.ArgumentParser(description="Compares the programs' output with either plugin.")
    parser.add_argument("--existing", required=True, metavar="PYTHON")
    parser.add_argument("--ours", required=True, metavar="PYTHON")
    parser.add_argument("program", nargs="*", help="which of them; default all")
    chosen = parser.parse_args()
    names = chosen.program or program_names()
    with tempfile.TemporaryDirectory() as directory:
        cloud = subprocess.Popen(
            [chosen.ours, "-m", "aliyun_sdk_secretsmanager_testing"], cwd=directory, stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, universal_newlines=True)
        try:
            endpoints = json.loads(cloud.stdout.readline())
            seen = {
                plugin: {name: run(python, plugin, name, endpoints, directory) for name in names}
                for plugin, python in (("existing", chosen.existing), ("ours", chosen.ours))
            }
        finally:
            cloud.communicate()
    return compare(names, seen["existing"], seen["ours"], bool(chosen.program))


def program_names():
    return sorted(name[:-3] for name in os.listdir(PROGRAMS) if name.endswith(".py") and name != "local_cloud.py")


def explained():
    """Return what docs/migrating.rst says about the programs."""
    with open(os.path.join(ROOT, "docs", "migrating.rst")) as file:
        return set(re.findall(r"``(\w+: [^`]+)``", file.read()))


def run(python, plugin, name, endpoints, directory):
    """Run a program in a directory of its own, and return its observations."""
    work = os.path.join(directory, plugin, name)
    os.makedirs(work)
    for file_name in ("managed_credentials_providers.properties", "custom.properties"):
        with open(os.path.join(work, file_name), "w") as file:
            file.write(properties(endpoints))
    identity = endpoints["identity"]
    environment = dict(
        os.environ,
        HOME=work,  # the plugins 0.1.4 log to a file there
        PYTHONDONTWRITEBYTECODE="1",
        PYTHONWARNINGS="ignore",
        ALIBABA_CLOUD_CA_BUNDLE=endpoints["ca_file"],
        LOCAL_CLOUD=endpoints["control_url"],
        GATEWAY=endpoints["regions"]["cn-hangzhou"],
        IDENTITY="{}:{}".format(identity["access_key_id"], identity["access_key_secret"]),
        RUN="{}-{}".format(plugin, name.replace("_", "-")),
    )
    program = subprocess.Popen(
        [python, os.path.join(PROGRAMS, name + ".py")], cwd=work, env=environment, stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, universal_newlines=True)
    try:
        output, errors = program.communicate(timeout=PATIENCE)
    except subprocess.TimeoutExpired:
        program.kill()
        output, errors = program.communicate()
        output += "the end: 'not within {} s'\n".format(PATIENCE)
    else:
        output += "the end: {!r}\n".format("exit code {}".format(program.returncode))
    if program.returncode:
        print("{} with {}:\n{}".format(name, plugin, errors))
    return dict(line.split(": ", 1) for line in output.splitlines())


def properties(endpoints):
    identity = endpoints["identity"]
    regions = [{"regionId": "cn-hangzhou", "endpoint": endpoints["regions"]["cn-hangzhou"]}]
    return "".join("{}={}\n".format(*each) for each in (
        ("credentials_type", "ak"),
        ("credentials_access_key_id", identity["access_key_id"]),
        ("credentials_access_secret", identity["access_key_secret"]),
        ("cache_client_region_id", json.dumps(regions)),
    ))


def compare(names, existing, ours, only_some):
    said = {label for label in explained() if not only_some or label.split(": ")[0] in names}
    equal, different = 0, set()
    for name in names:
        for observation in sorted(set(existing[name]) | set(ours[name])):
            pair = existing[name].get(observation), ours[name].get(observation)
            if pair[0] == pair[1]:
                equal += 1
                continue
            label = "{}: {}".format(name, observation)
            different.add(label)
            print("{} {}\n    0.1.4: {}\n    ours:  {}".format(
                "explained" if label in said else "NOT EXPLAINED", label, *pair))
    for label in sorted(said - different):
        print("NO DIFFERENCE, though docs/migrating.rst says so: " + label)
    print("{} programs, {} observations alike, {} different, {} of these explained".format(
        len(names), equal, len(different), len(different & said)))
    return int(different != said)


if __name__ == "__main__":
    sys.exit(main())
