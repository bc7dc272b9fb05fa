"""A facade whose secrets come from a script, in a runtime of the test's own."""

import pytest

from aliyun_sdk_secretsmanager_common_plugin import managed_credentials as module
from tests.common.conftest import clock, runtime  # noqa: F401  # fixtures

from .world import IDENTITY_SECRET, Suite


@pytest.fixture
def suite(clock, runtime, monkeypatch):  # noqa: F811
    # A first read that fails is not tried again: the clock stands still, so the next attempt would never be due.
    monkeypatch.setattr(module.ManagedCredentials, "_delays", lambda credentials: ())
    return Suite(clock, runtime)


@pytest.fixture
def write(tmp_path):
    """Write a properties file, and return its path."""

    def write_properties(name="managed_credentials_providers.properties", **changes):
        values = dict({
            "credentials_type": "ak",
            "credentials_access_key_id": "LTAI5tIdentity0123456789",
            "credentials_access_secret": IDENTITY_SECRET,
            "cache_client_region_id": '[{"regionId": "cn-hangzhou"}]',
        }, **changes)
        path = tmp_path / name
        path.write_bytes("".join("{}={}\n".format(*item) for item in values.items()).encode("utf-8"))
        return str(path)

    return write_properties


@pytest.fixture
def secrets_manager(suite, monkeypatch):
    """The suite; its source answers instead of Secrets Manager, also for facades of a properties file."""
    monkeypatch.setattr(module, "_gateways", lambda *ignored: [module._HandedInFetch(suite.source)])
    return suite
