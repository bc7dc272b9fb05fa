"""``ProxyAcsClient``: an ``AcsClient`` that signs with a managed RAM credential."""

import copy
import logging
import operator
import weakref
from typing import Any, Dict, MutableMapping, Optional, Sequence, Tuple

from aliyunsdkcore.auth.signers.signer import Signer
from aliyunsdkcore.client import AcsClient
from aliyunsdkcore.request import AcsRequest

from aliyun_sdk_secretsmanager_common_plugin import AKExpireHandler, ManagedCredentials
from aliyun_sdk_secretsmanager_common_plugin.lease import Pull
from aliyun_sdk_secretsmanager_common_plugin.plugin_kit import SecretHolder
from aliyun_sdk_secretsmanager_common_plugin.secrecy import filter_loggers, log_fields, logger_of
from aliyun_sdk_secretsmanager_common_plugin.sockets import fresh_sockets

from .answer_log import AnswerLog
from .errors import SdkCoreAKExpireHandler
from .signing import CurrentSigner, SnapshotSigner

logger = logger_of(__name__)

answer_log = AnswerLog(logging.getLogger(AcsClient.__module__))
filter_loggers("aliyunsdkcore")

# The attributes of a request that AcsClient changes when it sends the request. A replay sets them back. Whatever else a
# class of requests may change is left as it is, as in the SDK's own retries.
CHANGED = ("_params", "_header", "_content")
_changed = operator.attrgetter(*CHANGED)


class ProxyDefaultSdkCoreClient(AcsClient):  # type: ignore[misc]
    """The base class that programs written for the plugins 0.1.4 use in ``isinstance``."""


class ProxyAcsClient(SecretHolder, ProxyDefaultSdkCoreClient):
    """An ``AcsClient`` that takes the name of a secret instead of an AccessKey.

    The client signs every call with the secret's current key. If the service rejects that key as no longer valid, the
    client renews it from Secrets Manager and sends the call again. The caller does not notice a rotation.

    Threads may share a client. A copy is an independent client. A client that got no ``managed_credentials`` can also
    be pickled; in another process it uses the default ones there. A client that was shut down cannot be copied.

    Args:
        secret_name: the name of a managed RAM credential in Secrets Manager. The constructor reads it, so that a wrong
            configuration shows at start.
        ak_expire_handler: decides which errors mean a rejected key. None means ``SdkCoreAKExpireHandler()``.
        ak, secret, public_key_id, private_key, session_period, credential: accepted because ``AcsClient`` accepts them,
            and ignored: the managed key signs.
        region_id, auto_retry, max_retry_time, user_agent, port, debug, verify, pool_size, proxy: as for ``AcsClient``.
        connect_timeout, timeout: in seconds, as for ``AcsClient``.
        managed_credentials: where to read the secret. None means ``ManagedCredentials.default()``, which
            ``managed_credentials_providers.properties`` configures.

    Attributes:
        secret_name: the secret in use; read-only.
        ak_expire_handler: the handler in use; read-only.

    Raises:
        ConfigurationError: the properties file, the secret's name or the handler is missing or wrong.
        ServerException, ClientException: Secrets Manager refused the request, failed, or did not answer within
            ``fetch_timeout``.
        SecretFormatError: the secret is not a managed RAM credential.

    Example::

        with ProxyAcsClient("my-secret", region_id="cn-hangzhou") as client:
            client.do_action_with_exception(DescribeRegionsRequest())
    """

    _HANDLER = SdkCoreAKExpireHandler
    _HELD = ("_lease", "_signer", "_left_tokens")

    def __init__(
        self,
        secret_name: str,
        ak_expire_handler: Optional[AKExpireHandler] = None,
        ak: Optional[str] = None,
        secret: Optional[str] = None,
        region_id: str = "cn-hangzhou",
        auto_retry: bool = True,
        max_retry_time: Optional[int] = None,
        user_agent: Optional[str] = None,
        port: int = 80,
        connect_timeout: Optional[float] = None,
        timeout: Optional[float] = None,
        public_key_id: Optional[str] = None,
        private_key: Optional[str] = None,
        session_period: int = 3600,
        credential: Any = None,
        debug: bool = False,
        verify: Any = None,
        pool_size: int = 10,
        proxy: Optional[Dict[str, str]] = None,
        managed_credentials: Optional[ManagedCredentials] = None,
    ) -> None:
        """See the class. Without a docstring here, that of ``AcsClient`` would show, which has other arguments."""
        # With an empty key the SDK does not look for one in the environment. Nothing is signed with it.
        super().__init__(
            ak="", secret="", region_id=region_id, auto_retry=auto_retry, max_retry_time=max_retry_time,
            user_agent=user_agent, port=port, connect_timeout=connect_timeout, timeout=timeout, debug=debug,
            verify=verify, pool_size=pool_size, proxy=proxy)
        if any(given is not None for given in (ak, secret, public_key_id, private_key, credential)):
            logger.warning("ProxyAcsClient(%r): the other credentials it was given are not used; the managed key signs",
                           secret_name, extra=log_fields(secret_name))
        self._take_secret(secret_name, ak_expire_handler, managed_credentials)

    def _hold(self) -> None:
        super()._hold()
        self._signer = CurrentSigner(self._lease.access_key)
        # The security token that the last call left in a request of the program, as the plain SDK does. The keys are
        # ids of requests, because a class of requests may define equality.
        self._left_tokens: Dict[int, str] = {}

    def get_access_key(self) -> str:
        """Return the id of the current key."""
        return self._lease.access_key().access_key_id

    def get_access_secret(self) -> str:
        """Return the secret of the current key. After a rotation it does not match an id that was read before."""
        return self._lease.access_key().access_key_secret

    def shutdown(self) -> None:
        """Release the secret and close idle connections. Other clients are not affected. Idempotent."""
        super().shutdown()
        self.session.close()

    def _forget_sockets(self) -> None:
        fresh_sockets(self.session)

    def _implementation_of_do_action(
        self, request: AcsRequest, signer: Optional[Signer] = None
    ) -> Tuple[Any, Any, Any, Optional[Exception]]:
        # Every call of AcsClient goes through this method. If a service answered an error, that is the fourth value of
        # the result. Other errors, such as "no connection", are raised and pass through.
        if signer is not None or not isinstance(request, AcsRequest):
            return super()._implementation_of_do_action(request, signer)  # type: ignore[no-any-return]
        given = _copies(_changed(request))
        left = self._left_tokens.get(id(request))
        if left is not None:
            _remove_token(given, left)
            # The current key's token may stay: signing overwrites it, and other threads may be signing this request.
            if left != self._lease.access_key().security_token:
                _remove_token(_changed(request), left)
        attempt = request

        # The annotations are quoted because Python evaluates those of an inner function in every call.
        def send(pull: "Pull") -> "Tuple[Any, Optional[Exception]]":
            signer = SnapshotSigner(pull)
            try:
                answer = super(ProxyAcsClient, self)._implementation_of_do_action(attempt, signer)
            finally:
                if signer.key is not None and signer.key.security_token is not None:
                    self._note_token(request, signer.key.security_token)
            return answer, answer[3]

        def rewind() -> None:
            # Other threads may be using the same request, so that a copy is sent from now on.
            nonlocal attempt
            attempt = copy.copy(request)
            vars(attempt).update(zip(CHANGED, _copies(given)))

        try:
            answer = self._lease.call(send, rewind)[0]
            if answer[3] is not None:
                answer_log.write(answer[3])
            return answer  # type: ignore[no-any-return]
        finally:
            if attempt is not request:
                _leave(attempt, request)

    def _handle_single_request(
        self, endpoint: Any, request: AcsRequest, read_timeout: Any, connect_timeout: Any, signer: Any
    ) -> Tuple[Any, Any, Any, Optional[Exception]]:
        answer = super()._handle_single_request(endpoint, request, read_timeout, connect_timeout, signer)
        error = answer[3]
        if error is not None and not (isinstance(signer, SnapshotSigner) and signer.is_rejection(self._lease, error)):
            answer_log.write(error)
        return answer  # type: ignore[no-any-return]

    def _get_server_exception(
        self, http_status: int, response_body: Any, endpoint: Any, string_to_sign: Any
    ) -> Optional[Exception]:
        return answer_log.held_back(
            super()._get_server_exception, http_status, response_body, endpoint, string_to_sign)

    def _note_token(self, request: AcsRequest, token: str) -> None:
        if id(request) not in self._left_tokens:
            weakref.finalize(request, self._left_tokens.pop, id(request), None).atexit = False
        self._left_tokens[id(request)] = token


def _remove_token(changed: Sequence[Any], token: str) -> None:
    """Remove the ``token`` that an earlier call left in a request. ``changed`` holds the values of ``CHANGED``."""
    params, headers, _ = changed
    for fields, name in ((params, "SecurityToken"), (headers, "x-acs-security-token")):
        if fields.get(name) == token:
            del fields[name]


def _copies(changed: Sequence[Any]) -> Tuple[Any, Any, Any]:
    """Copy the values of ``CHANGED``, as far as the SDK changes them in place."""
    params, headers, content = changed
    return params.copy(), headers.copy(), content


def _leave(attempt: AcsRequest, request: AcsRequest) -> None:
    """Bring the program's request into the state in which the SDK left the last attempt."""
    for name, value in vars(attempt).items():
        mapping = getattr(request, name, None)
        if isinstance(value, MutableMapping) and isinstance(mapping, MutableMapping):
            for key in [key for key in mapping if key not in value]:
                del mapping[key]
            mapping.update(value)
        else:
            setattr(request, name, value)
