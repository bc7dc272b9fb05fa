"""What the guides say of each framework, beside a rotation: reads of the secret, and a wrong configuration."""

import contextlib
import os
import subprocess
import sys

import pytest

from tests import stacks

from .pages import EXAMPLES, ROOT

NO_FILE = "cannot read the properties file"

pytestmark = [pytest.mark.slow, pytest.mark.skipif(sys.version_info < (3, 8), reason="the frameworks need Python 3.8")]


def start(directory, *command, **environment):
    """Start a Python module in a directory of the examples."""
    path = os.pathsep.join([str(EXAMPLES / directory), str(ROOT)])
    return subprocess.Popen(
        [sys.executable, "-W", "ignore"] + list(command), cwd=str(EXAMPLES / directory),
        env=dict(os.environ, PYTHONPATH=path, **environment), stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        universal_newlines=True, start_new_session=True)


@pytest.mark.parametrize(("needs", "directory", "command"), [
    ("gunicorn flask", "flask_app", ["-m", "gunicorn", "--preload", "--bind", "127.0.0.1:0", "app:create_app()"]),
    ("gunicorn django", "django_site", ["-m", "gunicorn", "--preload", "--bind", "127.0.0.1:0", "mysite.wsgi"]),
    ("uvicorn fastapi alibabacloud_ecs20140526", "fastapi_app", ["-m", "uvicorn", "--port", "0", "app:app"]),
    ("aliyunsdkcore", "fc_function", ["-c", "import index"]),
], ids=["flask", "django", "fastapi", "function"])
def test_a_wrong_configuration_ends_the_start(needs, directory, command, tmp_path):
    for module in needs.split():
        pytest.importorskip(module, reason="needs {}: nox -s examples".format(module))
    process = start(directory, *command, MANAGED_CREDENTIALS_CONFIG=str(tmp_path / "missing"))

    printed, _ = stacks.outcome(process)

    assert process.returncode != 0
    assert NO_FILE in printed


def test_commands_of_the_django_site_need_no_secret(tmp_path):
    pytest.importorskip("django", reason="needs django: nox -s examples")
    process = start("django_site", "manage.py", "check", MANAGED_CREDENTIALS_CONFIG=str(tmp_path / "missing"))

    printed, _ = stacks.outcome(process)

    assert process.returncode == 0, printed


@pytest.fixture
def broker(tmp_path, monkeypatch):
    """The directory that is the broker."""
    monkeypatch.setenv("CELERY_FOLDER", str(tmp_path))


@contextlib.contextmanager
def celery_worker(**environment):
    """Run the worker of the example, and yield the task."""
    pytest.importorskip("celery", reason="needs celery: nox -s examples")
    worker = start("celery_app", "-m", "celery", "--quiet", "--app", "tasks", "worker", "--concurrency", "2",
                   "--loglevel", "CRITICAL", **environment)
    sys.path.insert(0, str(EXAMPLES / "celery_app"))
    try:
        from tasks import describe_regions
        yield describe_regions
    finally:
        sys.path.remove(str(EXAMPLES / "celery_app"))
        del sys.modules["tasks"], sys.modules["celeryconfig"]
        worker.terminate()
        stacks.outcome(worker)


def test_a_pool_of_celery_reads_the_secret_once(local_cloud, managed_credentials_config, broker):
    local_cloud.create_secret("my-secret")
    with celery_worker(ECS_ENDPOINT=local_cloud.api_endpoint) as task:
        for sent in [task.delay() for _ in range(10)]:
            sent.get(timeout=60)

    assert len(local_cloud.calls("api")) == 10
    assert len(local_cloud.calls("secrets_manager")) == 1


def test_a_task_of_celery_says_what_is_wrong_with_the_configuration(broker, tmp_path):
    with celery_worker(MANAGED_CREDENTIALS_CONFIG=str(tmp_path / "missing")) as task:
        with pytest.raises(ValueError, match=NO_FILE):
            task.delay().get(timeout=60)
