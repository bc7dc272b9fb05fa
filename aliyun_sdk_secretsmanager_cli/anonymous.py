"""``check --anonymize``: placeholders for names, paths, accounts and hosts, so that the output can go into a ticket."""

import getpass
import json
import os
import re
import socket
from typing import TYPE_CHECKING, Any, Dict, Iterable, Iterator, Match, Optional, Sequence, Tuple
from urllib.parse import quote, urlsplit

from aliyun_sdk_secretsmanager_common_plugin.exceptions import ConfigurationError
from aliyun_sdk_secretsmanager_common_plugin.settings import KEYS, ConfigLoader
from aliyun_sdk_secretsmanager_common_plugin.settings.properties_file import absolute, read_properties

if TYPE_CHECKING:
    from aliyun_sdk_secretsmanager_common_plugin.check import Step

# The kind of a value, by how its key or field ends. Values of other keys, such as intervals, stay as they are.
_KINDS = (
    (r"secret_names\Z", "secret"),
    (r"(?i)(?:path|clientKeyFile|token_file|ca_bundle)\Z", "path"),
    (r"(?i)arn\Z", "arn"),
    (r"endpoint\Z", "host"),
    (r"(?i)(?:uri|store_url)\Z", "uri"),
    (r"(?i)variable\Z", "variable"),
    (r"access_(?:key|token)_id\Z", "key"),
    (r"(?i)(?:role_name|session_name|external_id|store_prefix)\Z", "name"),
    (r"(?:access_secret|access_token|security_token)\Z", "hidden"),
)
# What is recognized by its form, wherever it stands.
_PATTERNS = (
    r"(?P<arn>acs:\w+:[^\s\"',;)]*[^\s\"',;):.]|acs%(?:25)*3A[\w.%-]+)"
    r"|(?P<key>(?:[\w.]{4})?\*{8}(?:[\w.]{4})?|\b(?:LTAI|STS\.|TMP\.|KAAP\.)[\w.-]{4,})"
    r"|(?P<host>[\w-]+\.cryptoservice\.kms\.aliyuncs\.com(?::\d+)?"
    r"|(?<![\w.])\d{1,3}(?:\.\d{1,3}){3}(?!\.?\w)(?::\d+)?|\[[0-9A-Fa-f:]*:[0-9A-Fa-f:.]*\](?::\d+)?)"
    r"|(?P<path>(?<![\w:/.<>%*-])~?/[^\s\"'`:;,()\[\]{}<>]+)"
    r"|(?P<account>(?<!\d)\d{14,20}(?!\d))"
)
# The gateways that every customer has.
_PUBLIC = r"(?:\*\.)?(?:(?:kms|sts)(?:-vpc)?\.)?[a-z]{2,}(?:-[a-z0-9]+)+\.aliyuncs\.com\Z|sts\.aliyuncs\.com\Z"
_FEW = 6  # A shorter text is replaced only where it is a word of its own.

_Known = Tuple[str, str]


class Placeholders:
    """Replaces what identifies someone by placeholders, the same text always by the same one: ``secret-1``, ``path-2``.

    Args:
        known: pairs of a kind and a text to replace.
    """

    def __init__(self, known: Iterable[_Known]) -> None:
        self._known: Dict[str, _Known] = {}
        self._placeholders: Dict[_Known, str] = {}
        self._counts: Dict[str, int] = {}
        self._pattern = ""
        self.add(known)

    def add(self, known: Iterable[_Known]) -> None:
        """Replace these from now on, too."""
        for kind, text in known:
            if text and not re.match(_PUBLIC, text):
                # A service repeats the request that was signed, in which values are percent-encoded up to three times.
                forms = [text]
                for _ in range(3):
                    forms.append(quote(forms[-1], safe="-_.~"))
                for form in forms + [text.encode("unicode_escape").decode("ascii")]:
                    self._known.setdefault(form, (kind, text))
        by_length = sorted(self._known, key=len, reverse=True)
        texts = [re.escape(text) if len(text) >= _FEW else
                 r"(?:(?<![0-9A-Za-z_])|(?<=%3D)|(?<=%253D))" + re.escape(text) + r"(?![0-9A-Za-z_])"
                 for text in by_length]
        self._pattern = "|".join(texts + [_PATTERNS])

    def __call__(self, value: Any) -> Any:
        """Return a text, or all texts of a list, with the placeholders in it; and anything else as it is."""
        if isinstance(value, (list, tuple)):
            return [self(each) for each in value]
        return re.sub(self._pattern, self._placeholder, value) if isinstance(value, str) else value

    def _placeholder(self, match: Match[str]) -> str:
        text = match.group()
        known = (match.lastgroup, text) if match.lastgroup else self._known[text]
        if known not in self._placeholders:
            self._counts[known[0]] = self._counts.get(known[0], 0) + 1
            self._placeholders[known] = "{}-{}".format(known[0], self._counts[known[0]])
        return self._placeholders[known]


def anonymized(steps: Iterable["Step"], config: Optional[str], secret_names: Sequence[str]) -> Iterator["Step"]:
    """Yield the steps with placeholders in all that they say.

    Args:
        steps: the steps of ``check``.
        config: the properties file that they are about, as ``check`` takes it.
        secret_names: the secrets that they are about, as ``check`` takes them.
    """
    replace = Placeholders(_known_texts(config, secret_names))
    for step in steps:
        replace.add(("host", name) for name in step.facts.get("certificate_names", ()))
        yield step._replace(
            subject=replace(step.subject), detail=replace(step.detail), warnings=replace(step.warnings),
            remedy=replace(step.remedy), facts={name: replace(value) for name, value in step.facts.items()})


def _known_texts(config: Optional[str], secret_names: Sequence[str]) -> Iterator[_Known]:
    path = config or ConfigLoader.get_config_name()
    yield from (("secret", name) for name in secret_names)
    for each in (absolute(path), path, os.path.dirname(absolute(path)), absolute(os.curdir), os.path.expanduser("~")):
        if each != os.sep:
            yield "path", each
    yield "host", socket.gethostname()
    try:
        yield "user", getpass.getuser()
    except (KeyError, OSError):  # the user has no name, as in some containers
        pass
    for name, value in _values(path):
        yield from _texts_of(name, value)
    for name, value in os.environ.items():
        if re.match(r"(?i)(?:http|https|all)_proxy\Z", name):
            yield "host", _host_of(value)


def _values(path: str) -> Iterator[Tuple[str, str]]:
    """Yield the names and values of the file and the environment, where the file can be read."""
    try:
        entries = read_properties(absolute(path))
    except ConfigurationError:
        entries = {}
    yield from ((key, entry.value) for key, entry in entries.items())
    yield from ((name, value) for name, value in os.environ.items()
                if name in KEYS or name.startswith("ALIBABA_CLOUD_"))


def _texts_of(name: str, value: Any) -> Iterator[_Known]:
    """Yield the texts in the value of a key. That of a list of gateways is JSON."""
    if name.startswith("cache_client_"):
        try:
            value = json.loads(value)
        except (TypeError, ValueError, RecursionError):
            return
        for gateway in value if isinstance(value, list) else ():
            for field, inner in gateway.items() if isinstance(gateway, dict) else ():
                yield from _texts_of(field, inner)
        return
    kind = next((kind for pattern, kind in _KINDS if re.search(pattern, name)), None)
    if kind is None or not isinstance(value, str):
        return
    for text in value.split(",") if kind == "secret" else [value]:
        yield kind, text.strip()
        if kind in ("host", "uri"):  # an error may name the host alone
            yield "host", _host_of(text)
            socket_file = re.match(r"unix://[^/]*(/[^?]*)", text)
            if socket_file:
                yield "path", socket_file.group(1)


def _host_of(url: str) -> str:
    try:
        return urlsplit(url if "://" in url else "//" + url).hostname or ""
    except ValueError:  # an IPv6 address that lacks a bracket
        return ""
