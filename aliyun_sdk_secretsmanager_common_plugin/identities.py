"""Who we are when we ask Secrets Manager (``credentials_type``)."""

from typing import Any

from .secrecy import mask_access_key_id
from .settings import Settings


class AccessKeyIdentity:
    """``credentials_type=ak``: a key pair of our own that may do nothing but read secrets."""

    def __init__(self, settings: Settings) -> None:
        self._access_key_id = settings.access_key_id
        self._access_key_secret = settings.access_key_secret

    def signer(self) -> Any:
        """Return the SDK's signer for one request."""
        from aliyunsdkcore.auth.credentials import AccessKeyCredential
        from aliyunsdkcore.auth.signers.access_key_signer import AccessKeySigner

        return AccessKeySigner(AccessKeyCredential(self._access_key_id, self._access_key_secret))

    def __repr__(self) -> str:
        return "AccessKeyIdentity({})".format(mask_access_key_id(self._access_key_id))
