"""Fixtures of the unit tests: time that moves when told, and jitter that is known."""

import os
import random

import pytest

from aliyun_sdk_secretsmanager_common_plugin import cache

from ..conftest import SECRET
from .fakes import FakeClock, Threading

# What hypothesis keeps of Unicode and the source between runs; by itself it would be in a test's working directory.
os.environ.setdefault("HYPOTHESIS_STORAGE_DIRECTORY", os.path.join(
    os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))), ".hypothesis"))


@pytest.fixture
def clock():
    return FakeClock()


@pytest.fixture
def longest_jitter(monkeypatch):
    """Every random delay is as long as it can be."""
    monkeypatch.setattr(random, "uniform", lambda low, high: high)


@pytest.fixture
def shortest_jitter(monkeypatch):
    """Every random delay is as short as it can be."""
    monkeypatch.setattr(random, "uniform", lambda low, high: low)


@pytest.fixture
def read_world(world):
    """The test's own world of a cache, with its first key read."""
    world.cache.get(SECRET)
    return world


@pytest.fixture
def waits(monkeypatch):
    """Counts who waits, and which locks are held, of caches that are made later."""
    fake = Threading()
    monkeypatch.setattr(cache, "threading", fake)
    return fake
