"""The examples, importable as a user's own modules, and a wheel of the package."""

import os
import shutil
import subprocess
import sys

import pytest

from .pages import ROOT

EXAMPLES = os.path.join(
    os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))), "examples")


@pytest.fixture(autouse=True)
def examples_on_path(monkeypatch):
    monkeypatch.syspath_prepend(EXAMPLES)


@pytest.fixture(scope="session")
def wheel(tmp_path_factory):
    """The path of a wheel, built from a copy of the sources, because the build writes beside them."""
    directory = tmp_path_factory.mktemp("wheel")
    shutil.copytree(str(ROOT), str(directory / "source"), ignore=shutil.ignore_patterns(
        ".*", "build", "dist", "mutants", "_build", "*.egg-info", "__pycache__"))
    subprocess.run([sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "--wheel-dir", str(directory / "wheels"),
                    str(directory / "source")], check=True)
    return next((directory / "wheels").glob("*.whl"))
