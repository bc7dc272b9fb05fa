"""The log of what the local cloud was asked and what it answered: the only witness of ``could_have_succeeded``."""
import math
import threading
from typing import Dict, Iterable, List, NamedTuple, Optional, Tuple

from .access_key import masked


class Subject(NamedTuple):
    """What a request is about, as it says itself (nothing of it is verified yet)."""

    service: str
    region: Optional[str] = None
    action: str = ""
    secret: Optional[str] = None
    access_key_id: Optional[str] = None


class Call(NamedTuple):
    """One request that reached the cloud.

    Attributes:
        service: ``secrets_manager``, ``dedicated``, ``api``, ``location``, ``oss``, ``sts``, ``metadata`` or
            ``credentials_uri``.
        region: of the gateway for ``secrets_manager``; name of the instance for ``dedicated``; what the request says
            for ``api`` and ``location``; else None.
        action: ``GetSecretValue``, ``PutObject``, ...; for requests without an action name, method and path.
        secret: the secret asked for; for ``api``, ``location`` and ``oss``, the secret whose key signed the request.
        access_key_id: as the request says.
        status: HTTP status; 0 while there is no answer (in progress, hanging) and where none was sent.
        code: error code; where no answer was sent, the fault's kind, ``without an answer`` or ``dropped``; empty on
            success.
        started: monotonic seconds when the request had been read.
        ended: monotonic seconds of the answer's sending; ``math.inf`` while in progress.
        given: the AccessKey id that a successful answer handed out.
    """

    service: str
    region: Optional[str]
    action: str
    secret: Optional[str]
    access_key_id: Optional[str]
    status: int
    code: str
    started: float
    ended: float
    given: Optional[str]

    def __repr__(self) -> str:
        return "Call({}{} {} {} key={} -> {} {})".format(
            self.service, "@" + self.region if self.region else "", self.action, self.secret or "-",
            masked(self.access_key_id) if self.access_key_id else "-", self.status, self.code).rstrip()


class CallLog:
    """All calls in the order in which they came."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._calls: List[Call] = []
        # The numbers of the calls of each service about each secret: what is asked of one secret reads no others.
        self._numbers: Dict[Tuple[str, Optional[str]], List[int]] = {}

    def open(self, subject: Subject, now: float) -> int:
        """Note a request that came in.

        Returns:
            Its number, for ``close``.
        """
        call = Call(subject.service, subject.region, subject.action, subject.secret, subject.access_key_id,
                    0, "", now, math.inf, None)
        with self._lock:
            number = len(self._calls)
            self._calls.append(call)
            self._numbers.setdefault((subject.service, subject.secret), []).append(number)
            return number

    def close(self, number: int, now: float, status: int, code: str = "", given: Optional[str] = None) -> None:
        """Note how a request was answered; may be said again where the sending turned out otherwise."""
        with self._lock:
            self._calls[number] = self._calls[number]._replace(status=status, code=code, ended=now, given=given)

    def select(self, service: Optional[str] = None, action: Optional[str] = None, region: Optional[str] = None,
               secret: Optional[str] = None, since: Optional[float] = None) -> List[Call]:
        """The calls that match everything given, oldest first.

        Args:
            since: monotonic seconds; only calls that started then or later.
        """
        with self._lock:
            calls = list(self._calls) if secret is None else [
                self._calls[number] for number in self._about(secret, service)]
        return [call for call in calls
                if (service is None or call.service == service)
                and (action is None or call.action == action)
                and (region is None or call.region == region)
                and (secret is None or call.secret == secret)
                and (since is None or call.started >= since)]

    def _about(self, secret: str, service: Optional[str]) -> Iterable[int]:
        """The numbers of the calls about a secret, in order."""
        return sorted(number for (asked, about), numbers in self._numbers.items()
                      if about == secret and service in (None, asked) for number in numbers)
