"""The nonces that were used already: no signed request can be sent a second time."""
import hashlib
from collections import OrderedDict

from .guarded import Guarded
from .signatures.claim import WINDOW_SECONDS

# A request may be dated 15 minutes ahead, and is too old 15 minutes after that.
_KEPT_SECONDS = 2 * WINDOW_SECONDS
_MOST = 100000


class Nonces(Guarded):
    """The nonces of the last half hour, at most the 100,000 latest; times are monotonic seconds."""

    def __init__(self) -> None:
        super().__init__()
        self._used: "OrderedDict[bytes, float]" = OrderedDict()

    def use(self, access_key_id: str, nonce: str, at: float) -> bool:
        """Record that a key has signed with a nonce.

        Args:
            access_key_id: the id of the key.
            nonce: the nonce.
            at: when.

        Returns:
            Whether the nonce is new.
        """
        # A hash takes the same memory however long both are.
        entry = hashlib.sha256("{}\n{}".format(access_key_id, nonce).encode("utf-8", "surrogateescape")).digest()
        with self.lock:
            while self._used and next(iter(self._used.values())) < at - _KEPT_SECONDS:
                self._used.popitem(last=False)
            if entry in self._used:
                return False
            self._used[entry] = at
            if len(self._used) > _MOST:
                self._used.popitem(last=False)
        return True
