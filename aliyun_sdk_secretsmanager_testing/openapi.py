"""What all RPC and ROA services share: who calls, the common errors, and answers in JSON or XML.

Codes: https://error-center.alibabacloud.com (common errors of all products).
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
    "wrong_path": (404, "InvalidApi.NotFound", "Specified api is not found, please check your url and method."),
}


class Operation(NamedTuple):
    """What a request asks for, whichever style it has."""

    action: str
    version: str
    region: Optional[str]
    access_key_id: Optional[str]
    parameters: Dict[str, str]


def operation(request: Request) -> Operation:
    """What a request says of itself; nothing is verified."""
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
    """A service of the RPC and ROA kind."""

    THROTTLING = (400, "Throttling.User")
    FORBIDDEN = (403, "Forbidden.RAM")

    def caller(self, request: Request) -> Owner:
        """Check the signature of a request.

        Returns:
            Whose key signed it.

        Raises:
            Refused: nobody's did.
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
        return self.shared.keyring.check(claim, self.shared.clock.monotonic())

    def answer(self, request: Request) -> Answer:
        try:
            owner = self.caller(request)
        except Refused as refused:
            return self._refused(request, refused)
        return self.perform(request, owner)

    def perform(self, request: Request, owner: Owner) -> Answer:
        """Answer a request whose signature is right."""
        raise NotImplementedError

    def refuse(self, request: Request, status: int, code: str) -> Answer:
        return error(request, status, code, "The request is refused: {}.".format(code))

    @staticmethod
    def _refused(request: Request, refused: Refused) -> Answer:
        status, code, message = _ERRORS[refused.reason]
        shown = refused.claim.shown_string_to_sign() if refused.claim else ""
        return error(request, status, code, message.format(string_to_sign=shown, **refused.detail))


def error(request: Request, status: int, code: str, message: str) -> Answer:
    """An error answer in the request's format."""
    document = {"RequestId": request_id(), "HostId": request.headers.get("host", ""), "Code": code,
                "Message": message, "Recommend": "https://error-center.aliyun.com/status/search?Keyword=" + code}
    return answer(request, document, status, root="Error", code=code)


def answer(request: Request, document: Dict[str, Any], status: int = 200, root: str = "", code: str = "",
           given: Optional[str] = None) -> Answer:
    """An answer in the format that the request wants: XML only where it says so.

    Args:
        root: name of the XML document's element.
    """
    if _wants_xml(request):
        text = '<?xml version="1.0" encoding="UTF-8"?>' + _xml(root or "Response", document)
        return Answer(status, text.encode("utf-8"), {"Content-Type": "text/xml;charset=utf-8"}, code, given)
    body = json.dumps(document, ensure_ascii=False).encode("utf-8", "surrogateescape")
    return Answer(status, body, {"Content-Type": "application/json;charset=utf-8"}, code, given)


def request_id() -> str:
    """A new id as all services put it into their answers."""
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
