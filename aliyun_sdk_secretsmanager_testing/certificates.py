"""The cloud's certificate authority, and bad certificates that a client must refuse.

A process has one authority, since making one takes longer than starting a cloud.
"""
import datetime
import functools
import ssl
from typing import Any, Tuple

from .home import NAMES


def ca_pem() -> bytes:
    """Return the authority's certificate, which a client has to trust."""
    pem: bytes = _authority().cert_pem.bytes()
    return pem


@functools.lru_cache(maxsize=None)
def server_context(kind: str = "trusted", names: Tuple[str, ...] = NAMES) -> ssl.SSLContext:
    """Return the TLS settings of a server.

    Args:
        kind: what its certificate is: ``trusted``; ``expired`` in 2020; ``untrusted``, of an unknown authority.
        names: the names and addresses that the certificate is valid for.

    Raises:
        ValueError: no certificate can be made for a name.
    """
    import trustme
    authority = trustme.CA() if kind == "untrusted" else _authority()
    end = datetime.datetime(2020, 1, 1) if kind == "expired" else None
    try:
        certificate = authority.issue_cert(*names, not_after=end)
    except UnicodeError as error:
        raise ValueError("no certificate can be made for {}: {}".format(" and ".join(names), error)) from None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificate.configure_cert(context)
    return context


@functools.lru_cache(maxsize=None)
def _authority() -> Any:
    import trustme
    return trustme.CA()
