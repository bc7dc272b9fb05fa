"""What keeps secrets out of logs and errors: masked forms, a filter for loggers, and errors that hold no answer."""

import json
import logging
import re
from typing import Any, Dict, Optional

# A value ends at a blank, a quote, an escaped line end, or the next parameter, however often the whole was quoted.
_VALUE = r"(?:(?!%(?:25)*26)[^\s\"'&,}\\])+"
# Compiled, and kept by re, when the first text is to be masked: that takes as long as the rest of an import.
_SENSITIVE = (
    r"(?i)((?<![a-z_])(?:(?:x-(?:acs|oss|kms)-)?security-?token|(?:x-ots-)?sts-?token|oidc-?token|access-?key-?secret"
    r"|(?:x-aliyun-)?ecs-metadata-token)(?:\\*[\"'])?"
    r"(?:\s*[:=]\s*|%(?:25)*3D)(?:b(?=[\"']))?(?:\\*[\"'])?)"
    + _VALUE,
    r"(?i)(\bauthorization[\"']?\s*[:=]\s*b?[\"'])[^\"']+",
    r"(?i)(\bauthorization\s*[:=]\s*)(?=acs3-)[^\"'\r\n]+",
    r"(?i)(\bauthorization\s*[:=]\s*)(?:(?:acs|bearer|oss\S*)\s+)?" + _VALUE,
    r"(\"SecretData\"\s*:\s*\")(?:[^\"\\]|\\+.)+",
    r"((?:[?&]|\bx-oss-)[Ss]ignature=|[\"']Signature[\"']: [\"'])" + _VALUE,
)


def mask_access_key_id(access_key_id: str) -> str:
    """Return ``access_key_id`` as it may be shown: ``LTAI********wxyz``, all stars when it is short."""
    if len(access_key_id) <= 8:
        return "********"
    return access_key_id[:4] + "********" + access_key_id[-4:]


class SensitiveFilter(logging.Filter):
    """Masks tokens, signatures and authorization values in the records of a logger."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Rewrite ``record`` where needed; every record passes."""
        try:
            message = record.getMessage()
        except Exception:
            return True  # a broken record: logging itself reports it
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
    """Return ``text`` with tokens, signatures, authorization values and secrets masked where they are named."""
    for sensitive in _SENSITIVE:
        text = re.sub(sensitive, r"\1******", text)
    return text


def json_object(text: Any) -> Optional[Dict[str, Any]]:
    """Return the object in a JSON text, or in its UTF-8, None if it is none.

    The error of the codec and that of json hold the whole text, so that they must not become the context of another.
    """
    try:
        value = json.loads(text.decode("utf-8") if isinstance(text, bytes) else text)
    except (TypeError, ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def reason(error: BaseException) -> str:
    """Return why a connection failed: the name of the first cause, with its text where that holds no request or answer.

    The texts of outer errors repeat the signed URL, and those of HTTP's own errors what was answered.
    """
    causes = [error]
    while True:
        cause = causes[-1]
        # Old versions of urllib3 say the cause of an SSLError or a ProxyError by its arguments only.
        following = (getattr(cause, "reason", None) or cause.__cause__ or cause.__context__
                     or next((each for each in cause.args if isinstance(each, BaseException)), None))
        if not isinstance(following, BaseException) or following in causes:
            break
        causes.append(following)
    name = type(cause).__name__
    of_the_system = isinstance(cause, OSError) and not type(cause).__module__.startswith("requests")
    return "{}: {}".format(name, cause) if of_the_system or name == "CertificateError" else name


_FILTER = SensitiveFilter()


def filter_loggers(sdk: str) -> None:
    """Install the filter on the logger ``sdk`` and those below it.

    A filter of a logger does not see the records of the loggers below, so each has its own. To be called once the
    SDK is imported, when its loggers exist.
    """
    names = [name for name in list(logging.Logger.manager.loggerDict) if name == sdk or name.startswith(sdk + ".")]
    for name in [sdk] + names:
        logging.getLogger(name).addFilter(_FILTER)
