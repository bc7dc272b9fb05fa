"""Counts the calls of a scenario, and judges by the cloud's own log which of the failed ones could have succeeded."""
import collections
from typing import Deque, List, NamedTuple, Optional

from ..cloud import LocalCloud
from .scenarios import Figures

COOL_DOWN = 5.0  # the longest time in seconds for which the clients do not ask Secrets Manager again after a failure


class Done(NamedTuple):
    """A call that has ended.

    Attributes:
        managed: whether a managed client made it.
        started: when it began, in monotonic seconds.
        ended: when it ended.
        error: its error; empty if it succeeded.
    """

    managed: bool
    started: float
    ended: float
    error: str = ""


class Tally:
    """The calls of one scenario, which several threads add.

    Args:
        cloud: the cloud that they call.
        secret: the name of the secret whose key they use.
    """

    def __init__(self, cloud: LocalCloud, secret: str) -> None:
        self._cloud = cloud
        self._secret = secret
        self._done: Deque[Done] = collections.deque()

    def add(self, done: Done) -> None:
        """Count a call."""
        self._done.append(done)

    def figures(self) -> Figures:
        """Return the figures up to now. No call is judged yet."""
        managed, plain = self._of(True), self._of(False)
        reads = self._cloud.calls("secrets_manager", "GetSecretValue", secret=self._secret)
        return Figures(
            calls=len(managed), failed=sum(bool(done.error) for done in managed),
            fetches=max(len(reads) - 1, 0),  # the first one is that of the clients' start
            plain_calls=len(plain), plain_failed=sum(bool(done.error) for done in plain))

    def judged(self, back: Optional[float] = None) -> Figures:
        """Return the final figures, when all calls have ended.

        Args:
            back: when Secrets Manager came back; None if it was not down.
        """
        lost = [done.error for done in self._of(True) if done.error and self._could_have_succeeded(done)]
        return self.figures()._replace(lost=lost, back_after=None if back is None else self.back_after(back))

    def back_after(self, back: float) -> Optional[float]:
        """Return the seconds from ``back`` until a managed call that began later succeeded; None if none did."""
        ends = [done.ended for done in self._of(True) if done.started >= back and not done.error]
        return min(ends) - back if ends else None

    def _of(self, managed: bool) -> List[Done]:
        return [done for done in self._done.copy() if done.managed == managed]

    def _could_have_succeeded(self, done: Done) -> bool:
        # Until a service first rejected a call since this one began, its key may have been valid.
        refusals = [call.ended for call in self._cloud.calls(since=done.started, secret=self._secret)
                    if call.service in ("api", "oss") and call.status >= 400]
        asked = min(refusals + [done.ended]) if refusals else done.started
        return self._cloud.could_have_succeeded(self._secret, asked, done.ended, cool_down=COOL_DOWN)
