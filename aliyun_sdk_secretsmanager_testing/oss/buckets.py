"""Operations on buckets."""
import base64
import binascii

from ..http import Answer, Request
from .errors import OssError
from .listing import Page, limit, page
from .state import Bucket, Store, is_bucket_name, milliseconds
from .xml import Fields, Names, document

XML = {"Content-Type": "application/xml"}
OWNER: Fields = [("ID", "local-cloud"), ("DisplayName", "local-cloud")]

_ACLS = ("private", "public-read", "public-read-write")
_LOCATION = "oss-local"


def list_buckets(store: Store, request: Request, _bucket: str, _key: str) -> Answer:
    """``ListBuckets`` (GET service)."""
    prefix = request.parameter("prefix") or ""
    marker = request.parameter("marker") or ""
    buckets = {bucket.name: bucket for bucket in store.buckets()}
    found = page(buckets, prefix, "", marker, limit(request, "max-keys", 100))
    fields = [("Prefix", prefix), ("Marker", marker), ("IsTruncated", _bool(found.next_marker)),
              ("NextMarker", found.next_marker), ("Owner", OWNER),
              ("Buckets", [("Bucket", _summary(buckets[name], request)) for name in found.keys])]
    return Answer(200, document("ListAllMyBucketsResult", fields), XML)


def put_bucket(store: Store, request: Request, name: str, _key: str) -> Answer:
    """``PutBucket``. A bucket that exists already only gets the ACL, since it has the same owner."""
    request.drain()
    if not is_bucket_name(name):
        raise OssError("InvalidBucketName", BucketName=name)
    with store.lock:
        try:
            bucket = store.bucket(name)
        except OssError:
            bucket = store.create_bucket(name)
        bucket.acl = _acl(request, bucket.acl)
    return Answer(200, headers={"Location": "/" + name})


def delete_bucket(store: Store, _request: Request, name: str, _key: str) -> Answer:
    """``DeleteBucket``."""
    store.delete_bucket(name)
    return Answer(204)


def get_info(store: Store, request: Request, name: str, _key: str) -> Answer:
    """``GetBucketInfo``."""
    bucket = store.bucket(name)
    fields = _summary(bucket, request) + [
        ("Owner", OWNER), ("AccessControlList", [("Grant", bucket.acl)]), ("DataRedundancyType", "LRS")]
    return Answer(200, document("BucketInfo", [("Bucket", fields)]), XML)


def get_location(store: Store, _request: Request, name: str, _key: str) -> Answer:
    """``GetBucketLocation``."""
    store.bucket(name)
    return Answer(200, document("LocationConstraint", _LOCATION), XML)


def get_stat(store: Store, _request: Request, name: str, _key: str) -> Answer:
    """``GetBucketStat``."""
    with store.lock:
        bucket = store.bucket(name)
        fields = [("Storage", sum(stored.content.size for stored in bucket.objects.values())),
                  ("ObjectCount", len(bucket.objects)), ("MultipartUploadCount", len(bucket.uploads))]
    return Answer(200, document("BucketStat", fields), XML)


def get_acl(store: Store, _request: Request, name: str, _key: str) -> Answer:
    """``GetBucketAcl``."""
    return acl_answer(store.bucket(name).acl)


def put_acl(store: Store, request: Request, name: str, _key: str) -> Answer:
    """``PutBucketAcl``."""
    with store.lock:
        bucket = store.bucket(name)
        bucket.acl = _acl(request, bucket.acl)
    return Answer(200)


def acl_answer(acl: str) -> Answer:
    """Return the answer to ``GetBucketAcl`` and ``GetObjectAcl``."""
    fields = [("Owner", OWNER), ("AccessControlList", [("Grant", acl)])]
    return Answer(200, document("AccessControlPolicy", fields), XML)


def list_objects(store: Store, request: Request, name: str, _key: str) -> Answer:
    """``GetBucket`` (ListObjects), versions 1 and 2."""
    second = request.parameter("list-type") == "2"
    prefix, delimiter = request.parameter("prefix") or "", request.parameter("delimiter") or ""
    token = request.parameter("continuation-token") or ""
    marker = (_marker_of(token) if token else request.parameter("start-after") or "") if second \
        else request.parameter("marker") or ""
    with store.lock:
        bucket = store.bucket(name)
        found = page(bucket.objects, prefix, delimiter, marker, limit(request, "max-keys", 100))
        entries = _entries(bucket, request, found)
    names = Names(request)
    fields: Fields = names.fields + [
        ("Name", name), ("Prefix", names(prefix)), ("Delimiter", names(delimiter)),
        ("MaxKeys", limit(request, "max-keys", 100)), ("IsTruncated", _bool(found.next_marker))]
    if second:
        fields += [("KeyCount", len(found.keys) + len(found.prefixes)), ("ContinuationToken", token)]
        if found.next_marker:
            fields.append(("NextContinuationToken", _token_of(found.next_marker)))
    else:
        fields.append(("Marker", names(marker)))
        if found.next_marker:
            fields.append(("NextMarker", names(found.next_marker)))
    return Answer(200, document("ListBucketResult", fields + entries), XML)


def _entries(bucket: Bucket, request: Request, found: Page) -> Fields:
    names = Names(request)
    owned = request.parameter("list-type") != "2" or request.parameter("fetch-owner") == "true"
    entries: Fields = []
    for key in found.keys:
        stored = bucket.objects[key]
        fields: Fields = [
            ("Key", names(key)), ("LastModified", milliseconds(stored.modified)),
            ("ETag", '"{}"'.format(stored.etag)), ("Type", stored.kind), ("Size", stored.content.size),
            ("StorageClass", stored.storage_class)]
        entries.append(("Contents", fields + ([("Owner", OWNER)] if owned else [])))
    return entries + [("CommonPrefixes", [("Prefix", names(prefix))]) for prefix in found.prefixes]


def _token_of(marker: str) -> str:
    return base64.urlsafe_b64encode(marker.encode("utf-8")).decode("ascii")


def _marker_of(token: str) -> str:
    try:
        return base64.urlsafe_b64decode(token.encode("utf-8")).decode("utf-8")
    except (binascii.Error, UnicodeDecodeError):
        raise OssError("InvalidArgument", "The continuation-token is invalid.") from None


def _summary(bucket: Bucket, request: Request) -> Fields:
    host = request.headers.get("host", "")
    return [("Name", bucket.name), ("Location", _LOCATION), ("CreationDate", bucket.creation_date),
            ("ExtranetEndpoint", host), ("IntranetEndpoint", host), ("StorageClass", "Standard")]


def _acl(request: Request, usual: str) -> str:
    acl = request.headers.get("x-oss-acl", usual)
    if acl not in _ACLS:
        raise OssError("InvalidArgument", ArgumentName="x-oss-acl", ArgumentValue=acl)
    return acl


def _bool(value: object) -> str:
    return "true" if value else "false"
