"""An identity that gets its credentials from a source, in a thread of their own, and can renew them."""

import logging
import threading
import time
from typing import Callable, Optional, Union

from ..access_key import AccessKey
from ..threads import leaves, run_soon
from .credentials_library import forget_sockets
from .credentials_source import ASKING_THREAD, CredentialsSource, NoCredentials
from .identity import Identity, IdentityError

logger = logging.getLogger(__name__)

# Seconds after which nobody waits for the source any longer.
LIMIT = 10.0
# Seconds after which credentials that are still valid are used instead.
BRIEFLY = 0.5


class RenewableIdentity(Identity):
    """An identity that asks a source for credentials at each request. The source keeps them while they are valid."""

    def __init__(self, about: str, source: CredentialsSource) -> None:
        super().__init__(about)
        self._lock = threading.Lock()  # guards the fields below; nobody does I/O or waits while holding it
        self._source = source
        self._retrieval: Optional[_Retrieval] = None
        self._started = 0  # the number of the last retrieval
        self._taken = 0  # a retrieval with this number or a lower one comes too late: its credentials are dropped
        self._last: Optional[AccessKey] = None
        self._of_thread = threading.local()  # key: the one that this thread signed with

    def renew(self) -> bool:
        with self._lock:
            # Another thread whose request was refused earlier may have renewed the credentials already.
            if getattr(self._of_thread, "key", self._last) == self._last:
                self._taken, self._last = self._started, None
                self._start_afresh()
        return True

    def waiting_for(self) -> str:
        retrieval = self._retrieval
        waits = retrieval is not None and not retrieval.has_ended() and self._valid_key() is None
        return "the identity ({})".format(self._about) if waits else ""

    def after_fork_in_child(self) -> None:
        self._lock = threading.Lock()
        self._start_afresh()  # the retrieval's thread is in the parent, and may hold locks of the provider
        forget_sockets()

    def _access_key(self) -> AccessKey:
        retrieval = self._current_retrieval()
        outcome = retrieval.wait(LIMIT if self._valid_key() is None else BRIEFLY)
        if isinstance(outcome, NoCredentials):
            # Look again: another thread may have got credentials meanwhile, or had these refused.
            failure, valid = outcome, self._valid_key()
            if valid is None:
                raise IdentityError("identity ({}): {}".format(self._about, failure), failure.retryable)
            # The library asks for new credentials a good while before the old ones expire.
            logger.warning("identity (%s): %s; going on with the credentials in use", self._about, failure)
            outcome = valid
        self._of_thread.key = outcome
        return outcome

    def _valid_key(self) -> Optional[AccessKey]:
        """Return the last key unless it has expired. One without a known end is valid until it is refused."""
        last = self._last
        return None if last is None or last.expires is not None and last.expires <= time.time() else last

    def _current_retrieval(self) -> "_Retrieval":
        """Return the retrieval that is under way, or start one."""
        with self._lock:
            retrieval = self._retrieval
            if retrieval is not None and not retrieval.has_ended():
                if retrieval.age() < LIMIT:
                    return retrieval
                self._start_afresh()  # two threads must not call one provider
            self._started += 1
            retrieval = self._retrieval = _Retrieval(self._started, self._source, self._take)
        retrieval.start()
        return retrieval

    def _start_afresh(self) -> None:
        """Stop waiting for the current retrieval, and let the next one use a provider of its own."""
        self._source, self._retrieval = self._source.afresh(), None

    def _take(self, number: int, key: AccessKey) -> None:
        with self._lock:
            if number > self._taken:
                self._taken, self._last = number, key


class _Retrieval:
    """One retrieval of credentials, in a daemon thread of its own, because a source may hang or answer too slowly.

    ``take`` is called with its number and the credentials before those who wait get them.
    """

    def __init__(self, number: int, source: CredentialsSource, take: Callable[[int, AccessKey], None]) -> None:
        self._number = number
        self._source = source
        self._take = take
        self._began = time.monotonic()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name=ASKING_THREAD, daemon=True)
        self._outcome: Union[AccessKey, NoCredentials, None] = None

    def start(self) -> None:
        try:
            run_soon(self._thread)
        except RuntimeError as error:
            self._end(NoCredentials("cannot ask: {}".format(error), retryable=True))

    def has_ended(self) -> bool:
        return self._ended.is_set()

    def age(self) -> float:
        """Return the seconds since it began."""
        return time.monotonic() - self._began

    def wait(self, seconds: float) -> Union[AccessKey, NoCredentials]:
        """Return the outcome as soon as it is there, or "no answer" when the retrieval is ``seconds`` old."""
        self._ended.wait(max(0.0, seconds - self.age()))
        return self._outcome or self._source.no_answer("within {:g} s".format(seconds))

    def _run(self) -> None:
        try:
            outcome: Union[AccessKey, NoCredentials] = self._source.retrieve()
        except BaseException as error:
            outcome = self._source.explain(error)
        self._end(outcome)

    def _end(self, outcome: Union[AccessKey, NoCredentials]) -> None:
        if isinstance(outcome, AccessKey):
            self._take(self._number, outcome)
        self._outcome = outcome
        leaves(self._thread)
        self._ended.set()
