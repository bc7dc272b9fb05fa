"""Secrets Manager's GetSecretValue with its quota of 450 requests a second, for many secrets. It verifies no signature.

It prints its host:port and the path of its CA file. At its end it prints the most requests of one second.
"""

import asyncio
import collections
import json
import ssl
import sys
import tempfile
import time
from typing import Dict
from urllib.parse import parse_qs, urlsplit

import trustme

# Requests a second, of an account in a region (KMS, "Quotas").
QUOTA = 450

served: Dict[int, int] = collections.Counter()
refused: Dict[int, int] = collections.Counter()


def answer(path: str) -> bytes:
    """Return the answer to a request."""
    name = parse_qs(urlsplit(path).query)["SecretName"][0]
    second = int(time.monotonic())
    if served[second] >= QUOTA:
        refused[second] += 1
        status, body = "429 Too Many Requests", {"Code": "Rejected.Throttling", "Message": "QPS Limit Exceeded",
                                                 "RequestId": "1"}
    else:
        served[second] += 1
        data = json.dumps({"AccessKeyId": "LTAI5t" + name, "AccessKeySecret": "s" * 30})
        status, body = "200 OK", {
            "SecretName": name, "VersionId": "v1", "SecretData": data, "SecretDataType": "text", "RequestId": "1",
            "SecretType": "RAMCredentials", "NextRotationDate": "2099-11-28T10:00:00Z"}
    content = json.dumps(body).encode("ascii")
    return "HTTP/1.1 {}\r\nContent-Length: {}\r\n\r\n".format(status, len(content)).encode("ascii") + content


async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer the requests of a connection, which have no body."""
    try:
        while True:
            head = await reader.readuntil(b"\r\n\r\n")
            writer.write(answer(head.split(b" ", 2)[1].decode("ascii")))
    except (asyncio.IncompleteReadError, OSError):
        writer.close()


async def main() -> None:
    """Serve until the standard input ends."""
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    with tempfile.NamedTemporaryFile(suffix=".pem") as ca_file:
        authority.cert_pem.write_to_path(ca_file.name)
        server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
        print(json.dumps(["127.0.0.1:{}".format(server.sockets[0].getsockname()[1]), ca_file.name]), flush=True)
        await asyncio.get_event_loop().run_in_executor(None, sys.stdin.read)
    print(json.dumps([max(served.values(), default=0), sum(refused.values())]), flush=True)


if __name__ == "__main__":
    asyncio.run(main())
