"""The operations of OSS, by method, by what the path names, and by the sub-resource in the query."""
from typing import Callable, Dict, FrozenSet, NamedTuple, Optional, Tuple
from urllib.parse import unquote_to_bytes

from ..http import Answer, Request
from ..signatures.oss_v1 import SUBRESOURCES
from . import buckets, multipart, objects, processing, tagging
from .errors import OssError
from .state import Store


class Target(NamedTuple):
    """What a path names. Bucket and key are empty for the service, and the key is empty for a bucket."""

    bucket: str
    key: str

    @property
    def level(self) -> str:
        return "object" if self.key else "bucket" if self.bucket else "service"


Operation = Callable[[Store, Request, str, str], Answer]

# Sub-resources that change an operation but do not choose one.
_MODIFIER_NAMES = """callback callback-var continuation-token position response-cache-control
response-content-disposition response-content-encoding response-content-language response-content-type response-expires
security-token sequential versionId x-oss-request-payer x-oss-traffic-limit"""
_MODIFIERS = frozenset(_MODIFIER_NAMES.split())

_ROUTES: Dict[Tuple[str, str, str], Tuple[str, Operation]] = {
    ("GET", "service", ""): ("ListBuckets", buckets.list_buckets),
    ("PUT", "bucket", ""): ("PutBucket", buckets.put_bucket),
    ("DELETE", "bucket", ""): ("DeleteBucket", buckets.delete_bucket),
    ("GET", "bucket", ""): ("ListObjects", buckets.list_objects),
    ("GET", "bucket", "acl"): ("GetBucketAcl", buckets.get_acl),
    ("PUT", "bucket", "acl"): ("PutBucketAcl", buckets.put_acl),
    ("GET", "bucket", "bucketInfo"): ("GetBucketInfo", buckets.get_info),
    ("GET", "bucket", "location"): ("GetBucketLocation", buckets.get_location),
    ("GET", "bucket", "stat"): ("GetBucketStat", buckets.get_stat),
    ("GET", "bucket", "uploads"): ("ListMultipartUploads", multipart.list_uploads),
    ("POST", "bucket", "delete"): ("DeleteMultipleObjects", objects.delete_several),
    ("PUT", "object", ""): ("PutObject", objects.put),
    ("GET", "object", ""): ("GetObject", objects.get),
    ("HEAD", "object", ""): ("HeadObject", objects.head),
    ("HEAD", "object", "objectMeta"): ("GetObjectMeta", objects.meta),
    ("GET", "object", "objectMeta"): ("GetObjectMeta", objects.meta),
    ("DELETE", "object", ""): ("DeleteObject", objects.delete),
    ("GET", "object", "acl"): ("GetObjectAcl", objects.get_acl),
    ("PUT", "object", "acl"): ("PutObjectAcl", objects.put_acl),
    ("GET", "object", "symlink"): ("GetSymlink", objects.get_symlink),
    ("PUT", "object", "symlink"): ("PutSymlink", objects.put_symlink),
    ("GET", "object", "tagging"): ("GetObjectTagging", tagging.get_tagging),
    ("PUT", "object", "tagging"): ("PutObjectTagging", tagging.put_tagging),
    ("DELETE", "object", "tagging"): ("DeleteObjectTagging", tagging.delete_tagging),
    ("POST", "object", "restore"): ("RestoreObject", objects.restore),
    ("POST", "object", "x-oss-process"): ("ProcessObject", processing.process),
    ("POST", "object", "append"): ("AppendObject", objects.append),
    ("POST", "object", "uploads"): ("InitiateMultipartUpload", multipart.initiate),
    ("PUT", "object", "partNumber"): ("UploadPart", multipart.upload_part),
    ("POST", "object", "uploadId"): ("CompleteMultipartUpload", multipart.complete),
    ("DELETE", "object", "uploadId"): ("AbortMultipartUpload", multipart.abort),
    ("GET", "object", "uploadId"): ("ListParts", multipart.list_parts),
}


# The operations that read the request's body. For all others it is read and discarded before.
_TAKE_BODIES: FrozenSet[Operation] = frozenset((
    objects.put, objects.append, objects.delete_several, multipart.upload_part, multipart.complete,
    processing.process, processing.select, tagging.put_tagging))


def takes_body(operation: Operation) -> bool:
    """Whether an operation reads the request's body."""
    return operation in _TAKE_BODIES


def target(request: Request) -> Target:
    """Return what the path of a request names.

    Raises:
        OssError: the path is no UTF-8.
    """
    try:
        path = unquote_to_bytes(request.path).decode("utf-8")
    except UnicodeDecodeError:
        raise OssError("InvalidObjectName") from None
    bucket, _, key = path[1:].partition("/")
    return Target(bucket, key)


def route(request: Request) -> Tuple[str, Optional[Operation]]:
    """Return the name of a request's operation, and the function that performs it; None where it is not implemented."""
    # A request with "partNumber" also has "uploadId", which comes later in the alphabet.
    named = sorted({name for name, _ in request.query} & SUBRESOURCES - _MODIFIERS)
    subresource = named[0] if named else ""
    try:
        level = target(request).level
    except OssError:
        level = "object"
    name, operation = _ROUTES.get((request.method, level, subresource), (None, None))
    if operation is objects.put and "x-oss-copy-source" in request.headers:
        return "CopyObject", objects.copy
    if operation is multipart.upload_part and "x-oss-copy-source" in request.headers:
        return "UploadPartCopy", multipart.copy_part
    if operation is processing.process and request.parameter("x-oss-process"):
        return _selection(request.parameter("x-oss-process"))
    return name or "{} {}?{}".format(request.method, level, subresource), operation


def _selection(process: Optional[str]) -> Tuple[str, Optional[Operation]]:
    if process == "csv/select":
        return "SelectObject", processing.select
    return "SelectObject" if process == "json/select" else "CreateSelectObjectMeta", None
