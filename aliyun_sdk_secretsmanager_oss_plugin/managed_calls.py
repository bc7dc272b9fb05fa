"""What the proxies of oss2's clients share: the lease of their secret, and calls that are replayed."""

import copy
from typing import Any, Callable, Dict, Optional, Tuple, TypeVar

import oss2
from requests.structures import CaseInsensitiveDict

from aliyun_sdk_secretsmanager_common_plugin import AKExpireHandler, ManagedCredentials
from aliyun_sdk_secretsmanager_common_plugin.lease import Pull
from aliyun_sdk_secretsmanager_common_plugin.secrecy import filter_loggers
from aliyun_sdk_secretsmanager_common_plugin.sockets import fresh_sockets

from .bodies import ReplayableBody
from .managed_auth import AttemptHeaders, ManagedAuth
from .oss_ak_expire_handler import OssAkExpireHandler

filter_loggers("oss2")


def _keep_headers(make_exception: Callable[[Any], Exception]) -> Callable[[Any], Exception]:
    """Let errors have the answer's headers, as those of newer versions of oss2: a HEAD has its error's code there."""

    def with_headers(resp: Any) -> Exception:
        error = make_exception(resp)
        error.headers = resp.headers  # type: ignore[attr-defined]
        return error

    return with_headers


if not hasattr(oss2.exceptions.ServerError(403, {}, b"", {}), "headers"):
    oss2.exceptions.make_exception = _keep_headers(oss2.exceptions.make_exception)

Client = TypeVar("Client", bound="ManagedCalls")


class ManagedCalls:
    """Mixed into a client class of oss2, in front of it."""

    auth: ManagedAuth
    session: Any

    def _hold(
        self,
        secret_name: str,
        session: Optional[oss2.Session],
        ak_expire_handler: Optional[AKExpireHandler],
        managed_credentials: Optional[ManagedCredentials],
        replay_buffer_bytes: Optional[int],
        replay_spool_bytes: Optional[int],
    ) -> None:
        """Read the secret and hold it, once oss2's constructor has found the arguments right."""
        credentials = managed_credentials or ManagedCredentials.default()
        settings = credentials.settings
        self._buffer_bytes = settings.replay_buffer_bytes if replay_buffer_bytes is None else replay_buffer_bytes
        self._spool_bytes = settings.replay_spool_bytes if replay_spool_bytes is None else replay_spool_bytes
        self._owns_session = session is None
        self.secret_name = secret_name
        self.ak_expire_handler = ak_expire_handler or OssAkExpireHandler()
        self._managed_credentials = credentials
        self._take_lease()

    def _take_lease(self) -> None:
        self._lease = self._managed_credentials.lease(
            self, self.secret_name, self.ak_expire_handler, _after_fork_in_child
        )
        self.auth.pull = self._lease.access_key

    # A copy, or what is made of a pickle, is a client of its own.

    def __getstate__(self) -> Dict[str, Any]:
        self._lease.access_key()  # a client that was shut down says so
        state = dict(vars(self), auth=copy.copy(self.auth))
        del state["_lease"], state["auth"].pull
        return state

    def __setstate__(self, state: Dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._take_lease()

    def shutdown(self) -> None:
        """Release the secret, and close the session's idle connections unless it was given. Idempotent."""
        self._lease.close()
        if self._owns_session:
            self.session.session.close()

    def __enter__(self: Client) -> Client:
        return self

    def __exit__(self, *exc_info: Any) -> None:
        self.shutdown()

    def _do(self, method: str, bucket_name: str, key: str, **kwargs: Any) -> Any:
        # Every signed call of oss2 comes through here.
        given = kwargs.pop("headers", None)
        params = kwargs.pop("params", None)
        body = ReplayableBody(kwargs.pop("data", None), self._buffer_bytes, self._spool_bytes)
        headers = given

        # In quotes: the annotations of an inner function are evaluated at each call.
        def send(pull: "Pull") -> "Tuple[Any, Optional[Exception]]":
            nonlocal headers
            headers = AttemptHeaders(given)
            headers.pull = pull
            try:
                return super(ManagedCalls, self)._do(  # type: ignore[misc]
                    method, bucket_name, key, data=body.data, headers=headers, params=dict(params or {}), **kwargs
                ), None
            except oss2.exceptions.ServerError as error:
                # oss2's frames hold the error, and it them: body and key would stay until the garbage collector runs.
                return None, error.with_traceback(None)

        try:
            response, error = self._lease.call(send, body.rewind)
        finally:
            body.close()
            if isinstance(given, CaseInsensitiveDict) and headers is not given:  # oss2 signs such headers in place
                given.clear()
                given.update(headers)
        if error is None:
            return response
        try:
            raise error
        finally:
            del error  # this frame is in its traceback


def _after_fork_in_child(client: ManagedCalls) -> None:
    fresh_sockets(client.session.session)
