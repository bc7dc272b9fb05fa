"""The validated, immutable settings, from ``managed_credentials_providers.properties`` and the environment."""

import difflib
import json
import logging
import os
import re
from typing import Any, Callable, Dict, List, Mapping, NamedTuple, NoReturn, Optional, Tuple

from .exceptions import ConfigurationError

logger = logging.getLogger(__name__)

DEFAULT_CONFIG_NAME = "managed_credentials_providers.properties"
CONFIG_VARIABLE = "MANAGED_CREDENTIALS_CONFIG"
CA_VARIABLE = "ALIBABA_CLOUD_CA_BUNDLE"

CREDENTIALS_TYPES = ("ak",)
KEYS = (
    "credentials_type",
    "credentials_access_key_id",
    "credentials_access_secret",
    "cache_client_region_id",
    "secret_names",
    "refresh_interval_milliseconds",
    "fetch_timeout_milliseconds",
    "renew_timeout_milliseconds",
    "replay_buffer_bytes",
    "replay_spool_bytes",
    "monitor_period_milliseconds",
    "monitor_customer_milliseconds",
)
# Keys of the existing plugin that other identities and gateways need.
UNSUPPORTED_KEYS = (
    "cache_client_dkms_config_info",
    "client_key_password_from_env_variable",
    "client_key_password_from_file_path",
    "client_key_private_key_path",
    "credentials_access_token",
    "credentials_access_token_id",
    "credentials_policy",
    "credentials_role_arn",
    "credentials_role_name",
    "credentials_role_session_name",
)
REGION_FIELDS = ("regionId", "endpoint", "vpc", "caFilePath")

_BLANKS = " \t\f"


class ConfigLoader:
    """Says which properties file is read."""

    _config_name: Optional[str] = None

    @staticmethod
    def set_config_name(config_name: Optional[str]) -> None:
        """Read the properties from ``config_name``, a path; relative ones are relative to the working directory.

        It wins over the environment variable ``MANAGED_CREDENTIALS_CONFIG``. None goes back to the default.
        """
        ConfigLoader._config_name = config_name

    @staticmethod
    def get_config_name() -> str:
        """Return the path of the properties file: as set, or from the environment, or the default name."""
        return ConfigLoader._config_name or os.environ.get(CONFIG_VARIABLE) or DEFAULT_CONFIG_NAME


class SharedGatewaySettings(NamedTuple):
    """A shared gateway of Secrets Manager: one entry of ``cache_client_region_id``."""

    region_id: str
    endpoint: str
    ca_file: Optional[str] = None


class Settings(NamedTuple):
    """What the configuration says, times in seconds; ``replay_...`` is how much of an OSS body is kept for a replay."""

    access_key_id: str = ""
    access_key_secret: str = ""
    shared_gateways: Tuple[SharedGatewaySettings, ...] = ()
    secret_names: Tuple[str, ...] = ()
    refresh_interval: float = 3600.0
    fetch_timeout: float = 10.0
    renew_timeout: float = 2.0
    replay_buffer_bytes: int = 8388608
    replay_spool_bytes: int = 1073741824

    def __repr__(self) -> str:
        regions = ", ".join(gateway.region_id for gateway in self.shared_gateways)
        return "Settings(shared_gateways=[{}], secret_names={!r})".format(regions, list(self.secret_names))


def load_settings(path: Optional[str] = None) -> Settings:
    """Return the settings of the properties file, each key overridden by an environment variable of its name.

    Args:
        path: the file; None takes the one that ``ConfigLoader`` says. Where that is nowhere named and does not
            exist, the environment alone may hold all keys.

    Raises:
        ConfigurationError: the file cannot be read, or a key is missing or wrong; the message says which.
    """
    named = path is not None or ConfigLoader.get_config_name() != DEFAULT_CONFIG_NAME
    path = os.path.abspath(path or ConfigLoader.get_config_name())
    if not named and not os.path.exists(path) and "credentials_type" in os.environ:
        values: Dict[str, str] = {}
    else:
        values = read_properties(path)
    for key in values:
        if key not in KEYS + UNSUPPORTED_KEYS:
            logger.warning("%s: unknown key %r%s", path, _name(key), _did_you_mean(_name(key), KEYS))
    values.update((key, os.environ[key]) for key in KEYS + UNSUPPORTED_KEYS if key in os.environ)
    return _Properties(path, values).settings()


def read_properties(path: str) -> Dict[str, str]:
    """Return the keys and raw values of the properties file at ``path``.

    ``key=value`` a line, in UTF-8; the first ``=`` separates; lines that begin with ``#`` or ``!`` are comments; a
    trailing backslash continues a line; no other escapes.

    Raises:
        ConfigurationError: the file cannot be read, is no UTF-8, or has a line without ``=``.
    """
    try:
        with open(path, encoding="utf-8-sig") as file:
            lines = file.read().split("\n")
    except OSError as error:
        raise ConfigurationError(
            "cannot read the properties file {}: {}; create it, or name another with ConfigLoader.set_config_name() or "
            "the environment variable {}".format(path, error.strerror or error, CONFIG_VARIABLE)
        ) from error
    except UnicodeDecodeError as error:
        position = error.start
    else:
        return _parse_lines(path, lines)
    # Out of the handler: the error of the codec holds the whole file, with its secrets.
    raise ConfigurationError("{} is no UTF-8 text (byte {}); save it as UTF-8".format(path, position))


def _parse_lines(path: str, lines: List[str]) -> Dict[str, str]:
    values: Dict[str, str] = {}
    remaining = iter(enumerate(lines, 1))
    for number, line in remaining:
        line = line.strip(_BLANKS)
        if not line or line[0] in "#!":
            continue
        while line.endswith("\\"):
            line = line[:-1] + next(remaining, (0, ""))[1].strip(_BLANKS)
        key, separator, value = (part.strip(_BLANKS) for part in line.partition("="))
        if not separator or not key:
            raise ConfigurationError(
                "{}, line {}: no 'key=value'; a comment begins with '#'".format(path, number)
            )
        if key in values:
            logger.warning("%s, line %d: key %r is there twice; the last one counts", path, number, _name(key))
        values[key] = value
    return values


def _name(key: str) -> str:
    """Return what may be shown of a key: in a line that is wrongly written a value may seem to be part of it."""
    return re.split(r"[^\w.-]", key)[0]


def _did_you_mean(name: str, known: Tuple[str, ...]) -> str:
    near = difflib.get_close_matches(name, known, 1)
    return "; did you mean {!r}?".format(near[0]) if near else ""


class _Properties:
    """The raw values of one file, and what is made of them."""

    def __init__(self, path: str, values: Mapping[str, str]) -> None:
        self._path = path
        self._values = values

    def settings(self) -> Settings:
        credentials_type = self._required("credentials_type", "the known types are: " + ", ".join(CREDENTIALS_TYPES))
        if credentials_type not in CREDENTIALS_TYPES:
            self._fail(
                "credentials_type",
                "{!r} is unknown{}; the known types are: {}".format(
                    credentials_type, _did_you_mean(credentials_type, CREDENTIALS_TYPES), ", ".join(CREDENTIALS_TYPES)
                ),
            )
        for key in UNSUPPORTED_KEYS:
            if self._values.get(key):
                self._fail(key, "is not supported by this version; take it out, and use credentials_type=ak and "
                                "cache_client_region_id")
        for_ak = "credentials_type=ak needs it"
        return Settings(
            access_key_id=self._required("credentials_access_key_id", for_ak),
            access_key_secret=self._required("credentials_access_secret", for_ak),
            shared_gateways=self._shared_gateways(),
            secret_names=self._secret_names(),
            refresh_interval=self._seconds("refresh_interval_milliseconds", Settings().refresh_interval),
            fetch_timeout=self._seconds("fetch_timeout_milliseconds", Settings().fetch_timeout),
            renew_timeout=self._seconds("renew_timeout_milliseconds", Settings().renew_timeout),
            replay_buffer_bytes=self._bytes("replay_buffer_bytes", Settings().replay_buffer_bytes),
            replay_spool_bytes=self._bytes("replay_spool_bytes", Settings().replay_spool_bytes),
        )

    def _fail(self, key: str, problem: str) -> NoReturn:
        source = "the environment" if key in os.environ else self._path
        raise ConfigurationError("{}: {} {}".format(source, key, problem))

    def _required(self, key: str, why: str) -> str:
        value = self._values.get(key, "")
        if not value:
            self._fail(key, "is missing or empty; " + why)
        return value

    def _seconds(self, key: str, default: float) -> float:
        text = self._values.get(key, "")
        if not text:
            return default
        if not re.match(r"[0-9]{1,10}\Z", text) or int(text) == 0:
            self._fail(key, "is {!r}; write a positive whole number of milliseconds".format(text))
        return int(text) / 1000.0

    def _bytes(self, key: str, default: int) -> int:
        text = self._values.get(key, "")
        if not text:
            return default
        if not text.isdigit():
            self._fail(key, "is {!r}; write a whole number of bytes, 0 for none".format(text))
        return int(text)

    def _secret_names(self) -> Tuple[str, ...]:
        text = self._values.get("secret_names", "")
        names = tuple(name.strip() for name in text.split(",")) if text else ()
        if not all(names):
            self._fail("secret_names", "has an empty name; write the names of secrets, separated by commas")
        return names

    def _shared_gateways(self) -> Tuple[SharedGatewaySettings, ...]:
        key = "cache_client_region_id"
        example = 'write [{"regionId": "cn-hangzhou"}]'
        text = self._required(key, example)
        problem = ""
        try:
            regions = json.loads(text)
        except ValueError as error:
            problem = "is no JSON at column {}: {}; {}".format(
                getattr(error, "colno", "?"), getattr(error, "msg", "?"), example)
        if problem:  # out of the handler: the error of json holds the text
            self._fail(key, problem)
        if not isinstance(regions, list) or not regions:
            self._fail(key, "is no JSON list of regions; " + example)
        return tuple(self._shared_gateway(region, at) for at, region in enumerate(regions, 1))

    def _shared_gateway(self, region: Any, at: int) -> SharedGatewaySettings:
        def fail(problem: str) -> NoReturn:
            self._fail("cache_client_region_id", "entry {} {}".format(at, problem))

        if not isinstance(region, dict):
            fail('is no JSON object; write {"regionId": "cn-hangzhou"}')
        for field in region:
            if field not in REGION_FIELDS:
                logger.warning("%s: unknown field %r in cache_client_region_id%s", self._path, field,
                               _did_you_mean(field, REGION_FIELDS))
        region_id, endpoint, ca_file = (self._text(region, field, fail) for field in
                                        ("regionId", "endpoint", "caFilePath"))
        if not region_id:
            fail('has no "regionId"; name a region, such as "cn-hangzhou"')
        vpc = {"true": True, "false": False}.get(str(region.get("vpc", False)).lower())
        if vpc is None:
            fail('has "vpc": {!r}; write true or false'.format(region["vpc"]))
        if not endpoint:
            endpoint = "{}.{}.aliyuncs.com".format("kms-vpc" if vpc else "kms", region_id)
        if not re.match(r"([\w.-]+|\[[0-9A-Fa-f:.]+\])(:[0-9]{1,5})?\Z", endpoint):
            fail('has "endpoint": {!r}; write it without scheme and path, as host or host:port'.format(endpoint))
        return SharedGatewaySettings(region_id, endpoint, self._ca_file(ca_file, fail))

    @staticmethod
    def _text(region: Dict[str, Any], field: str, fail: Callable[[str], NoReturn]) -> str:
        value = region.get(field)
        if value is None:
            return ""
        if not isinstance(value, str):
            fail('has "{}": {}; write a text'.format(field, json.dumps(value)))
        return value.strip()

    def _ca_file(self, name: str, fail: Callable[[str], NoReturn]) -> Optional[str]:
        """Return the absolute path of a CA file, relative to the properties file, known to hold certificates."""
        if name:
            path = os.path.join(os.path.dirname(self._path), name)
            problem = "it is a directory" if os.path.isdir(path) else _certificates_problem(path)
            if problem:
                fail('has "caFilePath": {!r}, but {}; give the PEM file of the CA'.format(name, problem))
            return path
        path = os.environ.get(CA_VARIABLE, "")
        problem = _certificates_problem(path) if path else None
        if problem:
            raise ConfigurationError("the environment: {}: {}; give the PEM file of the CA, or unset it".format(
                CA_VARIABLE, problem))
        return path or None


def _certificates_problem(path: str) -> Optional[str]:
    """Return why ``path`` is no file or directory of certificates, None if it is."""
    import ssl

    try:
        if os.path.isdir(path):
            ssl.create_default_context(capath=path)
        else:
            ssl.create_default_context(cafile=path)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or getattr(error, "reason", None) or error
        return "{} is no file of certificates: {}".format(path, reason)
    return None
