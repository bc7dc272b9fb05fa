"""The log of the requests and answers of the local cloud, by which ``could_have_succeeded`` judges."""
import math
from typing import Dict, Iterable, List, NamedTuple, Optional, Tuple

from .access_key import masked
from .guarded import Guarded


class Subject(NamedTuple):
    """What a request says that it is about; nothing is verified."""

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
        region: for ``secrets_manager`` the region of the gateway; for ``dedicated`` the name of the KMS instance; for
            ``api`` and ``location`` the region that the request names; else None.
        action: ``GetSecretValue``, ``PutObject`` and so on; method and path where an action has no name.
        secret: the secret that was asked for; for ``api``, ``location`` and ``oss`` the secret whose key signed it.
        access_key_id: the AccessKey id that the request names.
        status: HTTP status; 0 while there is no answer, and where none was sent.
        code: the error code. Where no answer was sent, the kind of the fault, ``without an answer`` or ``dropped``.
            Empty on success.
        started: monotonic seconds at which the headers had been read.
        ended: monotonic seconds at which the answer was sent; ``math.inf`` while there is none.
        given: the AccessKey id that a successful answer contains.
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


class CallLog(Guarded):
    """All calls in the order in which they came."""

    def __init__(self) -> None:
        super().__init__()
        self._calls: List[Call] = []
        # The number of a call when it comes, and once more when it is answered.
        self._changes: List[int] = []
        # The numbers of the calls by service and secret, so that a search for one secret looks at no other.
        self._numbers: Dict[Tuple[str, Optional[str]], List[int]] = {}

    def open(self, subject: Subject, now: float) -> int:
        """Log a request that came.

        Args:
            subject: what it is about.
            now: monotonic seconds.

        Returns:
            Its number, for ``close``.
        """
        call = Call(subject.service, subject.region, subject.action, subject.secret, subject.access_key_id,
                    0, "", now, math.inf, None)
        with self.lock:
            number = len(self._calls)
            self._calls.append(call)
            self._changes.append(number)
            self._numbers.setdefault((subject.service, subject.secret), []).append(number)
            return number

    def close(self, number: int, now: float, status: int, code: str = "", given: Optional[str] = None) -> None:
        """Log how a request was answered. A later call for the same request corrects an earlier one.

        Args:
            number: the number that ``open`` returned.
            now: monotonic seconds.
            status: HTTP status; 0 for no answer.
            code: error code.
            given: the AccessKey id that the answer contains.
        """
        with self.lock:
            self._calls[number] = self._calls[number]._replace(status=status, code=code, ended=now, given=given)
            self._changes.append(number)

    def changed(self, cursor: int, most: int) -> Tuple[int, List[Tuple[int, Call]]]:
        """Return the calls that came or were answered since the last time.

        Args:
            cursor: the cursor that was returned the last time; 0 is the beginning of the log.
            most: how many calls; if there are more, the latest.

        Returns:
            The next cursor, and the number and the call of each, in the order in which they came.
        """
        with self.lock:
            numbers = sorted(set(self._changes[cursor:]))[-most:]
            return len(self._changes), [(number, self._calls[number]) for number in numbers]

    def select(self, service: Optional[str] = None, action: Optional[str] = None, region: Optional[str] = None,
               secret: Optional[str] = None, since: Optional[float] = None) -> List[Call]:
        """Return the calls that match every argument that is not None; see ``LocalCloud.calls``."""
        with self.lock:
            calls = list(self._calls) if secret is None else [
                self._calls[number] for number in self._about(secret, service)]
        return [call for call in calls
                if (service is None or call.service == service)
                and (action is None or call.action == action)
                and (region is None or call.region == region)
                and (secret is None or call.secret == secret)
                and (since is None or call.started >= since)]

    def _about(self, secret: str, service: Optional[str]) -> Iterable[int]:
        """Return the numbers of the calls about a secret in ascending order."""
        return sorted(number for (asked, about), numbers in self._numbers.items()
                      if about == secret and service in (None, asked) for number in numbers)
