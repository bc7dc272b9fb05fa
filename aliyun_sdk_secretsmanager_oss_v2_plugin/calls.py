"""Where alibabacloud-oss-v2 signs and sends a request, once: there, a call is replayed."""

import copy
import inspect
from typing import Any, Dict, Optional, Tuple

from alibabacloud_oss_v2.credentials import StaticCredentialsProvider
from alibabacloud_oss_v2.exceptions import ServiceError

from aliyun_sdk_secretsmanager_common_plugin import AccessKey, Lease
from aliyun_sdk_secretsmanager_common_plugin.lease import Pull, result_of

from .bodies import ReplayableBody, keep_open

# What the presigners send with, which sends nothing: no service accepts a key then.
PRESIGN = ("_nopHttpClient", "_nopAsyncHttpClient")


class Call:
    """A request that is signed and sent until its key is not rejected: one attempt, as the user's Retryer counts them.

    Args:
        context: of the SDK's signature, with the request.
        options: of the call.
        replay_bytes: how much of a body that can be read only once is kept in memory, and in all.
    """

    def __init__(self, context: Any, options: Any, replay_bytes: Tuple[int, int]) -> None:
        self._context = context
        self._options = options
        self._given = dict(vars(context))
        self._given_request = dict(vars(context.request), headers=context.request.headers.copy())
        self._body = ReplayableBody(context.request.body, *replay_bytes)
        context.request.body = self._body.data

    @property
    def is_only_signed(self) -> bool:
        """Whether the request is never sent."""
        return type(self._options.http_client).__name__ in PRESIGN

    def options(self, key: AccessKey) -> Any:
        """Return the options of the call, to be signed with ``key``."""
        options = copy.copy(self._options)
        options.credentials_provider = StaticCredentialsProvider(
            key.access_key_id, key.access_key_secret, key.security_token)
        return options

    def rewind(self) -> Optional[Exception]:
        """Make the request what it was at first, or return why that cannot be."""
        self._restore()
        self._context.request.body = self._body.data
        return self._body.rewind()

    def _restore(self) -> None:
        # The signers change headers and URL, and a former key's token would stay.
        vars(self._context).update(self._given)
        vars(self._context.request).update(self._given_request, headers=self._given_request["headers"].copy())

    def __enter__(self) -> "Call":
        return self

    def __exit__(self, exception_type: Any, *exc_info: Any) -> None:
        if exception_type is not None:
            self._restore()
        self._body.close()


class ManagedCalls:
    """Mixed into the class that makes a client's calls, in front of it.

    Attributes:
        lease: the use of the secret.
        replay_bytes: as ``Call`` takes it.
    """

    lease: Lease
    replay_bytes: Tuple[int, int]

    def _sent_http_request_once(self, context: Any, options: Any) -> Any:
        once = super()._sent_http_request_once  # type: ignore[misc]

        def send(pull: Pull) -> Tuple[Any, Optional[Exception]]:
            try:
                return once(context, call.options(pull())), None
            except ServiceError as error:
                return None, _answered(error)

        with Call(context, options, self.replay_bytes) as call:
            if call.is_only_signed:
                return once(context, call.options(self.lease.access_key()))
            return result_of(*self.lease.call(send, call.rewind))


class ManagedAsyncCalls:
    """As ``ManagedCalls``, for the class that makes those of an asynchronous client."""

    lease: Lease
    replay_bytes: Tuple[int, int]

    async def _sent_http_request_once(self, context: Any, options: Any) -> Any:
        once = super()._sent_http_request_once  # type: ignore[misc]

        async def send(pull: Pull) -> Tuple[Any, Optional[Exception]]:
            try:
                return await once(context, call.options(pull())), None
            except ServiceError as error:
                return None, _answered(error)

        keep_open(context.request)
        with Call(context, options, self.replay_bytes) as call:
            if call.is_only_signed:
                return await once(context, call.options(await self.lease.access_key_async()))
            return result_of(*await self.lease.call_async(send, call.rewind))


_classes: Dict[Any, Any] = {}


def manage(calls: Any, lease: Lease, replay_bytes: Tuple[int, int]) -> None:
    """Let what makes a client's calls sign them with the key of a secret, and replay them.

    Args:
        calls: what the SDK's client has made for itself.
        lease, replay_bytes: as ``ManagedCalls`` takes them.
    """
    sdk_class = type(calls)
    mixin = ManagedAsyncCalls if inspect.iscoroutinefunction(sdk_class._sent_http_request_once) else ManagedCalls
    made = _classes.setdefault(sdk_class, type("Managed" + sdk_class.__name__, (mixin, sdk_class), {}))
    calls.__class__ = made
    calls.lease, calls.replay_bytes = lease, replay_bytes


def _answered(error: Any) -> Any:
    # The SDK's frames hold the error, and it them: body and key would stay until the garbage collector runs.
    return error.with_traceback(None)
