"""The properties file: its lines, and the key and the raw value in each."""

import logging
import os
import re
from typing import Dict, Iterator, List, NamedTuple, Tuple

from ..exceptions import ConfigurationError
from .files import Unreadable, read_text

logger = logging.getLogger(__name__)

CONFIG_VARIABLE = "MANAGED_CREDENTIALS_CONFIG"

_BLANKS = " \t\f"
_NAME_ANOTHER = ("with ConfigLoader.set_config_name(), the environment variable " + CONFIG_VARIABLE +
                 ", or --config of managed-credentials check")
# A line that has a key of its own, in a comment, in a shell's form or with a colon, too. A stray backslash at the end
# of the line before would join it to that one. The scheme of a URL is no key.
_HAS_A_KEY = r"[#!\s]*(?:export\s+)?\w[\w.-]*\s*(?:=\s*[^=\s]|:(?!//)\s*\S)"


class Entry(NamedTuple):
    """A raw value, and where it stands, for messages: ``/app/my.properties, line 3``."""

    value: str
    where: str

    def __repr__(self) -> str:
        return "Entry({})".format(self.where)


def read_properties(path: str) -> Dict[str, Entry]:
    """Return the entries of the properties file at ``path``, by key.

    The file is UTF-8 with one ``key=value`` a line. The first ``=`` separates. Lines that begin with ``#`` or ``!`` are
    comments. A backslash at the end continues a line. There are no other escapes.

    Raises:
        ConfigurationError: the file cannot be read, is not UTF-8, has a line without ``=``, or has a line that ends in
            a backslash before another key. The message names the line and never shows it.
    """
    try:
        text = read_text(path, "create it, as managed-credentials init does")
    except Unreadable as error:
        raise ConfigurationError("cannot read the properties file {}: {}, or name another {}".format(
            path, error, _NAME_ANOTHER)) from None
    return _entries(path, re.split("\r\n|\r|\n", text))


def absolute(path: str) -> str:
    """Return the absolute form of a path, or the path itself if the working directory does not exist any more."""
    try:
        return os.path.abspath(path)
    except OSError:
        return path


def directory_of(path: str) -> str:
    """Return the directory that relative paths start from: the file's, or for a pipe the working directory."""
    return os.path.dirname(path) if os.path.isfile(path) else absolute(os.curdir)


def _entries(path: str, lines: List[str]) -> Dict[str, Entry]:
    entries: Dict[str, Entry] = {}
    remaining = iter(enumerate(lines, 1))
    for number, line in remaining:
        if "\0" in line:
            raise ConfigurationError("{}, line {}: a NUL character; save the file as UTF-8 text".format(path, number))
        line = line.strip(_BLANKS)
        if not line or line[0] in "#!":
            continue
        whole, last = _continued(path, number, line, remaining)
        key, separator, value = (part.strip(_BLANKS) for part in whole.partition("="))
        if not separator or not key:
            remedy = "end the line before it with a backslash, if it continues its value" if line[0] in "[]{}\"" \
                else "a comment begins with '#'"
            raise ConfigurationError("{}, line {}: no 'key=value'; {}".format(path, number, remedy))
        where = "{}, line {}".format(path, number) if last == number else "{}, lines {} to {}".format(
            path, number, last)
        if key in entries:
            logger.warning("%s: the key is that of %s, too; the last one counts", where, entries[key].where)
        entries[key] = Entry(value, where)
    return entries


def _continued(path: str, number: int, line: str, remaining: Iterator[Tuple[int, str]]) -> Tuple[str, int]:
    """Return a line with the lines that backslashes join to it, and the number of the last one."""
    while line.endswith("\\"):
        following, more = next(remaining, (number, ""))
        if re.match(_HAS_A_KEY, more):
            raise ConfigurationError(
                "{0}, line {1}: the backslash at its end joins line {2} to it, which has a key of its own; take the "
                "backslash away".format(path, number, following))
        line, number = line[:-1] + more.strip(_BLANKS), following
    return line, number
