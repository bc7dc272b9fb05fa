"""A handler that recognizes a rejected key by the error's code."""

from typing import Iterable, Optional, Tuple, Union

from .ak_expire_handler import AKExpireHandler


class DefaultAKExpireHandler(AKExpireHandler):
    """Judges an error by its code. Subclasses in the plugins know the codes, and how the SDK's errors carry them.

    Args:
        ak_expire_error_code: one code or several that mean a rejected key, instead of ``DEFAULT_CODES``.
    """

    DEFAULT_CODES: Tuple[str, ...] = ()
    ak_expire_error_code: Union[None, str, Iterable[str]] = None

    def __init__(self, ak_expire_error_code: Union[None, str, Iterable[str]] = None) -> None:
        if ak_expire_error_code is not None and not isinstance(ak_expire_error_code, str):
            ak_expire_error_code = tuple(ak_expire_error_code)  # an iterator could be read only once
        self.ak_expire_error_code = ak_expire_error_code

    def get_ak_expire_code(self) -> Union[str, Iterable[str]]:
        """Return the code or codes that mean a rejected key."""
        return self.ak_expire_error_code or self.DEFAULT_CODES

    def get_error_code(self, exception: Exception) -> Optional[str]:
        """Return the error code of ``exception``, or None if the service did not answer it."""
        raise NotImplementedError("a subclass of DefaultAKExpireHandler defines get_error_code(exception)")

    def judge_ak_expire(self, exception: Exception) -> bool:
        """Return whether the code of ``exception`` is one of ``get_ak_expire_code()``."""
        codes = self.get_ak_expire_code()
        code = self.get_error_code(exception)
        if code is None:
            return False
        return (code == codes if isinstance(codes, str) else code in codes) or (
            not self.ak_expire_error_code and self.judge_message(code, exception))

    def judge_message(self, code: str, exception: Exception) -> bool:
        """Return whether the message of ``exception`` means a rejected key. By default it never does.

        This is asked only with ``DEFAULT_CODES``, about a code that is not among them.

        Args:
            code: the error code.
            exception: the service's error.
        """
        return False

    def judge_token_expire(self, exception: Exception) -> bool:
        """Return whether ``exception`` means a rejected SecurityToken. Asked only if the secret has one."""
        code = self.get_error_code(exception) or ""
        return code == "SecurityTokenExpired" or code.split(".")[0] == "InvalidSecurityToken"
