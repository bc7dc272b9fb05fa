"""How the properties file and the environment become validated ``Settings``."""

import functools
import logging
import os
import re
from typing import Any, Callable, Dict, Iterator, List, Mapping, Optional, Sequence, Tuple

from ..access_key import check_secret_name
from ..exceptions import ConfigurationError
from ..secrecy import is_access_key_id, shown_path
from .files import certificates_problem
from .properties_file import CONFIG_VARIABLE, Entry, absolute, directory_of, read_properties
from .raw_value import RawValue, did_you_mean, is_url
from .settings import (
    CA_VARIABLE,
    CREDENTIALS_TYPES,
    DEFAULT_CONFIG_NAME,
    KEYS,
    SECRETS_CLIENTS,
    CacheFileSettings,
    ClientKeySettings,
    DedicatedGatewaySettings,
    IdentitySettings,
    Settings,
    SharedGatewaySettings,
    SharedStoreSettings,
)

logger = logging.getLogger(__name__)

# With one of these in the environment, no file is needed.
_SUFFICIENT_KEYS = ("credentials_type", "cache_client_dkms_config_info")
# The variables that Alibaba Cloud's runtimes set, such as RRSA of ACK, stand for keys that are missing.
_VARIABLES = {
    "credentials_role_arn": "ALIBABA_CLOUD_ROLE_ARN",
    "credentials_oidc_provider_arn": "ALIBABA_CLOUD_OIDC_PROVIDER_ARN",
    "credentials_oidc_token_file_path": "ALIBABA_CLOUD_OIDC_TOKEN_FILE",
    "credentials_role_session_name": "ALIBABA_CLOUD_ROLE_SESSION_NAME",
    "credentials_uri": "ALIBABA_CLOUD_CREDENTIALS_URI",
}
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
_REGION_FIELDS = ("regionId", "endpoint", "vpc", "caFilePath")
_INSTANCE_FIELDS = ("regionId", "endpoint", "clientKeyFile", "passwordFromFilePath", "passwordFromFilePathName",
                    "passwordFromEnvVariable", "ignoreSslCerts", "caFilePath")
_REGION_EXAMPLE = 'write [{"regionId": "cn-hangzhou"}]'
_INSTANCE_EXAMPLE = ('write [{"regionId": "cn-hangzhou", "endpoint": "...", "clientKeyFile": "...", '
                     '"passwordFromFilePath": "..."}]')

# Returns the raw value of a field of one entry.
_Field = Callable[..., RawValue]


class ConfigLoader:
    """Says which properties file is read."""

    _config_name: Optional[str] = None
    # Where keys that override the file's are looked up. The pytest fixture puts an empty mapping here.
    _environment: Mapping[str, str] = os.environ

    @staticmethod
    def set_config_name(config_name: Optional[str]) -> None:
        """Read the properties from the path ``config_name``. A relative one is relative to the working directory.

        It wins over the environment variable ``MANAGED_CREDENTIALS_CONFIG``. None goes back to the default.
        """
        ConfigLoader._config_name = config_name

    @staticmethod
    def get_config_name() -> str:
        """Return the path of the properties file: as set, or from the environment, or the default name."""
        return ConfigLoader._config_name or os.environ.get(CONFIG_VARIABLE) or DEFAULT_CONFIG_NAME


def properties_path(path: Optional[str]) -> str:
    """Return the absolute path of the properties file: the given one, or for None the one that ``ConfigLoader`` says.

    Raises:
        ConfigurationError: it is empty.
    """
    name = os.fspath(ConfigLoader.get_config_name() if path is None else path)
    if not name.strip():
        raise ConfigurationError("the name of the properties file is empty; give the path of one")
    return absolute(name)


def load_settings(path: Optional[str] = None, identity: bool = True, gateways: bool = True) -> Settings:
    """Return the settings of the properties file. An environment variable with a key's name overrides the file.

    Args:
        path: the file; None takes the one that ``ConfigLoader`` says. If no file was named and the default one does
            not exist, the environment alone may hold all keys.
        identity: whether the file must say who asks; False where the program hands in an identity.
        gateways: whether the file must name a gateway; False where the program hands in what reads secrets.

    Raises:
        ConfigurationError: the file cannot be read, or a key is missing or wrong; the message says which.
    """
    named = path is not None or ConfigLoader.get_config_name() != DEFAULT_CONFIG_NAME
    path = properties_path(path)
    entries: Dict[str, Entry] = {}
    if named or os.path.exists(path) or not any(key in os.environ for key in _SUFFICIENT_KEYS):
        entries = read_properties(path)
        _warn_of_unknown_keys(entries)
    environment = ConfigLoader._environment
    entries.update((key, Entry(environment[key].strip(), "the environment")) for key in KEYS if key in environment)
    return _Properties(path, entries).settings(identity, gateways)


def settings_from(source: str, values: Mapping[str, str], identity: bool = True, gateways: bool = True) -> Settings:
    """Do what ``load_settings`` does, for values by key.

    Args:
        source: what messages say of where the values are from. Relative paths are relative to the working directory.
        values: the values.
        identity: as of ``load_settings``.
        gateways: as of ``load_settings``.
    """
    entries = {key: Entry(value, source) for key, value in values.items()}
    return _Properties(source, entries).settings(identity, gateways)


def _warn_of_unknown_keys(entries: Mapping[str, Entry]) -> None:
    instances = entries["cache_client_dkms_config_info"].value if "cache_client_dkms_config_info" in entries else ""
    named_there = re.findall(r'"passwordFromFilePathName"\s*:\s*"([^"]*)"', instances)
    for key, entry in entries.items():
        if key not in KEYS and key not in named_there:
            logger.warning("%s: an unknown key of %d characters%s", entry.where, len(key), did_you_mean(key, KEYS))


class _Properties:
    """The raw values of one configuration, and the settings that are made of them."""

    def __init__(self, source: str, entries: Mapping[str, Entry]) -> None:
        self._source = source
        self._directory = directory_of(source)
        self._entries = dict(entries)
        for key, variable in _VARIABLES.items():
            if not self._entry(key).value and os.environ.get(variable):
                self._entries[key] = Entry(os.environ[variable].strip(), "the environment variable " + variable)

    def settings(self, identity: bool, gateways: bool) -> Settings:
        shared: Tuple[SharedGatewaySettings, ...] = ()
        dedicated: Tuple[DedicatedGatewaySettings, ...] = ()
        if gateways:
            shared = tuple(map(self._shared_gateway, self._objects(
                "cache_client_region_id", _REGION_FIELDS, _REGION_EXAMPLE)))
            dedicated = tuple(map(self._dedicated_gateway, self._objects(
                "cache_client_dkms_config_info", _INSTANCE_FIELDS, _INSTANCE_EXAMPLE)))
            if not shared and not dedicated:
                self._value("cache_client_region_id").fail("is missing or empty; {}, or name dedicated gateways in "
                                                           "cache_client_dkms_config_info".format(_REGION_EXAMPLE))
        defaults = Settings()
        numbers: Dict[str, Any] = {
            field: self._value(field + "_milliseconds").seconds(getattr(defaults, field))
            for field in ("provider_refresh_interval", "fetch_timeout", "renew_timeout")}
        for field in ("replay_buffer_bytes", "replay_spool_bytes"):
            numbers[field] = self._value(field).integer(
                0, 10 ** 18 - 1, getattr(defaults, field), "write a whole number of bytes, 0 for none")
        return Settings(
            # A dedicated gateway has a client key of its own. Only shared gateways need an identity.
            identity=self._identity() if identity and shared else IdentitySettings(),
            shared_gateways=shared,
            dedicated_gateways=dedicated,
            secrets_client=self._value("secrets_client").one_of(SECRETS_CLIENTS, defaults.secrets_client),
            secret_names=self._secret_names(),
            refresh_interval=self._refresh_interval(defaults.refresh_interval),
            cache_file=self._cache_file(),
            shared_store=self._shared_store(),
            **numbers,
        )

    def _entry(self, key: str) -> Entry:
        return self._entries.get(key, Entry("", self._source))

    def _value(self, key: str, shown: str = "") -> RawValue:
        entry = self._entry(key)
        return RawValue(entry.value, "{}: {}".format(entry.where, shown or key), self._directory)

    def _required(self, key: str, remedy: str) -> str:
        if key in _VARIABLES:
            remedy += ", here or as the environment variable " + _VARIABLES[key]
        return self._value(key).required(remedy)

    def _refresh_interval(self, default: float) -> float:
        """Return the interval that our key says, or else the Java plugin's, for which 0 means the default."""
        def warn(key: str, why: str) -> None:
            logger.warning("%s: %s has no effect: %s", self._entry(key).where, key, why)

        if self._value("delay_interval").text():
            warn("delay_interval", "a secret is read again 1 to 30 seconds after its rotation, and until that has "
                                   "brought a new key; take it out")
        ours, theirs = self._value("refresh_interval_milliseconds"), self._value("rotation_interval")
        if not theirs.text().strip("0"):
            return ours.seconds(default)
        interval = theirs.seconds(default)
        if ours.seconds(interval) != interval:
            warn("rotation_interval", "refresh_interval_milliseconds is there, too; take one of them out")
        return ours.seconds(interval)

    def _secret_names(self) -> Tuple[str, ...]:
        value = self._value("secret_names")
        names = [name.strip() for name in value.text().split(",")] if value else []
        if not all(names):
            value.fail("has an empty name; write the names of secrets, separated by commas")
        for at, name in enumerate(names, 1):
            if re.search(r"""["'`<>()\[\]{}]""", name):
                value.fail("has a quote or a bracket in name {}; write the bare names of secrets, separated by "
                           "commas".format(at))
            try:
                check_secret_name(name)
                problem = ""
            except ConfigurationError as error:
                problem = str(error)
            if problem:
                value.fail("name {}: {}".format(at, problem))
        return tuple(dict.fromkeys(names))

    def _identity(self) -> IdentitySettings:
        value, types = self._value("credentials_type"), ", ".join(CREDENTIALS_TYPES)
        if value.required("the known types are: " + types) == "bearer":
            value.fail("is 'bearer', but Secrets Manager takes no bearer token; the types that work are: " + types)
        credentials_type = value.one_of(CREDENTIALS_TYPES, "")
        remedy = "credentials_type={} needs it".format(credentials_type)
        keys = _IDENTITY_KEYS.get(credentials_type, {})
        fields: Dict[str, Any] = {field: self._required(key, remedy) for field, key in keys.items()}
        if "access_key_id" in keys:
            self._check_key_pair(keys, fields)
        if credentials_type == "client_key":
            fields["client_key"] = ClientKeySettings(
                self._value("client_key_private_key_path").file(remedy), self._password("client_key_password", remedy))
        if credentials_type in ("ram_role", "sts", "oidc_role_arn"):
            fields.update(self._options_of_role())
        if credentials_type in ("ram_role", "sts", "oidc_role_arn", "default"):  # a profile may assume a role
            fields["sts_endpoint"] = self._sts_endpoint()
        if credentials_type == "oidc_role_arn":
            fields["oidc_token_file"] = self._value("credentials_oidc_token_file_path").file(remedy)
        if credentials_type == "ecs_ram_role":
            fields["role_name"] = self._value("credentials_role_name").text()
        if credentials_type == "credentials_uri" and not is_url(fields["uri"]):
            self._value("credentials_uri").fail("is no URL; write it as http://host:port/path, the host a name or "
                                                "IPv4, the port from 1 to 65535")
        return IdentitySettings(credentials_type=credentials_type, ca_file=_ca_bundle(), **fields)

    def _check_key_pair(self, keys: Mapping[str, str], fields: Mapping[str, str]) -> None:
        access_key_id, secret = fields["access_key_id"], fields["access_key_secret"]
        if not re.match(r"(?a)[\w.-]+\Z", access_key_id):
            self._value(keys["access_key_id"]).fail("is a value of {} characters that is no AccessKey id; write the "
                                                    "id, such as LTAI...".format(len(access_key_id)))
        if is_access_key_id(secret) and not is_access_key_id(access_key_id):
            self._value(keys["access_key_secret"]).fail(
                "is the id of an AccessKey; the id and the secret may have changed places")

    def _options_of_role(self) -> Dict[str, Any]:
        """Return the optional fields of an identity that assumes a role."""
        self._value("credentials_policy").json("write a RAM policy")
        return {
            "role_session_name": self._value("credentials_role_session_name").text(),
            "policy": self._entry("credentials_policy").value,
            "external_id": self._value("credentials_external_id").text(),
            "duration_seconds": self._value("credentials_duration_seconds").integer(
                900, 99999, IdentitySettings().duration_seconds, "write 900 or more seconds"),
        }

    def _sts_endpoint(self) -> str:
        endpoint = self._value("credentials_sts_endpoint").endpoint()
        region_id = self._value("credentials_sts_region_id").region_id(required=False)
        return endpoint or (region_id and "sts.{}.aliyuncs.com".format(region_id))

    def _cache_file(self) -> Optional[CacheFileSettings]:
        path = self._of_store("cache_file_path", "the file").text()
        self._sources("cache_file_password")
        if not path:
            return None
        return CacheFileSettings(
            os.path.join(self._directory, path), self._password("cache_file_password", "cache_file_path needs it"))

    def _shared_store(self) -> Optional[SharedStoreSettings]:
        value = self._of_store("shared_store_url", "the Redis")
        if not value:
            return None
        url = value.redis_url()
        self._sources("shared_store_password")
        auths = self._sources("shared_store_auth")
        if auths and re.match(r"\w+://[^/@]*:", url) and "@" in url:
            value.fail("has a password, and {} is there as well; take one of them out".format(auths[0]))
        defaults = SharedStoreSettings(url, "")
        return SharedStoreSettings(
            url,
            self._password("shared_store_password", "shared_store_url needs it"),
            self._password("shared_store_auth", "") if auths else None,
            self._value("shared_store_prefix").text() or defaults.prefix,
            self._value("shared_store_timeout_milliseconds").integer(
                1, 10000, int(defaults.timeout * 1000), "write 1 to 10000 milliseconds") / 1000.0,
        )

    def _of_store(self, key: str, what: str) -> RawValue:
        """Return the value of the key that names a store. Where it is missing, the store may have no other keys."""
        value = self._value(key)
        for other in KEYS if not value else ():
            if other.startswith(key.rpartition("_")[0]) and self._value(other):
                value.fail("is missing or empty; name {} that {} is for, or take that out".format(what, other))
        return value

    def _sources(self, what: str) -> List[str]:
        """Return those of the two keys for the password ``what`` that have a value, which at most one may have."""
        keys = [key for key in (what + "_from_env_variable", what + "_from_file_path") if self._value(key).text()]
        if len(keys) == 2:
            self._value(keys[0]).fail("is there, and {} as well; take one of them out".format(keys[1]))
        return keys

    def _password(self, what: str, why: str) -> str:
        """Return the password ``what``, of which one of two keys names an environment variable or a file."""
        variable_key = what + "_from_env_variable"
        variable, file = self._value(variable_key), self._value(what + "_from_file_path")
        if variable.text():
            return variable.password_in_variable()
        file.required("{}, or {}, the name of an environment variable".format(why, variable_key))
        return file.password_in_file()

    def _objects(self, key: str, known: Sequence[str], example: str) -> Iterator[_Field]:
        """Yield, for each object in the JSON list of a key, the function that returns the raw values of its fields."""
        value = self._value(key)
        objects = value.json(example) if value else None
        if value and not (isinstance(objects, list) and objects):
            value.fail("is no JSON list of regions; " + example)
        for at, fields in enumerate(objects or (), 1):
            label = "{}: {} entry {}".format(self._entry(key).where, key, at)
            if not isinstance(fields, dict):
                RawValue(fields, label, "").fail("is no JSON object; " + example)
            for field in fields:
                if field not in known:
                    logger.warning("%s has an unknown field of %d characters%s", label, len(field), did_you_mean(
                        field, known))
            yield functools.partial(self._field, label, fields)

    def _field(self, label: str, fields: Mapping[str, Any], name: str, default: Any = None) -> RawValue:
        """Return the raw value of a field of an entry. Blanks around a text do not count."""
        value = fields.get(name, default)
        return RawValue(
            value.strip() if isinstance(value, str) else value, '{}: "{}"'.format(label, name), self._directory)

    def _shared_gateway(self, field: _Field) -> SharedGatewaySettings:
        region_id = field("regionId").region_id()
        default = "{}.{}.aliyuncs.com".format("kms-vpc" if field("vpc", False).flag() else "kms", region_id)
        return SharedGatewaySettings(
            region_id, field("endpoint").endpoint() or default, field("caFilePath").ca_file() or _ca_bundle())

    def _dedicated_gateway(self, field: _Field) -> DedicatedGatewaySettings:
        region_id = field("regionId").region_id()
        field("endpoint").required("name that of the KMS instance, <instance id>.cryptoservice.kms.aliyuncs.com")
        endpoint = field("endpoint").endpoint()
        key_file = field("clientKeyFile").file("name the file of the client key of an application access point")
        variable, file = field("passwordFromEnvVariable"), field("passwordFromFilePath")
        file_key = field("passwordFromFilePathName").text()
        if file_key and not file.text():
            file = self._value(file_key, 'the value for "passwordFromFilePathName"')
        if file.text():
            password = file.password_in_file()
        elif variable.text():
            password = variable.password_in_variable()
        else:
            password = self._password(
                "client_key_password", "each dedicated gateway needs it, or passwordFromFilePath")
        return DedicatedGatewaySettings(
            region_id, endpoint, ClientKeySettings(key_file, password), field("caFilePath").ca_file() or _ca_bundle(),
            field("ignoreSslCerts", False).flag())


def _ca_bundle() -> Optional[str]:
    path = ConfigLoader._environment.get(CA_VARIABLE, "")
    problem = certificates_problem(path) if path else ""
    if problem:
        raise ConfigurationError("the environment: {} names the file {}: {}; give the PEM file of the CA, or unset "
                                 "it".format(CA_VARIABLE, shown_path(path), problem))
    return path or None
