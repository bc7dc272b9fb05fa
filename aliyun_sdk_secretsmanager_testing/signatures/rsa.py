"""Signatures made with a private key: RSA, PKCS#1 v1.5, SHA-256, in base64."""
import base64
from typing import Any


def verified(public_key: Any, signature: str, string_to_sign: bytes) -> bool:
    """Whether a signature was made with the private key of a public key.

    Args:
        public_key: an object of ``cryptography``.
        signature: as it was sent.
        string_to_sign: the signed bytes.
    """
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import padding
    try:
        raw = base64.b64decode(signature, validate=True)
        public_key.verify(raw, string_to_sign, padding.PKCS1v15(), hashes.SHA256())
    except (InvalidSignature, ValueError):
        return False
    # Other texts may decode to the same bytes, since not all bits of the last character count.
    return base64.b64encode(raw).decode("ascii") == signature
