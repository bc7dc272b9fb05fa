"""The buckets, and what is in them."""
import email.utils
import re
from typing import Dict, List, Optional, Tuple

from ..clock import SystemClock, utc
from ..guarded import Guarded
from .content import Content
from .errors import OssError


class StoredObject:
    """An object.

    Attributes:
        content: its bytes.
        kind: ``Normal``, ``Multipart``, ``Appendable`` or ``Symlink``.
        headers: the headers that were stored with it, for the answers to GET.
        modified: seconds since 1970.
        target: the key that a symlink names.
        tags: names and values.
        restored: whether an archived object can be read.
    """

    def __init__(self, content: Content, kind: str, headers: Dict[str, str], modified: float,
                 etag: Optional[str] = None, target: Optional[str] = None) -> None:
        self.content = content
        self.kind = kind
        self.headers = headers
        self.modified = modified
        self.acl = "default"
        self.target = target
        self.tags: List[Tuple[str, str]] = []
        self.restored = False
        self._etag = etag

    @property
    def etag(self) -> str:
        """The ETag without quotes."""
        return self._etag or self.content.md5.hex().upper()

    @property
    def storage_class(self) -> str:
        """``Standard`` unless it was stored otherwise."""
        return self.headers.get("x-oss-storage-class", "Standard")

    @property
    def archived(self) -> bool:
        """Whether it has to be restored before it can be read."""
        return "Archive" in self.storage_class and not self.restored

    @property
    def last_modified(self) -> str:
        """When it was modified, in the format of HTTP headers."""
        return email.utils.formatdate(int(self.modified), usegmt=True)


class Part:
    """One part of a multipart upload."""

    def __init__(self, content: Content, modified: float) -> None:
        self.content = content
        self.modified = modified

    @property
    def etag(self) -> str:
        """The ETag without quotes."""
        return self.content.md5.hex().upper()


class Upload:
    """A multipart upload in progress."""

    def __init__(self, upload_id: str, key: str, headers: Dict[str, str], initiated: float) -> None:
        self.upload_id = upload_id
        self.key = key
        self.headers = headers
        self.initiated = initiated
        self.parts: Dict[int, Part] = {}


class Bucket:
    """A bucket."""

    def __init__(self, name: str, created: float) -> None:
        self.name = name
        self.created = created
        self.acl = "private"
        self.objects: Dict[str, StoredObject] = {}
        self.uploads: Dict[str, Upload] = {}

    @property
    def creation_date(self) -> str:
        """When it was made, in the format of OSS's XML."""
        return milliseconds(self.created)

    def object(self, key: str) -> StoredObject:
        """Return an object.

        Raises:
            OssError: NoSuchKey.
        """
        try:
            return self.objects[key]
        except KeyError:
            raise OssError("NoSuchKey", Key=key) from None

    def resolved(self, key: str) -> StoredObject:
        """Return an object; for a symlink, the object that it names.

        Raises:
            OssError: NoSuchKey or SymlinkTargetNotExist.
        """
        found = self.object(key)
        if found.target is None:
            return found
        if found.target not in self.objects:
            raise OssError("SymlinkTargetNotExist", Key=key)
        return self.objects[found.target]

    def upload(self, upload_id: str, key: str) -> Upload:
        """Return a multipart upload of an object.

        Raises:
            OssError: NoSuchUpload.
        """
        upload = self.uploads.get(upload_id)
        if upload is None or upload.key != key:
            raise OssError("NoSuchUpload", UploadId=upload_id)
        return upload


class Store(Guarded):
    """All buckets of a cloud. The lock is held around changes, and never while a body is received."""

    def __init__(self, clock: SystemClock) -> None:
        super().__init__()
        self.clock = clock
        self._buckets: Dict[str, Bucket] = {}

    def create_bucket(self, name: str) -> Bucket:
        """Make a bucket.

        Raises:
            ValueError: the name is taken, or is no name of a bucket.
        """
        if not is_bucket_name(name):
            raise ValueError("{!r} is no name of a bucket: it has 3 to 63 lower-case letters, digits and hyphens, and "
                             "no hyphen at either end".format(name))
        with self.lock:
            if name in self._buckets:
                raise ValueError("there is a bucket {!r} already".format(name))
            bucket = self._buckets[name] = Bucket(name, self.clock.time())
            return bucket

    def delete_bucket(self, name: str) -> None:
        """Delete an empty bucket.

        Raises:
            OssError: NoSuchBucket or BucketNotEmpty.
        """
        with self.lock:
            bucket = self.bucket(name)
            if bucket.objects or bucket.uploads:
                raise OssError("BucketNotEmpty", BucketName=name)
            del self._buckets[name]

    def bucket(self, name: str) -> Bucket:
        """Return a bucket.

        Raises:
            OssError: NoSuchBucket.
        """
        try:
            return self._buckets[name]
        except KeyError:
            raise OssError("NoSuchBucket", BucketName=name) from None

    def buckets(self) -> List[Bucket]:
        """Return all buckets, sorted by name."""
        with self.lock:
            return [self._buckets[name] for name in sorted(self._buckets)]

    def content(self, bucket: str, key: str) -> Content:
        """Return the bytes of an object.

        Raises:
            KeyError: there is no such bucket or object.
        """
        with self.lock:
            try:
                return self.bucket(bucket).resolved(key).content
            except OssError as error:
                raise KeyError("{}: {}/{}".format(error.code, bucket, key)) from None


def is_bucket_name(name: str) -> bool:
    """Whether a bucket may have this name.

    https://www.alibabacloud.com/help/en/oss/user-guide/bucket-naming-conventions
    """
    return re.match(r"[a-z0-9][a-z0-9-]{1,61}[a-z0-9]\Z", name) is not None


def milliseconds(seconds: float) -> str:
    """Return a time, in seconds since 1970, in the format of OSS's XML: ``2026-11-21T10:00:00.000Z``."""
    return utc(seconds)[:-1] + ".000Z"
