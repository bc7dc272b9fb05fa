"""How a fetch asks the gateways: their order, hedging, pace, attempts, and how long each request may take.

Hedging: while a gateway is slow to answer, the next one is asked as well, and the first good answer counts.

Throttling: a first read that is throttled waits in a line with all others, and new ones join it. After a pause the
first in the line tries. When Secrets Manager answers, two go on, and two more with each further answer. So nobody fails
because others use up the quota each time that its turn comes.
"""

import collections
import itertools
import math
from typing import Any, Callable, Dict, Iterable, Iterator, List, Optional, Sequence, Set, Tuple

from ..secrets_manager.gateways import is_identity_refused
from .actions import GiveUp, Request
from .entry import Entry, Fetch, Sent, equal_jitter
from .events import RENEWAL
from .outcomes import (
    is_outage,
    is_throttling,
    is_worth_a_region,
    is_worth_an_attempt,
    no_answer,
    one_of_its_own,
    too_soon,
)
from .timing import (
    ARRIVAL,
    FIRST_THROTTLED_PAUSE,
    GRACE,
    HEDGE,
    LEAST_SHARE,
    LONGEST_THROTTLED_PAUSE,
    MOST_GIVEN_UP,
    MOST_REQUESTS,
    PACE,
    PATIENCE,
    RELEASED,
)


class Fetcher:
    """Drives the fetches of every secret, and remembers how each gateway does.

    Args:
        gateways: the gateways. Nothing here asks them: each only says what a request to it waits for.
        numbers: gives each request its number; operations of the shared store get theirs from it, too.
        do: called with each action.
        ended: called with an entry whose fetch ended, and the error, or None if the fetch brought a key.
        plan: called with an entry when the time of its next look has changed.
    """

    def __init__(
        self,
        gateways: Sequence[Any],
        numbers: Iterator[int],
        do: Callable[[Any], None],
        ended: Callable[[Entry, Optional[Exception]], None],
        plan: Callable[[Entry], None],
    ) -> None:
        self._gateways = gateways
        self._numbers = numbers
        self._do = do
        self._ended = ended
        self._plan = plan
        self.sent: Dict[int, Tuple[Entry, Sent]] = {}  # the requests under way, by number
        self._last_good: Optional[int] = None  # the gateway that answered a fetch last
        self._unwell: Set[int] = set()  # failed, silent or overtaken gateways, until they give a good answer
        self._seconds: Dict[int, float] = {}  # how long the last good answer of each took
        # The line of those that wait until the quota allows them, by name; why they wait; who tries at present; and how
        # long the pause is, before jitter, and when it ends.
        self._line: "collections.OrderedDict[str, Entry]" = collections.OrderedDict()
        self._throttling: Optional[Exception] = None
        self._trial: Optional[Fetch] = None
        self._pause = FIRST_THROTTLED_PAUSE
        self._pause_ends = 0.0

    def begin(self, entry: Entry, fetch: Fetch, now: float) -> None:
        """Begin an entry's fetch.

        Args:
            entry: the secret's entry.
            fetch: its fetch.
            now: the moment, in seconds of the monotonic clock.
        """
        if self._line and _is_patient(entry, fetch):
            self._line[entry.name] = entry
            fetch.resume_at = fetch.deadline
        else:
            self._begin_attempt(entry, fetch, now)

    def leave_line(self, entry: Entry) -> None:
        """Take note that an entry's fetch waits for the quota no longer, if it did."""
        if self._line.pop(entry.name, None) is not None:
            self._let_first_try()

    def throttling(self, entry: Entry) -> Optional[Exception]:
        """Return why an entry's fetch waits for the quota; None if it does not."""
        return self._throttling if entry.name in self._line else None

    def forget(self) -> None:
        """Forget what is under way, in a forked child."""
        self.sent.clear()
        self._line.clear()
        self._trial = None

    def advance(self, entry: Entry, now: float) -> None:
        """Do what is due for an entry's fetch and requests.

        Args:
            entry: the secret's entry.
            now: the moment, in seconds of the monotonic clock.
        """
        for request in entry.requests:
            if not request.is_given_up and now >= request.expires:
                self._give_up(entry, request, now)
        fetch = entry.fetch
        if fetch is None or fetch.is_at_store():
            return
        if fetch.resume_at is not None:
            if now >= fetch.resume_at:
                self._resume(entry, fetch, now)
            return
        if fetch.held is not None and now >= fetch.held[1]:
            gateway, fetch.held = fetch.held[0], None
            self._ask_or_next(entry, fetch, gateway, now)
        elif fetch.held is None and fetch.to_ask and now >= fetch.next_at:
            self._unwell.update(fetch.waiting)
            self._ask_next(entry, fetch, now)
        silent = [gateway for gateway, until in fetch.waiting.items() if now >= until]
        self._unwell.update(silent)
        fetch.silent += silent
        for gateway in silent:
            del fetch.waiting[gateway]
        self._end_if_over(entry, fetch, now)

    def request_ended(self, entry: Entry, request: Sent, error: Optional[Exception], now: float) -> None:
        """Take note that a request ended. If it brought a key, that is already stored.

        Args:
            entry: the secret's entry.
            request: the request.
            error: why it failed, None if it brought a key.
            now: the moment, by the monotonic clock.
        """
        entry.requests = tuple(each for each in entry.requests if each is not request)
        fetch, gateway = entry.fetch, request.gateway
        if error is None:
            entry.failed = ()
            self._unwell.discard(gateway)
            self._seconds[gateway] = now - request.began
            if request.fetch is fetch:
                self._last_good = gateway
        else:
            # After it refused an identity, a gateway's next call may send two requests: this failure fills the pace.
            turns = MOST_REQUESTS if is_identity_refused(error) else 1
            entry.failed = (entry.failed + turns * (now,))[-MOST_REQUESTS:]
            self._unwell.add(gateway)
        if error is None or not is_outage(error):
            self._release(now)
        if fetch is None:
            return
        if request.fetch is not fetch:
            self._ask_anew(entry, fetch, gateway, now)  # the late answer may be older than what this fetch is about
        elif error is None:
            self._ended(entry, None)
        else:
            self._failed(entry, fetch, gateway, error, now)

    def moments(self, entry: Entry) -> List[float]:
        """Return when something about an entry's fetch and requests has to be decided."""
        moments = [request.expires for request in entry.requests if not request.is_given_up]
        return moments if entry.fetch is None else moments + entry.fetch.moments()

    def waited_for(self, gateways: Iterable[int]) -> List[str]:
        """Return what requests to some gateways wait for, as messages say it."""
        return [self._gateways[gateway].waiting_for() for gateway in gateways]

    def _begin_attempt(self, entry: Entry, fetch: Fetch, now: float) -> None:
        fetch.to_ask = sorted(range(len(self._gateways)), key=lambda gateway: (
            self._has_room_at(entry, gateway, now), gateway != self._last_good, gateway in self._unwell,
            self._seconds.get(gateway, math.inf)))
        fetch.waiting, fetch.silent, fetch.errors = {}, [], []
        self._ask_next(entry, fetch, now)
        self._end_if_over(entry, fetch, now)

    def _resume(self, entry: Entry, fetch: Fetch, now: float) -> None:
        """Begin the next attempt of a fetch. In the line, only the first one does so, and only after the pause."""
        fetch.resume_at = None
        if entry.name not in self._line:
            self._begin_attempt(entry, fetch, now)
        elif now >= fetch.deadline:
            self.leave_line(entry)
            self._ended(entry, fetch.refusal or self._throttling)
        elif entry is not self._first_in_line() or now < self._pause_ends:
            fetch.resume_at = fetch.deadline
            self._let_first_try()
        else:
            del self._line[entry.name]
            self._trial = fetch
            self._begin_pause(now)
            self._begin_attempt(entry, fetch, now)

    def _throttled(self, entry: Entry, fetch: Fetch, error: Exception, now: float) -> None:
        """Have a fetch whose attempt was throttled wait in the line, before those that have not tried."""
        self._throttling = one_of_its_own(error)
        self._line[entry.name] = entry
        self._line.move_to_end(entry.name, last=False)
        fetch.resume_at = fetch.deadline
        if fetch is self._trial:
            self._trial = None
            self._pause = min(2 * self._pause, LONGEST_THROTTLED_PAUSE)
            self._begin_pause(now)
        elif now >= self._pause_ends:
            self._begin_pause(now)
        else:
            self._let_first_try()

    def _release(self, now: float) -> None:
        """Let the first ones in the line go on, since Secrets Manager answers."""
        self._pause, self._trial = FIRST_THROTTLED_PAUSE, None
        for entry in list(itertools.islice(self._line.values(), RELEASED)):
            del self._line[entry.name]
            if entry.fetch is not None:
                entry.fetch.resume_at = now
                self._plan(entry)
        if self._line:
            self._begin_pause(now)

    def _begin_pause(self, now: float) -> None:
        self._pause_ends = now + equal_jitter(self._pause)
        self._let_first_try()

    def _let_first_try(self) -> None:
        """Have the first one in the line try when the pause ends."""
        first = self._first_in_line()
        if first is not None and first.fetch is not None:
            first.fetch.resume_at = min(self._pause_ends, first.fetch.deadline)
            self._plan(first)

    def _first_in_line(self) -> Optional[Entry]:
        return next(iter(self._line.values()), None)

    def _failed(self, entry: Entry, fetch: Fetch, gateway: int, error: Exception, now: float) -> None:
        fetch.errors.append(error)
        fetch.forget_asked(gateway)
        if not is_worth_a_region(error):
            fetch.to_ask, fetch.held = [], None
        elif gateway == fetch.latest:  # else the next one was asked already
            self._ask_next(entry, fetch, now)
        self._end_if_over(entry, fetch, now)

    def _ask_next(self, entry: Entry, fetch: Fetch, now: float) -> None:
        if fetch.deadline - now < LEAST_SHARE and (fetch.waiting or fetch.errors):
            fetch.to_ask = []
        is_asked = False
        while fetch.to_ask and not is_asked:
            fetch.latest = fetch.to_ask.pop(0)
            is_asked = self._ask(entry, fetch, fetch.latest, now)

    def _ask_or_next(self, entry: Entry, fetch: Fetch, gateway: int, now: float) -> None:
        """Ask a gateway; if it cannot be asked and was the latest one, ask the next one instead."""
        if not self._ask(entry, fetch, gateway, now) and gateway == fetch.latest:
            self._ask_next(entry, fetch, now)

    def _ask_anew(self, entry: Entry, fetch: Fetch, gateway: int, now: float) -> None:
        """Ask a gateway again whose older request no longer counts, if this attempt has asked it."""
        if fetch.has_asked(gateway):
            self._ask_or_next(entry, fetch, gateway, now)
            self._end_if_over(entry, fetch, now)

    def _ask(self, entry: Entry, fetch: Fetch, gateway: int, now: float) -> bool:
        """Ask a gateway, now or when its turn comes; return False if it cannot be asked before the deadline.

        It may take its share of the time that is left then.
        """
        is_first = not fetch.has_asked(gateway)
        fetch.forget_asked(gateway)
        if now >= fetch.deadline:
            fetch.silent.append(gateway)
            return False
        request = entry.live_request(gateway)
        may_begin = now if request is not None else self._may_begin_at(entry, gateway, now)
        is_passed_over = bool(fetch.waiting or fetch.errors) and self._has_room_at(entry, gateway, now) > now
        if is_passed_over or may_begin >= fetch.deadline:
            # First, since the last error is raised, and those of the other gateways say more.
            fetch.errors.insert(0, too_soon(self._gateways[gateway], entry.name, may_begin - now))
            return False
        if may_begin > now:
            if fetch.held is None:
                fetch.held = gateway, may_begin
            else:
                fetch.to_ask.append(gateway)
            return True
        remaining = fetch.deadline - now
        share = max(remaining / (1 + len(fetch.to_ask)), min(HEDGE, remaining))
        fetch.waiting[gateway] = min(now + share, fetch.deadline)
        if is_first:
            fetch.next_at = now + min(HEDGE, remaining / (1 + len(fetch.to_ask)))
        if request is None:
            request = Sent(next(self._numbers), gateway, fetch, now, fetch.deadline + GRACE)
            entry.requests += (request,)
            self.sent[request.number] = entry, request
            self._do(Request(request.number, entry.name, gateway, max(share, LEAST_SHARE), fetch.purpose))
        return True

    def _may_begin_at(self, entry: Entry, gateway: int, now: float) -> float:
        """Return when a request may begin, by pace and patience; ``now`` or earlier if at once."""
        moments = list(entry.failed) + [request.began + ARRIVAL for request in entry.requests]
        has_room_at = self._has_room_at(entry, gateway, now)
        return has_room_at if len(moments) < MOST_REQUESTS else max(
            has_room_at, sorted(moments)[-MOST_REQUESTS] + PACE)

    def _has_room_at(self, entry: Entry, gateway: int, now: float) -> float:
        """Return when a gateway may be asked in spite of requests to it that were given up; ``now`` if at once."""
        given_up = [request for request in entry.requests if request.gateway == gateway and request.is_given_up]
        if len(given_up) <= MOST_GIVEN_UP or entry.live_request(gateway) is not None:
            return now
        return max(max(request.began for request in given_up) + PATIENCE, now)

    def _give_up(self, entry: Entry, request: Sent, now: float) -> None:
        request.is_given_up = True
        self._unwell.add(request.gateway)
        self._do(GiveUp(request.number))
        if entry.fetch is not None:
            self._ask_anew(entry, entry.fetch, request.gateway, now)

    def _end_if_over(self, entry: Entry, fetch: Fetch, now: float) -> None:
        """End an attempt that waits for nothing more, and the fetch too unless another attempt may do better."""
        if entry.fetch is not fetch or fetch.is_under_way():
            return
        if fetch.to_ask:
            self._ask_next(entry, fetch, now)
            if fetch.is_under_way():
                return
        if fetch.silent:
            fetch.errors.append(no_answer(self.waited_for(fetch.silent), entry.name, now - fetch.began))
        errors = sorted(fetch.errors, key=lambda error: (is_worth_a_region(error), is_outage(error)), reverse=True)
        last = errors[-1]
        if not is_outage(last):
            fetch.refusal = last  # kept, since the gateway that refused may not be asked in the next attempt
        throttlings = [error for error in errors if is_throttling(error)]
        if throttlings and is_worth_a_region(last) and _is_patient(entry, fetch) and now < fetch.deadline:
            self._throttled(entry, fetch, throttlings[-1], now)
            return
        delay = next(fetch.delays, None)
        may_begin = min(self._may_begin_at(entry, gateway, now) for gateway in range(len(self._gateways)))
        resume_at = max(now + (delay or 0.0), may_begin)
        is_hopeful = is_worth_a_region(last) and any(is_worth_an_attempt(error) for error in errors)
        if is_hopeful and delay is not None and resume_at < fetch.deadline:
            fetch.resume_at = resume_at
        else:
            self._ended(entry, fetch.refusal or last)


def _is_patient(entry: Entry, fetch: Fetch) -> bool:
    """Return whether a fetch can wait for the quota: it is for a first key, and not for a call that was rejected."""
    return entry.key is None and fetch.purpose != RENEWAL
