"""Services that the local cloud lacks, as far as the plugins of ``examples/`` need them: small, over HTTP."""

import collections
import http.server
import socketserver
import threading

Request = collections.namedtuple("Request", "method path query headers body")
Call = collections.namedtuple("Call", "access_key_id status connection")


class Refused(Exception):
    """The service's own error.

    Args:
        status: HTTP status.
        code: the service's.
        message: the service's.
    """

    def __init__(self, status, code, message):
        super(Refused, self).__init__(code)
        self.status, self.code, self.message = status, code, message


class Service:
    """Accepts the current key of one secret of a local cloud, and logs its calls.

    Subclasses say how a request is signed, and what an answer looks like.
    """

    def __init__(self, cloud, secret_name):
        self._cloud = cloud
        self.secret_name = secret_name
        self.calls = []
        self.refusals = []
        self._server = Server(self)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True)
        self._thread.start()
        self.address = "127.0.0.1:{}".format(self._server.server_port)

    def close(self):
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def respond(self, request, connection):
        """Return status, headers and body."""
        access_key_id = self.access_key_id(request)
        key = self._cloud.secret(self.secret_name).current
        try:
            if access_key_id != key.access_key_id:
                raise self.unknown_key()
            if self.refusals:
                raise self.refusals.pop(0)
            self.check(request, key)
            status, headers, body = self.accept(request, key)
        except Refused as refused:
            status, headers, body = self.refuse(refused)
        self.calls.append(Call(access_key_id, status, connection))
        return status, headers, body

    def statuses(self):
        return [call.status for call in self.calls]


class Server(socketserver.ThreadingMixIn, http.server.HTTPServer):
    daemon_threads = True
    request_queue_size = 64

    def __init__(self, service):
        super(Server, self).__init__(("127.0.0.1", 0), Conversation)
        self.service = service


class Conversation(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def answer(self):
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        path, _, query = self.path.partition("?")
        request = Request(self.command, path, query, self.headers, body)
        status, headers, body = self.server.service.respond(request, self.client_address)
        self.send_response(status)
        for name, value in dict(headers, **{"Content-Length": str(len(body))}).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_POST = answer

    def log_message(self, *args):
        pass
