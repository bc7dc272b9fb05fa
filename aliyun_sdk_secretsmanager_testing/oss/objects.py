"""Operations on objects."""
import calendar
import email.utils
from typing import Dict, Optional, Union
from urllib.parse import quote, unquote

from ..http import Answer, Request
from .bodies import given, kept_headers, object_headers, received
from .buckets import XML, acl_answer
from .content import Content
from .errors import OssError
from .state import Part, Store, StoredObject, milliseconds
from .tagging import tags_of
from .xml import Fields, Names, document, parsed

_ACLS = ("default", "private", "public-read", "public-read-write")
_OVERRIDES = ("content-type", "content-language", "expires", "cache-control", "content-disposition",
              "content-encoding")


def put(store: Store, request: Request, bucket: str, key: str) -> Answer:
    """``PutObject``."""
    store.bucket(bucket)
    content = received(request)
    stored = StoredObject(content, "Normal", kept_headers(request), store.clock.time())
    store_object(store, request, bucket, key, stored)
    return Answer(200, headers=stored_headers(stored))


def append(store: Store, request: Request, bucket: str, key: str) -> Answer:
    """``AppendObject``."""
    position = request.parameter("position") or ""
    if not position.isdigit():
        raise OssError("InvalidArgument", ArgumentName="position", ArgumentValue=position)
    store.bucket(bucket)
    more = received(request)
    with store.lock:
        objects = store.bucket(bucket).objects
        stored = objects.get(key) or StoredObject(Content(), "Appendable", kept_headers(request), 0)
        if stored.kind != "Appendable":
            raise OssError("ObjectNotAppendable")
        if stored.content.size != int(position):
            raise OssError("PositionNotEqualToLength",
                           headers=(("x-oss-next-append-position", str(stored.content.size)),))
        stored.content.append(more.pieces(0, more.size))
        stored.modified = store.clock.time()
        objects[key] = stored
        headers = dict(stored_headers(stored), **{"x-oss-next-append-position": str(stored.content.size)})
    return Answer(200, headers=headers)


def copy(store: Store, request: Request, bucket: str, key: str) -> Answer:
    """``CopyObject``."""
    with store.lock:
        source = copy_source(store, request)
        replace = request.headers.get("x-oss-metadata-directive", "COPY").upper() == "REPLACE"
        stored = StoredObject(source.content if source.kind != "Appendable" else _copied(source.content), "Normal",
                              kept_headers(request) if replace else dict(source.headers), store.clock.time())
        store_object(store, request, bucket, key, stored)
    fields: Fields = [("LastModified", milliseconds(stored.modified)), ("ETag", '"{}"'.format(stored.etag))]
    return Answer(200, document("CopyObjectResult", fields), dict(stored_headers(stored), **XML))


def copy_source(store: Store, request: Request) -> StoredObject:
    """Return the object that ``x-oss-copy-source`` names."""
    source = unquote(request.headers["x-oss-copy-source"]).lstrip("/")
    name, _, key = source.partition("/")
    return store.bucket(name).resolved(key)


def get(store: Store, request: Request, bucket: str, key: str) -> Answer:
    """``GetObject``."""
    with store.lock:
        stored = store.bucket(bucket).resolved(key)
        _check_conditions(request, stored)
        if stored.archived:
            raise OssError("InvalidObjectState")
        answer = given(request, stored)
    for name in _OVERRIDES:
        override = request.parameter("response-" + name)
        if override:
            answer.headers[name] = override
    return answer


def head(store: Store, request: Request, bucket: str, key: str) -> Answer:
    """``HeadObject``."""
    with store.lock:
        stored = store.bucket(bucket).resolved(key)
        _check_conditions(request, stored)
        return Answer(200, headers=object_headers(stored))


def meta(store: Store, request: Request, bucket: str, key: str) -> Answer:
    """``GetObjectMeta``. Old versions of oss2 send it with GET; the answer has no body then, either, and no length."""
    with store.lock:
        headers = object_headers(store.bucket(bucket).resolved(key))
    names = ("Content-Length", "ETag", "Last-Modified", "x-oss-hash-crc64ecma")
    return Answer(200, headers={name: headers[name] for name in names[request.method == "GET":]})


def delete(store: Store, _request: Request, bucket: str, key: str) -> Answer:
    """``DeleteObject``, which is no error if there is no such object."""
    with store.lock:
        store.bucket(bucket).objects.pop(key, None)
    return Answer(204)


def delete_several(store: Store, request: Request, bucket: str, _key: str) -> Answer:
    """``DeleteMultipleObjects``."""
    content = received(request)
    root = parsed(content.read(0, content.size))
    if root is None:
        raise OssError("MalformedXML")
    keys = [element.findtext("Key") or "" for element in root.findall("Object")]
    with store.lock:
        objects = store.bucket(bucket).objects
        for key in keys:
            objects.pop(key, None)
    if root.findtext("Quiet") == "true":
        return Answer(200)
    names = Names(request)
    deleted = [("Deleted", [("Key", names(key))]) for key in keys]
    return Answer(200, document("DeleteResult", names.fields + deleted), XML)


def restore(store: Store, _request: Request, bucket: str, key: str) -> Answer:
    """``RestoreObject``. The object can be read at once, although the answer says that this takes a while."""
    with store.lock:
        stored = store.bucket(bucket).object(key)
        if stored.restored:
            return Answer(200)
        if not stored.archived:
            raise OssError("OperationNotSupported", ResourceType="Object")
        stored.restored = True
    return Answer(202)


def get_acl(store: Store, _request: Request, bucket: str, key: str) -> Answer:
    """``GetObjectAcl``."""
    return acl_answer(store.bucket(bucket).object(key).acl)


def put_acl(store: Store, request: Request, bucket: str, key: str) -> Answer:
    """``PutObjectAcl``."""
    with store.lock:
        stored = store.bucket(bucket).object(key)
        stored.acl = _acl(request, "default")
    return Answer(200)


def put_symlink(store: Store, request: Request, bucket: str, key: str) -> Answer:
    """``PutSymlink``."""
    target = unquote(request.headers.get("x-oss-symlink-target", ""))
    if not target:
        raise OssError("InvalidArgument", ArgumentName="x-oss-symlink-target", ArgumentValue="")
    stored = StoredObject(Content(), "Symlink", kept_headers(request), store.clock.time(), target=target)
    store_object(store, request, bucket, key, stored)
    return Answer(200, headers={"ETag": '"{}"'.format(stored.etag)})


def get_symlink(store: Store, _request: Request, bucket: str, key: str) -> Answer:
    """``GetSymlink``."""
    stored = store.bucket(bucket).object(key)
    if stored.target is None:
        raise OssError("NotSymlink")
    return Answer(200, headers={"x-oss-symlink-target": quote(stored.target), "Last-Modified": stored.last_modified,
                                "ETag": '"{}"'.format(stored.etag)})


def store_object(store: Store, request: Request, bucket: str, key: str, stored: StoredObject) -> None:
    """Put an object into a bucket, with the ACL and the tags that the request names.

    Raises:
        OssError: FileAlreadyExists, InvalidArgument, InvalidTag or NoSuchBucket.
    """
    stored.acl = _acl(request, "default")
    stored.tags = tags_of(request.headers.get("x-oss-tagging"))
    with store.lock:
        objects = store.bucket(bucket).objects
        if key in objects and request.headers.get("x-oss-forbid-overwrite") == "true":
            raise OssError("FileAlreadyExists")
        objects[key] = stored


def stored_headers(stored: Union[StoredObject, Part]) -> Dict[str, str]:
    """Return the headers by which all operations describe the bytes that they stored."""
    return {"ETag": '"{}"'.format(stored.etag), "x-oss-hash-crc64ecma": str(stored.content.crc64)}


def _copied(content: Content) -> Content:
    return Content().append(content.pieces(0, content.size))


def _acl(request: Request, usual: str) -> str:
    acl = request.headers.get("x-oss-object-acl", usual)
    if acl not in _ACLS:
        raise OssError("InvalidArgument", ArgumentName="x-oss-object-acl", ArgumentValue=acl)
    return acl


def _check_conditions(request: Request, stored: StoredObject) -> None:
    headers = request.headers
    match, none_match = headers.get("if-match"), headers.get("if-none-match")
    modified = int(stored.modified)
    if match is not None and match.strip('"') != stored.etag:
        raise OssError("PreconditionFailed")
    unmodified_since = _date(headers.get("if-unmodified-since"))
    if unmodified_since is not None and modified > unmodified_since:
        raise OssError("PreconditionFailed")
    if none_match is not None and none_match.strip('"') == stored.etag:
        raise OssError("NotModified")
    modified_since = _date(headers.get("if-modified-since"))
    if modified_since is not None and modified <= modified_since:
        raise OssError("NotModified")


def _date(text: Optional[str]) -> Optional[int]:
    moment = email.utils.parsedate(text) if text else None
    return calendar.timegm(moment) if moment else None
