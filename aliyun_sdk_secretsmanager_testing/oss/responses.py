"""OSS as a service: who calls, which operation, and its errors."""
import uuid
from typing import Callable, NamedTuple, Optional

from ..calls import Subject
from ..faults import FORBIDDEN, THROTTLING
from ..http import Answer, Request
from ..keyring import IDENTITY
from ..service import Service, Shared
from ..signatures import oss_v1
from ..signatures.claim import Claim, Refused
from .errors import OssError
from .routes import route, target
from .state import Store


class Scheme(NamedTuple):
    """A signature scheme: whether a request has it, whose it says it is, and its whole claim at a time."""

    matches: Callable[[Request], bool]
    access_key_id: Callable[[Request], str]
    read: Callable[[Request, float], Claim]


_SCHEMES = (Scheme(oss_v1.matches, oss_v1.access_key_id, oss_v1.read),)

_OWN = {THROTTLING: "QpsLimitExceeded", FORBIDDEN: "AccessDenied"}


class Oss(Service):
    """All buckets on one address."""

    def __init__(self, shared: Shared, store: Store) -> None:
        super().__init__(shared)
        self._store = store

    def subject(self, request: Request) -> Subject:
        scheme = _scheme(request)
        access_key_id = scheme.access_key_id(request) if scheme else None
        owner = self.shared.keyring.owner(access_key_id)
        return Subject("oss", None, route(request)[0], owner.name if owner else None, access_key_id)

    def answer(self, request: Request) -> Answer:
        try:
            self._check_caller(request)
            return self._perform(request)
        except OssError as error:
            return error.answer(request)

    def refuse(self, request: Request, status: int, code: str) -> Answer:
        return OssError(code if status else _OWN[code], status=status).answer(request)

    def _perform(self, request: Request) -> Answer:
        _, operation = route(request)
        if operation is None:
            raise OssError("NotImplemented")
        asked = target(request)
        answer = operation(self._store, request, asked.bucket, asked.key)
        answer.headers["x-oss-request-id"] = uuid.uuid4().hex[:24].upper()
        return answer

    def _check_caller(self, request: Request) -> None:
        try:
            claim = _claim(request, self.shared.clock.time())
            owner = self.shared.keyring.check(claim, self.shared.clock.monotonic())
        except Refused as refused:
            raise _error(refused)
        if owner.kind == IDENTITY:
            raise OssError("AccessDenied", "You are forbidden: this AccessKey may only call Secrets Manager.")


def _scheme(request: Request) -> Optional[Scheme]:
    return next((scheme for scheme in _SCHEMES if scheme.matches(request)), None)


def _claim(request: Request, now: float) -> Claim:
    scheme = _scheme(request)
    if scheme is not None:
        return scheme.read(request, now)
    if "authorization" in request.headers:
        raise Refused("malformed", name="Authorization")
    raise Refused("anonymous")


def _error(refused: Refused) -> OssError:
    claim, detail = refused.claim, refused.detail
    key = claim.access_key_id if claim else ""
    if refused.reason in ("unknown_key", "inactive_key"):
        return OssError("InvalidAccessKeyId", OSSAccessKeyId=key)
    if refused.reason == "wrong_signature" and claim:
        return OssError("SignatureDoesNotMatch", OSSAccessKeyId=key, SignatureProvided=claim.signature,
                        StringToSign=claim.shown_string_to_sign())
    if refused.reason in ("token_wrong", "token_missing"):
        return OssError("InvalidSecurityToken")
    if refused.reason == "token_expired":
        return OssError("SecurityTokenExpired")
    if refused.reason == "skewed":
        return OssError("RequestTimeTooSkewed", RequestTime=detail["request_time"],
                        MaxAllowedSkewMilliseconds=str(oss_v1.WINDOW_SECONDS * 1000))
    if refused.reason == "bad_date":
        return OssError("AccessDenied", "OSS authentication requires a valid Date.")
    if refused.reason == "expired":
        return OssError("AccessDenied", "Request has expired.")
    if refused.reason == "malformed":
        return OssError("InvalidArgument", "{} is invalid.".format(detail["name"]))
    return OssError("AccessDenied")
