"""Requests of the official SDKs: made by them, recorded from them, and sent again with one byte changed."""
import hashlib
import hmac
import http.client
import json
import socket
import ssl
import threading
from base64 import b64encode
from contextlib import contextmanager

from aliyunsdkcore.request import CommonRequest, RpcRequest
from aliyunsdkkms.request.v20160120.GetSecretValueRequest import GetSecretValueRequest


class HmacSha256:
    """The signer of RPC requests that the SDK can take but does not ship."""

    @staticmethod
    def get_sign_string(source, secret):
        return b64encode(hmac.new(secret.encode(), source.encode(), hashlib.sha256).digest()).decode()

    @staticmethod
    def get_signer_name():
        return "HMAC-SHA256"

    @staticmethod
    def get_signer_version():
        return "1.0"

    @staticmethod
    def get_signer_type():
        return ""


def get_secret_value(endpoint, name="app/key", **more):
    request = GetSecretValueRequest()
    request.set_SecretName(name)
    request.set_endpoint(endpoint)
    request.set_protocol_type("https")
    for parameter, value in more.items():
        request.add_query_param(parameter, value)
    return request


def rpc(endpoint, method="GET", signer=None):
    if signer is None:
        request = CommonRequest(domain=endpoint, version="2014-05-26", action_name="DescribeRegions")
    else:
        request = RpcRequest("Ecs", "2014-05-26", "DescribeRegions", signer=signer)
        request.set_endpoint(endpoint)
    request.set_method(method)
    request.add_query_param("Tricky", "a b*~/+&=é")
    if method == "POST":
        request.add_body_params("Field", "1 2&3=é~*")
    return request


def roa(endpoint, method="GET", content=None):
    request = CommonRequest(domain=endpoint, version="2015-12-15", action_name="DescribeCluster",
                            uri_pattern="/clusters/[id]/nodes")
    request.add_path_param("id", "c1")
    request.set_method(method)
    request.add_query_param("b", "x y&é")
    request.add_query_param("a", "1")
    if content is not None:
        request.set_content(content)
        request.set_content_type("application/json")
    return request


def answer(client, request):
    return json.loads(client.do_action_with_exception(request).decode("utf-8"))


@contextmanager
def recorder():
    """Yield an address, and the list of the raw requests sent there, which get no answer."""
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen(5)
    requests = []

    def record():
        while True:
            try:
                sock, _ = listener.accept()
            except OSError:
                return
            requests.append(_whole_request(sock))
            sock.close()

    thread = threading.Thread(target=record, daemon=True)
    thread.start()
    try:
        yield "127.0.0.1:{}".format(listener.getsockname()[1]), requests
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join(30)


def recorded(send):
    """Return the raw request that an SDK sends in ``send(address)``."""
    with recorder() as (address, requests):
        try:
            send(address)
        except Exception:
            pass  # the recorder closes the connection without an answer
    assert requests, "the SDK sent nothing"
    return requests[0]


def _whole_request(sock):
    raw = b""
    while b"\r\n\r\n" not in raw:
        raw += sock.recv(65536)
    head, _, body = raw.partition(b"\r\n\r\n")
    length = [int(line.split(b":")[1]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:")]
    while len(body) < sum(length):
        body += sock.recv(65536)
    return head + b"\r\n\r\n" + body


class Replayer:
    """Sends raw requests on one connection."""

    def __init__(self, address, ca_file=None):
        host, port = address.replace("http://", "").split(":")
        self._address = (host, int(port))
        self._ca_file = ca_file
        self._sock = None

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self._close()

    def send(self, raw):
        """Send a request, and return status, headers and body of the answer."""
        if self._sock is None:
            self._sock = socket.create_connection(self._address, 10)
            if self._ca_file:
                context = ssl.create_default_context(cafile=self._ca_file)
                self._sock = context.wrap_socket(self._sock, server_hostname=self._address[0])
        self._sock.sendall(raw)
        response = http.client.HTTPResponse(self._sock, method=raw.split(b" ")[0].decode("latin-1"))
        response.begin()
        body = response.read()
        # cheroot itself refuses malformed requests, and closes the connection.
        if response.will_close or not response.getheader("Server"):
            self._close()
        return response.status, response.headers, body

    def _close(self):
        if self._sock is not None:
            self._sock.close()
            self._sock = None


def changes(raw, unsigned):
    """Yield every request that differs from one in a single signed byte.

    Args:
        raw: the recorded request.
        unsigned: lower-case names of headers that it does not cover.

    Yields:
        What was changed, and the changed request.
    """
    head, _, body = raw.partition(b"\r\n\r\n")
    position = 0
    for number, line in enumerate(head.split(b"\r\n")):
        name = line.split(b":")[0].decode("latin-1").lower()
        end = line.rindex(b" HTTP/") if number == 0 else len(line)
        if number == 0 or name not in unsigned:
            for offset in range(end):
                yield _changed(raw, position + offset)
        position += len(line) + 2
    for offset in range(len(body)):
        yield _changed(raw, len(head) + 4 + offset)


def _changed(raw, position):
    byte = raw[position:position + 1]
    if byte.isdigit():
        other = b"7" if byte != b"7" else b"3"
    elif byte.isupper():
        other = b"Q" if byte != b"Q" else b"K"
    else:
        other = b"q" if byte != b"q" else b"k"
    note = raw[max(0, position - 10):position] + b"[" + byte + b"->" + other + b"]"
    return note, raw[:position] + other + raw[position + 1:]


def signed_put(key, bucket, name, body):
    """Return the head of a PUT, signed by oss2, for a body of that length; None is a body in chunks."""
    import oss2
    request = oss2.http.Request("PUT", "http://x/{}/{}".format(bucket, name), headers={"Content-Type": "text/plain"})
    oss2.Auth(key.access_key_id, key.access_key_secret)._sign_request(request, bucket, name)
    request.headers["Transfer-Encoding" if body is None else "Content-Length"] = \
        "chunked" if body is None else str(len(body))
    lines = ["{}: {}".format(*item) for item in request.headers.items()]
    return "\r\n".join(["PUT /{}/{} HTTP/1.1".format(bucket, name.replace(" ", "%20")), "Host: x"] + lines
                       + ["", ""]).encode()
