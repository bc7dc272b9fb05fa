"""How the demo looks: in a file, on terminals, and as the README's picture. Nothing is played here."""

import io
import json
import os
import pty
import re
import shutil
import subprocess
import sys

import pytest

from aliyun_sdk_secretsmanager_testing.demo.picture import draw
from aliyun_sdk_secretsmanager_testing.demo.scenarios import SCENARIOS, Figures, document_of
from aliyun_sdk_secretsmanager_testing.demo.screen import Page, watch
from tests.terminal import rest_of
from tests.testing.pictures import PICTURES, ROOT, texts

CONTROL = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")

FIGURES = Figures(calls=1234, failed=567, fetches=12, plain_calls=1234, plain_failed=890, back_after=1.2)
LOST = FIGURES._replace(lost=["ServerException InvalidAccessKeyId.NotFound", "ServerError InvalidAccessKeyId"])
GOOD = [scenario.result(FIGURES._replace(failed=0)) for scenario in SCENARIOS]
BAD = [scenario.result(LOST) for scenario in SCENARIOS]
RUNNING = [scenario.so_far(FIGURES, "The key was replaced.") for scenario in SCENARIOS]
EVERYTHING = [result for results in zip(RUNNING, GOOD) for result in results]

# Shows the results that it reads, on its standard output.
PROGRAM = """
import json, sys
from aliyun_sdk_secretsmanager_testing.demo.screen import watch
watch(json.load(open(sys.argv[1])), sys.stdout)
"""


def on_terminal(tmp_path, results, **environment):
    """Return what a program that shows the results writes on a terminal."""
    stored = tmp_path / "results.json"
    stored.write_text(json.dumps(results))
    terminal, its_end = pty.openpty()
    env = dict(os.environ, **dict({"TERM": "xterm-256color", "PYTHONIOENCODING": "utf-8"}, **environment))
    process = subprocess.Popen([sys.executable, "-c", PROGRAM, str(stored)], stdout=its_end, cwd=str(ROOT), env=env)
    os.close(its_end)
    try:
        shown = rest_of(terminal)
        assert process.wait(60) == 0
    finally:
        process.kill()
        process.wait()
        os.close(terminal)
    return shown.decode("utf-8").replace("\r\n", "\n")


def in_file(results):
    out = io.StringIO()
    watch(results, out)
    return out.getvalue()


@pytest.mark.parametrize("results", [GOOD, BAD], ids=["good", "bad"])
def test_no_line_in_a_file_is_over_80_columns(monkeypatch, results):
    for columns in ("0", "40", "80", "120"):
        monkeypatch.setenv("COLUMNS", columns)
        text = in_file(results)

        assert max(map(len, text.splitlines())) <= 80
        assert all(line == line.rstrip() for line in text.splitlines())


def test_in_a_file_there_is_one_block_for_each_scenario_and_nothing_of_the_live_view(monkeypatch):
    monkeypatch.delenv("FORCE_COLOR", raising=False)
    text = in_file(EVERYTHING)

    assert text == in_file(GOOD)
    blocks = text.split("\n\n")
    assert [block.splitlines()[0] for block in blocks[1:-1]] == ["\u2713 " + result["title"] for result in GOOD]
    assert blocks[-1] == "\u2713 No call failed that could have succeeded.\n"
    assert "\x1b" not in text


def test_colours_that_are_forced_bring_no_live_view_into_a_file(monkeypatch):
    plain = in_file(EVERYTHING)
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm")
    coloured = in_file(EVERYTHING)

    assert "\x1b[" in coloured
    assert CONTROL.sub("", coloured) == plain


@pytest.mark.parametrize("columns, widest", [("0", 80), ("50", 50), ("80", 80), ("120", 80)])
def test_on_a_terminal_lines_fit_but_are_never_over_80_columns(tmp_path, columns, widest):
    shown = CONTROL.sub("", on_terminal(tmp_path, EVERYTHING, COLUMNS=columns, LINES="24"))

    assert max(len(line) for line in re.split("[\r\n]", shown)) in range(widest - 8, widest + 1)
    assert "Scenario 4 of 4" in shown
    assert "Now              The key was replaced." in shown


def test_a_terminal_is_coloured_unless_the_user_wants_no_colour(tmp_path):
    colours = re.compile(r"\x1b\[[0-9;]*3[0-9]m")

    assert colours.search(on_terminal(tmp_path, EVERYTHING, COLUMNS="80"))
    assert not colours.search(on_terminal(tmp_path, EVERYTHING, COLUMNS="80", NO_COLOR="1"))


@pytest.mark.parametrize("term", ["dumb", "unknown", ""])
def test_a_dumb_terminal_gets_what_a_file_gets(tmp_path, term):
    shown = on_terminal(tmp_path, EVERYTHING, COLUMNS="80", TERM=term)

    assert CONTROL.sub("", shown) == in_file(GOOD)
    if term:
        assert "\x1b" not in shown


@pytest.mark.parametrize("encoding", ["ascii", "latin-1"])
def test_where_marks_cannot_be_shown_words_are(tmp_path, encoding):
    good = on_terminal(tmp_path, EVERYTHING, COLUMNS="80", PYTHONIOENCODING=encoding)
    bad = on_terminal(tmp_path, BAD, COLUMNS="80", PYTHONIOENCODING=encoding)

    assert "ok No call failed that could have succeeded." in CONTROL.sub("", good)
    assert "FAILED This should not happen." in CONTROL.sub("", bad)
    assert (good + bad).encode("ascii")


def test_a_failure_is_seen_by_its_mark_and_says_what_failed():
    text = " ".join(" ".join(line.plain for line in Page().lines(document_of(BAD))).split())

    assert "\u2713" not in text
    assert text.count("\u2717") == len(SCENARIOS) + 1
    assert text.count("2 failed that could have succeeded: ServerError InvalidAccessKeyId") == len(SCENARIOS)


def test_a_picture_shows_the_same_text_as_a_file():
    shown, written = texts(draw(document_of(GOOD))), in_file(GOOD)

    assert shown[0] == "managed-credentials demo"
    assert [line.strip() for line in shown[1:]] == [line.strip() for line in written.splitlines()]


def test_a_picture_depends_on_the_document_alone(monkeypatch):
    pictures = {draw(document_of(GOOD))}
    for name, value in (("NO_COLOR", "1"), ("COLUMNS", "40"), ("TERM", "dumb"), ("COLORTERM", "")):
        monkeypatch.setenv(name, value)
        pictures.add(draw(document_of(GOOD)))

    assert len(pictures) == 1
    assert pictures != {draw(document_of(BAD))}


def test_a_picture_refers_to_nothing_outside_itself():
    svg = draw(document_of(GOOD))

    assert re.findall(r"\w+://[^\"' ]*", svg) == ["http://www.w3.org/2000/svg"], "the name of the format alone"
    assert all(target.startswith("#demo-") for target in re.findall(r"url\((.*?)\)", svg))
    assert not re.search(r"@import|@font-face|href|<image|<script", svg)


def test_the_readmes_picture_is_drawn_from_its_stored_result(tmp_path):
    for name in ("draw.py", "demo.json"):
        shutil.copy(str(PICTURES / name), str(tmp_path))
    subprocess.run([sys.executable, str(tmp_path / "draw.py")], check=True, cwd=str(ROOT),
                   env=dict(os.environ, PYTHONPATH=str(ROOT)))

    assert (tmp_path / "demo.svg").read_bytes() == (PICTURES / "demo.svg").read_bytes(), \
        "run docs/pictures/draw.py, and look at the picture"
