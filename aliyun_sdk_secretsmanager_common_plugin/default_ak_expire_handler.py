"""An AKExpireHandler that compares the error's code with those that mean a rejected key."""

from typing import Iterable, Optional, Tuple, Union

from .ak_expire_handler import AKExpireHandler


class DefaultAKExpireHandler(AKExpireHandler):
    """Judges by error code. A plugin's subclass knows the codes, and where its SDK keeps them.

    Args:
        ak_expire_error_code: the code, or the codes, that mean a rejected key, instead of ``DEFAULT_CODES``.
    """

    DEFAULT_CODES: Tuple[str, ...] = ()
    ak_expire_error_code: Union[None, str, Iterable[str]] = None

    def __init__(self, ak_expire_error_code: Union[None, str, Iterable[str]] = None) -> None:
        if ak_expire_error_code is not None and not isinstance(ak_expire_error_code, str):
            ak_expire_error_code = tuple(ak_expire_error_code)  # it is read again and again
        self.ak_expire_error_code = ak_expire_error_code

    def get_ak_expire_code(self) -> Union[str, Iterable[str]]:
        """Return the code, or the codes, that mean a rejected key."""
        return self.ak_expire_error_code or self.DEFAULT_CODES

    def get_error_code(self, exception: Exception) -> Optional[str]:
        """Return the code of ``exception``, or None if it is no error of the service."""
        raise NotImplementedError("a subclass of DefaultAKExpireHandler defines get_error_code(exception)")

    def judge_ak_expire(self, exception: Exception) -> bool:
        """Return whether the code of ``exception`` is one of ``get_ak_expire_code()``."""
        codes = self.get_ak_expire_code()
        code = self.get_error_code(exception)
        return code is not None and (code == codes if isinstance(codes, str) else code in codes)

    def judge_token_expire(self, exception: Exception) -> bool:
        """Return whether ``exception`` means a rejected SecurityToken; asked where the secret has one."""
        code = self.get_error_code(exception) or ""
        return code == "SecurityTokenExpired" or code.split(".")[0] == "InvalidSecurityToken"
