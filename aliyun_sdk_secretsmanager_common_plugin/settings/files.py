"""The files that a configuration names: how they are read, even pipes, and why one cannot be read."""

import errno
import os
import selectors
import stat
import threading
import time
from typing import Dict, Tuple

# None of the files that a configuration names is larger.
LARGEST = 1 << 20
# Seconds until a pipe must have given all that it has.
PIPE_PATIENCE = 10.0

_State = Tuple[int, int, int]
# By path: the state of a pipe when it was read, which a new pipe at that path does not have, and its content.
_pipes: Dict[str, Tuple[_State, bytes]] = {}
# By process: a lock that guards _pipes, and lets only one thread read a pipe.
_locks: Dict[int, threading.Lock] = {}


class Unreadable(Exception):
    """A file cannot be read. The text says why and what to do, and shows neither path nor content."""


def read_file(path: str, missing: str) -> bytes:
    """Return the bytes of a file, at most 1 MiB.

    A pipe can be read only once, so its content is kept, and returned again for the same pipe.

    Args:
        path: the file.
        missing: what to do if there is no such file.

    Raises:
        Unreadable: it cannot be read.
    """
    try:
        return _content_of(path)
    except ValueError:
        problem = "that is no path; write that of a file"
    except OSError as error:
        remedies = {FileNotFoundError: missing, NotADirectoryError: missing, IsADirectoryError: "name the file in it",
                    PermissionError: "let the user of this process read it"}
        problem = "{}; {}".format(
            error.strerror or type(error).__name__, remedies.get(type(error), "give a regular file"))
    raise Unreadable(problem)  # outside the handler, because the other error holds the path


def read_text(path: str, missing: str) -> str:
    """Do what ``read_file`` does for a file in UTF-8, and return its text.

    Args:
        path: as of ``read_file``.
        missing: as of ``read_file``.

    Raises:
        Unreadable: it cannot be read, or is not UTF-8.
    """
    content = read_file(path, missing)
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        at = error.start
    raise Unreadable("it is no UTF-8 text (byte {}); save it as UTF-8".format(at))


def _content_of(path: str) -> bytes:
    kind = os.stat(path).st_mode
    if stat.S_ISFIFO(kind):
        content = _read_pipe(path)
    elif stat.S_ISREG(kind) or stat.S_ISDIR(kind):
        with open(path, "rb") as file:
            content = file.read(LARGEST + 1)
    else:
        raise OSError(errno.EINVAL, "it is neither a file nor a pipe")
    if len(content) > LARGEST:
        raise OSError(errno.EFBIG, "it is larger than {} bytes".format(LARGEST))
    return content


def certificates_problem(path: str) -> str:
    """Return why ``path`` is no file or directory of certificates; empty if it is one."""
    import ssl

    try:
        if os.path.isdir(path):
            ssl.create_default_context(capath=path)
        elif os.path.exists(path) and not os.path.isfile(path):
            return "it is no regular file"  # a pipe would have nothing left for its second reader
        else:
            _load_certificates(path)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or getattr(error, "reason", None) or type(error).__name__
        return "it is no file of certificates ({})".format(reason)
    return ""


def _load_certificates(path: str) -> None:
    """Try the first and the last certificate of a file; the first request notices a broken one in between.

    All of a system's bundle would take 20 ms or more.
    """
    import ssl

    begin, end = "-----BEGIN CERTIFICATE-----", "-----END CERTIFICATE-----"
    with open(path, encoding="latin-1") as file:
        certificates = file.read().split(begin)[1:]
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    for certificate in certificates[:1] + certificates[-1:]:
        body, ending, _ = certificate.partition(end)
        if not ending:
            raise OSError(errno.EINVAL, "a certificate in it is cut off")
        context.load_verify_locations(cadata=(begin + body + ending).encode("ascii", "replace").decode("ascii"))
    if not certificates:  # they may have another label
        context.load_verify_locations(path)


def system_ca() -> str:
    """Return the system's CA file or directory, or the bundle of ``requests`` if there is none."""
    import ssl

    paths = ssl.get_default_verify_paths()
    if paths.cafile:
        return paths.cafile
    if paths.capath and os.listdir(paths.capath):
        return paths.capath
    from certifi import where

    return where()


def _read_pipe(path: str) -> bytes:
    with _locks.setdefault(os.getpid(), threading.Lock()):
        kept = _pipes.get(path)
        if kept is None or kept[0] != _state(os.stat(path)):
            descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
            try:
                content = _drained(descriptor)
                kept = _pipes[path] = _state(os.fstat(descriptor)), content
            finally:
                os.close(descriptor)
    if not kept[1]:
        raise OSError(errno.EPIPE, "it is a pipe with nothing in it, or from which another process has read it")
    return kept[1]


def _state(status: os.stat_result) -> _State:
    return status.st_dev, status.st_ino, status.st_mtime_ns


def _drained(descriptor: int) -> bytes:
    """Return all that a pipe gives until its writers have closed it."""
    deadline = time.monotonic() + PIPE_PATIENCE
    content = b""
    with selectors.DefaultSelector() as selector:
        selector.register(descriptor, selectors.EVENT_READ)
        while len(content) <= LARGEST:
            if not selector.select(max(0.0, deadline - time.monotonic())):
                raise OSError(errno.ETIMEDOUT, "it is a pipe whose writers did not close it within {:g} s".format(
                    PIPE_PATIENCE))
            read = os.read(descriptor, 1 << 16)
            if not read:
                break
            content += read
    return content
