"""Fixtures of the tests of the command ``managed-credentials``: a local cloud, and runs in this process."""

import os

import pytest
from click.testing import CliRunner

from aliyun_sdk_secretsmanager_cli.command import _group
from aliyun_sdk_secretsmanager_testing import LocalCloud
from tests.conftest import SECRET


@pytest.fixture(autouse=True)
def nothing_of_the_machine(monkeypatch, tmp_path):
    for name in list(os.environ):
        if name.startswith(("ALIBABA_CLOUD_", "credentials_", "cache_")):
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def cloud(monkeypatch):
    with LocalCloud(dedicated=("kst-hangzhou",)) as local_cloud:
        local_cloud.create_secret(SECRET)
        monkeypatch.setenv("ALIBABA_CLOUD_CA_BUNDLE", local_cloud.ca_file)
        yield local_cloud


@pytest.fixture
def command():
    """Run the command in this process, without a terminal."""

    def command(*arguments, **options):
        result = CliRunner().invoke(_group(), [str(argument) for argument in arguments], **options)
        assert "Traceback" not in result.output
        assert result.exception is None or isinstance(result.exception, SystemExit), result.exc_info
        return result

    return command
