"""TLS to one gateway: a context that all connections share, and the session that a new one resumes."""

import contextlib
import os
import ssl
import sys
import threading
import time
from email.utils import mktime_tz, parsedate_tz
from typing import Any, Dict, Optional, Tuple

from ..threads import leaves, start

# Seconds to wait for another thread that loads the CAs. No longer: a finalizer that runs in that thread may wait for
# this one.
LOADING_PATIENCE = 1.0


class GatewayContext(ssl.SSLContext):
    """A context of a gateway, with the CAs that it loaded once. It resumes the last session with each host."""

    def __init__(self, *ignored: Any) -> None:
        super().__init__()
        self._sessions: Dict[str, Tuple[Any, float]] = {}  # by host, with the end of its certificate

    def wrap_socket(self, sock: Any, *args: Any, **kwargs: Any) -> Any:
        """Do what any context does, and resume the last session with the host, if its certificate has not expired."""
        if isinstance(sock, ssl.SSLSocket):  # to a proxy; ssl has no TLS within TLS
            transport = _ssl_transport()
            if transport is None:
                raise OSError("a proxy of HTTPS needs urllib3 1.26 or newer: pip install -U urllib3")
            return transport(sock, self, kwargs["server_hostname"])
        session, until = self._sessions.get(kwargs["server_hostname"], (None, 0.0))
        if time.time() < until:
            kwargs["session"] = session
        return super().wrap_socket(sock, *args, **kwargs)

    def remember(self, sock: Any) -> float:
        """Keep the session of a socket that has served a request.

        Returns:
            When the server's certificate expires, in seconds since the epoch; infinity if it is not verified.
        """
        # Not ssl.cert_time_to_seconds(): it takes a lock of the process, which a child would inherit.
        end = parsedate_tz(str((sock.getpeercert() or {}).get("notAfter")))
        until = float("inf") if end is None else mktime_tz(end)
        if isinstance(sock, ssl.SSLSocket):  # not so within a TLS connection to a proxy
            self._sessions[sock.server_hostname or ""] = sock.session, until
        return until


class UnusableCa(Exception):
    """The CA file or directory cannot be loaded; the text says which one, and why."""


class Tls:
    """How a gateway's connections are verified and encrypted.

    Args:
        ca: the file or the directory of the CAs to trust; None to verify nothing.
    """

    def __init__(self, ca: Optional[str]) -> None:
        self.ca = ca
        self.forget()

    def forget(self) -> None:
        """Drop context and sessions in a forked child: a thread of the parent may have held locks of OpenSSL."""
        self._lock = threading.Lock()
        self._loaded: Optional[Tuple[GatewayContext, Any]] = None  # with the state of the CA file at that time

    def begin(self) -> None:
        """Load the CAs in another thread, while the caller imports what the first request needs."""

        def load() -> None:
            leaves(threading.current_thread())  # noted now, so that a fork and the end of the program wait for it
            with contextlib.suppress(Exception):  # the request will fail in the same way, and say so
                self.context()

        start("managed-credentials-cas", load, lambda error: None)

    def context(self) -> GatewayContext:
        """Return the context; a new one if the CA file has changed.

        Raises:
            UnusableCa: the CA file cannot be read, or holds no certificates.
        """
        lock = self._lock  # a finalizer may fork below: the child has another lock
        try:
            state = self._state()
            loaded = self._loaded
            if loaded is None or loaded[1] != state:
                is_taken = lock.acquire(timeout=LOADING_PATIENCE)
                try:
                    loaded = self._loaded
                    if loaded is None or loaded[1] != state:
                        loaded = self._loaded = _context(self.ca), state
                finally:
                    if is_taken:
                        lock.release()
            return loaded[0]
        except OSError as error:
            problem = getattr(error, "reason", None) or error.strerror or type(error).__name__
        raise UnusableCa("the CA file {} cannot be loaded ({})".format(self.ca, problem))

    def _state(self) -> Any:
        """Return what identifies the present state of the CA file."""
        if self.ca is None:
            return None
        found = os.stat(self.ca)
        return found.st_ino, found.st_size, found.st_mtime_ns


def _context(ca: Optional[str]) -> GatewayContext:
    # As ssl.create_default_context() does, with TLS 1.2 at least.
    context = GatewayContext(ssl.PROTOCOL_TLS_CLIENT)
    if hasattr(ssl.SSLContext, "minimum_version"):
        context.minimum_version = ssl.TLSVersion.TLSv1_2
    else:  # Python 3.6, or an old OpenSSL
        context.options |= ssl.OP_NO_TLSv1 | ssl.OP_NO_TLSv1_1
    if getattr(ssl, "HAS_NEVER_CHECK_COMMON_NAME", False):
        context.hostname_checks_common_name = False
    if sys.version_info >= (3, 13):
        context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN | ssl.VERIFY_X509_STRICT
    context.set_alpn_protocols(["http/1.1"])
    if ca is None:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    else:
        context.load_verify_locations(**{"capath" if os.path.isdir(ca) else "cafile": ca})
    return context


def _ssl_transport() -> Any:
    """Return urllib3's TLS within TLS, or None if it is too old to have that."""
    try:
        from urllib3.util.ssltransport import SSLTransport
    except ImportError:
        return None
    return SSLTransport
