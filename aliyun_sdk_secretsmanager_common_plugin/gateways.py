"""How Secrets Manager is reached: the shared gateway, an RPC service over HTTPS.

The SDK makes and signs the request; sending and parsing are ours, since ``AcsClient`` logs the bodies it gets.
"""

import json
import os
import ssl
import time
from typing import TYPE_CHECKING, Any, Dict, Optional, Union

from aliyunsdkcore.acs_exception import error_code
from aliyunsdkcore.acs_exception.exceptions import ClientException, ServerException

from .identities import AccessKeyIdentity
from .settings import SharedGatewaySettings
from .version import USER_AGENT

if TYPE_CHECKING:
    import requests

# The value of a secret has at most 30,720 bytes (KMS quotas); the rest of an answer is small.
MAX_ANSWER_BYTES = 1 << 20


class UnreadableAnswer(ClientException):  # type: ignore[misc]
    """A gateway answered something that is no answer of Secrets Manager, such as a page of a proxy."""


class UntrustedGateway(ClientException):  # type: ignore[misc]
    """A gateway's certificate could not be verified."""


class SharedGateway:
    """The public or VPC gateway of a region.

    Args:
        settings: region, endpoint and CA file.
        identity: who asks.
    """

    def __init__(self, settings: SharedGatewaySettings, identity: AccessKeyIdentity) -> None:
        self.region_id = settings.region_id
        self.endpoint = settings.endpoint
        self._ca_file = settings.ca_file
        self._identity = identity

    def get_secret_value(self, secret_name: str, timeout: float) -> Dict[str, Any]:
        """Return the fields of GetSecretValue's answer (KMS API 2016-01-20) for the current version.

        Args:
            secret_name: which secret.
            timeout: seconds for connecting, for the answer to begin, and for the rest of it.

        Raises:
            ServerException: Secrets Manager refused, or failed.
            UnreadableAnswer: the answer is no JSON object.
            UntrustedGateway: the certificate is not trusted.
            ClientException: no connection, or no answer in time.
        """
        import requests
        from urllib3.exceptions import HTTPError

        # Raised out of the handler: the errors of requests hold the signed request.
        failure: Optional[ClientException] = None
        try:
            with requests.Session() as session:
                status, body = self._post(session, secret_name, timeout)
        except (requests.RequestException, HTTPError, OSError) as error:
            failure = self._no_answer(secret_name, _innermost(error))
        if failure is not None:
            raise failure
        return self._parse(secret_name, status, body)

    def _no_answer(self, secret_name: str, cause: BaseException) -> ClientException:
        # The second is urllib3's own, where Python (3.6) leaves names to it.
        if "CERTIFICATE_VERIFY_FAILED" in str(cause) or "doesn't match" in str(cause):
            return UntrustedGateway(
                error_code.SDK_HTTP_ERROR,
                self._about(secret_name, "the gateway's certificate is not trusted ({}); set caFilePath in "
                            "cache_client_region_id to the CA's PEM file".format(cause)),
            )
        reason = "{}: {}".format(type(cause).__name__, cause)
        return ClientException(
            error_code.SDK_HTTP_ERROR,
            self._about(secret_name, "no answer ({}); check the endpoint and the network".format(reason)),
        )

    def _post(self, session: "requests.Session", secret_name: str, timeout: float) -> Any:
        from requests.utils import get_environ_proxies

        headers, path = self._signed(secret_name)
        url = "https://" + self.endpoint + path
        # The environment says which proxy to use, but not which CA, nor credentials (.netrc) to add.
        session.trust_env = False
        response = session.post(
            url,
            headers=headers,
            timeout=timeout,
            verify=self._ca_file or system_ca(),
            proxies=get_environ_proxies(url),
            allow_redirects=False,
            stream=True,
        )
        # An answer that begins late is still an answer; one that drips is given up. Larger chunks would be waited for.
        deadline = time.monotonic() + timeout
        body = b""
        for chunk in response.iter_content(16):
            body += chunk
            if len(body) > MAX_ANSWER_BYTES:
                raise requests_error("the answer is larger than {} bytes".format(MAX_ANSWER_BYTES))
            if time.monotonic() > deadline:
                raise requests_error("the answer was not whole within {:g} s".format(timeout))
        return response.status_code, body

    def _signed(self, secret_name: str) -> Any:
        from aliyunsdkkms.request.v20160120.GetSecretValueRequest import GetSecretValueRequest

        request = GetSecretValueRequest()
        request.set_accept_format("JSON")
        request.set_SecretName(secret_name)
        request.set_VersionStage("ACSCurrent")
        request.set_FetchExtendedConfig("true")
        headers, path = self._identity.signer().sign(self.region_id, request)
        headers["User-Agent"] = USER_AGENT
        return headers, path

    def _parse(self, secret_name: str, status: int, body: bytes) -> Dict[str, Any]:
        # The ValueError of json holds the whole text, so it must not become the context of our error.
        try:
            answer = json.loads(body.decode("utf-8"))
        except (ValueError, RecursionError):
            answer = None
        if not isinstance(answer, dict) or (status == 200 and "SecretData" not in answer):
            problem = "HTTP status {} with an answer that is not Secrets Manager's; check the endpoint and any proxy"
            raise UnreadableAnswer(
                error_code.SDK_UNKNOWN_SERVER_ERROR, self._about(secret_name, problem.format(status)))
        if status != 200:
            code = str(answer.get("Code", error_code.SDK_UNKNOWN_SERVER_ERROR))
            problem = "{}{}".format(answer.get("Message", "HTTP status {}".format(status)), _remedy(code))
            raise ServerException(code, self._about(secret_name, problem), status, answer.get("RequestId"))
        return answer

    def _about(self, secret_name: str, problem: str) -> str:
        return "Secrets Manager in {} ({}), secret {!r}: {}".format(
            self.region_id, self.endpoint, secret_name, problem)

    def __repr__(self) -> str:
        return "SharedGateway({}, {})".format(self.region_id, self.endpoint)


def system_ca() -> Union[str, bool]:
    """Return the system's CA file or directory, as ``requests`` takes it; True, its own bundle, where there is none."""
    paths = ssl.get_default_verify_paths()
    if paths.cafile:
        return paths.cafile
    if paths.capath and os.listdir(paths.capath):
        return paths.capath
    return True


def requests_error(problem: str) -> Exception:
    """Return the error of ``requests`` for an answer that we stopped to read."""
    import requests

    return requests.exceptions.ReadTimeout(problem)


def _innermost(error: BaseException) -> BaseException:
    """Return the first cause: the texts of the outer ones repeat the signed URL."""
    causes = [error]
    while True:
        inner = causes[-1]
        following = getattr(inner, "reason", None) or inner.__cause__ or inner.__context__
        if not isinstance(following, BaseException) or following in causes:
            return inner
        causes.append(following)


def _remedy(code: str) -> str:
    if code == "Forbidden.ResourceNotFound":
        return "; check the secret's name, and that it is in this region and account"
    if code.startswith("Forbidden"):
        return "; grant kms:GetSecretValue on the secret to the identity in the properties file"
    if code.startswith(("InvalidAccessKeyId", "SignatureDoesNotMatch", "InvalidAccessKeySecret")):
        return "; check credentials_access_key_id and credentials_access_secret in the properties file"
    return ""
