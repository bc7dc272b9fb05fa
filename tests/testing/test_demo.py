"""``managed-credentials demo``: as it is, with a product that never renews, and with Ctrl-C."""

import io
import logging
import os
import pty
import re
import signal
import subprocess
import sys
import threading

import pytest

from aliyun_sdk_secretsmanager_common_plugin import ConfigLoader
from aliyun_sdk_secretsmanager_common_plugin.keeper import Renewal
from aliyun_sdk_secretsmanager_common_plugin.runtime import Account
from aliyun_sdk_secretsmanager_testing import LocalCloud, demo
from tests.conftest import forget_other_tests, wait_until
from tests.terminal import rest_of

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
SCRIPT = [sys.executable, "-c", "from aliyun_sdk_secretsmanager_cli import main; main()"]
PACE = 0.2

pytestmark = pytest.mark.slow


class Outcome:
    """One run of the demo without a terminal, and the state of the process before and after it."""

    def __init__(self, monkeypatch):
        clouds = []

        class Watched(LocalCloud):
            def __init__(self):
                super().__init__()
                clouds.append(self)

        monkeypatch.setattr(demo, "LocalCloud", Watched)
        monkeypatch.setenv("credentials_access_secret", "of-the-user")
        forget_other_tests()
        self.threads_before = set(threading.enumerate())
        self.before = self.surroundings()
        out = io.StringIO()
        self.code = demo.run(pace=PACE, out=out)
        self.after = self.surroundings()
        self.text = out.getvalue()
        self.cloud = clouds[0]

    @staticmethod
    def surroundings():
        return dict(os.environ), ConfigLoader._config_name, logging.root.manager.disable


@pytest.fixture(scope="module")
def outcome():
    with pytest.MonkeyPatch.context() as monkeypatch:
        return Outcome(monkeypatch)


def test_exits_with_0_because_no_call_failed_that_could_have_succeeded(outcome):
    assert outcome.code == 0, outcome.text
    assert "No call failed that could have succeeded." in outcome.text
    assert len(outcome.cloud.secret(demo.SECRET).versions) == 4


def test_without_a_terminal_it_prints_plain_lines(outcome):
    events, _, summary = outcome.text.partition("\n\n")
    assert all(re.match(r" *\d+\.\d s  \S", line) for line in events.splitlines())
    assert events.count("rotated to LTAI********") == 3
    assert re.search(r"^calls that succeeded +[1-9]", summary, re.MULTILINE)
    assert re.search(r"^failed, but could have succeeded +0$", summary, re.MULTILINE)
    assert all(character == "\n" or " " <= character <= "~" for character in outcome.text)


def test_shows_neither_a_secret_nor_a_whole_key_id(outcome):
    keys = [version.access_key for version in outcome.cloud.secret(demo.SECRET).versions] + [outcome.cloud.identity]
    for key in keys:
        assert key.access_key_secret not in outcome.text
        assert key.access_key_id not in outcome.text


def test_leaves_everything_as_it_was(outcome):
    assert outcome.after == outcome.before
    wait_until(lambda: set(threading.enumerate()) <= outcome.threads_before)


def test_exits_with_1_when_the_product_never_renews(monkeypatch):
    monkeypatch.setattr(Account, "renew", lambda self, name, rejected: Renewal(None))
    monkeypatch.setattr(demo, "RECOVERY", 0.1)
    broken = Outcome(monkeypatch)
    assert broken.code == 1
    assert re.search(r"^\d+ calls failed that could have succeeded: .*InvalidAccessKeyId", broken.text, re.MULTILINE)


def test_ctrl_c_on_a_terminal_ends_it_with_130_and_no_traceback():
    terminal, its_end = pty.openpty()
    process = subprocess.Popen(
        SCRIPT + ["demo"], stdout=its_end, stderr=subprocess.PIPE, cwd=ROOT, env=dict(os.environ, TERM="xterm")
    )
    os.close(its_end)
    shown = b""
    try:
        while b"calls that succeeded" not in shown:
            shown += os.read(terminal, 65536)
        process.send_signal(signal.SIGINT)
        shown += rest_of(terminal)
        assert process.wait(60) == 130
        assert process.stderr.read() == b""
        assert b"Traceback" not in shown
        assert b"\x1b[?25h" in shown, "the cursor is shown again"
    finally:
        process.kill()
        process.wait()
        process.stderr.close()
        os.close(terminal)


def test_version_and_a_missing_extra_are_said_in_one_line():
    version = subprocess.run(SCRIPT + ["--version"], cwd=ROOT, stdout=subprocess.PIPE, check=True)
    assert re.match(rb"managed-credentials, version \d+\.\d+\.\d+\n$", version.stdout)
    without_trustme = SCRIPT[:2] + ["import sys; sys.modules['trustme'] = None; " + SCRIPT[2], "demo"]
    missing = subprocess.run(without_trustme, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert missing.returncode == 1
    assert missing.stderr.count(b"\n") == 1
    assert b'pip install "aliyun-sdk-managed-credentials-providers[testing]"' in missing.stderr
