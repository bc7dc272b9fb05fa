"""A dedicated gateway's answers.

https://www.alibabacloud.com/help/en/kms/
"""
from typing import Dict, Tuple

from .. import openapi
from ..calls import Subject
from ..http import Answer, Request
from ..secrets_manager.responses import READERS, describe
from ..secrets_manager.state import Vault
from ..service import Service, Shared
from ..signatures import dkms
from ..signatures.claim import Refused
from . import messages
from .routes import OPERATIONS, VERSION

_PROTOBUF = "application/x-protobuf"

# Every other reason is a wrong header, which the message names.
_ERRORS: Dict[str, Tuple[int, str, str]] = {
    "unknown_key": (401, "Unauthorized", "The client key is not known, or is no longer valid."),
    "inactive_key": (401, "Unauthorized", "The client key is disabled."),
    "wrong_signature": (400, "InvalidParam", "The Param Authorization is invalid."),
    "bad_date": (400, "InvalidParam", "The Param Date is invalid."),
    "skewed": (400, "InvalidParam", "The Param Date is invalid."),
}


class DedicatedGateway(Service):
    """The gateway of one KMS instance; all instances have the same secrets."""

    THROTTLING = (429, "Rejected.Throttling")
    FORBIDDEN = (403, "Forbidden.NoPermission")

    def __init__(self, shared: Shared, vault: Vault, instance: str) -> None:
        super().__init__(shared)
        self._vault = vault
        self._instance = instance

    def subject(self, request: Request) -> Subject:
        try:
            secret = messages.decode_request(request.body())["SecretName"] or None
        except ValueError:
            secret = None
        return Subject("dedicated", self._instance, request.headers.get("x-kms-apiname", ""), secret,
                       request.headers.get(dkms.KEY_ID))

    def answer(self, request: Request) -> Answer:
        if (request.method, request.path) != ("POST", "/"):
            return _error(404, "InvalidApi.NotFound", "Specified api is not found.")
        try:
            claim = dkms.read(request, self.shared.clock.time())
            owner = self.shared.keyring.check(claim, self.shared.clock.monotonic())
        except Refused as refused:
            invalid = (400, "InvalidParam", "The Param {} is invalid.".format(refused.detail.get("name")))
            return _error(*_ERRORS.get(refused.reason, invalid))
        if owner.kind not in READERS:
            return _error(403, "Forbidden.NoPermission", "This operation is forbidden by permission system.")
        operation = OPERATIONS.get(request.headers["x-kms-apiname"])
        if operation is None or request.headers["x-kms-apiversion"] != VERSION:
            return _error(400, "InvalidParam", "The Param x-kms-apiname or x-kms-apiversion is invalid.")
        answer: Answer = getattr(self, operation)(request)
        return answer

    def get_secret_value(self, request: Request) -> Answer:
        """``GetSecretValue``."""
        try:
            asked = messages.decode_request(request.body())
        except ValueError:
            return _error(400, "InvalidParam", "The Param Body is invalid.")
        if not asked["SecretName"]:
            return _error(400, "InvalidParam", "The Param SecretName is invalid.")
        try:
            secret = self._vault.find(asked["SecretName"])
            version = secret.version(asked["VersionStage"], asked["VersionId"])
        except KeyError:
            version = None
        if version is None:
            return _error(404, "Forbidden.ResourceNotFound", "Resource not found.")
        body = messages.encode(messages.RESPONSE, describe(secret, version, asked["FetchExtendedConfig"]))
        key = version.access_key
        return Answer(200, body, {"Content-Type": _PROTOBUF}, given=key.access_key_id if key else None)

    def refuse(self, request: Request, status: int, code: str) -> Answer:
        return _error(status, code, "The request is refused: {}.".format(code))


def _error(status: int, code: str, message: str) -> Answer:
    values = {"StatusCode": status, "ErrorCode": code, "ErrorMessage": message, "RequestId": openapi.request_id()}
    return Answer(status, messages.encode(messages.ERROR, values), {"Content-Type": _PROTOBUF}, code=code)
