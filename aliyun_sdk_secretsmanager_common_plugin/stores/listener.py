"""The thread that hears what other processes announce by the shared store."""

import _thread
import logging
import random
import time
from typing import Any, Callable, Optional

import redis

from ..keeper.timing import WARNING_PERIOD
from ..threads import SoleThread
from .redis_connection import RedisConnection, problem
from .redis_store import RedisStore

logger = logging.getLogger(__name__)

# Seconds of silence after which the connection is tried, and after twice which it counts as dead.
SILENCE = 15.0
# Seconds until the next attempt after a failure, before jitter. They double from the first to the longest.
FIRST_PAUSE = 0.5
LONGEST_PAUSE = 30.0


class Listener:
    """Hears announcements while it is wanted. A lost one costs a refused call, so nothing waits for this thread.

    Args:
        store: the store.
        heard: called with each ``Announced``, in the thread.
    """

    def __init__(self, store: RedisStore, heard: Callable[[Any], None]) -> None:
        self._store = store
        self._heard = heard
        self._connection: Optional[RedisConnection] = None  # the latest
        self.reset()

    def begin(self) -> None:
        """Begin to hear, unless that is so already. Any thread may call this."""
        self._is_wanted = True
        self._thread.ensure()

    def stop(self) -> None:
        """Hear no more."""
        self._is_wanted = False
        try:
            self._wake.release()
        except RuntimeError:  # it is released already
            pass
        connection = self._connection
        if connection is not None:
            connection.abort()

    def await_end(self, until: float) -> None:
        """Stop, before a fork, and wait until the thread is gone.

        Args:
            until: when to wait no longer, by the system's monotonic clock.
        """
        self.stop()
        self._thread.await_end(until, self.stop)

    def reset(self) -> None:
        """Be silent, at first and in a forked child, where the thread does not exist."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.forget()
        self._is_wanted = False
        # Released when the thread is to end. A lock of ``threading`` would not do: a signal's handler may fork.
        self._wake = _thread.allocate_lock()
        self._wake.acquire()
        self._thread = SoleThread("managed-credentials-listener", self._work, lambda: self._is_wanted)

    def _work(self) -> None:
        pause = warn_at = 0.0
        thread = self._thread
        while self._is_wanted and self._thread is thread:
            began = time.monotonic()
            connection = self._connection = self._store.listening_connection()
            try:
                if self._is_wanted:
                    self._hear(connection)
            except redis.ResponseError as error:  # Redis may forbid this alone
                if began >= warn_at:
                    warn_at = began + WARNING_PERIOD
                    logger.warning("announcements of the shared store are not heard: %s", problem(error))
            except Exception as error:  # the operations of the store fail, too, and the keeper warns of that
                logger.debug("the connection for announcements of the shared store failed: %s", problem(error))
            finally:
                connection.close()
            if time.monotonic() >= began + LONGEST_PAUSE:  # it worked for a while
                pause = 0.0
            pause = min(2 * pause, LONGEST_PAUSE) or FIRST_PAUSE
            self._wake.acquire(True, random.uniform(pause / 2, pause))  # nosec B311  # jitter

    def _hear(self, connection: RedisConnection) -> None:
        connection.send("SUBSCRIBE", self._store.channel())
        is_silent = False
        while self._is_wanted:
            if connection.can_receive(SILENCE):
                is_silent = False
                message = connection.receive()
                if isinstance(message, list) and message[0] == b"message":
                    announced = self._store.heard(message[2])
                    if announced is not None:
                        self._heard(announced)
            elif is_silent:
                return
            else:
                is_silent = True
                connection.send("PING")
