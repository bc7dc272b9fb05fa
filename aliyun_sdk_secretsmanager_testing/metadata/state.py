"""The instance: its role, and how it lets itself be asked."""
import math
import secrets
import threading
from typing import Dict, Optional

from ..clock import SystemClock

V1, V2, BOTH = "v1", "v2", "v1 and v2"
LONGEST_TOKEN = 21600


class Instance:
    """An ECS instance.

    Attributes:
        mode: ``v1``: without tokens; ``v2``: only with one; ``v1 and v2``: either way.
        role: name of its role; None where it has none.
        expires_in: seconds until the credentials that it gives out end.
    """

    def __init__(self, clock: SystemClock, role: str) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._tokens: Dict[str, float] = {}
        self.mode = BOTH
        self.role: Optional[str] = role
        self.expires_in = float(LONGEST_TOKEN)

    def issue_token(self, seconds: int) -> str:
        """Give out a token for that many seconds."""
        token = secrets.token_urlsafe(32)
        with self._lock:
            self._tokens[token] = self._clock.monotonic() + seconds
        return token

    def lets_in(self, token: Optional[str]) -> bool:
        """Whether a request with this token (None: without one) is answered."""
        if self.mode == V1:
            return True
        if token is None:
            return self.mode == BOTH
        with self._lock:
            return self._clock.monotonic() < self._tokens.get(token, -math.inf)
