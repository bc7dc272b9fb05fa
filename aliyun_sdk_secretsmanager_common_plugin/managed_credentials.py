"""The facade that plugins and programs use: one configuration, its secrets, and the leases of its clients."""

import contextlib
import functools
import importlib
import itertools
import os
from typing import TYPE_CHECKING, Any, Callable, Dict, Iterable, List, Optional, Sequence, Tuple

from aliyunsdkcore.acs_exception.exceptions import ClientException, ServerException

from . import runtime
from .access_key import AccessKey, check_secret_name, epoch_or_none, parse_secret
from .ak_expire_handler import AKExpireHandler, require_handler
from .clock import Clock
from .exceptions import ConfigurationError, ManagedCredentialsError
from .identities import configured_identity, program_identity
from .keeper import Keeper, SecretStats
from .keeper.actions import Request
from .keeper.entry import equal_jitter
from .keeper.events import Ended, Recovered
from .keeper.timing import FIRST_READ_DELAYS
from .lease import Lease
from .runtime import Account, Backends, Subscriber, in_event_loop, require_task
from .secrecy import log_fields, logger_of
from .secret_info import answer_of
from .secrets_manager import Connections, gateway_classes
from .secrets_manager.gateways import Gateway, HttpsGateway, is_proxy_named
from .settings import ConfigLoader, Settings, SharedStoreSettings, load_settings

if TYPE_CHECKING:
    from .stores.cache_file import CacheFile

logger = logger_of(__name__)

# (secret name, seconds it may take) -> the key; raises ServerException or ClientException, as the SDK does.
Fetch = Callable[[str, float], AccessKey]

# What workers need for a fetch. It is imported beforehand: a worker that imports could deadlock with a signal's handler
# that interrupted an import and waits for the worker.
FETCHES_IMPORT = (
    "aliyun_sdk_secretsmanager_common_plugin.identities.client_key",
    "aliyun_sdk_secretsmanager_common_plugin.secrets_manager.protobuf",
    "aliyun_sdk_secretsmanager_common_plugin.identities.renewable_identity",
    "aliyunsdkcore.auth.credentials",
    "aliyunsdkcore.auth.signers.access_key_signer",
    "aliyunsdkcore.auth.signers.sts_token_signer",
    "aliyunsdkcore.request",
)
# What they need, too, where the environment names a proxy.
PROXIES_IMPORT = ("requests.utils", "urllib3.util.ssltransport", "socks")


class ManagedCredentials:
    """The managed RAM credentials of one configuration.

    What it read is refreshed until it is closed, even if the program lets go of it. Clients release their secrets
    themselves.

    Args:
        settings: the configuration.
        fetch: reads a secret instead of Secrets Manager. It is called with the secret's name and the seconds it may
            take, returns an AccessKey, and raises the SDK's ``ServerException`` or ``ClientException``.
        identity: asks the shared gateways instead of the settings' identity: a client or provider of
            ``alibabacloud_credentials``, or any object with ``get_credentials()``.
        secrets_client: reads secrets instead of the settings' gateways: a ``SecretManagerCacheClient`` of
            ``aliyun-secret-manager-client``, or any object with ``get_secret_info(name)``.
        recovery: a ``SecretRecoveryStrategy``. It keeps the secrets that Secrets Manager gives, and is asked for them,
            before the settings' cache file, when no region answers a first read.

    Raises:
        ConfigurationError: a client key or the cache file cannot be opened, an extra is missing, or an argument is
            none of these.

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
        self._runtime = runtime.process
        self._cache_file = _cache_file(settings, self._runtime.clock)
        self._recoveries = [each for each in (recovery, self._cache_file) if each is not None]
        gateways: Sequence[Any] = [_HandedInFetch(fetch)] if fetch is not None else _gateways(
            settings, identity, secrets_client)
        shared = settings.shared_store if fetch is None else None
        store, listener = (None, None) if shared is None else shared_store(shared, settings.refresh_interval)
        keeper = Keeper(
            gateways, settings.refresh_interval, settings.renew_timeout, bool(self._recoveries), settings.secret_names,
            settings.provider_refresh_interval, None if shared is None else shared.timeout)
        can_keep = any(hasattr(each, "keep_secret") for each in self._recoveries)
        backends = Backends(
            gateways, self._read, self._recover if self._recoveries else None, self._keep if can_keep else None,
            self._cache_file, store, listener)
        self._account = Account(
            self._runtime, keeper, backends, settings.fetch_timeout, settings.renew_timeout, self._delays)
        self._runtime.add(self._account)
        if type(self).get is _get:  # a subclass, or a test, has its own
            self.get = self._account.get  # type: ignore[assignment]  # the dictionary's method, without a frame around

    @classmethod
    def from_properties(
        cls, path: Optional[str] = None, identity: Any = None, secrets_client: Any = None, recovery: Any = None
    ) -> "ManagedCredentials":
        """Return the credentials that a properties file describes, and read its ``secret_names``.

        Args:
            path: the file; None takes the one that ``ConfigLoader`` names.
            identity: as ``ManagedCredentials`` takes it; the file then needs no ``credentials_type``.
            secrets_client: as ``ManagedCredentials`` takes it; the file then needs no gateway.
            recovery: as ``ManagedCredentials`` takes it.

        Returns:
            The credentials. Within an event loop the ``secret_names`` may not be read yet.

        Raises:
            ConfigurationError: the file cannot be read, or a key is missing or wrong.
        """
        settings = load_settings(path, identity=identity is None, gateways=secrets_client is None)
        credentials = cls(settings, identity=identity, secrets_client=secrets_client, recovery=recovery)
        credentials._preload()
        return credentials

    @classmethod
    def default(cls) -> "ManagedCredentials":
        """Return the credentials that clients share by default.

        They are those of ``set_default``, else those that the properties file describes now. If the file or the
        environment has changed, new clients get new credentials. If the file is gone, as when the working directory
        changed, the former credentials stay while they have clients.

        Raises:
            ConfigurationError: the file cannot be read, or a key is missing or wrong.
        """
        process = runtime.process
        process.check_process()
        if process.chosen is not None:
            return process.chosen  # type: ignore[no-any-return]
        try:
            settings = load_settings()
        except ConfigurationError:
            for credentials in list(process.default.values()):
                if credentials._account.clients and not os.path.exists(ConfigLoader.get_config_name()):
                    return credentials  # type: ignore[no-any-return]
            raise
        credentials = process.default.get(settings)
        if credentials is None:
            # Several threads may come here at once: all of them use what the first one made.
            made = cls(settings)
            credentials = process.default.setdefault(settings, made)
            for other in [each for each in list(process.default) if each != settings]:
                process.default.pop(other, None)
            if credentials is made:
                credentials._preload()
        return credentials  # type: ignore[no-any-return]

    @staticmethod
    def set_default(credentials: "Optional[ManagedCredentials]") -> None:
        """Choose the credentials that new clients share by default; None goes back to the properties file."""
        runtime.process.chosen = credentials

    def get(self, secret_name: str) -> AccessKey:
        """Return the current key of a secret; the first call reads it from Secrets Manager.

        Args:
            secret_name: the secret. It must be a positional argument: this is a dictionary's own method at run time.

        Raises:
            ServerException: Secrets Manager refused, or failed.
            ClientException: Secrets Manager did not answer within ``fetch_timeout``.
            SecretFormatError: the secret is not a managed RAM credential.
        """
        return self._account.get(secret_name)

    async def get_async(self, secret_name: str) -> AccessKey:
        """Return what ``get`` returns, without blocking the event loop.

        Raises:
            ManagedCredentialsError: the caller is no task of asyncio.
            ServerException, ClientException, SecretFormatError: as ``get`` raises them.
        """
        require_task()
        return await self._account.get_async(secret_name)

    def renew(self, secret_name: str, rejected: AccessKey) -> Optional[AccessKey]:
        """Return the key to use instead of one that a service rejected, within ``renew_timeout``.

        Args:
            secret_name: the secret.
            rejected: the key that was rejected.

        Returns:
            The new key; None if there is none for now. A renewal that failed is logged, not raised.
        """
        return self._account.renew(secret_name, rejected).key

    async def renew_async(self, secret_name: str, rejected: AccessKey) -> Optional[AccessKey]:
        """Return what ``renew`` returns, without blocking the event loop.

        Args:
            secret_name: the secret.
            rejected: the key that was rejected.

        Raises:
            ManagedCredentialsError: the caller is no task of asyncio.
        """
        require_task()
        return (await self._account.renew_async(secret_name, rejected)).key

    def refresh(self, secret_name: str) -> bool:
        """Read a secret from Secrets Manager now, whether it was read before or not.

        If that fails, the key that is held stays, the failure is logged, and another attempt follows.

        Returns:
            Whether the secret was read. False, too, if another thread is reading it.

        Raises:
            ServerException, ClientException, SecretFormatError: the secret was not yet read, and cannot be.
        """
        return self._account.refresh(secret_name)

    def subscribe(self, subscriber: Subscriber) -> None:
        """Call ``subscriber(secret_name, access_key)`` with every new key, in a thread of its own.

        It gets the keys in order, one after the other. The call that brought a key waits up to a second until all
        subscribers have it; a task of an event loop does not wait. A slow subscriber does not delay the others.
        """
        self._account.subscribe(subscriber)

    def unsubscribe(self, subscriber: Subscriber) -> None:
        """Undo ``subscribe``.

        Raises:
            ValueError: it is no subscriber.
        """
        self._account.unsubscribe(subscriber)

    def stats(self) -> Dict[str, SecretStats]:
        """Return the statistics of each secret in this process, by its name, also of those that could not be read.

        This asks nobody and delays no call. The changes of a read that ends just now may be there in part.
        """
        self._runtime.check_process()
        return self._account.stats()

    def lease(
        self,
        client: Any,
        secret_name: str,
        handler: AKExpireHandler,
        after_fork: Callable[[Any], None],
        wait: bool = True,
    ) -> Lease:
        """Return a lease: the use of a secret by a client. The secret is read now if it was not yet.

        Args:
            client: the client. The lease does not keep it alive, and ends when it is closed or the client is collected.
            secret_name: the secret.
            handler: decides which errors of the service mean a rejected key.
            after_fork: called with the client in a forked child, to drop the parent's sockets.
            wait: whether to wait for the secret. If not, the first call waits, and raises why it cannot be read. A
                client that is made ``in_event_loop()`` must not wait.

        Raises:
            ConfigurationError: the secret's name is empty, or the id of an AccessKey, or the handler is no handler.
            ServerException, ClientException, SecretFormatError: the secret cannot be read.
        """
        require_handler(handler)
        check_secret_name(secret_name)
        self._runtime.check_process()
        account = self._account
        release = account.add_client(client, secret_name, after_fork)

        def released() -> None:
            release()
            self._await_kept()

        begins = None if hasattr(os, "register_at_fork") else self._runtime.check_process
        lease = Lease(secret_name, account, self._runtime.clock, handler, released, begins)
        try:
            if wait:
                account.first_read(secret_name)
            else:
                account.begin_first_read(secret_name)
        except BaseException:
            lease.close()
            raise
        return lease

    def close(self) -> None:
        """Stop refreshing; a secret that is read later is refreshed again. Idempotent.

        If there is a cache file, this waits up to 5 seconds until it is written; so does each client's shutdown.
        """
        self._account.close()
        self._await_kept()

    def __enter__(self) -> "ManagedCredentials":
        return self

    def __exit__(self, *exc_info: Any) -> None:
        self.close()

    def __copy__(self) -> "ManagedCredentials":
        return self  # copies of a client share its credentials

    def __deepcopy__(self, memo: Any) -> "ManagedCredentials":
        return self

    def __reduce__(self) -> Any:
        process = runtime.process
        if self is process.chosen or self in process.default.values():
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
        """Read ``secret_names`` within ``fetch_timeout``; an event loop does not wait for them."""
        if self.settings.secret_names:
            self._account.preload(self.settings.secret_names, wait=not in_event_loop())

    def _await_kept(self) -> None:
        """Wait until the cache file is written, if there is one; the wait is bounded."""
        if self._cache_file is not None:
            self._account.await_kept()
            self._cache_file.flush()

    def _delays(self) -> Iterable[float]:
        """Return the waits between the attempts of a first read, in seconds."""
        return map(equal_jitter, itertools.chain(FIRST_READ_DELAYS, itertools.repeat(FIRST_READ_DELAYS[-1])))

    def _read(self, gateway: Any, request: Request, connections: Connections) -> Ended:
        """Ask one gateway."""
        if isinstance(gateway, _HandedInFetch):
            return Ended(request.number, gateway.read(request.name, request.seconds))
        answer = gateway.get_secret_value(request.name, request.seconds, connections)
        return Ended(request.number, parse_secret(request.name, answer))

    def _recover(self, secret_name: str, failure: Exception) -> Recovered:
        """Return the first kept key that has not expired."""
        now = self._runtime.clock.time()
        for recovery in self._recoveries:
            try:
                kept = recovery.recover_get_secret(secret_name)
                if kept is None:
                    continue
                key = parse_secret(secret_name, answer_of(getattr(kept, "secret_info", kept)))
                read = epoch_or_none(getattr(kept, "refresh_time_stamp", None)) or 0.0
            except Exception as error:
                problem = error if isinstance(error, ManagedCredentialsError) else type(error).__name__
                logger.error("secret %r: what was kept of it cannot be used: %s", secret_name, problem,
                             extra=log_fields(secret_name, error=problem))
                continue
            if key.expires is not None and key.expires <= now:
                logger.warning("secret %r: %r was kept, but has expired", secret_name, key,
                               extra=log_fields(secret_name, key))
                continue
            age = " (read {:.1f} hours ago)".format(max(now - read, 0) / 3600) if read else ""
            logger.warning("secret %r: no region answered; until one does, %r%s serves, which was kept: %s",
                           secret_name, key, age, failure, extra=log_fields(secret_name, key, failure))
            return Recovered(secret_name, key, read)
        return Recovered(secret_name, None)

    def _keep(self, secret_name: str, key: AccessKey) -> None:
        """Have recovery strategies and the cache file keep a key that Secrets Manager gave."""
        if key.secret_info is not None:
            for recovery in self._recoveries:
                if hasattr(recovery, "keep_secret"):
                    recovery.keep_secret(key.secret_info)


class _HandedInFetch:
    """A gateway that calls the program's own fetch function."""

    def __init__(self, fetch: Fetch) -> None:
        self._fetch = fetch

    def read(self, secret_name: str, seconds: float) -> AccessKey:
        try:
            key = self._fetch(secret_name, seconds)
            if isinstance(key, AccessKey):
                return key
            problem = "returned a {}".format(type(key).__name__)
        except (ServerException, ClientException, ManagedCredentialsError):
            raise
        except Exception as raised:
            problem = "raised {}".format(type(raised).__name__)
        # Raised here, not in the handler, so that it is not chained to an error whose text may contain the key.
        raise ManagedCredentialsError(
            "secret {!r}: the fetch function {}; it must return an AccessKey, or raise ServerException or "
            "ClientException".format(secret_name, problem))

    def waiting_for(self) -> str:
        return "the fetch function"

    def after_fork_in_child(self) -> None:
        """Do nothing: a fetch function has no sockets that this package knows of."""

    def __repr__(self) -> str:
        return "the fetch function"


_get = ManagedCredentials.get


def _cache_file(settings: Settings, clock: Clock) -> "Optional[CacheFile]":
    if settings.cache_file is None:
        return None
    from .stores.cache_file import CacheFile

    return CacheFile(settings.cache_file, clock)


def shared_store(settings: SharedStoreSettings, refresh_interval: float) -> Tuple[Any, Any]:
    """Return the shared store, and what makes its listener. The arguments are those of ``RedisStore``.

    Raises:
        ConfigurationError: redis-py is not installed.
    """
    with runtime.process.importing():
        try:
            from .stores.listener import Listener
            from .stores.redis_store import RedisStore
        except ImportError as error:
            raise ConfigurationError(
                'shared_store_url needs the extra "redis": pip install '
                '"aliyun-sdk-managed-credentials-providers[redis]" ({})'.format(error)) from None
    store = RedisStore(settings, refresh_interval)
    return store, functools.partial(Listener, store)


def _gateways(settings: Settings, identity: Any, secrets_client: Any) -> Sequence[Gateway]:
    """Return the gateways to Secrets Manager, the dedicated ones first, since they are nearer."""
    if secrets_client is not None:
        from .secrets_manager.other_clients import HandedInClient

        return [HandedInClient(secrets_client)]
    dedicated_class, shared_class = gateway_classes(settings.secrets_client)
    gateways: List[HttpsGateway] = [dedicated_class(each) for each in settings.dedicated_gateways]
    if settings.shared_gateways:
        who = configured_identity(settings.identity) if identity is None else program_identity(identity)
        gateways += [shared_class(each, who) for each in settings.shared_gateways]
    for nearest in gateways[:1]:
        nearest.tls.begin()  # before the imports below, which take as long
    with runtime.process.importing():
        for name in FETCHES_IMPORT:
            importlib.import_module(name)
        for name in PROXIES_IMPORT if is_proxy_named() else ():
            with contextlib.suppress(ImportError):  # the request says what is missing, if it needs that
                importlib.import_module(name)
    return gateways
