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
        else:
            adapter.close()
