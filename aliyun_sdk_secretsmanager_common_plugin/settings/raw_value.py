"""One raw value of a configuration, and the checks that turn it into a valid one.

A message about a wrong value tells where it stands and how long it is, and never shows it: it may be a password in the
wrong place, or a line that a stray backslash joined to another.
"""

import ipaddress
import json
import os
import re
from typing import Any, NoReturn, Optional, Sequence
from urllib.parse import parse_qsl

from ..exceptions import ConfigurationError
from ..secrecy import shown_path
from .files import Unreadable, certificates_problem, read_text

# A text that names an environment variable and can hardly be a password.
_VARIABLE_NAME = r"[A-Z][A-Z0-9]*(_[A-Z0-9]+)+\Z"
_QUOTES = "\"'`\u201c\u201d\u2018\u2019"
# Placeholders: of this package's documentation, of the Java plugin's, of templates, of Alibaba Cloud's documentation.
_PLACEHOLDER = (r"<[^<>]+>|(?:\A|(?<=\"))#[^#\"]+#(?=\"|\Z)|\A\$\{[\w.:-]+\}\Z"
                r"|(?i:\Ayour[-_]?access[-_]?key[-_]?(?:id|secret)\Z)")
_REDIS = ("write redis://host:port/0, rediss://host:port/0 for TLS, or unix:///path?db=0; Sentinel and Cluster are not "
          "supported")


class RawValue:
    """A raw value. The method that reads it checks it, and raises a ConfigurationError if it is wrong.

    Args:
        value: what the configuration holds; None where there is nothing.
        label: where it stands and its name, for messages: ``/app/my.properties, line 3: secret_names``.
        directory: what a relative path in it is relative to.
    """

    def __init__(self, value: Any, label: str, directory: str) -> None:
        self._value = value
        self._label = label
        self._directory = directory

    def __bool__(self) -> bool:
        return self._value is not None and self._value != ""

    def fail(self, problem: str) -> NoReturn:
        """Raise a ConfigurationError that says what is wrong with this value."""
        raise ConfigurationError("{} {}".format(self._label, problem))

    def fail_as_wrong(self, remedy: str) -> NoReturn:
        """Raise a ConfigurationError that says what kind of value this is, and what to write in its place."""
        self.fail("is {}; {}".format(_described(self._value), remedy))

    def text(self) -> str:
        """Return the text, or an empty one where there is no value."""
        if self._value is None:
            return ""
        if not isinstance(self._value, str):
            self.fail_as_wrong("write a text")
        problem = _problem_of(self._value)
        if problem:
            self.fail(problem)
        return self._value

    def required(self, remedy: str) -> str:
        """Return the text; where it is missing or empty, fail with this remedy."""
        return self.text() or self.fail("is missing or empty; " + remedy)

    def one_of(self, known: Sequence[str], default: str) -> str:
        """Return the text, which must be a known one, or the default where there is no value.

        Args:
            known: the texts that are valid.
            default: what is returned where there is no value.
        """
        text = self.text() or default
        if text not in known:
            self.fail("is {}, which is unknown{}; the known ones are: {}".format(
                _described(text), did_you_mean(text, known), ", ".join(known)))
        return text

    def integer(self, least: int, most: int, default: int, remedy: str) -> int:
        """Return the whole number.

        Args:
            least: the smallest number that is valid.
            most: the largest one.
            default: what is returned where there is no value.
            remedy: what to write in the place of a number that is not valid.

        Raises:
            ConfigurationError: it is no such number.
        """
        text = self.text()
        if not text:
            return default
        if not re.match(r"[0-9]{1,18}\Z", text) or not least <= int(text) <= most:
            self.fail_as_wrong(remedy)
        return int(text)

    def seconds(self, default: float) -> float:
        """Return the milliseconds as seconds, or the default where there is no value."""
        milliseconds = self.integer(1, 10 ** 10 - 1, 0, "write a positive whole number of milliseconds")
        return milliseconds / 1000.0 if milliseconds else default

    def flag(self) -> bool:
        """Return whether it is true; it is false where there is no value."""
        value = self._value
        flag = {"true": True, "false": False}.get(value.lower()) if isinstance(value, str) else value
        if not isinstance(flag, bool):
            self.fail_as_wrong("write true or false")
        return flag

    def region_id(self, required: bool = True) -> str:
        """Return the id of a region."""
        remedy = 'name a region, such as "cn-hangzhou"'
        text = self.required(remedy) if required else self.text()
        if text and not (re.match(r"[a-z]{2,}(-[a-z0-9]+)+\Z", text) and len(text) < 64):
            self.fail_as_wrong(remedy)
        return text

    def endpoint(self) -> str:
        """Return the host or host:port that requests go to. A bare name needs a port: it may be a slip."""
        text = self.text()
        if text and not (re.search(r"[.:]", text) and _is_address(text)):
            self.fail_as_wrong("write it without scheme and path, as host or host:port, the port from 1 to 65535")
        return text

    def redis_url(self) -> str:
        """Return the URL of a Redis, as ``from_url`` of redis-py takes it."""
        text = self.text()
        match = re.match(r"(redis|rediss|unix)://([^/?#\s]*)([^?#\s]*)(?:\?([^#\s]*))?\Z", text)
        if match is None:
            self.fail_as_wrong(_REDIS)
        scheme, authority, path, query = match.groups("")
        user, _, address = authority.rpartition("@")
        if "@" in path + query or not re.match(r"(?a)(?:[\w.~!$&'()*+,;=:-]|%[0-9A-Fa-f]{2})*\Z", user):
            self.fail("has a character in its user or password, or an @ after them, that a URL cannot hold; write it "
                      "as %XX, or name the password in shared_store_auth_from_file_path")
        if scheme == "unix":
            is_valid = not address and re.match(r"/(?:[^%]|%(?!00)[0-9A-Fa-f]{2})+\Z", path)
        else:
            is_valid = _is_address(address) and re.match(r"(?:/[0-9]{0,5})?\Z", path)
        if not is_valid:
            self.fail("has no valid {}; {}".format(
                "path" if scheme == "unix" else "host, port (1 to 65535) or database", _REDIS))
        for name, value in parse_qsl(query, keep_blank_values=True):
            if name == "ssl_ca_certs" and scheme == "rediss" and os.path.isabs(value):
                RawValue(value, self._label + ": ssl_ca_certs", self._directory).ca_file()
            elif name != "db" or not re.match(r"[0-9]{1,5}\Z", value):
                self.fail("has a parameter that is unknown or not valid; the known ones are db, a number, and with "
                          "rediss:// ssl_ca_certs, the absolute path of a PEM file")
        return text

    def json(self, example: str) -> Any:
        """Return the document in a JSON text, or None where there is no value."""
        text = self._value or ""
        problem = _problem_of(re.sub(r"[\r\n]", " ", text))
        if problem:
            self.fail(problem)
        if not text:
            return None
        try:
            return json.loads(text, parse_int=float)  # no field is a number; int() fails for thousands of digits
        except RecursionError:
            problem = "is nested too deeply; " + example
        except ValueError as error:
            problem = "is no JSON at column {}: {}; {}".format(
                getattr(error, "colno", "?"), getattr(error, "msg", "?"), example)
            if getattr(error, "pos", 0) >= len(text):
                problem += "; in a file, end this line in a backslash where the value goes on in the next one"
        self.fail(problem)  # outside the handler, because json's error holds the text

    def file(self, remedy: str) -> str:
        """Return the absolute path of a file. It must exist if it is named without a directory."""
        name = self.required(remedy)
        path = os.path.join(self._directory, name)
        if not os.path.dirname(name) and not os.path.exists(path):
            self.fail("names {}: No such file; give the path of one".format(self._shown(name)))
        return path

    def ca_file(self) -> Optional[str]:
        """Return the absolute path of a file that holds certificates, or None where there is no value."""
        name = self.text()
        if not name:
            return None
        path = os.path.join(self._directory, name)
        problem = "it is a directory" if os.path.isdir(path) else certificates_problem(path)
        if problem:
            self.fail("names {}: {}; give the PEM file of the CA".format(self._shown(name), problem))
        return path

    def password_in_variable(self) -> str:
        """Return the password in the environment variable of this name."""
        name = self.text()
        if re.match(_VARIABLE_NAME, name):
            shown = "the environment variable {!r}".format(name)
            missing = "which is not set; set it to the password"
        else:  # the name may be the password
            shown = "an environment variable"
            missing = "by a name of {} characters that is not set; write the name of the variable here, not the " \
                "password".format(len(name))
        return self._checked_password(os.environ.get(name, ""), shown, missing)

    def password_in_file(self) -> str:
        """Return the password in the file of this path."""
        name, password = self.text(), ""
        problem = "it is empty; write the password into it"
        try:
            password = read_text(os.path.join(self._directory, name), "write the password into it").strip()
        except Unreadable as error:
            problem = str(error)
        return self._checked_password(password, self._shown(name), problem)

    def _checked_password(self, password: str, shown: str, problem: str) -> str:
        """Return the password; where it is empty, fail with this problem."""
        if not password:
            self.fail("names {}, {}".format(shown, problem))
        if re.match(r"<[^<>]+>\Z", password):
            self.fail("names {}, which holds a placeholder; put the password in its place".format(shown))
        return password

    def _shown(self, name: str) -> str:
        """Return what a message may show of the name of a file."""
        path = os.path.join(self._directory, name)
        if os.path.dirname(name) or os.path.exists(path):
            return "the file " + shown_path(path)
        return "a file of {} characters in {}".format(len(name), self._directory)


def did_you_mean(name: str, known: Sequence[str]) -> str:
    """Return a question that names the known one that is nearest to ``name``, or an empty text if none is near.

    Args:
        name: a name that is not known.
        known: the names that are.
    """
    import difflib

    near = difflib.get_close_matches(name, known, 1)
    return "; did you mean {!r}?".format(near[0]) if near else ""


def is_url(text: str) -> bool:
    """Return whether ``text`` is a URL that ``alibabacloud-credentials`` can ask. It cannot ask an IPv6 address."""
    match = re.match(r"https?://([^/?#\s]+)", text)
    return match is not None and "[" not in match.group(1) and _is_address(match.group(1).rpartition("@")[2])


def _described(value: Any) -> str:
    """Return the kind of a value, and a text's length."""
    if isinstance(value, str):
        return "a value of {} characters".format(len(value))
    kinds = {bool: "true or false", float: "a number", list: "a list", dict: "an object"}
    return kinds.get(type(value), "null")


def _problem_of(text: str) -> str:
    """Return what is wrong with a text as it is written, and what to do; empty if nothing is wrong."""
    if len(text) > 1 and text[0] in _QUOTES and text[-1] in _QUOTES:
        return "is in quotes; values are raw: take the quotes away"
    if re.search(_PLACEHOLDER, text):
        return "still has a placeholder; put the real value in its place"
    if re.search("[\0-\x08\x0a-\x1f\x7f\ud800-\udfff]", text):
        return "has a control character, or half of a surrogate pair; take it out"
    return ""


def _is_address(text: str) -> bool:
    match = re.match(r"(?a)(?:([\w.-]+)|\[([0-9A-Fa-f:.]+)\])(?::([0-9]{1,5}))?\Z", text)
    if match is None or not 0 < int(match.group(3) or 443) <= 65535:
        return False
    name, address, _ = match.groups()
    try:
        if address:
            return bool(ipaddress.IPv6Address(address))
        if re.match(r"[0-9.]+\Z", name):
            return bool(ipaddress.IPv4Address(name))
    except ValueError:
        return False
    # RFC 1035, with "_", which names within networks of containers have.
    return len(name) < 254 and re.match(r"(?:(?!-)[\w-]{1,63}(?<!-)(?:\.|\Z))+\Z", name) is not None
