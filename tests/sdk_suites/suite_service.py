"""A business service on loopback for the sdk-core tests: it writes down every request as it came over the wire, and answers as it is told.

It checks no signature (that is the local cloud's work): two clients are compared by what they send.
"""
import collections
import http.server
import json
import socket
import socketserver
import threading

Received = collections.namedtuple('Received', 'method path headers body connection')


class Answer(object):
    """What to answer to one request; `hang_up` closes the connection instead."""

    def __init__(self, status=200, body=b'{"RequestId":"R-1"}', headers=(), hang_up=False, wait_for=None):
        self.status = status
        self.body = body if isinstance(body, bytes) else json.dumps(body).encode('utf-8')
        self.headers = dict({'Content-Type': 'application/json;charset=utf-8'}, **dict(headers))
        self.hang_up = hang_up
        self.wait_for = wait_for


class RecordingService(object):
    """Use as a context manager; `answers` are taken one a request, the last one again and again."""

    def __init__(self):
        self.received = []
        self.answers = [Answer()]
        self._answer_by = None
        self._lock = threading.Lock()
        self._server = _Server(('127.0.0.1', 0), _Handler)
        self._server.service = self
        self.host, self.port = self._server.server_address
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={'poll_interval': 0.02})
        self._thread.daemon = True

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *exception):
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def start_anew(self):
        self.take()
        self.answer(Answer())

    def answer(self, *answers):
        self.answers = list(answers)
        self._answer_by = None

    def answer_by(self, function):
        """Answers each request with what the function makes of it."""
        self._answer_by = function

    def take(self):
        """The requests received since the last time."""
        with self._lock:
            received, self.received = self.received, []
            return received

    def note(self, received):
        with self._lock:
            self.received.append(received)
            if self._answer_by is not None:
                return self._answer_by(received)
            return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]


class _Server(socketserver.ThreadingMixIn, http.server.HTTPServer):
    daemon_threads = True
    block_on_close = False

    def handle_error(self, request, client_address):
        """A client that timed out and left is no news."""


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = 'HTTP/1.1'
    disable_nagle_algorithm = True

    def _handle(self):
        body = self.rfile.read(int(self.headers.get('Content-Length') or 0))
        answer = self.server.service.note(Received(self.command, self.path, list(self.headers.items()), body, self.client_address[1]))
        if answer.wait_for is not None:
            answer.wait_for.wait(10)
        if answer.hang_up:
            self.close_connection = True
            self.connection.shutdown(socket.SHUT_RDWR)
            return
        self.send_response(answer.status)
        for name, value in answer.headers.items():
            self.send_header(name, value)
        self.send_header('Content-Length', str(len(answer.body)))
        self.end_headers()
        if self.command != 'HEAD':
            self.wfile.write(answer.body)

    do_GET = do_POST = do_PUT = do_DELETE = do_HEAD = do_PATCH = do_OPTIONS = _handle

    def log_message(self, *arguments):
        """Says nothing."""
