"""Secrets read through another client: ``aliyun-secret-manager-client``, or one that the program hands in."""

import importlib.util
import re
import types
from typing import Any, Mapping, Optional, Tuple

from aliyunsdkcore.acs_exception import error_code
from aliyunsdkcore.acs_exception.exceptions import ClientException, ServerException

from ..exceptions import ConfigurationError
from ..identities.credentials_library import forget_sockets
from ..identities.identity import Identity, IdentityError
from ..secrecy import filter_loggers, mask
from ..settings import DedicatedGatewaySettings, SharedGatewaySettings
from ..sockets import fresh_sockets
from ..version import USER_AGENT
from .connections import Connections
from .gateways import Answer, DedicatedGateway, Gateway, HttpsGateway, SharedGateway


class _Failure(Exception):
    """Wraps an error. The official client would retry for up to ten minutes if it saw the error itself."""

    def __init__(self, error: Exception) -> None:
        super().__init__()
        self.error = error


class _OfficialClient(HttpsGateway):
    """A gateway that is read by the ``DefaultSecretManagerClient`` of ``aliyun-secret-manager-client`` 0.1.5.

    Its ``init`` is not called. It would read a properties file of its own, in a file mode that Python 3.11 removed, and
    environment variables that have another meaning here. Regions, retries, deadlines and the identity are this
    package's.
    """

    def __init__(self, region_id: str, endpoint: str, ca_file: Optional[str]) -> None:
        super().__init__(region_id, endpoint, ca_file)
        if importlib.util.find_spec("alibaba_cloud_secretsmanager_client") is None:
            raise ConfigurationError(
                'secrets_client=aliyun-secret-manager-client needs the extra "secret-manager-client": pip install '
                '"aliyun-sdk-managed-credentials-providers[secret-manager-client]"')
        from alibaba_cloud_secretsmanager_client.model.region_info import RegionInfo
        from alibaba_cloud_secretsmanager_client.service.default_secret_manager_client_builder import (
            BaseSecretManagerClientBuilder,
        )

        region = RegionInfo(region_id, endpoint=endpoint)
        self._official: Any = BaseSecretManagerClientBuilder.standard().add_region_info(region).build()
        # In place of an AcsClient of its own.
        self._official.client_dict[region] = types.SimpleNamespace(_implementation_of_do_action=self._attempt_once)
        for sdk in ("aliyunsdkcore", "alibabacloud-tea"):
            filter_loggers(sdk)

    def get_secret_value(self, secret_name: str, timeout: float, connections: Optional[Connections] = None) -> Answer:
        from aliyunsdkkms.request.v20160120.GetSecretValueRequest import GetSecretValueRequest

        request = GetSecretValueRequest()
        request.set_accept_format("JSON")
        request.set_SecretName(secret_name)
        request.set_VersionStage("ACSCurrent")
        request.set_FetchExtendedConfig(True)
        request.set_endpoint(self.endpoint)
        request.set_connect_timeout(timeout)
        request.set_read_timeout(timeout)
        body = b""
        error: Optional[Exception] = None
        try:
            body = self._official.get_secret_value(request)
        except _Failure as failure:
            error = failure.error
        except Exception as raised:  # the client could not parse the answer
            error = raised
        # Raised outside of the handler: the SDK's errors hold the signed request.
        if isinstance(error, ServerException):
            raise self._refusal(secret_name, error.get_http_status(), _fields_of(error),
                                request.get_query_params().get("SecurityToken", ""))
        if isinstance(error, IdentityError):
            raise error
        if error is not None:
            raise self._no_answer(secret_name, _shown(error))
        return self._checked(secret_name, self.parse(body))

    def attempt(self, request: Any) -> Tuple[Any, ...]:
        """Send ``request`` once. Return status, headers, body and error, as clients of the SDK do."""
        raise NotImplementedError

    def _attempt_once(self, request: Any, signer: Any) -> Tuple[Any, ...]:
        error: Optional[Exception] = None
        try:
            status, headers, body, error = self.attempt(request)
        except Exception as raised:
            error = raised
        if error is not None:
            raise _Failure(error)
        return status, headers, body, None


class OfficialSharedGateway(SharedGateway, _OfficialClient):
    """The shared gateway of a region, read through the official client.

    Raises:
        ConfigurationError: the extra is missing.
    """

    def __init__(self, settings: SharedGatewaySettings, identity: Identity) -> None:
        super().__init__(settings, identity)
        from aliyunsdkcore.client import AcsClient

        # It insists on a key, which signs nothing.
        self._client = AcsClient("none", "none", self.region_id, auto_retry=False, verify=self.tls.ca or False)
        self._client.set_user_agent(USER_AGENT)

    def attempt(self, request: Any) -> Tuple[Any, ...]:
        answer: Tuple[Any, ...] = self._client._implementation_of_do_action(request, self._identity.signer())
        return answer

    def after_fork_in_child(self) -> None:
        super().after_fork_in_child()
        fresh_sockets(self._client.session)


class OfficialDedicatedGateway(DedicatedGateway, _OfficialClient):
    """The dedicated gateway of a KMS instance, read through the official client, which trusts the system's CAs too.

    Raises:
        ConfigurationError: the extra is missing, or the client key cannot be opened.
    """

    # The official client translates answers to the format of the shared gateway.
    parse = SharedGateway.parse

    def __init__(self, settings: DedicatedGatewaySettings) -> None:
        super().__init__(settings)
        from alibaba_cloud_secretsmanager_client.model.dkms_config import DKmsConfig
        from alibabacloud_dkms_transfer.kms_transfer_acs_client import KmsTransferAcsClient

        # This is its name for "Unauthorized".
        self.remedies += (("InvalidAccessKeyId.NotFound", self._check_the_client_key),)
        config = DKmsConfig()
        config.region_id = self.region_id
        config.endpoint = self.endpoint
        config.access_key_id = self._client_key.key_id
        config.private_key = self._client_key.pkcs8()
        config.user_agent = USER_AGENT
        self._handler = KmsTransferAcsClient(config, "none", "none").handlers["GetSecretValue"]

    def attempt(self, request: Any) -> Tuple[Any, ...]:
        from openapi_util.models import RuntimeOptions

        milliseconds = max(1, int(request.get_read_timeout() * 1000))
        # The handler is called by itself: KmsTransferAcsClient would send up to four times.
        answer: Tuple[Any, ...] = self._handler.handler_dkms_request_with_options(request, RuntimeOptions(
            autoretry=False,
            ignore_ssl=self.tls.ca is None,
            verify=self.tls.ca or False,
            connect_timeout=milliseconds,
            read_timeout=milliseconds,
        ))
        return answer

    def after_fork_in_child(self) -> None:
        super().after_fork_in_child()
        forget_sockets()


class HandedInClient(Gateway):
    """A client of the program's own.

    Args:
        client: a ``SecretManagerCacheClient`` of ``aliyun-secret-manager-client``, or any object with a method
            ``get_secret_info(name)``. What that returns has ``secret_value``, and may have ``secret_type``,
            ``version_id`` and ``next_rotation_date``. A client that caches secrets has ``refresh_now(name)`` as well.

    Raises:
        ConfigurationError: it has no ``get_secret_info``.
    """

    def __init__(self, client: Any) -> None:
        self._name = type(client).__name__
        if not callable(getattr(client, "get_secret_info", None)):
            raise ConfigurationError(
                "secrets_client is a {}, which has no get_secret_info(name); hand in a SecretManagerCacheClient of "
                "aliyun-secret-manager-client, or an object that has it".format(self._name))
        self._client = client

    def get_secret_value(self, secret_name: str, timeout: float, connections: Optional[Connections] = None) -> Answer:
        secret: Any = None
        error: Optional[Exception] = None
        try:
            # The client may have cached the very version that is asked about. A failed refresh_now returns False.
            getattr(self._client, "refresh_now", lambda name: True)(secret_name)
            secret = self._client.get_secret_info(secret_name)
        except Exception as raised:
            error = raised
        # Raised outside of the handler: the SDK's errors, and their chains, may hold the signed request.
        if isinstance(error, ServerException):
            problem = "failed: " + mask(str(error.get_error_msg()))
            raise ServerException(error.get_error_code(), self._about(secret_name, problem), error.get_http_status(),
                                  error.get_request_id())
        if error is not None:
            code = error.get_error_code() if isinstance(error, ClientException) else error_code.SDK_UNKNOWN_SERVER_ERROR
            raise ClientException(code, self._about(secret_name, "failed: " + _shown(error)))
        if not isinstance(getattr(secret, "secret_value", None), str):
            raise ClientException(error_code.SDK_UNKNOWN_SERVER_ERROR, self._about(
                secret_name, "gave {}; it must return an object whose secret_value is the secret's text".format(
                    "None" if secret is None else "a " + type(secret).__name__)))
        return {
            "SecretName": secret_name,
            "SecretData": secret.secret_value,
            "SecretType": getattr(secret, "secret_type", None),
            "VersionId": getattr(secret, "version_id", None),
            "NextRotationDate": getattr(secret, "next_rotation_date", None),
        }

    def waiting_for(self) -> str:
        return "the secrets_client ({})".format(self._name)

    def _about(self, secret_name: str, problem: str) -> str:
        return "secret {!r}: get_secret_info() of the secrets_client ({}) {}".format(secret_name, self._name, problem)

    def __repr__(self) -> str:
        return "HandedInClient({})".format(self._name)


def _fields_of(error: ServerException) -> Mapping[str, Any]:
    """Return Code, Message and RequestId of a service's error, none if the client could not read it."""
    if error.get_error_code() in ("", error_code.SDK_UNKNOWN_SERVER_ERROR):
        return {}
    return {"Code": error.get_error_code(), "Message": error.get_error_msg(), "RequestId": error.get_request_id()}


def _shown(error: Exception) -> str:
    """Return an error's text without queries, which hold tokens and signatures. Of unknown errors return the name."""
    if not isinstance(error, ClientException):
        return type(error).__name__
    return mask(re.sub(r"\?\S*", "", str(error.get_error_msg())))
