"""An HTTPS connection to one gateway. A worker keeps it between requests, and another thread can abort it."""

import os
import re
import selectors
import socket
import time
from base64 import b64encode
from http import client as http
from typing import Any, Dict, List, Optional, Tuple
from urllib.parse import unquote, urlsplit

from .connections import KeptConnectionClosed
from .tls import GatewayContext, Tls

# A secret's value has at most 30,720 bytes (KMS quotas); the rest of an answer is small.
MAX_ANSWER_BYTES = 1 << 20
# Windows has no poll(). Unlike the default selector, poll() needs no file descriptor: there may be none left.
_Selector = getattr(selectors, "PollSelector", selectors.SelectSelector)
# How the text of an error begins if TLS with an HTTPS proxy failed.
PROXY_PREFIX = "HTTPS proxy: "


class HttpsConnection:
    """At most one connection at a time, which a request opens if there is none.

    Args:
        endpoint: the gateway's host, or host:port.
        tls: how the gateway is verified.
        proxy: the URL of a proxy, or an empty string.
    """

    def __init__(self, endpoint: str, tls: Tls, proxy: str) -> None:
        self._endpoint = endpoint
        self._tls = tls
        self._proxy = proxy
        self._context: Optional[GatewayContext] = None
        self._open: Optional[http.HTTPSConnection] = None
        self._valid_until = 0.0  # when the gateway's certificate expires, in seconds since the epoch
        self._is_aborted = False
        self._sockets: List[socket.socket] = []  # duplicates of the connection's socket

    def post(self, path: str, headers: Dict[str, str], body: bytes, timeout: float) -> Tuple[int, bytes]:
        """Send a request, and return status and body of the answer.

        Args:
            path: the path, with the query.
            headers: all headers of the request.
            body: the body.
            timeout: seconds for connecting, again for the answer to begin, and again for the rest of it.

        Raises:
            KeptConnectionClosed: the server closed the connection since the last request.
            http.client.HTTPException, OSError, ValueError: there was no answer, or it was too long or too slow.
        """
        if self._is_aborted:
            raise OSError("the connection was aborted")
        context = self._tls.context()
        if context is not self._context or time.time() >= self._valid_until or _is_closed(self._open):
            self.close()
        connection = self._open
        is_new = connection is None
        if connection is None:
            self._context = context
            connection = self._open = _Connection(self._endpoint, context, self._proxy, timeout, self.connected)
        else:
            connection.sock.settimeout(timeout)
        try:
            connection.request("POST", path, body, headers)
            response = connection.getresponse()
        except (http.HTTPException, OSError) as error:
            if is_new or self._is_aborted or isinstance(error, socket.timeout):
                raise
            raise KeptConnectionClosed() from None
        if is_new and connection.sock is not None:  # None if the server closes the connection after this answer
            self._valid_until = context.remember(connection.sock)
        answer = _read(response, timeout)
        if response.status < 200 or connection.sock is None:  # the real answer is still to come, or none will come
            self.close()
        return response.status, answer

    def connected(self, sock: socket.socket) -> None:
        """Note a new socket before TLS or a proxy uses it, since either may hang. A SOCKS proxy has used it already."""
        self._close_sockets()
        self._sockets.append(socket.fromfd(sock.fileno(), sock.family, sock.type))  # TLS detaches the original
        if self._is_aborted:
            self.abort()

    def abort(self) -> None:
        """Cut the request in progress, and make all later ones fail. Any thread may call this.

        The look-up of a name cannot be cut.
        """
        self._is_aborted = True
        for sock in list(self._sockets):
            try:
                sock.shutdown(socket.SHUT_RDWR)
            except OSError:  # already closed
                pass

    def close(self) -> None:
        """Close the connection; the next request opens another one."""
        if self._open is not None:
            self._open.close()
            self._open = None
        self._close_sockets()

    def forget(self) -> None:
        """In a forked child, close the inherited descriptors. The parent's connection stays open."""
        self._is_aborted = True  # a greenlet that continues in the child must not connect again
        self._close_sockets()
        sock = None if self._open is None else self._open.sock
        if sock is not None:
            sock = getattr(sock, "socket", sock)  # of TLS within TLS
            descriptor = sock.detach()
            if descriptor >= 0:  # during the handshake, TLS has detached the socket already
                os.close(descriptor)  # close() would wait for an answer that is being read

    def _close_sockets(self) -> None:
        while self._sockets:
            self._sockets.pop().close()


class _Connection(http.HTTPSConnection):
    """A connection, direct or through a proxy, that tells of its socket as soon as that is connected."""

    _tunnel_host: Any

    def __init__(self, endpoint: str, context: GatewayContext, proxy: str, timeout: float, connected: Any) -> None:
        self._proxy = parts = urlsplit(proxy)
        self._tls = context
        self._connected = connected
        if parts.scheme in ("http", "https"):
            super().__init__(parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80),
                             timeout=timeout, context=context)
            signed_in = "{}:{}".format(*self._user()).encode("utf-8") if parts.username else b""
            self.set_tunnel(endpoint, headers={
                "Proxy-Authorization": "Basic " + b64encode(signed_in).decode("ascii")} if signed_in else {})
        else:
            super().__init__(endpoint, timeout=timeout, context=context)
        del self._create_connection  # so that connect() calls the method below

    def _user(self) -> Tuple[str, str]:
        return unquote(self._proxy.username or ""), unquote(self._proxy.password or "")

    def _create_connection(self, address: Tuple[str, int], *arguments: Any) -> socket.socket:
        """Open a socket; an encrypted one to a proxy of HTTPS. ``connect`` of the base class calls this."""
        scheme = self._proxy.scheme
        if scheme.startswith("socks"):
            sock = _connect_by_socks(address, self._proxy, self._user(), self.timeout)
        else:
            sock = connect(address, self.timeout)
        self._connected(sock)
        return self._wrapped(sock, address[0]) if scheme == "https" else sock

    def _wrapped(self, sock: socket.socket, host: str) -> socket.socket:
        """Begin TLS with a proxy of HTTPS."""
        try:
            wrapped: socket.socket = self._tls.wrap_socket(sock, server_hostname=host)
            return wrapped
        except (OSError, ValueError) as error:  # ValueError is of Python 3.6, where the certificate is of another host
            problem = PROXY_PREFIX + str(error)
        raise OSError(problem)

    def _tunnel(self) -> None:
        """Have a proxy of HTTP open a tunnel. ``connect`` of the base class calls this."""
        host, refusal = self._tunnel_host, None
        if ":" in host:  # Python 3.13 adds the brackets itself
            self._tunnel_host = "[" + host + "]"
        try:
            super()._tunnel()  # type: ignore[misc]
        except OSError as error:
            refusal = re.match(r"Tunnel connection failed: ([0-9]+)", str(error))
            if refusal is None:
                raise
        finally:
            self._tunnel_host = host
        if refusal is not None:  # raised here: what the proxy said more may repeat the request
            raise OSError("the proxy opens no tunnel, HTTP status " + refusal.group(1))


def connect(address: Tuple[str, int], timeout: Any) -> socket.socket:
    """Connect to a host. Of several addresses, one that is silent takes half of the time that is left.

    Args:
        address: host and port.
        timeout: seconds until one of its addresses must have answered, and then for each read and write.

    Raises:
        OSError: no address could be connected to.
    """
    *others, last = socket.getaddrinfo(*address, 0, socket.SOCK_STREAM)
    sock, left = None, timeout
    for other in others:
        try:
            sock = _opened(other, left / 2)
            break
        except socket.timeout:
            left /= 2
        except OSError:  # refused at once
            pass
    sock = sock or _opened(last, left)
    sock.settimeout(timeout)
    return sock


def _opened(found: Tuple[Any, ...], timeout: float) -> socket.socket:
    """Return a socket that is connected to an address that ``getaddrinfo`` found."""
    family, kind, protocol, _, address = found
    sock = socket.socket(family, kind, protocol)
    try:
        sock.settimeout(timeout)
        sock.connect(address)
        return sock
    except BaseException:
        sock.close()
        raise


def _connect_by_socks(address: Tuple[str, int], proxy: Any, user: Tuple[str, str], timeout: Any) -> socket.socket:
    try:
        import socks
    except ImportError:
        socks = None
    if socks is None:
        raise OSError("a proxy of SOCKS needs PySocks: pip install pysocks")
    kind, is_resolved_there = (socks.SOCKS5, proxy.scheme == "socks5h") if "5" in proxy.scheme else (
        socks.SOCKS4, proxy.scheme == "socks4a")
    sock: socket.socket = socks.create_connection(
        address, timeout, proxy_type=kind, proxy_addr=proxy.hostname, proxy_port=proxy.port or 1080,
        proxy_rdns=is_resolved_there, proxy_username=user[0] or None, proxy_password=user[1] or None)
    return sock


def _is_closed(connection: Optional[http.HTTPSConnection]) -> bool:
    """Return whether a kept connection cannot be used: the server closed it, or sent something unasked."""
    if connection is None or connection.sock is None or getattr(connection.sock, "pending", int)():
        return True
    with _Selector() as selector:
        selector.register(connection.sock, selectors.EVENT_READ)
        return bool(selector.select(0))


def _read(response: http.HTTPResponse, timeout: float) -> bytes:
    """Return the body of a response, unless it takes longer than ``timeout`` from now on."""
    deadline = time.monotonic() + timeout
    body = bytearray()
    left = response.length  # None if the answer does not say it
    while left != 0:
        chunk = response.read1(min(left or MAX_ANSWER_BYTES, MAX_ANSWER_BYTES))
        if not chunk:
            break
        body += chunk
        left = None if left is None else left - len(chunk)
        if len(body) > MAX_ANSWER_BYTES:
            raise OSError("the answer is larger than {} bytes".format(MAX_ANSWER_BYTES))
        if time.monotonic() > deadline:
            raise OSError("the answer was not whole within {:g} s".format(timeout))
    if left:
        raise OSError("the answer ended too early")
    response.close()  # of the answer alone: the connection stays open
    return bytes(body)
