"""Looks for known vulnerabilities in what is installed: those of pip-audit's database, and a list kept by hand."""

import json
import os
import subprocess
import sys
from importlib.metadata import distributions

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

LIST = os.path.join(os.path.dirname(os.path.abspath(__file__)), "known_vulnerabilities.txt")


def of_the_database():
    """Return what pip-audit finds; None where it reaches no database."""
    run = subprocess.run([sys.executable, "-m", "pip_audit", "--local", "--format", "json", "--progress-spinner", "off"],
                         stdout=subprocess.PIPE, stderr=subprocess.PIPE, universal_newlines=True)
    try:
        audited = [each for each in json.loads(run.stdout)["dependencies"] if "skip_reason" not in each]
    except ValueError:
        return None
    # With an index that has no database it skips everything, and succeeds.
    return ["{} {}: {}".format(each["name"], each["version"], known["id"])
            for each in audited for known in each["vulns"]] if audited else None


def of_the_list(installed):
    """Return the entries of the list for the installed versions, and those among them without a remedy on this Python."""
    found, without_remedy = [], []
    with open(LIST, encoding="utf-8") as lines:
        for line in lines:
            text, _, known = line.partition("#")
            if not text.strip():
                continue
            vulnerable = Requirement(text.strip())
            version = installed.get(canonicalize_name(vulnerable.name))
            if version is not None and vulnerable.specifier.contains(version, prereleases=True):
                remedied = vulnerable.marker is None or vulnerable.marker.evaluate()
                (found if remedied else without_remedy).append(
                    "{} {}: {}".format(vulnerable.name, version, known.strip()))
    return found, without_remedy


def main():
    installed = {canonicalize_name(each.metadata["Name"]): each.version for each in distributions()}
    found, without_remedy = of_the_list(installed)
    more = of_the_database()
    if more is None:
        print("pip-audit reaches no database: the list kept by hand is all that was looked at")
    for line in without_remedy:
        print("no remedy on this Python:", line)
    for line in found + (more or []):
        print("vulnerable:", line)
    return 1 if found or more else 0


if __name__ == "__main__":
    sys.exit(main())
