"""The set of connections that one worker keeps, one for each gateway and one for the shared store."""

from typing import Any, Callable, Dict


class KeptConnectionClosed(Exception):
    """The server closed a kept connection without an answer. The request may be sent again, signed anew."""


class Connections:
    """The connections of one worker, by gateway or shared store. Each has ``abort()``, ``close()`` and ``forget()``."""

    def __init__(self) -> None:
        self._open: Dict[Any, Any] = {}
        self._is_aborted = False

    def get(self, gateway: Any, connect: Callable[[], Any]) -> Any:
        """Return the connection to a gateway or a shared store.

        Args:
            gateway: the gateway or the store.
            connect: returns a new connection, where there is none yet.
        """
        connection = self._open.get(gateway)
        if connection is None:
            connection = self._open[gateway] = connect()
            if self._is_aborted:
                connection.abort()
        return connection

    def drop(self, gateway: Any) -> None:
        """Close the connection to a gateway or a shared store, if there is one."""
        connection = self._open.pop(gateway, None)
        if connection is not None:
            connection.close()

    def abort(self) -> None:
        """Make the request in progress and all later ones fail at once. Any thread may call this."""
        self._is_aborted = True
        for connection in list(self._open.values()):
            connection.abort()

    def forget(self) -> None:
        """In a forked child, leave the connections to the parent. A request that still waits for one fails."""
        self._is_aborted = True
        for connection in list(self._open.values()):
            connection.forget()

    def close(self) -> None:
        """Close all connections."""
        while self._open:
            self._open.popitem()[1].close()
