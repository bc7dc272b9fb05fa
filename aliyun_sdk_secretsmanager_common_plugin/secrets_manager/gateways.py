"""The two kinds of gateway to Secrets Manager: the shared one of a region, and the dedicated one of a KMS instance.

The SDK makes and signs the requests to the shared gateway. This module sends them itself, since ``AcsClient`` logs the
bodies of responses.
"""

import hashlib
import logging
import time
from typing import Any, Dict, List, Mapping, NamedTuple, Optional, Sequence, Tuple, Union
from urllib.parse import urlsplit
from urllib.request import getproxies

from aliyunsdkcore.acs_exception import error_code
from aliyunsdkcore.acs_exception.exceptions import ClientException, ServerException

from ..identities.identity import Identity
from ..secrecy import json_object, mask, mask_access_key_ids, reason
from ..settings import DedicatedGatewaySettings, SharedGatewaySettings, system_ca
from ..version import USER_AGENT
from .connections import Connections, KeptConnectionClosed
from .https_connection import PROXY_PREFIX, HttpsConnection
from .tls import Tls, UnusableCa

logger = logging.getLogger(__name__)

# The fields of an answer of GetSecretValue (KMS API 2016-01-20).
Answer = Mapping[str, Any]

# The schemes of a proxy's URL.
_PROXIES = ("http", "https", "socks4", "socks4a", "socks5", "socks5h")
# Seconds that a request has at least when it is sent again.
LEAST_TIMEOUT = 0.05

# The fields of GetSecretValueResponse and Error by number, from 1 (api_pb2 of ``alibabacloud-dkms-gcs`` 1.0.2).
_ANSWER_FIELDS = (
    "SecretName", "SecretType", "SecretData", "SecretDataType", "VersionStages", "VersionId", "CreateTime", "RequestId",
    "LastRotationDate", "NextRotationDate", "ExtendedConfig", "AutomaticRotation", "RotationInterval",
)
_ERROR_FIELDS = ("StatusCode", "Code", "Message", "RequestId")


class UnreadableAnswer(ClientException):  # type: ignore[misc]
    """Something other than Secrets Manager answered, such as a proxy with a page of its own."""


class UntrustedGateway(ClientException):  # type: ignore[misc]
    """The gateway's certificate could not be verified."""


class SignedRequest(NamedTuple):
    """A request for a secret. Path and headers hold the identity's token and the signature, so ``repr`` is empty."""

    path: str
    headers: Mapping[str, str]
    body: bytes = b""
    token: str = ""

    def __repr__(self) -> str:
        return "SignedRequest()"


class Gateway:
    """A way to read secrets."""

    def get_secret_value(self, secret_name: str, timeout: float, connections: Optional[Connections] = None) -> Answer:
        """Return the answer for the current version.

        Args:
            secret_name: the secret.
            timeout: seconds for connecting, again for the answer to begin, and again for the rest of it.
            connections: the connections that the calling thread keeps. None opens one for this request alone.

        Raises:
            ServerException: Secrets Manager answered with an error.
            IdentityError: there are no credentials to sign with.
            UnreadableAnswer: the answer is not from Secrets Manager.
            UntrustedGateway: the certificate is not trusted.
            ClientException: there was no connection, or no answer in time.
        """
        raise NotImplementedError

    def waiting_for(self) -> str:
        """Return whom an unanswered request waits for, for messages."""
        raise NotImplementedError

    def after_fork_in_child(self) -> None:
        """Drop the sockets and locks of the parent process."""


class HttpsGateway(Gateway):
    """A gateway over HTTPS. Subclasses define the protocol.

    Attributes:
        region_id: the region, for messages.
        endpoint: host or host:port.
        tls: how the gateway is verified.
    """

    # The key of the properties file that configures such a gateway.
    key: str
    # What to do about an error code, by the beginning of the code, or several. The first that matches counts.
    remedies: Tuple[Tuple[Union[str, Tuple[str, ...]], str], ...] = (
        ("Forbidden.ResourceNotFound", "check the secret's name, and that it is in this region and account"),
        ("Forbidden", "grant kms:GetSecretValue on the secret to the identity in the properties file"),
    )

    def __init__(self, region_id: str, endpoint: str, ca_file: Optional[str]) -> None:
        self.region_id = region_id
        self.endpoint = endpoint
        self.tls = Tls(ca_file or system_ca())

    def get_secret_value(self, secret_name: str, timeout: float, connections: Optional[Connections] = None) -> Answer:
        token, status, body = self._ask(secret_name, timeout, connections)
        if status != 200:
            raise self._refusal(secret_name, status, self.parse_error(body), token)
        return self._checked(secret_name, self.parse(body))

    def sign(self, secret_name: str) -> SignedRequest:
        """Return a signed request for the current version of a secret."""
        raise NotImplementedError

    def parse(self, body: bytes) -> Answer:
        """Return a good answer, which is empty if it cannot be read."""
        raise NotImplementedError

    def parse_error(self, body: bytes) -> Mapping[str, Any]:
        """Return Code, Message and RequestId of an error, none if it cannot be read."""
        raise NotImplementedError

    def waiting_for(self) -> str:
        return "Secrets Manager in {} ({})".format(self.region_id, self.endpoint)

    def after_fork_in_child(self) -> None:
        self.tls.forget()

    def _ask(self, secret_name: str, timeout: float, connections: Optional[Connections]) -> Tuple[str, int, bytes]:
        """Sign and send a request. Return the token that it was signed with, and status and body of the answer."""
        started = time.monotonic()
        request = self.sign(secret_name)
        problem = ""
        try:
            status, body = self._send(request, timeout, connections)
            return request.token, status, body
        except KeptConnectionClosed:
            pass
        except ClientException:  # from proxy_of
            raise
        except UnusableCa as error:
            raise self._untrusted(secret_name, str(error)) from None
        except Exception as error:  # HTTP parsers raise anything, such as ValueError for a chunk of -5 bytes
            problem = reason(error)
        # Raised outside of the handler: the other error leads to frames that hold the signed request.
        if problem:
            raise self._no_answer(secret_name, problem)
        # Once more, over a new connection and with a signature of its own.
        return self._ask(secret_name, max(timeout - (time.monotonic() - started), LEAST_TIMEOUT), connections)

    def _send(self, request: SignedRequest, timeout: float, connections: Optional[Connections]) -> Tuple[int, bytes]:
        kept = Connections() if connections is None else connections
        connection: HttpsConnection = kept.get(
            self, lambda: HttpsConnection(self.endpoint, self.tls, proxy_of("https://" + self.endpoint)))
        is_reusable = False
        try:
            answer = connection.post(request.path, dict(request.headers), request.body, timeout)
            is_reusable = connections is not None
            return answer
        finally:
            if not is_reusable:
                kept.drop(self)

    def _no_answer(self, secret_name: str, problem: str) -> ClientException:
        # The second text is Python 3.6's, where the certificate is of another host.
        if "certificate verify failed" in problem or "doesn't match" in problem:
            return self._untrusted(secret_name, "the {}'s certificate is not trusted ({})".format(
                "proxy" if PROXY_PREFIX in problem else "gateway", problem))
        return ClientException(error_code.SDK_HTTP_ERROR, self._about(
            secret_name, "no answer ({}); check the endpoint and the network".format(problem)))

    def _untrusted(self, secret_name: str, problem: str) -> UntrustedGateway:
        return UntrustedGateway(error_code.SDK_HTTP_ERROR, self._about(
            secret_name, "{}; set caFilePath in {} to the CA's PEM file".format(problem, self.key)))

    def _refusal(self, secret_name: str, status: int, error: Mapping[str, Any], token: str) -> Exception:
        """Return the exception for an error that Secrets Manager answered."""
        if not error:
            return self._unreadable(secret_name, status)
        code = str(error.get("Code", error_code.SDK_UNKNOWN_SERVER_ERROR))
        message = mask_access_key_ids(mask(str(error.get("Message") or "HTTP status {}".format(status))))
        if token:  # some messages repeat the request
            message = message.replace(token, "******")
        remedy = next((text for beginning, text in self.remedies if code.startswith(beginning)), "")
        if remedy and code == "SignatureDoesNotMatch":  # the message ends with the long string that was signed
            message = "{}. {}: {}".format(remedy, code, message)
        elif remedy:
            message = "{}; {}".format(message.rstrip("."), remedy)
        refusal: Exception = ServerException(code, self._about(secret_name, message), status, error.get("RequestId"))
        return refusal

    def _checked(self, secret_name: str, answer: Answer) -> Answer:
        """Return ``answer``, or raise an UnreadableAnswer if it lacks what every answer of Secrets Manager has."""
        texts = [answer.get(field) for field in ("SecretData", "SecretType", "VersionId")]
        if not texts[0] or not all(isinstance(text, (str, type(None))) for text in texts):
            raise self._unreadable(secret_name, 200)
        return answer

    def _unreadable(self, secret_name: str, status: int) -> UnreadableAnswer:
        return UnreadableAnswer(error_code.SDK_UNKNOWN_SERVER_ERROR, self._about(
            secret_name, "HTTP status {} with an answer that is not Secrets Manager's; check the endpoint and any proxy"
            .format(status)))

    def _about(self, secret_name: str, problem: str) -> str:
        return "Secrets Manager in {} ({}), secret {!r}: {}".format(
            self.region_id, self.endpoint, secret_name, problem)

    def __repr__(self) -> str:
        return "{}({}, {})".format(type(self).__name__, self.region_id, self.endpoint)


def is_identity_refused(error: Optional[BaseException]) -> bool:
    """Return whether a shared gateway rejected the identity's credentials, so that newer ones may work."""
    return isinstance(error, ServerException) and str(error.get_error_code()).startswith(
        ("InvalidSecurityToken", "InvalidAccessKeyId"))


class SharedGateway(HttpsGateway):
    """The public or VPC gateway of a region, which an identity asks."""

    key = "cache_client_region_id"
    remedies = HttpsGateway.remedies + (
        (("InvalidAccessKeyId", "InvalidAccessKeySecret", "SignatureDoesNotMatch"),
         "check the identity (credentials_type and its keys) in the properties file"),
        ("InvalidSecurityToken",
         "the identity's temporary credentials are no longer valid: check where they come from"),
    )

    def __init__(self, settings: SharedGatewaySettings, identity: Identity) -> None:
        super().__init__(settings.region_id, settings.endpoint, settings.ca_file)
        self._identity = identity

    def get_secret_value(self, secret_name: str, timeout: float, connections: Optional[Connections] = None) -> Answer:
        try:
            return super().get_secret_value(secret_name, timeout, connections)
        except ServerException as error:
            if not is_identity_refused(error) or not self._identity.renew():
                raise
        return super().get_secret_value(secret_name, timeout, connections)

    def sign(self, secret_name: str) -> SignedRequest:
        request = secret_request(secret_name)
        headers, path = self._identity.signer().sign(self.region_id, request)
        headers["User-Agent"] = USER_AGENT
        return SignedRequest(path, headers, token=request.get_query_params().get("SecurityToken", ""))

    def parse(self, body: bytes) -> Answer:
        return json_object(body) or {}

    def parse_error(self, body: bytes) -> Mapping[str, Any]:
        error = {name: text for name, text in self.parse(body).items() if isinstance(text, str)}
        return error if error.get("Code") else {}

    def waiting_for(self) -> str:
        return self._identity.waiting_for() or super().waiting_for()

    def after_fork_in_child(self) -> None:
        super().after_fork_in_child()
        self._identity.after_fork_in_child()


class DedicatedGateway(HttpsGateway):
    """The gateway of a KMS instance, with a protocol of its own and a client key.

    Protocol: ``alibabacloud-dkms-gcs`` 1.0.2 (API version ``dkms-gcs-0.2``).

    Raises:
        ConfigurationError: the client key cannot be opened.
    """

    key = "cache_client_dkms_config_info"

    def __init__(self, settings: DedicatedGatewaySettings) -> None:
        from ..identities.client_key import load_client_key

        super().__init__(settings.region_id, settings.endpoint, settings.ca_file)
        self._client_key = load_client_key(settings.client_key)
        self._check_the_client_key = "check that the client key {} belongs to this instance and has not expired".format(
            self._client_key.key_id)
        self.remedies += (("Unauthorized", self._check_the_client_key),)
        if settings.ignore_certificate:
            self.tls = Tls(None)
            logger.warning("the certificate of the dedicated gateway %s is not verified (ignoreSslCerts); whoever is "
                           "between can read its secrets: set caFilePath instead", self.endpoint)

    def sign(self, secret_name: str) -> SignedRequest:
        from email.utils import formatdate

        from . import protobuf

        body = protobuf.encode({1: secret_name, 2: "ACSCurrent", 4: True})
        signed = {
            "x-kms-acccesskeyid": self._client_key.key_id,  # this is how the protocol spells it
            "x-kms-apiname": "GetSecretValue",
            "x-kms-apiversion": "dkms-gcs-0.2",
            "x-kms-signaturemethod": "RSA_PKCS1_SHA_256",
        }
        date = formatdate(time.time(), usegmt=True)
        digest = hashlib.sha256(body).hexdigest().upper()
        content_type = "application/x-protobuf"
        lines = ["POST", digest, content_type, date] + [":".join(item) for item in sorted(signed.items())] + ["/"]
        return SignedRequest("/", dict(signed, **{
            "accept": content_type,
            "authorization": "Bearer " + self._client_key.sign("\n".join(lines)),
            "content-length": str(len(body)),
            "content-sha256": digest,
            "content-type": content_type,
            "date": date,
            "host": self.endpoint,
            "user-agent": USER_AGENT,
        }), body)

    def parse(self, body: bytes) -> Answer:
        texts = _texts(body, _ANSWER_FIELDS)
        stages = texts.pop("VersionStages", [])
        answer: Dict[str, Any] = {name: values[-1] for name, values in texts.items()}
        return dict(answer, VersionStages={"VersionStage": stages}) if answer else {}

    def parse_error(self, body: bytes) -> Mapping[str, Any]:
        error = {name: values[-1] for name, values in _texts(body, _ERROR_FIELDS).items()}
        return error if error.get("Code") else {}


def secret_request(secret_name: str) -> Any:
    """Return the SDK's request for the current version of a secret, unsigned.

    It is what ``GetSecretValueRequest`` of ``aliyun-python-sdk-kms`` makes.
    """
    from aliyunsdkcore.request import RpcRequest

    request = RpcRequest("Kms", "2016-01-20", "GetSecretValue", "kms")
    request.set_protocol_type("https")
    request.set_method("POST")
    request.set_accept_format("JSON")
    request.add_query_param("SecretName", secret_name)
    request.add_query_param("VersionStage", "ACSCurrent")
    request.add_query_param("FetchExtendedConfig", True)  # signed as "True", as the official client does
    return request


def is_proxy_named() -> bool:
    """Return whether the environment names a proxy for HTTPS, or the system's settings do."""
    return any(name.startswith(("https", "all")) for name in getproxies())


def proxy_of(url: str) -> str:
    """Return the URL of the proxy that the environment sets for ``url``, with its scheme, or an empty string.

    Raises:
        ClientException: the variable is not a URL.
    """
    if not is_proxy_named():  # requests need not be imported
        return ""
    from requests.utils import get_environ_proxies, select_proxy

    proxy = select_proxy(url, get_environ_proxies(url)) or ""
    if proxy and "://" not in proxy:
        proxy = "http://" + proxy
    try:
        parts = urlsplit(proxy)
        if not proxy or (parts.scheme in _PROXIES and parts.hostname and parts.port != 0):
            return proxy
    except ValueError:  # about the port or the brackets
        pass
    problem = "the environment variable HTTPS_PROXY is no URL of a proxy; write it as http://host:port, or unset it"
    raise ClientException(error_code.SDK_HTTP_ERROR, problem)


def _texts(body: bytes, fields: Sequence[str]) -> Dict[str, List[str]]:
    """Return the strings in a message by field, none if it is malformed."""
    from . import protobuf

    try:
        texts = protobuf.decode(body, range(1, 1 + len(fields)))
    except ValueError:  # a UnicodeDecodeError would hold the body
        return {}
    return {fields[number - 1]: values for number, values in texts.items()}
