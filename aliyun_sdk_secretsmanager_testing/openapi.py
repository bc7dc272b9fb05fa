"""The base class of RPC and ROA services: it checks signatures, and answers in JSON or XML.

The codes are the common errors of all products at https://error-center.alibabacloud.com.
"""
import json
import uuid
from html import escape
from typing import Any, Dict, NamedTuple, Optional, Tuple

from .http import Answer, Request
from .keyring import Owner
from .service import Service
from .signatures import roa, rpc, v3
from .signatures.claim import Claim, Refused

_ERRORS: Dict[str, Tuple[int, str, str]] = {
    "unknown_key": (404, "InvalidAccessKeyId.NotFound", "Specified access key is not found."),
    "inactive_key": (400, "InvalidAccessKeyId.Inactive", "Specified access key is disabled."),
    "wrong_signature": (400, "SignatureDoesNotMatch", "Specified signature is not matched with our calculation. "
                        "server string to sign is:{string_to_sign}"),
    "wrong_md5": (400, "ContentMD5NotMatched", "The Content-MD5 does not match the body."),
    "wrong_sha256": (400, "ContentSHA256NotMatched", "The x-acs-content-sha256 does not match the body."),
    "token_missing": (400, "MissingSecurityToken", "SecurityToken is mandatory for this action."),
    "token_wrong": (400, "InvalidSecurityToken.Malformed", "Specified SecurityToken is malformed."),
    "token_expired": (400, "InvalidSecurityToken.Expired", "Specified SecurityToken is expired."),
    "missing": (400, "MissingParameter", "The input parameter \"{name}\" that is mandatory for processing this "
                "request is not supplied."),
    "malformed": (400, "IncompleteSignature", "The request signature does not conform to Aliyun standards: {name}."),
    "unsupported": (400, "InvalidParameter", "The specified value of {name} is not supported."),
    "bad_date": (400, "InvalidTimeStamp.Format", "Specified time stamp or date value is not well formatted."),
    "skewed": (400, "InvalidTimeStamp.Expired", "Specified time stamp or date value is expired."),
    "nonce_used": (400, "SignatureNonceUsed", "Specified signature nonce was used already."),
    "wrong_path": (404, "InvalidApi.NotFound", "Specified api is not found, please check your url and method."),
}

# Simple Log Service, which is recognized by its version, has other errors for some reasons.
_SLS = "2020-12-30"
_SLS_ERRORS: Dict[str, Tuple[int, str, str]] = dict(
    _ERRORS,
    unknown_key=(401, "Unauthorized", "AccessKeyId not found: {access_key_id}"),
    inactive_key=(401, "Unauthorized", "AccessKeyId is disabled: {access_key_id}"),
    token_expired=(401, "Unauthorized", "The security token you provided has expired."),
)


class Operation(NamedTuple):
    """The operation that a request asks for, whatever its style."""

    action: str
    version: str
    region: Optional[str]
    access_key_id: Optional[str]
    parameters: Dict[str, str]


def operation(request: Request) -> Operation:
    """Return the operation that a request names; nothing is verified."""
    if roa.matches(request):
        return _roa_operation(request)
    parameters = {name: value or "" for name, value in rpc.parameters(request)}
    if v3.matches(request):
        headers = request.headers
        return Operation(headers.get("x-acs-action", ""), headers.get("x-acs-version", ""),
                         headers.get("x-acs-region-id") or parameters.get("RegionId"), v3.access_key_id(request),
                         parameters)
    return Operation(parameters.get("Action", ""), parameters.get("Version", ""), parameters.get("RegionId"),
                     parameters.get("AccessKeyId"), parameters)


def _roa_operation(request: Request) -> Operation:
    headers = request.headers
    parameters = {name: value or "" for name, value in request.query}
    action = headers.get("x-acs-action") or "{} {}".format(request.method, request.path)
    access_key_id = headers["authorization"].partition(" ")[2].partition(":")[0]
    return Operation(action, headers.get("x-acs-version", ""),
                     headers.get("x-acs-region-id") or parameters.get("RegionId"), access_key_id, parameters)


class OpenApi(Service):
    """A service that takes RPC and ROA requests."""

    THROTTLING = (400, "Throttling.User")
    FORBIDDEN = (403, "Forbidden.RAM")

    def caller(self, request: Request) -> Owner:
        """Check the signature and the nonce of a request.

        Returns:
            The owner of the key that signed it.

        Raises:
            Refused: the signature is wrong, or the nonce was used already.
        """
        now = self.shared.clock.time()
        if v3.matches(request):
            claim: Claim = v3.read(request, now)
        elif roa.matches(request):
            claim = roa.read(request, now)
        elif request.path != "/":
            raise Refused("wrong_path")
        else:
            claim = rpc.read(request, now)
        at = self.shared.clock.monotonic()
        owner = self.shared.keyring.check(claim, at)
        # After the signature, since a caller without a key could otherwise use up the nonces of others.
        if claim.nonce and not self.shared.nonces.use(claim.access_key_id, claim.nonce, at):
            raise Refused("nonce_used", claim)
        return owner

    def answer(self, request: Request) -> Answer:
        try:
            owner = self.caller(request)
        except Refused as refused:
            return self._refused(request, refused)
        return self.perform(request, owner)

    def perform(self, request: Request, owner: Owner) -> Answer:
        """Answer a request whose signature is right.

        Args:
            request: the request.
            owner: the owner of the key that signed it.
        """
        raise NotImplementedError

    def refuse(self, request: Request, status: int, code: str) -> Answer:
        return error(request, status, code, "The request is refused: {}.".format(code))

    @staticmethod
    def _refused(request: Request, refused: Refused) -> Answer:
        asked = operation(request)
        status, code, message = (_SLS_ERRORS if asked.version == _SLS else _ERRORS)[refused.reason]
        shown = refused.claim.shown_string_to_sign() if refused.claim else ""
        return error(request, status, code, message.format(
            string_to_sign=shown, access_key_id=asked.access_key_id, **refused.detail))


def error(request: Request, status: int, code: str, message: str) -> Answer:
    """Return an error answer in the format that the request asks for.

    Args:
        request: the request.
        status: HTTP status.
        code: the error code.
        message: the message.
    """
    document = {"RequestId": request_id(), "HostId": request.headers.get("host", ""), "Code": code,
                "Message": message, "Recommend": "https://error-center.aliyun.com/status/search?Keyword=" + code}
    return answer(request, document, status, root="Error", code=code)


def answer(request: Request, document: Dict[str, Any], status: int = 200, root: str = "", code: str = "",
           given: Optional[str] = None) -> Answer:
    """Return an answer in the format that the request asks for: JSON, or XML if it says so.

    Args:
        request: the request.
        document: the fields of the answer.
        status: HTTP status.
        root: the name of the element if it is XML.
        code: the error code, for the log.
        given: the AccessKey id that the answer contains, for the log.
    """
    if _wants_xml(request):
        text = '<?xml version="1.0" encoding="UTF-8"?>' + _xml(root or "Response", document)
        return Answer(status, text.encode("utf-8"), {"Content-Type": "text/xml;charset=utf-8"}, code, given)
    body = json.dumps(document, ensure_ascii=False).encode("utf-8", "surrogateescape")
    return Answer(status, body, {"Content-Type": "application/json;charset=utf-8"}, code, given)


def unknown_action(request: Request) -> Answer:
    """Return the error answer for an action that the service does not have."""
    return error(request, 404, "InvalidAction.NotFound",
                 "Specified api is not found, please check your url and method.")


def request_id() -> str:
    """Return a new RequestId."""
    return str(uuid.uuid4()).upper()


def _wants_xml(request: Request) -> bool:
    if roa.matches(request) or v3.matches(request):
        return "xml" in request.headers.get("accept", "")
    return operation(request).parameters.get("Format", "").upper() == "XML"


def _xml(name: str, value: Any) -> str:
    if isinstance(value, list):
        return "".join(_xml(name, item) for item in value)
    if isinstance(value, dict):
        inner = "".join(_xml(key, item) for key, item in value.items())
    else:
        inner = escape(str(value), quote=False)
    return "<{0}>{1}</{0}>".format(name, inner)
