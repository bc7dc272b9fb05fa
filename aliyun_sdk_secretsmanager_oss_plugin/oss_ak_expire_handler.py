"""What a rejected key looks like to oss2."""

from typing import Optional

from oss2.exceptions import ServerError

from aliyun_sdk_secretsmanager_common_plugin.default_ak_expire_handler import DefaultAKExpireHandler


class OssAkExpireHandler(DefaultAKExpireHandler):
    """Judges a ``ServerError`` of oss2 by its code.

    Args:
        ak_expire_error_code: the code, or the codes, that mean a rejected key, instead of ``InvalidAccessKeyId``
            (OSS error responses, 403).
    """

    DEFAULT_CODES = ("InvalidAccessKeyId",)

    def get_error_code(self, exception: Exception) -> Optional[str]:
        """Return the code of a ``ServerError``, None for anything else."""
        return exception.code if isinstance(exception, ServerError) else None
