"""An API that costs as little as possible: it prints its port, and answers each request at once."""

import socketserver

ANSWER = b'{"RequestId":"1"}'
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(ANSWER)


class Connection(socketserver.StreamRequestHandler):
    """One connection, with requests that have no body."""

    def handle(self) -> None:
        """Answer until the client leaves."""
        for line in self.rfile:
            if line == b"\r\n":
                self.wfile.write(HEAD + ANSWER)


class Server(socketserver.ThreadingTCPServer):
    """A server with a thread for each connection."""

    daemon_threads = True
    request_queue_size = 128


if __name__ == "__main__":
    with Server(("127.0.0.1", 0), Connection) as server:
        print(server.server_address[1], flush=True)
        server.serve_forever()
