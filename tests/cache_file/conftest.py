"""Fixtures: a cache file with a fast key derivation, on a fake clock."""

import logging

import pytest

from aliyun_sdk_secretsmanager_common_plugin import ConfigurationError
from aliyun_sdk_secretsmanager_common_plugin.settings import CacheFileSettings
from aliyun_sdk_secretsmanager_common_plugin.stores import cache_file
from aliyun_sdk_secretsmanager_common_plugin.stores.cache_file import CacheFile
from tests.common.conftest import clock  # noqa: F401  # a fixture
from tests.common.fakes import everything_in

from .files import OTHER, PASSWORD, content_of, secret, shows_a_secret, state_of, write


@pytest.fixture(autouse=True)
def cheap_scrypt(monkeypatch):
    monkeypatch.setattr(cache_file, "COST", {"n": 2, "r": 1, "p": 1})


@pytest.fixture
def path(tmp_path):
    return str(tmp_path / "keys.cache")


@pytest.fixture
def make(path, clock):  # noqa: F811
    def open_file(password=PASSWORD):
        return CacheFile(CacheFileSettings(path, password), clock)

    return open_file


@pytest.fixture
def refused(make, path, caplog):
    """Open a file that must be refused. Check the error, the log and the file, and return the message."""

    def open_file(password=PASSWORD):
        caplog.set_level(logging.DEBUG)
        before = state_of(path)
        with pytest.raises(ConfigurationError) as caught:
            make(password)
        assert not shows_a_secret(everything_in(caught.value))
        assert not shows_a_secret(caplog.text)
        assert path in str(caught.value)
        assert state_of(path) == before
        return str(caught.value)

    return open_file


@pytest.fixture
def written(make, path):
    """The content of a file with two secrets."""
    write(make(), secret(1), secret(2, OTHER))
    return content_of(path)
