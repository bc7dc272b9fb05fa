"""The programs of ``examples/``, run as users run them."""

import os
import re
import subprocess
import sys

import pytest

from tests import stacks

from .conftest import EXAMPLES

SIGNED = re.compile(r"signed by (LTAI\*{8}\w{4})")

pytestmark = pytest.mark.slow


@pytest.fixture
def run(tmp_path):
    """A function that runs an example in a directory of its own, and returns what it prints."""

    def run_example(name, *needs):
        for module in needs:
            pytest.importorskip(module, reason="needs {}: nox -s examples".format(module))
        environment = dict(os.environ, PYTHONPATH=os.path.dirname(EXAMPLES))
        process = subprocess.Popen(
            [sys.executable, "-W", "ignore", os.path.join(EXAMPLES, name)], cwd=str(tmp_path), env=environment,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, universal_newlines=True, start_new_session=True)
        printed, problems = stacks.outcome(process, 120)
        assert process.returncode == 0, problems
        assert "Traceback" not in problems
        assert os.listdir(str(tmp_path)) == []
        return printed

    return run_example


def test_ecs_describe(run):
    printed = run("ecs_describe.py")

    assert printed.count("DescribeRegions") == 2
    assert len(set(SIGNED.findall(printed))) == 2


def test_openapi_ecs(run):
    printed = run("openapi_ecs.py", "alibabacloud_ecs20140526").splitlines()

    assert printed[:2] == ["200", "10 answers"]
    assert SIGNED.search(printed[2])
    assert printed[3] == "2 reads of the secret"


def test_four_sdks(run):
    printed = run("four_sdks.py", "alibabacloud_ecs20140526", "alibabacloud_oss_v2").splitlines()

    assert len(set(SIGNED.findall("\n".join(printed)))) == 2
    assert printed[1:3] == printed[4:6] == ["200", "b'hello'"]
    assert printed[6] == "2 reads of the secret"


def test_oss_upload(run):
    assert run("oss_upload.py").splitlines() == [
        "bytes.txt: 7 bytes", "file.txt: 7000 bytes", "generator.txt: 3890 bytes"]


def test_several_accounts(run):
    printed = run("several_accounts.py")

    assert [line.split(":")[0] for line in printed.splitlines()] == ["account A", "account B"]
    assert len(set(SIGNED.findall(printed))) == 2


@pytest.mark.parametrize(("name", "framework"), [("gunicorn_flask.py", "flask"), ("gunicorn_django.py", "django")])
def test_gunicorn(run, name, framework):
    assert len(set(SIGNED.findall(run(name, "gunicorn", framework)))) == 3


def test_fastapi(run):
    printed = run("uvicorn_fastapi.py", "uvicorn", "fastapi", "alibabacloud_ecs20140526")

    reads = ["200, {} reads of the secret".format(number) for number in (1, 2, 3)]
    assert [line for line in printed.splitlines() if "reads" in line] == reads


def test_celery(run):
    assert len(set(SIGNED.findall(run("celery_tasks.py", "celery")))) == 3


def test_function_compute(run):
    assert len(set(SIGNED.findall(run("function_compute.py")))) == 3


def test_rotation_endpoint(run):
    first, answered, second, rejected = run("rotation_endpoint.py").splitlines()

    assert len({SIGNED.match(first).group(1), SIGNED.match(second).group(1)}) == 2
    assert (answered, rejected) == ("the endpoint answered 204", "0 rejected calls")


def test_flask_on_ack(run):
    printed = run("flask_on_ack.py", "gunicorn", "flask", "alibabacloud_credentials")

    assert len(set(SIGNED.findall(printed))) == 3
    assert printed.splitlines()[-1].endswith("calls of AssumeRoleWithOIDC")


def test_tests_of_the_django_site(tmp_path):
    pytest.importorskip("pytest_django", reason="needs pytest-django: nox -s examples")
    site = os.path.join(EXAMPLES, "django_site")

    subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--rootdir", site, "--ds", "mysite.settings",
         os.path.join(site, "test_regions.py")],
        cwd=str(tmp_path), env=dict(os.environ, PYTHONPATH=os.pathsep.join([site, os.path.dirname(EXAMPLES)])),
        check=True)
