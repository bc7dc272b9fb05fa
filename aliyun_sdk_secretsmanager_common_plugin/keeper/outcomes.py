"""What an error of Secrets Manager means for the next attempt, and the errors that a keeper makes itself."""

from typing import Any, Iterable

from aliyunsdkcore.acs_exception import error_code
from aliyunsdkcore.acs_exception.exceptions import ClientException, ServerException

from ..identities.identity import IdentityError
from ..secrets_manager.gateways import UntrustedGateway
from .timing import MOST_REQUESTS

_THROTTLED = "Rejected.Throttling"
_RETRYABLE_CODES = (_THROTTLED, "ServiceUnavailableTemporary", "InternalFailure")
# A dedicated gateway's error for a client key that it does not know; other gateways have other client keys.
_UNKNOWN_CLIENT_KEY = "Unauthorized"


def is_worth_a_region(error: BaseException) -> bool:
    """Return whether another region may do better: this one gave no answer, or none of Secrets Manager's."""
    if isinstance(error, ServerException):
        status = error.get_http_status()
        return isinstance(status, int) and (status >= 500 or status == 429) \
            or error.get_error_code() in _RETRYABLE_CODES + (_UNKNOWN_CLIENT_KEY,)
    return isinstance(error, ClientException)


def is_worth_an_attempt(error: BaseException) -> bool:
    """Return whether the same region may do better in a moment. An untrusted certificate stays untrusted."""
    if isinstance(error, IdentityError):
        return error.retryable
    if isinstance(error, ServerException) and error.get_error_code() == _UNKNOWN_CLIENT_KEY:
        return False
    return is_worth_a_region(error) and not isinstance(error, UntrustedGateway)


def is_outage(error: BaseException) -> bool:
    """Return whether an error means that Secrets Manager cannot be reached or throttles; a refusal does not.

    An untrusted certificate counts as an outage: whoever can put one there can as well cut the connection.
    """
    return is_worth_an_attempt(error) or isinstance(error, UntrustedGateway)


def is_throttling(error: BaseException) -> bool:
    """Return whether an error means that Secrets Manager was asked more often than its quota allows."""
    return isinstance(error, ServerException) and (
        error.get_error_code() == _THROTTLED or error.get_http_status() == 429)


def no_answer(whence: Iterable[str], secret_name: str, seconds: float) -> ClientException:
    """Return the error for a deadline that has passed.

    Args:
        whence: what was waited for, each as ``Gateway.waiting_for`` says it.
        secret_name: the secret's name.
        seconds: how long it was waited for.
    """
    return ClientException(
        error_code.SDK_HTTP_ERROR,
        "secret {!r}: no answer within {:.1f} s from {}; check the endpoint and the network".format(
            secret_name, seconds, " and ".join(dict.fromkeys(whence)) or "any region"),
    )


def too_soon(gateway: Any, secret_name: str, seconds: float) -> ClientException:
    """Return the error for a gateway that may be asked only after some seconds.

    Args:
        gateway: the gateway.
        secret_name: the secret.
        seconds: how long it may not be asked.
    """
    return ClientException(
        error_code.SDK_HTTP_ERROR,
        "secret {!r}: the last {} requests to Secrets Manager failed or hang, and {!r} may be asked in {:.1f} s only; "
        "look in the log for why".format(secret_name, MOST_REQUESTS, gateway, seconds),
    )


def one_of_its_own(error: Exception) -> Exception:
    """Return a copy of ``error`` without traceback and chain, so that each asker can raise its own."""
    try:
        copy = type(error).__new__(type(error), *error.args)
        copy.__dict__.update(error.__dict__)
    except Exception:
        return error  # its class cannot be copied in this way
    return copy
