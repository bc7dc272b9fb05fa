"""AccessKeys as the local cloud hands them out."""
import secrets
import string
from typing import NamedTuple, Optional

_ALPHABET = string.ascii_letters + string.digits


class AccessKeyPair(NamedTuple):
    """One AccessKey: immutable, and silent about its secret parts when printed."""

    access_key_id: str
    access_key_secret: str
    security_token: Optional[str] = None

    def __repr__(self) -> str:
        return "AccessKeyPair({})".format(masked(self.access_key_id))


def new_access_key(token: bool = False) -> AccessKeyPair:
    """A random AccessKey.

    Args:
        token: whether it is a temporary one with a SecurityToken, whose id begins with ``STS.`` as the real ones' do.
    """
    if token:
        return AccessKeyPair("STS.N" + _random(24), _random(44), _random(120))
    return AccessKeyPair("LTAI" + _random(20), _random(30))


def masked(access_key_id: str) -> str:
    """An AccessKey id as it may be shown: ``LTAI********wxyz``."""
    if len(access_key_id) < 12:
        return "********"
    return access_key_id[:4] + "********" + access_key_id[-4:]


def _random(length: int) -> str:
    # Of one call to the system, at each of which other threads would take over.
    return "".join(_ALPHABET[byte % len(_ALPHABET)] for byte in secrets.token_bytes(length))
