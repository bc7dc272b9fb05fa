import pytest

from .worlds import A, make_world


@pytest.fixture
def world():
    """The store is empty, and Secrets Manager has A."""
    return make_world(A)


@pytest.fixture
def reader(world):
    """A world in which A was read and shared."""
    world.read()
    return world
