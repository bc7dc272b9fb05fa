"""Which errors of aliyun-python-sdk-core mean a rejected key."""

from typing import Optional

from aliyunsdkcore.acs_exception.exceptions import ServerException

from aliyun_sdk_secretsmanager_common_plugin.default_ak_expire_handler import DefaultAKExpireHandler
from aliyun_sdk_secretsmanager_common_plugin.plugin_kit import OPENAPI_CODES


class SdkCoreAKExpireHandler(DefaultAKExpireHandler):
    """Judges a ``ServerException`` by its error code.

    Args:
        ak_expire_error_code: one or several error codes that mean a rejected key. They replace the default codes, which
            are common errors of Alibaba Cloud's OpenAPI: ``InvalidAccessKeyId.NotFound``, ``InvalidAccessKeyId`` and
            ``InvalidAccessKeyId.Inactive``.
    """

    DEFAULT_CODES = OPENAPI_CODES

    def get_error_code(self, exception: Exception) -> Optional[str]:
        """Return the code of a ``ServerException``, or None for any other exception."""
        if isinstance(exception, ServerException):
            return exception.get_error_code()  # type: ignore[no-any-return]
        return None
