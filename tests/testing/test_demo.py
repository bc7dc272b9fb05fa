"""``managed-credentials demo``, played fast: as it is, with a product that never renews, and with Ctrl-C."""

import functools
import json
import logging
import os
import pty
import re
import signal
import subprocess
import sys
import threading

import pytest
from click.testing import CliRunner

from aliyun_sdk_secretsmanager_cli.demo import demo
from aliyun_sdk_secretsmanager_common_plugin import ConfigLoader
from aliyun_sdk_secretsmanager_common_plugin.keeper import Renewal
from aliyun_sdk_secretsmanager_common_plugin.runtime import Account
from aliyun_sdk_secretsmanager_testing import LocalCloud
from aliyun_sdk_secretsmanager_testing.demo import stage
from aliyun_sdk_secretsmanager_testing.demo.picture import draw
from aliyun_sdk_secretsmanager_testing.demo.scenarios import SCENARIOS
from tests.conftest import forget_other_tests, wait_until
from tests.terminal import rest_of
from tests.testing.pictures import PICTURES, ROOT, texts

SCRIPT = [sys.executable, "-c", "from aliyun_sdk_secretsmanager_cli import main; main()"]
PACE = 0.2

slow = pytest.mark.slow


class Outcome:
    """One fast run of the command, and the state of the process before and after it."""

    def __init__(self, monkeypatch, *arguments):
        clouds = []

        class Watched(LocalCloud):
            def __init__(self):
                super().__init__()
                clouds.append(self)

        monkeypatch.setattr(stage, "LocalCloud", Watched)
        monkeypatch.setattr(stage, "perform", functools.partial(stage.perform, PACE))
        monkeypatch.setenv("credentials_access_secret", "of-the-user")
        monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
        forget_other_tests()
        self.threads_before = set(threading.enumerate())
        self.before = self.surroundings()
        invoked = CliRunner().invoke(demo, arguments)
        self.after = self.surroundings()
        self.code, self.text, self.error = invoked.exit_code, invoked.output, invoked.exception
        self.cloud = clouds[0]

    @staticmethod
    def surroundings():
        return dict(os.environ), ConfigLoader._config_name, logging.root.manager.disable


@pytest.fixture(scope="module")
def svg_file(tmp_path_factory):
    return tmp_path_factory.mktemp("picture") / "demo.svg"


@pytest.fixture(scope="module")
def outcome(svg_file):
    with pytest.MonkeyPatch.context() as monkeypatch:
        return Outcome(monkeypatch, "--json", "--svg", str(svg_file))


@pytest.fixture(scope="module")
def document(outcome):
    return json.loads(outcome.text)


@slow
def test_exits_with_0_because_no_call_failed_that_could_have_succeeded(outcome, document):
    assert outcome.code == 0, outcome.text
    assert document["ok"] is True
    assert [result["name"] for result in document["scenarios"]] == [scenario.name for scenario in SCENARIOS]
    for result in document["scenarios"]:
        assert (result["ok"], result["managed"]["lost"]) == (True, 0)
        assert result["managed"]["calls"] > result["managed"]["failed"]
        assert result["managed"]["fetches"] >= 1


@slow
def test_the_plain_client_fails_from_the_end_of_the_old_key_on(outcome, document):
    for result in document["scenarios"]:
        old, new = outcome.cloud.secret("demo/" + result["name"]).versions
        calls = [call for call in outcome.cloud.calls("api") if call.access_key_id == old.access_key.access_key_id]
        refused = [call.status >= 400 for call in calls]
        assert refused == sorted(refused), "once refused, always refused"
        assert 0 < result["plain"]["failed"] < result["plain"]["calls"]


@slow
def test_shows_neither_a_secret_nor_a_whole_key_id(outcome, svg_file):
    shown = outcome.text + svg_file.read_text(encoding="utf-8")
    keys = [version.access_key for scenario in SCENARIOS
            for version in outcome.cloud.secret("demo/" + scenario.name).versions]

    assert len(keys) == 2 * len(SCENARIOS)
    for key in keys + [outcome.cloud.identity]:
        assert key.access_key_secret not in shown
        assert key.access_key_id not in shown


@slow
def test_leaves_everything_as_it_was(outcome):
    assert outcome.after == outcome.before
    wait_until(lambda: set(threading.enumerate()) <= outcome.threads_before)


@slow
def test_svg_draws_the_result(outcome, document, svg_file):
    assert svg_file.read_text(encoding="utf-8") == draw(document)


def without_counts(lines):
    """Lines without numbers, and without the wraps and plurals that depend on them."""
    text = " ".join(" ".join(lines).split())
    return re.sub(r"\b(call|fetch)(e?s)?\b", r"\1", re.sub(r"\d+(\.\d+)?", "N", text))


@slow
def test_the_readmes_picture_shows_what_a_fresh_run_shows(svg_file, outcome):
    fresh, stored = svg_file.read_text(encoding="utf-8"), (PICTURES / "demo.svg").read_text(encoding="utf-8")

    assert without_counts(texts(fresh)) == without_counts(texts(stored)), \
        "run managed-credentials demo --json > docs/pictures/demo.json, and docs/pictures/draw.py"


@slow
def test_exits_with_1_and_a_plain_verdict_when_the_product_never_renews(monkeypatch):
    monkeypatch.setattr(Account, "renew", lambda self, name, rejected: Renewal(None))
    monkeypatch.setattr(stage, "RETURN_LIMIT", 0.3)
    broken = Outcome(monkeypatch)

    assert broken.code == 1
    assert re.search(r"^\u2717 A leak\n", broken.text, re.MULTILINE)
    told = re.sub(r"\s+", " ", broken.text)
    assert re.search(r"Managed clients \d+ calls, \d+ failed that could have succeeded: .*InvalidAccessKeyId", told)
    assert "\u2717 This should not happen. See: A scheduled rotation; A leak; " in told
    assert isinstance(broken.error, SystemExit), "there was no traceback"


@pytest.fixture
def nothing_is_played(monkeypatch):
    monkeypatch.setattr(stage, "perform", lambda: pytest.fail("it must refuse before it plays"))


def test_svg_refuses_to_replace_a_file_that_is_no_picture_of_the_demo(tmp_path, nothing_is_played):
    for content in (b"precious", b"", b"<svg xmlns='http://www.w3.org/2000/svg'/>", b"\xff\xfe"):
        (tmp_path / "file").write_bytes(content)
        invoked = CliRunner().invoke(demo, ["--svg", str(tmp_path / "file")])

        assert invoked.exit_code == 2
        assert "exists and is no picture of the demo" in invoked.output
        assert (tmp_path / "file").read_bytes() == content


def test_svg_refuses_what_cannot_be_written(tmp_path, nothing_is_played):
    for path in (tmp_path, tmp_path / "missing" / "demo.svg"):
        invoked = CliRunner().invoke(demo, ["--svg", str(path)])

        assert invoked.exit_code == 2
        assert "Error: " in invoked.output and str(tmp_path) in invoked.output.replace("\n", "")
    assert CliRunner().invoke(demo, ["--svg", ""]).exit_code == 2


# The command, which shows stored results instead of playing.
STORED = """
import json
from aliyun_sdk_secretsmanager_cli.command import main
from aliyun_sdk_secretsmanager_testing.demo import stage
stage.perform = lambda: iter_of(json.load(open("docs/pictures/demo.json", encoding="utf-8"))["scenarios"])
def iter_of(results):
    yield from results
main()
"""


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs a full device")
@pytest.mark.parametrize("arguments, shell, said", [
    ("", ">/dev/full", "Error: the demo ended early: [Errno 28] No space left on device"),
    ("--json", ">/dev/full", "Error: the demo ended early: [Errno 28] No space left on device"),
    ("--svg /dev/full", ">/dev/null", "Error: cannot write /dev/full: No space left on device"),
    ("", ">&-", "Error: the demo ended early: the standard output is closed"),
], ids=["text", "json", "svg", "closed"])
def test_a_full_disk_or_a_closed_output_is_said_in_one_line(arguments, shell, said):
    ended = subprocess.run(["sh", "-c", '"$0" -c "$1" demo {} {}'.format(arguments, shell), sys.executable, STORED],
                           cwd=str(ROOT), env=dict(os.environ, PYTHONPATH=str(ROOT)), timeout=60,
                           stdout=subprocess.PIPE, stderr=subprocess.PIPE, universal_newlines=True)
    assert (ended.returncode, ended.stderr) == (1, said + "\n")


def test_svg_replaces_an_earlier_picture_of_the_demo(tmp_path, monkeypatch):
    picture, stored = tmp_path / "demo.svg", json.loads((PICTURES / "demo.json").read_text(encoding="utf-8"))
    monkeypatch.setattr(stage, "perform", lambda: iter_of(stored["scenarios"][:1]))
    picture.write_text(draw(stored), encoding="utf-8")
    invoked = CliRunner().invoke(demo, ["--svg", str(picture)])

    assert invoked.exit_code == 0, invoked.output
    assert picture.read_text(encoding="utf-8") == draw(dict(stored, scenarios=stored["scenarios"][:1]))


def iter_of(results):
    yield from results


@slow
def test_ctrl_c_on_a_terminal_ends_it_with_130_and_no_traceback(tmp_path):
    terminal, its_end = pty.openpty()
    process = subprocess.Popen(
        SCRIPT + ["demo"], stdout=its_end, stderr=subprocess.PIPE, cwd=str(ROOT),
        env=dict(os.environ, TERM="xterm", TMPDIR=str(tmp_path))
    )
    os.close(its_end)
    shown = b""
    try:
        while b"Scenario 1 of " not in shown:
            shown += os.read(terminal, 65536)
        process.send_signal(signal.SIGINT)
        shown += rest_of(terminal)
        assert process.wait(60) == 130
        assert process.stderr.read() == b""
        assert b"Traceback" not in shown
        assert b"\x1b[?25h" in shown, "the cursor is shown again"
        assert list(tmp_path.iterdir()) == [], "its files are gone"
    finally:
        process.kill()
        process.wait()
        process.stderr.close()
        os.close(terminal)


def test_version_and_a_missing_extra_are_said_in_one_line():
    version = subprocess.run(SCRIPT + ["--version"], cwd=str(ROOT), stdout=subprocess.PIPE, check=True)
    assert re.match(rb"managed-credentials, version \d+\.\d+\.\d+\n$", version.stdout)
    without_trustme = SCRIPT[:2] + ["import sys; sys.modules['trustme'] = None; " + SCRIPT[2], "demo"]
    missing = subprocess.run(without_trustme, cwd=str(ROOT), stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert missing.returncode == 1
    assert missing.stderr.count(b"\n") == 1
    assert b'pip install "aliyun-sdk-managed-credentials-providers[testing]"' in missing.stderr
