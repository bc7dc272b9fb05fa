"""Getting started, as somebody follows it who has only the page."""

import os
import re
import shutil
import subprocess
import sys

import pytest

from .pages import DOCS, ROOT, block, blocks

PAGE = DOCS / "getting-started.rst"
NAME = "acs/ram/user/my-app"
KEY = re.compile(r"LTAI\*{8}\w{4}")


def first_part():
    """The blocks of the part that needs no account."""
    found = blocks(PAGE)
    return found[:next(at for at, one in enumerate(found) if one.code.startswith("aliyun "))]


def python_of(version):
    python = shutil.which("python" + version)
    shown = python and subprocess.run([python, "-c", "import sys; print('%d.%d' % sys.version_info[:2])"],
                                      stdout=subprocess.PIPE, stderr=subprocess.DEVNULL).stdout.decode().strip()
    return python if shown == version else pytest.skip("no Python {} here".format(version))


@pytest.mark.matrix
@pytest.mark.parametrize("version", ["3.8", "3.11", "3.13"])
def test_the_first_part_works_in_an_empty_directory(version, wheel, tmp_path):
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    printed = ""

    for one in first_part():
        if one.name:
            (tmp_path / one.name).write_text(one.code, encoding="utf-8")
        elif one.language == "bash":
            commands = one.code.replace("python3 ", python_of(version) + " ").replace("git+REPOSITORY", wheel.as_uri())
            ended = subprocess.run(["sh", "-e", "-c", commands], cwd=str(tmp_path), env=environment, timeout=300,
                                   stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
            printed = ended.stdout.decode()
            assert ended.returncode == 0, printed
        else:
            assert KEY.sub("...", one.code.strip()) in KEY.sub("...", printed), printed


def test_the_swap(local_cloud, managed_credentials_config, capsys):
    """The programs before and after the swap, with a secret that is named as KMS names it."""
    secret = local_cloud.create_secret(NAME)
    programs = [block(PAGE, name).replace("ecs.cn-hangzhou.aliyuncs.com", local_cloud.api_endpoint)
                for name in ("before.py", "after.py")]
    assert NAME in programs[1]

    for program in programs:
        program = program.replace("<access key id>", secret.current.access_key_id)
        names = {}
        exec(program.replace("<access key secret>", secret.current.access_key_secret), names)
        getattr(names["client"], "shutdown", lambda: None)()

    before, after = KEY.findall(capsys.readouterr().out)
    assert before == after


def test_the_drill(local_cloud, managed_credentials_config, tmp_path):
    """``check`` shows another AccessKey, and a program that logs as on the page says what it did."""
    local_cloud.create_secret(NAME)
    program = block(PAGE, "logging") + block(PAGE, "after.py") + "input()\n" + \
        "print(client.do_action_with_exception(request))\n"
    environment = dict(os.environ, PYTHONPATH=str(ROOT))

    def check():
        command = [sys.executable, "-m", "aliyun_sdk_secretsmanager_cli", "check", NAME]
        return subprocess.check_output(command, env=environment).decode("utf-8")

    process = subprocess.Popen(
        [sys.executable, "-u", "-c", program.replace("ecs.cn-hangzhou.aliyuncs.com", local_cloud.api_endpoint)],
        env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        universal_newlines=True)
    assert "DescribeRegions" in process.stdout.readline()
    before = check()
    local_cloud.rotate(NAME)
    after = check()
    printed, log = process.communicate("\n", timeout=60)

    assert "DescribeRegions" in printed
    assert "rotated to" in log
    assert "the call is sent again" in log
    assert KEY.findall(before)[-1] != KEY.findall(after)[-1]
