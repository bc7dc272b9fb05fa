"""How the shared store's values are encrypted, and how its names are hashed, with keys that a password gives."""

import functools
import hashlib
import hmac
import json
import os
from typing import Optional, Tuple

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

from ..keeper.events import Position

# The cost of scrypt (RFC 7914): 32 MiB and about 0.1 s. It is fixed, since nothing about the keys may be read from the
# store. So is the salt, which differs by prefix only.
_COST = {"n": 1 << 15, "r": 8, "p": 1}
_SALT = b"aliyun-sdk-managed-credentials-providers shared store 1 "
_NONCE_BYTES = 12


class Seal:
    """Seals the answers of Secrets Manager: encrypts them with AES-256-GCM, and binds them to where they belong.

    Args:
        password: the password that all processes of a store share.
        prefix: the prefix of the store's keys.
    """

    def __init__(self, password: str, prefix: str) -> None:
        self._prefix = prefix
        encryption_key, self._hash_key = _keys(password, prefix)
        self._cipher = AESGCM(encryption_key)

    def tag(self, name: str) -> str:
        """Return the keyed hash by which the store knows a secret's name."""
        return hmac.new(self._hash_key, name.encode("utf-8"), hashlib.sha256).hexdigest()[:32]

    def sealed(self, name: str, position: Position, answer: bytes) -> bytes:
        """Return an answer of Secrets Manager, encrypted.

        Args:
            name: the secret's name.
            position: the answer's position in the store's order.
            answer: the answer.
        """
        nonce = os.urandom(_NONCE_BYTES)
        return nonce + self._cipher.encrypt(nonce, answer, self._bound(name, position))

    def opened(self, name: str, position: Position, value: bytes) -> Optional[bytes]:
        """Return the answer in a sealed value, None if it is not of this password, secret and position.

        Args:
            name: the secret's name.
            position: the position that the value is said to have.
            value: the sealed value.
        """
        try:
            return self._cipher.decrypt(value[:_NONCE_BYTES], value[_NONCE_BYTES:], self._bound(name, position))
        except (InvalidTag, ValueError):  # a ValueError: the value is too short
            return None

    def _bound(self, name: str, position: Position) -> bytes:
        return json.dumps([self._prefix, name] + list(position)).encode("ascii")


@functools.lru_cache(maxsize=8)
def _keys(password: str, prefix: str) -> Tuple[bytes, bytes]:
    """Return the keys for encryption and for hashes. They are derived once a process, since scrypt is slow."""
    salt = hashlib.sha256(_SALT + prefix.encode("utf-8")).digest()
    # An environment variable may hold bytes that are no UTF-8.
    derived = Scrypt(salt, 64, **_COST).derive(password.encode("utf-8", "surrogateescape"))
    return derived[:32], derived[32:]
