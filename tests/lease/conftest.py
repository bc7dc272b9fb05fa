"""Fixtures of the lease's tests."""

import pytest

from tests.common.conftest import clock  # noqa: F401  # a fixture

from .world import World


@pytest.fixture
def world(clock):  # noqa: F811
    return World(clock)
