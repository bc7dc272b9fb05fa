"""An identity whose credentials others give, for a while: it asks for newer ones, and no caller waits for long."""

import logging
import threading
import time
from typing import Callable, Optional, Union

from . import threads
from .access_key import AccessKey
from .identities import Identity, IdentityError
from .providers import ASKING_THREAD, NoCredentials, Source, forget_sockets

logger = logging.getLogger(__name__)

# Seconds after which an answer is not waited for any more, and after which the credentials in use are preferred to it.
LIMIT = 10.0
BRIEFLY = 0.5


class ProvidedIdentity(Identity):
    """Credentials that others give, for a while."""

    def __init__(self, about: str, source: Source) -> None:
        super().__init__(about)
        # Guards what is below: which question is the current one, and of which the last credentials are. It is held for
        # no I/O and no waiting.
        self._lock = threading.Lock()
        self._source = source
        self._question: Optional[_Question] = None
        self._asked = 0
        self._answered = 0  # the number of the last question whose answer counts: those of former ones come too late
        self._last: Optional[AccessKey] = None
        self._of_thread = threading.local()  # key: the one that this thread signed with

    def renew(self) -> bool:
        with self._lock:
            # Others may have been had meanwhile, by a thread whose request was refused earlier.
            if getattr(self._of_thread, "key", self._last) == self._last:
                self._answered, self._last = self._asked, None
                self._start_afresh()
        return True

    def waiting_for(self) -> str:
        question = self._question
        waits = question is not None and not question.has_ended() and self._in_hand() is None
        return "the identity ({})".format(self._about) if waits else ""

    def after_fork_in_child(self) -> None:
        self._lock = threading.Lock()
        self._start_afresh()  # the thread that asks is the parent's, and so are locks in the provider
        forget_sockets()

    def _access_key(self) -> AccessKey:
        question = self._current_question()
        answer = question.wait(LIMIT if self._in_hand() is None else BRIEFLY)
        if isinstance(answer, NoCredentials):
            failure, in_hand = answer, self._in_hand()  # anew: others may have got some, or had these refused
            if in_hand is None:
                raise IdentityError("identity ({}): {}".format(self._about, failure), failure.retryable)
            # The library asks a good while before the end of those that it has.
            logger.warning("identity (%s): %s; going on with the credentials in use", self._about, failure)
            answer = in_hand
        self._of_thread.key = answer
        return answer

    def _in_hand(self) -> Optional[AccessKey]:
        """Return the last credentials while they are good; where their end is not known, Secrets Manager says so."""
        last = self._last
        return None if last is None or last.expires is not None and last.expires <= time.time() else last

    def _current_question(self) -> "_Question":
        """Return the single flight: the question under way, or else a new one."""
        with self._lock:
            question = self._question
            if question is not None and not question.has_ended():
                if question.age() < LIMIT:
                    return question
                self._start_afresh()  # no provider is called by two threads
            self._asked += 1
            question = self._question = _Question(self._asked, self._source, self._take)
        question.start()
        return question

    def _start_afresh(self) -> None:
        """Leave a question that is under way to itself."""
        self._source, self._question = self._source.afresh(), None

    def _take(self, number: int, key: AccessKey) -> None:
        with self._lock:
            if number > self._answered:
                self._answered, self._last = number, key


class _Question:
    """A question to a source, in a daemon thread of its own: it may hang, or be answered by drips.

    Args:
        number: which one of its identity.
        source: who is asked.
        take: called with the number and with the credentials, before those who wait are told.
    """

    def __init__(self, number: int, source: Source, take: Callable[[int, AccessKey], None]) -> None:
        self._number = number
        self._source = source
        self._take = take
        self._began = time.monotonic()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name=ASKING_THREAD, daemon=True)
        self._answer: Union[AccessKey, NoCredentials, None] = None

    def start(self) -> None:
        try:
            threads.start(self._thread)
        except RuntimeError as error:
            self._end(NoCredentials("cannot ask: {}".format(error), retryable=True))

    def has_ended(self) -> bool:
        return self._ended.is_set()

    def age(self) -> float:
        """Return the seconds since it began."""
        return time.monotonic() - self._began

    def wait(self, seconds: float) -> Union[AccessKey, NoCredentials]:
        """Return the answer, or why there is none, at latest when it is as many seconds old."""
        self._ended.wait(max(0.0, seconds - self.age()))
        return self._answer or self._source.no_answer("within {:g} s".format(seconds))

    def _run(self) -> None:
        try:
            answer: Union[AccessKey, NoCredentials] = self._source.ask()
        except BaseException as error:
            answer = self._source.explain(error)
        self._end(answer)

    def _end(self, answer: Union[AccessKey, NoCredentials]) -> None:
        if isinstance(answer, AccessKey):
            self._take(self._number, answer)
        self._answer = answer
        threads.leaves(self._thread)
        self._ended.set()
