"""What an identity can do, and the two kinds whose credentials stand in the settings: an AccessKey and a client key."""

from typing import TYPE_CHECKING, Any, Dict, Tuple

from aliyunsdkcore.acs_exception import error_code
from aliyunsdkcore.acs_exception.exceptions import ClientException

from ..access_key import AccessKey
from ..secrecy import mask_access_key_id

if TYPE_CHECKING:
    from .client_key import ClientKey


class IdentityError(ClientException):  # type: ignore[misc]
    """There are no credentials to ask Secrets Manager with.

    Attributes:
        retryable: whether another attempt may succeed soon: the source did not answer or failed, and did not refuse.
    """

    def __init__(self, message: str, retryable: bool = False) -> None:
        super().__init__(error_code.SDK_INVALID_CREDENTIAL, message)
        self.retryable = retryable


class Identity:
    """Who asks Secrets Manager.

    Args:
        about: the identity's name in messages, such as ``credentials_type=ram_role, sts.aliyuncs.com``.
    """

    def __init__(self, about: str) -> None:
        self._about = about

    def signer(self) -> Any:
        """Return the SDK's signer for one request. This may ask STS or the metadata service.

        Raises:
            IdentityError: there are no credentials.
        """
        from aliyunsdkcore.auth.credentials import AccessKeyCredential, StsTokenCredential
        from aliyunsdkcore.auth.signers.access_key_signer import AccessKeySigner
        from aliyunsdkcore.auth.signers.sts_token_signer import StsTokenSigner

        key = self._access_key()
        if key.security_token:
            return StsTokenSigner(StsTokenCredential(key.access_key_id, key.access_key_secret, key.security_token))
        return AccessKeySigner(AccessKeyCredential(key.access_key_id, key.access_key_secret))

    def access_key_id(self) -> str:
        """Return the id of the key that it signs with. This may ask STS or the metadata service.

        Raises:
            IdentityError: there are no credentials.
        """
        return self._access_key().access_key_id

    def renew(self) -> bool:
        """Drop the credentials that this thread signed with and Secrets Manager refused.

        Returns:
            Whether there may be other credentials.
        """
        return False

    def waiting_for(self) -> str:
        """Return what it is waiting for now, or an empty text."""
        return ""

    def after_fork_in_child(self) -> None:
        """Let go of the sockets and locks of the parent process."""

    def _access_key(self) -> AccessKey:
        raise NotImplementedError

    def __repr__(self) -> str:
        return "Identity({})".format(self._about)


class KeyIdentity(Identity):
    """``ak``, ``token`` and ``sts_token``: an AccessKey from the settings, which nothing renews."""

    def __init__(self, about: str, key: AccessKey) -> None:
        super().__init__("{}, {}".format(about, mask_access_key_id(key.access_key_id)))
        self._key = key

    def _access_key(self) -> AccessKey:
        return self._key


class ClientKeyIdentity(Identity):
    """``client_key``: a client key of a KMS application access point."""

    def __init__(self, about: str, client_key: "ClientKey") -> None:
        super().__init__("{}, {}".format(about, client_key.key_id))
        self._client_key = client_key

    def signer(self) -> Any:
        return _ClientKeySigner(self._client_key)

    def access_key_id(self) -> str:
        return self._client_key.key_id


class _ClientKeySigner:
    """Lets a request of the SDK sign itself with RSA and SHA-256, as ``aliyun-secret-manager-client`` 1.1.6 does."""

    def __init__(self, client_key: "ClientKey") -> None:
        self._client_key = client_key

    def sign(self, region_id: str, request: Any) -> Tuple[Dict[str, str], str]:
        from aliyunsdkcore.auth.algorithm import sha_hmac256

        # Only the constructor of the base class takes an algorithm. Those of the requests do not.
        request._signer = sha_hmac256
        key_id, private_key = self._client_key.key_id, self._client_key.pkcs8()
        return request.get_signed_header(region_id, key_id, private_key), request.get_url(
            region_id, key_id, private_key)
