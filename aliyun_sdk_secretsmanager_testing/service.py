"""What every service does with a request: log it, let a fault have it, answer it."""
from typing import Optional, Tuple

from .calls import CallLog, Subject
from .clock import SystemClock
from .faults import FORBIDDEN, THROTTLING, FaultBoard
from .http import Answer, Dropped, Pieces, Request, Unanswered
from .keyring import Keyring


class Shared:
    """What all services of one cloud share."""

    def __init__(self, clock: SystemClock) -> None:
        self.clock = clock
        self.keyring = Keyring()
        self.log = CallLog()
        self.faults = FaultBoard()


class Service:
    """One service. Subclasses say what a request is about, and how it is answered and refused.

    Attributes:
        THROTTLING: status and code of its own for too many requests.
        FORBIDDEN: status and code of its own for a caller without permission.
    """

    THROTTLING: Tuple[int, str] = (429, "Throttling")
    FORBIDDEN: Tuple[int, str] = (403, "Forbidden")

    def __init__(self, shared: Shared) -> None:
        self.shared = shared

    def subject(self, request: Request) -> Subject:
        """What a request is about, for the log and the faults."""
        raise NotImplementedError

    def answer(self, request: Request) -> Answer:
        """The right answer; errors of the service are answers too."""
        raise NotImplementedError

    def refuse(self, request: Request, status: int, code: str) -> Answer:
        """An error answer of the service's shape.

        Args:
            status: HTTP status.
            code: error code.
        """
        raise NotImplementedError

    def _refuse(self, request: Request, status: int, code: str) -> Answer:
        """As ``refuse``; with status 0 the code is ``throttling`` or ``forbidden``, for the service's own."""
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
            # Before it is sent: the client may look into the log as soon as it has the answer.
            self._close(number, answer)
            answer.unsent = lambda: self._close(number, None, "dropped")
        else:
            answer.body = self._watched(number, answer, answer.body)
        return answer

    def _watched(self, number: int, answer: Answer, body: Pieces) -> Pieces:
        """A body sent in pieces: noted as on its way before the first, as given before the last, or as broken off."""
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
