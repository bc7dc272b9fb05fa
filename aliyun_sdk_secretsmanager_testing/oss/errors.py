"""OSS's errors: status, code, EC and message.

https://www.alibabacloud.com/help/en/oss/support/ (error codes)
"""
import base64
import uuid
from typing import Dict, Tuple

from ..http import Answer, Request
from .xml import document

_ERRORS: Dict[str, Tuple[int, str, str]] = {
    "AccessDenied": (403, "0003-00000001", "You have no right to access this object because of bucket acl."),
    "BucketAlreadyExists": (409, "0015-00000104", "The requested bucket name is not available."),
    "BucketNotEmpty": (409, "0015-00000301", "The bucket has objects. Please delete them first."),
    "EntityTooSmall": (400, "0042-00000206", "Your proposed upload smaller than the minimum allowed size."),
    "FileAlreadyExists": (409, "0026-00000005", "The object you specified already exists and can not be overwritten."),
    "InvalidAccessKeyId": (403, "0002-00000902", "The OSS Access Key Id you provided does not exist in our records."),
    "InvalidArgument": (400, "0016-00000001", "An argument is invalid."),
    "InvalidBucketName": (400, "0015-00000001", "The specified bucket is not valid."),
    "InvalidDigest": (400, "0016-00000509", "The Content-MD5 you specified was invalid."),
    "InvalidObjectName": (400, "0016-00000502", "The specified object is not valid."),
    "InvalidObjectState": (403, "0026-00000066", "The operation is not valid for the object's state."),
    "InvalidPart": (400, "0042-00000201", "One or more of the specified parts could not be found or the specified "
                    "entity tag might not have matched the part's entity tag."),
    "InvalidPartOrder": (400, "0042-00000202", "The list of parts was not in ascending order."),
    "InvalidRange": (416, "0026-00000044", "The requested range cannot be satisfied."),
    "InvalidSecurityToken": (403, "0002-00000021", "The security token you provided is invalid."),
    "InvalidTag": (400, "0017-00000402", "The tag you specified is invalid."),
    "MalformedXML": (400, "0016-00000507", "The XML you provided was not well-formed."),
    "MissingContentLength": (411, "0016-00000504", "You must provide the Content-Length HTTP header."),
    "NoSuchBucket": (404, "0015-00000101", "The specified bucket does not exist."),
    "NoSuchKey": (404, "0026-00000001", "The specified key does not exist."),
    "NoSuchUpload": (404, "0042-00000002", "The specified upload does not exist."),
    "NotImplemented": (501, "0016-00000909", "A header or query you provided requested a function that is not "
                       "implemented."),
    "NotModified": (304, "0026-00000002", "Not Modified."),
    "NotSymlink": (400, "0026-00000023", "The object is not a symlink."),
    "ObjectNotAppendable": (409, "0026-00000015", "The object is not appendable."),
    "OperationNotSupported": (400, "0016-00000508", "The operation is not supported for this resource."),
    "PositionNotEqualToLength": (409, "0026-00000016", "Position is not equal to file length."),
    "PreconditionFailed": (412, "0026-00000003", "At least one of the pre-conditions you specified did not hold."),
    "QpsLimitExceeded": (503, "0002-00000802", "Please reduce your request rate."),
    "RequestTimeTooSkewed": (403, "0002-00000504", "The difference between the request time and the current time is "
                             "too large."),
    "SecurityTokenExpired": (403, "0002-00000022", "The security token you provided has expired."),
    "SignatureDoesNotMatch": (403, "0002-00000001", "The request signature we calculated does not match the signature "
                              "you provided. Check your key and signing method."),
    "SymlinkTargetNotExist": (404, "0026-00000024", "The symlink target object does not exist."),
}


class OssError(Exception):
    """An error that OSS answers.

    Args:
        code: one of OSS's error codes; with ``status`` also another one.
        message: the message; empty is the usual one for the code.
        status: the HTTP status; 0 is the usual one for the code.
        headers: further headers of the answer.
        details: further elements of its XML.
    """

    def __init__(self, code: str, message: str = "", status: int = 0, headers: Tuple[Tuple[str, str], ...] = (),
                 **details: str) -> None:
        usual_status, self.ec, usual_message = _ERRORS.get(code, (500, "0000-00000000", "The request is refused."))
        super().__init__(code)
        self.code = code
        self.status = status or usual_status
        self.message = message or usual_message
        self.headers = dict(headers)
        self.details = details

    def answer(self, request: Request) -> Answer:
        """Return the error as OSS sends it: in XML, which is in a header of the answer to a HEAD request."""
        request_id = uuid.uuid4().hex[:24].upper()
        fields = [("Code", self.code), ("Message", self.message), ("RequestId", request_id),
                  ("HostId", request.headers.get("host", ""))]
        body = document("Error", fields + sorted(self.details.items()) + [("EC", self.ec)])
        headers = dict(self.headers)
        headers.update({"Content-Type": "application/xml", "x-oss-request-id": request_id, "x-oss-ec": self.ec})
        if request.method == "HEAD":
            headers["x-oss-err"] = base64.b64encode(body).decode("ascii")
        return Answer(self.status, b"" if self.status == 304 else body, headers, code=self.code)
