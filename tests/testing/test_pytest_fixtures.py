"""The fixtures that pytest finds by itself, used in a user's tests."""
import os
import subprocess
import sys

import pytest

import aliyun_sdk_secretsmanager_testing

ROOT = os.path.dirname(os.path.dirname(aliyun_sdk_secretsmanager_testing.__file__))

USUAL = """
import os

def test_mine(local_cloud, managed_credentials_config, request):
    local_cloud.create_secret("app/key")
    assert os.environ["MANAGED_CREDENTIALS_CONFIG"] == managed_credentials_config
    assert local_cloud.identity.access_key_id in open(managed_credentials_config).read()

def test_each_has_its_own(local_cloud):
    assert "MANAGED_CREDENTIALS_CONFIG" not in os.environ
    local_cloud.create_secret("app/key")

def test_what_the_fixture_is_for_is_told(request):
    assert "LocalCloud" in request.getfixturevalue("local_cloud").__class__.__name__
"""

WITHOUT_FIXTURES = """
import sys

def test_mine():
    loaded = [name for name in sys.modules if name.startswith("aliyun_sdk_secretsmanager")]
    assert "aliyun_sdk_secretsmanager_testing.pytest_plugin" in loaded
    assert len(loaded) <= 5, loaded
"""

# An application that configures something else, in every way and at every moment.
APPLICATION = """
import os
import pytest
from aliyun_sdk_secretsmanager_common_plugin import ConfigLoader, ManagedCredentials
from aliyun_sdk_secretsmanager_common_plugin.runtime import process
from aliyun_sdk_secretsmanager_common_plugin.settings import Settings
from aliyun_sdk_secretsmanager_testing import LocalCloud

elsewhere = LocalCloud()
elsewhere.start()
elsewhere.create_secret("app/key")
PRODUCTION = os.path.dirname(elsewhere.ca_file)
FILE = elsewhere.write_properties(PRODUCTION)
IDENTITY = "credentials_access_key_id", "credentials_access_secret"
GATEWAYS = '[{"regionId": "cn-hangzhou", "endpoint": "%s", "caFilePath": "%s"}]' % (
    elsewhere.gateway_endpoint(), elsewhere.ca_file)
FORMER = ManagedCredentials.from_properties(FILE)

SETS = {
    "name": lambda: ConfigLoader.set_config_name(config_name=FILE),
    "variable": lambda: os.environ.update(MANAGED_CREDENTIALS_CONFIG=FILE),
    "keys": lambda: os.environ.update(
        zip(IDENTITY, elsewhere.identity[:2]), cache_client_region_id=GATEWAYS, secret_names="app/key"),
    "nonsense": lambda: os.environ.update(
        credentials_type="no such", fetch_timeout_milliseconds="never", ALIBABA_CLOUD_CA_BUNDLE="/nowhere/ca.pem"),
    "directory": lambda: os.chdir(PRODUCTION),
    "default": lambda: ManagedCredentials.set_default(FORMER),
}

def state():
    return (ConfigLoader._config_name, ConfigLoader.get_config_name(), ConfigLoader.set_config_name, os.getcwd(),
            process.default, process.chosen, ManagedCredentials.set_default,
            {name: value for name, value in os.environ.items() if name != "PYTEST_CURRENT_TEST"})

PLAIN = state()

@pytest.fixture
def back():
    before = state()
    yield before
    assert state() == before
    ConfigLoader.set_config_name(None)
    ManagedCredentials.set_default(None)
    for name in set(os.environ) - set(PLAIN[-1]) - {"PYTEST_CURRENT_TEST"}:
        del os.environ[name]
    os.chdir(PLAIN[3])

@pytest.fixture
def set_before(how):
    SETS[how]()

def reads_the_cloud(cloud, config):
    expected = cloud.create_secret("app/key").current.access_key_id
    assert ConfigLoader.get_config_name() == config
    for credentials in (ManagedCredentials.default(), ManagedCredentials.from_properties()):
        assert credentials.get("app/key").access_key_id == expected
        credentials.close()

@pytest.mark.parametrize("how", SETS)
def test_set_before_the_fixture(how, set_before, back, local_cloud, managed_credentials_config):
    reads_the_cloud(local_cloud, managed_credentials_config)

@pytest.mark.parametrize("how", SETS)
def test_set_in_the_test(how, back, local_cloud, managed_credentials_config):
    SETS[how]()
    reads_the_cloud(local_cloud, managed_credentials_config)

def test_everything_in_both(back, monkeypatch, local_cloud, managed_credentials_config):
    for set_it in SETS.values():
        set_it()
    monkeypatch.setenv("MANAGED_CREDENTIALS_CONFIG", FILE)
    monkeypatch.chdir(PRODUCTION)
    reads_the_cloud(local_cloud, managed_credentials_config)

def test_an_instance_of_before_serves_again(back):
    ManagedCredentials.set_default(FORMER)
    assert ManagedCredentials.default() is FORMER
    ManagedCredentials.set_default(None)

def test_a_file_given_in_the_call_is_read(back, managed_credentials_config):
    with ManagedCredentials.from_properties(FILE) as credentials:
        assert credentials.get("app/key") == FORMER.get("app/key")

def test_other_settings_are_written_into_the_file(local_cloud, managed_credentials_config):
    local_cloud.write_properties(os.path.dirname(managed_credentials_config), fetch_timeout_milliseconds=500)
    assert ManagedCredentials.default().settings.fetch_timeout == 0.5

def test_nothing_of_elsewhere_was_read_but_by_its_own():
    assert len(elsewhere.calls("secrets_manager")) == 2
    elsewhere.stop()
"""


def passes(tmp_path, tests):
    """A function that runs a user's tests, which must pass."""
    (tmp_path / "test_mine.py").write_text(tests)
    environment = dict(os.environ, PYTHONPATH=ROOT, PYTEST_DISABLE_PLUGIN_AUTOLOAD="1")
    environment.pop("MANAGED_CREDENTIALS_CONFIG", None)
    run = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p",
         "aliyun_sdk_secretsmanager_testing.pytest_plugin", "test_mine.py"], cwd=str(tmp_path), env=environment,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, universal_newlines=True)
    assert run.returncode == 0 and "passed" in run.stdout, run.stdout


def test_local_cloud_and_its_properties_file(tmp_path):
    passes(tmp_path, USUAL)


def test_run_that_uses_no_fixture_loads_the_plugin_alone(tmp_path):
    passes(tmp_path, WITHOUT_FIXTURES)


@pytest.mark.slow
def test_properties_file_wins_whatever_the_application_sets_and_all_is_back_afterwards(tmp_path):
    passes(tmp_path, APPLICATION)
