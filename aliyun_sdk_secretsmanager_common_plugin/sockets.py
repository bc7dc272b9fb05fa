"""The sockets of a plugin's ``requests`` session, after a fork."""

import copy
from typing import Any


def fresh_sockets(session: Any) -> None:
    """Let a session, of ``requests`` or of a vendored copy of it, go on without the sockets of the parent process.

    To be called in the child. The pools are replaced, not closed: a thread of the parent may hold their locks.
    """
    for prefix, adapter in list(session.adapters.items()):
        if type(adapter).__name__ == "HTTPAdapter":
            # As pickle does: the same settings, with a pool of its own.
            session.adapters[prefix] = copy.copy(adapter)
            empty_pools(adapter)
        else:
            adapter.close()


def empty_pools(adapter: Any) -> None:
    """Close the idle connections of an adapter, in a way that needs no lock, and leave none to be closed in another."""
    for manager in [adapter.poolmanager] + list(adapter.proxy_manager.values()):
        for pool in list(manager.pools._container.values()):
            _empty(pool.pool)


def _empty(connections: Any) -> None:
    idle = list(connections.queue)
    connections.__init__(connections.maxsize)
    for connection in idle:
        sock = getattr(connection, "sock", None)
        if sock is not None:
            sock.close()
