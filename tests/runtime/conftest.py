"""Credentials whose secrets come from a script, in a runtime of the test's own."""

import pytest

from aliyun_sdk_secretsmanager_common_plugin import ManagedCredentials
from aliyun_sdk_secretsmanager_common_plugin.settings import Settings
from tests.common.conftest import clock, no_threads, runtime  # noqa: F401  # fixtures
from tests.common.fakes import Source, key


@pytest.fixture
def source():
    """Answers the account's reads: each secret has a key of its own."""
    return Source(lambda asked: key(asked.name))


@pytest.fixture
def credentials(runtime, source, monkeypatch):  # noqa: F811
    # A first read that fails is not tried again: the clock stands still, so the next attempt would never be due.
    monkeypatch.setattr(ManagedCredentials, "_delays", lambda credentials: ())
    return ManagedCredentials(Settings(), source)


@pytest.fixture
def account(credentials):
    return credentials._account
