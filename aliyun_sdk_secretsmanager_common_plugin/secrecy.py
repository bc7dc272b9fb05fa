"""What keeps secrets out of logs: the masked form of an AccessKey id, and a filter for the loggers of the SDKs."""

import logging
import re

# A value ends at a blank, a quote, an escaped line end, or the next parameter, however often the whole was quoted.
_VALUE = r"(?:(?!%(?:25)*26)[^\s\"'&,}\\])+"
_SENSITIVE = [
    re.compile(
        r"(?i)((?<![a-z_])(?:(?:x-(?:acs|oss|kms)-)?security-?token|oidc-?token|access-?key-?secret)(?:\\*[\"'])?"
        r"(?:\s*[:=]\s*|%(?:25)*3D)(?:b(?=[\"']))?(?:\\*[\"'])?)"
        + _VALUE
    ),
    re.compile(r"(?i)(\bauthorization[\"']?\s*[:=]\s*b?[\"'])[^\"']+"),
    re.compile(r"(?i)(\bauthorization\s*[:=]\s*)(?:(?:acs|bearer|oss\S*)\s+)?" + _VALUE),
    re.compile(r"(\"SecretData\"\s*:\s*\")(?:[^\"\\]|\\+.)+"),
    re.compile(r"((?:[?&]|\bx-oss-)[Ss]ignature=|[\"']Signature[\"']: [\"'])" + _VALUE),
]


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
        masked = _mask(message)
        if masked != message:
            record.msg, record.args = masked, ()
        if record.exc_info:
            traceback = logging.Formatter().formatException(record.exc_info)
            if _mask(traceback) != traceback:
                record.exc_text, record.exc_info = _mask(traceback), None
        return True


def _mask(text: str) -> str:
    for sensitive in _SENSITIVE:
        text = sensitive.sub(r"\1******", text)
    return text


_FILTER = SensitiveFilter()


def filter_loggers(sdk: str) -> None:
    """Install the filter on the logger ``sdk`` and those below it.

    A filter of a logger does not see the records of the loggers below, so each has its own. To be called once the
    SDK is imported, when its loggers exist.
    """
    names = [name for name in list(logging.Logger.manager.loggerDict) if name == sdk or name.startswith(sdk + ".")]
    for name in [sdk] + names:
        logging.getLogger(name).addFilter(_FILTER)
