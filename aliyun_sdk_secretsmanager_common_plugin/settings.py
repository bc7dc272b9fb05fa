"""The validated, immutable settings, from ``managed_credentials_providers.properties`` and the environment."""

import ipaddress
import json
import logging
import os
import re
from typing import Any, Callable, Dict, List, Mapping, NamedTuple, NoReturn, Optional, Tuple, Union

from .exceptions import ConfigurationError

logger = logging.getLogger(__name__)

DEFAULT_CONFIG_NAME = "managed_credentials_providers.properties"
CONFIG_VARIABLE = "MANAGED_CREDENTIALS_CONFIG"
CA_VARIABLE = "ALIBABA_CLOUD_CA_BUNDLE"

CREDENTIALS_TYPES = (
    "ak",
    "token",
    "sts_token",
    "ram_role",
    "sts",
    "ecs_ram_role",
    "oidc_role_arn",
    "credentials_uri",
    "default",
    "client_key",
)
SECRETS_CLIENTS = ("native", "aliyun-secret-manager-client")
KEYS = (
    "credentials_type",
    "credentials_access_key_id",
    "credentials_access_secret",
    "credentials_access_token_id",
    "credentials_access_token",
    "credentials_security_token",
    "credentials_role_arn",
    "credentials_role_session_name",
    "credentials_policy",
    "credentials_external_id",
    "credentials_duration_seconds",
    "credentials_sts_endpoint",
    "credentials_sts_region_id",
    "credentials_oidc_provider_arn",
    "credentials_oidc_token_file_path",
    "credentials_role_name",
    "credentials_uri",
    "client_key_private_key_path",
    "client_key_password_from_env_variable",
    "client_key_password_from_file_path",
    "cache_client_region_id",
    "cache_client_dkms_config_info",
    "secrets_client",
    "secret_names",
    "cache_file_path",
    "cache_file_password_from_env_variable",
    "cache_file_password_from_file_path",
    "refresh_interval_milliseconds",
    "fetch_timeout_milliseconds",
    "renew_timeout_milliseconds",
    "replay_buffer_bytes",
    "replay_spool_bytes",
    "monitor_period_milliseconds",
    "monitor_customer_milliseconds",
)
# One of them in the environment, and no file is needed.
SUFFICIENT_KEYS = ("credentials_type", "cache_client_dkms_config_info")
REGION_FIELDS = ("regionId", "endpoint", "vpc", "caFilePath")
INSTANCE_FIELDS = ("regionId", "endpoint", "clientKeyFile", "passwordFromFilePath", "passwordFromFilePathName",
                   "passwordFromEnvVariable", "ignoreSslCerts", "caFilePath")

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


class ClientKeySettings(NamedTuple):
    """A client key of an application access point: its file as KMS gave it, and the password that opens it."""

    key_file: str
    password: str

    def __repr__(self) -> str:
        return "ClientKeySettings({!r})".format(self.key_file)


class IdentitySettings(NamedTuple):
    """Who we are when we ask Secrets Manager: ``credentials_type`` and its keys; those of other types are empty.

    ``sts_endpoint`` is host or host:port, empty for the library's own; ``ca_file`` is what STS's certificate is
    verified against, None for the system's CAs.
    """

    credentials_type: str = ""
    access_key_id: str = ""
    access_key_secret: str = ""
    security_token: str = ""
    role_arn: str = ""
    role_session_name: str = ""
    policy: str = ""
    external_id: str = ""
    duration_seconds: int = 3600
    sts_endpoint: str = ""
    oidc_provider_arn: str = ""
    oidc_token_file: str = ""
    role_name: str = ""
    uri: str = ""
    client_key: Optional[ClientKeySettings] = None
    ca_file: Optional[str] = None

    def __repr__(self) -> str:
        return "IdentitySettings({!r})".format(self.credentials_type)


class SharedGatewaySettings(NamedTuple):
    """A shared gateway of Secrets Manager: one entry of ``cache_client_region_id``."""

    region_id: str
    endpoint: str
    ca_file: Optional[str] = None


class DedicatedGatewaySettings(NamedTuple):
    """A dedicated gateway (DKMS), that of a KMS instance: one entry of ``cache_client_dkms_config_info``."""

    region_id: str
    endpoint: str
    client_key: ClientKeySettings
    ca_file: Optional[str] = None
    ignore_certificate: bool = False


class CacheFileSettings(NamedTuple):
    """The file that keeps the last good keys for a start during an outage, and the password that encrypts it."""

    path: str
    password: str

    def __repr__(self) -> str:
        return "CacheFileSettings({!r})".format(self.path)


class Settings(NamedTuple):
    """What the configuration says, times in seconds; ``replay_...`` is how much of an OSS body is kept for a replay."""

    identity: IdentitySettings = IdentitySettings()
    shared_gateways: Tuple[SharedGatewaySettings, ...] = ()
    dedicated_gateways: Tuple[DedicatedGatewaySettings, ...] = ()
    secrets_client: str = "native"
    secret_names: Tuple[str, ...] = ()
    refresh_interval: float = 3600.0
    fetch_timeout: float = 10.0
    renew_timeout: float = 2.0
    replay_buffer_bytes: int = 8388608
    replay_spool_bytes: int = 1073741824
    cache_file: Optional[CacheFileSettings] = None

    def __repr__(self) -> str:
        regions = ", ".join(gateway.region_id for gateway in self.shared_gateways)
        return "Settings(shared_gateways=[{}], secret_names={!r})".format(regions, list(self.secret_names))


def load_settings(path: Optional[str] = None, identity: bool = True, gateways: bool = True) -> Settings:
    """Return the settings of the properties file, each key overridden by an environment variable of its name.

    Args:
        path: the file; None takes the one that ``ConfigLoader`` says. Where that is nowhere named and does not
            exist, the environment alone may hold all keys.
        identity: whether the file must say who asks; False where the program hands that in.
        gateways: whether the file must name a gateway; False where the program hands in what reads secrets.

    Raises:
        ConfigurationError: the file cannot be read, or a key is missing or wrong; the message says which.
    """
    named = path is not None or ConfigLoader.get_config_name() != DEFAULT_CONFIG_NAME
    path = os.path.abspath(path or ConfigLoader.get_config_name())
    if not named and not os.path.exists(path) and any(key in os.environ for key in SUFFICIENT_KEYS):
        values: Dict[str, str] = {}
    else:
        values = read_properties(path)
    for key in values:
        if key not in KEYS:
            logger.warning("%s: unknown key %r%s", path, _name(key), _did_you_mean(_name(key), KEYS))
    values.update((key, os.environ[key]) for key in KEYS if key in os.environ)
    return settings_from(path, values, identity, gateways)


def settings_from(
    source: str, values: Mapping[str, str], identity: bool = True, gateways: bool = True
) -> Settings:
    """Return the settings that raw values of keys say.

    Args:
        source: where they are from, for messages; relative paths are relative to its directory.
        values: by key.
        identity, gateways: as ``load_settings`` takes them.

    Raises:
        ConfigurationError: a key is missing or wrong; the message says which.
    """
    return _Properties(source, values).settings(identity, gateways)


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
    import difflib

    near = difflib.get_close_matches(name, known, 1)
    return "; did you mean {!r}?".format(near[0]) if near else ""


ENDPOINT_REMEDY = "write it without scheme and path, as host or host:port"

_KEY_PAIR = {"access_key_id": "credentials_access_key_id", "access_key_secret": "credentials_access_secret"}
_ASSUMED = dict(_KEY_PAIR, role_arn="credentials_role_arn", role_session_name="credentials_role_session_name")
# By credentials_type: the fields of IdentitySettings that it needs, and their keys.
_IDENTITY_KEYS: Dict[str, Dict[str, str]] = {
    "ak": _KEY_PAIR,
    "token": {"access_key_id": "credentials_access_token_id", "access_key_secret": "credentials_access_token"},
    "sts_token": dict(_KEY_PAIR, security_token="credentials_security_token"),
    "ram_role": _ASSUMED,
    "sts": _ASSUMED,
    "oidc_role_arn": {
        "role_arn": "credentials_role_arn",
        "oidc_provider_arn": "credentials_oidc_provider_arn",
        "oidc_token_file": "credentials_oidc_token_file_path",
    },
    "credentials_uri": {"uri": "credentials_uri"},
}
# The names that Alibaba Cloud's runtimes (RRSA of ACK, for one) give to some of them.
_VARIABLES = {
    "credentials_role_arn": "ALIBABA_CLOUD_ROLE_ARN",
    "credentials_oidc_provider_arn": "ALIBABA_CLOUD_OIDC_PROVIDER_ARN",
    "credentials_oidc_token_file_path": "ALIBABA_CLOUD_OIDC_TOKEN_FILE",
    "credentials_role_session_name": "ALIBABA_CLOUD_ROLE_SESSION_NAME",
    "credentials_uri": "ALIBABA_CLOUD_CREDENTIALS_URI",
}


class _Properties:
    """The raw values of one file, and what is made of them."""

    def __init__(self, file: str, values: Mapping[str, str]) -> None:
        self._file = file
        self._values = values

    def settings(self, identity: bool, gateways: bool) -> Settings:
        shared: Tuple[SharedGatewaySettings, ...] = ()
        dedicated: Tuple[DedicatedGatewaySettings, ...] = ()
        if gateways:
            shared = self._entries("cache_client_region_id", REGION_FIELDS, self._shared_gateway)
            dedicated = self._entries("cache_client_dkms_config_info", INSTANCE_FIELDS, self._dedicated_gateway)
        if gateways and not shared and not dedicated:
            self._fail("cache_client_region_id", 'is missing or empty; write [{"regionId": "cn-hangzhou"}], or name '
                                                 "dedicated gateways in cache_client_dkms_config_info")
        return Settings(
            # A dedicated gateway brings its client key; who asks is for the shared ones.
            identity=self._identity() if identity and shared else IdentitySettings(),
            shared_gateways=shared,
            dedicated_gateways=dedicated,
            secrets_client=self._one_of("secrets_client", SECRETS_CLIENTS, SECRETS_CLIENTS[0]),
            secret_names=self._secret_names(),
            refresh_interval=self._seconds("refresh_interval_milliseconds", Settings().refresh_interval),
            fetch_timeout=self._seconds("fetch_timeout_milliseconds", Settings().fetch_timeout),
            renew_timeout=self._seconds("renew_timeout_milliseconds", Settings().renew_timeout),
            replay_buffer_bytes=self._bytes("replay_buffer_bytes", Settings().replay_buffer_bytes),
            replay_spool_bytes=self._bytes("replay_spool_bytes", Settings().replay_spool_bytes),
            cache_file=self._cache_file(),
        )

    def _fail(self, key: str, problem: str) -> NoReturn:
        source = "the environment" if key in os.environ else self._file
        raise ConfigurationError("{}: {} {}".format(source, key, problem))

    def _optional(self, key: str) -> str:
        return self._values.get(key, "") or os.environ.get(_VARIABLES.get(key, ""), "")

    def _required(self, key: str, why: str) -> str:
        value = self._optional(key)
        if not value:
            variable = ", here or as the environment variable " + _VARIABLES[key] if key in _VARIABLES else ""
            self._fail(key, "is missing or empty; {}{}".format(why, variable))
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
        if not re.match(r"[0-9]{1,18}\Z", text):
            self._fail(key, "is {!r}; write a whole number of bytes, 0 for none".format(text))
        return int(text)

    def _secret_names(self) -> Tuple[str, ...]:
        text = self._values.get("secret_names", "")
        names = tuple(name.strip() for name in text.split(",")) if text else ()
        if not all(names):
            self._fail("secret_names", "has an empty name; write the names of secrets, separated by commas")
        return tuple(dict.fromkeys(names))

    def _one_of(self, key: str, known: Tuple[str, ...], default: str) -> str:
        value = self._values.get(key, "") or default
        if value not in known:
            self._fail(key, "{!r} is unknown{}; the known ones are: {}".format(
                value, _did_you_mean(value, known), ", ".join(known)))
        return value

    def _identity(self) -> IdentitySettings:
        self._required("credentials_type", "the known types are: " + ", ".join(CREDENTIALS_TYPES))
        if self._values["credentials_type"] == "bearer":
            self._fail("credentials_type", "is 'bearer', but Secrets Manager takes no bearer token; the types that "
                       "work are: " + ", ".join(CREDENTIALS_TYPES))
        credentials_type = self._one_of("credentials_type", CREDENTIALS_TYPES, "")
        why = "credentials_type={} needs it".format(credentials_type)
        fields: Dict[str, Any] = {"credentials_type": credentials_type}
        for field, key in _IDENTITY_KEYS.get(credentials_type, {}).items():
            fields[field] = self._required(key, why)
        if credentials_type == "client_key":
            fields["client_key"] = ClientKeySettings(
                self._path(self._required("client_key_private_key_path", why)), self._password_of("client_key", why))
        if credentials_type in ("ram_role", "sts", "oidc_role_arn"):
            fields.update(self._role())
        if credentials_type in ("ram_role", "sts", "oidc_role_arn", "default"):  # a profile may assume a role
            fields["sts_endpoint"] = self._sts_endpoint()
        if credentials_type == "oidc_role_arn":
            fields["oidc_token_file"] = self._path(fields["oidc_token_file"])
        if credentials_type == "ecs_ram_role":
            fields["role_name"] = self._values.get("credentials_role_name", "")
        if credentials_type == "credentials_uri" and not is_url(fields["uri"]):
            self._fail("credentials_uri", "is no URL; write it as http://host:port/path, the host a name or IPv4")
        return IdentitySettings(ca_file=self._ca_bundle(), **fields)

    def _role(self) -> Dict[str, Any]:
        """What is optional where a role is assumed."""
        duration = self._values.get("credentials_duration_seconds", "") or str(IdentitySettings().duration_seconds)
        if not re.match(r"[0-9]{3,5}\Z", duration) or int(duration) < 900:
            self._fail("credentials_duration_seconds", "is {!r}; write 900 or more seconds".format(duration))
        return {
            "role_session_name": self._optional("credentials_role_session_name"),
            "policy": self._values.get("credentials_policy", ""),
            "external_id": self._values.get("credentials_external_id", ""),
            "duration_seconds": int(duration),
        }

    def _sts_endpoint(self) -> str:
        endpoint = self._values.get("credentials_sts_endpoint", "")
        if endpoint and not _is_endpoint(endpoint):
            self._fail("credentials_sts_endpoint", "is {!r}; {}".format(endpoint, ENDPOINT_REMEDY))
        region_id = self._values.get("credentials_sts_region_id", "")
        return endpoint or (region_id and "sts.{}.aliyuncs.com".format(region_id))

    def _cache_file(self) -> Optional[CacheFileSettings]:
        path = self._values.get("cache_file_path", "")
        passwords = [key for key in ("cache_file_password_from_env_variable", "cache_file_password_from_file_path")
                     if self._values.get(key, "")]
        if passwords and not path:
            self._fail("cache_file_path", "is missing or empty; name the file that {} is for, or take that out".format(
                passwords[0]))
        if len(passwords) == 2:
            self._fail(passwords[0], "is there, and {} as well; take one of them out".format(passwords[1]))
        if not path:
            return None
        return CacheFileSettings(self._path(path), self._password_of("cache_file", "cache_file_path needs it"))

    def _password_of(self, what: str, why: str) -> str:
        """Return the password that one of the two keys of ``what`` says where to find."""
        of_variable, of_file = what + "_password_from_env_variable", what + "_password_from_file_path"
        variable, file = self._values.get(of_variable, ""), self._values.get(of_file, "")
        if not variable and not file:
            self._fail(of_file, "is missing or empty; {}, or {}, the name of an environment variable".format(
                why, of_variable))
        return self._password(variable, file, lambda problem: self._fail(of_variable if variable else of_file, problem))

    def _password(self, variable: str, file: str, fail: Callable[[str], NoReturn]) -> str:
        """Return the password in an environment variable or a file."""
        if variable:
            password = os.environ.get(variable, "")
            if not password:
                fail("names the environment variable {!r}, which is not set; set it to the password".format(variable))
            return password
        path, password, problem = self._path(file), "", ""
        try:
            with open(path, encoding="utf-8-sig") as opened:
                password = opened.read().strip()
        except OSError as error:
            problem = error.strerror or "cannot be read"
        except UnicodeDecodeError:
            problem = "it is no UTF-8 text"
        except ValueError:
            problem = "that is no path"
        if not password:
            fail("names the file {}: {}; write the password into it".format(path, problem or "it is empty"))
        return password

    def _entries(self, key: str, fields: Tuple[str, ...], make: Callable[..., Any]) -> Tuple[Any, ...]:
        """Return what ``make`` makes of each object in a JSON list."""
        text = self._values.get(key, "")
        if not text:
            return ()
        example = 'write [{"regionId": "cn-hangzhou"}]' if fields is REGION_FIELDS else 'write [{"regionId": ' \
            '"cn-hangzhou", "endpoint": "...", "clientKeyFile": "...", "passwordFromFilePath": "..."}]'
        problem = ""
        try:
            entries = json.loads(text)
        except ValueError as error:
            problem = "is no JSON at column {}: {}; {}".format(
                getattr(error, "colno", "?"), getattr(error, "msg", "?"), example)
        if problem:  # out of the handler: the error of json holds the text
            self._fail(key, problem)
        if not isinstance(entries, list) or not entries:
            self._fail(key, "is no JSON list of regions; " + example)
        made = []
        for at, entry in enumerate(entries, 1):
            def fail(problem: str, at: int = at) -> NoReturn:
                self._fail(key, "entry {} {}".format(at, problem))

            if not isinstance(entry, dict):
                fail("is no JSON object; " + example)
            for field in entry:
                if field not in fields:
                    logger.warning("%s: unknown field %r in %s%s", self._file, field, key,
                                   _did_you_mean(field, fields))
            made.append(make(entry, fail))
        return tuple(made)

    def _shared_gateway(self, region: Dict[str, Any], fail: Callable[[str], NoReturn]) -> SharedGatewaySettings:
        region_id = self._region_id(region, fail)
        endpoint = self._text(region, "endpoint", fail)
        vpc = self._flag(region, "vpc", fail)
        if not endpoint:
            endpoint = "{}.{}.aliyuncs.com".format("kms-vpc" if vpc else "kms", region_id)
        return SharedGatewaySettings(region_id, self._endpoint(endpoint, fail), self._ca_file(region, fail))

    def _dedicated_gateway(self, instance: Dict[str, Any], fail: Callable[[str], NoReturn]) -> DedicatedGatewaySettings:
        region_id = self._region_id(instance, fail)
        endpoint, key_file, variable, file, file_key = (self._text(instance, field, fail) for field in (
            "endpoint", "clientKeyFile", "passwordFromEnvVariable", "passwordFromFilePath", "passwordFromFilePathName"))
        if not endpoint:
            fail('has no "endpoint"; name that of the KMS instance, <instance id>.cryptoservice.kms.aliyuncs.com')
        if not key_file:
            fail('has no "clientKeyFile"; name the file of the client key of an application access point')
        if file_key and not file:
            file = self._values.get(file_key, "")
        if variable or file:
            field = "passwordFromFilePath" if file else "passwordFromEnvVariable"
            password = self._password(
                "" if file else variable, file, lambda problem: fail("has {!r}, which {}".format(field, problem)))
        else:
            password = self._password_of(
                "client_key", "the dedicated gateway {} needs it, or passwordFromFilePath".format(endpoint))
        return DedicatedGatewaySettings(
            region_id, self._endpoint(endpoint, fail), ClientKeySettings(self._path(key_file), password),
            self._ca_file(instance, fail), self._flag(instance, "ignoreSslCerts", fail))

    def _region_id(self, entry: Dict[str, Any], fail: Callable[[str], NoReturn]) -> str:
        region_id = self._text(entry, "regionId", fail)
        if not region_id:
            fail('has no "regionId"; name a region, such as "cn-hangzhou"')
        return region_id

    @staticmethod
    def _flag(entry: Dict[str, Any], field: str, fail: Callable[[str], NoReturn]) -> bool:
        flag = {"true": True, "false": False}.get(str(entry.get(field, False)).lower())
        if flag is None:
            fail('has "{}": {!r}; write true or false'.format(field, entry[field]))
        return flag

    @staticmethod
    def _endpoint(endpoint: str, fail: Callable[[str], NoReturn]) -> str:
        if not _is_endpoint(endpoint):
            fail('has "endpoint": {!r}; {}'.format(endpoint, ENDPOINT_REMEDY))
        return endpoint

    @staticmethod
    def _text(region: Dict[str, Any], field: str, fail: Callable[[str], NoReturn]) -> str:
        value = region.get(field)
        if value is None:
            return ""
        if not isinstance(value, str):
            fail('has "{}": {}; write a text'.format(field, json.dumps(value)))
        return value.strip()

    def _path(self, name: str) -> str:
        """Return the absolute path of a file that the properties file names, relative to it."""
        return os.path.join(os.path.dirname(self._file), name)

    def _ca_file(self, entry: Dict[str, Any], fail: Callable[[str], NoReturn]) -> Optional[str]:
        """Return the path of an entry's CA file, known to hold certificates, or that of the environment."""
        name = self._text(entry, "caFilePath", fail)
        if not name:
            return self._ca_bundle()
        path = self._path(name)
        problem = "it is a directory" if os.path.isdir(path) else _certificates_problem(path)
        if problem:
            fail('has "caFilePath": {!r}, but {}; give the PEM file of the CA'.format(name, problem))
        return path

    @staticmethod
    def _ca_bundle() -> Optional[str]:
        path = os.environ.get(CA_VARIABLE, "")
        problem = _certificates_problem(path) if path else None
        if problem:
            raise ConfigurationError("the environment: {}: {}; give the PEM file of the CA, or unset it".format(
                CA_VARIABLE, problem))
        return path or None


def _is_endpoint(text: str) -> bool:
    match = re.match(r"(?:[\w.-]+|\[([0-9A-Fa-f:.]+)\])(?::([0-9]{1,5}))?\Z", text)
    if match is None or int(match.group(2) or 0) > 65535:
        return False
    try:
        return not match.group(1) or bool(ipaddress.IPv6Address(match.group(1)))
    except ValueError:
        return False


def is_url(text: str) -> bool:
    """Return whether ``text`` is a URL that ``alibabacloud-credentials`` can ask: it drops the brackets of IPv6."""
    match = re.match(r"https?://([^/?#\s]+)", text)
    return match is not None and "[" not in match.group(1) and _is_endpoint(match.group(1).rpartition("@")[2])


def system_ca() -> Union[str, bool]:
    """Return the system's CA file or directory, as ``requests`` takes it; True, its own bundle, where there is none."""
    import ssl

    paths = ssl.get_default_verify_paths()
    if paths.cafile:
        return paths.cafile
    if paths.capath and os.listdir(paths.capath):
        return paths.capath
    return True


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
