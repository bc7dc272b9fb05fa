"""Which errors of the V2.0 SDKs mean a rejected key."""

import re
from typing import Any, Optional, Pattern

from Tea.exceptions import TeaException

from aliyun_sdk_secretsmanager_common_plugin.default_ak_expire_handler import DefaultAKExpireHandler
from aliyun_sdk_secretsmanager_common_plugin.plugin_kit import OPENAPI_CODES

# Simple Log Service answers this code to a rejected key, but also to a valid key without the permission.
UNCLEAR_CODE = "Unauthorized"
_KEY_REJECTED = re.compile(r"access ?key ?id (is )?(not found|disabled)", re.IGNORECASE)
_TOKEN_REJECTED = re.compile(r"security ?token\b.*\bexpired", re.IGNORECASE)
_DENIED = re.compile(r"\bden(y|ied)\b", re.IGNORECASE)


class OpenApiAkExpireHandler(DefaultAKExpireHandler):
    """Judges a ``TeaException``, which is the class of every error that a service answers, by its error code.

    The code ``Unauthorized`` of Simple Log Service also means a rejected key if the message says that the AccessKey is
    not found or disabled, but not if it says that a permission is denied.

    Args:
        ak_expire_error_code: one or several error codes that mean a rejected key. They replace the rule for
            ``Unauthorized`` and the default codes, which are common errors of Alibaba Cloud's OpenAPI:
            ``InvalidAccessKeyId.NotFound``, ``InvalidAccessKeyId`` and ``InvalidAccessKeyId.Inactive``.
    """

    DEFAULT_CODES = OPENAPI_CODES

    def get_error_code(self, exception: Exception) -> Optional[str]:
        """Return the code of a ``TeaException``, or None for any other exception."""
        return exception.code if isinstance(exception, TeaException) else None

    def judge_message(self, code: str, exception: Exception) -> bool:
        """Return whether an ``Unauthorized`` means a rejected key.

        Args:
            code: the error's code.
            exception: the error.
        """
        return code == UNCLEAR_CODE and _says(exception, _KEY_REJECTED)

    def judge_token_expire(self, exception: Exception) -> bool:
        """Return whether an error means an expired token; also judges the message of an ``Unauthorized``."""
        return super().judge_token_expire(exception) or (
            self.get_error_code(exception) == UNCLEAR_CODE and _says(exception, _TOKEN_REJECTED))


def _says(exception: Any, rejected: Pattern[str]) -> bool:
    message = str(exception.message)
    return rejected.search(message) is not None and _DENIED.search(message) is None
