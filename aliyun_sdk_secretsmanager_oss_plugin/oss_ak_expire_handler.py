"""What a rejected key looks like to oss2."""

from typing import Iterable, Optional, Union

from oss2.exceptions import ServerError

from aliyun_sdk_secretsmanager_common_plugin.default_ak_expire_handler import DefaultAKExpireHandler

AK_EXPIRE_CODE = "InvalidAccessKeyId"


class OssAkExpireHandler(DefaultAKExpireHandler):
    """Judges a ``ServerError`` of oss2 by its code.

    Args:
        ak_expire_error_code: the code, or the codes, that mean a rejected key, instead of ``InvalidAccessKeyId``
            (OSS error responses, 403).
    """

    def __init__(self, ak_expire_error_code: Union[None, str, Iterable[str]] = None) -> None:
        if ak_expire_error_code is not None and not isinstance(ak_expire_error_code, str):
            ak_expire_error_code = tuple(ak_expire_error_code)
        self.ak_expire_error_code = ak_expire_error_code or AK_EXPIRE_CODE

    def get_ak_expire_code(self) -> Union[str, Iterable[str]]:
        """Return the code, or the codes, that mean a rejected key."""
        return self.ak_expire_error_code

    def get_error_code(self, exception: Exception) -> Optional[str]:
        """Return the code of a ``ServerError``, None for anything else."""
        return exception.code if isinstance(exception, ServerError) else None
