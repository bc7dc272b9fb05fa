"""The buckets, and what is in them."""
import email.utils
import threading
from typing import Dict, List, Optional, Tuple

from ..clock import SystemClock, utc
from .content import Content
from .errors import OssError


class StoredObject:
    """An object. ``kind`` is ``Normal``, ``Multipart``, ``Appendable`` or ``Symlink``.

    Attributes:
        headers: content headers and ``x-oss-meta-*``, as GET gives them back.
        modified: seconds since 1970.
        target: of a symlink, the key that it names.
        tags: names and values.
        restored: whether an archived object has been made readable.
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
        """Without quotes."""
        return self._etag or self.content.md5.hex().upper()

    @property
    def storage_class(self) -> str:
        """``Standard`` unless it was stored otherwise."""
        return self.headers.get("x-oss-storage-class", "Standard")

    @property
    def archived(self) -> bool:
        """Whether it cannot be read."""
        return "Archive" in self.storage_class and not self.restored

    @property
    def last_modified(self) -> str:
        """As HTTP writes it."""
        return email.utils.formatdate(int(self.modified), usegmt=True)


class Part:
    """One part of a multipart upload."""

    def __init__(self, content: Content, modified: float) -> None:
        self.content = content
        self.modified = modified

    @property
    def etag(self) -> str:
        """Without quotes."""
        return self.content.md5.hex().upper()


class Upload:
    """A multipart upload in progress."""

    def __init__(self, key: str, headers: Dict[str, str], initiated: float) -> None:
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
        """As OSS writes it in XML."""
        return milliseconds(self.created)

    def object(self, key: str) -> StoredObject:
        """An object.

        Raises:
            OssError: NoSuchKey.
        """
        try:
            return self.objects[key]
        except KeyError:
            raise OssError("NoSuchKey", Key=key) from None

    def resolved(self, key: str) -> StoredObject:
        """An object, or the one that it links to."""
        found = self.object(key)
        if found.target is None:
            return found
        if found.target not in self.objects:
            raise OssError("SymlinkTargetNotExist", Key=key)
        return self.objects[found.target]

    def upload(self, upload_id: str, key: str) -> Upload:
        """An upload.

        Raises:
            OssError: NoSuchUpload.
        """
        upload = self.uploads.get(upload_id)
        if upload is None or upload.key != key:
            raise OssError("NoSuchUpload", UploadId=upload_id)
        return upload


class Store:
    """All buckets of a cloud. ``lock`` is held around changes, never while a body is received."""

    def __init__(self, clock: SystemClock) -> None:
        self.clock = clock
        self.lock = threading.RLock()
        self._buckets: Dict[str, Bucket] = {}

    def create_bucket(self, name: str) -> Bucket:
        """Make a bucket.

        Raises:
            ValueError: the name is taken.
        """
        with self.lock:
            if name in self._buckets:
                raise ValueError("there is a bucket {!r} already".format(name))
            bucket = self._buckets[name] = Bucket(name, self.clock.time())
            return bucket

    def delete_bucket(self, name: str) -> None:
        """Take an empty bucket away.

        Raises:
            OssError: NoSuchBucket, BucketNotEmpty.
        """
        with self.lock:
            bucket = self.bucket(name)
            if bucket.objects or bucket.uploads:
                raise OssError("BucketNotEmpty", BucketName=name)
            del self._buckets[name]

    def bucket(self, name: str) -> Bucket:
        """A bucket.

        Raises:
            OssError: NoSuchBucket.
        """
        try:
            return self._buckets[name]
        except KeyError:
            raise OssError("NoSuchBucket", BucketName=name) from None

    def buckets(self) -> List[Bucket]:
        """All, by name."""
        with self.lock:
            return [self._buckets[name] for name in sorted(self._buckets)]

    def content(self, bucket: str, key: str) -> Content:
        """The bytes of an object.

        Raises:
            KeyError: there is none.
        """
        with self.lock:
            try:
                return self.bucket(bucket).resolved(key).content
            except OssError as error:
                raise KeyError("{}: {}/{}".format(error.code, bucket, key)) from None


def milliseconds(seconds: float) -> str:
    """A time as OSS writes it in XML, ``2026-11-21T10:00:00.000Z``."""
    return utc(seconds)[:-1] + ".000Z"
