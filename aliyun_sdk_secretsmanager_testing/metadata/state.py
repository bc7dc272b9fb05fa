"""The ECS instance: its role, and the tokens of its metadata service."""
import math
import secrets
from typing import Dict, Optional

from ..clock import SystemClock
from ..guarded import Guarded

V1, V2, BOTH = "v1", "v2", "v1 and v2"
LONGEST_TOKEN = 21600


class Instance(Guarded):
    """An ECS instance.

    Attributes:
        mode: ``v1``: there are no tokens; ``v2``: a request without a token is refused; ``v1 and v2``: both work.
        role: the name of its role; None where it has none.
        expires_in: seconds until the credentials expire that are issued.
    """

    def __init__(self, clock: SystemClock, role: str) -> None:
        super().__init__()
        self._clock = clock
        self._tokens: Dict[str, float] = {}
        self.mode = BOTH
        self.role: Optional[str] = role
        self.expires_in = float(LONGEST_TOKEN)

    def issue_token(self, seconds: int) -> str:
        """Return a new token that is valid for that many seconds."""
        token = secrets.token_urlsafe(32)
        with self.lock:
            self._tokens[token] = self._clock.monotonic() + seconds
        return token

    def lets_in(self, token: Optional[str]) -> bool:
        """Whether a request with this token is answered; None is a request without a token."""
        if self.mode == V1:
            return True
        if token is None:
            return self.mode == BOTH
        with self.lock:
            return self._clock.monotonic() < self._tokens.get(token, -math.inf)
