"""The tags of objects."""
from typing import List, Optional, Tuple
from urllib.parse import parse_qsl

from ..http import Answer, Request
from .bodies import received
from .buckets import XML
from .errors import OssError
from .state import Store
from .xml import document, parsed

Tags = List[Tuple[str, str]]

_MOST = 10


def put_tagging(store: Store, request: Request, bucket: str, key: str) -> Answer:
    """``PutObjectTagging``."""
    content = received(request)
    root = parsed(content.read(0, content.size))
    if root is None or root.find("TagSet") is None:
        raise OssError("MalformedXML")
    tags = _checked([(tag.findtext("Key") or "", tag.findtext("Value") or "") for tag in root.findall("TagSet/Tag")])
    with store.lock:
        store.bucket(bucket).object(key).tags = tags
    return Answer(200)


def get_tagging(store: Store, _request: Request, bucket: str, key: str) -> Answer:
    """``GetObjectTagging``."""
    with store.lock:
        tags = store.bucket(bucket).object(key).tags
    fields = [("TagSet", [("Tag", [("Key", name), ("Value", value)]) for name, value in tags])]
    return Answer(200, document("Tagging", fields), XML)


def delete_tagging(store: Store, _request: Request, bucket: str, key: str) -> Answer:
    """``DeleteObjectTagging``."""
    with store.lock:
        store.bucket(bucket).object(key).tags = []
    return Answer(204)


def tags_of(header: Optional[str]) -> Tags:
    """Return the tags in an ``x-oss-tagging`` header, such as ``a=1&b=2``."""
    return _checked(parse_qsl(header or "", keep_blank_values=True))


def _checked(tags: Tags) -> Tags:
    if len(tags) > _MOST or len({name for name, _ in tags}) != len(tags) or not all(name for name, _ in tags):
        raise OssError("InvalidTag")
    return tags
