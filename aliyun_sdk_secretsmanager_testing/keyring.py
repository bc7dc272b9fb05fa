"""Which AccessKeys the services know, and when: the timeline of every key's validity."""
import hmac
import math
import threading
from typing import Any, Callable, Dict, List, NamedTuple, Optional

from .access_key import AccessKeyPair
from .signatures import rsa
from .signatures.claim import Claim, Refused

IDENTITY = "identity"
UNPRIVILEGED = "unprivileged"
CLIENT_KEY = "client key"
MANAGED = "managed"


class Owner(NamedTuple):
    """Whose a key is: an application's identity or its client key (name None), or the managed key of a secret.

    ``UNPRIVILEGED`` is an identity that may not read secrets.
    """

    kind: str
    name: Optional[str] = None


class _Entry:
    def __init__(self, owner: Owner, signed: Callable[[Claim], bool], token: Optional[str], start: float,
                 expires: float) -> None:
        self.owner = owner
        self.signed = signed
        self.token = token
        self.expires = expires
        self.disabled = False
        self.token_revoked = False
        self.spans = [(start, expires)]


class Keyring:
    """All keys that were ever made; times are monotonic seconds."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._entries: Dict[str, _Entry] = {}

    def add(self, pair: AccessKeyPair, owner: Owner, start: float, expires: float = math.inf) -> None:
        """Let the services know a key.

        Args:
            start: when they know it.
            expires: when its SecurityToken ends.
        """
        def signed(claim: Claim) -> bool:
            return claim.sign is not None and hmac.compare_digest(
                claim.sign(pair.access_key_secret).encode("latin-1"),
                claim.signature.encode("utf-8", "surrogateescape"))

        with self._lock:
            self._entries[pair.access_key_id] = _Entry(owner, signed, pair.security_token, start, expires)

    def add_client_key(self, key_id: str, public_key: Any, start: float, end: float) -> None:
        """Let the gateways of Secrets Manager know a client key.

        Args:
            public_key: of ``cryptography``.
            start: when they know it.
            end: when its certificate ends.
        """
        def signed(claim: Claim) -> bool:
            return claim.sign is None and rsa.verified(public_key, claim.signature, claim.string_to_sign)

        with self._lock:
            self._entries[key_id] = _Entry(Owner(CLIENT_KEY), signed, None, start, end)

    def end(self, access_key_id: str, at: float) -> None:
        """Let the services forget a key at a time; never later than was said before."""
        with self._lock:
            self._cut(self._entry(access_key_id), at)

    def revive(self, access_key_id: str, at: float) -> None:
        """Let the services know a key again."""
        with self._lock:
            entry = self._entry(access_key_id)
            self._cut(entry, at)
            entry.spans.append((at, entry.expires))

    def disable(self, access_key_id: str, at: float) -> None:
        """Switch a key off: the services then know it, and refuse it as inactive."""
        with self._lock:
            entry = self._entry(access_key_id)
            self._cut(entry, at)
            entry.disabled = True

    def enable(self, access_key_id: str, at: float) -> None:
        """Switch a disabled key on again."""
        self.revive(access_key_id, at)
        with self._lock:
            self._entry(access_key_id).disabled = False

    def revoke_token(self, access_key_id: str) -> None:
        """Let the services take a key's SecurityToken for a wrong one."""
        with self._lock:
            self._entry(access_key_id).token_revoked = True

    def owner(self, access_key_id: Optional[str]) -> Optional[Owner]:
        """Whose a key is or was; None if there never was such a key."""
        with self._lock:
            entry = self._entries.get(access_key_id or "")
        return entry.owner if entry else None

    def accepted(self, access_key_id: str, at: float) -> bool:
        """Whether the services accepted (or will accept) this key at a time."""
        with self._lock:
            return self._valid(self._entry(access_key_id), at)

    def of_secret(self, name: str) -> List[str]:
        """The ids of all keys that a secret ever had."""
        with self._lock:
            return [key for key, entry in self._entries.items() if entry.owner == Owner(MANAGED, name)]

    def changes(self, name: str) -> List[float]:
        """The times at which a key of a secret began or ceased to be valid."""
        with self._lock:
            return [moment for entry in self._entries.values() if entry.owner == Owner(MANAGED, name)
                    for span in entry.spans for moment in span]

    def check(self, claim: Claim, at: float) -> Owner:
        """Check who signed a request.

        Returns:
            Whose key it is.

        Raises:
            Refused: the key is unknown, inactive or expired, or the signature or the token is wrong.
        """
        with self._lock:
            entry = self._entries.get(claim.access_key_id)
            if entry is None:
                raise Refused("unknown_key", claim=claim)
            if entry.disabled:
                raise Refused("inactive_key", claim=claim)
            if at >= entry.expires and entry.owner.kind != CLIENT_KEY:
                raise Refused("token_expired", claim=claim)
            if not self._valid(entry, at):
                raise Refused("unknown_key", claim=claim)
        if not entry.signed(claim):
            raise Refused("wrong_signature", claim=claim)
        if entry.token_revoked or claim.security_token != entry.token:
            raise Refused("token_missing" if claim.security_token is None else "token_wrong", claim=claim)
        return entry.owner

    def _entry(self, access_key_id: str) -> _Entry:
        return self._entries[access_key_id]

    @staticmethod
    def _valid(entry: _Entry, at: float) -> bool:
        return any(start <= at < end for start, end in entry.spans)

    @staticmethod
    def _cut(entry: _Entry, at: float) -> None:
        entry.spans = [(start, min(end, at)) for start, end in entry.spans if start < at]
