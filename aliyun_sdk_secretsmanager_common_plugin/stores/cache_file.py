"""An encrypted file of the last good keys. It serves a process that starts while no region answers."""

import base64
import contextlib
import errno
import json
import logging
import os
import stat
import threading
from typing import Any, Dict, Iterator, NamedTuple, NoReturn, Optional, Tuple

from cryptography.exceptions import InvalidTag, UnsupportedAlgorithm
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

from ..clock import Clock
from ..exceptions import ConfigurationError
from ..secrecy import json_object, shown_path
from ..secret_info import CacheSecretInfo, SecretInfo, answer_of
from ..settings import CacheFileSettings
from ..threads import await_exit, run_soon

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

logger = logging.getLogger(__name__)

# The cost of scrypt (RFC 7914) for a new file: 32 MiB and about 0.1 s. A file names its own cost.
COST = {"n": 1 << 15, "r": 8, "p": 1}
# A file with a larger n * r * p is refused: this one takes 128 MiB and about 0.4 s, in odd proportions a few seconds.
LARGEST_COST = 1 << 20
# Seconds that a write waits for another process, that a fork waits for a write, and that the end of a client waits for
# a write, counted from its start.
LOCK_TIMEOUT = 10.0
WRITE_PATIENCE = 1.0
END_PATIENCE = 5.0

_FORMAT = b"managed-credentials cache file, format "
_FIRST_LINE = _FORMAT + b"1\n"
_NONCE_BYTES = 12
_DELETE = "delete the file: a new one will be written"  # what to do, in messages


class _Opened(NamedTuple):
    """The content of a cache file whose seal is intact. ``head`` is its first two lines."""

    head: bytes
    cipher: AESGCM
    entries: Dict[str, Dict[str, Any]]


class CacheFile:
    """A recovery strategy that stores the last key of each secret in a file, which processes may share.

    The file is text. Line 1 names the format. Line 2 is a JSON object with cost and salt of scrypt, which derives the
    encryption key from the password. Then there is a JSON object for each secret: its name, when it was read, and the
    sealed answer of Secrets Manager. The last line seals all lines before it. Sealed means encrypted with AES-256-GCM,
    and bound to the first two lines, the name and the time.

    A thread of its own writes the file as a whole: first to another name, which then replaces the old file.

    Args:
        settings: the path and the password.
        clock: the clocks.

    Raises:
        ConfigurationError: the file has another format, is not only this user's, is damaged, or has another password.
            It is left as it is. Or its directory is missing, or the system has no file locks.
    """

    def __init__(self, settings: CacheFileSettings, clock: Clock) -> None:
        self._path = settings.path
        self._password = settings.password
        self._clock = clock
        # Guards what is to be written and which thread writes. Reentrant: a finalizer may run while it is held.
        self._lock = threading.RLock()
        self._kept: Dict[str, Tuple[float, Any]] = {}  # all secrets of this process, to write a deleted file anew
        self._pending: Dict[str, Tuple[float, Any]] = {}
        self._lock_file: Optional[int] = None
        self._writing = False
        self._writer: Optional[threading.Thread] = None
        self._began = 0.0  # when the write started, by the monotonic clock
        if fcntl is None:
            raise ConfigurationError("cache_file_path needs file locks, which this system lacks; remove the key")
        if not os.path.isdir(self._directory()):
            self._refuse("its directory does not exist; create it, or name another file in cache_file_path")
        # Let scrypt, which takes time and memory, run now rather than during an outage.
        self._ciphers: Dict[bytes, AESGCM] = {}
        salt = base64.b64encode(os.urandom(16)).decode("ascii")
        self._new_head = _FIRST_LINE + _line(dict(COST, salt=salt))
        if self._open() is None:
            self._cipher(self._new_head)

    def keep_secret(self, secret_info: Any) -> None:
        """Write a new secret, a ``SecretInfo``, soon and in another thread."""
        with self._lock:
            self._kept[secret_info.secret_name] = self._pending[secret_info.secret_name] = (
                self._clock.time(), secret_info)
            self.catch_up()

    def catch_up(self) -> None:
        """Write in another thread what has not been written: after a failed write, or if the file was deleted."""
        deleted = not os.path.lexists(self._path)
        with self._lock:
            if deleted and not self._writing:
                self._pending = dict(self._kept)
            if not self._pending or self._writing:
                return
            self._writing = True
            writer = threading.Thread(target=self._run, name="managed-credentials-cache-file", daemon=True)
            self._began = self._clock.monotonic()
            try:
                run_soon(writer)  # under the lock, so that flush() finds the writer of each kept secret
            except RuntimeError as error:  # no more threads
                self._failed({}, error)
            else:
                self._writer = writer

    def recover_get_secret(self, secret_name: str) -> Optional[CacheSecretInfo]:
        """Return the stored secret with the time when it was read from Secrets Manager, or None.

        Raises:
            ConfigurationError: the file cannot be used, as for the constructor.
        """
        opened = self._open()
        entry = None if opened is None else opened.entries.get(secret_name)
        if opened is None or entry is None:
            return None
        answer = json_object(_unsealed(opened.cipher, entry.get("sealed"), _bound(opened.head, entry)))
        if answer is None:
            self._refuse("the entry of secret {!r} is damaged; {}".format(secret_name, _DELETE))
        return CacheSecretInfo("ACSCurrent", int(entry["read"] * 1000), SecretInfo.from_answer(secret_name, answer))

    def flush(self) -> None:
        """Wait for a write in progress until ``END_PATIENCE`` after its start, however many clients end together."""
        self._await_writer(self._began + END_PATIENCE - self._clock.monotonic())

    def await_write(self) -> None:
        """Wait for a write in progress, at most ``WRITE_PATIENCE``."""
        self._await_writer(WRITE_PATIENCE)

    def after_fork_in_child(self) -> None:
        """Leave all pending writes to the parent process."""
        self._lock = threading.RLock()
        self._pending, self._writing, self._writer = {}, False, None
        if self._lock_file is not None:  # it shares the parent's file lock
            os.close(self._lock_file)
            self._lock_file = None

    def __repr__(self) -> str:
        return "CacheFile({})".format(shown_path(self._path))

    def _await_writer(self, seconds: float) -> None:
        writer = self._writer
        if writer is not None and writer is not threading.current_thread() and writer.is_alive():
            writer.join(max(0.0, seconds))
            await_exit(writer)

    def _refuse(self, problem: str) -> NoReturn:
        raise ConfigurationError("the cache file {}: {}".format(shown_path(self._path), problem))

    def _directory(self) -> str:
        return os.path.dirname(os.path.abspath(self._path))

    def _run(self) -> None:
        while True:
            with self._lock:
                pending, self._pending = self._pending, {}
                if not pending:
                    self._writing = False
                    return
            try:
                self._write(pending)
            except Exception as error:
                self._failed(pending, error)
                return

    def _failed(self, pending: Dict[str, Tuple[float, Any]], error: Exception) -> None:
        with self._lock:
            self._pending = dict(pending, **self._pending)
            self._writing = False
        is_safe = isinstance(error, (OSError, RuntimeError, ConfigurationError))  # others may show their arguments
        logger.warning("the cache file %s could not be written, which is tried again at the next refresh: %s",
                       self._path, error if is_safe else type(error).__name__)

    def _write(self, pending: Dict[str, Tuple[float, Any]]) -> None:
        with self._locked():
            opened = self._open()
            if opened is None:
                with self._lock:
                    pending = dict(pending, **self._kept)
            head, cipher, entries = opened or _Opened(self._new_head, self._cipher(self._new_head), {})
            for name, (read, secret_info) in pending.items():
                # Another process may have stored a later read. A time in the future is not trusted.
                if name in entries and read < entries[name]["read"] <= self._clock.time():
                    continue
                entry = {"secret": name, "read": read}
                answer = json.dumps(answer_of(secret_info), default=str).encode("ascii")
                entries[name] = dict(entry, sealed=_sealed(cipher, answer, _bound(head, entry)))
            content = head + b"".join(map(_line, entries.values()))
            self._replace(content + _line({"seal": _sealed(cipher, b"", content)}))

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        """Hold the lock that processes share. Its file is never deleted: a new file would be another lock."""
        descriptor = self._lock_file = os.open(self._path + ".lock", os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
        try:
            deadline = self._clock.monotonic() + LOCK_TIMEOUT
            while True:
                try:
                    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    if self._clock.monotonic() >= deadline:
                        raise TimeoutError("another process has held {}.lock for {:.0f} s".format(
                            self._path, LOCK_TIMEOUT)) from None
                self._clock.sleep(0.01)
            try:
                yield
            finally:
                fcntl.flock(descriptor, fcntl.LOCK_UN)  # a child that was forked meanwhile shares it
        finally:
            self._lock_file = None
            os.close(descriptor)

    def _replace(self, content: bytes) -> None:
        """Replace the file by ``content``. Whenever process or machine stop, the old or the new file is there."""
        new = self._path + ".new"
        with contextlib.suppress(FileNotFoundError):
            os.unlink(new)  # left by a process that was killed here
        descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(descriptor)
            os.replace(new, self._path)
        except OSError:
            with contextlib.suppress(OSError):
                os.unlink(new)
            raise
        with contextlib.suppress(OSError):  # some directories cannot be read, and some file systems cannot sync them
            directory = os.open(self._directory(), os.O_RDONLY)
            try:
                os.fsync(directory)
            finally:
                os.close(directory)

    def _open(self) -> Optional[_Opened]:
        """Return the content of the file, or None if there is no file.

        Raises:
            ConfigurationError: the file cannot be used, as for the constructor.
        """
        content = self._content()
        if content is None:
            return None
        lines = content.splitlines(keepends=True)
        if lines[0] != _FIRST_LINE:
            self._refuse("has another format than 1, the one that this version writes; {}, or name another file in "
                         "cache_file_path".format(_DELETE))
        seal = (json_object(lines[-1]) or {}).get("seal") if lines[-1].endswith(b"\n") else None
        if len(lines) < 3 or seal is None:
            self._refuse("is truncated; " + _DELETE)
        head = b"".join(lines[:2])
        cipher = self._cipher(head)
        if _unsealed(cipher, seal, b"".join(lines[:-1])) is None:
            self._refuse("the password does not open it, or it is damaged; give the password that it was written with, "
                         "or " + _DELETE)
        entries = [json_object(line) or {} for line in lines[2:-1]]
        if not all(isinstance(entry.get("secret"), str) and _is_time(entry.get("read")) for entry in entries):
            self._refuse("an entry is damaged; " + _DELETE)
        return _Opened(head, cipher, {entry["secret"]: entry for entry in entries})

    def _content(self) -> Optional[bytes]:
        """Return the bytes of the file, or None if there is no file."""
        try:
            # O_NONBLOCK: a pipe would hang.
            descriptor = os.open(self._path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        except FileNotFoundError:
            return None
        except OSError as error:
            problem = "is a symbolic link; name the file itself in cache_file_path" if error.errno == errno.ELOOP \
                else "cannot be read ({})".format(error.strerror)
        except ValueError:
            problem = "no file can have this name; name another file in cache_file_path"
        else:
            return self._content_of(descriptor)
        self._refuse(problem)

    def _content_of(self, descriptor: int) -> bytes:
        """Return the bytes of an open file of this package, if nobody but this user can read or write it."""
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            os.close(descriptor)
            self._refuse("is not a regular file; name another file in cache_file_path")
        with os.fdopen(descriptor, "rb") as file:
            first_line = file.readline(len(_FIRST_LINE) + 10)
            if not first_line.startswith(_FORMAT):
                self._refuse("is not a cache file of this package; name another file in cache_file_path")
            if status.st_uid != os.geteuid():
                self._refuse("belongs to user {}, but this process runs as user {}; name another file in "
                             "cache_file_path".format(status.st_uid, os.geteuid()))
            if stat.S_IMODE(status.st_mode) & 0o077:
                self._refuse("other users can read or write it (mode {:o}); run chmod 600 on it, or {}".format(
                    stat.S_IMODE(status.st_mode), _DELETE))
            return first_line + file.read()

    def _cipher(self, head: bytes) -> AESGCM:
        """Return the cipher for the cost and salt in ``head``. The last one is cached, since scrypt is slow."""
        cipher = self._ciphers.get(head)
        if cipher is None:
            try:
                fields = json_object(head[len(_FIRST_LINE):]) or {}
                cost, salt = [fields[name] for name in "nrp"], base64.b64decode(fields["salt"], validate=True)
                n, r, p = cost
                if all(type(each) is int and each > 0 for each in cost) and n * r * p <= LARGEST_COST:
                    # An environment variable may hold bytes that are no UTF-8.
                    cipher = AESGCM(Scrypt(salt, 32, n, r, p).derive(self._password.encode("utf-8", "surrogateescape")))
            except UnsupportedAlgorithm:
                self._refuse("the OpenSSL of this Python has no scrypt; remove cache_file_path")
            except MemoryError:  # OpenSSL reports this also for an n that is too large for r
                self._refuse("scrypt cannot get the memory that it needs (n={}, r={}, p={}); give the process more, "
                             "or {}".format(n, r, p, _DELETE))
            except (KeyError, TypeError, ValueError):
                pass
            if cipher is None:
                self._refuse("its second line is damaged; " + _DELETE)
            self._ciphers = {head: cipher}
        return cipher


def _is_time(value: Any) -> bool:
    return isinstance(value, (int, float)) and 0 <= value < 1e12  # not NaN


def _line(value: Dict[str, Any]) -> bytes:
    return json.dumps(value).encode("ascii") + b"\n"


def _bound(head: bytes, entry: Dict[str, Any]) -> bytes:
    """Return the associated data that binds an entry's answer to its file, name and time."""
    return head + json.dumps([entry["secret"], entry["read"]]).encode("ascii")


def _sealed(cipher: AESGCM, data: bytes, bound: bytes) -> str:
    nonce = os.urandom(_NONCE_BYTES)
    return base64.b64encode(nonce + cipher.encrypt(nonce, data, bound)).decode("ascii")


def _unsealed(cipher: AESGCM, text: Any, bound: bytes) -> Optional[bytes]:
    """Return the sealed data, or None if it or its associated data was changed."""
    try:
        sealed = base64.b64decode(text, validate=True)
        return cipher.decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], bound)
    except (InvalidTag, TypeError, ValueError):
        return None
