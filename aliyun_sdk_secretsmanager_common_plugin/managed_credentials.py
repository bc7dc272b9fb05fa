"""The facade that plugins hold: cache and refresher behind the settings, the clients' leases, and forks."""

import collections
import contextlib
import functools
import importlib
import itertools
import logging
import os
import queue
import threading
import weakref
from typing import TYPE_CHECKING, Any, Callable, Deque, Dict, List, NamedTuple, Optional, Tuple, Union

from aliyunsdkcore.acs_exception.exceptions import ClientException, ServerException

from .access_key import AccessKey, parse_secret
from .ak_expire_handler import AKExpireHandler
from .cache import Cache, Recovered, SecretStats, Subscriber
from .clock import Clock
from .exceptions import ConfigurationError, ManagedCredentialsError
from .flights import in_event_loop
from .gateways import Gateway, gateway_classes
from .identities import identity_from, identity_of
from .lease import Lease
from .refresher import Refresher
from .secret_info import answer_of
from .secrets_manager import Fetch, Fetched, LateAnswer, SecretsManager, is_outage
from .settings import ConfigLoader, Settings, load_settings
from .threads import await_leaving

if TYPE_CHECKING:
    from .cache_file import CacheFile

logger = logging.getLogger(__name__)

PRELOADING_THREADS = 8
# The part of fetch_timeout that is left to a recovery strategy.
RECOVERY_SHARE = 0.05
# What gateways, identities and fetches import.
FETCHES_IMPORT = (
    "aliyun_sdk_secretsmanager_common_plugin.client_key",
    "aliyun_sdk_secretsmanager_common_plugin.protobuf",
    "aliyun_sdk_secretsmanager_common_plugin.provided_identity",
    "aliyunsdkcore.auth.signers.access_key_signer",
    "aliyunsdkcore.auth.signers.sts_token_signer",
    "aliyunsdkkms.request.v20160120.GetSecretValueRequest",
    "requests",
)


class _Client(NamedTuple):
    """A client that holds a lease."""

    secret_name: str
    reference: "weakref.ReferenceType[Any]"
    after_fork: Callable[[Any], None]


class ManagedCredentials:
    """The managed RAM credentials of one configuration.

    Args:
        settings: the configuration.
        fetch: what reads a secret; None reads from Secrets Manager.
        identity: who asks the shared gateways instead of the settings' identity: a client or provider of
            ``alibabacloud_credentials``, or anything with ``get_credentials()``.
        secrets_client: what reads secrets instead of the settings' gateways: a ``SecretManagerCacheClient`` of
            ``aliyun-secret-manager-client``, or anything with ``get_secret_info(name)``.
        recovery: what keeps the secrets that Secrets Manager gives, and gives them while no region answers a first
            read: a ``SecretRecoveryStrategy``, asked before the settings' cache file.

    Raises:
        ConfigurationError: a client key or the cache file cannot be opened, an extra is missing, or what is handed in
            is none of these.

    Example::

        with ManagedCredentials.from_properties("account-b.properties") as credentials:
            access_key = credentials.get("my-secret")
    """

    def __init__(
        self,
        settings: Settings,
        fetch: Optional[Fetch] = None,
        identity: Any = None,
        secrets_client: Any = None,
        recovery: Any = None,
    ) -> None:
        self.settings = settings
        self._gateways = _gateways(settings, identity, secrets_client)
        self._secrets_manager = SecretsManager(self._gateways, _clock)
        self._source = fetch or self._secrets_manager.fetch
        self._cache_file = _cache_file(settings)
        self._recoveries = [each for each in (recovery, self._cache_file) if each is not None]
        self._recovered: Dict[str, AccessKey] = {}  # what Secrets Manager did not give just now, and is not kept again
        self._cache = Cache(
            self._fetch_or_recover if self._recoveries else self._source,
            _clock,
            self._schedule,
            settings.refresh_interval,
            settings.fetch_timeout,
            settings.renew_timeout,
        )
        if type(self).get is _get:  # not that of a subclass, or of a test
            self.get = self._cache.get  # type: ignore[assignment]  # without a frame of its own
        for each in self._recoveries:
            self._cache.subscribe(functools.partial(self._keep, each))
        # Guards _clients, and which secrets are in use and scheduled. Reentrant as the cache's, and for its reason.
        self._lock = threading.RLock()
        self._clients: Dict[int, _Client] = {}
        # Clients dropped without shutdown(). The garbage collector appends, amid whatever runs, so it takes no lock.
        self._dropped: Deque[int] = collections.deque()
        with _instances_lock:
            _instances.add(self)

    @classmethod
    def from_properties(
        cls, path: Optional[str] = None, identity: Any = None, secrets_client: Any = None, recovery: Any = None
    ) -> "ManagedCredentials":
        """Return the credentials that a properties file describes, its ``secret_names`` read.

        Args:
            path: the file; None takes the one that ``ConfigLoader`` says.
            identity: as ``ManagedCredentials`` takes it; the file then needs no ``credentials_type``.
            secrets_client: as ``ManagedCredentials`` takes it; the file then needs no gateway.
            recovery: as ``ManagedCredentials`` takes it.

        Raises:
            ConfigurationError: the file cannot be read, or a key is missing or wrong.
        """
        settings = load_settings(path, identity=identity is None, gateways=secrets_client is None)
        credentials = cls(settings, identity=identity, secrets_client=secrets_client, recovery=recovery)
        credentials._preload()
        return credentials

    @classmethod
    def default(cls) -> "ManagedCredentials":
        """Return the instance that all proxies share which are given none.

        It is the one that was set, else the one that the properties file describes now: a file, or an environment,
        that says something else makes a new instance for the clients to come. A file that is gone (the working
        directory changed) changes nothing while there are clients.

        Raises:
            ConfigurationError: the file cannot be read, or a key is missing or wrong.
        """
        global _default
        _check_process()
        if _set_default is not None:
            return _set_default
        try:
            settings = load_settings()
        except ConfigurationError:
            with _default_lock:
                if _default is not None and _default._clients and not os.path.exists(ConfigLoader.get_config_name()):
                    return _default
            raise
        with _default_lock:
            credentials = _default
            if credentials is not None and credentials.settings == settings:
                return credentials
            credentials = _default = cls(settings)
        credentials._preload()
        return credentials

    @staticmethod
    def set_default(credentials: "Optional[ManagedCredentials]") -> None:
        """Let proxies made from now on share ``credentials`` where they are given none.

        Args:
            credentials: the instance; None goes back to the properties file.
        """
        global _set_default
        _set_default = credentials

    def get(self, secret_name: str) -> AccessKey:
        """Return the current key of a secret; the first time it is read from Secrets Manager.

        Args:
            secret_name: the secret; by position, not by name, since a dictionary's own method reads it.

        Raises:
            ServerException: Secrets Manager refused, or failed.
            ClientException: it did not answer within ``fetch_timeout``.
            SecretFormatError: the secret is no managed RAM credential.
        """
        return self._cache.get(secret_name)

    async def get_async(self, secret_name: str) -> AccessKey:
        """As ``get``, for a task of an event loop, which it does not block."""
        return await self._cache.get_async(secret_name)

    def renew(self, secret_name: str, rejected: AccessKey) -> Optional[AccessKey]:
        """Return the key to use instead of ``rejected``, which a service refused; None if there is none for now."""
        return self._cache.renew(secret_name, rejected)

    async def renew_async(self, secret_name: str, rejected: AccessKey) -> Optional[AccessKey]:
        """As ``renew``, for a task of an event loop, which it does not block."""
        return (await self._cache.renewal_async(secret_name, rejected)).key

    def refresh(self, secret_name: str) -> bool:
        """Read a secret again now; a failure is logged, the key stays, and it is tried again in a moment.

        Returns:
            Whether it was read; False, too, where another thread is about to.

        Raises:
            ServerException, ClientException, SecretFormatError: the secret was not yet read, and cannot be.
        """
        self._cache.get(secret_name)
        return self._cache.refresh(secret_name)

    def subscribe(self, subscriber: Subscriber) -> None:
        """Call ``subscriber(secret_name, access_key)`` on every new key, in the thread that fetched it.

        For each secret they come in order, one after the other: one that comes while subscribers are told of another is
        told by the same thread. So a slow subscriber holds up the call that brought the key, and no other; in event
        loops, the tasks that wait for the key, and no loop.
        """
        self._cache.subscribe(subscriber)

    def unsubscribe(self, subscriber: Subscriber) -> None:
        """Undo ``subscribe``."""
        self._cache.unsubscribe(subscriber)

    def stats(self) -> Dict[str, SecretStats]:
        """Return what became of each secret in this process, by its name; those too that could not be read.

        It is of one moment, and from memory: it asks nobody, and holds up no call.
        """
        _check_process()
        return {
            name: stats._replace(next_refresh=_refresher.due_in((self._cache.refresh, name)))
            for name, stats in self._cache.stats().items()
        }

    def lease(
        self,
        client: Any,
        secret_name: str,
        handler: AKExpireHandler,
        after_fork: Callable[[Any], None],
        wait: bool = True,
    ) -> Lease:
        """Return the use of a secret by ``client``; the secret is read now if it was not yet.

        Args:
            client: who uses it; not kept alive, and released when it is collected or the lease is closed.
            secret_name: which secret.
            handler: decides which of the service's errors mean a rejected key.
            after_fork: called with ``client`` in a forked child, to let go of the parent's sockets.
            wait: whether to wait for the secret; otherwise the first call does, and raises why it cannot be read. A
                client that is made ``in_event_loop()`` must not wait.

        Raises:
            ConfigurationError: the secret's name is empty.
            ServerException, ClientException, SecretFormatError: the secret cannot be read.
        """
        if not isinstance(secret_name, str) or not secret_name.strip():
            raise ConfigurationError(
                "secret_name is {!r}; give the name of a secret in Secrets Manager".format(secret_name)
            )
        _check_process()
        token = next(_tokens)
        with self._lock:
            self._clients[token] = _Client(secret_name, weakref.ref(client), after_fork)
        finalizer = weakref.finalize(client, self._dropped.append, token)
        finalizer.atexit = False

        def released() -> None:
            finalizer.detach()
            self._release([token])
            _release_dropped_clients()

        begins = None if hasattr(os, "register_at_fork") else _check_process
        lease = Lease(secret_name, self._cache, _clock, handler, released, begins)
        try:
            if wait:
                lease.access_key()
            else:
                self._cache.read_ahead(secret_name)
        except BaseException:
            lease.close()
            raise
        return lease

    def close(self) -> None:
        """Stop refreshing; keys that are read later start it again. Idempotent."""
        with self._lock:
            self._retire(self._cache.names())
        if self._cache_file is not None:
            self._cache_file.await_write()

    def __enter__(self) -> "ManagedCredentials":
        return self

    def __exit__(self, *exc_info: Any) -> None:
        self.close()

    def __copy__(self) -> "ManagedCredentials":
        return self  # copies of a client share its credentials

    def __deepcopy__(self, memo: Any) -> "ManagedCredentials":
        return self

    def __reduce__(self) -> Any:
        if self is _default or self is _set_default:
            return ManagedCredentials.default, ()
        raise TypeError(
            "a ManagedCredentials other than the default one cannot be pickled, nor a client that uses it, be it that "
            "it was given, or was the default when the client was made: it holds keys, threads and sockets; make both "
            "in each process. A client that uses what ManagedCredentials.default() returns can be pickled, and takes "
            "the one of the process it gets to"
        )

    def __repr__(self) -> str:
        return "ManagedCredentials({!r})".format(self.settings)

    def _preload(self) -> None:
        """Read ``secret_names``, several at a time, within ``fetch_timeout``; an event loop does not wait for them."""
        names: queue.Queue[str] = queue.Queue()
        for name in self.settings.secret_names:
            names.put(name)
        threads = [
            threading.Thread(target=self._preload_from, args=(names,), name="managed-credentials-start", daemon=True)
            for _ in range(min(PRELOADING_THREADS, len(self.settings.secret_names)))
        ]
        for thread in threads:
            thread.start()
        if in_event_loop():
            return
        deadline = _clock.monotonic() + self.settings.fetch_timeout
        for thread in threads:
            thread.join(max(0, deadline - _clock.monotonic()))

    def _preload_from(self, names: "queue.Queue[str]") -> None:
        while True:
            try:
                name = names.get_nowait()
            except queue.Empty:
                return
            try:
                self._cache.get(name)
            except Exception as error:
                # Of an error of the program's own the type alone: its text may hold the key.
                known = isinstance(error, (ServerException, ClientException, ManagedCredentialsError))
                logger.warning("secret_names: %r could not be read at start: %s", name,
                               error if known else type(error).__name__)

    def _fetch_or_recover(
        self, secret_name: str, timeout: float, retry: bool, late: LateAnswer
    ) -> Union[Fetched, Recovered]:
        """Read a secret; at a first read that no region answers, return what was kept."""
        if not retry:
            return self._source(secret_name, timeout, retry, late)
        try:
            return self._source(secret_name, timeout * (1 - RECOVERY_SHARE), retry, late)
        except (ServerException, ClientException) as error:
            recovered = self._recover(secret_name, error) if is_outage(error) else None
            if recovered is None:
                raise
            return recovered

    def _recover(self, secret_name: str, failure: Exception) -> Optional[Recovered]:
        """Return the first key that was kept and has not expired."""
        for recovery in self._recoveries:
            try:
                kept = recovery.recover_get_secret(secret_name)
                if kept is None:
                    continue
                key = parse_secret(secret_name, answer_of(getattr(kept, "secret_info", kept)))
                read = (getattr(kept, "refresh_time_stamp", 0) or 0) / 1000.0
            except Exception as error:
                logger.error("secret %r: what was kept of it cannot be used: %s", secret_name,
                             error if isinstance(error, ManagedCredentialsError) else type(error).__name__)
                continue
            if key.expires is not None and key.expires <= _clock.time():
                logger.warning("secret %r: %r was kept, but has expired", secret_name, key)
                continue
            age = " (read {:.1f} hours ago)".format(max(_clock.time() - read, 0) / 3600) if read else ""
            logger.warning("secret %r: no region answered; until one does, %r%s serves, which was kept: %s",
                           secret_name, key, age, failure)
            self._recovered[secret_name] = key
            return Recovered(key, read)
        return None

    def _keep(self, recovery: Any, secret_name: str, key: AccessKey) -> None:
        """Have a new key kept, if Secrets Manager gave it."""
        keep_secret = getattr(recovery, "keep_secret", None)
        if keep_secret and key.secret_info and key is not self._recovered.get(secret_name):
            keep_secret(key.secret_info)

    def _schedule(self, secret_name: str, seconds: float) -> None:
        if self._cache_file is not None:
            self._cache_file.catch_up()  # as each refresh comes by here
        with self._lock:  # so that none is scheduled that was released since
            if self._cache.is_idle(secret_name):
                return
            if not _refresher.schedule((self._cache.refresh, secret_name), seconds):
                self._cache.cool(secret_name)
        logger.debug("secret %r: the next refresh is due in %.1f s", secret_name, seconds)

    def _release(self, tokens: List[int]) -> None:
        with self._lock:
            clients = [self._clients.pop(token) for token in tokens if token in self._clients]
            released = {client.secret_name for client in clients}
            if self._clients:
                in_use = {client.secret_name for client in list(self._clients.values())}
                self._retire(released - in_use - set(self.settings.secret_names))
            else:
                self._retire(self._cache.names())

    def _retire(self, names: Any) -> None:
        for name in names:
            self._cache.retire(name)
            _refresher.cancel((self._cache.refresh, name))

    def _release_dropped(self) -> None:
        tokens = []
        while self._dropped:
            tokens.append(self._dropped.popleft())
        if tokens:
            self._release(tokens)

    def _after_fork_in_child(self) -> None:
        self._lock = threading.RLock()
        self._cache.after_fork_in_child()
        self._secrets_manager.forget_threads()
        if self._cache_file is not None:
            self._cache_file.after_fork_in_child()
        for gateway in self._gateways:
            gateway.after_fork_in_child()
        for client in list(self._clients.values()):
            alive = client.reference()
            if alive is not None:
                try:
                    client.after_fork(alive)
                except Exception:
                    logger.exception("secret %r: a client keeps sockets of its parent process", client.secret_name)


_get = ManagedCredentials.get


def _cache_file(settings: Settings) -> "Optional[CacheFile]":
    if settings.cache_file is None:
        return None
    from .cache_file import CacheFile

    return CacheFile(settings.cache_file, _clock)


def _gateways(settings: Settings, identity: Any, secrets_client: Any) -> List[Gateway]:
    """Return the ways to Secrets Manager, the dedicated ones first, being the nearer."""
    if secrets_client is not None:
        from .secret_manager_client import HandedInClient

        return [HandedInClient(secrets_client)]
    with _fork_lock:  # a child that is forked amid an import has half a module, without the thread that imports
        for name in FETCHES_IMPORT:
            importlib.import_module(name)
    dedicated_class, shared_class = gateway_classes(settings.secrets_client)
    gateways: List[Gateway] = [dedicated_class(each) for each in settings.dedicated_gateways]
    if settings.shared_gateways:
        who = identity_of(settings.identity) if identity is None else identity_from(identity)
        gateways += [shared_class(each, who) for each in settings.shared_gateways]
    return gateways


_instances_lock = threading.RLock()  # guards _instances
_instances: "weakref.WeakSet[ManagedCredentials]" = weakref.WeakSet()
_default_lock = threading.RLock()  # guards _default
_default = None  # type: Optional[ManagedCredentials]
_set_default = None  # type: Optional[ManagedCredentials]
_tokens = itertools.count()


def _all_instances() -> Tuple[ManagedCredentials, ...]:
    with _instances_lock:
        return tuple(_instances)


def _release_dropped_clients() -> None:
    for credentials in _all_instances():
        credentials._release_dropped()


_clock = Clock()
_refresher = Refresher(_clock, _release_dropped_clients)

# Processes. Before a fork the refresher's thread ends and the caches hold still; the child begins without threads,
# locks and sockets of its parent.
_process = os.getpid()
_fork_lock = threading.Lock()  # held by the thread that forks, from before to after; guards _forking
# What the parent has to undo, as far as it came: the interpreter forks even if a signal's handler raises amid the hook.
_forking = contextlib.ExitStack()


def _before_fork() -> None:
    _fork_lock.acquire()
    _forking.callback(_fork_lock.release)
    _forking.callback(_refresher.unpark)
    _refresher.park()
    await_leaving()
    instances = _all_instances()
    for credentials in instances:
        if credentials._cache_file is not None:
            credentials._cache_file.await_write()
    _instances_lock.acquire()
    _forking.callback(_instances_lock.release)
    for credentials in instances:
        credentials._cache.before_fork()
        _forking.callback(credentials._cache.after_fork_in_parent)


def _after_fork_in_parent() -> None:
    _forking.pop_all().close()  # of this fork alone: the next one begins once _fork_lock is free


def _after_fork_in_child() -> None:
    global _process, _forking, _fork_lock, _instances_lock, _default_lock
    _forking = contextlib.ExitStack()
    _fork_lock, _instances_lock, _default_lock = threading.Lock(), threading.RLock(), threading.RLock()
    _refresher.forget()
    for credentials in _all_instances():
        credentials._after_fork_in_child()
    _process = os.getpid()


# By process: one that a thread of the parent held at the fork is none of the child's.
_checks: Dict[int, Any] = {}


def _check_process() -> None:
    """Where the interpreter has no hook for forks (3.6), clients call this when they are made and before each call."""
    if os.getpid() != _process:
        with _checks.setdefault(os.getpid(), threading.Lock()):
            if os.getpid() != _process:
                _after_fork_in_child()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=_before_fork, after_in_parent=_after_fork_in_parent, after_in_child=_after_fork_in_child
    )
