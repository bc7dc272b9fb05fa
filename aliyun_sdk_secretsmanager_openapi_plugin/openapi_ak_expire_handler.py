"""What a rejected key looks like to the V2.0 SDKs."""

from typing import Optional

from Tea.exceptions import TeaException

from aliyun_sdk_secretsmanager_common_plugin.default_ak_expire_handler import DefaultAKExpireHandler


class OpenApiAkExpireHandler(DefaultAKExpireHandler):
    """Judges a ``TeaException``, which every error of a service is, by its code.

    Args:
        ak_expire_error_code: the code, or the codes, that mean a rejected key, instead of the usual ones:
            ``InvalidAccessKeyId.NotFound``, ``InvalidAccessKeyId`` and ``InvalidAccessKeyId.Inactive`` (the common
            errors of Alibaba Cloud's OpenAPI).
    """

    DEFAULT_CODES = ("InvalidAccessKeyId.NotFound", "InvalidAccessKeyId", "InvalidAccessKeyId.Inactive")

    def get_error_code(self, exception: Exception) -> Optional[str]:
        """Return the code of a ``TeaException``, None for anything else."""
        return exception.code if isinstance(exception, TeaException) else None
