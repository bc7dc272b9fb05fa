"""OSS as a service: it checks who calls, performs the operation, and answers errors."""
import functools
import uuid
from typing import Optional, Sequence, Tuple

from ..calls import Subject
from ..http import Answer, Request
from ..keyring import MANAGED
from ..service import Service, Shared
from ..signatures.claim import WINDOW_SECONDS, Claim, Refused
from ..signatures.oss_parts import OssSignature
from ..signatures.oss_v1 import OssV1
from ..signatures.oss_v2 import OssV2
from ..signatures.oss_v4 import OssV4
from .errors import OssError
from .routes import route, takes_body, target
from .state import Store
from .uploads import Reception, Uploads


class NotLetIn(OssError):
    """The error for a request that is not signed with an accepted key."""


class Oss(Service):
    """OSS, with all buckets on one address.

    Args:
        shared: what all services of the cloud share.
        store: the buckets.
        regions: the regions that a signature of version 4 may be for.
        uploads: how bodies are received.
    """

    THROTTLING = (503, "QpsLimitExceeded")
    FORBIDDEN = (403, "AccessDenied")

    def __init__(self, shared: Shared, store: Store, regions: Sequence[str], uploads: Uploads) -> None:
        super().__init__(shared)
        self._store = store
        self._uploads = uploads
        self._v4 = OssV4(regions)
        self._signatures: Tuple[OssSignature, ...] = (OssV1(), OssV2(), self._v4)

    def subject(self, request: Request) -> Subject:
        signature = self._signature(request)
        access_key_id = signature.access_key_id(request) if signature else None
        owner = self.shared.keyring.owner(access_key_id)
        return Subject("oss", None, route(request)[0], owner.name if owner else None, access_key_id)

    def answer(self, request: Request) -> Answer:
        request.watch = reception = Reception(self._uploads, request.has_body)
        try:
            claim = self._claim(request)
            self._check(claim)
            reception.expect(self._v4.body_sha256(request),
                             functools.partial(self._check, claim) if self._uploads.recheck else None)
            return self._perform(request)
        except NotLetIn as error:
            reception.forget()
            return self._uploads.refused(request, error)
        except OssError as error:
            reception.forget()
            return error.answer(request)

    def refuse(self, request: Request, status: int, code: str) -> Answer:
        return OssError(code, status=status).answer(request)

    def _perform(self, request: Request) -> Answer:
        _, operation = route(request)
        if operation is None:
            raise OssError("NotImplemented")
        asked = target(request)
        if not takes_body(operation):
            request.drain()
        answer = operation(self._store, request, asked.bucket, asked.key)
        answer.headers["x-oss-request-id"] = uuid.uuid4().hex[:24].upper()
        return answer

    def _signature(self, request: Request) -> Optional[OssSignature]:
        return next((signature for signature in self._signatures if signature.matches(request)), None)

    def _claim(self, request: Request) -> Claim:
        signature = self._signature(request)
        try:
            if signature is not None:
                return signature.read(request, self.shared.clock.time())
            if "authorization" in request.headers:
                raise Refused("malformed", name="Authorization")
            raise Refused("anonymous")
        except Refused as refused:
            raise _error(refused) from None

    def _check(self, claim: Claim) -> None:
        try:
            owner = self.shared.keyring.check(claim, self.shared.clock.monotonic())
        except Refused as refused:
            raise _error(refused) from None
        if owner.kind != MANAGED:
            raise NotLetIn("AccessDenied",
                           "You are forbidden to use OSS: this AccessKey may only call Secrets Manager.")


def _error(refused: Refused) -> NotLetIn:
    claim, detail = refused.claim, refused.detail
    key = claim.access_key_id if claim else ""
    if refused.reason in ("unknown_key", "inactive_key"):
        return NotLetIn("InvalidAccessKeyId", OSSAccessKeyId=key)
    if refused.reason == "wrong_signature" and claim:
        return NotLetIn("SignatureDoesNotMatch", OSSAccessKeyId=key, SignatureProvided=claim.signature,
                        StringToSign=claim.shown_string_to_sign())
    if refused.reason in ("token_wrong", "token_missing"):
        return NotLetIn("InvalidSecurityToken")
    if refused.reason == "token_expired":
        return NotLetIn("SecurityTokenExpired")
    if refused.reason == "skewed":
        return NotLetIn("RequestTimeTooSkewed", RequestTime=detail["request_time"],
                        MaxAllowedSkewMilliseconds=str(WINDOW_SECONDS * 1000))
    if refused.reason == "bad_date":
        return NotLetIn("AccessDenied", "OSS authentication requires a valid Date.")
    if refused.reason == "expired":
        return NotLetIn("AccessDenied", "Request has expired.")
    if refused.reason == "malformed":
        return NotLetIn("InvalidArgument", "{} is invalid.".format(detail["name"]))
    return NotLetIn("AccessDenied")
