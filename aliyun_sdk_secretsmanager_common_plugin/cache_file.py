"""The last good keys in a file, encrypted, for a process that starts while no region of Secrets Manager answers."""

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

from .clock import Clock
from .exceptions import ConfigurationError
from .secrecy import json_object
from .secret_info import CacheSecretInfo, SecretInfo, answer_of
from .settings import CacheFileSettings
from .threads import await_exit

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

logger = logging.getLogger(__name__)

# What scrypt (RFC 7914) costs for a file that is made now: 32 MiB and some 0.1 s. Each file says what its own costs.
COST = {"n": 1 << 15, "r": 8, "p": 1}
# n * r * p of a file whose cost is believed.
LARGEST_COST = 1 << 22
# Seconds that a write waits for those of other processes, and that are waited for a write.
LOCK_TIMEOUT = 10.0
WRITE_PATIENCE = 1.0

_FORMAT = b"managed-credentials cache file, format "
_FIRST_LINE = _FORMAT + b"1\n"
_NONCE_BYTES = 12


class _Opened(NamedTuple):
    """A cache file whose seal was found whole: its first two lines, their cipher, and the entries by secret."""

    head: bytes
    cipher: AESGCM
    entries: Dict[str, Dict[str, Any]]


class CacheFile:
    """A recovery strategy that keeps the last key of each secret in a file, which other processes may share.

    The file is text. Its first line names the format, the second is a JSON object with the cost and the salt of scrypt,
    which makes the key of the password. An object for each secret follows: its name, when it was read, and, sealed,
    what Secrets Manager answered; then one with the seal of all lines before it. To seal is AES-256-GCM, bound to the
    first two lines, and to the name and time of a secret.

    A thread of its own writes the file, whole, to another name beside it, and gives it its name when it is on the disk.

    Args:
        settings: the file and its password.
        clock: the clocks.

    Raises:
        ConfigurationError: the file is none of this package's, is not this user's alone, is damaged, or the password
            does not open it; it is left as it is. Or its directory is missing, or the system knows no file locks.
    """

    def __init__(self, settings: CacheFileSettings, clock: Clock) -> None:
        self._path = settings.path
        self._password = settings.password
        self._clock = clock
        # Guards what is to be written, and who writes; reentrant, since the garbage collector may run code of others.
        self._lock = threading.RLock()
        self._kept: Dict[str, Tuple[float, Any]] = {}  # all of this process, for a file that is made anew
        self._pending: Dict[str, Tuple[float, Any]] = {}
        self._lock_file: Optional[int] = None
        self._writing = False
        self._writer: Optional[threading.Thread] = None
        if fcntl is None:
            raise ConfigurationError("cache_file_path needs file locks, which this system lacks; take it out")
        if not os.path.isdir(self._directory()):
            self._refuse("its directory does not exist; create it, or name another file in cache_file_path")
        # scrypt takes its time, and much memory: now, rather than in an outage.
        self._ciphers: Dict[bytes, AESGCM] = {}
        salt = base64.b64encode(os.urandom(16)).decode("ascii")
        self._new_head = _FIRST_LINE + _line(dict(COST, salt=salt))
        if self._open() is None:
            self._cipher(self._new_head)

    def keep_secret(self, secret_info: Any) -> None:
        """Have a new secret written, soon and in another thread.

        Args:
            secret_info: the secret, a ``SecretInfo``.
        """
        with self._lock:
            self._kept[secret_info.secret_name] = self._pending[secret_info.secret_name] = (
                self._clock.time(), secret_info)
        self.catch_up()

    def catch_up(self) -> None:
        """Write what is to be written, also what could not be before, or whose file was deleted, in another thread."""
        deleted = not os.path.lexists(self._path)
        with self._lock:
            if deleted and not self._writing:
                self._pending = dict(self._kept)
            if not self._pending or self._writing:
                return
            self._writing = True
            writer = threading.Thread(target=self._run, name="managed-credentials-cache-file", daemon=True)
        try:
            writer.start()
        except RuntimeError as error:  # the system gives no more threads
            self._failed({}, error)
        else:
            self._writer = writer

    def recover_get_secret(self, secret_name: str) -> Optional[CacheSecretInfo]:
        """Return the secret that was kept, with the time when Secrets Manager gave it, None if there is none.

        Raises:
            ConfigurationError: as the constructor.
        """
        opened = self._open()
        entry = None if opened is None else opened.entries.get(secret_name)
        if opened is None or entry is None:
            return None
        answer = json_object(_unsealed(opened.cipher, entry.get("sealed"), _bound(opened.head, entry)))
        if answer is None:
            self._refuse("the entry of secret {!r} is not what was written; delete the file".format(secret_name))
        return CacheSecretInfo("ACSCurrent", int(entry["read"] * 1000), SecretInfo.from_answer(secret_name, answer))

    def await_write(self) -> None:
        """Wait for a write in progress, not for long."""
        writer = self._writer
        if writer is not None and writer is not threading.current_thread():
            writer.join(WRITE_PATIENCE)
            await_exit(writer)

    def after_fork_in_child(self) -> None:
        """Leave to the parent process what it has to write."""
        self._lock = threading.RLock()
        self._pending, self._writing, self._writer = {}, False, None
        if self._lock_file is not None:  # else this process would hold the parent's lock, too
            os.close(self._lock_file)
            self._lock_file = None

    def __repr__(self) -> str:
        return "CacheFile({!r})".format(self._path)

    def _refuse(self, problem: str) -> NoReturn:
        raise ConfigurationError("the cache file {}: {}".format(self._path, problem))

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
        said = isinstance(error, (OSError, RuntimeError, ConfigurationError))  # others may say what they were given
        logger.warning("the cache file %s could not be written, which is tried again at the next refresh: %s",
                       self._path, error if said else type(error).__name__)

    def _write(self, pending: Dict[str, Tuple[float, Any]]) -> None:
        with self._locked():
            opened = self._open()
            if opened is None:
                with self._lock:
                    pending = dict(pending, **self._kept)
            head, cipher, entries = opened or _Opened(self._new_head, self._cipher(self._new_head), {})
            for name, (read, secret_info) in pending.items():
                # Another process may have read the secret since; a time that is still to come says nothing.
                if name in entries and read < entries[name]["read"] <= self._clock.time():
                    continue
                entry = {"secret": name, "read": read}
                answer = json.dumps(answer_of(secret_info), default=str).encode("ascii")
                entries[name] = dict(entry, sealed=_sealed(cipher, answer, _bound(head, entry)))
            content = head + b"".join(map(_line, entries.values()))
            self._replace(content + _line({"seal": _sealed(cipher, b"", content)}))

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        """Keep other processes from writing meanwhile. The lock's file stays: one made anew would be another lock."""
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
                fcntl.flock(descriptor, fcntl.LOCK_UN)  # a child forked meanwhile has the descriptor, too
        finally:
            self._lock_file = None
            os.close(descriptor)

    def _replace(self, content: bytes) -> None:
        """Put ``content`` in the file's place; whenever the process or the machine ends, one of the two is there."""
        new = self._path + ".new"
        with contextlib.suppress(FileNotFoundError):
            os.unlink(new)  # of a process that was killed here
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
        directory = os.open(self._directory(), os.O_RDONLY)
        try:
            with contextlib.suppress(OSError):  # not every file system can
                os.fsync(directory)
        finally:
            os.close(directory)

    def _open(self) -> Optional[_Opened]:
        """Return what the file holds, None where there is no file."""
        content = self._content()
        if content is None:
            return None
        lines = content.splitlines(keepends=True)
        if lines[0] != _FIRST_LINE:
            self._refuse("is of another format than 1, that of this version; delete the file: it is made anew, or name "
                         "another in cache_file_path")
        seal = (json_object(lines[-1]) or {}).get("seal") if lines[-1].endswith(b"\n") else None
        if len(lines) < 3 or seal is None:
            self._refuse("is cut: its end is missing; delete the file: it is made anew")
        head = b"".join(lines[:2])
        cipher = self._cipher(head)
        if _unsealed(cipher, seal, b"".join(lines[:-1])) is None:
            self._refuse("the password does not open it, or it is damaged; give the password that it was written with, "
                         "or delete the file: it is made anew")
        entries = map(json.loads, [line.decode("ascii") for line in lines[2:-1]])
        return _Opened(head, cipher, {entry["secret"]: entry for entry in entries})

    def _content(self) -> Optional[bytes]:
        """Return the bytes of the file, None where there is no file; only of one that is this user's alone."""
        try:
            # Not to hang on a pipe.
            descriptor = os.open(self._path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        except FileNotFoundError:
            return None
        except OSError as error:
            problem = "is a symbolic link; name the file itself in cache_file_path" if error.errno == errno.ELOOP \
                else "cannot be read ({})".format(error.strerror)
        else:
            return self._content_of(descriptor)
        self._refuse(problem)

    def _content_of(self, descriptor: int) -> bytes:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            os.close(descriptor)
            self._refuse("is no regular file; name another in cache_file_path")
        with os.fdopen(descriptor, "rb") as file:
            first_line = file.readline(len(_FIRST_LINE) + 10)
            if not first_line.startswith(_FORMAT):
                self._refuse("is no cache file of this package; name another in cache_file_path")
            if status.st_uid != os.geteuid():
                self._refuse("belongs to the user {}, and this process is of the user {}; name another in "
                             "cache_file_path".format(status.st_uid, os.geteuid()))
            if stat.S_IMODE(status.st_mode) & 0o077:
                self._refuse("can be read or written by others than its owner (mode {:o}); take that from them (chmod "
                             "600), or delete the file: it is made anew".format(stat.S_IMODE(status.st_mode)))
            return first_line + file.read()

    def _cipher(self, head: bytes) -> AESGCM:
        """Return the cipher whose key the password makes with the salt in ``head``; that of the last one is at hand."""
        cipher = self._ciphers.get(head)
        if cipher is None:
            try:
                said = json_object(head[len(_FIRST_LINE):]) or {}
                n, r, p, salt = said["n"], said["r"], said["p"], base64.b64decode(said["salt"], validate=True)
                believed = 0 < n * r * p <= LARGEST_COST
                scrypt = Scrypt(salt, 32, n, r, p) if believed else None
            except UnsupportedAlgorithm:
                self._refuse("the OpenSSL of this Python has no scrypt; take cache_file_path out")
            except (KeyError, TypeError, ValueError):
                scrypt = None
            if scrypt is None:
                self._refuse("its second line is damaged; delete the file: it is made anew")
            # An environment variable may hold what is no UTF-8.
            cipher = AESGCM(scrypt.derive(self._password.encode("utf-8", "surrogateescape")))
            self._ciphers = {head: cipher}
        return cipher


def _line(value: Dict[str, Any]) -> bytes:
    return json.dumps(value).encode("ascii") + b"\n"


def _bound(head: bytes, entry: Dict[str, Any]) -> bytes:
    """Return what the answer in an entry is bound to: it opens in no other entry, and in no other file."""
    return head + json.dumps([entry["secret"], entry["read"]]).encode("ascii")


def _sealed(cipher: AESGCM, data: bytes, bound: bytes) -> str:
    nonce = os.urandom(_NONCE_BYTES)
    return base64.b64encode(nonce + cipher.encrypt(nonce, data, bound)).decode("ascii")


def _unsealed(cipher: AESGCM, text: Any, bound: bytes) -> Optional[bytes]:
    """Return what was sealed, None where it, or what it is bound to, is not as it was."""
    try:
        sealed = base64.b64decode(text, validate=True)
        return cipher.decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], bound)
    except (InvalidTag, TypeError, ValueError):
        return None
