"""The AccessKeys of the local cloud."""
import secrets
import string
from typing import NamedTuple, Optional

_ALPHABET = string.ascii_letters + string.digits


class AccessKeyPair(NamedTuple):
    """An immutable AccessKey, whose ``repr`` does not show its secret parts."""

    access_key_id: str
    access_key_secret: str
    security_token: Optional[str] = None

    def __repr__(self) -> str:
        return "AccessKeyPair({})".format(masked(self.access_key_id))


def new_access_key(token: bool = False) -> AccessKeyPair:
    """Return a random AccessKey.

    Args:
        token: whether it is a temporary one, with a SecurityToken and an id that begins with ``STS.``.
    """
    if token:
        return AccessKeyPair("STS.N" + _random(24), _random(44), _random(120))
    return AccessKeyPair("LTAI" + _random(20), _random(30))


def masked(access_key_id: str) -> str:
    """Return an AccessKey id in the form in which it may be shown: ``LTAI********wxyz``."""
    if len(access_key_id) < 12:
        return "********"
    return access_key_id[:4] + "********" + access_key_id[-4:]


def _random(length: int) -> str:
    # One call to the system for all characters, since another thread may take over at each call.
    return "".join(_ALPHABET[byte % len(_ALPHABET)] for byte in secrets.token_bytes(length))
