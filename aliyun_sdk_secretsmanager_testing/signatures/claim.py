"""The claim of a signed request, in one form for all signature schemes."""
import base64
import calendar
import email.utils
import hashlib
import hmac
import time
from typing import Any, Callable, Dict, NamedTuple, Optional
from urllib.parse import quote

# The most that the date of a request may differ from the service's clock.
WINDOW_SECONDS = 15 * 60


class Claim(NamedTuple):
    """The key and the signature that a request has.

    Attributes:
        access_key_id: the id of the key.
        signature: as it was sent.
        string_to_sign: computed from the request that arrived.
        security_token: as it was sent; None where there is none.
        sign: computes the right signature from the AccessKey secret; None for a signature with a private key, which
            ``rsa`` checks.
        canonical_request: computed from the request that arrived, if the string to sign has only its hash.
        nonce: None where the scheme or the request has none.
    """

    access_key_id: str
    signature: str
    string_to_sign: bytes
    security_token: Optional[str]
    sign: Optional[Callable[[str], str]]
    canonical_request: bytes = b""
    nonce: Optional[str] = None

    def __repr__(self) -> str:
        return "Claim"

    def shown_string_to_sign(self) -> str:
        """Return the string to sign for an error message, with the token masked, since that is a secret."""
        text = self.string_to_sign.decode("utf-8", "replace")
        if self.canonical_request:
            text += " server canonical request is:" + self.canonical_request.decode("utf-8", "replace")
        for shown in (self.security_token, quote(self.security_token or "", safe="~")):
            text = text.replace(shown, "***") if shown else text
        return text


class Refused(Exception):
    """The signature of a request is not accepted.

    Args:
        reason: ``unknown_key``, ``inactive_key``, ``wrong_signature``, ``token_missing``, ``token_wrong``,
            ``token_expired``, ``wrong_md5``, ``wrong_sha256``, ``missing`` (with ``name``), ``malformed`` (with
            ``name``), ``bad_date``, ``expired``, ``unsupported`` (with ``name``), ``wrong_path``, ``skewed`` (with
            ``request_time``), ``anonymous``, ``nonce_used``. Each service has its own error codes for these.
        claim: the claim, where there is one.
        detail: what the message of the error shows.
    """

    def __init__(self, reason: str, claim: Optional[Claim] = None, **detail: Any) -> None:
        super().__init__(reason)
        self.reason = reason
        self.claim = claim
        self.detail: Dict[str, Any] = detail


def check_date(date: str, now: float) -> None:
    """Check a Date header.

    Args:
        date: the header.
        now: seconds since 1970.

    Raises:
        Refused: it is no date, or more than 15 minutes off.
    """
    parsed = email.utils.parsedate(date)
    if parsed is None:
        raise Refused("bad_date")
    if abs(calendar.timegm(parsed) - now) > WINDOW_SECONDS:
        raise Refused("skewed", request_time=date)


def check_timestamp(text: str, now: float) -> None:
    """Check a date of the form 2026-11-21T10:00:00Z.

    Args:
        text: the date.
        now: seconds since 1970.

    Raises:
        Refused: it is no date, or more than 15 minutes off.
    """
    try:
        moment = calendar.timegm(time.strptime(text, "%Y-%m-%dT%H:%M:%SZ"))
    except ValueError:
        raise Refused("bad_date") from None
    if abs(moment - now) > WINDOW_SECONDS:
        raise Refused("skewed", request_time=text)


def mac(digest: str, secret: str, string_to_sign: bytes) -> str:
    """Return an HMAC in Base64, the form of all schemes but the newest.

    Args:
        digest: ``sha1`` or ``sha256``.
        secret: the key of the HMAC.
        string_to_sign: the message.
    """
    made = hmac.new(secret.encode("utf-8"), string_to_sign, getattr(hashlib, digest))
    return base64.b64encode(made.digest()).decode("ascii")
