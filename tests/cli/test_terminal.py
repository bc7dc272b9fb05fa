"""``managed-credentials init`` on a terminal, and the completion of a shell."""

import os
import pty
import select
import signal
import subprocess
import sys

import pytest

from aliyun_sdk_secretsmanager_common_plugin.check import CHECKS
from aliyun_sdk_secretsmanager_common_plugin.settings import load_settings
from tests.instance import ROOT
from tests.terminal import rest_of

SCRIPT = [sys.executable, "-c", "from aliyun_sdk_secretsmanager_cli import main; main()"]
SECRET = "AbCdEfGhIjKlMnOpQrStUvWxYz0123"


class Terminal:
    """A run of the command on a terminal of 80 columns."""

    def __init__(self, *arguments):
        self._terminal, its_end = pty.openpty()
        self._process = subprocess.Popen(
            SCRIPT + list(arguments), stdin=its_end, stdout=its_end, stderr=its_end, start_new_session=True,
            env=dict(os.environ, TERM="xterm", COLUMNS="80", LC_ALL="C.UTF-8", PYTHONPATH=ROOT))
        os.close(its_end)
        self.shown = ""

    def answer(self, question, answer):
        """Wait until a question is shown, and give an answer.

        The space behind a question comes when the terminal no longer shows what is typed, if that is a secret.
        """
        self.wait_for(question + " ")
        os.write(self._terminal, answer.encode() + b"\n")

    def wait_for(self, question):
        shown = ""
        while question not in shown:
            assert select.select([self._terminal], [], [], 20)[0], self.shown + shown
            shown += os.read(self._terminal, 65536).decode("utf-8")
        self.shown += shown

    def interrupt(self):
        """Press Ctrl-C until it ends. Python misses a signal that comes in the moment before it waits for a line.

        A second one must not come while it ends.
        """
        for _ in range(5):
            self._process.send_signal(signal.SIGINT)
            try:
                self._process.wait(5)
                return
            except subprocess.TimeoutExpired:
                pass
        self._process.kill()

    def end(self):
        """Return the exit status when all is shown."""
        try:
            self.shown += rest_of(self._terminal).decode("utf-8")
            return self._process.wait(30)
        finally:
            self._process.kill()
            self._process.wait()
            os.close(self._terminal)


@pytest.mark.slow
class TestQuestions:
    def test_are_asked_again_after_a_slip_and_no_secret_is_shown(self, tmp_path):
        terminal = Terminal("init", "a")
        terminal.answer("Type [ak]:", "akk")
        terminal.answer("Type [ak]:", "ak")
        terminal.answer("AccessKey id:", "")
        terminal.answer("AccessKey id:", "LTAI5tABCDEFGHIJKLMNOPQR")
        terminal.answer("AccessKey secret:", SECRET)
        terminal.answer("host:port:", "hangzhou")
        terminal.answer("host:port:", "cn-hangzhou")
        terminal.answer("no):", "")
        terminal.answer("none):", "app/key")

        assert terminal.end() == 0, terminal.shown
        assert "did you mean 'ak'?" in terminal.shown
        assert "an answer is needed" in terminal.shown
        assert 'name a region, such as "cn-hangzhou"' in terminal.shown
        assert SECRET not in terminal.shown
        assert all(len(line) <= 80 for line in terminal.shown.split("\r\n"))
        settings = load_settings(str(tmp_path / "a"))
        assert settings.identity.access_key_secret == SECRET
        assert settings.secret_names == ("app/key",)

    def test_are_only_those_that_must_be_asked_after_a_flag(self):
        terminal = Terminal("init", "a", "--type", "ak", "--regions", "cn-hangzhou")
        terminal.answer("AccessKey id:", "LTAI5tABCDEFGHIJKLMNOPQR")
        terminal.answer("AccessKey secret:", SECRET)

        assert terminal.end() == 0, terminal.shown
        assert "VPC" not in terminal.shown and "at start" not in terminal.shown

    def test_ctrl_c_ends_them_with_130_and_writes_nothing(self, tmp_path):
        terminal = Terminal("init", "a")
        terminal.wait_for("Type [ak]: ")
        terminal.interrupt()

        assert terminal.end() == 130
        assert "Traceback" not in terminal.shown
        assert not (tmp_path / "a").exists()


@pytest.mark.parametrize(("words", "complete"), [
    ("managed-credentials ", ["check", "demo", "init", "refresh"]),
    ("managed-credentials check --only ", list(CHECKS)),
    ("managed-credentials init --type r", ["ram_role"]),
])
def test_a_shell_completes(words, complete):
    shown = subprocess.check_output(
        SCRIPT, env=dict(os.environ, PYTHONPATH=ROOT, LC_ALL="C.UTF-8", _MANAGED_CREDENTIALS_COMPLETE="bash_complete",
                         COMP_WORDS=words, COMP_CWORD=str(words.count(" ")))).decode()

    assert [line.partition(",")[2] for line in shown.splitlines()] == complete


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_there_is_a_script_for_each_shell(shell):
    # Click asks bash for its version.
    shown = subprocess.check_output(SCRIPT, env=dict(
        os.environ, PYTHONPATH=ROOT, LC_ALL="C.UTF-8", _MANAGED_CREDENTIALS_COMPLETE=shell + "_source")).decode()

    assert "_MANAGED_CREDENTIALS_COMPLETE={}_complete".format(shell) in shown
