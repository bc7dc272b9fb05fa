"""What a rejected key looks like to aliyun-python-sdk-core."""

from typing import Iterable, Optional, Union

from aliyunsdkcore.acs_exception.exceptions import ServerException

from aliyun_sdk_secretsmanager_common_plugin.default_ak_expire_handler import DefaultAKExpireHandler

AK_EXPIRE_CODES = ("InvalidAccessKeyId.NotFound", "InvalidAccessKeyId", "InvalidAccessKeyId.Inactive")


class SdkCoreAKExpireHandler(DefaultAKExpireHandler):
    """Judges a ``ServerException`` by its code.

    Args:
        ak_expire_error_code: the code, or the codes, that mean a rejected key, instead of the usual ones:
            ``InvalidAccessKeyId.NotFound``, ``InvalidAccessKeyId`` and ``InvalidAccessKeyId.Inactive`` (the common
            errors of Alibaba Cloud's OpenAPI).
    """

    def __init__(self, ak_expire_error_code: Union[None, str, Iterable[str]] = None) -> None:
        if ak_expire_error_code is not None and not isinstance(ak_expire_error_code, str):
            ak_expire_error_code = tuple(ak_expire_error_code)
        self.ak_expire_error_code = ak_expire_error_code or AK_EXPIRE_CODES

    def get_ak_expire_code(self) -> Union[str, Iterable[str]]:
        """Return the code, or the codes, that mean a rejected key."""
        return self.ak_expire_error_code

    def get_error_code(self, exception: Exception) -> Optional[str]:
        """Return the code of a ``ServerException``, None for anything else."""
        if isinstance(exception, ServerException):
            return exception.get_error_code()  # type: ignore[no-any-return]
        return None
