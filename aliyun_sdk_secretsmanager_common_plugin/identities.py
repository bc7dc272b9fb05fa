"""Who we are when we ask Secrets Manager (``credentials_type``)."""

import importlib.util
import sys
from typing import TYPE_CHECKING, Any, Dict, Tuple

from aliyunsdkcore.acs_exception import error_code
from aliyunsdkcore.acs_exception.exceptions import ClientException

from .access_key import AccessKey
from .exceptions import ConfigurationError
from .secrecy import mask_access_key_id
from .settings import IdentitySettings

if TYPE_CHECKING:
    from .client_key import ClientKey


class IdentityError(ClientException):  # type: ignore[misc]
    """No credentials for asking Secrets Manager could be got.

    Attributes:
        retryable: whether the same may work in a moment: there was no answer, or a failure of the other side's; not a
            refusal.
    """

    def __init__(self, message: str, retryable: bool = False) -> None:
        super().__init__(error_code.SDK_INVALID_CREDENTIAL, message)
        self.retryable = retryable


class Identity:
    """Who asks.

    Args:
        about: what messages say of it, such as ``credentials_type=ram_role, sts.aliyuncs.com``.
    """

    def __init__(self, about: str) -> None:
        self._about = about

    def signer(self) -> Any:
        """Return the SDK's signer for one request; may ask STS or the metadata service.

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
        """Return the id that it signs with; may ask STS or the metadata service.

        Raises:
            IdentityError: there are no credentials.
        """
        return self._access_key().access_key_id

    def renew(self) -> bool:
        """Forget the credentials that Secrets Manager refused to this thread; return whether others may be had."""
        return False

    def waiting_for(self) -> str:
        """Return what it waits for just now, else an empty text."""
        return ""

    def after_fork_in_child(self) -> None:
        """Let go of the sockets and locks of the parent process."""

    def _access_key(self) -> AccessKey:
        raise NotImplementedError

    def __repr__(self) -> str:
        return "Identity({})".format(self._about)


def identity_of(settings: IdentitySettings) -> Identity:
    """Return the identity that the settings describe.

    Raises:
        ConfigurationError: a client key cannot be opened, an extra is missing, or what is wanted cannot be had here.
    """
    credentials_type = settings.credentials_type
    about = "credentials_type=" + credentials_type
    if settings.client_key is not None:
        from .client_key import load_client_key

        return _ClientKeyIdentity(about, load_client_key(settings.client_key))
    if credentials_type in ("ak", "token", "sts_token"):
        return _KeyIdentity(about, AccessKey(
            settings.access_key_id, settings.access_key_secret, settings.security_token or None))
    from .provided_identity import ProvidedIdentity
    from .providers import import_library, is_set, source_of

    if importlib.util.find_spec("alibabacloud_credentials") is None:
        raise ConfigurationError(
            '{} needs the extra "identities": pip install '
            '"aliyun-sdk-managed-credentials-providers[identities]"'.format(about))
    if credentials_type == "ecs_ram_role" and is_set("ALIBABA_CLOUD_ECS_METADATA_DISABLED"):
        raise ConfigurationError("{} cannot work where the environment variable ALIBABA_CLOUD_ECS_METADATA_DISABLED is "
                                 "true; unset it, or choose another credentials_type".format(about))
    source = source_of(settings)
    import_library()
    return ProvidedIdentity(", ".join(filter(None, (about, source.where))), source)


def identity_from(credentials: Any) -> Identity:
    """Return the identity behind an object of the program's own.

    Args:
        credentials: a client or provider of ``alibabacloud_credentials``, the context of a Function Compute function,
            or anything with ``get_credentials()`` or ``credentials``; what these give has an access_key_id, an
            access_key_secret and perhaps a security_token, as attributes or with getters.

    Raises:
        ConfigurationError: it is none of these.
    """
    from .provided_identity import ProvidedIdentity
    from .providers import HandedIn, getter, import_library

    name = type(credentials).__name__
    if getter(credentials) is None:
        raise ConfigurationError(
            "cannot get credentials from a {}; give a client or provider of alibabacloud_credentials, or anything with "
            "get_credentials() or credentials".format(name))
    if "alibabacloud_credentials" in sys.modules:
        import_library()
    return ProvidedIdentity("the program's {}".format(name), HandedIn(credentials))


class _KeyIdentity(Identity):
    """``ak``, ``token`` and ``sts_token``: a key of our own."""

    def __init__(self, about: str, key: AccessKey) -> None:
        super().__init__("{}, {}".format(about, mask_access_key_id(key.access_key_id)))
        self._key = key

    def _access_key(self) -> AccessKey:
        return self._key


class _ClientKeyIdentity(Identity):
    """``client_key``: a client key of an application access point."""

    def __init__(self, about: str, client_key: "ClientKey") -> None:
        super().__init__("{}, {}".format(about, client_key.key_id))
        self._client_key = client_key

    def signer(self) -> Any:
        return _ClientKeySigner(self._client_key)

    def access_key_id(self) -> str:
        return self._client_key.key_id


class _ClientKeySigner:
    """Has a request of the SDK sign itself with RSA and SHA-256, as ``aliyun-secret-manager-client`` 1.1.6 does."""

    def __init__(self, client_key: "ClientKey") -> None:
        self._client_key = client_key

    def sign(self, region_id: str, request: Any) -> Tuple[Dict[str, str], str]:
        from aliyunsdkcore.auth.algorithm import sha_hmac256

        request._signer = sha_hmac256  # only its constructor takes it, and those of the requests do not
        key_id, private_key = self._client_key.key_id, self._client_key.pkcs8()
        return request.get_signed_header(region_id, key_id, private_key), request.get_url(
            region_id, key_id, private_key)
