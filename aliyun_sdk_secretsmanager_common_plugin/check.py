"""Tries a configuration step by step: the file, the stores, the identity, each gateway, each secret and its key.

It also reads secrets now, for the command ``refresh``.
"""

import logging
import math
import os
import ssl
import threading
import time
from concurrent.futures import Future, wait
from typing import Any, Callable, Container, Dict, Iterator, List, Mapping, NamedTuple, Optional, Sequence, Tuple, Union
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
from .secrets_manager.gateways import HttpsGateway, proxy_of, secret_request
from .secrets_manager.https_connection import connect
from .secrets_manager.tls import UnusableCa
from .settings import (
    DedicatedGatewaySettings,
    Settings,
    SharedGatewaySettings,
    SharedStoreSettings,
    load_settings,
    properties_path,
)
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
# By check: those whose results it needs. Each one needs the file.
_NEEDED = {"secret": {"identity", "gateway"}, "key": {"identity", "gateway", "secret"}}

# Where the documentation is. The links of failed steps begin with it.
DOCS = "docs/"
# By credentials_type: the page that explains it, where that has another name.
_IDENTITY_PAGES = {"ak": "access-key", "token": "access-key", "sts": "ram-role", "default": "default-chain"}

# A certificate that expires sooner is warned of.
CERTIFICATE_DAYS = 30

# The subject of a step that has nothing to try.
_NOTHING = "none"

# Seconds until an announcement of the shared store counts as lost.
_HEARING = 2.0

# The refresh interval of a made-up answer in the shared store: twice as long, Redis keeps it.
_MADE_UP_INTERVAL = 10.0

_DAY = 24 * 60 * 60
_UNITS = ((2 * _DAY, _DAY, "days"), (2 * 60 * 60, 60 * 60, "hours"), (2 * 60, 60, "minutes"), (0, 1, "seconds"))


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


class _Trial(logging.Handler):
    """A step while it is tried, in a ``with`` statement.

    An error there makes the step fail, and goes no further. What this package warns of meanwhile is a warning of the
    step. Arguments and attributes are those of ``Step``; ``page`` is the page of its link.
    """

    def __init__(self, step: str, subject: str, remedy: str, page: str) -> None:
        super().__init__(logging.WARNING)
        self.subject = subject
        self.ok = True
        self.detail = ""
        self.facts: Dict[str, Any] = {}
        self.warnings: List[str] = []
        self._step, self._remedy, self._link = step, remedy, DOCS + page

    def emit(self, record: logging.LogRecord) -> None:
        self.warnings.append(record.getMessage())

    def __enter__(self) -> "_Trial":
        logging.getLogger(__package__).addHandler(self)
        return self

    def __exit__(self, kind: Any, error: Any, traceback: Any) -> bool:
        logging.getLogger(__package__).removeHandler(self)
        if not isinstance(error, Exception):
            return False
        self.ok, self.detail, self.facts = False, _explained(error), {}
        return True

    def step(self) -> Step:
        detail = "\n".join([self.detail] + ["warning: " + each for each in self.warnings])
        step = Step(self._step, self.subject, self.ok, detail, self.facts, self.warnings)
        if not self.ok:
            return step._replace(remedy=self._remedy, link=self._link)
        return step._replace(link=self._link) if self.warnings else step  # --strict can make it fail


class _Place(NamedTuple):
    """A gateway that was tried.

    Attributes:
        label: what steps call it.
        gateway: what reads secrets from it; None if the gateway or the identity failed.
        culprit: which of the two failed then.
        page: the page that explains what it takes to read secrets from it.
    """

    label: str
    gateway: Optional[HttpsGateway]
    culprit: str
    page: str


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
    """
    properties_path(config)  # one that is empty is refused before the first step
    for name in only:
        if name not in CHECKS:
            raise ConfigurationError("there is no check {!r}{}; the checks are: {}".format(
                name, did_you_mean(name, list(CHECKS)), ", ".join(CHECKS)))
    return _chosen(config, secret_names, strict, only)


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
    properties_path(config)
    return _refreshed(config, secret_names)


def _refreshed(config: Optional[str], secret_names: Sequence[str]) -> Iterator[Step]:
    with _file_trial(config) as trial:
        credentials = ManagedCredentials(load_settings(config)._replace(cache_file=None))
    if not trial.ok:
        yield trial.step()
        return
    with credentials:
        for name in dict.fromkeys(secret_names):
            yield _refreshed_secret(credentials, name)


def _refreshed_secret(credentials: ManagedCredentials, name: str) -> Step:
    remedy = "give the same file and secret to managed-credentials check, which tries each gateway"
    with _Trial("secret", shown_secret_name(name), remedy, "command.rst") as trial:
        if not credentials.refresh(name):
            raise ManagedCredentialsError("Secrets Manager did not answer in time; try again")
        key, store = credentials.get(name), credentials.stats()[name].shared_store
        if store is not None and store.is_off:
            raise ManagedCredentialsError("it was read, but the shared store fails, so that other processes do not "
                                          "hear of it; managed-credentials check says why")
        trial.detail = "{}, version {}".format(mask_access_key_id(key.access_key_id), key.version_id)
    return trial.step()


def _chosen(config: Optional[str], secret_names: Sequence[str], strict: bool, only: Sequence[str]) -> Iterator[Step]:
    chosen = set(only or CHECKS)
    needed = chosen.union(*(_NEEDED.get(name, ()) for name in chosen))
    for step in _steps(config, secret_names, needed, only):
        if strict and step.name in chosen and step.ok and step.warnings:
            step = step._replace(ok=False, remedy="correct what the warning is about, or leave out --strict")
        if not step.ok or step.name in chosen or step.subject == _NOTHING:
            yield step


def _steps(
    config: Optional[str], secret_names: Sequence[str], needed: Container[str], only: Container[str]
) -> Iterator[Step]:
    with _file_trial(config) as trial:
        settings = load_settings(config)
        trial.detail = "{} dedicated and {} shared gateways; secret_names: {}".format(
            len(settings.dedicated_gateways), len(settings.shared_gateways), ", ".join(settings.secret_names) or "none")
        if not os.path.exists(trial.subject):
            trial.subject = "the environment"
    yield trial.step()
    if not trial.ok:
        return
    names = secret_names or settings.secret_names
    # That there is nothing to try is worth a line only to someone who asked for this check.
    if "cache-file" in (needed if settings.cache_file else only):
        yield _cache_file(settings)
    if "shared-store" in (needed if settings.shared_store else only):
        yield _shared_store(settings, names)
    identity = None
    if "identity" in (needed if settings.shared_gateways else only):
        step, identity = _identity(settings)
        yield step
    places = []
    for entry in settings.dedicated_gateways + settings.shared_gateways if "gateway" in needed else ():
        step, place = _gateway(settings, entry, identity)
        places.append(place)
        yield step
    if "secret" in needed:
        if not names:
            yield Step("secret", _NOTHING, True, "no secret was tried; name one as an argument, or in secret_names", {})
        for name in names:
            yield from _secret(settings, name, places, "key" in needed)


def _file_trial(config: Optional[str]) -> _Trial:
    return _Trial("file", properties_path(config),
                  "correct what the error names, or write a new file with managed-credentials init",
                  "configuration.rst")


def _cache_file(settings: Settings) -> Step:
    if settings.cache_file is None:
        return Step("cache file", _NOTHING, True, "cache_file_path is not set, so that keys are only in memory", {})
    path = settings.cache_file.path
    with _Trial("cache file", shown_path(path),
                "check the password and who may read and write the file; without the file, the next read of a secret "
                "makes a new one", "operations.rst") as trial:
        from .stores.cache_file import CacheFile

        CacheFile(settings.cache_file, Clock())
        trial.detail = "the password opens it" if os.path.lexists(path) else "not there yet; the first read makes it"
    return trial.step()


def _shared_store(settings: Settings, secret_names: Sequence[str]) -> Step:
    store = settings.shared_store
    if store is None:
        return Step("shared store", _NOTHING, True, "shared_store_url is not set, so each process asks by itself", {})
    connections = Connections()
    # Half the time for each answer leaves time to say what is wrong. An answer may take MOST_STRETCH times the timeout.
    patient = store._replace(timeout=settings.fetch_timeout / (2 * MOST_STRETCH))
    with _Trial("shared store", store.address,
                "correct what the error names; until then each process asks Secrets Manager by itself",
                "shared-store.rst") as trial:
        try:
            found, latency, warnings = _within(
                settings.fetch_timeout, lambda: store.address, _leave_and_take, patient, settings.refresh_interval,
                secret_names, connections)
        finally:
            connections.abort()
            connections.close()
        if latency > store.timeout:
            warnings.append(
                "this takes longer than the {:.0f} ms of shared_store_timeout_milliseconds, so that processes work "
                "without the store; look at the network and at SLOWLOG GET, or allow more time".format(
                    1000 * store.timeout))
        trial.warnings += warnings
        trial.facts["latency_ms"] = round(latency * 1000, 1)
        trial.detail = "connected and asked in {latency_ms} ms; {}".format(found, **trial.facts)
    return trial.step()


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
        raise ManagedCredentialsError("what was written cannot be read again; check maxmemory-policy of Redis, and "
                                      "that nothing else uses shared_store_prefix")
    if not heard:
        raise ManagedCredentialsError("an announcement does not come back; name an address at which all connections "
                                      "lead to the same Redis")
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
        raise ManagedCredentialsError(ended.error)
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
        raise ManagedCredentialsError("announcements cannot be heard: " + problem(error)) from None


def _identity(settings: Settings) -> Tuple[Step, Optional[Identity]]:
    if not settings.shared_gateways:
        return Step("identity", _NOTHING, True, "dedicated gateways need no credentials_type", {}), None
    about = "credentials_type=" + settings.identity.credentials_type
    with _Trial("identity", about, "check the keys of {} in the file".format(about), _identity_page(settings)) as trial:
        identity = configured_identity(settings.identity)
        trial.detail = trial.facts["access_key_id"] = mask_access_key_id(_within(
            settings.fetch_timeout, lambda: identity.waiting_for() or "the identity", identity.access_key_id))
    return trial.step(), identity if trial.ok else None


def _identity_page(settings: Settings) -> str:
    credentials_type = settings.identity.credentials_type
    return "secrets-manager/{}.rst".format(_IDENTITY_PAGES.get(credentials_type, credentials_type.replace("_", "-")))


def _gateway(
    settings: Settings, entry: Union[DedicatedGatewaySettings, SharedGatewaySettings], identity: Optional[Identity]
) -> Tuple[Step, _Place]:
    dedicated = isinstance(entry, DedicatedGatewaySettings)
    label = "{} {} ({})".format("dedicated" if dedicated else "shared", entry.region_id, entry.endpoint)
    page = "secrets-manager/{}.rst".format("dedicated-gateway" if dedicated else "regions")
    with _Trial("gateway", label, "check the gateway's entry in the file, and the network from here", page) as trial:
        dedicated_class, shared_class = gateway_classes(settings.secrets_client)
        gateway: HttpsGateway = dedicated_class(entry) if dedicated else shared_class(entry, identity)
        _reach(gateway, settings.fetch_timeout, trial)
    can_ask = trial.ok and (dedicated or identity is not None)
    return trial.step(), _Place(label, gateway if can_ask else None, "the identity" if trial.ok else "the gateway",
                                page if dedicated else _identity_page(settings))


def _reach(gateway: HttpsGateway, timeout: float, trial: _Trial) -> None:
    """Connect to a gateway, and look at its certificate."""
    proxy = proxy_of("https://{}/".format(gateway.endpoint))
    if proxy:
        where = urlsplit(proxy)  # its user and password are not shown
        trial.detail = "through the proxy {}:{}, so that only reading a secret tries it".format(
            where.hostname, where.port or "default port")
        return
    latency, certificate = _within(timeout, lambda: gateway.endpoint, _connect, gateway, timeout)
    trial.facts["latency_ms"] = round(latency * 1000, 1)
    trial.detail = "connected in {latency_ms} ms".format(**trial.facts)
    if certificate:
        expires = ssl.cert_time_to_seconds(certificate["notAfter"])
        names = [value for _, value in certificate.get("subjectAltName", ())]
        trial.facts.update(certificate_expires=_date(expires), certificate_names=names)
        trial.detail += "; certificate of {} until {}".format(", ".join(names[:2]) or "no name", _when(expires))
        if expires < time.time() + CERTIFICATE_DAYS * _DAY:
            trial.warnings.append(
                "the certificate expires in less than {} days: have it renewed".format(CERTIFICATE_DAYS))


def _connect(gateway: HttpsGateway, timeout: float) -> Tuple[float, Mapping[str, Any]]:
    """Return the seconds that connecting took, with name look-up and TLS, and the certificate if it is verified."""
    try:
        context = gateway.tls.context()
        where = urlsplit("https://" + gateway.endpoint)
        host, port = where.hostname or "", where.port or 443
        began = time.monotonic()
        with connect((host, port), timeout) as connection:
            with context.wrap_socket(connection, server_hostname=host) as secured:
                return time.monotonic() - began, secured.getpeercert() or {}
    except UnusableCa as error:
        problem = "{}; set caFilePath in {} to the CA's PEM file".format(error, gateway.key)
    except (OSError, ValueError) as error:  # ValueError: an impossible name or port, or ssl on Python 3.6
        reason = "{}: {}".format(type(error).__name__, error)
        problem = "cannot connect ({}); check the endpoint in {} and the network".format(reason, gateway.key)
        if isinstance(error, ssl.CertificateError) or "CERTIFICATE_VERIFY_FAILED" in reason:
            problem = ("the gateway's certificate is not trusted ({}); set caFilePath in {} to the CA's PEM file, and "
                       "check the endpoint and the clock of this machine".format(reason, gateway.key))
    raise ManagedCredentialsError(problem)


def _secret(settings: Settings, name: str, places: Sequence[_Place], with_key: bool) -> Iterator[Step]:
    with _Trial("secret", shown_secret_name(name), "give the name that the secret has in Secrets Manager",
                "secrets-manager/index.rst") as trial:
        check_secret_name(name)
    if not trial.ok:
        yield trial.step()
        return
    answers = {}
    for place in places:
        step, answer = _read(settings, name, place)
        yield step
        if answer is not None:
            answers[place.label] = answer
    if answers and with_key:
        yield _key(name, answers)


def _read(settings: Settings, name: str, place: _Place) -> Tuple[Step, Optional[Mapping[str, Any]]]:
    remedy = "check the secret's name and region, and what the identity may read" if place.gateway else \
        "correct {} first".format(place.culprit)
    with _Trial("secret", "{} from {}".format(name, place.label), remedy, place.page) as trial:
        if place.gateway is None:
            raise ManagedCredentialsError("not tried: {} failed".format(place.culprit))
        secret_request(name)  # what this imports is no latency
        began = time.monotonic()
        answer = _within(settings.fetch_timeout, place.gateway.waiting_for, place.gateway.get_secret_value, name,
                         settings.fetch_timeout)
        trial.facts = {
            "version_id": answer.get("VersionId"),
            "secret_type": answer.get("SecretType"),
            "latency_ms": round((time.monotonic() - began) * 1000, 1),
        }
        trial.detail = "version {version_id}, {secret_type}, in {latency_ms} ms".format(**trial.facts)
    return trial.step(), answer if trial.ok else None


def _key(name: str, answers: Mapping[str, Mapping[str, Any]]) -> Step:
    with _Trial("key", name, "use a secret that is a managed RAM credential, and rotate it if its key is no longer "
                "valid", "secrets-manager/index.rst") as trial:
        keys = {label: parse_secret(name, answer) for label, answer in answers.items()}
        key = next(iter(keys.values()))
        masked = mask_access_key_id(key.access_key_id)
        trial.facts = {"access_key_id": masked, "version_id": key.version_id}
        trial.detail = masked
        if key.expires is not None:
            if key.expires < time.time():
                raise ManagedCredentialsError("the temporary key {} expired at {}; rotate the secret".format(
                    masked, _when(key.expires)))
            trial.facts["expires"] = _date(key.expires)
            trial.detail += ", temporary until " + _when(key.expires)
        if key.next_rotation is None:
            trial.detail += ", next rotation is not scheduled"
        else:
            trial.facts["next_rotation"] = _date(key.next_rotation)
            trial.detail += ", next rotation " + _when(key.next_rotation)
        if len({each.version_id for each in keys.values()}) > 1:
            trial.warnings.append("the gateways give different versions: " + ", ".join(
                "{} from {}".format(each.version_id, label) for label, each in keys.items()))
    return trial.step()


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
        raise ManagedCredentialsError(
            "no answer within {:g} s (fetch_timeout_milliseconds) from {}; check that it can be reached from here"
            .format(seconds, waiting_for()))
    return outcome.result()


def _date(epoch: float) -> str:
    return time.strftime(DATE, time.gmtime(epoch))


def _when(epoch: float) -> str:
    """Return a date and its distance from now."""
    left = epoch - time.time()
    size, unit = next((size, unit) for least, size, unit in _UNITS if abs(left) >= least)
    return "{} ({})".format(_date(epoch), ("in {:.0f} {}" if left >= 0 else "{:.0f} {} ago").format(
        abs(left) // size, unit))
