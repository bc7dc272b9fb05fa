"""Tries a configuration step by step: the file, the stores, the identity, each gateway, each secret and its key.

It also reads secrets now, for the command ``refresh``.
"""

import logging
import math
import os
import socket
import ssl
import threading
import time
from concurrent.futures import Future, wait
from typing import Any, Callable, Dict, FrozenSet, Iterator, List, Mapping, NamedTuple, Optional, Sequence, Tuple, Union
from urllib.parse import urlsplit

from aliyunsdkcore.acs_exception.exceptions import ClientException, ServerException

from .access_key import DATE, check_secret_name, is_secret_name, parse_secret
from .clock import Clock
from .exceptions import ConfigurationError, ManagedCredentialsError
from .identities import configured_identity
from .identities.identity import Identity
from .keeper.actions import Share, Take
from .keeper.events import StoreEnded
from .keeper.timing import MOST_STRETCH
from .managed_credentials import ManagedCredentials, shared_store
from .secrecy import mask_access_key_id, shown_path, shown_secret_name
from .secrets_manager import Connections, gateway_classes
from .secrets_manager.gateways import Gateway, proxy_of, secret_request
from .secrets_manager.tls import Tls, UnusableCa
from .settings import (
    CacheFileSettings,
    ConfigLoader,
    DedicatedGatewaySettings,
    Settings,
    SharedGatewaySettings,
    SharedStoreSettings,
    load_settings,
    system_ca,
)
from .settings.properties_file import absolute
from .settings.raw_value import did_you_mean

# The names of the checks, in the order in which they run, and what each one tries.
CHECKS = {
    "file": "The properties file can be read, and its values are valid.",
    "cache-file": "The password opens the cache file, if there is one.",
    "shared-store": "The shared store can be written, read and heard, if there is one.",
    "identity": "credentials_type gives a key to read secrets with.",
    "gateway": "Each gateway can be reached, and its certificate is trusted.",
    "secret": "Each gateway gives each secret.",
    "key": "Each secret holds a key that is valid now.",
}
# By check: those whose results it needs.
_NEEDED: Dict[str, Sequence[str]] = {
    "cache-file": ("file",),
    "shared-store": ("file",),
    "identity": ("file",),
    "gateway": ("file",),
    "secret": ("file", "identity", "gateway"),
    "key": ("file", "identity", "gateway", "secret"),
}

# Where the documentation is. The links of failed steps begin with it.
DOCS = "docs/"
# By credentials_type: the page that explains it.
_IDENTITY_PAGES = {
    "ak": "access-key",
    "token": "access-key",
    "sts_token": "sts-token",
    "ram_role": "ram-role",
    "sts": "ram-role",
    "ecs_ram_role": "ecs-ram-role",
    "oidc_role_arn": "oidc-role-arn",
    "credentials_uri": "credentials-uri",
    "default": "default-chain",
    "client_key": "client-key",
}

# A certificate that expires sooner is warned of.
CERTIFICATE_DAYS = 30

# What to do about a properties file that cannot be used.
_FILE_REMEDY = "correct what the error names, or write a new file with managed-credentials init"

# Seconds until an announcement of the shared store counts as lost.
_HEARING = 2.0

# The refresh interval of a made-up answer in the shared store: twice as long, Redis keeps it.
_MADE_UP_INTERVAL = 10.0

# The subject of a step that had nothing to try.
_NOTHING = "none"

_DAY = 24 * 60 * 60
_UNITS = ((2 * _DAY, _DAY, "days"), (2 * 60 * 60, 60 * 60, "hours"), (2 * 60, 60, "minutes"), (0, 1, "seconds"))

GatewaySettings = Union[DedicatedGatewaySettings, SharedGatewaySettings]


class Step(NamedTuple):
    """One step that was tried.

    Attributes:
        step: ``file``, ``cache file``, ``shared store``, ``identity``, ``gateway``, ``secret`` or ``key``.
        subject: what was tried: a path, a gateway, a secret.
        ok: whether the step succeeded.
        detail: what was found, or the error and what to do; then a line ``warning: ...`` for each warning.
        facts: what was found, for programs: ``latency_ms``, ``certificate_expires``, ``access_key_id`` (masked),
            ``version_id``, ``secret_type``, ``next_rotation``, ``expires``, ``certificate_names``. Dates are in UTC.
        warnings: the warnings alone.
        remedy: what to do where the step failed; else empty.
        link: the page that explains it, where the step failed or warned; else empty.
    """

    step: str
    subject: str
    ok: bool
    detail: str
    facts: Mapping[str, Any]
    warnings: Sequence[str] = ()
    remedy: str = ""
    link: str = ""

    @property
    def name(self) -> str:
        """The name of the check, one of ``CHECKS``."""
        return self.step.replace(" ", "-")


class _Finding(NamedTuple):
    """What a step found, and the result that later steps need."""

    result: Any
    detail: str
    facts: Mapping[str, Any] = {}
    warnings: Sequence[str] = ()


class _Place(NamedTuple):
    """A gateway that was tried.

    Attributes:
        label: what steps call it.
        gateway: what reads secrets from it; None if the gateway or the identity failed.
        culprit: which of the two failed then.
        page: the page that explains what it takes to read secrets from it.
    """

    label: str
    gateway: Optional[Gateway]
    culprit: str
    page: str


class _Failure(ManagedCredentialsError):
    """A step failed, and the message says why."""


def check(
    config: Optional[str] = None, secret_names: Sequence[str] = (), strict: bool = False, only: Sequence[str] = ()
) -> Iterator[Step]:
    """Try a configuration, and yield each step as soon as it is done.

    No step raises an error, waits longer than ``fetch_timeout``, or shows a secret.

    Args:
        config: the properties file; None takes the one that ``ConfigLoader`` says.
        secret_names: the secrets to read; if it is empty, ``secret_names`` of the file.
        strict: whether a step with a warning counts as failed. The steps after it are tried anyway.
        only: the names of the checks to run, of ``CHECKS``; if it is empty, all. What they need runs too, and is
            yielded only if it fails.

    Returns:
        An iterator over the steps.

    Raises:
        ConfigurationError: the name of the file is empty, or a check is unknown.

    Example::

        for step in check("managed_credentials_providers.properties", ["app/key"]):
            print(step.step, step.subject, "ok" if step.ok else "failed", step.detail)
    """
    _check_path(config)
    for name in only:
        if name not in CHECKS:
            raise ConfigurationError("there is no check {!r}{}; the checks are: {}".format(
                name, did_you_mean(name, list(CHECKS)), ", ".join(CHECKS)))
    return _chosen(config, secret_names, strict, frozenset(only or CHECKS), bool(only))


def refresh(config: Optional[str], secret_names: Sequence[str]) -> Iterator[Step]:
    """Read secrets from Secrets Manager now, each once, and yield a step for each as soon as it is read.

    No step raises an error or shows a secret. The cache file is neither read nor written: it belongs to the programs,
    which may run as another user.

    Args:
        config: the properties file; None takes the one that ``ConfigLoader`` says.
        secret_names: the secrets.

    Returns:
        An iterator over the steps. If the configuration cannot be used, the only step says so.

    Raises:
        ConfigurationError: the name of the file is empty.
    """
    _check_path(config)
    return _refreshed(config, secret_names)


def _refreshed(config: Optional[str], secret_names: Sequence[str]) -> Iterator[Step]:
    step, credentials = _try("file", absolute(config or ConfigLoader.get_config_name()), _open_credentials, config)
    if credentials is None:
        yield _advised(step, _FILE_REMEDY, "configuration.rst")
        return
    with credentials:
        for name in dict.fromkeys(secret_names):
            step, _ = _try("secret", shown_secret_name(name), _read_now, credentials, name)
            yield _advised(step, "give the same file and secret to managed-credentials check, which tries each gateway",
                           "command.rst")


def _check_path(config: Optional[str]) -> None:
    if config is not None and not config.strip():
        raise ConfigurationError("the name of the properties file is empty; give the path of one")


def _chosen(
    config: Optional[str], secret_names: Sequence[str], strict: bool, chosen: FrozenSet[str], by_name: bool
) -> Iterator[Step]:
    needed = chosen.union(*(_NEEDED.get(name, ()) for name in chosen))
    for step in _steps(config, secret_names, needed):
        if strict and step.name in chosen and step.ok and step.warnings:
            step = step._replace(ok=False, remedy="correct what the warning is about, or leave out --strict")
        if not step.ok or _is_shown(step, chosen, by_name):
            yield step


def _is_shown(step: Step, chosen: FrozenSet[str], by_name: bool) -> bool:
    if step.subject != _NOTHING or step.name == "key":  # a secret may have that name
        return step.name in chosen
    # That there is no cache file or shared store is worth a line only to someone who asked for this check.
    return step.name == "secret" or by_name and step.name in chosen


def _steps(config: Optional[str], secret_names: Sequence[str], needed: FrozenSet[str]) -> Iterator[Step]:
    path = absolute(config or ConfigLoader.get_config_name())
    step, settings = _try("file", path, _load, config)
    step = _advised(step, _FILE_REMEDY, "configuration.rst")
    yield step if settings is None or os.path.exists(path) else step._replace(subject="the environment")
    if settings is None:
        return
    if "cache-file" in needed:
        yield _cache_file_step(settings)
    if "shared-store" in needed:
        yield _shared_store_step(settings, secret_names or settings.secret_names)
    identity = None
    if "identity" in needed:
        step, identity = _identity_step(settings)
        yield step
    gateways: List[_Place] = []
    for each in settings.dedicated_gateways + settings.shared_gateways if "gateway" in needed else ():
        step, place = _gateway_step(settings, each, identity)
        gateways.append(place)
        yield step
    if "secret" in needed:
        names = secret_names or settings.secret_names
        if not names:
            yield Step("secret", _NOTHING, True, "no secret was tried; name one as an argument, or in secret_names", {})
        for name in names:
            yield from _steps_of_secret(settings, name, gateways)


def _cache_file_step(settings: Settings) -> Step:
    if settings.cache_file is None:
        return Step("cache file", _NOTHING, True, "cache_file_path is not set, so that keys are only in memory", {})
    step, _ = _try("cache file", shown_path(settings.cache_file.path), _open, settings.cache_file)
    return _advised(step, "check the password and who may read and write the file; without the file, the next read of "
                          "a secret makes a new one", "operations.rst")


def _shared_store_step(settings: Settings, secret_names: Sequence[str]) -> Step:
    store = settings.shared_store
    if store is None:
        return Step("shared store", _NOTHING, True, "shared_store_url is not set, so each process asks by itself", {})
    step, _ = _try("shared store", store.address, _exchange, settings, store, secret_names)
    return _advised(step, "correct what the error names; until then each process asks Secrets Manager by itself",
                    "shared-store.rst")


def _identity_step(settings: Settings) -> Tuple[Step, Optional[Identity]]:
    if not settings.shared_gateways:
        return Step("identity", _NOTHING, True, "dedicated gateways need no credentials_type", {}), None
    credentials_type = settings.identity.credentials_type
    step, identity = _try("identity", "credentials_type=" + credentials_type, _identify, settings)
    return _advised(step, "check the keys of credentials_type={} in the file".format(credentials_type),
                    _identity_page(settings)), identity


def _identity_page(settings: Settings) -> str:
    return "secrets-manager/{}.rst".format(_IDENTITY_PAGES[settings.identity.credentials_type])


def _gateway_step(
    settings: Settings, gateway: GatewaySettings, identity: Optional[Identity]
) -> Tuple[Step, "_Place"]:
    dedicated = isinstance(gateway, DedicatedGatewaySettings)
    place = "{} {} ({})".format("dedicated" if dedicated else "shared", gateway.region_id, gateway.endpoint)
    step, made = _try("gateway", place, _reach, settings, gateway, identity)
    page = "secrets-manager/{}.rst".format("dedicated-gateway" if dedicated else "regions")
    advised = _advised(step, "check the gateway's entry in the file, and the network from here", page)
    return advised, _Place(place, made, "the identity" if step.ok else "the gateway",
                           page if dedicated else _identity_page(settings))


def _steps_of_secret(settings: Settings, name: str, gateways: Sequence["_Place"]) -> Iterator[Step]:
    step, _ = _try("secret", shown_secret_name(name), _name, name)
    if not step.ok:
        yield _advised(step, "give the name that the secret has in Secrets Manager", "secrets-manager/index.rst")
        return
    answers: Dict[str, Mapping[str, Any]] = {}
    for place in gateways:
        step, answer = _try(
            "secret", "{} from {}".format(name, place.label), _read, settings, name, place.gateway, place.culprit)
        yield _advised(step, "check the secret's name and region, and what the identity may read" if place.gateway
                       else "correct {} first".format(place.culprit), place.page)
        if answer is not None:
            answers[place.label] = answer
    if answers:
        yield _advised(_try("key", name, _parse, name, answers)[0],
                       "use a secret that is a managed RAM credential, and rotate it if its key is no longer valid",
                       "secrets-manager/index.rst")


def _advised(step: Step, remedy: str, page: str) -> Step:
    """Return the step with what to do if it failed. A warning can make it fail later, so it gets the link, too."""
    if step.ok and not step.warnings:
        return step
    return step._replace(remedy="" if step.ok else remedy, link=DOCS + page)


def _try(name: str, subject: str, attempt: Callable[..., _Finding], *arguments: Any) -> Tuple[Step, Any]:
    """Return the step for an attempt, and the attempt's result, or None if it failed."""
    with _Warnings() as warnings:
        try:
            finding, ok = attempt(*arguments), True
        except Exception as error:
            finding, ok = _Finding(None, _explained(error)), False
    warned = list(finding.warnings) + warnings.lines
    detail = "\n".join([finding.detail] + ["warning: " + each for each in warned])
    return Step(name, subject, ok, detail, finding.facts, warned), finding.result


def _explained(error: Exception) -> str:
    if isinstance(error, ServerException):
        return "{} (HTTP status {}, request id {}): {}".format(
            error.get_error_code(), error.get_http_status(), error.get_request_id(), error.get_error_msg())
    if isinstance(error, ClientException):
        return str(error.get_error_msg())
    if isinstance(error, ManagedCredentialsError):
        return str(error)
    return "{} was raised, which nobody expected; its text may hold secrets and is not shown: please report it".format(
        type(error).__name__)


class _Warnings(logging.Handler):
    """Collects the warnings that this package logs while the context lasts."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.lines: List[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(record.getMessage())

    def __enter__(self) -> "_Warnings":
        logging.getLogger(__package__).addHandler(self)
        return self

    def __exit__(self, *exc_info: Any) -> None:
        logging.getLogger(__package__).removeHandler(self)


def _within(seconds: float, waiting_for: Callable[[], str], call: Callable[..., Any], *arguments: Any) -> Any:
    """Return what a call returns. It may take ``seconds`` of wall time, which no socket timeout can assure."""
    outcome: Future[Any] = Future()

    def run() -> None:
        try:
            outcome.set_result(call(*arguments))
        except BaseException as error:
            outcome.set_exception(error)

    threading.Thread(target=run, name="managed-credentials-check", daemon=True).start()
    if not wait([outcome], seconds).done:
        raise _Failure("no answer within {:g} s (fetch_timeout_milliseconds) from {}; check that it can be reached "
                       "from here".format(seconds, waiting_for()))
    return outcome.result()


def _load(config: Optional[str]) -> _Finding:
    settings = load_settings(config)
    return _Finding(settings, "{} dedicated and {} shared gateways; secret_names: {}".format(
        len(settings.dedicated_gateways), len(settings.shared_gateways), ", ".join(settings.secret_names) or "none"))


def _open_credentials(config: Optional[str]) -> _Finding:
    return _Finding(ManagedCredentials(load_settings(config)._replace(cache_file=None)), "")


def _read_now(credentials: ManagedCredentials, name: str) -> _Finding:
    if not credentials.refresh(name):
        raise _Failure("Secrets Manager did not answer in time; try again")
    key, shared_store = credentials.get(name), credentials.stats()[name].shared_store
    if shared_store is not None and shared_store.is_off:
        raise _Failure("it was read, but the shared store fails, so that other processes do not hear of it; "
                       "managed-credentials check says why")
    return _Finding(None, "{}, version {}".format(mask_access_key_id(key.access_key_id), key.version_id))


def _open(settings: CacheFileSettings) -> _Finding:
    from .stores.cache_file import CacheFile

    CacheFile(settings, Clock())
    there = os.path.lexists(settings.path)
    return _Finding(None, "the password opens it" if there else "not there yet; the first read makes it")


def _exchange(settings: Settings, store: SharedStoreSettings, secret_names: Sequence[str]) -> _Finding:
    connections = Connections()
    # Half the time for each answer leaves time to say what is wrong. An answer may take MOST_STRETCH times the timeout.
    patient = store._replace(timeout=settings.fetch_timeout / (2 * MOST_STRETCH))
    try:
        detail, latency, warnings = _within(
            settings.fetch_timeout, lambda: store.address, _leave_and_take, patient, settings.refresh_interval,
            secret_names, connections)
    finally:
        connections.abort()
        connections.close()
    if latency > store.timeout:
        warnings.append("this takes longer than the {:.0f} ms of shared_store_timeout_milliseconds, so that processes "
                        "work without the store; look at the network and at SLOWLOG GET, or allow more time".format(
                            1000 * store.timeout))
    facts = {"latency_ms": round(latency * 1000, 1)}
    return _Finding(None, "connected and asked in {latency_ms} ms; {}".format(detail, **facts), facts, warnings)


def _leave_and_take(
    settings: SharedStoreSettings, refresh_interval: float, secret_names: Sequence[str], connections: Connections
) -> Tuple[str, float, List[str]]:
    """Leave a made-up answer in the store, take it again, and hear of it; look for the answers of the secrets.

    Returns:
        What was found, the seconds that the first operation took, and warnings.
    """
    # The made-up answer, under a name that no other process knows, is soon forgotten.
    store, _ = shared_store(settings, _MADE_UP_INTERVAL)
    name = "check " + os.urandom(16).hex()
    key = parse_secret(name, {"SecretData": '{"AccessKeyId": "none", "AccessKeySecret": "none"}'})
    began = time.monotonic()
    taken = _run(store, Take(0, name, None, -1.0, 1.0), connections)
    latency = time.monotonic() - began
    assert taken.position is not None  # nosec B101  # for the type checker
    share = Share(0, name, key, taken.position)
    heard = _heard(store, lambda: _run(store, share, connections), connections)
    found = _run(store, Take(0, name, None, math.inf, 1.0), connections).found
    if found is None or found.key != key:
        raise _Failure("what was written cannot be read again; check maxmemory-policy of Redis, and that nothing else "
                       "uses shared_store_prefix")
    if not heard:
        raise _Failure("an announcement does not come back; name an address at which all connections lead to the same "
                       "Redis")
    store, _ = shared_store(settings, refresh_interval)
    names = [each for each in secret_names if is_secret_name(each)]  # the step of the secret names the others
    looks = [_run(store, Take(0, each, None, math.inf, 0.0), connections) for each in names]
    warnings = ["the answer of {!r} in the store cannot be used: {}; look who else writes under shared_store_prefix"
                .format(each, look.ignored) for each, look in zip(names, looks) if look.ignored]
    count = sum(1 for look in looks if look.found is not None)
    return "it has answers for {} of {} secrets".format(count, len(names)), latency, warnings


def _run(store: Any, action: Any, connections: Connections) -> StoreEnded:
    ended: StoreEnded = store.run(action, connections)
    if ended.error:
        raise _Failure(ended.error)
    return ended


def _heard(store: Any, share: Callable[[], Any], connections: Connections) -> bool:
    """Return whether an announcement is heard of the answer that ``share`` leaves in the store."""
    from .stores.redis_connection import problem

    try:
        listening = connections.get("listening", store.listening_connection)
        listening.call("SUBSCRIBE", store.channel())
        share()
        while listening.can_receive(_HEARING):
            if store.heard(listening.receive()[2]) is not None:
                return True
        return False
    except ManagedCredentialsError:
        raise
    except Exception as error:
        raise _Failure("announcements cannot be heard: " + problem(error)) from None


def _identify(settings: Settings) -> _Finding:
    identity = configured_identity(settings.identity)
    masked = mask_access_key_id(_within(
        settings.fetch_timeout, lambda: identity.waiting_for() or "the identity", identity.access_key_id))
    return _Finding(identity, masked, {"access_key_id": masked})


def _reach(settings: Settings, gateway: GatewaySettings, identity: Optional[Identity]) -> _Finding:
    """Connect to a gateway. The result is None if there is no identity to ask it with."""
    dedicated_class, shared_class = gateway_classes(settings.secrets_client)
    made: Optional[Gateway] = None
    if isinstance(gateway, DedicatedGatewaySettings):
        made = dedicated_class(gateway)
    elif identity is not None:
        made = shared_class(gateway, identity)
    url = "https://{}/".format(gateway.endpoint)
    proxy = proxy_of(url)
    if proxy:
        where = urlsplit(proxy if "://" in proxy else "//" + proxy)  # without the user and password in it
        return _Finding(made, "through the proxy {}:{}, so that only reading a secret tries it".format(
            where.hostname, where.port or "default port"))
    verified = not getattr(gateway, "ignore_certificate", False)
    latency, certificate = _within(
        settings.fetch_timeout, lambda: gateway.endpoint, _connect, gateway, verified, settings.fetch_timeout)
    facts: Dict[str, Any] = {"latency_ms": round(latency * 1000, 1)}
    warnings = []
    detail = "connected in {latency_ms} ms".format(**facts)
    if verified:
        expires = ssl.cert_time_to_seconds(certificate["notAfter"])
        facts["certificate_expires"] = _date(expires)
        names = facts["certificate_names"] = [value for _, value in certificate.get("subjectAltName", ())]
        detail += "; certificate of {} until {}".format(", ".join(names[:2]) or "no name", _when(expires))
        if expires < time.time() + CERTIFICATE_DAYS * _DAY:
            warnings.append("the certificate expires in less than {} days: have it renewed".format(CERTIFICATE_DAYS))
    return _Finding(made, detail, facts, warnings)


def _connect(gateway: GatewaySettings, verified: bool, timeout: float) -> Tuple[float, Mapping[str, Any]]:
    """Return the seconds that connecting took, with name look-up and TLS, and the certificate."""
    key = "cache_client_dkms_config_info" if isinstance(gateway, DedicatedGatewaySettings) else "cache_client_region_id"
    try:
        context = Tls(gateway.ca_file or system_ca() if verified else None).context()
        where = urlsplit("https://" + gateway.endpoint)
        host, port = where.hostname or "", where.port or 443
        began = time.monotonic()
        with socket.create_connection((host, port), timeout) as connection:
            with context.wrap_socket(connection, server_hostname=host) as secured:
                return time.monotonic() - began, secured.getpeercert() or {}
    except UnusableCa as error:
        raise _Failure("{}; set caFilePath in {} to the CA's PEM file".format(error, key)) from None
    except (OSError, ValueError) as error:  # ValueError: an impossible name or port, or ssl on Python 3.6
        reason = "{}: {}".format(type(error).__name__, error)
        untrusted = isinstance(error, ssl.CertificateError) or "CERTIFICATE_VERIFY_FAILED" in reason
    if untrusted:
        raise _Failure("the gateway's certificate is not trusted ({}); set caFilePath in {} to the CA's PEM file, and "
                       "check the endpoint and the clock of this machine".format(reason, key))
    raise _Failure("cannot connect ({}); check the endpoint in {} and the network".format(reason, key))


def _name(name: str) -> _Finding:
    check_secret_name(name)
    return _Finding(None, "")


def _read(settings: Settings, name: str, gateway: Optional[Gateway], culprit: str) -> _Finding:
    if gateway is None:
        raise _Failure("not tried: {} failed".format(culprit))
    secret_request(name)  # what this imports is no latency
    began = time.monotonic()
    answer = _within(
        settings.fetch_timeout, gateway.waiting_for, gateway.get_secret_value, name, settings.fetch_timeout)
    facts = {
        "version_id": answer.get("VersionId"),
        "secret_type": answer.get("SecretType"),
        "latency_ms": round((time.monotonic() - began) * 1000, 1),
    }
    return _Finding(answer, "version {version_id}, {secret_type}, in {latency_ms} ms".format(**facts), facts)


def _parse(name: str, answers: Mapping[str, Mapping[str, Any]]) -> _Finding:
    keys = {place: parse_secret(name, answer) for place, answer in answers.items()}
    key = next(iter(keys.values()))
    facts = {"access_key_id": mask_access_key_id(key.access_key_id), "version_id": key.version_id}
    detail = facts["access_key_id"]
    if key.expires is not None:
        if key.expires < time.time():
            raise _Failure("the temporary key {} expired at {}; rotate the secret".format(detail, _when(key.expires)))
        facts["expires"] = _date(key.expires)
        detail += ", temporary until " + _when(key.expires)
    if key.next_rotation is not None:
        facts["next_rotation"] = _date(key.next_rotation)
    detail += ", next rotation " + (_when(key.next_rotation) if key.next_rotation is not None else "is not scheduled")
    warnings = []
    if len({each.version_id for each in keys.values()}) > 1:
        warnings.append("the gateways give different versions: " + ", ".join(
            "{} from {}".format(each.version_id, place) for place, each in keys.items()))
    return _Finding(key, detail, facts, warnings)


def _date(epoch: float) -> str:
    return time.strftime(DATE, time.gmtime(epoch))


def _when(epoch: float) -> str:
    """Return a date and its distance from now."""
    left = epoch - time.time()
    size, unit = next((size, unit) for least, size, unit in _UNITS if abs(left) >= least)
    return "{} ({})".format(_date(epoch), ("in {:.0f} {}" if left >= 0 else "{:.0f} {} ago").format(
        abs(left) // size, unit))
