"""Fixtures of the shared store: a real Redis, and programs that use it."""

import shutil

import pytest

from aliyun_sdk_secretsmanager_common_plugin import ManagedCredentials

PASSWORD_VARIABLE = "SHARED_STORE_PASSWORD"
PASSWORD = "the store's own passphrase 17"


def pytest_collection_modifyitems(items):
    for item in items:
        if "tests/stores/" in item.nodeid and shutil.which("redis-server") is None:
            item.add_marker(pytest.mark.skip(reason="needs redis-server: nox -s redis"))


@pytest.fixture
def store_properties(cloud, redis_server, tmp_path, monkeypatch):
    """A function that writes a properties file with the store. Its timeouts are those for a busy machine."""
    monkeypatch.setenv(PASSWORD_VARIABLE, PASSWORD)

    def write(**others):
        return cloud.write_properties(tmp_path, **dict({
            "shared_store_url": redis_server.url,
            "shared_store_password_from_env_variable": PASSWORD_VARIABLE,
            "shared_store_timeout_milliseconds": 10000,
            "fetch_timeout_milliseconds": 30000,
            "renew_timeout_milliseconds": 20000,
        }, **others))

    return write


@pytest.fixture
def make_credentials(store_properties):
    """A function that returns credentials of their own, as another process has them."""
    made = []

    def make(**others):
        made.append(ManagedCredentials.from_properties(store_properties(**others)))
        return made[-1]

    yield make
    for credentials in made:
        credentials.close()
