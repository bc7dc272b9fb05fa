"""One HTTP/1.1 server, TLS or plain on the same port, that can be closed and opened again on that port.

cheroot parses the requests. Its thread pool is not used: a thread a connection lets any number of requests hang
without starving the others, and lets a TLS handshake fail without holding up the next one.
"""
import http.client
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

HOST = "127.0.0.1"

_IDLE_SECONDS = 60
_LINGER_SECONDS = 30
_LINGER_IDLE_SECONDS = 5
_TLS_HANDSHAKE = b"\x16"

_log = logging.getLogger(__name__)


class Server:
    """A server whose port stays its own from the beginning to ``release``.

    Args:
        handler: answers one request; may raise ``Dropped`` to end the connection without an answer.
        context: TLS of the server.
        tls_only: refuse plain HTTP; otherwise the first byte of a connection tells which it is.
        address: host and port to listen at; port 0 is a free one.

    Raises:
        OSError: the address cannot be had.
    """

    def __init__(self, handler: Callable[[Request], Answer], context: ssl.SSLContext, tls_only: bool = False,
                 address: Tuple[str, int] = (HOST, 0)) -> None:
        self._context = context
        self._tls_only = tls_only
        self._protocol = _Protocol(handler)
        # Guards the sockets and threads, whether the server listens, and how many threads wait for a connection.
        self._lock = threading.Lock()
        self._socks: Set[socket.socket] = set()
        self._threads: List[threading.Thread] = []
        self._listening = False
        self._idle = 0
        self._accepted: "queue.Queue[Optional[Tuple[socket.socket, ssl.SSLContext]]]" = queue.Queue()
        self._host, port = address
        self._listener = _bound(self._host, port)
        self.port: int = self._listener.getsockname()[1]

    @property
    def address(self) -> str:
        """``127.0.0.1:PORT``."""
        return "{}:{}".format(self._host, self.port)

    def open(self, context: Optional[ssl.SSLContext] = None) -> None:
        """Accept connections.

        Args:
            context: TLS other than the server's own, for faults.
        """
        self._listening = True
        self._listener.listen(512)
        self._start(self._accept, self._listener, context or self._context)

    def close(self) -> None:
        """End all connections and refuse new ones; the port stays reserved.

        A port that nobody is bound to could meanwhile be given to a client's socket, even to one that tries to
        connect to that very port.
        """
        self.release()
        self._listener = _bound(self._host, self.port)

    def release(self) -> None:
        """End everything, port and all, and wait for the threads."""
        self.hang_up()
        self.join()

    def hang_up(self) -> None:
        """End everything, port and all."""
        with self._lock:
            self._listening = False
            socks = list(self._socks)
            for _ in range(self._idle):
                self._accepted.put(None)
            self._idle = 0
        # shutdown() wakes the thread in accept(), and holds for copies of the socket in forked children too.
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for sock in socks:
            # Not SSLSocket's own, which pulls the TLS object from under the thread that reads.
            with suppress(OSError):
                socket.socket.shutdown(sock, socket.SHUT_RDWR)

    def join(self) -> None:
        """Wait for the threads to end."""
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
                self._start(self._converse_on_and_on, sock, context)

    def _converse_on_and_on(self, sock: socket.socket, context: ssl.SSLContext) -> None:
        """Converse on one connection after another, as long as the server listens.

        A thread that ends takes locks of OpenSSL: they would stay taken in a child that a test forks meanwhile.
        """
        accepted: Optional[Tuple[socket.socket, ssl.SSLContext]] = (sock, context)
        while accepted is not None:
            self._converse(*accepted)
            with self._lock:
                if not self._listening:
                    return
                self._idle += 1
            accepted = self._accepted.get()

    def _converse(self, sock: socket.socket, context: ssl.SSLContext) -> None:
        try:
            self._enter(sock)
            if self._tls_only or sock.recv(1, socket.MSG_PEEK) == _TLS_HANDSHAKE:
                self._leave(sock)
                sock = context.wrap_socket(sock, server_side=True, do_handshake_on_connect=False)
                self._enter(sock)
                sock.do_handshake()
            self._serve(sock)
        except OSError:
            pass  # the client left, or would not trust our certificate
        finally:
            self._leave(sock)
            sock.close()

    def _serve(self, sock: socket.socket) -> None:
        connection: Any = HTTPConnection(self._protocol, sock, MakeFile)
        try:
            while connection.communicate():
                pass
        finally:
            # What could not be sent to a client that left would otherwise be tried again by the garbage collector.
            for close in (connection.wfile.close, connection.close):
                with suppress(OSError):
                    close()

    def _enter(self, sock: socket.socket) -> None:
        with self._lock:
            if not self._listening:
                raise ConnectionAbortedError("the server is closed")
            self._socks.add(sock)
        sock.settimeout(_IDLE_SECONDS)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def _leave(self, sock: socket.socket) -> None:
        with self._lock:
            self._socks.discard(sock)


def _bound(host: str, port: int) -> socket.socket:
    sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    if port:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        sock.bind((host, port))
    except OSError as error:
        sock.close()
        raise OSError(error.errno, "cannot listen on {}:{}: {}".format(host, port, error.strerror)) from None
    # The connections inherit it, so that this port can be bound again while they linger; not before a free port has
    # been found, which would then be looked for among ports in use.
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    return sock


class _Protocol(HTTPServer):
    """What cheroot's connections ask their server for; it is never started."""

    can_add_keepalive_connection = True

    def __init__(self, handler: Callable[[Request], Answer]) -> None:
        super().__init__((HOST, 0), _Conversation, server_name="LocalCloud")
        self.handler = handler

    def error_log(self, msg: str = "", level: int = logging.INFO, traceback: bool = False) -> None:
        # Below ERROR cheroot reports clients that left, which is daily business here.
        _log.log(level if level >= logging.ERROR else logging.DEBUG, "%s", msg, exc_info=traceback)


class _Conversation(Gateway):
    """One request and its answer, between cheroot and a handler."""

    def respond(self) -> None:
        request = Request(self.req)
        self.req.rfile = None  # or cheroot would read what is left of the body before it answers
        try:
            answer = self.req.server.handler(request)
            if answer.early is None:
                request.drain()
                self._send(answer)
            else:
                self._send_early(answer, request)
        except Dropped as drop:
            # Only here, when it is in the log: the client may look there as soon as it notices.
            drop.end(request.sock)
            raise

    def _send_early(self, answer: Answer, request: Request) -> None:
        """Answer while the client is still sending, and treat what it sends as the answer says."""
        self.req.close_connection = answer.early != DRAINED
        self._send(answer)
        if answer.early == DRAINED:
            request.drain()
        elif answer.early == HALF_CLOSED:
            # Not SSLSocket's own, which would no longer read either.
            socket.socket.shutdown(request.sock, socket.SHUT_WR)
            _read_on(request)

    def _send(self, answer: Answer) -> None:
        self.req.status = "{} {}".format(
            answer.status, http.client.responses.get(answer.status, "Unknown")).encode("latin-1")
        self.req.outheaders = [(name.encode("latin-1"), value.encode("latin-1"))
                               for name, value in answer.headers.items()]
        if self.req.method == b"HEAD" or answer.status in (204, 304):
            self.req.ensure_headers_sent()
            return
        if isinstance(answer.body, bytes):
            try:
                self._send_at_once(answer.body)
            except OSError:
                answer.unsent()
                raise
            return
        self.req.ensure_headers_sent()
        try:
            for piece in answer.body:
                self.req.write(piece)
        finally:
            answer.body.close()

    def _send_at_once(self, body: bytes) -> None:
        """Headers and a short body in one segment."""
        wfile = self.req.conn.wfile
        write = wfile.write
        held: List[bytes] = []
        wfile.write = held.append
        try:
            self.req.ensure_headers_sent()
        finally:
            wfile.write = write
        write(b"".join(held) + body)


def _read_on(request: Request) -> None:
    """Read from a client that has its answer until it is done, but not for ever."""
    deadline = time.monotonic() + _LINGER_SECONDS
    request.sock.settimeout(_LINGER_IDLE_SECONDS)
    with suppress(OSError):
        for _ in request.pieces():
            if time.monotonic() > deadline:
                return
