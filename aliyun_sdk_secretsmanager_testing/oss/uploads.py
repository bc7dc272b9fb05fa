"""How OSS receives bodies: what becomes of those that it refuses, and what happens while they come."""
import hashlib
import threading
from typing import Any, Callable, List, Optional, Tuple

from ..http import EARLY, PIECE, Answer, Request, Unanswered, Watch
from .errors import OssError

AFTER_THE_BODY = "after the body"
WITHOUT_AN_ANSWER = "without an answer"
REFUSALS = (AFTER_THE_BODY,) + EARLY + (WITHOUT_AN_ANSWER,)


class Uploads:
    """The settings of one cloud; see ``LocalCloud.refuse_uploads`` and ``LocalCloud.when_received``."""

    def __init__(self) -> None:
        self.recheck = False
        self._lock = threading.Lock()
        self._how = AFTER_THE_BODY
        self._awaited: List[Tuple[int, Callable[[], Any]]] = []

    def refuse(self, how: str, recheck: bool) -> None:
        """Say how uploads are refused from now on.

        Raises:
            ValueError: there is no such way.
        """
        if how not in REFUSALS:
            raise ValueError("uploads cannot be refused {!r}; the ways are {}".format(how, ", ".join(REFUSALS)))
        self._how, self.recheck = how, recheck

    def refused(self, request: Request, error: OssError) -> Answer:
        """The answer to a request whose signature is not accepted.

        Raises:
            Unanswered: it gets none.
        """
        how = self._how if request.has_body else AFTER_THE_BODY
        if how == WITHOUT_AN_ANSWER:
            raise Unanswered(how)
        answer = error.answer(request)
        if how in EARLY and not request.body_ended:
            answer.early = how
        return answer

    def when_received(self, received: int, action: Callable[[], Any]) -> None:
        """Have something done, once, when so many bytes of a body have come."""
        if received < 0:
            raise ValueError("a body has 0 bytes or more, not {}".format(received))
        with self._lock:
            self._awaited.append((received, action))

    def reached(self, received: int) -> int:
        """Do what has been waiting for so many bytes.

        Returns:
            How many more may come until the next is due.
        """
        with self._lock:
            due = [action for number, action in self._awaited if number <= received]
            self._awaited = [awaited for awaited in self._awaited if awaited[0] > received]
        for action in due:
            action()
        with self._lock:
            return min([number - received for number, _ in self._awaited if number > received] + [PIECE])


class Reception(Watch):
    """One body on its way in.

    Args:
        uploads: settings of the cloud.
        awaited: whether it is a body that may be waited for.
    """

    def __init__(self, uploads: Uploads, awaited: bool) -> None:
        self._uploads = uploads
        self._awaited = awaited
        self._received = 0
        self._check: Optional[Callable[[], None]] = None
        self._claimed: Optional[str] = None
        self._digest = hashlib.sha256()

    def expect(self, sha256: Optional[str], check: Optional[Callable[[], None]]) -> None:
        """Say what must be true at the end of the body.

        Args:
            sha256: its digest, in hexadecimal; None is any.
            check: raises the error of a body that is refused then; None lets it pass.
        """
        self._claimed, self._check = sha256, check

    def forget(self) -> None:
        """Let the body end as it will, for the request has its answer."""
        self._claimed, self._check = None, None

    def room(self) -> int:
        return self._uploads.reached(self._received) if self._awaited else PIECE

    def came(self, piece: bytes) -> None:
        self._received += len(piece)
        if self._claimed is not None:
            self._digest.update(piece)

    def ended(self) -> None:
        if self._claimed is not None and self._claimed != self._digest.hexdigest():
            raise OssError("InvalidDigest", "The x-oss-content-sha256 you specified did not match what we received.")
        if self._check is not None:
            self._check()
