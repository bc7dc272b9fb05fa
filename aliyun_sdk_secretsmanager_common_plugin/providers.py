"""Where credentials come from that are not ours for good: the providers of ``alibabacloud-credentials``, 1.x or its
last version for Python 3.6, and objects that the program hands in.
"""

import copy
import importlib.util
import json
import logging
import os
import re
import sys
import threading
import types
from typing import Any, Callable, Dict, List, Optional, Tuple, Union
from urllib.parse import urlsplit

from .access_key import AccessKey
from .exceptions import ConfigurationError
from .secrecy import filter_loggers, json_object, reason
from .settings import CA_VARIABLE, IdentitySettings, is_url, system_ca

METADATA_ADDRESS = "100.100.100.200"
# The name of the threads in which sources are asked; what the library does in any other is the program's own use of it.
ASKING_THREAD = "managed-credentials-identity"

# status: that of the last HTTP answer in this thread, 0 if there is none since ``Source.ask`` began.
_exchange = threading.local()

# Those of alibabacloud-credentials and of what it sends with.
_LIBRARY_LOGGERS = ("credentials", "alibabacloud-tea")
_PASSING_CODES = ("Throttling", "ServiceUnavailable", "InternalError", "InternalFailure")
# What to do, by the beginning of STS's code.
_REMEDIES = (
    ("EntityNotExist.Role", "check the ARN of the role (credentials_role_arn)"),
    ("InvalidParameter.RoleArn", "check the ARN of the role (credentials_role_arn)"),
    ("EntityNotExist.OIDCProvider", "check the ARN of the OIDC provider (credentials_oidc_provider_arn)"),
    ("AuthenticationFail.OIDCToken", "check that the token file (credentials_oidc_token_file_path) holds a token of "
                                     "the OIDC provider that is not past its end"),
    ("NoPermission", "let the role's trust policy name this identity, with the external ID (credentials_external_id) "
                     "if it wants one, and grant sts:AssumeRole to the identity"),
    ("InvalidParameter.DurationSeconds", "lower credentials_duration_seconds, or raise the role's longest session"),
    ("InvalidParameter.Policy", "write credentials_policy as a RAM policy, in JSON"),
    ("InvalidParameter.RoleSessionName", "write 2 to 64 letters, digits and . @ - _ as credentials_role_session_name"),
    ("InvalidAccessKeyId", "check credentials_access_key_id"),
    ("SignatureDoesNotMatch", "check credentials_access_secret"),
    ("Throttling", "ask less often"),
)
# Texts of the library's, what they say, and what to do.
_KNOWN_TEXTS = (
    ("No cached value", "the credentials given are past their end",
     "set this machine's clock, or that of who gives them"),
    ("failed to parse credential form cli", "the file is no JSON", "configure the CLI again"),
    ("failed to get credential from credentials file", "the file has no such profile",
     "set ALIBABA_CLOUD_PROFILE to a section of it"),
)
_NOTHING = "no credentials in the answer"


class NoCredentials(Exception):
    """Why there are no credentials, in words of our own."""

    def __init__(self, what: str, remedy: str = "", retryable: bool = False) -> None:
        super().__init__("; ".join(filter(None, (what, remedy))))
        self.retryable = retryable


class Source:
    """Where credentials come from.

    Args:
        where: its address, for messages.
        make: returns a provider of the library's, or anything else that ``identity_from`` takes.
        unreachable: what to do where it does not answer.
        refused: what to do where it gives no credentials, and nothing more is known.
    """

    def __init__(self, where: str, make: Callable[[], Any], unreachable: str = "", refused: str = "") -> None:
        self.where = where
        self._make = make
        self._unreachable = unreachable
        self._refused = refused
        self._provider: Any = None

    def ask(self) -> AccessKey:
        """Return the credentials; what it raises is to be explained. Not to be called by two threads at once."""
        _exchange.status = 0
        # The library keeps credentials while they are good.
        if self._provider is None:
            self._provider = self._make()
        return _read(self._provider)

    def afresh(self) -> "Source":
        """Return the same with a provider of its own: the library's have no other way to drop their credentials."""
        source = copy.copy(self)
        source._provider = None
        return source

    def explain(self, error: BaseException) -> NoCredentials:
        """Return what an error says that ``ask`` raised in this thread, without its text: that may hold signed URLs and
        whole answers.
        """
        from urllib3.exceptions import HTTPError

        if isinstance(error, NoCredentials):
            return error
        kind = type(error).__name__
        if isinstance(error, OSError) and error.filename:
            return NoCredentials("cannot read {}: {}".format(error.filename, error.strerror), "check the file")
        if isinstance(error, (OSError, HTTPError)) or kind == "RetryError":
            return self._no_connection(error)
        status = getattr(_exchange, "status", 0)
        if kind == "CredentialException":
            return self._refusal(str(error), status)
        if status >= 400:
            return self._refusal("", status)
        if isinstance(error, (json.JSONDecodeError, UnicodeDecodeError)):
            return NoCredentials("the answer is no JSON", self._refused, retryable=True)
        if status:
            return NoCredentials(_NOTHING, self._refused)
        return NoCredentials("{} was raised".format(kind), self._refused)

    def no_answer(self, why: str) -> NoCredentials:
        """Return what there is to say where it does not answer."""
        return NoCredentials("no answer " + why, self._unreachable, retryable=True)

    def _no_connection(self, error: BaseException) -> NoCredentials:
        why = reason(error)
        if "CERTIFICATE_VERIFY_FAILED" in why or why.startswith("CertificateError"):
            return NoCredentials("the certificate is not trusted ({})".format(why),
                                 "set the environment variable {} to the CA's PEM file".format(CA_VARIABLE))
        return self.no_answer("({})".format(why))

    def _refusal(self, text: str, status: int) -> NoCredentials:
        for beginning, what, remedy in _KNOWN_TEXTS:
            if text.startswith(beginning):
                return NoCredentials(what, remedy)
        match = re.search(r"(?i)http_?code[=:] ?([0-9]{3})", text)
        status = int(match.group(1)) if match else status
        if status == 200:
            status = 0  # nothing is wrong with that
        fields = json_object(text.partition("result: ")[2] or text) or {}
        answer = {name: value for name, value in fields.items() if isinstance(value, str)}
        code, request_id, message = (answer.get(name, "") for name in ("Code", "RequestId", "Message"))
        what = "HTTP status {}".format(status) if status else _NOTHING
        if code != "Success" and re.match(r"[\w.-]{1,64}\Z", code):
            what = "{}{}: {}".format(what + ", " if status else "", code, _without_secrets(message))
        else:
            code = ""
        if re.match(r"[0-9A-Fa-f-]{36}\Z", request_id):
            what += " (request id {})".format(request_id)
        remedy = next((remedy for prefix, remedy in _REMEDIES if code.startswith(prefix)), self._refused)
        passing = status >= 500 or status == 429 or code.startswith(_PASSING_CODES) or not (status or answer)
        return NoCredentials(what, remedy, passing)


class HandedIn(Source):
    """An object of the program's own."""

    def __init__(self, credentials: Any) -> None:
        super().__init__("", lambda: credentials, "see to it that the object gives credentials")

    def explain(self, error: BaseException) -> NoCredentials:
        # Nothing is known of its errors: it may work again.
        return error if isinstance(error, NoCredentials) else NoCredentials(
            "{} was raised".format(type(error).__name__), self._unreachable, True)


def getter(credentials: Any) -> Optional[Callable[[], Any]]:
    """Return what gives the credentials of an object, None if nothing does."""
    for name in ("get_credential", "get_credentials"):  # a client of the library has the second, too, to another end
        method = getattr(credentials, name, None)
        if callable(method):
            return method  # type: ignore[no-any-return]
    return (lambda: credentials.credentials) if hasattr(credentials, "credentials") else None


def _read(credentials: Any) -> AccessKey:
    get = getter(credentials)
    assert get is not None  # nosec B101  # for the type checker
    given = get()

    def part(name: str) -> Any:
        method = getattr(given, "get_" + name, None)
        return method() if callable(method) else getattr(given, name, None)

    pair, token = (part("access_key_id"), part("access_key_secret")), part("security_token") or None
    if not all(text and isinstance(text, str) for text in pair):
        raise NoCredentials("there is no access_key_id, or no access_key_secret, in what was given")
    if not isinstance(token, (str, type(None))):
        raise NoCredentials("the security_token in what was given is no text")
    expires = part("expiration") or getattr(credentials, "expiration", None)  # version 0.3 keeps it there
    return AccessKey(pair[0], pair[1], token, expires=expires if isinstance(expires, (int, float)) else None)


def is_set(variable: str) -> bool:
    """Return whether an environment variable is true, as the library reads it."""
    return os.environ.get(variable, "").lower() == "true"


def _without_secrets(message: str) -> str:
    """Return what a service says, with what is as long as a secret masked: some repeat what they were sent."""
    return re.sub(r"[\w+/=%.~-]{25,}", "******", message)[:200]


class _NotOurs(logging.Filter):
    """Drops what the library logs of our questions: whole answers and URIs; our errors say what was wrong."""

    def filter(self, record: logging.LogRecord) -> bool:
        return threading.current_thread().name != ASKING_THREAD


_NOT_OURS = _NotOurs()


def import_library() -> None:
    """Import ``alibabacloud-credentials``, and undo what that does, or did, to the user's stderr."""
    import alibabacloud_credentials.client  # noqa: F401

    modules = [module for name, module in list(sys.modules.items())
               if name.partition(".")[0] in ("alibabacloud_credentials", "Tea")]
    for each in map(logging.getLogger, _LIBRARY_LOGGERS):
        for handler in list(each.handlers):
            if any(value is handler for module in modules for value in list(vars(module).values())):
                each.removeHandler(handler)
        if not each.handlers:
            # Else its warnings would go to stderr, where the program does not set up logging.
            each.addHandler(logging.NullHandler())
        each.addFilter(_NOT_OURS)
        filter_loggers(each.name)
    filter_loggers("urllib3")  # at DEBUG it logs the paths of requests, which hold the OIDC token


class _Adapter:
    """What is mixed into the adapters that Tea sends our questions over; it changes no request of the program's own.

    Tea has the environment say which proxy to use, but not for what (NO_PROXY), and version 0.3 takes no CA. The status
    of an answer that is not as they expect, the library keeps to itself.
    """

    ca_files: Dict[str, Union[str, bool]] = {}  # by host and port

    def send(self, request: Any, **options: Any) -> Any:
        from requests.utils import should_bypass_proxies

        if threading.current_thread().name == ASKING_THREAD:
            address = urlsplit(request.url)
            if address.hostname == METADATA_ADDRESS or should_bypass_proxies(request.url, no_proxy=None):
                options["proxies"] = None
            options["verify"] = self.ca_files.get(address.netloc, options.get("verify", True))
        response = super().send(request, **options)  # type: ignore[misc]
        _exchange.status = response.status_code
        return response


def _adapter(protocol: str, host: str, port: int = 80) -> Any:
    """Return the adapter that Tea sends over to an address, mixed with ours. 80 is its port for "none is said"."""
    from Tea.core import TeaCore

    if hasattr(TeaCore, "_get_session"):  # since 0.4: one for each address
        session = TeaCore._get_session("{}://{}:{}".format(protocol, host, port), protocol)
        adapter = session.adapters[protocol + "://"]
    else:
        adapter = TeaCore.get_adapter(protocol)
    if not isinstance(adapter, _Adapter):
        adapter.__class__ = type("Adapter", (_Adapter, type(adapter)), {})  # so that it keeps its pool and TLS context
    return adapter


def forget_sockets() -> None:
    """In a forked child: Tea, which the library sends with, keeps connections for the process."""
    core: Any = sys.modules.get("Tea.core")
    if core is not None:
        tea = core.TeaCore
        getattr(tea, "_sessions", {}).clear()
        # As pickle does: the same settings, with a pool of its own.
        tea.http_adapter, tea.https_adapter = copy.copy(tea.http_adapter), copy.copy(tea.https_adapter)


def _sts_endpoint(settings: IdentitySettings) -> str:
    region_id = os.environ.get("ALIBABA_CLOUD_STS_REGION")
    if settings.sts_endpoint or not region_id:
        return settings.sts_endpoint or "sts.aliyuncs.com"
    return "{}.{}.aliyuncs.com".format("sts-vpc" if is_set("ALIBABA_CLOUD_VPC_ENDPOINT_ENABLED") else "sts", region_id)


def _policy(settings: IdentitySettings) -> str:
    """Return the policy as the library signs it rightly: without blanks, and in ASCII."""
    try:
        policy = json.dumps(json.loads(settings.policy), separators=(",", ":"))
    except ValueError:
        return settings.policy  # STS says what is wrong
    return policy.replace(" ", "\\u0020").replace("~", "\\u007e")


def source_of(settings: IdentitySettings) -> Source:
    """Return where the credentials of a ``credentials_type`` come from.

    Raises:
        ConfigurationError: the library that is installed cannot do it.
    """
    new = importlib.util.find_spec("alibabacloud_credentials.provider") is not None
    library: Any = _Library(settings) if new else _OldLibrary(settings)
    credentials_type = settings.credentials_type
    if credentials_type == "default":
        return Source("", library.default, "see which of the sources hangs, or choose another credentials_type")
    if credentials_type == "ecs_ram_role":
        return Source("http://" + METADATA_ADDRESS, library.instance_role,
                      "that is the metadata service of ECS instances: elsewhere choose another credentials_type",
                      "attach a RAM role to the instance; check credentials_role_name, if it is set")
    if credentials_type == "credentials_uri":
        address = urlsplit(settings.uri)  # the rest of it may be secret
        return Source("{}://{}".format(address.scheme, address.netloc.rpartition("@")[2]), library.uri,
                      *["check credentials_uri, and what serves it"] * 2)
    return Source(_sts_endpoint(settings), library.oidc if credentials_type == "oidc_role_arn" else library.ram_role,
                  "check credentials_sts_endpoint and the network", "check the role, and who may assume it")


def _uri_adapter(uri: str) -> None:
    address = urlsplit(uri)
    _adapter(address.scheme, str(address.hostname), address.port or 80)


def _check_token_file(path: str) -> None:
    """The library would send an empty token."""
    with open(path, "rb") as file:
        if not file.read().strip():
            raise NoCredentials("the OIDC token file {} is empty".format(path),
                                "let it be written again, or check credentials_oidc_token_file_path")


class _Library:
    """The providers of ``alibabacloud-credentials`` 1.x.

    They are told all, since what they read from the environment they read when they are imported.
    """

    def __init__(self, settings: IdentitySettings) -> None:
        self._settings = settings

    def ram_role(self) -> Any:
        from alibabacloud_credentials.provider import RamRoleArnCredentialsProvider

        settings = self._settings
        return self._prepared(RamRoleArnCredentialsProvider(
            access_key_id=settings.access_key_id,
            access_key_secret=settings.access_key_secret,
            role_arn=settings.role_arn,
            role_session_name=settings.role_session_name,
            duration_seconds=settings.duration_seconds,
            policy=_policy(settings),
            external_id=settings.external_id,
            sts_endpoint=_sts_endpoint(settings),
        ))

    def oidc(self) -> Any:
        from alibabacloud_credentials.provider import OIDCRoleArnCredentialsProvider

        class Provider(OIDCRoleArnCredentialsProvider):  # type: ignore[misc]
            def _refresh_credentials(self) -> Any:
                _check_token_file(self._oidc_token_file_path)
                return super()._refresh_credentials()

        settings = self._settings
        return self._prepared(Provider(
            role_arn=settings.role_arn,
            oidc_provider_arn=settings.oidc_provider_arn,
            oidc_token_file_path=settings.oidc_token_file,
            role_session_name=settings.role_session_name,
            duration_seconds=settings.duration_seconds,
            policy=_policy(settings),
            sts_endpoint=_sts_endpoint(settings),
        ))

    def instance_role(self, role_name: str = "") -> Any:
        from alibabacloud_credentials.provider import EcsRamRoleCredentialsProvider

        _adapter("http", METADATA_ADDRESS)
        return EcsRamRoleCredentialsProvider(
            role_name=role_name or self._settings.role_name or os.environ.get("ALIBABA_CLOUD_ECS_METADATA", ""),
            disable_imds_v1=is_set("ALIBABA_CLOUD_IMDSV1_DISABLED"),
            async_update_enabled=False,  # or it starts a thread that nothing stops
        )

    def uri(self) -> Any:
        from alibabacloud_credentials.provider import URLCredentialsProvider

        _uri_adapter(self._settings.uri)
        return self._prepared(URLCredentialsProvider(uri=self._settings.uri))

    def default(self) -> Any:
        return _Chain(self._settings, self)

    def cli_profile(self) -> Any:
        from alibabacloud_credentials.provider import CLIProfileCredentialsProvider

        if is_set("ALIBABA_CLOUD_CLI_PROFILE_DISABLED"):
            raise NoCredentials("turned off by ALIBABA_CLOUD_CLI_PROFILE_DISABLED")
        library, path = self, _existing_file(os.path.join(_home(), ".aliyun", "config.json"))

        class Provider(CLIProfileCredentialsProvider):  # type: ignore[misc]
            def _get_credentials_provider(self, config: Any, profile_name: Any) -> Any:
                profiles = {profile.get("name"): profile for profile in config.get("profiles") or []}
                if profile_name not in profiles:
                    raise NoCredentials("{} has no profile {!r}".format(path, profile_name),
                                        "set ALIBABA_CLOUD_PROFILE to one of: " + ", ".join(map(str, profiles)))
                _check_sources(path, profiles, profile_name)
                profile = profiles[profile_name]
                if profile.get("mode") == "EcsRamRole":
                    return library.instance_role(profile.get("ram_role_name"))
                return library.of_profile(
                    path, profile_name, lambda: super(Provider, self)._get_credentials_provider(config, profile_name))

        return Provider(profile_name=os.environ.get("ALIBABA_CLOUD_PROFILE"), profile_file=path)

    def credentials_file(self) -> Any:
        from alibabacloud_credentials.provider import ProfileCredentialsProvider

        library, path = self, _existing_file(os.environ.get("ALIBABA_CLOUD_CREDENTIALS_FILE") or os.path.join(
            _home(), ".alibabacloud", "credentials.ini"))
        name = os.environ.get("ALIBABA_CLOUD_PROFILE") or "default"

        class Provider(ProfileCredentialsProvider):  # type: ignore[misc]
            def _get_credentials_provider(self, section: Any) -> Any:
                if section.get("type") == "ecs_ram_role":
                    return library.instance_role(section.get("role_name"))
                return library.of_profile(path, name, lambda: super(Provider, self)._get_credentials_provider(section))

        return Provider(profile_file=path, profile_name=name)

    def of_profile(self, path: str, name: str, make: Callable[[], Any]) -> Any:
        """Return the provider that the library makes of a profile."""
        from alibabacloud_credentials.exceptions import CredentialException

        try:
            return self._prepared(make())
        except (ValueError, CredentialException) as error:
            problem = str(error)  # it says what is missing, and no value
        raise NoCredentials("the profile {!r} in {}: {}".format(name, path, problem))

    def _prepared(self, provider: Any) -> Any:
        if hasattr(provider, "_runtime_options"):
            provider._runtime_options["ca"] = self._settings.ca_file or system_ca()  # no argument leads there
        if hasattr(provider, "_sts_endpoint"):
            # That of a profile knows a region only.
            provider._sts_endpoint = self._settings.sts_endpoint or provider._sts_endpoint
            _adapter("https", provider._sts_endpoint)
        return provider


def _check_sources(path: str, profiles: Dict[Any, Any], name: str) -> None:
    """Check the profiles of the CLI whose roles are assumed for that of profile ``name``."""
    names = [name]
    while profiles[names[-1]].get("mode") == "ChainableRamRoleArn":
        source = profiles[names[-1]].get("source_profile")
        what = "is not there" if source not in profiles else "leads back to it" if source in names else ""
        if what:
            raise NoCredentials("the profile {!r} in {} has the source_profile {!r}, which {}".format(
                names[-1], path, source, what), "name another profile there")
        names.append(source)


def _home() -> str:
    return os.environ.get("HOME") or os.path.expanduser("~")  # in this order on Windows, too


def _existing_file(path: str) -> str:
    if not os.path.isfile(path):
        raise NoCredentials("there is no file " + path)
    return path


class _Chain:
    """What the library's default provider tries, in its order: that one starts threads that nothing stops."""

    def __init__(self, settings: IdentitySettings, library: _Library) -> None:
        environ = os.environ.get

        def of(credentials_type: str, **fields: Any) -> Source:
            return source_of(settings._replace(credentials_type=credentials_type, **fields))

        self._links = [("environment variables", Source("", _environment_key))]
        role_arn, provider_arn, token_file = (environ("ALIBABA_CLOUD_" + name) for name in (
            "ROLE_ARN", "OIDC_PROVIDER_ARN", "OIDC_TOKEN_FILE"))
        if role_arn and provider_arn and token_file:
            self._links.append(("OIDC", of(
                "oidc_role_arn", role_arn=role_arn, oidc_provider_arn=provider_arn, oidc_token_file=token_file,
                role_session_name=environ("ALIBABA_CLOUD_ROLE_SESSION_NAME", ""))))
        for name, make in (("CLI profile", library.cli_profile), ("credentials file", library.credentials_file)):
            self._links.append((name, Source("", make, "check the network", "check the profile")))
        if not is_set("ALIBABA_CLOUD_ECS_METADATA_DISABLED"):
            self._links.append(("instance role", of("ecs_ram_role")))
        uri = environ("ALIBABA_CLOUD_CREDENTIALS_URI")
        if uri:
            self._links.append(("credentials URI", Source(
                "", lambda: _Library(settings._replace(uri=_checked(uri))).uri(),
                *["check ALIBABA_CLOUD_CREDENTIALS_URI, and what serves it"] * 2)))

    def get_credentials(self) -> AccessKey:
        failures: List[Tuple[str, NoCredentials]] = []
        for name, source in self._links:
            try:
                key = source.ask()
            except Exception as error:
                failures.append((name, source.explain(error)))
            else:
                self._links = [(name, source)]
                return key
        raise NoCredentials(
            "no credentials from any source ({})".format(", ".join(
                "{}: {}".format(name, failure) for name, failure in failures)),
            "set up one of them, or choose another credentials_type",
            any(failure.retryable for _, failure in failures))


def _checked(uri: str) -> str:
    """Return ``uri``, of which the library can make a request; it drops the brackets of an IPv6 address."""
    if not is_url(uri):
        raise NoCredentials("ALIBABA_CLOUD_CREDENTIALS_URI is no URL",
                            "write it as http://host:port/path, the host a name or IPv4")
    return uri


def _environment_key() -> Any:
    access_key_id, secret, token = (os.environ.get("ALIBABA_CLOUD_" + name) for name in (
        "ACCESS_KEY_ID", "ACCESS_KEY_SECRET", "SECURITY_TOKEN"))
    if not access_key_id or not secret:
        raise NoCredentials("ALIBABA_CLOUD_ACCESS_KEY_ID or ALIBABA_CLOUD_ACCESS_KEY_SECRET is not set")
    return types.SimpleNamespace(credentials=AccessKey(access_key_id, secret, token or None))


class _OldLibrary:
    """The providers of ``alibabacloud-credentials`` 0.3, the last for Python 3.6."""

    def __init__(self, settings: IdentitySettings) -> None:
        self._settings = settings
        wanted = ""
        if settings.credentials_type == "default":
            wanted = "credentials_type=default"
        elif settings.external_id:
            wanted = "credentials_external_id"
        elif settings.uri.startswith("https:"):
            wanted = "a credentials_uri with https"  # it would ask without TLS
        if wanted:
            raise ConfigurationError("{} needs alibabacloud-credentials 1.0, and that Python 3.7 or later; upgrade, or "
                                     "do without".format(wanted))

    def ram_role(self) -> Any:
        from alibabacloud_credentials.credentials import RamRoleArnCredential
        from alibabacloud_credentials.models import Config
        from alibabacloud_credentials.providers import RamRoleArnCredentialProvider

        settings = self._settings
        provider = RamRoleArnCredentialProvider(policy=_policy(settings) or None, config=Config(
            access_key_id=settings.access_key_id,
            access_key_secret=settings.access_key_secret,
            role_arn=settings.role_arn,
            role_session_name=settings.role_session_name,
        ))
        return RamRoleArnCredential(None, None, None, 0, self._prepared(provider))

    def oidc(self) -> Any:
        from alibabacloud_credentials.credentials import OIDCRoleArnCredential
        from alibabacloud_credentials.providers import OIDCRoleArnCredentialProvider

        class Provider(OIDCRoleArnCredentialProvider):  # type: ignore[misc]
            def get_credentials(self) -> Any:
                _check_token_file(self.oidc_token_file_path)
                return super().get_credentials()

        settings = self._settings
        return OIDCRoleArnCredential(None, None, None, 0, self._prepared(Provider(
            settings.role_session_name or None, settings.role_arn, settings.oidc_provider_arn, settings.oidc_token_file,
            policy=_policy(settings) or None)))

    def instance_role(self) -> Any:
        from alibabacloud_credentials.credentials import EcsRamRoleCredential
        from alibabacloud_credentials.models import Config
        from alibabacloud_credentials.providers import EcsRamRoleCredentialProvider

        _adapter("http", METADATA_ADDRESS)
        return EcsRamRoleCredential(None, None, None, 0, EcsRamRoleCredentialProvider(config=Config(
            role_name=self._settings.role_name or os.environ.get("ALIBABA_CLOUD_ECS_METADATA", ""),
            disable_imds_v1=is_set("ALIBABA_CLOUD_IMDSV1_DISABLED"),
        )))

    def uri(self) -> Any:
        from alibabacloud_credentials.credentials import CredentialsURICredential

        _uri_adapter(self._settings.uri)
        return CredentialsURICredential(self._settings.uri)

    def _prepared(self, provider: Any) -> Any:
        # Its constructor takes neither the duration nor, where ALIBABA_CLOUD_STS_REGION is set, the endpoint.
        provider.duration_seconds = self._settings.duration_seconds
        provider.sts_endpoint = _sts_endpoint(self._settings)
        _adapter("https", provider.sts_endpoint).ca_files[provider.sts_endpoint.lower()] = \
            self._settings.ca_file or system_ca()
        return provider
