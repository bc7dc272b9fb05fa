"""The programs for both plugins run to their end with this one, and the migration page names them.

``nox -s drop-in`` compares what they print with what they print with the plugins 0.1.4.
"""

import sys

import pytest

from . import run

NAMES = run.program_names()


@pytest.fixture
def observe(cloud, tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", run.ROOT)
    endpoints = dict(cloud.endpoints(), identity=cloud.identity._asdict())
    return lambda name: run.run(sys.executable, "ours", name, endpoints, str(tmp_path))


@pytest.mark.parametrize("name", NAMES)
def test_program_runs_to_its_end_and_has_what_the_page_says_of_it(observe, name):
    seen = observe(name)

    assert seen["the end"] == "'exit code 0'"
    explained = {label.split(": ")[1] for label in run.explained() if label.startswith(name + ": ")}
    assert explained <= set(seen)
    unexplained = [each for each, value in seen.items() if value == "False" and each not in explained]
    assert unexplained == (["object_exists"] if name == "bucket" else [])


def test_page_speaks_of_programs_that_are_there():
    assert {label.split(": ")[0] for label in run.explained()} <= set(NAMES)
