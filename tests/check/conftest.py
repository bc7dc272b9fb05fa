"""Fixtures of the tests of ``managed-credentials check``: runs on the local cloud, which show no secret."""

import importlib.util
import json
import re
import sys
import threading
import time

import pytest
from click.testing import CliRunner

from aliyun_sdk_secretsmanager_cli.command import _group
from aliyun_sdk_secretsmanager_testing import LocalCloud
from aliyun_sdk_secretsmanager_testing.sts.state import Roles
from tests.conftest import SECRET

SCRIPT = [sys.executable, "-c", "from aliyun_sdk_secretsmanager_cli import main; main()", "check"]
PASSWORD = "The-Password-Of-The-Client-Key"
DATE = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ\Z")
needs_library = pytest.mark.skipif(
    importlib.util.find_spec("alibabacloud_credentials") is None, reason="alibabacloud-credentials is not installed")


@pytest.fixture
def issued(monkeypatch):
    """All temporary credentials that the cloud gave out."""
    credentials, issue = [], Roles.issue

    def noted(self, *arguments):
        credentials.append(issue(self, *arguments))
        return credentials[-1]

    monkeypatch.setattr(Roles, "issue", noted)
    return credentials


@pytest.fixture
def cloud(monkeypatch):
    with LocalCloud(regions=("cn-hangzhou", "cn-beijing"), dedicated=("kst-hangzhou",)) as local_cloud:
        local_cloud.create_secret(SECRET)
        for name in ("ALIBABA_CLOUD_ROLE_ARN", "ALIBABA_CLOUD_PROFILE", "ALIBABA_CLOUD_CREDENTIALS_FILE"):
            monkeypatch.delenv(name, raising=False)
        monkeypatch.setenv("ALIBABA_CLOUD_CA_BUNDLE", local_cloud.ca_file)
        yield local_cloud


class Outcome:
    """One run with ``--json``."""

    def __init__(self, text, code):
        self.text = text
        self.code = code
        document = json.loads(text)
        assert sorted(document) == ["ok", "steps"]
        self.steps = document["steps"]
        for step in self.steps:
            assert list(step)[:4] == ["step", "subject", "ok", "detail"]
        assert document["ok"] is all(step["ok"] for step in self.steps) is (code == 0)

    def names(self):
        return [step["step"] for step in self.steps]

    def failed(self):
        """The names of the steps that were tried and failed."""
        return [step["step"] for step in self.steps
                if not step["ok"] and not step["detail"].startswith("not tried")]

    def of(self, name):
        return [step for step in self.steps if step["step"] == name]

    def error(self):
        """The detail of the only step that was tried and failed."""
        (detail,) = [step["detail"] for step in self.steps
                     if not step["ok"] and not step["detail"].startswith("not tried")]
        return detail


@pytest.fixture
def run(cloud, issued):
    """Run the command in this process, and check that it shows no secret."""

    def run(*arguments):
        result = CliRunner().invoke(_group(), ["check"] + list(arguments))
        assert isinstance(result.exception, SystemExit) or result.exception is None
        keys = [version.access_key for version in cloud.secret(SECRET).versions]
        keys += [cloud.identity] + [credentials.access_key for credentials in issued]
        shown = result.output
        for key in keys:
            assert key.access_key_id not in shown
            assert key.access_key_secret not in shown
            assert key.security_token is None or key.security_token not in shown
        assert PASSWORD not in shown
        assert "Traceback" not in shown
        return result

    return run


@pytest.fixture
def outcome(run):
    def outcome(path, *secrets):
        result = run("--json", "--config", str(path), *secrets)
        return Outcome(result.output, result.exit_code)

    return outcome


@pytest.fixture
def client_key(cloud, tmp_path):
    """Write a client key and its password, and return an entry of cache_client_dkms_config_info that names them."""

    def write(password=PASSWORD, content=None, valid=None, **more):
        file = cloud.create_client_key(tmp_path, PASSWORD, valid)
        if content is not None:
            with open(file.path, "w") as opened:
                opened.write(content)
        (tmp_path / "password").write_text(password)
        entry = {"regionId": "cn-hangzhou", "endpoint": cloud.dedicated_endpoint(), "clientKeyFile": file.path,
                 "passwordFromFilePath": "password", "caFilePath": cloud.ca_file}
        return dict(entry, **more)

    return write


def of_client_key(entry):
    """Return the properties of ``credentials_type=client_key`` with the client key of an entry."""
    return {"credentials_type": "client_key", "client_key_private_key_path": entry["clientKeyFile"],
            "client_key_password_from_file_path": entry["passwordFromFilePath"]}


def of_role(cloud, **more):
    return dict({"credentials_type": "ram_role", "credentials_role_arn": cloud.role_arn,
                 "credentials_role_session_name": "check", "credentials_sts_endpoint": cloud.sts_endpoint}, **more)


def of_oidc(cloud, token):
    return {"credentials_type": "oidc_role_arn", "credentials_role_arn": cloud.role_arn,
            "credentials_role_session_name": "check", "credentials_oidc_provider_arn": cloud.oidc_provider_arn,
            "credentials_oidc_token_file_path": str(token), "credentials_sts_endpoint": cloud.sts_endpoint}


def wait_for_threads_of_the_check():
    deadline = time.monotonic() + 10
    while any(thread.name == "managed-credentials-check" for thread in threading.enumerate()):
        assert time.monotonic() < deadline
        time.sleep(0.01)
