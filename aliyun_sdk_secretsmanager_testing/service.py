"""The base class of services, which logs each request, applies faults, and answers."""
from typing import Optional, Tuple

from .calls import CallLog, Subject
from .clock import SystemClock
from .faults import FORBIDDEN, THROTTLING, FaultBoard
from .http import Answer, Dropped, Pieces, Request, Unanswered
from .keyring import Keyring
from .nonces import Nonces


class Shared:
    """The state that all services of one cloud share."""

    def __init__(self, clock: SystemClock) -> None:
        self.clock = clock
        self.keyring = Keyring()
        self.nonces = Nonces()
        self.log = CallLog()
        self.faults = FaultBoard()


class Service:
    """A service. A subclass says what a request is about, how it is answered, and what an error looks like.

    Attributes:
        THROTTLING: status and code of the service's error for too many requests.
        FORBIDDEN: status and code of the service's error for a missing permission.
    """

    THROTTLING: Tuple[int, str] = (429, "Throttling")
    FORBIDDEN: Tuple[int, str] = (403, "Forbidden")

    def __init__(self, shared: Shared) -> None:
        self.shared = shared

    def subject(self, request: Request) -> Subject:
        """Return what a request is about, for the log and the faults."""
        raise NotImplementedError

    def answer(self, request: Request) -> Answer:
        """Return the right answer, which may be an error of the service."""
        raise NotImplementedError

    def refuse(self, request: Request, status: int, code: str) -> Answer:
        """Return an error answer of the service's own shape.

        Args:
            request: the request.
            status: HTTP status.
            code: error code.
        """
        raise NotImplementedError

    def _refuse(self, request: Request, status: int, code: str) -> Answer:
        """Refuse a request for a fault; with status 0 the code says which error of the service's own it is."""
        if not status:
            status, code = {THROTTLING: self.THROTTLING, FORBIDDEN: self.FORBIDDEN}[code]
        return self.refuse(request, status, code)

    def __call__(self, request: Request) -> Answer:
        shared = self.shared
        subject = self.subject(request)
        number = shared.log.open(subject, shared.clock.monotonic())
        injection = shared.faults.take(subject.service, subject.region, shared.clock.monotonic())
        try:
            if injection is None:
                answer = self.answer(request)
            else:
                answer = injection.fault.act(request, injection.released, lambda: self.answer(request), self._refuse)
        except OSError as error:
            why = error.why if isinstance(error, Unanswered) else "dropped"
            self._close(number, None, injection.fault.kind if injection else why)
            raise
        if isinstance(answer.body, bytes):
            # The log is written before the answer is sent, since the client may read it as soon as it has the answer.
            self._close(number, answer)
            answer.unsent = lambda: self._close(number, None, "dropped")
        else:
            answer.body = self._watched(number, answer, answer.body)
        return answer

    def _watched(self, number: int, answer: Answer, body: Pieces) -> Pieces:
        """Yield the pieces of a body, and log the answer.

        Before the first piece it is logged without a key, before the last one with the key, and where the connection
        ends earlier, as broken off.
        """
        self.shared.log.close(number, self.shared.clock.monotonic(), answer.status, answer.code)
        held = b""
        try:
            for piece in body:
                if held:
                    yield held
                held = piece
            self._close(number, answer)
        except GeneratorExit:
            self._close(number, None, "dropped")
            raise
        except Dropped as drop:
            self._close(number, None, drop.why)
            yield held
            raise
        yield held

    def _close(self, number: int, answer: Optional[Answer], code: str = "") -> None:
        now = self.shared.clock.monotonic()
        if answer is None:
            self.shared.log.close(number, now, 0, code)
        else:
            self.shared.log.close(number, now, answer.status, answer.code, answer.given)
