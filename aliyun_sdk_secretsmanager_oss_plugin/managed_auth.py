"""The object that signs the requests of oss2, with one snapshot of the key a signature."""

from typing import Any, Dict, Union

import oss2
from requests.structures import CaseInsensitiveDict

from aliyun_sdk_secretsmanager_common_plugin import AccessKey
from aliyun_sdk_secretsmanager_common_plugin.lease import Pull


class AttemptHeaders(CaseInsensitiveDict):  # type: ignore[type-arg]
    """The headers of one attempt, and where it gets the key to sign with."""

    pull: Pull


class ManagedAuth:
    """Signs as ``oss2.Auth`` (signature V1) does.

    Args:
        pull: returns the current key.
    """

    def __init__(self, pull: Pull) -> None:
        self._pull = pull

    def _sign_request(self, req: Any, bucket_name: str, key: str) -> None:
        pull = req.headers.pull if isinstance(req.headers, AttemptHeaders) else self._pull
        _auth(pull())._sign_request(req, bucket_name, key)

    def _sign_url(self, req: Any, bucket_name: str, key: str, expires: int) -> str:
        return _auth(self._pull())._sign_url(req, bucket_name, key, expires)  # type: ignore[no-any-return]

    def _sign_rtmp_url(
        self, url: str, bucket_name: str, channel_name: str, expires: int, params: Dict[str, str]
    ) -> str:
        auth = _auth(self._pull())
        return auth._sign_rtmp_url(url, bucket_name, channel_name, expires, params)  # type: ignore[no-any-return]

    def auth_version(self) -> str:
        """Return the version of the signature, as oss2 asks for it."""
        return "v1"


def _auth(key: AccessKey) -> Union[oss2.Auth, oss2.StsAuth]:
    if key.security_token is None:
        return oss2.Auth(key.access_key_id, key.access_key_secret)
    return oss2.StsAuth(key.access_key_id, key.access_key_secret, key.security_token)
