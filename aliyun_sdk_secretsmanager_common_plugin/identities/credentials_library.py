"""The credentials that ``alibabacloud-credentials`` gives, in version 1.x and in 0.3, the last one for Python 3.6.

It also keeps the library's log, connections and proxies from doing harm.
"""

import copy
import importlib.util
import json
import logging
import os
import sys
import threading
import types
from typing import Any, Callable, Dict, List, Tuple, Union
from urllib.parse import urlsplit

from ..access_key import AccessKey
from ..exceptions import ConfigurationError
from ..secrecy import filter_loggers, shown_path
from ..settings import IdentitySettings, system_ca
from ..settings.raw_value import is_url
from .credentials_source import ASKING_THREAD, CredentialsSource, NoCredentials, last_answer

METADATA_ADDRESS = "100.100.100.200"

# The loggers of alibabacloud-credentials, and of Tea, which it sends its requests with.
_LIBRARY_LOGGERS = ("credentials", "alibabacloud-tea")


def is_set(variable: str) -> bool:
    """Return whether an environment variable is true, as the library reads it."""
    return os.environ.get(variable, "").lower() == "true"


class _DropOurs(logging.Filter):
    """Drops what the library logs in our threads, such as whole answers. Our own errors say what went wrong."""

    def filter(self, record: logging.LogRecord) -> bool:
        return threading.current_thread().name != ASKING_THREAD


_DROP_OURS = _DropOurs()


def import_library() -> None:
    """Import ``alibabacloud-credentials``, and remove the log handlers by which its import writes to stderr."""
    import alibabacloud_credentials.client  # noqa: F401

    modules = [module for name, module in list(sys.modules.items())
               if name.partition(".")[0] in ("alibabacloud_credentials", "Tea")]
    for each in map(logging.getLogger, _LIBRARY_LOGGERS):
        for handler in list(each.handlers):
            if any(value is handler for module in modules for value in list(vars(module).values())):
                each.removeHandler(handler)
        if not each.handlers:
            # Without a handler its warnings would go to stderr in a program that does not set up logging.
            each.addHandler(logging.NullHandler())
        each.addFilter(_DROP_OURS)
        filter_loggers(each.name)
    filter_loggers("urllib3")  # at DEBUG it logs the paths of requests, which hold the OIDC token


class _Adapter:
    """Mixed into the adapters of ``requests`` that Tea sends our requests over. The program's own are not changed.

    Tea reads from the environment which proxy to use, but not for which hosts (NO_PROXY). Version 0.3 of the library
    takes no CA. And the library does not say the status of an answer that it did not expect.
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
        last_answer.status = response.status_code
        return response


def _adapter(protocol: str, host: str, port: int = 80) -> Any:
    """Return Tea's adapter for an address, with ours mixed in. Tea takes port 80 where none is named."""
    from Tea.core import TeaCore

    if hasattr(TeaCore, "_get_session"):  # since 0.4: one for each address
        session = TeaCore._get_session("{}://{}:{}".format(protocol, host, port), protocol)
        adapter = session.adapters[protocol + "://"]
    else:
        adapter = TeaCore.get_adapter(protocol)
    if not isinstance(adapter, _Adapter):
        adapter.__class__ = type("Adapter", (_Adapter, type(adapter)), {})  # it keeps its pool and its TLS context
    return adapter


def forget_sockets() -> None:
    """Drop the connections that Tea keeps for the whole process, in a forked child."""
    core: Any = sys.modules.get("Tea.core")
    if core is not None:
        tea = core.TeaCore
        getattr(tea, "_sessions", {}).clear()
        # A copy has the same settings and a pool of its own.
        tea.http_adapter, tea.https_adapter = copy.copy(tea.http_adapter), copy.copy(tea.https_adapter)


def _sts_endpoint(settings: IdentitySettings) -> str:
    region_id = os.environ.get("ALIBABA_CLOUD_STS_REGION")
    if settings.sts_endpoint or not region_id:
        return settings.sts_endpoint or "sts.aliyuncs.com"
    return "{}.{}.aliyuncs.com".format("sts-vpc" if is_set("ALIBABA_CLOUD_VPC_ENDPOINT_ENABLED") else "sts", region_id)


def _policy(settings: IdentitySettings) -> str:
    """Return the policy without blanks and in ASCII: the library signs others wrongly."""
    try:
        policy = json.dumps(json.loads(settings.policy), separators=(",", ":"))
    except (ValueError, RecursionError):
        return settings.policy  # STS says what is wrong
    return policy.replace(" ", "\\u0020").replace("~", "\\u007e")


def configured_source(settings: IdentitySettings) -> CredentialsSource:
    """Return the source of the credentials of a ``credentials_type``.

    Raises:
        ConfigurationError: the installed version of the library cannot do it.
    """
    new = importlib.util.find_spec("alibabacloud_credentials.provider") is not None
    library: Any = _Library(settings) if new else _OldLibrary(settings)
    credentials_type = settings.credentials_type
    if credentials_type == "default":
        return _Chain(settings, library)
    if credentials_type == "ecs_ram_role":
        return CredentialsSource(
            "http://" + METADATA_ADDRESS, library.instance_role,
            "that is the metadata service of ECS instances: elsewhere choose another credentials_type",
            "attach a RAM role to the instance; check credentials_role_name, if it is set")
    if credentials_type == "credentials_uri":
        address = urlsplit(settings.uri)
        shown = "{}://{}".format(address.scheme, address.netloc.rpartition("@")[2])  # the rest of it may be secret
        remedy = "check credentials_uri and the server behind it"
        return CredentialsSource(shown, library.uri, remedy, remedy)
    return CredentialsSource(
        _sts_endpoint(settings), library.oidc if credentials_type == "oidc_role_arn" else library.ram_role,
        "check credentials_sts_endpoint and the network", "check the role, and who may assume it")


def _uri_adapter(uri: str) -> None:
    address = urlsplit(uri)
    _adapter(address.scheme, str(address.hostname), address.port or 80)


def _check_token_file(path: str) -> None:
    """Check the file that the library reads an OIDC token from: it would send an empty one."""
    with open(path, "rb") as file:
        if not file.read().strip():
            raise NoCredentials("the OIDC token file {} is empty".format(shown_path(path)),
                                "let it be written again, or check credentials_oidc_token_file_path")


class _Library:
    """The providers of ``alibabacloud-credentials`` 1.x.

    Every setting is passed to them, because they read the environment only when they are imported.
    """

    def __init__(self, settings: IdentitySettings) -> None:
        self._settings = settings

    def ram_role(self) -> Any:
        from alibabacloud_credentials.provider import RamRoleArnCredentialsProvider

        settings = self._settings
        return self._prepared(RamRoleArnCredentialsProvider(
            access_key_id=settings.access_key_id, access_key_secret=settings.access_key_secret,
            external_id=settings.external_id, **self._role()))

    def oidc(self) -> Any:
        from alibabacloud_credentials.provider import OIDCRoleArnCredentialsProvider

        class Provider(OIDCRoleArnCredentialsProvider):  # type: ignore[misc]
            def _refresh_credentials(self) -> Any:
                _check_token_file(self._oidc_token_file_path)
                return super()._refresh_credentials()

        return self._prepared(Provider(
            oidc_provider_arn=self._settings.oidc_provider_arn, oidc_token_file_path=self._settings.oidc_token_file,
            **self._role()))

    def _role(self) -> Dict[str, Any]:
        settings = self._settings
        return {
            "role_arn": settings.role_arn, "role_session_name": settings.role_session_name,
            "duration_seconds": settings.duration_seconds, "policy": _policy(settings),
            "sts_endpoint": _sts_endpoint(settings),
        }

    def instance_role(self, role_name: str = "") -> Any:
        from alibabacloud_credentials.provider import EcsRamRoleCredentialsProvider

        _adapter("http", METADATA_ADDRESS)
        return EcsRamRoleCredentialsProvider(
            role_name=role_name or self._settings.role_name or os.environ.get("ALIBABA_CLOUD_ECS_METADATA", ""),
            disable_imds_v1=is_set("ALIBABA_CLOUD_IMDSV1_DISABLED"),
            async_update_enabled=False,  # otherwise it starts a thread that nothing stops
        )

    def uri(self) -> Any:
        from alibabacloud_credentials.provider import URLCredentialsProvider

        _uri_adapter(self._settings.uri)
        return self._prepared(URLCredentialsProvider(uri=self._settings.uri))

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
        """Return the provider that ``make`` makes of the profile ``name`` in a file.

        Raises:
            NoCredentials: the profile lacks something.
        """
        from alibabacloud_credentials.exceptions import CredentialException

        try:
            return self._prepared(make())
        except (ValueError, CredentialException) as error:
            problem = str(error)  # it names what is missing and shows no value
        raise NoCredentials("the profile {!r} in {}: {}".format(name, path, problem))

    def _prepared(self, provider: Any) -> Any:
        if hasattr(provider, "_runtime_options"):
            provider._runtime_options["ca"] = self._settings.ca_file or system_ca()  # no argument leads there
        if hasattr(provider, "_sts_endpoint"):
            # A profile can name only a region.
            provider._sts_endpoint = self._settings.sts_endpoint or provider._sts_endpoint
            _adapter("https", provider._sts_endpoint)
        return provider


def _check_sources(path: str, profiles: Dict[Any, Any], name: str) -> None:
    """Check that the chain of profiles that profile ``name`` assumes its role with exists and has an end."""
    names = [name]
    while profiles[names[-1]].get("mode") == "ChainableRamRoleArn":
        source = profiles[names[-1]].get("source_profile")
        what = "is not there" if source not in profiles else "leads back to it" if source in names else ""
        if what:
            raise NoCredentials("the profile {!r} in {} has the source_profile {!r}, which {}".format(
                names[-1], path, source, what), "name another profile there")
        names.append(source)


def _home() -> str:
    return os.environ.get("HOME") or os.path.expanduser("~")  # on Windows, expanduser() would not read HOME


def _existing_file(path: str) -> str:
    if not os.path.isfile(path):
        raise NoCredentials("there is no file " + path)
    return path


class _Chain(CredentialsSource):
    """Tries the sources of the library's default provider in the same order. That provider starts endless threads."""

    def __init__(self, settings: IdentitySettings, library: _Library) -> None:
        super().__init__("", lambda: self._links(settings, library),
                         "see which of the sources hangs, or choose another credentials_type")

    def retrieve(self) -> AccessKey:
        if self._provider is None:
            self._provider = self._make()
        failures: List[Tuple[str, NoCredentials]] = []
        for name, source in self._provider:
            try:
                key: AccessKey = source.retrieve()
            except Exception as error:
                failures.append((name, source.explain(error)))
            else:
                self._provider = [(name, source)]  # the library keeps to the first one that works, too
                return key
        raise NoCredentials(
            "no credentials from any source ({})".format(", ".join(
                "{}: {}".format(name, failure) for name, failure in failures)),
            "set up one of them, or choose another credentials_type",
            any(failure.retryable for _, failure in failures))

    @staticmethod
    def _links(settings: IdentitySettings, library: _Library) -> List[Tuple[str, CredentialsSource]]:
        """Return the sources that the environment and the settings name, each with its name."""
        environ = os.environ.get

        def of(credentials_type: str, **fields: Any) -> CredentialsSource:
            return configured_source(settings._replace(credentials_type=credentials_type, **fields))

        links = [("environment variables", CredentialsSource("", _environment_key))]
        role_arn, provider_arn, token_file = (environ("ALIBABA_CLOUD_" + name) for name in (
            "ROLE_ARN", "OIDC_PROVIDER_ARN", "OIDC_TOKEN_FILE"))
        if role_arn and provider_arn and token_file:
            links.append(("OIDC", of(
                "oidc_role_arn", role_arn=role_arn, oidc_provider_arn=provider_arn, oidc_token_file=token_file,
                role_session_name=environ("ALIBABA_CLOUD_ROLE_SESSION_NAME", ""))))
        for name, make in (("CLI profile", library.cli_profile), ("credentials file", library.credentials_file)):
            links.append((name, CredentialsSource("", make, "check the network", "check the profile")))
        if not is_set("ALIBABA_CLOUD_ECS_METADATA_DISABLED"):
            links.append(("instance role", of("ecs_ram_role")))
        uri = environ("ALIBABA_CLOUD_CREDENTIALS_URI")
        if uri:
            remedy = "check ALIBABA_CLOUD_CREDENTIALS_URI and the server behind it"
            links.append(("credentials URI", CredentialsSource(
                "", lambda: _Library(settings._replace(uri=_checked(uri))).uri(), remedy, remedy)))
        return links


def _checked(uri: str) -> str:
    """Return ``uri`` if the library can ask it."""
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
            wanted = "a credentials_uri with https"  # version 0.3 would ask without TLS
        if wanted:
            raise ConfigurationError("{} needs alibabacloud-credentials 1.0, and that Python 3.7 or later; upgrade, or "
                                     "do without".format(wanted))

    def ram_role(self) -> Any:
        from alibabacloud_credentials.providers import RamRoleArnCredentialProvider

        settings = self._settings
        return self._assuming(RamRoleArnCredentialProvider(
            settings.access_key_id, settings.access_key_secret, settings.role_session_name, settings.role_arn,
            policy=_policy(settings) or None))

    def oidc(self) -> Any:
        from alibabacloud_credentials.providers import OIDCRoleArnCredentialProvider

        class Provider(OIDCRoleArnCredentialProvider):  # type: ignore[misc]
            def get_credentials(self) -> Any:
                _check_token_file(self.oidc_token_file_path)
                return super().get_credentials()

        settings = self._settings
        return self._assuming(Provider(
            settings.role_session_name or None, settings.role_arn, settings.oidc_provider_arn, settings.oidc_token_file,
            policy=_policy(settings) or None))

    def instance_role(self) -> Any:
        from alibabacloud_credentials.providers import EcsRamRoleCredentialProvider

        _adapter("http", METADATA_ADDRESS)
        provider = EcsRamRoleCredentialProvider(
            self._settings.role_name or os.environ.get("ALIBABA_CLOUD_ECS_METADATA", ""))
        provider.disable_imds_v1 = is_set("ALIBABA_CLOUD_IMDSV1_DISABLED")
        return self._keeping(provider)

    def uri(self) -> Any:
        from alibabacloud_credentials.credentials import CredentialsURICredential

        _uri_adapter(self._settings.uri)
        return CredentialsURICredential(self._settings.uri)

    def _assuming(self, provider: Any) -> Any:
        # The constructor takes no duration, and no endpoint if ALIBABA_CLOUD_STS_REGION is set.
        provider.duration_seconds = self._settings.duration_seconds
        provider.sts_endpoint = _sts_endpoint(self._settings)
        _adapter("https", provider.sts_endpoint).ca_files[provider.sts_endpoint.lower()] = \
            self._settings.ca_file or system_ca()
        return self._keeping(provider)

    def _keeping(self, provider: Any) -> Any:
        """Return what keeps a provider's credentials while they are valid: any such class of the library does."""
        from alibabacloud_credentials.credentials import RamRoleArnCredential

        return RamRoleArnCredential(None, None, None, 0, provider)
