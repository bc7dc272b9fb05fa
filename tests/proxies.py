"""Proxies on loopback that open tunnels: over HTTP, over HTTPS, and over SOCKS 5."""

import socket
import threading


class Proxy:
    """A proxy that keeps what it was asked.

    Args:
        context: the TLS context of a proxy that is asked over HTTPS.

    Attributes:
        url: its URL.
        heads: what came before each tunnel.
    """

    scheme = "http"

    def __init__(self, context=None):
        self._context = context
        self._listener = socket.socket()
        self._listener.bind(("127.0.0.1", 0))
        self._listener.listen(8)
        self._socks = []
        self.heads = []
        self.address = "127.0.0.1:{}".format(self._listener.getsockname()[1])
        self.url = "{}://{}".format("https" if context else self.scheme, self.address)
        self._start(self._accept)

    def close(self):
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.hang_up()

    def hang_up(self):
        """End all tunnels."""
        while self._socks:
            try:
                self._socks.pop().shutdown(socket.SHUT_RDWR)
            except OSError:
                pass  # the other side was faster

    def open(self, sock):
        """Read to where the client wants a tunnel, and answer; return the place, None to open none."""
        host, _, port = self.read_head(sock).split()[1].rpartition(":")
        sock.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
        return host.strip("[]"), int(port)

    def read_head(self, sock):
        """Read what comes before a tunnel. A proxy that closed without it would break the client's sending."""
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            head += sock.recv(1) or b"\r\n\r\n"
        self.heads.append(head.decode("latin-1"))
        return self.heads[-1]

    def _start(self, target, *args):
        threading.Thread(target=self._run, args=(target,) + args, daemon=True).start()

    def _run(self, target, *args):
        try:
            target(*args)
        except OSError:
            pass  # somebody hung up

    def _accept(self):
        while True:
            sock, _ = self._listener.accept()
            self._socks.append(sock)
            self._start(self._serve, sock)

    def _serve(self, sock):
        with self._context.wrap_socket(sock, server_side=True) if self._context else sock as sock:
            place = self.open(sock)
            if place is not None:
                with socket.create_connection(place) as far:
                    self._socks.append(far)
                    self._start(self._pump, far, sock)
                    self._pump(sock, far)

    @staticmethod
    def _pump(source, sink):
        while True:
            piece = source.recv(65536)
            if not piece:
                sink.shutdown(socket.SHUT_RDWR)
                return
            sink.sendall(piece)


class SocksProxy(Proxy):
    """A proxy of SOCKS 5 (RFC 1928, with the user and password of RFC 1929)."""

    scheme = "socks5"

    def open(self, sock):
        def read(count):
            piece = b""
            while len(piece) < count:
                piece += sock.recv(count - len(piece)) or b"\0" * count
            return piece

        methods = read(read(2)[1])
        if 2 in methods:
            sock.sendall(b"\x05\x02")
            user = read(read(2)[1])
            self.heads.append((user + b":" + read(read(1)[0])).decode("ascii"))
            sock.sendall(b"\x01\x00")
        else:
            sock.sendall(b"\x05\x00")
        assert read(4)[3] == 1  # an address of IPv4
        host, port = socket.inet_ntoa(read(4)), int.from_bytes(read(2), "big")
        sock.sendall(b"\x05\x00\x00\x01" + b"\0" * 6)
        return host, port
