"""Fixtures for tests of applications with managed credentials; pytest loads them by the entry point ``pytest11``."""
from typing import TYPE_CHECKING, Any, Iterator

import pytest

if TYPE_CHECKING:
    from .cloud import LocalCloud


@pytest.fixture
def local_cloud() -> "Iterator[LocalCloud]":
    """A started ``LocalCloud`` of the test's own.

    Example::

        def test_my_service(local_cloud, managed_credentials_config):
            local_cloud.create_secret("app/key")
            ...
            local_cloud.rotate("app/key")
    """
    # Only here: pytest imports this module at every start.
    from .cloud import LocalCloud
    with LocalCloud() as cloud:
        yield cloud


@pytest.fixture
def managed_credentials_config(local_cloud: "LocalCloud", tmp_path: Any, monkeypatch: Any) -> str:
    """Path of a properties file for ``local_cloud``, to which ``MANAGED_CREDENTIALS_CONFIG`` points for the test."""
    path = local_cloud.write_properties(tmp_path)
    monkeypatch.setenv("MANAGED_CREDENTIALS_CONFIG", path)
    return path
