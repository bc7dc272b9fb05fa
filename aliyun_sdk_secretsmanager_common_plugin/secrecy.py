"""Keeps secrets out of logs and errors: masking, a filter for loggers, and parsing whose errors show no input."""

import json
import logging
import os
import re
from typing import Any, Dict, Optional, Union

from aliyunsdkcore.acs_exception.exceptions import ClientException, ServerException

# A value ends at a blank, a quote, a backslash, or the next query parameter, however often it was percent-encoded.
_VALUE = r"(?:(?!%(?:25)*26)[^\s\"'&,}\\])+"
# re compiles and caches these at their first use, which takes as long as the rest of the import.
_SENSITIVE = (
    r"(?i)((?<![a-z_])(?:(?:x-(?:acs|oss|kms)-)?security-?token|(?:x-ots-)?sts-?token|oidc-?token|access-?key-?secret"
    r"|(?:x-aliyun-)?ecs-metadata-token)(?:\\*[\"'])?"
    r"(?:\s*[:=]\s*|%(?:25)*3D)(?:b(?=[\"']))?(?:\\*[\"'])?)"
    + _VALUE,
    r"(?i)(\bauthorization[\"']?\s*[:=]\s*b?[\"'])[^\"']+",
    r"(?i)(\bauthorization\s*[:=]\s*)(?=acs3-)[^\"'\r\n]+",
    r"(?i)(\bauthorization\s*[:=]\s*)(?:(?:acs|bearer|oss\S*)\s+)?" + _VALUE,
    r"(\"SecretData\"\s*:\s*\")(?:[^\"\\]|\\+.)+",
    # urllib3 logs this about headers that it cannot parse. It may be the body.
    r"(unparsed data: )[^\n]+",
    r"((?:[?&]|\bx-oss-)[Ss]ignature=|[\"']Signature[\"']: [\"'])" + _VALUE,
)
_FIELDS = "managed_credentials"  # the attribute that holds the fields until the filter has seen the record
_ACCESS_KEY_ID = r"(?:LTAI|STS\.|TMP\.)[0-9A-Za-z]{4,}"


def mask_access_key_id(access_key_id: str) -> str:
    """Return an id as it may be shown: ``LTAI********wxyz``, or only stars if it has fewer than 16 characters."""
    if len(access_key_id) < 16:
        return "********"
    return access_key_id[:4] + "********" + access_key_id[-4:]


def is_access_key_id(text: str) -> bool:
    """Return whether ``text`` is certainly the id of an AccessKey."""
    return re.match(_ACCESS_KEY_ID + r"\Z", text) is not None


def shown_secret_name(name: str) -> str:
    """Return a secret's name as it may be shown: masked if it is the id of an AccessKey instead."""
    return mask_access_key_id(name) if is_access_key_id(name.strip()) else name


def logger_of(name: str) -> logging.Logger:
    """Return the logger of a module that logs with ``log_fields``."""
    logger = logging.getLogger(name)
    logger.addFilter(_FIELDS_FILTER)
    return logger


def log_fields(
    secret_name: str, key: Any = None, error: Union[BaseException, str, None] = None
) -> Dict[str, Dict[str, str]]:
    """Return the ``extra`` of a log line about a secret, for a logger of ``logger_of``.

    The record gets the fields as attributes. They are texts, which any handler may send.

    Args:
        secret_name: the secret's name.
        key: the ``AccessKey`` that the line is about.
        error: the error that the line is about; the name of its class if a function of the program raised it, because
            all else of it may contain a secret.
    """
    fields = {"secret_name": secret_name}
    if key is not None:
        fields.update(access_key_id=mask_access_key_id(key.access_key_id), version_id=key.version_id)
    if isinstance(error, (ServerException, ClientException)):
        fields["error_code"] = str(error.get_error_code())
    elif error is not None:
        fields["error_code"] = error if isinstance(error, str) else type(error).__name__
    return {_FIELDS: fields}


def mask_access_key_ids(text: str) -> str:
    """Mask the ids in a service's message, such as the string that it signed."""
    for pattern in (r"(?<=AccessKeyId=)[\w.]+", r"(?<=AccessKeyId%3D)[\w.]+", r"(?<=AccessKeyId%253D)[\w.]+",
                    r"(?:(?<![0-9A-Za-z])|(?<=%3D)|(?<=%253D))" + _ACCESS_KEY_ID):
        text = re.sub(pattern, lambda match: mask_access_key_id(match.group()), text)
    return text


def shown_path(path: str) -> str:
    """Return a path as it may be shown.

    If neither the path nor its directory exists, show only its length: it may be a password in the wrong place.
    """
    directory = os.path.dirname(path)
    try:
        shown = os.path.exists(path) or os.path.isdir(directory) and os.path.dirname(directory) != directory
    except ValueError:  # for a NUL, before Python 3.8
        shown = False
    return path if shown else "(a path of {} characters, in no directory that exists)".format(len(path))


class _FieldsFilter(logging.Filter):
    """Makes the fields of ``log_fields`` attributes of the record.

    ``extra`` itself would raise an error where the program's record factory gives each record such an attribute.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        vars(record).update(vars(record).pop(_FIELDS, {}))
        return True


class SensitiveFilter(logging.Filter):
    """Masks tokens, signatures and authorization values in a logger's records."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Mask ``record`` where needed, and let it pass."""
        try:
            message = record.getMessage()
        except Exception:
            return True  # logging itself reports a broken record
        masked = mask(message)
        if masked != message:
            record.msg, record.args = masked, ()
        if record.exc_info:
            traceback = logging.Formatter().formatException(record.exc_info)
            masked = mask(traceback)
            if masked != traceback:
                record.exc_text, record.exc_info = masked, None
        return True


def mask(text: str) -> str:
    """Return ``text`` with the values of named tokens, signatures, authorization headers and secrets masked."""
    for sensitive in _SENSITIVE:
        text = re.sub(sensitive, r"\1******", text)
    return text


def json_object(text: Any) -> Optional[Dict[str, Any]]:
    """Return the object in a JSON text or its UTF-8 bytes, or None if there is none.

    The errors of json and the codec hold the whole text. So callers raise errors of their own, without this context.
    """
    try:
        value = json.loads(text.decode("utf-8") if isinstance(text, bytes) else text, parse_int=_number)
    except (TypeError, ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def _number(digits: str) -> float:
    # int() raises an error for thousands of digits, and before Python 3.11 it is slow.
    return int(digits) if len(digits) < 300 else float(digits)


def reason(error: BaseException) -> str:
    """Return why a connection failed: the name of the root cause, and its text if the system wrote it.

    The texts of other errors are left out: they may repeat the signed URL or the answer.
    """
    causes = [error]
    while True:
        cause = causes[-1]
        # Old versions of urllib3 have the cause of an SSLError or ProxyError in its arguments only.
        following = (getattr(cause, "reason", None) or cause.__cause__ or cause.__context__
                     or next((each for each in cause.args if isinstance(each, BaseException)), None))
        if not isinstance(following, BaseException) or following in causes:
            break
        causes.append(following)
    name = type(cause).__name__
    of_the_system = isinstance(cause, OSError) and not type(cause).__module__.startswith("requests")
    return "{}: {}".format(name, cause) if of_the_system or name == "CertificateError" else name


_FILTER = SensitiveFilter()
_FIELDS_FILTER = _FieldsFilter()


def filter_loggers(sdk: str) -> None:
    """Install the filter on the logger ``sdk`` and on all loggers below it.

    Each needs its own, since a logger's filter does not see the records of the loggers below. Call this after the
    import of the SDK, which makes the loggers.
    """
    names = [name for name in list(logging.Logger.manager.loggerDict) if name == sdk or name.startswith(sdk + ".")]
    for name in [sdk] + names:
        logging.getLogger(name).addFilter(_FILTER)
