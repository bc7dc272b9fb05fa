"""Fails where a mutant of the last ``mutmut run`` survived and docs/mutants.rst does not explain it."""

import collections
import pathlib
import re
import sys

from mutmut.mutation.data import SourceFileMutationData
from mutmut.mutation.diff_apply import get_diff_for_mutant
from mutmut.stats import status_by_exit_code
from mutmut.utils.file_utils import walk_mutatable_files
from mutmut.utils.format_utils import orig_function_and_class_names_from_key

PAGE = pathlib.Path(__file__).resolve().parent.parent.parent / "docs" / "mutants.rst"


def changes(function, diff):
    """Return what a diff changes: the function, the lines there, and the lines instead, each side as one line."""
    sides = [" ".join(line[1:].strip() for line in diff if line.startswith(sign)) for sign in "-+"]
    return (function,) + tuple(sides)


def explained():
    """Return the changes that the page explains: in a block, ``-`` is followed by one ``+`` for each mutant."""
    found = set()
    for block in re.findall(r"^\.\. code-block:: diff\n\n((?:   .*\n|\n)+)", PAGE.read_text(encoding="utf-8"), re.M):
        for line in filter(None, map(str.strip, block.splitlines())):
            if line.startswith("@@"):
                function = line.strip("@ ")
            elif line.startswith("-"):
                original = line
            else:
                found.add(changes(function, [original, line]))
    return found


def main():
    counts, survived = collections.Counter(), {}
    for path in walk_mutatable_files():
        data = SourceFileMutationData(path=path)
        data.load()
        for name, exit_code in data.exit_code_by_key.items():
            status = status_by_exit_code[exit_code]
            counts[status] += 1
            if status not in ("killed", "timeout"):
                function, class_name = orig_function_and_class_names_from_key(name)
                diff = get_diff_for_mutant(name, path=path).splitlines()[2:]  # without the names of the files
                survived[changes(".".join(filter(None, (class_name, function))), diff)] = name
    print("{} mutants: {}".format(
        sum(counts.values()), ", ".join("{} {}".format(count, status) for status, count in counts.most_common())))
    for change in sorted(explained() - set(survived)):
        print("no longer survives: {}\n    - {}\n    + {}".format(*change))
    new = sorted(set(survived) - explained())
    for change in new:
        print("survives without an explanation: {} ({})\n    - {}\n    + {}".format(
            change[0], survived[change], *change[1:]))
    sys.exit(1 if new else 0)


if __name__ == "__main__":
    main()
