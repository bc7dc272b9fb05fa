"""Multipart uploads."""
import hashlib
import re
import uuid
from typing import List, Tuple

from ..http import Answer, Request
from .bodies import kept_headers, received
from .buckets import XML
from .content import Content
from .errors import OssError
from .listing import limit, page
from .objects import copy_source, store_object, stored_headers
from .state import Part, Store, StoredObject, Upload, milliseconds
from .xml import Fields, Names, document, parsed

_SMALLEST_PART = 100 * 1024


def initiate(store: Store, request: Request, bucket: str, key: str) -> Answer:
    """``InitiateMultipartUpload``."""
    request.drain()
    upload_id = uuid.uuid4().hex.upper()
    with store.lock:
        store.bucket(bucket).uploads[upload_id] = Upload(upload_id, key, kept_headers(request), store.clock.time())
    names = Names(request)
    fields: Fields = names.fields + [("Bucket", bucket), ("Key", names(key)), ("UploadId", upload_id)]
    return Answer(200, document("InitiateMultipartUploadResult", fields), XML)


def upload_part(store: Store, request: Request, bucket: str, key: str) -> Answer:
    """``UploadPart``."""
    number = _part_number(request)
    _upload(store, request, bucket, key)
    part = Part(received(request), store.clock.time())
    with store.lock:
        _upload(store, request, bucket, key).parts[number] = part
    return Answer(200, headers=stored_headers(part))


def copy_part(store: Store, request: Request, bucket: str, key: str) -> Answer:
    """``UploadPartCopy``."""
    number = _part_number(request)
    with store.lock:
        upload = _upload(store, request, bucket, key)
        source = copy_source(store, request).content
        start, stop = 0, source.size
        match = re.match(r"^bytes=(\d+)-(\d+)$", request.headers.get("x-oss-copy-source-range", ""))
        if match:
            start, stop = int(match.group(1)), min(int(match.group(2)) + 1, source.size)
        part = upload.parts[number] = Part(Content().append(source.pieces(start, stop)), store.clock.time())
    fields: Fields = [("LastModified", milliseconds(part.modified)), ("ETag", '"{}"'.format(part.etag))]
    return Answer(200, document("CopyPartResult", fields), dict(stored_headers(part), **XML))


def complete(store: Store, request: Request, bucket: str, key: str) -> Answer:
    """``CompleteMultipartUpload``."""
    body = received(request)
    wanted = _wanted_parts(body.read(0, body.size))
    with store.lock:
        upload = _upload(store, request, bucket, key)
        parts = _chosen_parts(upload, wanted)
        content = Content()
        for part in parts:
            content.append(part.content.pieces(0, part.content.size))
        etags = "".join(part.etag for part in parts).encode("ascii")
        digest = hashlib.md5(etags).hexdigest().upper()  # nosec B324  # the ETag of OSS is one
        stored = StoredObject(content, "Multipart", upload.headers, store.clock.time(),
                              etag="{}-{}".format(digest, len(parts)))
        store_object(store, request, bucket, key, stored)
        del store.bucket(bucket).uploads[upload.upload_id]
    names = Names(request)
    location = "http://{}{}".format(request.headers.get("host", ""), request.path)
    fields: Fields = names.fields + [
        ("Location", location), ("Bucket", bucket), ("Key", names(key)), ("ETag", '"{}"'.format(stored.etag))]
    return Answer(200, document("CompleteMultipartUploadResult", fields), dict(stored_headers(stored), **XML))


def abort(store: Store, request: Request, bucket: str, key: str) -> Answer:
    """``AbortMultipartUpload``."""
    with store.lock:
        upload = _upload(store, request, bucket, key)
        del store.bucket(bucket).uploads[upload.upload_id]
    return Answer(204)


def list_parts(store: Store, request: Request, bucket: str, key: str) -> Answer:
    """``ListParts``."""
    marker = request.parameter("part-number-marker") or "0"
    most = limit(request, "max-parts", 1000)
    with store.lock:
        upload = _upload(store, request, bucket, key)
        parts = upload.parts
        numbers = [number for number in sorted(parts) if number > int(marker)]
        entries: Fields = [
            ("Part", [("PartNumber", number), ("LastModified", milliseconds(parts[number].modified)),
                      ("ETag", '"{}"'.format(parts[number].etag)), ("Size", parts[number].content.size),
                      ("HashCrc64ecma", parts[number].content.crc64)])
            for number in numbers[:most]]
    truncated = len(numbers) > most
    names = Names(request)
    fields: Fields = names.fields + [
        ("Bucket", bucket), ("Key", names(key)), ("UploadId", upload.upload_id),
        ("PartNumberMarker", marker), ("NextPartNumberMarker", (numbers[:most] or [0])[-1]),
        ("MaxParts", most), ("IsTruncated", "true" if truncated else "false")]
    return Answer(200, document("ListPartsResult", fields + entries), XML)


def list_uploads(store: Store, request: Request, bucket: str, _key: str) -> Answer:
    """``ListMultipartUploads``."""
    prefix, delimiter = request.parameter("prefix") or "", request.parameter("delimiter") or ""
    most = limit(request, "max-uploads", 1000)
    with store.lock:
        # A key may have several uploads. A null is between key and id, since it sorts before every other character.
        uploads = {upload.key + "\0" + upload_id: upload
                   for upload_id, upload in store.bucket(bucket).uploads.items()}
    found = page(uploads, prefix, delimiter, _upload_marker(request), most)
    next_key, _, next_id = found.next_marker.partition("\0")
    names = Names(request)
    fields: Fields = names.fields + [
        ("Bucket", bucket), ("Prefix", names(prefix)), ("MaxUploads", most),
        ("NextKeyMarker", names(next_key)), ("NextUploadIdMarker", next_id),
        ("IsTruncated", "true" if found.next_marker else "false")]
    fields += [("Upload", [("Key", names(uploads[name].key)), ("UploadId", name.partition("\0")[2]),
                           ("Initiated", milliseconds(uploads[name].initiated))]) for name in found.keys]
    fields += [("CommonPrefixes", [("Prefix", names(name))]) for name in found.prefixes]
    return Answer(200, document("ListMultipartUploadsResult", fields), XML)


def _upload(store: Store, request: Request, bucket: str, key: str) -> Upload:
    return store.bucket(bucket).upload(request.parameter("uploadId") or "", key)


def _upload_marker(request: Request) -> str:
    key, upload_id = request.parameter("key-marker") or "", request.parameter("upload-id-marker") or ""
    if not key:
        return ""
    # Without an id the page begins after all uploads of the key: "~" sorts after every id, as they are hexadecimal.
    return key + "\0" + (upload_id or "~")


def _part_number(request: Request) -> int:
    text = request.parameter("partNumber") or ""
    if not text.isdigit() or not 1 <= int(text) <= 10000:
        raise OssError("InvalidArgument", ArgumentName="partNumber", ArgumentValue=text)
    return int(text)


def _wanted_parts(body: bytes) -> List[Tuple[int, str]]:
    root = parsed(body)
    if root is None or not root.findall("Part"):
        raise OssError("MalformedXML")
    try:
        return [(int(part.findtext("PartNumber") or ""), (part.findtext("ETag") or "").strip('"'))
                for part in root.findall("Part")]
    except ValueError:
        raise OssError("MalformedXML") from None


def _chosen_parts(upload: Upload, wanted: List[Tuple[int, str]]) -> List[Part]:
    numbers = [number for number, _ in wanted]
    if numbers != sorted(set(numbers)):
        raise OssError("InvalidPartOrder")
    parts: List[Part] = []
    for number, etag in wanted:
        part = upload.parts.get(number)
        if part is None or part.etag != etag.upper():
            raise OssError("InvalidPart", PartNumber=str(number))
        parts.append(part)
    if any(part.content.size < _SMALLEST_PART for part in parts[:-1]):
        raise OssError("EntityTooSmall")
    return parts
