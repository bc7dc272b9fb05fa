"""An ``oss2.Auth`` whose key can be exchanged."""

from typing import Optional

import oss2

from aliyun_sdk_secretsmanager_common_plugin import AccessKey

from ..signing import ManagedAuth


class SecretsMangerPluginAuth(ManagedAuth, oss2.Auth):  # type: ignore[misc]
    """Signs each request with the key that it was given last.

    Args:
        access_key_id: the key's id.
        access_key_secret: the key's secret.
    """

    def __init__(self, access_key_id: str, access_key_secret: str) -> None:
        ManagedAuth.__init__(self, "v1", None)
        self.switch_credentials(access_key_id, access_key_secret)

    def switch_credentials(
        self, access_key_id: str, access_key_secret: str, security_token: Optional[str] = None
    ) -> None:
        """Sign with another key from now on.

        Args:
            access_key_id: the key's id.
            access_key_secret: the key's secret.
            security_token: the key's token, if it has one.
        """
        key = AccessKey(access_key_id, access_key_secret, security_token)
        self.pull = lambda: key
        oss2.Auth.__init__(self, access_key_id, access_key_secret)  # sets the attributes that programs may read
