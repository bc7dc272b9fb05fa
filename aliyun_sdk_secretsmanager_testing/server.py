"""An HTTP/1.1 server that speaks TLS and plain HTTP on one port, and can be closed and opened again on that port.

cheroot parses the requests. Its thread pool is not used. Each connection has a thread instead, so that any number of
requests can hang without delaying others.
"""
import http.client
import ipaddress
import logging
import queue
import socket
import ssl
import threading
import time
from contextlib import suppress
from typing import Any, Callable, List, Optional, Set, Tuple

from cheroot.makefile import MakeFile
from cheroot.server import Gateway, HTTPConnection, HTTPServer

from .http import DRAINED, HALF_CLOSED, Answer, Dropped, Request

_IDLE_SECONDS = 60
_LINGER_SECONDS = 30
_LINGER_IDLE_SECONDS = 5
_TLS_HANDSHAKE = b"\x16"

_log = logging.getLogger(__name__)


class Server:
    """A server that keeps its port until ``hang_up``, even while it is closed.

    Args:
        handler: answers one request. It may raise ``Dropped`` to end the connection without an answer.
        context: the TLS settings.
        address: host and port to listen at; port 0 is a free one.
        tls_only: whether plain HTTP is refused. Otherwise the first byte of a connection tells what it speaks.

    Raises:
        OSError: nobody can listen at the address.
    """

    def __init__(self, handler: Callable[[Request], Answer], context: ssl.SSLContext, address: Tuple[str, int],
                 tls_only: bool = False) -> None:
        self._context = context
        self._tls_only = tls_only
        self._protocol = _Protocol(handler)
        # Guards the five attributes below.
        self._lock = threading.Lock()
        self._socks: Set[socket.socket] = set()
        self._threads: List[threading.Thread] = []
        self._listening = False
        self._idle = 0
        self._accepted: "queue.Queue[Optional[Tuple[socket.socket, ssl.SSLContext]]]" = queue.Queue()
        self.host, port = address
        self._listener = _bound(self.host, port)
        self.port: int = self._listener.getsockname()[1]

    @property
    def address(self) -> str:
        """``HOST:PORT`` for a client on this machine."""
        host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(self.host, self.host)  # nosec B104  # to recognize it
        return ("[{}]:{}" if ":" in host else "{}:{}").format(host, self.port)

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine can reach the server."""
        address: str = self._listener.getsockname()[0]
        return ipaddress.ip_address(address.partition("%")[0]).is_loopback

    def open(self, context: Optional[ssl.SSLContext] = None) -> None:
        """Accept connections.

        Args:
            context: other TLS settings than the server's own, for faults.
        """
        self._listening = True
        self._listener.listen(512)
        self._start(self._accept, self._listener, context or self._context)

    def close(self) -> None:
        """End all connections and refuse new ones; the port stays reserved.

        The system could give a port that is not reserved to a client's socket, even to one that tries to connect to
        that very port.
        """
        self.hang_up()
        self.join()
        self._listener = _bound(self.host, self.port)

    def hang_up(self) -> None:
        """End all connections and give the port up, without waiting for the threads."""
        with self._lock:
            self._listening = False
            socks = list(self._socks)
            for _ in range(self._idle):
                self._accepted.put(None)
            self._idle = 0
        # shutdown() wakes the thread in accept(), and works on the copies of the socket in forked children, too.
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for sock in socks:
            # SSLSocket.shutdown() would remove the TLS object while another thread reads from it.
            with suppress(OSError):
                socket.socket.shutdown(sock, socket.SHUT_RDWR)

    def join(self) -> None:
        """Wait for the threads to end, at most 5 s for each."""
        with self._lock:
            threads = list(self._threads)
        for thread in threads:
            if thread is not threading.current_thread():
                thread.join(5)

    def _start(self, target: Callable[..., None], *args: Any) -> None:
        thread = threading.Thread(target=self._run, args=(target,) + args, name="local-cloud-" + str(self.port),
                                  daemon=True)
        with self._lock:
            self._threads.append(thread)
        thread.start()

    def _run(self, target: Callable[..., None], *args: Any) -> None:
        try:
            target(*args)
        finally:
            with self._lock:
                self._threads.remove(threading.current_thread())

    def _accept(self, listener: socket.socket, context: ssl.SSLContext) -> None:
        while True:
            try:
                sock, _ = listener.accept()
            except OSError:
                return
            with self._lock:
                someone_waits = self._idle > 0
                self._idle -= someone_waits
            if someone_waits:
                self._accepted.put((sock, context))
            else:
                self._start(self._serve_connections, sock, context)

    def _serve_connections(self, sock: socket.socket, context: ssl.SSLContext) -> None:
        """Serve one connection after another as long as the server listens.

        The thread does not end with its connection, since a thread that ends takes locks of OpenSSL. They would stay
        taken in a child that a test forks at that moment.
        """
        accepted: Optional[Tuple[socket.socket, ssl.SSLContext]] = (sock, context)
        while accepted is not None:
            self._serve_connection(*accepted)
            with self._lock:
                if not self._listening:
                    return
                self._idle += 1
            accepted = self._accepted.get()

    def _serve_connection(self, sock: socket.socket, context: ssl.SSLContext) -> None:
        try:
            self._register(sock)
            if self._tls_only or sock.recv(1, socket.MSG_PEEK) == _TLS_HANDSHAKE:
                self._unregister(sock)
                sock = context.wrap_socket(sock, server_side=True, do_handshake_on_connect=False)
                self._register(sock)
                sock.do_handshake()
            self._answer_requests(sock)
        except OSError:
            pass  # the client left, or did not trust our certificate
        finally:
            self._unregister(sock)
            sock.close()

    def _answer_requests(self, sock: socket.socket) -> None:
        connection: Any = HTTPConnection(self._protocol, sock, MakeFile)
        try:
            while connection.communicate():
                pass
        finally:
            # Otherwise the garbage collector would try again to send what a client that left did not read.
            for close in (connection.wfile.close, connection.close):
                with suppress(OSError):
                    close()

    def _register(self, sock: socket.socket) -> None:
        with self._lock:
            if not self._listening:
                raise ConnectionAbortedError("the server is closed")
            self._socks.add(sock)
        sock.settimeout(_IDLE_SECONDS)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def _unregister(self, sock: socket.socket) -> None:
        with self._lock:
            self._socks.discard(sock)


def _bound(host: str, port: int) -> socket.socket:
    sock = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM)
    if port:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        sock.bind((host, port))
    except OSError as error:
        sock.close()
        raise OSError(error.errno, "cannot listen on {}:{}: {}".format(host, port, error.strerror)) from None
    # Connections inherit the option, so that the port can be bound again while they linger. It is set only after a free
    # port was found: with the option the system might choose a port that is in use.
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    return sock


class _Protocol(HTTPServer):
    """The server that cheroot's connections refer to; it is never started."""

    can_add_keepalive_connection = True

    def __init__(self, handler: Callable[[Request], Answer]) -> None:
        super().__init__(("127.0.0.1", 0), _Gateway, server_name="LocalCloud")
        self.handler = handler

    def error_log(self, msg: str = "", level: int = logging.INFO, traceback: bool = False) -> None:
        # Below ERROR cheroot reports clients that left, which is usual here.
        _log.log(level if level >= logging.ERROR else logging.DEBUG, "%s", msg, exc_info=traceback)


class _Gateway(Gateway):
    """Hands one request of cheroot's to a handler, and sends the answer."""

    def respond(self) -> None:
        request = Request(self.req)
        self.req.rfile = None  # otherwise cheroot would read the rest of the body before it answers
        try:
            answer = self.req.server.handler(request)
            if answer.early is None:
                request.drain()
                self._send(answer)
            else:
                self._send_early(answer, request)
        except Dropped as drop:
            # Only now that it is in the cloud's log, where the client may look as soon as it notices.
            drop.end(request.sock)
            raise

    def _send_early(self, answer: Answer, request: Request) -> None:
        """Answer while the client is still sending, and then read on or not, as the answer says."""
        self.req.close_connection = answer.early != DRAINED
        self._send(answer)
        if answer.early == DRAINED:
            request.drain()
        elif answer.early == HALF_CLOSED:
            # After SSLSocket.shutdown() the socket could no longer read, either.
            socket.socket.shutdown(request.sock, socket.SHUT_WR)
            _read_on(request)

    def _send(self, answer: Answer) -> None:
        self.req.status = "{} {}".format(
            answer.status, http.client.responses.get(answer.status, "Unknown")).encode("latin-1")
        self.req.outheaders = [(name.encode("latin-1"), value.encode("latin-1"))
                               for name, value in answer.headers.items()]
        write = self.req.conn.wfile.write
        body = b"" if self.req.method == b"HEAD" or answer.status in (204, 304) else answer.body
        try:
            if answer.head_pieces is not None:
                for piece in answer.head_pieces(self._head()):
                    write(piece)
            # Headers and a short body go in one segment.
            write(self._head() + (body if isinstance(body, bytes) else b""))
        except OSError:
            answer.unsent()
            raise
        if not isinstance(body, bytes):
            try:
                for piece in body:
                    self.req.write(piece)
            finally:
                body.close()

    def _head(self) -> bytes:
        """Return status line and headers, which count as sent from now on; nothing if they were sent already."""
        wfile = self.req.conn.wfile
        write = wfile.write
        held: List[bytes] = []
        wfile.write = held.append
        try:
            self.req.ensure_headers_sent()
        finally:
            wfile.write = write
        return b"".join(held)


def _read_on(request: Request) -> None:
    """Read from a client that has its answer until it has sent all, for a limited time."""
    deadline = time.monotonic() + _LINGER_SECONDS
    request.sock.settimeout(_LINGER_IDLE_SECONDS)
    with suppress(OSError):
        for _ in request.pieces():
            if time.monotonic() > deadline:
                return
