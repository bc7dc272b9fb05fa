"""``managed-credentials check``: what the command prints, and when."""

import os
import pty
import re
import signal
import subprocess
import time

from aliyun_sdk_secretsmanager_common_plugin.check import check
from aliyun_sdk_secretsmanager_testing import Fault
from tests.conftest import SECRET
from tests.instance import ROOT
from tests.terminal import rest_of

from .conftest import SCRIPT, Outcome


class TestSteps:
    def test_come_as_they_are_done(self, cloud, tmp_path):
        steps = check(cloud.write_properties(tmp_path), [SECRET])

        assert next(steps).step == "file"
        cloud.inject("secrets_manager", Fault.forbidden())
        assert [step.step for step in steps if not step.ok] == ["secret", "secret"]


class TestShown:
    def test_a_line_a_step_with_the_error_beneath(self, cloud, run, tmp_path):
        cloud.inject("secrets_manager", Fault.forbidden(), region="cn-beijing")

        result = run("--config", cloud.write_properties(tmp_path), SECRET)

        assert result.exit_code == 1
        lines = result.output.splitlines()
        assert [line[:2] for line in lines] == ["\u2713 "] * 5 + ["\u2717 ", "  ", "  ", "\u2713 "]
        assert lines[5].startswith("\u2717 secret   {} from shared cn-beijing".format(SECRET))
        assert lines[6].startswith("    Forbidden.NoPermission (") and "; grant kms:GetSecretValue" in lines[6]
        assert lines[7] == ("    What to do: check the secret's name and region, and what the identity may read. "
                            "See docs/secrets-manager/access-key.rst")

    def test_by_the_script_where_the_output_is_ascii(self, cloud, tmp_path):
        cloud.create_secret("\u5bc6\u94a5")
        path = cloud.write_properties(tmp_path)
        process = subprocess.run(
            SCRIPT + ["--config", path, SECRET, "\u5bc6\u94a5", "unknown"], cwd=ROOT,
            env=dict(os.environ, PYTHONIOENCODING="ascii", PYTHONUTF8="0", LC_ALL="C.UTF-8"),
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=60)

        assert process.stderr == b""
        assert process.returncode == 1
        lines = process.stdout.decode("ascii").splitlines()
        assert lines[0].startswith("ok file     " + path)
        assert any(line.startswith("ok key      \\u5bc6\\u94a5: LTAI********") for line in lines)
        assert sum(line.startswith("FAILED secret   unknown from") for line in lines) == 2
        assert cloud.identity.access_key_secret not in process.stdout.decode("ascii")

    def test_on_a_terminal_the_error_is_wrapped_with_its_indent(self, tmp_path):
        terminal, its_end = pty.openpty()
        process = subprocess.Popen(SCRIPT + ["--config", str(tmp_path / "nowhere")], cwd=ROOT, stdout=its_end,
                                   stderr=its_end, env=dict(os.environ, TERM="xterm", COLUMNS="60", LC_ALL="C.UTF-8"))
        os.close(its_end)
        try:
            shown = rest_of(terminal).decode("utf-8")
            assert process.wait(10) == 1
        finally:
            process.kill()
            process.wait()
            os.close(terminal)
        head, *lines = re.sub(r"\x1b\[[0-9;]*m", "", shown).split("\r\n")[:-1]
        assert head.startswith("\u2717 file")
        assert len(lines) > 2 and all(line.startswith("    ") for line in lines)
        assert all(len(line) <= 60 or " " not in line.strip() for line in lines)

    def test_on_a_terminal_no_line_is_longer_and_none_has_a_color_if_that_is_not_wanted(self, cloud, tmp_path):
        terminal, its_end = pty.openpty()
        process = subprocess.Popen(
            SCRIPT + ["--config", cloud.write_properties(tmp_path), SECRET, "unknown"], cwd=ROOT, stdout=its_end,
            stderr=its_end, env=dict(os.environ, TERM="xterm", COLUMNS="80", LC_ALL="C.UTF-8", NO_COLOR="1"))
        os.close(its_end)
        try:
            shown = rest_of(terminal).decode("utf-8")
            assert process.wait(10) == 1
        finally:
            process.kill()
            process.wait()
            os.close(terminal)
        lines = re.sub(r"\x1b\[[01]m", "", shown).split("\r\n")
        assert "\x1b[3" not in shown
        assert all(len(line) <= 80 or " " not in line.strip(" \u2713") for line in lines), lines

    def test_no_width_is_no_reason_to_print_nothing(self, monkeypatch, run, tmp_path):
        monkeypatch.setenv("COLUMNS", "0")

        assert run("--config", str(tmp_path / "nowhere")).output.startswith("\u2717 file")

    def test_ctrl_c_while_it_imports_ends_it_with_130(self):
        interrupted = "import click, os, signal; click.group = lambda **_: os.kill(os.getpid(), signal.SIGINT); "
        process = subprocess.run(SCRIPT[:2] + [interrupted + SCRIPT[2], "check"], cwd=ROOT, stdout=subprocess.PIPE,
                                 stderr=subprocess.PIPE, timeout=60)

        assert (process.returncode, process.stderr) == (130, b"")

    def test_ctrl_c_ends_it_with_130(self, cloud, tmp_path):
        cloud.inject("secrets_manager", Fault.hang())
        process = subprocess.Popen(
            SCRIPT + ["--config", cloud.write_properties(tmp_path, fetch_timeout_milliseconds=600000), SECRET],
            cwd=ROOT, env=dict(os.environ, LC_ALL="C.UTF-8"), stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        try:
            while not cloud.calls("secrets_manager"):
                assert process.poll() is None
                time.sleep(0.01)
            process.send_signal(signal.SIGINT)
            out, err = process.communicate(timeout=10)
        finally:
            process.kill()
            process.wait()
        assert process.returncode == 130
        assert err == b""
        assert out.count(b"\n") == 4, "the steps that were done"

    def test_a_missing_extra_is_said_in_one_line(self):
        without_rich = SCRIPT[:2] + ["import sys; sys.modules['rich'] = None; " + SCRIPT[2], "check"]
        missing = subprocess.run(without_rich, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE)

        assert missing.returncode == 1
        assert missing.stderr.count(b"\n") == 1
        assert b'pip install "aliyun-sdk-managed-credentials-providers[cli]"' in missing.stderr

    def test_needs_nothing_of_the_local_cloud(self, cloud, tmp_path):
        without = "import sys; sys.modules.update(dict.fromkeys(['cheroot', 'trustme', 'oss2', 'crcmod'])); "
        process = subprocess.run(
            SCRIPT[:2] + [without + SCRIPT[2], "check", "--json", "--config", cloud.write_properties(tmp_path), SECRET],
            cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=60)

        assert process.stderr == b""
        assert Outcome(process.stdout.decode("ascii"), process.returncode).code == 0
