"""How Secrets Manager is reached: the shared gateway of a region (RPC), and the dedicated one of a KMS instance (DKMS).

The SDK makes and signs the requests of the shared gateway; sending and parsing are ours, since ``AcsClient`` logs the
bodies it gets.
"""

import hashlib
import logging
import time
from typing import TYPE_CHECKING, Any, Dict, Iterable, List, Mapping, NamedTuple, Optional, Tuple, Union
from urllib.parse import urlsplit

from aliyunsdkcore.acs_exception import error_code
from aliyunsdkcore.acs_exception.exceptions import ClientException, ServerException

from .identities import Identity
from .secrecy import filter_loggers, json_object, mask, reason
from .settings import DedicatedGatewaySettings, SharedGatewaySettings, system_ca
from .version import USER_AGENT

if TYPE_CHECKING:
    import requests

logger = logging.getLogger(__name__)

# The value of a secret has at most 30,720 bytes (KMS quotas); the rest of an answer is small.
MAX_ANSWER_BYTES = 1 << 20

# GetSecretValueResponse and Error of the dedicated gateway's API (``alibabacloud-dkms-gcs`` 1.0.2, api_pb2).
_ANSWER_FIELDS = {
    1: "SecretName",
    2: "SecretType",
    3: "SecretData",
    4: "SecretDataType",
    6: "VersionId",
    7: "CreateTime",
    8: "RequestId",
    9: "LastRotationDate",
    10: "NextRotationDate",
    11: "ExtendedConfig",
    12: "AutomaticRotation",
    13: "RotationInterval",
}
_VERSION_STAGES = 5
_ERROR_FIELDS = {2: "Code", 3: "Message", 4: "RequestId"}


class UnreadableAnswer(ClientException):  # type: ignore[misc]
    """A gateway answered something that is no answer of Secrets Manager, such as a page of a proxy."""


class UntrustedGateway(ClientException):  # type: ignore[misc]
    """A gateway's certificate could not be verified."""


class Query(NamedTuple):
    """A signed request for a secret; its path and headers hold the identity's token and signature."""

    path: str
    headers: Mapping[str, str]
    body: bytes = b""
    token: str = ""

    def __repr__(self) -> str:
        return "Query()"


class Gateway:
    """A way to Secrets Manager."""

    def get_secret_value(self, secret_name: str, timeout: float) -> Mapping[str, Any]:
        """Return the fields of GetSecretValue's answer (KMS API 2016-01-20) for the current version.

        Args:
            secret_name: which secret.
            timeout: seconds for connecting, for the answer to begin, and for the rest of it.

        Raises:
            ServerException: Secrets Manager refused, or failed.
            IdentityError: there are no credentials to ask with.
            UnreadableAnswer: the answer is none of Secrets Manager's.
            UntrustedGateway: the certificate is not trusted.
            ClientException: no connection, or no answer in time.
        """
        raise NotImplementedError

    def waiting_for(self) -> str:
        """Return what a request waits for that has no answer yet."""
        raise NotImplementedError

    def after_fork_in_child(self) -> None:
        """Let go of the sockets and locks of the parent process."""


class HttpsGateway(Gateway):
    """What both gateways share: sending, and the errors.

    Attributes:
        region_id: the region, for messages.
        endpoint: host or host:port.
        verify: the CA file or directory that its certificate is verified against, True for those of ``requests``,
            False for none.
    """

    # The key of the properties file that describes it.
    key: str

    def __init__(self, region_id: str, endpoint: str, ca_file: Optional[str]) -> None:
        self.region_id = region_id
        self.endpoint = endpoint
        self.verify: Union[str, bool] = ca_file or system_ca()

    def get_secret_value(self, secret_name: str, timeout: float) -> Mapping[str, Any]:
        query = self.query(secret_name)
        failure: Optional[ClientException] = None
        try:
            status, body = self._send(query, timeout)
        except _transport_errors() as error:
            failure = self._no_answer(secret_name, reason(error))
        if failure is not None:  # out of the handler: the errors of requests hold the signed request
            try:
                raise failure
            finally:
                del failure  # no reference cycle with the traceback
        if status != 200:
            self._raise_refusal(secret_name, status, self.parse_error(body), query.token)
        answer = self.parse(body)
        if "SecretData" not in answer:
            raise self._unreadable(secret_name, status)
        return answer

    def query(self, secret_name: str) -> Query:
        """Return the signed request for the current version of a secret."""
        raise NotImplementedError

    def parse(self, body: bytes) -> Mapping[str, Any]:
        """Return the fields of a good answer, none where it is unreadable."""
        raise NotImplementedError

    def parse_error(self, body: bytes) -> Mapping[str, Any]:
        """Return Code, Message and RequestId of an error, none where it is unreadable."""
        raise NotImplementedError

    def waiting_for(self) -> str:
        return "Secrets Manager in {} ({})".format(self.region_id, self.endpoint)

    def _send(self, query: Query, timeout: float) -> Tuple[int, bytes]:
        import requests

        # It logs the paths of requests, which hold the identity's token and signature, at DEBUG.
        filter_loggers("urllib3")
        url = "https://" + self.endpoint + query.path
        with requests.Session() as session:
            # The environment says which proxy to use, but not which CA, nor credentials (.netrc) to add.
            session.trust_env = False
            response = session.post(
                url,
                headers=dict(query.headers),
                data=query.body,
                timeout=timeout,
                verify=self.verify,
                proxies={"https": proxy_of(url)},
                allow_redirects=False,
                stream=True,
            )
            return response.status_code, _read(response, timeout)

    def _no_answer(self, secret_name: str, why: str) -> ClientException:
        # The second is urllib3's own, where Python (3.6) leaves names to it.
        if "certificate verify failed" in why or "doesn't match" in why:
            return UntrustedGateway(
                error_code.SDK_HTTP_ERROR,
                self._about(secret_name, "the gateway's certificate is not trusted ({}); set caFilePath in {} to the "
                            "CA's PEM file".format(why, self.key)),
            )
        return ClientException(
            error_code.SDK_HTTP_ERROR,
            self._about(secret_name, "no answer ({}); check the endpoint and the network".format(why)),
        )

    def _raise_refusal(self, secret_name: str, status: int, error: Mapping[str, Any], token: str) -> None:
        if not error:
            raise self._unreadable(secret_name, status)
        code = str(error.get("Code", error_code.SDK_UNKNOWN_SERVER_ERROR))
        message = mask(str(error.get("Message") or "HTTP status {}".format(status)))
        if token:  # some messages repeat what was sent
            message = message.replace(token, "******")
        remedy = self._remedy(code)
        problem = message.rstrip(".") + remedy if remedy else message
        raise ServerException(code, self._about(secret_name, problem), status, error.get("RequestId"))

    def _unreadable(self, secret_name: str, status: int) -> UnreadableAnswer:
        problem = "HTTP status {} with an answer that is not Secrets Manager's; check the endpoint and any proxy"
        return UnreadableAnswer(
            error_code.SDK_UNKNOWN_SERVER_ERROR, self._about(secret_name, problem.format(status)))

    def _remedy(self, code: str) -> str:
        if code == "Forbidden.ResourceNotFound":
            return "; check the secret's name, and that it is in this region and account"
        if code.startswith("Forbidden"):
            return "; grant kms:GetSecretValue on the secret to the identity in the properties file"
        return ""

    def _about(self, secret_name: str, problem: str) -> str:
        return "Secrets Manager in {} ({}), secret {!r}: {}".format(
            self.region_id, self.endpoint, secret_name, problem)

    def __repr__(self) -> str:
        return "{}({}, {})".format(type(self).__name__, self.region_id, self.endpoint)


def is_identity_refused(error: Optional[BaseException]) -> bool:
    """Return whether a shared gateway refused the identity's credentials, so that newer ones may do."""
    return isinstance(error, ServerException) and error.get_error_code().startswith(
        ("InvalidSecurityToken", "InvalidAccessKeyId"))


class SharedGateway(HttpsGateway):
    """The public or VPC gateway of a region.

    Args:
        settings: region, endpoint and CA file.
        identity: who asks.
    """

    key = "cache_client_region_id"

    def __init__(self, settings: SharedGatewaySettings, identity: Identity) -> None:
        super().__init__(settings.region_id, settings.endpoint, settings.ca_file)
        self._identity = identity

    def get_secret_value(self, secret_name: str, timeout: float) -> Mapping[str, Any]:
        try:
            return super().get_secret_value(secret_name, timeout)
        except ServerException as error:
            if not is_identity_refused(error) or not self._identity.renew():
                raise
        return super().get_secret_value(secret_name, timeout)

    def query(self, secret_name: str) -> Query:
        request = secret_request(secret_name)
        headers, path = self._identity.signer().sign(self.region_id, request)
        headers["User-Agent"] = USER_AGENT
        return Query(path, headers, token=request.get_query_params().get("SecurityToken", ""))

    def parse(self, body: bytes) -> Mapping[str, Any]:
        return json_object(body) or {}

    parse_error = parse

    def waiting_for(self) -> str:
        return self._identity.waiting_for() or super().waiting_for()

    def after_fork_in_child(self) -> None:
        self._identity.after_fork_in_child()

    def _remedy(self, code: str) -> str:
        if code.startswith(("InvalidAccessKeyId", "SignatureDoesNotMatch", "InvalidAccessKeySecret")):
            return "; check the identity (credentials_type and its keys) in the properties file"
        if code.startswith("InvalidSecurityToken"):
            return "; the identity's temporary credentials are no longer valid: check where they come from"
        return super()._remedy(code)


class DedicatedGateway(HttpsGateway):
    """The gateway of a KMS instance, with a protocol of its own and a client key.

    Protocol: ``alibabacloud-dkms-gcs`` 1.0.2 (API version ``dkms-gcs-0.2``).

    Args:
        settings: region, endpoint, client key and CA file.

    Raises:
        ConfigurationError: the client key cannot be opened.
    """

    key = "cache_client_dkms_config_info"

    def __init__(self, settings: DedicatedGatewaySettings) -> None:
        from .client_key import load_client_key

        super().__init__(settings.region_id, settings.endpoint, settings.ca_file)
        self._client_key = load_client_key(settings.client_key)
        if settings.ignore_certificate:
            self.verify = False
            logger.warning("the certificate of the dedicated gateway %s is not verified (ignoreSslCerts); whoever is "
                           "between can read its secrets: set caFilePath instead", self.endpoint)

    def query(self, secret_name: str) -> Query:
        from email.utils import formatdate

        from . import protobuf

        body = protobuf.encode({1: secret_name, 2: "ACSCurrent", 4: True})
        signed = {
            "x-kms-acccesskeyid": self._client_key.key_id,  # spelt so
            "x-kms-apiname": "GetSecretValue",
            "x-kms-apiversion": "dkms-gcs-0.2",
            "x-kms-signaturemethod": "RSA_PKCS1_SHA_256",
        }
        date = formatdate(time.time(), usegmt=True)
        digest = hashlib.sha256(body).hexdigest().upper()
        content_type = "application/x-protobuf"
        lines = ["POST", digest, content_type, date] + [":".join(item) for item in sorted(signed.items())] + ["/"]
        headers = dict(
            signed,
            **{
                "accept": content_type,
                "authorization": "Bearer " + self._client_key.sign("\n".join(lines)),
                "content-length": str(len(body)),
                "content-sha256": digest,
                "content-type": content_type,
                "date": date,
                "host": self.endpoint,
                "user-agent": USER_AGENT,
            }
        )
        return Query("/", headers, body)

    def parse(self, body: bytes) -> Mapping[str, Any]:
        texts = _texts(body, (_VERSION_STAGES, *_ANSWER_FIELDS))
        answer: Dict[str, Any] = _named(texts, _ANSWER_FIELDS)
        if answer:
            answer["VersionStages"] = {"VersionStage": texts.get(_VERSION_STAGES, [])}
        return answer

    def parse_error(self, body: bytes) -> Mapping[str, Any]:
        error = _named(_texts(body, _ERROR_FIELDS), _ERROR_FIELDS)
        return error if "Code" in error else {}

    def _remedy(self, code: str) -> str:
        if code == "Unauthorized":
            return "; check that the client key {} belongs to this instance and has not expired".format(
                self._client_key.key_id)
        return super()._remedy(code)


def secret_request(secret_name: str) -> Any:
    """Return the SDK's request for the current version of a secret, not signed."""
    from aliyunsdkkms.request.v20160120.GetSecretValueRequest import GetSecretValueRequest

    request = GetSecretValueRequest()
    request.set_accept_format("JSON")
    request.set_SecretName(secret_name)
    request.set_VersionStage("ACSCurrent")
    request.set_FetchExtendedConfig(True)  # as the official client writes it
    return request


def gateway_classes(secrets_client: str) -> Tuple[Any, Any]:
    """Return the classes of dedicated and of shared gateways that ``secrets_client`` stands for."""
    if secrets_client == "native":
        return DedicatedGateway, SharedGateway
    from .secret_manager_client import OfficialDedicatedGateway, OfficialSharedGateway

    return OfficialDedicatedGateway, OfficialSharedGateway


def _texts(body: bytes, numbers: Iterable[int]) -> Dict[int, List[str]]:
    from . import protobuf

    try:
        return protobuf.decode(body, numbers)
    except ValueError:  # out of the handler: that of the codec holds the text
        return {}


def _named(texts: Mapping[int, Any], fields: Mapping[int, str]) -> Dict[str, str]:
    return {name: texts[number][-1] for number, name in fields.items() if number in texts}


def proxy_of(url: str) -> str:
    """Return the URL of the proxy that the environment wants for ``url``, empty for none.

    Raises:
        ClientException: what it says is no URL.
    """
    from requests.utils import get_environ_proxies, select_proxy

    proxy = select_proxy(url, get_environ_proxies(url)) or ""
    try:
        parts = urlsplit(proxy if "://" in proxy else "//" + proxy)
        if not proxy or (parts.hostname and parts.port != 0):
            return proxy
    except ValueError:  # of the port, or the brackets
        pass
    problem = "the environment variable HTTPS_PROXY is no URL of a proxy; write it as http://host:port, or unset it"
    raise ClientException(error_code.SDK_HTTP_ERROR, problem)


def _transport_errors() -> Tuple[Any, ...]:
    import requests
    from urllib3.exceptions import HTTPError

    return requests.RequestException, HTTPError, OSError


def _read(response: "requests.Response", timeout: float) -> bytes:
    """Return the body: an answer that begins late is still an answer, one that drips is given up."""
    deadline = time.monotonic() + timeout
    body = bytearray()
    for chunk in response.iter_content(16):  # larger ones would be waited for
        body += chunk
        if len(body) > MAX_ANSWER_BYTES:
            raise OSError("the answer is larger than {} bytes".format(MAX_ANSWER_BYTES))
        if time.monotonic() > deadline:
            raise OSError("the answer was not whole within {:g} s".format(timeout))
    return bytes(body)
