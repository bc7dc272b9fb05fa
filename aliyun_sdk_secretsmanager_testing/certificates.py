"""The cloud's own certificate authority, and the bad certificates that a client must refuse.

One authority a process: making one takes longer than starting a cloud.
"""
import datetime
import functools
import ssl
from typing import Any

_NAMES = ("127.0.0.1", "localhost")


def ca_pem() -> bytes:
    """The authority's certificate, which a client has to trust."""
    pem: bytes = _authority().cert_pem.bytes()
    return pem


@functools.lru_cache(maxsize=None)
def server_context(kind: str = "trusted") -> ssl.SSLContext:
    """TLS for a server on 127.0.0.1.

    Args:
        kind: ``trusted``; ``expired`` in 2020; ``untrusted``: rightly made by an authority that nobody knows.
    """
    import trustme
    authority = trustme.CA() if kind == "untrusted" else _authority()
    if kind == "expired":
        certificate = authority.issue_cert(*_NAMES, not_after=datetime.datetime(2020, 1, 1))
    else:
        certificate = authority.issue_cert(*_NAMES)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificate.configure_cert(context)
    return context


@functools.lru_cache(maxsize=None)
def _authority() -> Any:
    import trustme
    return trustme.CA()
