"""How OSS receives the bodies of requests, and how it refuses them."""
import hashlib
from typing import Any, Callable, List, Optional, Tuple

from ..guarded import Guarded
from ..http import EARLY, PIECE, Answer, Request, Unanswered, Watch
from .errors import OssError

AFTER_THE_BODY = "after the body"
WITHOUT_AN_ANSWER = "without an answer"
REFUSALS = (AFTER_THE_BODY,) + EARLY + (WITHOUT_AN_ANSWER,)


class Uploads(Guarded):
    """The settings of a cloud's uploads; see ``LocalCloud.refuse_uploads`` and ``LocalCloud.when_received``.

    Attributes:
        recheck: whether the key is checked again at the end of the body.
    """

    def __init__(self) -> None:
        super().__init__()
        self.recheck = False
        self._how = AFTER_THE_BODY
        self._awaited: List[Tuple[int, Callable[[], Any]]] = []

    def refuse(self, how: str = AFTER_THE_BODY, recheck: bool = False) -> None:
        """Set how uploads are refused from now on; see ``LocalCloud.refuse_uploads``."""
        if how not in REFUSALS:
            raise ValueError("uploads cannot be refused {!r}; the ways are {}".format(how, ", ".join(REFUSALS)))
        self._how, self.recheck = how, recheck

    def refused(self, request: Request, error: OssError) -> Answer:
        """Return the answer to a request whose key or signature is not accepted.

        Args:
            request: the request.
            error: the error to answer.

        Raises:
            Unanswered: it gets no answer.
        """
        how = self._how if request.has_body else AFTER_THE_BODY
        if how == WITHOUT_AN_ANSWER:
            raise Unanswered(how)
        answer = error.answer(request)
        if how in EARLY and not request.body_ended:
            answer.early = how
        return answer

    def when_received(self, received: int, action: Callable[[], Any]) -> None:
        """Call a function once in the middle of an upload; see ``LocalCloud.when_received``."""
        if received < 0:
            raise ValueError("a body has 0 bytes or more, not {}".format(received))
        with self.lock:
            self._awaited.append((received, action))

    def reached(self, received: int) -> int:
        """Call the functions that are due after that many bytes.

        Returns:
            How many more bytes may be read before this is called again.
        """
        with self.lock:
            due = [action for number, action in self._awaited if number <= received]
            self._awaited = [awaited for awaited in self._awaited if awaited[0] > received]
        for action in due:
            action()
        with self.lock:
            return min([number - received for number, _ in self._awaited if number > received] + [PIECE])


class Reception(Watch):
    """Watches one body while it is received.

    Args:
        uploads: the settings of the cloud.
        awaited: whether functions of ``when_received`` are called for it.
    """

    def __init__(self, uploads: Uploads, awaited: bool) -> None:
        self._uploads = uploads
        self._awaited = awaited
        self._received = 0
        self._check: Optional[Callable[[], None]] = None
        self._claimed: Optional[str] = None
        self._digest = hashlib.sha256()

    def expect(self, sha256: Optional[str], check: Optional[Callable[[], None]]) -> None:
        """Set what is checked at the end of the body.

        Args:
            sha256: the SHA-256 that it must have, in hexadecimal; None is any.
            check: raises the error if the request is refused then; None for no check.
        """
        self._claimed, self._check = sha256, check

    def forget(self) -> None:
        """Check nothing at the end of the body, since the request is refused already."""
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
