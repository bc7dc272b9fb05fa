"""The services that the tests of a plugin call: one of the local cloud, or a small one that the local cloud lacks."""

import http.server
import socketserver
import threading
from typing import TYPE_CHECKING, Any, Dict, List, NamedTuple, Optional, Sequence, Tuple

from .faults import Fault

if TYPE_CHECKING:
    from .access_key import AccessKeyPair
    from .cloud import LocalCloud

# The arguments of ``refuse``.
DENIED, INVALID, REJECTED = "denied", "invalid", "rejected"


class CloudService:
    """A service of the local cloud, with the methods that the contract uses. A ``PluginService`` has them, too.

    Args:
        cloud: a started local cloud.
        name: ``api`` or ``oss``.

    Attributes:
        address: ``127.0.0.1:PORT``.
    """

    _FAULTS = {DENIED: Fault.forbidden(), INVALID: Fault.status(400, "InvalidParameter"),
               REJECTED: Fault.status(403, "InvalidAccessKeyId")}

    def __init__(self, cloud: "LocalCloud", name: str) -> None:
        self.cloud = cloud
        self._name = name
        self.address = cloud.api_endpoint if name == "api" else cloud.oss_endpoint.partition("//")[2]

    def calls(self) -> Sequence[Any]:
        """Return the requests that came, the oldest first."""
        return self.cloud.calls(self._name)

    def refuse(self, why: str) -> None:
        """Refuse the next request although its key is valid.

        Args:
            why: ``denied``, ``invalid`` or ``rejected``.
        """
        self.cloud.inject(self._name, self._FAULTS[why], times=1)


class PluginRequest(NamedTuple):
    """A request as it was sent; nothing is decoded."""

    method: str
    path: str
    query: str
    headers: Any
    body: bytes


class PluginCall(NamedTuple):
    """A request that the service answered.

    Attributes:
        access_key_id: the id of the key that signed it, as the request says.
        status: the HTTP status of the answer.
        code: the error code; empty on success.
    """

    access_key_id: Optional[str]
    status: int
    code: str


class Refused(Exception):
    """An error that the service answers.

    Args:
        status: HTTP status.
        code: the service's error code.
        message: the service's message.
    """

    def __init__(self, status: int, code: str, message: str = "") -> None:
        super().__init__(code)
        self.status, self.code, self.message = status, code, message


class PluginService:
    """A service that accepts the keys of one secret while the local cloud says that they are valid.

    A subclass says how requests are signed, and what answers look like.

    Args:
        cloud: a started local cloud.
        secret_name: the name of the secret.

    Attributes:
        address: ``127.0.0.1:PORT``, where it speaks HTTP.
        INVALID: the error for a request that is wrong, though its key is valid: status, code and perhaps a message.
        DENIED: the error for a key that lacks a permission.
        REJECTED: the error for a key that the service does not know, or no longer.
    """

    INVALID: Tuple[Any, ...] = (400, "InvalidParameter")
    DENIED: Tuple[Any, ...] = (403, "Forbidden")
    REJECTED: Tuple[Any, ...] = (403, "InvalidAccessKeyId")

    def __init__(self, cloud: "LocalCloud", secret_name: str) -> None:
        self.cloud = cloud
        self._secret_name = secret_name
        self._calls: List[PluginCall] = []
        self._refusals: List[str] = []
        self._server = _Server(self)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True)
        self._thread.start()
        self.address = "127.0.0.1:{}".format(self._server.server_port)

    def __enter__(self) -> "PluginService":
        return self

    def __exit__(self, *exc_info: Any) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def access_key_id(self, request: PluginRequest) -> Optional[str]:
        """Return the id of the key that a request says it is signed with."""
        raise NotImplementedError

    def check(self, request: PluginRequest, key: "AccessKeyPair") -> None:
        """Check the signature and the token.

        Args:
            request: the request.
            key: the key that the request must be signed with.

        Raises:
            Refused: one of them is wrong.
        """
        raise NotImplementedError

    def accept(self, request: PluginRequest, key: "AccessKeyPair") -> Tuple[int, Dict[str, str], bytes]:
        """Return status, headers and body of the right answer.

        Args:
            request: the request.
            key: the key that it is signed with.
        """
        raise NotImplementedError

    def answer(self, refused: Refused) -> Tuple[int, Dict[str, str], bytes]:
        """Return status, headers and body of an error answer."""
        raise NotImplementedError

    def calls(self) -> List[PluginCall]:
        """Return the requests that came, the oldest first."""
        return list(self._calls)

    def refuse(self, why: str) -> None:
        """Refuse the next request although its key is valid.

        Args:
            why: ``denied``, ``invalid`` or ``rejected``.
        """
        self._refusals.append(why)

    def respond(self, request: PluginRequest) -> Tuple[int, Dict[str, str], bytes]:
        """Return status, headers and body of the answer to a request."""
        access_key_id, code = self.access_key_id(request), ""
        try:
            key = self._key(access_key_id)
            if key is None:
                raise Refused(*self.REJECTED)
            if self._refusals:
                raise Refused(*getattr(self, self._refusals.pop(0).upper()))
            self.check(request, key)
            answer = self.accept(request, key)
        except Refused as refused:
            answer, code = self.answer(refused), refused.code
        self._calls.append(PluginCall(access_key_id, answer[0], code))
        return answer

    def _key(self, access_key_id: Optional[str]) -> "Optional[AccessKeyPair]":
        for version in self.cloud.secret(self._secret_name).versions:
            key = version.access_key
            if key is not None and key.access_key_id == access_key_id:
                return key if self.cloud.accepts(key) else None
        return None


class _Server(socketserver.ThreadingMixIn, http.server.HTTPServer):
    daemon_threads = True
    request_queue_size = 64

    def __init__(self, service: PluginService) -> None:
        super().__init__(("127.0.0.1", 0), _Conversation)
        self.service = service


class _Conversation(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def respond(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        path, _, query = self.path.partition("?")
        status, headers, body = self.server.service.respond(
            PluginRequest(self.command, path, query, self.headers, body))
        self.send_response(status)
        for name, value in dict(headers, **{"Content-Length": str(len(body))}).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = respond

    def log_message(self, *args: Any) -> None:
        pass
