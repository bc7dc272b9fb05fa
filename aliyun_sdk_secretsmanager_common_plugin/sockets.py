"""Fresh sockets for a ``requests`` session after a fork."""

import copy
from typing import Any


def fresh_sockets(session: Any) -> None:
    """Give a session of ``requests``, or of a vendored copy of it, new sockets in a forked child.

    The connection pools are replaced, not closed: another thread of the parent may have held their locks at the fork.
    """
    for prefix, adapter in list(session.adapters.items()):
        if type(adapter).__name__ == "HTTPAdapter":
            session.adapters[prefix] = copy.copy(adapter)  # as pickle does: the same settings, and a new pool
            empty_pools(adapter)
        else:
            adapter.close()


def empty_pools(adapter: Any) -> None:
    """Close the idle connections of an adapter without taking a lock, and leave its pools empty."""
    for manager in [adapter.poolmanager] + list(adapter.proxy_manager.values()):
        for pool in list(manager.pools._container.values()):
            connections = pool.pool
            idle = list(connections.queue)
            connections.__init__(connections.maxsize)
            for connection in idle:
                sock = getattr(connection, "sock", None)
                if sock is not None:
                    sock.close()
