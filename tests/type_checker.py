"""Runs mypy on a user's program."""

import os
import subprocess
import sys
import textwrap

from .instance import ROOT


def checked(program, directory):
    """Return mypy's output for the text of a program, for which files are written to ``directory``."""
    path = directory / "program.py"
    path.write_text(textwrap.dedent(program))
    return subprocess.run(
        [sys.executable, "-m", "mypy", "--config-file=", "--follow-untyped-imports", "--follow-imports=silent",
         "--cache-dir", str(directory / "cache"), str(path)],
        cwd=ROOT, env=dict(os.environ, MYPYPATH=ROOT), stdout=subprocess.PIPE, universal_newlines=True,
    ).stdout
