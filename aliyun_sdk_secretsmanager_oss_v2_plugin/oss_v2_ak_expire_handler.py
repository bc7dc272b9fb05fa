"""What a rejected key looks like to alibabacloud-oss-v2."""

from typing import Optional

from alibabacloud_oss_v2.exceptions import ServiceError

from aliyun_sdk_secretsmanager_common_plugin.default_ak_expire_handler import DefaultAKExpireHandler


class OssV2AkExpireHandler(DefaultAKExpireHandler):
    """Judges a ``ServiceError`` by its code; the ``OperationError`` that a program catches is made of it later.

    Args:
        ak_expire_error_code: the code, or the codes, that mean a rejected key, instead of ``InvalidAccessKeyId``
            (OSS error responses, 403).
    """

    DEFAULT_CODES = ("InvalidAccessKeyId",)

    def get_error_code(self, exception: Exception) -> Optional[str]:
        """Return the code of a ``ServiceError``, None for anything else."""
        return exception.code if isinstance(exception, ServiceError) else None
