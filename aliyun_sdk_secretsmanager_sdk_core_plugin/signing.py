"""Signers for aliyun-python-sdk-core that take id, secret and token from one snapshot of the key."""

from typing import Dict, Optional, Tuple

from aliyunsdkcore.acs_exception.exceptions import ServerException
from aliyunsdkcore.auth.credentials import StsTokenCredential
from aliyunsdkcore.auth.signers.access_key_signer import AccessKeySigner
from aliyunsdkcore.auth.signers.signer import Signer
from aliyunsdkcore.auth.signers.sts_token_signer import StsTokenSigner
from aliyunsdkcore.request import AcsRequest

from aliyun_sdk_secretsmanager_common_plugin import AccessKey, Lease
from aliyun_sdk_secretsmanager_common_plugin.lease import Pull


class CurrentSigner(Signer):  # type: ignore[misc]
    """Signs each request with the current key. It is the client's own signer, for programs that use that one.

    Args:
        pull: returns the current key.
    """

    def __init__(self, pull: Pull) -> None:
        self._pull = pull

    def sign(self, region_id: str, request: AcsRequest) -> Tuple[Dict[str, str], str]:
        return _signer_with(self._pull()).sign(region_id, request)  # type: ignore[no-any-return]


class SnapshotSigner(Signer):  # type: ignore[misc]
    """Signs one call with one key: the key that is current at the first signature. The SDK's own retries sign again.

    Args:
        pull: returns the current key.

    Attributes:
        key: the key that signed the call, or None before the first signature.
    """

    def __init__(self, pull: Pull) -> None:
        self._pull = pull
        self.key: Optional[AccessKey] = None

    def sign(self, region_id: str, request: AcsRequest) -> Tuple[Dict[str, str], str]:
        key = self.key = self.key or self._pull()
        return _signer_with(key).sign(region_id, request)  # type: ignore[no-any-return]

    def is_rejection(self, lease: Lease, error: Exception) -> bool:
        """Return whether ``error`` means that a service rejected this signer's key.

        Args:
            lease: the client's lease, which judges the error.
            error: what the service answered to the request.
        """
        return self.key is not None and isinstance(error, ServerException) and lease.is_rejection(self.key, error)


def _signer_with(key: AccessKey) -> Signer:
    """Return the SDK's signer for a key."""
    if key.security_token is None:
        return AccessKeySigner(key)  # an AccessKey has the attributes that this signer reads
    return StsTokenSigner(StsTokenCredential(key.access_key_id, key.access_key_secret, key.security_token))
