"""How a fetch asks the gateways: their order, hedging, pace, attempts, and how long each request may take.

Hedging: while a gateway is slow to answer, the next one is asked as well, and the first good answer counts.
"""

import math
from typing import Any, Callable, Dict, Iterable, Iterator, List, Optional, Sequence, Set, Tuple

from ..secrets_manager.gateways import is_identity_refused
from .actions import GiveUp, Request
from .entry import Entry, Fetch, Sent, equal_jitter
from .events import RENEWAL
from .outcomes import is_outage, is_throttling, is_worth_a_region, is_worth_an_attempt, no_answer, too_soon
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
)


class Throttling:
    """A gateway throttles, and has given no good answer since.

    Attributes:
        error: its error.
        pause: how long the pause is, before jitter.
        until: when the pause ends, for all secrets.
        trial: the number of the request that tries whether the gateway still throttles, if any.
        waiting: the entries whose fetches wait for that, by name.
    """

    def __init__(self, error: Exception) -> None:
        self.error = error
        self.pause = FIRST_THROTTLED_PAUSE
        self.until = 0.0
        self.trial: Optional[int] = None
        self.waiting: Dict[str, Entry] = {}

    def begin_pause(self, now: float) -> None:
        """Let others wait from now on."""
        self.until = now + equal_jitter(self.pause)


class Fetcher:
    """Drives the fetches of every secret, and remembers how each gateway does.

    Args:
        gateways: the gateways. Nothing here asks them: each only says what a request to it waits for.
        numbers: gives each request its number; operations of the shared store get theirs from it, too.
        do: called with each action.
        ended: called with an entry whose fetch ended, and the error, or None if the fetch brought a key.
        plan: called with an entry that has to be looked at earlier than it wanted.
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
        self._throttled: Dict[int, Throttling] = {}

    def begin(self, entry: Entry, fetch: Fetch, now: float) -> None:
        """Begin the next attempt of an entry's fetch.

        Args:
            entry: the secret's entry.
            fetch: its fetch.
            now: the moment, in seconds of the monotonic clock.
        """
        fetch.to_ask = sorted(range(len(self._gateways)), key=lambda gateway: (
            self._has_room_at(entry, gateway, now), gateway != self._last_good, gateway in self._unwell,
            self._seconds.get(gateway, math.inf)))
        fetch.waiting, fetch.silent, fetch.errors = {}, [], []
        self._ask_next(entry, fetch, now)
        self._end_if_over(entry, fetch, now)

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
                fetch.resume_at = None
                self.begin(entry, fetch, now)
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
            self._end_throttling(gateway, now)
            self._seconds[gateway] = now - request.began
            if request.fetch is fetch:
                self._last_good = gateway
        else:
            # After it refused an identity, a gateway's next call may send two requests: this failure fills the pace.
            turns = MOST_REQUESTS if is_identity_refused(error) else 1
            entry.failed = (entry.failed + turns * (now,))[-MOST_REQUESTS:]
            self._unwell.add(gateway)
            if is_throttling(error):
                self._throttle(request, error, now)
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
        """Ask a gateway, now or when its turn comes; return False if it cannot be asked, or others can be first.

        It may take its share of the time that is left then.
        """
        is_first = not fetch.has_asked(gateway)
        fetch.forget_asked(gateway)
        throttling = self._throttling(entry, gateway)
        if now >= fetch.deadline:
            if throttling is None:
                fetch.silent.append(gateway)
            else:
                fetch.errors.insert(0, throttling.error)
            return False
        request = entry.live_request(gateway)
        may_begin = now if request is not None else self._may_begin_at(entry, gateway, now)
        is_passed_over = bool(fetch.waiting or fetch.errors) and self._has_room_at(entry, gateway, now) > now
        # Who waits for a gateway that throttles may go on before the pause is over.
        if is_passed_over or may_begin >= fetch.deadline and throttling is None:
            # First, since the last error is raised, and those of the other gateways say more.
            fetch.errors.insert(0, too_soon(self._gateways[gateway], entry.name, may_begin - now))
            return False
        if may_begin > now:
            if throttling is not None and any(other not in self._throttled for other in fetch.to_ask):
                fetch.to_ask.append(gateway)
                return False
            if fetch.held is None:
                fetch.held = gateway, min(may_begin, fetch.deadline)
                if throttling is not None:
                    throttling.waiting[entry.name] = entry
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
            if throttling is not None:
                throttling.waiting.pop(entry.name, None)
                throttling.trial = request.number
                throttling.begin_pause(now)
            self.sent[request.number] = entry, request
            self._do(Request(request.number, entry.name, gateway, max(share, LEAST_SHARE), fetch.purpose))
        return True

    def _may_begin_at(self, entry: Entry, gateway: int, now: float) -> float:
        """Return when a request may begin, by throttling, pace and patience; ``now`` or earlier if at once."""
        moments = list(entry.failed) + [request.began + ARRIVAL for request in entry.requests]
        may_begin = self._has_room_at(entry, gateway, now)
        throttling = self._throttling(entry, gateway)
        if throttling is not None:
            may_begin = max(may_begin, throttling.until)
        return may_begin if len(moments) < MOST_REQUESTS else max(may_begin, sorted(moments)[-MOST_REQUESTS] + PACE)

    def _throttling(self, entry: Entry, gateway: int) -> Optional[Throttling]:
        """Return what an entry's fetch has to wait for; None for a renewal, since a call waits for that."""
        fetch = entry.fetch
        return None if fetch is None or fetch.purpose == RENEWAL else self._throttled.get(gateway)

    def _throttle(self, request: Sent, error: Exception, now: float) -> None:
        """Leave a gateway that throttles alone for a moment, for longer each time that a request tries in vain."""
        throttling = self._throttled.get(request.gateway)
        if throttling is None:
            throttling = self._throttled[request.gateway] = Throttling(error)
        elif request.number == throttling.trial or now >= throttling.until:
            throttling.pause = min(2 * throttling.pause, LONGEST_THROTTLED_PAUSE)
        else:
            return  # it was sent before
        throttling.begin_pause(now)

    def _end_throttling(self, gateway: int, now: float) -> None:
        """Let those that wait for a gateway go on, before others use up the quota again."""
        throttling = self._throttled.pop(gateway, None)
        for entry in () if throttling is None else throttling.waiting.values():
            fetch = entry.fetch
            if fetch is not None and fetch.go_on(gateway, now):
                self._plan(entry)

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
        if entry.fetch is not fetch or fetch.waiting or fetch.held is not None or fetch.resume_at is not None:
            return
        if fetch.silent:
            fetch.errors.append(no_answer(self.waited_for(fetch.silent), entry.name, now - fetch.began))
        errors = sorted(fetch.errors, key=lambda error: (is_worth_a_region(error), is_outage(error)), reverse=True)
        last = errors[-1]
        if not is_outage(last):
            fetch.refusal = last  # kept, since the gateway that refused may not be asked in the next attempt
        if is_throttling(last) and entry.key is None and self._throttled and now < fetch.deadline:
            # A secret that was not read yet is read as soon as the quota allows.
            fetch.resume_at = min([throttling.until for throttling in self._throttled.values()] + [fetch.deadline])
            for throttling in self._throttled.values():
                throttling.waiting[entry.name] = entry
            return
        delay = next(fetch.delays, None)
        may_begin = min(self._may_begin_at(entry, gateway, now) for gateway in range(len(self._gateways)))
        resume_at = max(now + (delay or 0.0), may_begin)
        is_hopeful = is_worth_a_region(last) and any(is_worth_an_attempt(error) for error in errors)
        if is_hopeful and delay is not None and resume_at < fetch.deadline:
            fetch.resume_at = resume_at
        else:
            self._ended(entry, fetch.refusal or last)
