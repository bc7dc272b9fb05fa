"""Signs requests of oss2. Each signature takes id, secret and token from one snapshot of the key."""

from typing import Any, Dict, Optional

import oss2
from requests.structures import CaseInsensitiveDict

from aliyun_sdk_secretsmanager_common_plugin import AccessKey, ConfigurationError
from aliyun_sdk_secretsmanager_common_plugin.lease import Pull

# oss2 sets these headers when it signs.
SENSITIVE_HEADERS = ("authorization", "x-oss-security-token")
AUTH_CLASSES = {"v1": "Auth", "v2": "AuthV2", "v4": "AuthV4"}


class AttemptHeaders(CaseInsensitiveDict):  # type: ignore[type-arg]
    """The headers of one attempt. ``pull`` returns the key to sign it with."""

    pull: Pull

    def __repr__(self) -> str:
        # oss2 makes this text twice in each call, for its log. It must be cheap, so that no values are searched.
        return repr({name: "******" if name.lower() in SENSITIVE_HEADERS else value for name, value in self.items()})


class ManagedAuth:
    """Signs like ``oss2.Auth``, ``oss2.AuthV2`` or ``oss2.AuthV4``.

    Args:
        auth_version: the version of the signature: ``v1``, ``v2`` or ``v4``.
        region: part of the signature in V4.

    Attributes:
        pull: returns the current key. Whoever makes a ``ManagedAuth`` sets it.

    Raises:
        ConfigurationError: there is no such version, the installed oss2 does not have it, or it needs a region.
    """

    pull: Pull

    def __init__(self, auth_version: str, region: Optional[str]) -> None:
        if auth_version not in AUTH_CLASSES:
            raise ConfigurationError(
                "auth_version is {!r}; write one of: {}".format(auth_version, ", ".join(sorted(AUTH_CLASSES)))
            )
        if not hasattr(oss2, AUTH_CLASSES[auth_version]):
            raise ConfigurationError(
                "auth_version is {!r}, which oss2 {} does not have; pip install 'oss2>=2.18.0'".format(
                    auth_version, oss2.__version__)
            )
        if auth_version == "v4" and not region:
            raise ConfigurationError("auth_version='v4' signs the region; give one, such as region='cn-hangzhou'")
        self._auth_version = auth_version

    def auth_version(self) -> str:
        """Return the version of the signature. oss2 calls this method."""
        return self._auth_version

    def _sign_request(self, req: Any, bucket_name: str, key: str) -> None:
        pull = req.headers.pull if isinstance(req.headers, AttemptHeaders) else self.pull
        self._auth(pull())._sign_request(req, bucket_name, key)

    def _sign_url(self, req: Any, bucket_name: str, key: str, expires: int, **more: Any) -> str:
        auth = self._auth(self.pull())
        return auth._sign_url(req, bucket_name, key, expires, **more)  # type: ignore[no-any-return]

    def _sign_rtmp_url(
        self, url: str, bucket_name: str, channel_name: str, expires: int, params: Dict[str, str]
    ) -> str:
        auth = self._auth(self.pull())
        return auth._sign_rtmp_url(url, bucket_name, channel_name, expires, params)  # type: ignore[no-any-return]

    def _auth(self, key: AccessKey) -> Any:
        if key.security_token is not None:
            return oss2.StsAuth(
                key.access_key_id, key.access_key_secret, key.security_token, auth_version=self._auth_version)
        return getattr(oss2, AUTH_CLASSES[self._auth_version])(key.access_key_id, key.access_key_secret)
