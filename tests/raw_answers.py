"""Answers that a test gives the local cloud byte by byte, and a list of those that are not valid HTTP."""

from aliyun_sdk_secretsmanager_testing import Fault
from aliyun_sdk_secretsmanager_testing.http import Dropped


class _Sent(Dropped):
    def __init__(self, answer):
        super().__init__("raw")
        self._answer = answer

    def end(self, sock):
        sock.sendall(self._answer)


class RawAnswer(Fault):
    """Sends these bytes, which need not be HTTP, and ends the connection."""

    def __init__(self, answer):
        super().__init__("raw", answer=answer)

    def act(self, request, released, answer, refuse):
        request.drain()
        raise _Sent(self.settings["answer"])


def chunked(*lines):
    return b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + b"\r\n".join(lines)


def plain(body, *headers, status=b"200 OK"):
    return b"\r\n".join([b"HTTP/1.1 " + status, *headers, b"", body])


BROKEN = {
    "chunk of negative size": chunked(b"-5", b'{"SecretData"', b"0", b"", b""),
    "chunk of all sizes at once": chunked(b"-1", b"{}", b"0", b"", b""),
    "second chunk of negative size": chunked(b"2", b'{"', b"-14", b"SecretData", b"0", b"", b""),
    "chunk size that is no number": chunked(b"zz", b"{}", b"0", b"", b""),
    "chunk size with blanks and signs": chunked(b" +1_0 ", b"{}", b"0", b"", b""),
    "huge chunk size": chunked(b"f" * 300, b"{}", b"0", b"", b""),
    "empty chunk size": chunked(b"", b"{}", b"0", b"", b""),
    "endless chunk size": chunked(b"1" * 70000),
    "chunk without an end": chunked(b"5", b"{"),
    "negative length": plain(b"{}", b"Content-Length: -5"),
    "length that is no number": plain(b"{}", b"Content-Length: many"),
    "two lengths": plain(b"{}", b"Content-Length: 2", b"Content-Length: 3"),
    "length of more than there is": plain(b"{}", b"Content-Length: 9999999999999999999999"),
    "no gzip": plain(b"{}", b"Content-Encoding: gzip", b"Content-Length: 2"),
    "no deflate": plain(b"{}", b"Content-Encoding: deflate, gzip", b"Content-Length: 2"),
    "unknown encoding": plain(b"\x00\x01", b"Content-Encoding: rot13", b"Content-Length: 2"),
    "no status": b"HTTP/1.1\r\n\r\n{}",
    "status that is no number": plain(b"{}", status=b"OK"),
    "status of two digits": plain(b"{}", status=b"20 OK"),
    "status of four digits": plain(b"{}", status=b"2000 OK"),
    "negative status": plain(b"{}", status=b"-200 OK"),
    "no content": plain(b"", status=b"204 No Content"),
    "another place": plain(b"", b"Location: http://[", b"Content-Length: 0", status=b"302 Found"),
    "other protocol": plain(b"", b"Upgrade: h2c", status=b"101 Switching Protocols"),
    "other version": b"HTTP/9.9 200 OK\r\nContent-Length: 2\r\n\r\n{}",
    "no HTTP": b"SSH-2.0-OpenSSH_9.6\r\n",
    "nothing": b"",
    "huge header": plain(b"{}", b"X-Long: " + b"x" * 100000),
    "many headers": plain(b"{}", *[b"X-%d: x" % number for number in range(300)]),
    "header that is none": plain(b"{}", b"\x00\xff\xfe", b": nameless", b"Content-Length: 2"),
    "unknown charset": plain(b"\xff\xfe{\x00}\x00", b"Content-Type: application/json; charset=\xff", b"Content-Length: 6"),
    "page": plain(b"<html>", b"Content-Type: text/html; charset=nonsense", b"Content-Length: 6", status=b"404 Not Found"),
}
