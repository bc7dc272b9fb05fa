"""The key that a V2.0 SDK signs with: id, secret and token of one version, even if the SDK asks for them one by one."""

import weakref
from contextvars import ContextVar
from typing import Any, Callable, Dict, Optional, Tuple

from alibabacloud_credentials_api import ICredentials, ICredentialsProvider

from aliyun_sdk_secretsmanager_common_plugin import AccessKey
from aliyun_sdk_secretsmanager_common_plugin.lease import Pull

# In this thread or task: the provider of the client whose request is being signed, and what returns the key.
current_signature: ContextVar[Tuple[Any, Optional[Pull]]] = ContextVar(
    "managed_credentials_current_signature", default=(None, None))
# In this thread or task: a weak reference to the provider whose id was read last, and the key to which the next secret
# and the next token belong. Each entry is removed when it has been read.
_read: ContextVar[Tuple[Callable[[], Any], Dict[str, AccessKey]]] = ContextVar(
    "managed_credentials_read", default=(lambda: None, {}))

NAME = "managed"


class ManagedKey(ICredentials):  # type: ignore[misc]
    """The key in the form that the SDKs expect.

    The gateways of some products ask a ``CredentialClient`` for id, secret and token one by one, and each time it asks
    the provider for the key. The id must be read first. The next secret and the next token then belong to that id.

    Args:
        key: the key.
        provider: the provider that gave it.
    """

    def __init__(self, key: AccessKey, provider: ICredentialsProvider) -> None:
        self._key = key
        self._provider = provider
        self._id_was_read = False

    @property
    def access_key_id(self) -> str:
        """The id. Reading it does not begin a signature."""
        return self._key.access_key_id

    def get_access_key_id(self) -> str:
        """Return the id, and begin a signature: the next secret and token belong to this id."""
        self._id_was_read = True
        _read.set((weakref.ref(self._provider), {"secret": self._key, "token": self._key}))
        return self._key.access_key_id

    def get_access_key_secret(self) -> str:
        """Return the secret."""
        return self._version("secret").access_key_secret

    def get_security_token(self) -> Optional[str]:
        """Return the token, or None if the key has none."""
        return self._version("token").security_token

    def get_provider_name(self) -> str:
        """Return the name of the provider, which the SDKs send in a header."""
        return NAME

    def _version(self, part: str) -> AccessKey:
        provider, keys = _read.get()
        key = keys.get(part)
        if key is None or provider() is not self._provider or self._id_was_read and key is not self._key:
            return self._key
        _read.set((provider, {other: keys[other] for other in keys if other != part}))
        return key
