"""What a rejected key looks like to aliyun-python-sdk-core."""

from typing import Optional

from aliyunsdkcore.acs_exception.exceptions import ServerException

from aliyun_sdk_secretsmanager_common_plugin.default_ak_expire_handler import DefaultAKExpireHandler


class SdkCoreAKExpireHandler(DefaultAKExpireHandler):
    """Judges a ``ServerException`` by its code.

    Args:
        ak_expire_error_code: the code, or the codes, that mean a rejected key, instead of the usual ones:
            ``InvalidAccessKeyId.NotFound``, ``InvalidAccessKeyId`` and ``InvalidAccessKeyId.Inactive`` (the common
            errors of Alibaba Cloud's OpenAPI).
    """

    DEFAULT_CODES = ("InvalidAccessKeyId.NotFound", "InvalidAccessKeyId", "InvalidAccessKeyId.Inactive")

    def get_error_code(self, exception: Exception) -> Optional[str]:
        """Return the code of a ``ServerException``, None for anything else."""
        if isinstance(exception, ServerException):
            return exception.get_error_code()  # type: ignore[no-any-return]
        return None
