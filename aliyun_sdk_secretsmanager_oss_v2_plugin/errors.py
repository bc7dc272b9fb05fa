"""Which errors of alibabacloud-oss-v2 mean a rejected key."""

from typing import Optional

from alibabacloud_oss_v2.exceptions import ServiceError

from aliyun_sdk_secretsmanager_common_plugin.default_ak_expire_handler import DefaultAKExpireHandler


class OssV2AkExpireHandler(DefaultAKExpireHandler):
    """Judges a ``ServiceError``, which the SDK later wraps in the ``OperationError`` that programs catch, by its code.

    Args:
        ak_expire_error_code: one or several error codes that mean a rejected key. They replace the default code
            ``InvalidAccessKeyId`` (OSS error responses, 403).
    """

    DEFAULT_CODES = ("InvalidAccessKeyId",)

    def get_error_code(self, exception: Exception) -> Optional[str]:
        """Return the code of a ``ServiceError``, or None for any other exception."""
        return exception.code if isinstance(exception, ServiceError) else None
