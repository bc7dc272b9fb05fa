"""The properties file: its lines, and the key and the raw value in each."""

import logging
import os
import re
from typing import Dict, Iterator, List, NamedTuple, Tuple

from ..exceptions import ConfigurationError
from .files import read_file, why_unreadable

logger = logging.getLogger(__name__)

CONFIG_VARIABLE = "MANAGED_CREDENTIALS_CONFIG"

_BLANKS = " \t\f"
_NAME_ANOTHER = ("with ConfigLoader.set_config_name(), the environment variable " + CONFIG_VARIABLE +
                 ", or --config of managed-credentials check")
# A line that has a key of its own, in a comment, in a shell's form or with a colon, too. A stray backslash at the end
# of the line before would join it to that one. The scheme of a URL is no key.
_HAS_A_KEY = r"[#!\s]*(?:export\s+)?\w[\w.-]*\s*(?:=\s*[^=\s]|:(?!//)\s*\S)"


class Entry(NamedTuple):
    """A raw value, and where it stands: ``line 3``, or ``lines 3 to 5``."""

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
    problem = ""
    try:
        content = read_file(path)
    except (OSError, ValueError) as error:
        problem = why_unreadable(error, "create it, as managed-credentials init does")
    if problem:
        raise ConfigurationError("cannot read the properties file {}: {}, or name another {}".format(
            path, problem, _NAME_ANOTHER))
    at = -1
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        at = error.start
    if at >= 0:  # outside the handler, because the codec's error holds the whole file with its secrets
        raise ConfigurationError("{} is no UTF-8 text (byte {}); save it as UTF-8".format(path, at))
    lines = re.split("\r\n|\r|\n", text)
    for number, line in enumerate(lines, 1):
        if "\0" in line:
            raise ConfigurationError("{}, line {}: a NUL character; save the file as UTF-8 text".format(path, number))
    return _entries(path, lines)


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
        line = line.strip(_BLANKS)
        if not line or line[0] in "#!":
            continue
        whole, last = _continued(path, number, line, remaining)
        key, separator, value = (part.strip(_BLANKS) for part in whole.partition("="))
        if not separator or not key:
            remedy = "end the line before it with a backslash, if it continues its value" if line[0] in "[]{}\"" \
                else "a comment begins with '#'"
            raise ConfigurationError("{}, line {}: no 'key=value'; {}".format(path, number, remedy))
        where = "line {}".format(number) if last == number else "lines {} to {}".format(number, last)
        if key in entries:
            logger.warning("%s: the key of %s is that of %s; the last one counts", path, where, entries[key].where)
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
