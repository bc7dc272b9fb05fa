"""All AccessKeys, and when each of them is valid."""
import hmac
import math
from typing import Any, Callable, Dict, Iterable, List, NamedTuple, Optional

from .access_key import AccessKeyPair
from .guarded import Guarded
from .signatures import rsa
from .signatures.claim import Claim, Refused

IDENTITY = "identity"
UNPRIVILEGED = "unprivileged"
CLIENT_KEY = "client key"
MANAGED = "managed"


class Owner(NamedTuple):
    """The owner of a key.

    Attributes:
        kind: ``IDENTITY`` or ``CLIENT_KEY`` of an application, ``UNPRIVILEGED`` for an identity that may not read
            secrets, or ``MANAGED`` for the key of a secret.
        name: the name of the secret; None for other kinds.
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


class Keyring(Guarded):
    """All keys that were ever made. Times are monotonic seconds."""

    def __init__(self) -> None:
        super().__init__()
        self._entries: Dict[str, _Entry] = {}

    def add(self, pair: AccessKeyPair, owner: Owner, start: float, expires: float = math.inf) -> None:
        """Add a key.

        Args:
            pair: the key.
            owner: its owner.
            start: when it becomes valid.
            expires: when its SecurityToken expires.
        """
        def signed(claim: Claim) -> bool:
            return claim.sign is not None and hmac.compare_digest(
                claim.sign(pair.access_key_secret).encode("latin-1"),
                claim.signature.encode("utf-8", "surrogateescape"))

        with self.lock:
            self._entries[pair.access_key_id] = _Entry(owner, signed, pair.security_token, start, expires)

    def add_client_key(self, key_id: str, public_key: Any, start: float, end: float) -> None:
        """Add a client key.

        Args:
            key_id: its KeyId.
            public_key: its public key, an object of ``cryptography``.
            start: when it becomes valid.
            end: when its certificate expires.
        """
        def signed(claim: Claim) -> bool:
            return claim.sign is None and rsa.verified(public_key, claim.signature, claim.string_to_sign)

        with self.lock:
            self._entries[key_id] = _Entry(Owner(CLIENT_KEY), signed, None, start, end)

    def end(self, access_key_ids: Iterable[str], at: float) -> None:
        """Make keys invalid at a time, or earlier where they ended earlier already."""
        with self.lock:
            for access_key_id in access_key_ids:
                self._cut(self._entries[access_key_id], at)

    def revive(self, access_key_id: str, at: float) -> None:
        """Make a key valid again from a time on."""
        with self.lock:
            entry = self._entries[access_key_id]
            self._cut(entry, at)
            entry.spans.append((at, entry.expires))

    def disable(self, access_key_id: str, at: float) -> None:
        """Disable a key from a time on: the services then reject it as inactive."""
        with self.lock:
            entry = self._entries[access_key_id]
            self._cut(entry, at)
            entry.disabled = True

    def enable(self, access_key_id: str, at: float) -> None:
        """Enable a disabled key from a time on."""
        self.revive(access_key_id, at)
        with self.lock:
            self._entries[access_key_id].disabled = False

    def revoke_token(self, access_key_id: str) -> None:
        """Make the services reject the SecurityToken of a key."""
        with self.lock:
            self._entries[access_key_id].token_revoked = True

    def owner(self, access_key_id: Optional[str]) -> Optional[Owner]:
        """Return the owner of a key; None if there never was such a key."""
        with self.lock:
            entry = self._entries.get(access_key_id or "")
        return entry.owner if entry else None

    def accepted(self, access_key_id: str, at: float) -> bool:
        """Whether a key is valid at a time, past or future."""
        with self.lock:
            return self._valid(self._entries[access_key_id], at)

    def state(self, access_key_id: str, at: float) -> str:
        """Return ``accepted``, ``disabled``, ``not accepted yet`` or ``no longer accepted``, for a key at a time."""
        with self.lock:
            entry = self._entries[access_key_id]
            if entry.disabled:
                return "disabled"
            if self._valid(entry, at):
                return "accepted"
            return "not accepted yet" if any(start > at for start, _ in entry.spans) else "no longer accepted"

    def of_secret(self, name: str) -> List[str]:
        """Return the ids of all keys that a secret ever had."""
        with self.lock:
            return [key for key, entry in self._entries.items() if entry.owner == Owner(MANAGED, name)]

    def changes(self, name: str) -> List[float]:
        """Return the times at which a key of a secret became valid or invalid."""
        with self.lock:
            return [moment for entry in self._entries.values() if entry.owner == Owner(MANAGED, name)
                    for span in entry.spans for moment in span]

    def check(self, claim: Claim, at: float) -> Owner:
        """Check the key, the signature and the token of a request.

        Args:
            claim: what the request claims.
            at: when.

        Returns:
            The owner of the key.

        Raises:
            Refused: the key is unknown, inactive or expired, or the signature or the token is wrong.
        """
        with self.lock:
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


    @staticmethod
    def _valid(entry: _Entry, at: float) -> bool:
        return any(start <= at < end for start, end in entry.spans)

    @staticmethod
    def _cut(entry: _Entry, at: float) -> None:
        entry.spans = [(start, min(end, at)) for start, end in entry.spans if start < at]
