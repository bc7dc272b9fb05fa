"""What every service does with a request: log it, let a fault have it, answer it."""
from typing import Optional

from .calls import CallLog, Subject
from .clock import SystemClock
from .faults import FaultBoard
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
    """One service. Subclasses say what a request is about, and how it is answered and refused."""

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
            status: HTTP status; 0 for the service's own.
            code: error code, or with status 0 ``throttling`` or ``forbidden``.
        """
        raise NotImplementedError

    def __call__(self, request: Request) -> Answer:
        shared = self.shared
        subject = self.subject(request)
        number = shared.log.open(subject, shared.clock.monotonic())
        injection = shared.faults.take(subject.service, subject.region, shared.clock.monotonic())
        try:
            if injection is None:
                answer = self.answer(request)
            else:
                answer = injection.fault.act(request, injection.released, lambda: self.answer(request), self.refuse)
        except OSError as error:
            why = error.why if isinstance(error, Unanswered) else "dropped"
            self._close(number, None, injection.fault.kind if injection else why)
            raise
        if isinstance(answer.body, bytes):
            self._close(number, answer)
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
