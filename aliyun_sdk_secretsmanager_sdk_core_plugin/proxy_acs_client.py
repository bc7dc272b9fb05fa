"""``ProxyAcsClient``: an ``AcsClient`` that signs with a managed RAM credential."""

import copy
import functools
import logging
import operator
import weakref
from typing import Any, Dict, MutableMapping, Optional, Sequence, Tuple, TypeVar

from aliyunsdkcore.auth.credentials import StsTokenCredential
from aliyunsdkcore.auth.signers.access_key_signer import AccessKeySigner
from aliyunsdkcore.auth.signers.signer import Signer
from aliyunsdkcore.auth.signers.sts_token_signer import StsTokenSigner
from aliyunsdkcore.client import AcsClient
from aliyunsdkcore.request import AcsRequest

from aliyun_sdk_secretsmanager_common_plugin import AccessKey, AKExpireHandler, ManagedCredentials
from aliyun_sdk_secretsmanager_common_plugin.lease import Pull
from aliyun_sdk_secretsmanager_common_plugin.secrecy import filter_loggers
from aliyun_sdk_secretsmanager_common_plugin.sockets import fresh_sockets

from .sdk_core_ak_expire_handler import SdkCoreAKExpireHandler

logger = logging.getLogger(__name__)

filter_loggers("aliyunsdkcore")

Client = TypeVar("Client", bound="ProxyAcsClient")


# What a call of AcsClient changes of a request, and the next one begins from. Each call keeps them; what else the class
# of a request might change stays, as where the SDK itself tries again.
CHANGED = ("_params", "_header", "_content")
_changed = operator.attrgetter(*CHANGED)


class ProxyDefaultSdkCoreClient(AcsClient):  # type: ignore[misc]
    """What ``isinstance`` asks for in programs that were written for the plugins 0.1.4."""


class ProxyAcsClient(ProxyDefaultSdkCoreClient):
    """An ``AcsClient`` that is given the name of a secret instead of an AccessKey.

    Every call is signed with the secret's current key. When the service rejects it as no longer valid, the key is
    renewed from Secrets Manager and the call repeated; the caller does not notice a rotation.

    Threads may share it. A copy is a client of its own; a client that was given no ``managed_credentials`` can be
    pickled, too, and uses the default ones of the process it gets to. One that was shut down cannot be copied.

    Args:
        secret_name: the name of a managed RAM credential in Secrets Manager. It is read now, so that a wrong
            configuration shows at start.
        ak_expire_handler: decides which errors mean a rejected key; None takes ``SdkCoreAKExpireHandler()``.
        ak, secret, public_key_id, private_key, session_period, credential: taken so that calls of ``AcsClient`` can
            stay as they are, and not used: the managed key signs.
        region_id, auto_retry, max_retry_time, user_agent, port, debug, verify, pool_size, proxy: as ``AcsClient`` takes
            them.
        connect_timeout, timeout: as ``AcsClient`` takes them, in seconds.
        managed_credentials: where the secret is read; None takes ``ManagedCredentials.default()``, configured by
            ``managed_credentials_providers.properties``.

    Attributes:
        secret_name: the one in use; to be read, not set.
        ak_expire_handler: likewise.

    Raises:
        ConfigurationError: the properties file, or the secret's name, is missing or wrong.
        ServerException, ClientException: Secrets Manager refused, failed, or did not answer within ``fetch_timeout``.
        SecretFormatError: the secret is no managed RAM credential.

    Example::

        with ProxyAcsClient("my-secret", region_id="cn-hangzhou") as client:
            client.do_action_with_exception(DescribeRegionsRequest())
    """

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
        """Take the arguments described above; the docstring of ``AcsClient`` would name others."""
        # An empty key keeps the SDK from looking for one in the environment; it signs nothing.
        super().__init__(
            ak="",
            secret="",
            region_id=region_id,
            auto_retry=auto_retry,
            max_retry_time=max_retry_time,
            user_agent=user_agent,
            port=port,
            connect_timeout=connect_timeout,
            timeout=timeout,
            debug=debug,
            verify=verify,
            pool_size=pool_size,
            proxy=proxy,
        )
        if any(given is not None for given in (ak, secret, public_key_id, private_key, credential)):
            logger.warning("ProxyAcsClient(%r): the other credentials it was given are not used; the managed key signs",
                           secret_name)
        self.secret_name = secret_name
        self.ak_expire_handler = ak_expire_handler or SdkCoreAKExpireHandler()
        self._managed_credentials = managed_credentials or ManagedCredentials.default()
        self._hold()

    def _hold(self) -> None:
        """Read the secret and hold it."""
        self._lease = self._managed_credentials.lease(
            self, self.secret_name, self.ak_expire_handler, _after_fork_in_child
        )
        self._signer = _CurrentSigner(self._lease.access_key)
        # The tokens that calls left in the users' requests, as the SDK does; by id, since requests may define equality.
        self._left_tokens: Dict[int, str] = {}

    # A copy, or what is made of a pickle, is a client of its own.

    def __getstate__(self) -> Dict[str, Any]:
        self._lease.access_key()  # a client that was shut down says so
        own = ("_lease", "_signer", "_left_tokens")
        return {name: value for name, value in vars(self).items() if name not in own}

    def __setstate__(self, state: Dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._hold()

    def get_access_key(self) -> str:
        """Return the id of the current key."""
        return self._lease.access_key().access_key_id

    def get_access_secret(self) -> str:
        """Return the secret of the current key; the id may be another version's by then."""
        return self._lease.access_key().access_key_secret

    # The parts of the user agent that never change: AcsClient makes them in each call.
    user_agent_header = staticmethod(functools.lru_cache(maxsize=None)(AcsClient.user_agent_header))
    default_user_agent = staticmethod(functools.lru_cache(maxsize=None)(AcsClient.default_user_agent))

    @staticmethod
    def merge_user_agent(default_agent: Any, extra_agent: Any) -> Any:
        """Return both; where nothing is added, what is there: the SDK's own copies it in each call."""
        return AcsClient.merge_user_agent(default_agent, extra_agent) if extra_agent else default_agent

    def shutdown(self) -> None:
        """Release the secret, and close idle connections. Other clients go on. Idempotent."""
        self._lease.close()
        self.session.close()

    def __enter__(self: Client) -> Client:
        return self

    def __exit__(self, *exc_info: Any) -> None:
        self.shutdown()

    def _implementation_of_do_action(
        self, request: AcsRequest, signer: Optional[Signer] = None
    ) -> Tuple[Any, Any, Any, Optional[Exception]]:
        # Every call of AcsClient comes through here. Only the service's own answer is its fourth value; what is raised
        # (no connection, no endpoint) is none, and passes through.
        if signer is not None or not isinstance(request, AcsRequest):
            return super()._implementation_of_do_action(request, signer)  # type: ignore[no-any-return]
        given = _copies(_changed(request))
        left = self._left_tokens.get(id(request))
        if left is not None:
            _remove_token(given, left)
            # That of the current key is overwritten; other threads may be about to sign it.
            if left != self._lease.access_key().security_token:
                _remove_token(_changed(request), left)
        attempt = request

        # In quotes: the annotations of an inner function are evaluated at each call.
        def send(pull: "Pull") -> "Tuple[Any, Optional[Exception]]":
            signer = _SnapshotSigner(pull)
            try:
                answer = super(ProxyAcsClient, self)._implementation_of_do_action(attempt, signer)
            finally:
                if signer.key is not None and signer.key.security_token is not None:
                    self._note_token(request, signer.key.security_token)
            return answer, answer[3]

        def rewind() -> None:
            # A copy, since other threads may use the same request.
            nonlocal attempt
            attempt = copy.copy(request)
            vars(attempt).update(zip(CHANGED, _copies(given)))

        try:
            return self._lease.call(send, rewind)[0]  # type: ignore[no-any-return]
        finally:
            if attempt is not request:
                _leave(attempt, request)

    def _note_token(self, request: AcsRequest, token: str) -> None:
        if id(request) not in self._left_tokens:
            weakref.finalize(request, self._left_tokens.pop, id(request), None).atexit = False
        self._left_tokens[id(request)] = token


class _CurrentSigner(Signer):  # type: ignore[misc]
    """Signs each request with the key that is current then, for who asks the client's own signer."""

    def __init__(self, pull: Pull) -> None:
        self._pull = pull

    def sign(self, region_id: str, request: AcsRequest) -> Tuple[Dict[str, str], str]:
        return _SnapshotSigner(self._pull).sign(region_id, request)


class _SnapshotSigner(Signer):  # type: ignore[misc]
    """Signs with one key, that which is current at the first signature; the SDK signs again when it tries again."""

    def __init__(self, pull: Pull) -> None:
        self._pull = pull
        self.key: Optional[AccessKey] = None

    def sign(self, region_id: str, request: AcsRequest) -> Tuple[Dict[str, str], str]:
        key = self.key = self.key or self._pull()
        if key.security_token is None:
            signer = AccessKeySigner(key)  # it has what the signer reads of an AccessKeyCredential
        else:
            signer = StsTokenSigner(
                StsTokenCredential(key.access_key_id, key.access_key_secret, key.security_token)
            )
        return signer.sign(region_id, request)  # type: ignore[no-any-return]


def _remove_token(changed: Sequence[Any], token: str) -> None:
    """Take ``token``, left by an earlier call, out of what is changed of a request that is used again."""
    params, headers, _ = changed
    for fields, name in ((params, "SecurityToken"), (headers, "x-acs-security-token")):
        if fields.get(name) == token:
            del fields[name]


def _copies(changed: Sequence[Any]) -> Tuple[Any, Any, Any]:
    """Return copies of what is changed in place."""
    params, headers, content = changed
    return params.copy(), headers.copy(), content


def _leave(attempt: AcsRequest, request: AcsRequest) -> None:
    """Leave the user's request as the SDK left the one of the last attempt."""
    for name, value in vars(attempt).items():
        mapping = getattr(request, name, None)
        if isinstance(value, MutableMapping) and isinstance(mapping, MutableMapping):
            for key in [key for key in mapping if key not in value]:
                del mapping[key]
            mapping.update(value)
        else:
            setattr(request, name, value)


def _after_fork_in_child(client: ProxyAcsClient) -> None:
    fresh_sockets(client.session)
