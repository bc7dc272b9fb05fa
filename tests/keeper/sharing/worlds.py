"""Worlds with a shared store, and what tests ask about it."""

from ...common.fakes import key
from ..world import NAME, World

A, B, C = key("A"), key("B"), key("C")
INTERVAL = 600.0
TIMEOUT = 0.2


def make_world(*answers, **options):
    return World(*answers, refresh_interval=INTERVAL, **dict({"store_timeout": TIMEOUT}, **options))


def store_stats(world):
    return world.keeper.stats(world.now)[NAME].shared_store


def is_untroubled(world):
    """Return whether the store is still asked a while later, and nobody was told that it works again."""
    world.pass_time(1.0)
    return not store_stats(world).is_off and not any("shared store" in line for line in world.lines)


def kinds(world):
    """Return the kinds of the operations, in order."""
    return [type(operation).__name__ for operation in world.operations]
