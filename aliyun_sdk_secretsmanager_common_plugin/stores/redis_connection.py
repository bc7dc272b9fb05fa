"""A connection to Redis: one command at a time, and another thread may cut it."""

import inspect
import re
import socket
from typing import Any, Dict

import redis
import redis.connection

from ..secrecy import reason
from ..settings import SharedStoreSettings

_AUTH = "shared_store_auth_from_env_variable or shared_store_auth_from_file_path"
# What the errors of Redis mean, and what to do: the first pattern counts that is found in the names of the error's
# classes, its text and its cause. {0} is the cause. The texts of Redis itself are left out: a hostile server could
# repeat a password in them.
_MEANINGS = (
    (r"CERTIFICATE_VERIFY_FAILED|CertificateError",
     "the certificate of Redis is not trusted ({0}); name its CA with ?ssl_ca_certs=/path/ca.pem in shared_store_url, "
     "which must have the host name of the certificate"),
    (r"(?i)WRONG_VERSION_NUMBER|handshake|SSLE(?:OF|rror)",
     "TLS with Redis fails ({0}); check the port in shared_store_url, and write redis:// if it has no TLS"),
    (r"unauthenticated multibulk|NOAUTH|Authentication required",  # of a command as long as ours, Redis says the first
     "Redis wants a password (NOAUTH); name it with " + _AUTH),
    (r"(?i)without any password|no password is set",
     "Redis has no password for the default user; take shared_store_auth_from_... out, or name the user in "
     "shared_store_url"),
    (r"AuthenticationWrongNumberOfArgsError",
     "Redis is older than version 6 and knows no users; take the user out of shared_store_url"),
    (r"AuthenticationError|WRONGPASS",
     "Redis refuses the user or the password (WRONGPASS); check the user in shared_store_url, and " + _AUTH),
    (r"(?:access|publish to) .*\b(channel|key)",
     "the ACL of Redis forbids the store's {1}s (NOPERM); give the user the patterns ~PREFIX* and &PREFIX*, with what "
     "shared_store_prefix says"),
    (r"permissions to run the '(eval|ping|select|subscribe|publish|time|type|hmget|hset|get|set|del|pttl|pexpire)'",
     "the ACL of Redis forbids the command {1} (NOPERM); give the user all commands that docs/shared-store.rst names"),
    (r"NoPermissionError|NOPERM|AuthorizationError|user executing the script",
     "the ACL of Redis forbids a command (NOPERM); give the user all commands that docs/shared-store.rst names"),
    (r"OutOfMemoryError|OOM",
     "Redis is full (OOM); give it more memory, or the policy volatile-lru"),
    (r"ReadOnlyError|READONLY",
     "this Redis is a replica and takes no writes (READONLY); name the primary in shared_store_url"),
    (r"MasterDownError|MASTERDOWN",
     "this Redis is a replica and its primary is down (MASTERDOWN); name the primary in shared_store_url"),
    (r"MovedError|MOVED|ClusterDown|CLUSTERDOWN|CrossSlot|CROSSSLOT|cluster mode",
     "this Redis is a Cluster, which is not supported; name a single Redis in shared_store_url"),
    (r"MISCONF",
     "Redis takes no writes, since it cannot save its data (MISCONF); look into the log of Redis"),
    (r"BusyLoadingError|LOADING",
     "Redis is starting (LOADING); wait until it has loaded its data"),
    (r"max number of clients",
     "Redis has too many clients; raise maxclients, and the limit of open files"),
    (r"DB index",
     "Redis has no database of this number; correct the end of shared_store_url"),
    (r"InvalidResponse",
     "what answers does not speak the protocol of Redis; check host and port in shared_store_url"),
    (r"TimeoutError",
     "Redis does not answer in time; check that it runs and can be reached from here"),
    (r"ResponseError",
     "Redis refuses a command, and nobody expected that; look into the log of Redis"),
    (r"ConnectionError|OSError",
     "Redis cannot be reached ({0}); check the address in shared_store_url, that Redis runs, and that the URL begins "
     "with rediss:// if the port has TLS"),
)


class RedisConnection:
    """A connection to the Redis of a shared store. It connects with the first command.

    Args:
        settings: where Redis is, and who we are there.
        timeout: how long each part of an answer is waited for, in seconds.

    Attributes:
        has_answered: whether a command was answered over it.
    """

    def __init__(self, settings: SharedStoreSettings, timeout: float) -> None:
        parse_url: Any = redis.connection.parse_url
        options: Dict[str, Any] = parse_url(settings.url)
        kind: Any = options.pop("connection_class", redis.connection.Connection)
        if settings.auth is not None:
            # An environment variable may hold bytes that are no UTF-8.
            options["password"] = settings.auth.encode("utf-8", "surrogateescape")
        if issubclass(kind, redis.connection.SSLConnection):
            options.update(ssl_cert_reqs="required", ssl_check_hostname=True)
        options.update(socket_timeout=timeout)
        if not issubclass(kind, redis.connection.UnixDomainSocketConnection):
            options.update(socket_connect_timeout=settings.timeout)
        self._connection = kind(**options, **_PLAIN)
        self._is_aborted = False
        self.has_answered = False

    def call(self, *command: Any) -> Any:
        """Send a command; return the answer.

        Raises:
            redis.RedisError, OSError: it failed. ``problem`` says what the error means.
        """
        self.send(*command)
        answer = self.receive()
        self.has_answered = True
        return answer

    def send(self, *command: Any) -> None:
        """Send a command, whose answer is received later."""
        self._check()
        self._connection.send_command(*command, check_health=False)

    def receive(self) -> Any:
        """Return the next answer or announcement."""
        self._check()
        return self._connection.read_response()

    def can_receive(self, seconds: float) -> bool:
        """Wait until there is something to receive; return False if nothing came within ``seconds``."""
        self._check()
        return bool(self._connection.can_read(seconds))

    def abort(self) -> None:
        """Make the command in progress and all later ones fail at once. Any thread may call this.

        Only a connect in progress goes on, until its time limit.
        """
        self._is_aborted = True
        connected = getattr(self._connection, "_sock", None)
        if connected is not None:
            try:
                socket.socket.shutdown(connected, socket.SHUT_RDWR)  # that of TLS would send in clear
            except OSError:  # it is closed already
                pass

    def close(self) -> None:
        """Close the connection."""
        self._connection.disconnect()

    def forget(self) -> None:
        """In a forked child, close the child's copy of the socket, which leaves the parent's open."""
        self._is_aborted = True
        self._connection.disconnect()

    def _check(self) -> None:
        if self._is_aborted:
            raise redis.ConnectionError("the time is over")


def problem(error: BaseException) -> str:
    """Return what an error of redis-py means, and what to do, without the server's own words."""
    cause = reason(error)
    text = " ".join([each.__name__ for each in type(error).__mro__] + [str(error), cause])
    for pattern, meaning in _MEANINGS:
        match = re.search(pattern, text)
        if match is not None:
            return meaning.format(cause, *match.groups())
    return "the shared store cannot be used ({})".format(type(error).__name__)


def _plain() -> Dict[str, Any]:
    """Return the options that spare a connection what the store does not need: the newer protocol, and a name."""
    known = inspect.signature(
        getattr(redis.connection, "AbstractConnection", redis.connection.Connection).__init__).parameters
    options: Dict[str, Any] = {"protocol": 2}
    options.update({"driver_info": None} if "driver_info" in known else {"lib_name": None, "lib_version": None})
    return {name: value for name, value in options.items() if name in known}


_PLAIN = _plain()
