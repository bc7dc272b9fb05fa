"""What the plugins share: how clients and providers hold a secret, and functions that several plugins use.

The plugins have the same modules, as far as their SDK needs them. ``client`` has the clients, which replay their calls;
``signing`` makes signatures; ``bodies`` has bodies that can be sent again; ``errors`` decides which errors mean a
rejected key; ``provider`` has the credentials provider; ``compat`` has the interface of the existing plugin.
"""

import sys
from contextlib import contextmanager
from typing import Any, Awaitable, Callable, Dict, Iterator, Optional, Tuple, Type, TypeVar

from .ak_expire_handler import AKExpireHandler
from .lease import Lease
from .managed_credentials import ManagedCredentials
from .runtime import in_event_loop
from .settings import Settings

Holder = TypeVar("Holder", bound="SecretHolder")

# The common errors of Alibaba Cloud's OpenAPI that mean a rejected key.
OPENAPI_CODES = ("InvalidAccessKeyId.NotFound", "InvalidAccessKeyId", "InvalidAccessKeyId.Inactive")


@contextmanager
def extra(name: str, needed_by: str, python: Tuple[int, int] = (3, 6)) -> Iterator[None]:
    """Have an import that fails say what to install.

    Args:
        name: the extra of this distribution that installs the imported package.
        needed_by: the module that needs the package.
        python: the oldest version of Python that the package supports.

    Raises:
        ImportError: an import failed, or this Python is too old. It is of the same class as the import's own error.
    """
    if sys.version_info < python:
        raise ImportError("{} needs Python {}.{} or newer".format(needed_by, *python))
    try:
        yield
    except ImportError as error:
        raise type(error)(
            '{0} needs the extra "{1}": pip install "aliyun-sdk-managed-credentials-providers[{1}]"'.format(
                needed_by, name),
            name=error.name, path=error.path) from error


class SecretHolder:
    """A mixin, in front of the SDK's class, for an object that holds a secret.

    The constructor of a subclass calls ``_take_secret``. A copy, or an object that is unpickled, calls ``_hold``, and
    so gets a lease of its own.

    Attributes:
        secret_name: the secret, read-only.
        ak_expire_handler: the handler, read-only.
    """

    secret_name: str
    ak_expire_handler: AKExpireHandler
    _managed_credentials: ManagedCredentials
    _lease: Lease
    # Makes the default handler.
    _HANDLER: Callable[[], AKExpireHandler]
    # Whether the object is used in event loops. If so, its constructor does not wait for the secret there.
    _IN_EVENT_LOOPS = False
    # The attributes that ``_hold`` sets; they are neither copied nor pickled.
    _HELD: Tuple[str, ...] = ("_lease",)

    def _take_secret(
        self,
        secret_name: str,
        ak_expire_handler: Optional[AKExpireHandler] = None,
        managed_credentials: Optional[ManagedCredentials] = None,
    ) -> None:
        """Read the secret and hold it; None means the SDK's own handler, and the default credentials."""
        self.secret_name = secret_name
        self.ak_expire_handler = type(self)._HANDLER() if ak_expire_handler is None else ak_expire_handler
        self._managed_credentials = managed_credentials or ManagedCredentials.default()
        self._hold()

    def _hold(self) -> None:
        """Read the secret, and set the attributes that ``_HELD`` names."""
        wait = not (self._IN_EVENT_LOOPS and in_event_loop())
        self._lease = self._managed_credentials.lease(
            self, self.secret_name, self.ak_expire_handler, type(self)._forget_sockets, wait)

    def _forget_sockets(self) -> None:
        """Drop the parent's sockets in a forked child. The default is for objects that have no sockets."""

    def shutdown(self) -> None:
        """Release the secret; other clients are not affected. Idempotent."""
        self._lease.close()

    def __enter__(self: Holder) -> Holder:
        return self

    def __exit__(self, *exc_info: Any) -> None:
        self.shutdown()

    def __reduce_ex__(self, protocol: Any) -> Any:
        reduced: Any = super().__reduce_ex__(protocol)
        # A class that managed_class() made cannot be found by its name: it is pickled as the call that makes it.
        made_by = vars(type(self)).get("_made_by")
        return reduced if made_by is None else (_blank, made_by) + reduced[2:]

    def __getstate__(self) -> Dict[str, Any]:
        self._lease.require_open()
        inherited = getattr(super(), "__getstate__", None)  # before Python 3.11 object has none
        state = inherited() if inherited else vars(self)
        return {name: value for name, value in state.items() if name not in self._HELD}

    def __setstate__(self, state: Dict[str, Any]) -> None:
        inherited = getattr(super(), "__setstate__", None)
        (inherited or vars(self).update)(state)
        self._hold()

    def __repr__(self) -> str:
        return "<{} of secret {!r}>".format(type(self).__name__, vars(self).get("secret_name"))


class KeyProvider(SecretHolder):
    """A mixin for an object that gives an SDK the current key, and is not told whether a service rejects it.

    Args:
        secret_name: the secret, which the constructor reads.
        managed_credentials: where to read it. None means ``ManagedCredentials.default()``.
    """

    def __init__(self, secret_name: str, managed_credentials: Optional[ManagedCredentials] = None) -> None:
        self._take_secret(secret_name, managed_credentials=managed_credentials)

    def rejected(self, access_key: Any) -> None:
        """Report that a service rejected a key. If it is the current one, it is renewed in the background.

        Args:
            access_key: the credentials that the provider gave, or their AccessKey id.

        Raises:
            ManagedCredentialsError: the provider was shut down.
        """
        self._lease.rejected(access_key)


def _blank(managed: Callable[[Any], Any], client_class: Any) -> Any:
    """Return an empty object of the class that ``managed`` makes; unpickling then sets its state."""
    made = managed(client_class)
    return made.__new__(made)


def managed_class(managed: Callable[[Any], Any], mixin: Type[Any], client_class: Type[Any]) -> Any:
    """Return the subclass of an SDK's client class whose clients hold a secret; the same class each time.

    Args:
        managed: the plugin's function that returns this class for ``client_class``. Pickles find the class by it.
        mixin: the first base class, a ``SecretHolder``.
        client_class: the SDK's class, the second base class.
    """
    if (managed, client_class) not in _classes:
        described = {"__module__": client_class.__module__, "__doc__": mixin.__doc__,
                     "_made_by": (managed, client_class)}
        made = type("Managed" + client_class.__name__, (mixin, client_class), described)
        _classes.setdefault((managed, client_class), made)
    return _classes[managed, client_class]


_classes: Dict[Any, Any] = {}


def replay_bytes(
    settings: Settings, buffer_bytes: Optional[int] = None, spool_bytes: Optional[int] = None
) -> Tuple[int, int]:
    """Return how many bytes of a body that can be read only once are kept for a replay: in memory, and in a file.

    Args:
        settings: has the defaults.
        buffer_bytes: the program's own limit in memory; None means the default.
        spool_bytes: the program's own limit in a file, for a body that is larger; None means the default.
    """
    return (settings.replay_buffer_bytes if buffer_bytes is None else buffer_bytes,
            settings.replay_spool_bytes if spool_bytes is None else spool_bytes)


def answered(errors: Type[Exception], method: Callable[..., Any], *args: Any, **kwargs: Any) -> Tuple[Any, Any]:
    """Call a method of an SDK, and return what ``Lease.call`` expects of one attempt.

    Args:
        errors: the class of errors that are answers of a service; other errors pass.
        method: the method.
        args: its positional arguments.
        kwargs: its keyword arguments.

    Returns:
        What the method returned, and None; or None, and the service's error.
    """
    try:
        return method(*args, **kwargs), None
    except errors as error:
        return None, _without_traceback(error)


async def answered_async(
    errors: Type[Exception], method: Callable[..., Awaitable[Any]], *args: Any, **kwargs: Any
) -> Tuple[Any, Any]:
    """Do what ``answered`` does with a method that is awaited.

    Args:
        errors: the class of errors that are answers of a service; other errors pass.
        method: the method.
        args: its positional arguments.
        kwargs: its keyword arguments.

    Returns:
        What ``answered`` returns.
    """
    try:
        return await method(*args, **kwargs), None
    except errors as error:
        return None, _without_traceback(error)


def _without_traceback(error: Exception) -> Exception:
    # The SDK's frames hold the error, and its traceback holds them: body and key would stay in memory until the garbage
    # collector runs.
    return error.with_traceback(None)
