"""Which errors of oss2 mean a rejected key."""

import base64
import re
from typing import Mapping, Optional

from oss2.exceptions import ServerError

from aliyun_sdk_secretsmanager_common_plugin.default_ak_expire_handler import DefaultAKExpireHandler

_CODE = re.compile(rb"<Code>([^<]*)</Code>")


class OssAkExpireHandler(DefaultAKExpireHandler):
    """Judges a ``ServerError`` of oss2 by its error code.

    Args:
        ak_expire_error_code: one or several error codes that mean a rejected key. They replace the default code
            ``InvalidAccessKeyId`` (OSS error responses, 403).
    """

    DEFAULT_CODES = ("InvalidAccessKeyId",)

    def get_error_code(self, exception: Exception) -> Optional[str]:
        """Return the code of a ``ServerError``, or None for any other exception."""
        if not isinstance(exception, ServerError):
            return None
        return exception.code or _code_in_header(exception.headers)


def _code_in_header(headers: Mapping[str, str]) -> Optional[str]:
    """Return the code of an error without a body, such as the answer to a HEAD; old versions of oss2 do not read it.

    OSS puts the error's XML, in base64, into the header ``x-oss-err``.
    """
    try:
        code = _CODE.search(base64.b64decode(headers.get("x-oss-err", "")))
        return None if code is None else code.group(1).decode("ascii")
    except ValueError:
        return None
