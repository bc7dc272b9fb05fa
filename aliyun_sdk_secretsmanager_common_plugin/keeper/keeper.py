"""The keeper: what a process holds of the secrets of one configuration, and what it does next.

It decides, and does nothing itself: it has no I/O, threads, locks or clock. ``handle`` takes an event and a moment, and
returns actions. ``wake_at`` says when the keeper wants the event ``Ticked``. One thread at a time may call it. Only the
methods that say "any thread" may be called meanwhile. ``docs/architecture.rst`` draws the states of a secret.
"""

import collections
import heapq
import itertools
import logging
import math
from typing import Any, Callable, Counter, Deque, Dict, List, Mapping, NamedTuple, Optional, Sequence, Set, Tuple

from aliyunsdkcore.acs_exception.exceptions import ClientException, ServerException

from ..access_key import AccessKey
from ..exceptions import ConfigurationError, ManagedCredentialsError
from ..secrecy import log_fields
from . import events, timing
from .actions import Answer, Heed, HeedSigned, Log, Publish, Recover, Stored, Tell
from .entry import Entry, Fetch, Read, Recovery, Renewal, SecretStats, Sent, Sharing, equal_jitter, spread_evenly
from .events import FIRST_READ, REFRESH, RENEWAL, Asked, Now
from .fetching import Fetcher
from .outcomes import is_outage, is_throttling, no_answer, one_of_its_own
from .refreshing import age, is_backing_off, is_overdue, next_refresh
from .sharing import Sharer

# More looks at entries than this in one event are a fault of this module.
MOST_LOOKS = 1000


class Keeper:
    """Every secret of one configuration.

    Args:
        gateways: the gateways to Secrets Manager, in the order of the configuration. The keeper does not ask them: each
            only says what a request to it waits for.
        refresh_interval: seconds between refreshes, and the age up to which an unused key serves a new client.
        renew_timeout: seconds a refresh of the schedule may take. A renewal brings its own deadline.
        can_recover: whether the program has a store that can be asked for a key when no gateway answers a first read.
        secret_names: secrets that stay in use as long as there is any client.
        provider_refresh_interval: seconds between reads of a secret whose signers do not renew it.
        store_timeout: seconds that an operation of the shared store may take; None if there is no such store.
    """

    def __init__(
        self,
        gateways: Sequence[Any],
        refresh_interval: float,
        renew_timeout: float,
        can_recover: bool = False,
        secret_names: Sequence[str] = (),
        provider_refresh_interval: float = 60.0,
        store_timeout: Optional[float] = None,
    ) -> None:
        self._gateways = gateways
        self._refresh_interval = refresh_interval
        self._renew_timeout = renew_timeout
        self._can_recover = can_recover
        self._secret_names = frozenset(secret_names)
        self._provider_refresh_interval = provider_refresh_interval
        self._entries: Dict[str, Entry] = {}
        self._clients: Dict[int, str] = {}  # which secret each client uses
        self._uses: Counter[str] = collections.Counter()  # how many clients each secret has
        self._now = Now(0.0, 0.0)
        self._actions: List[Any] = []
        numbers = itertools.count(1)
        self._fetcher = Fetcher(gateways, numbers, self._do, self._fetch_ended, self._plan)
        self._store_timeout = store_timeout
        self._preloads: Set[_RunningPreload] = set()  # those that may ask for their next secrets
        self._refreshing: Set[str] = set()  # the secrets that the schedule refreshes now
        self._due_refreshes: Dict[str, Entry] = collections.OrderedDict()  # those that wait for their turn
        self._heap: List[Tuple[float, Entry]] = []  # when to look at which entry; void unless ``entry.moment`` agrees
        self._ahead: Optional[float] = None  # seconds by which the wall clock is ahead of the monotonic one
        self._handlers: Dict[Any, Callable[[Any], None]] = {
            Asked: self._asked,
            events.Preload: lambda event: self._preloads.add(_RunningPreload(event)),
            events.Ended: self._request_ended,
            events.Recovered: self._recovered,
            events.Leased: self._leased,
            events.Released: self._released,
            events.Closed: lambda event: self._retire_all(),
            events.Accepted: self._accepted,
            events.Signed: self._signed,
            events.Ticked: lambda event: None,
            events.Forked: self._forked,
        }
        self._sharer: Optional[Sharer] = None
        if store_timeout is not None:
            self._sharer = sharer = Sharer(
                store_timeout, refresh_interval, numbers, self._do, self._fetcher.begin, self._adopt)
            self._handlers[events.StoreEnded] = lambda event: self._store_ended(sharer, event)
            self._handlers[events.Announced] = lambda event: self._announced(sharer, event)
        self.is_amid = False  # whether ``handle`` is running: a child that is forked meanwhile cannot go on from there

    def handle(self, event: Any, now: Now) -> List[Any]:
        """Take an event, then do whatever is due.

        Args:
            event: what happened; see ``events``.
            now: the moment, by both clocks.

        Returns:
            The actions to carry out, in this order; see ``actions``.
        """
        self.is_amid = True
        self._now = now
        actions: List[Any] = []
        self._actions = actions
        self._note_clocks(now)
        self._handlers[type(event)](event)
        self._look_at_store(now.monotonic)
        looks = MOST_LOOKS + len(self._heap)
        while self._preloads or self._heap and self._heap[0][0] <= now.monotonic:
            if self._preloads:
                self._continue_preload(self._preloads.pop())
                continue
            moment, entry = heapq.heappop(self._heap)
            if entry.moment == moment:
                entry.moment = None
                looks -= 1
                if looks > 0:
                    self._look_at(entry)
                else:
                    self._put_off(entry)
        self._begin_due_refreshes()
        self._actions = []
        self.is_amid = False
        return actions

    def left_undone(self) -> List[Any]:
        """Return the actions that ``handle`` had decided on before it raised, which is a fault of this module."""
        actions, self._actions = self._actions, []
        return actions

    def wake_at(self) -> Optional[float]:
        """Return when ``Ticked`` is to come at the latest, by the monotonic clock; None if nothing is planned."""
        while self._heap and self._heap[0][1].moment != self._heap[0][0]:
            heapq.heappop(self._heap)
        moment = math.inf if self._sharer is None else self._sharer.wake_at(bool(self._heap))
        if self._heap:  # soon enough to see that a clock jumped
            moment = min(moment, self._heap[0][0], self._now.monotonic + timing.LONGEST_SLEEP)
        return None if moment == math.inf else moment

    def stats(self, now: Now) -> Dict[str, SecretStats]:
        """Return the statistics of each secret. Any thread may call this."""
        return {
            name: SecretStats(
                entry.version_id,
                age(entry, now) if entry.read_time else None,
                self._refresh_in(entry, now),
                entry.fetches,
                entry.failures,
                entry.renewals,
                entry.rotations,
                _expires_in(entry, now),
                None if self._sharer is None else self._sharer.stats(entry),
            )
            for name, entry in list(self._entries.items())
        }

    def key(self, name: str) -> Optional[AccessKey]:
        """Return the key of a secret, None if there is none. Any thread may call this."""
        entry = self._entries.get(name)
        return None if entry is None else entry.key

    def renewal(self, name: str, rejected: Optional[AccessKey], now: Now) -> Optional[Renewal]:
        """Return the answer to a renewal if it needs no fetch. Any thread may call this.

        Args:
            name: the secret's name.
            rejected: the key that a service rejected.
            now: the moment.

        Returns:
            The newer key, or during a cool-down why there is none. None if a fetch is needed.
        """
        entry = self._entries.get(name)
        if entry is None:
            return None
        key = entry.key  # read once: another thread may replace it meanwhile
        if key is not None and key != rejected:
            return Renewal(key)
        if now.monotonic < entry.cool_until:
            error = entry.cool_error
            return Renewal(None, None if error is None else one_of_its_own(error), _key_age(entry, now))
        return None

    def born_again(self, published: Mapping[str, AccessKey]) -> "Keeper":
        """Return a new keeper that knows only the clients and the keys that readers were given."""
        keeper = Keeper(
            self._gateways, self._refresh_interval, self._renew_timeout, self._can_recover, tuple(self._secret_names),
            self._provider_refresh_interval, self._store_timeout)
        for client, name in list(self._clients.items()):
            keeper._leased(events.Leased(client, name))
        for name, key in published.items():
            entry = keeper._entry(name)
            entry.key = key
            entry.note_answer(key)
            entry.is_idle = False
        return keeper

    def _asked(self, ask: Asked) -> None:
        entry = self._entry(ask.name)
        if ask.purpose == REFRESH:
            self._begin_refresh(entry, ask)
        else:
            if ask.purpose == FIRST_READ:
                self._use(entry)
            if not self._answer_if_possible(entry, ask):
                entry.asks += (ask,)
                if entry.fetch is not None:
                    self._log(logging.DEBUG, "secret %r: waiting for the fetch in progress (%s)", entry.name,
                              entry.fetch.purpose)
        if entry.fetch is None:
            self._settle(entry)
        else:
            self._plan(entry)  # the others who wait for the fetch, maybe a thousand, need no look

    def _continue_preload(self, preload: "_RunningPreload") -> None:
        """Ask for the next secrets of a preload, a few at a time; answer its asker when that is over."""
        event, now = preload.event, self._now.monotonic
        while preload.names and preload.running < timing.CONCURRENT_PRELOADS:
            preload.running += 1
            ticket = _PreloadTicket(preload, preload.names.popleft())
            self._asked(Asked(ticket, FIRST_READ, ticket.name, now + event.seconds, None, event.delays()))
        if not preload.running or now >= event.until:
            for name, problem in preload.failures:  # not before: the asker's thread writes what comes with its answer
                self._log(logging.WARNING, "secret_names: %r could not be read at start: %s", name, problem,
                          error=problem)
            del preload.failures[:]
            ticket, preload.ticket = preload.ticket, None
            self._answer(ticket)

    def _request_ended(self, event: events.Ended) -> None:
        sent = self._fetcher.sent.pop(event.request, None)
        if sent is None:
            return  # the parent process sent it
        entry, request = sent
        if event.key is not None:
            if self._is_latest(entry, request):
                entry.refresh_at, entry.may_be_earlier = event.refresh_at, event.may_be_earlier
                entry.number = request.number
                self._store(entry, event.key, request.fetch.read)
                if self._sharer is not None and not event.is_kept:
                    entry.sharing.note(request.fetch.position, request.began, False)
                    self._sharer.share(entry, request, event.key, self._now.monotonic)
                if request.fetch is not entry.fetch:
                    self._end_if_fulfilled(entry)
        else:
            self._log(logging.DEBUG, "secret %r: %r failed: %s", entry.name, self._gateways[request.gateway],
                      event.error, error=event.error)
        self._fetcher.request_ended(entry, request, event.error, self._now.monotonic)
        self._settle(entry)

    def _is_latest(self, entry: Entry, request: Sent) -> bool:
        """Return whether no answer was stored whose fetch began later than a request."""
        sharing = entry.sharing
        return request.number >= entry.number and (
            not sharing.is_adopted or sharing.is_news(request.fetch.position, request.began))

    def _store_ended(self, sharer: Sharer, event: events.StoreEnded) -> None:
        entry = sharer.ended(event, self._now.monotonic)
        if entry is not None:
            self._settle(entry)

    def _announced(self, sharer: Sharer, event: events.Announced) -> None:
        entry = self._entries.get(event.name)
        if entry is not None:
            now = self._now.monotonic
            is_to_be_read = sharer.announced(entry, event.found, now)
            if is_to_be_read and entry.key is not None and not entry.is_idle:
                delay = spread_evenly(*timing.ROTATION_SPREAD)  # a whole fleet hears this at once
                if entry.due_monotonic is None or entry.due_monotonic > now + delay:
                    self._set_due_in(entry, delay)
            self._settle(entry)

    def _adopt(self, entry: Entry, key: AccessKey, position: events.Position, began: float, age: float) -> None:
        """Take an answer that another process got; end the fetch in progress if it needs nothing else.

        Args:
            entry: the secret's entry.
            key: the answer's key.
            position: its position in the shared store.
            began: when the other process began to ask, by the monotonic clock of this one.
            age: seconds since then, by the store's clock.
        """
        fetch = entry.fetch
        self._store(entry, key, None if fetch is None else fetch.read, age=age)
        entry.sharing.note(position, began, True)
        if fetch is None:
            return
        # Not twice in a row: then Secrets Manager itself is asked, since the other process may ask another region.
        is_as_before = (
            fetch.purpose == RENEWAL and key == fetch.rejected and began > fetch.began and not entry.cool_delay)
        if is_as_before or fetch.purpose == REFRESH and fetch.may_share:
            self._fetch_ended(entry, None)
        else:
            self._end_if_fulfilled(entry)

    def _look_at_store(self, now: float) -> None:
        """Do what is due for the shared store."""
        if self._sharer is not None:
            for entry in self._sharer.look(now):
                self._settle(entry)
            if self._heap:  # else nothing is in use
                self._sharer.probe(now)

    def _recovered(self, event: events.Recovered) -> None:
        entry = self._entry(event.name)
        if event.key is not None and entry.key is None:
            self._store(entry, event.key, None, event)
            self._end_if_fulfilled(entry)
        self._end_recovery(entry)
        self._settle(entry)

    def _leased(self, event: events.Leased) -> None:
        self._clients[event.client] = event.name
        self._uses[event.name] += 1

    def _released(self, event: events.Released) -> None:
        name = self._clients.pop(event.client, None)
        if name is None:
            return  # released before
        self._uses[name] -= 1
        if not self._uses[name]:
            del self._uses[name]
        if not self._clients:
            self._retire_all()
        elif name not in self._uses and name not in self._secret_names:
            self._retire([name])
        elif name in self._entries:
            self._plan(self._entries[name])  # it may be forgotten now

    def _accepted(self, event: events.Accepted) -> None:
        entry = self._entries.get(event.name)
        if entry is not None:
            if entry.key == event.key:
                entry.cool_delay = 0.0
            self._forget_old_reads(entry)
            entry.reads = tuple(read for read in entry.reads if read.new_key != event.key)
            self._heed(entry)

    def _signed(self, event: events.Signed) -> None:
        """Refresh a secret unless it was read lately: a program that signs does not say when its key is rejected."""
        entry = self._entries.get(event.name)
        if entry is None or entry.key is None or entry.is_idle:
            return
        now = self._now.monotonic
        if entry.signed_from is None:
            entry.signing_delay = self._provider_refresh_interval
            self._heed_signed(entry, entry.read_monotonic)
        if now >= (entry.signed_from or 0.0):
            if entry.fetch is None and not is_backing_off(entry, self._now):
                self._set_due_in(entry, 0.0)
                entry.is_due_for_signing = True
                self._plan(entry)
            self._heed_signed(entry, now)

    def _forked(self, event: events.Forked) -> None:
        self._fetcher.forget()
        if self._sharer is not None:
            self._sharer.forget(self._now.monotonic)
        self._refreshing.clear()
        self._due_refreshes.clear()
        self._heap.clear()
        for entry in self._entries.values():
            entry.start_anew()
            entry.moment = None
            entry.is_heeded = False
            self._heed(entry)
            self._do(Publish(entry.name, None))
            self._plan(entry)

    def _settle(self, entry: Entry) -> None:
        """Answer the askers that can be answered; begin a fetch if any are left and none runs; plan the next look."""
        self._answer_asks(entry)
        while entry.asks and entry.fetch is None and entry.recovery is None:
            self._begin_for_asks(entry)
            self._answer_asks(entry)
        self._plan(entry)

    def _answer_asks(self, entry: Entry) -> None:
        entry.asks = tuple(ask for ask in entry.asks if not self._answer_if_possible(entry, ask))

    def _answer_if_possible(self, entry: Entry, ask: Asked) -> bool:
        """Answer an asker if there is an answer or its deadline has passed; return whether that was so."""
        if ask.purpose == FIRST_READ:
            return self._answer_first_read(entry, ask)
        renewal = self.renewal(entry.name, ask.rejected, self._now)
        if renewal is None and self._now.monotonic >= ask.until:
            renewal = Renewal(None, self._deadline_error(entry))
        if renewal is not None:
            self._answer(ask.ticket, renewal)
        return renewal is not None

    def _answer_first_read(self, entry: Entry, ask: Asked) -> bool:
        now = self._now.monotonic
        is_over = now >= ask.until
        is_cooling = entry.fetch is None and entry.recovery is None and now < entry.cool_until
        failure = entry.cool_error if is_cooling else None
        if failure is not None or is_over:
            entry.is_stale = False  # it cannot be read again now
        if entry.key is not None and not entry.is_stale:
            if not entry.is_idle:
                self._do(Publish(entry.name, entry.key))
                if self._refresh_in(entry, self._now) is None:
                    self._schedule(entry)
            self._answer(ask.ticket, entry.key)
        elif failure is not None:
            self._answer(ask.ticket, None, one_of_its_own(failure))
        elif is_over:
            self._answer(ask.ticket, None, self._deadline_error(entry))
        else:
            return False
        return True

    def _deadline_error(self, entry: Entry) -> Exception:
        """Return the error for an asker whose deadline has passed."""
        if entry.recovery is not None:
            return one_of_its_own(entry.recovery.failure)
        throttling = self._fetcher.throttling(entry)
        if throttling is not None:
            return one_of_its_own(throttling)
        fetch, now = entry.fetch, self._now.monotonic
        error: Exception = no_answer((), entry.name, 0.0) if fetch is None else \
            no_answer(self._fetcher.waited_for(fetch.waiting), entry.name, now - fetch.began)
        return error

    def _begin_for_asks(self, entry: Entry) -> None:
        """Begin the fetch that the askers need; if the floor is reached, answer them without one."""
        # Of a secret without a key, cool-downs allow fewer reads than the floor.
        if self._is_floored(entry) and entry.key is not None:
            self._hold_back(entry)
            return
        purpose = FIRST_READ if any(ask.purpose == FIRST_READ for ask in entry.asks) else RENEWAL
        asks = [ask for ask in entry.asks if ask.purpose == purpose]
        now, deadline = self._now.monotonic, max(ask.until for ask in asks)
        if purpose == FIRST_READ and self._can_recover:
            deadline -= min(timing.RECOVERY_TIME, timing.RECOVERY_SHARE * (deadline - now))
        self._begin(entry, Fetch(purpose, asks[0].rejected, now, deadline, asks[0].delays))

    def _hold_back(self, entry: Entry) -> None:
        """Let first readers have the key that is held, and answer renewals that there is no newer one."""
        entry.is_stale = False
        for ask in entry.asks:
            if ask.purpose == RENEWAL:
                self._answer(ask.ticket, Renewal(None, None, _key_age(entry, self._now)))
        entry.asks = tuple(ask for ask in entry.asks if ask.purpose == FIRST_READ)

    def _begin_refresh(self, entry: Entry, ask: Asked) -> None:
        """Begin the refresh that somebody asked for, unless another fetch is in progress or the floor is reached.

        A secret that was not read yet has the time and the attempts of a first read, but the program's store, which may
        be behind Secrets Manager, is no answer. A refresh does not put a secret into use.
        """
        now, is_read = self._now.monotonic, entry.key is not None
        failure = None if is_read else self._failure_of_first_read(entry)
        if failure is not None:
            self._answer(ask.ticket, error=one_of_its_own(failure))
        elif entry.fetch is not None or self._is_floored(entry):
            if is_read and not entry.is_idle:
                self._set_due_in(entry, timing.FIRST_REFRESH_DELAY)
            self._answer(ask.ticket, False)
        else:
            deadline = min(ask.until, now + self._renew_timeout) if is_read else ask.until
            fetch = Fetch(REFRESH, None, now, deadline, () if is_read else ask.delays, ask.ticket)
            fetch.may_share = False  # who asks for a refresh knows of something new
            self._begin(entry, fetch)

    def _failure_of_first_read(self, entry: Entry) -> Optional[Exception]:
        """Return why a secret that was not read yet is not read again now; None if it may be."""
        if entry.recovery is not None:
            return entry.recovery.failure
        return entry.cool_error if self._now.monotonic < entry.cool_until else None

    def _begin(self, entry: Entry, fetch: Fetch) -> None:
        entry.fetch = fetch
        entry.reads += (fetch.read,)
        self._log(logging.DEBUG, "secret %r: fetch begins (%s), %.1f s at most", entry.name, fetch.purpose,
                  fetch.deadline - fetch.began)
        if not self._gateways:
            self._fetch_ended(entry, ConfigurationError(
                "the settings name no gateway of Secrets Manager; set cache_client_region_id"))
        elif self._sharer is not None:
            self._sharer.begin(entry, fetch, self._now.monotonic)
        else:
            self._fetcher.begin(entry, fetch, self._now.monotonic)

    def _fetch_ended(self, entry: Entry, error: Optional[Exception]) -> None:
        fetch, entry.fetch = entry.fetch, None
        assert fetch is not None  # nosec B101  # for the type checker
        self._fetcher.leave_line(entry)
        entry.has_failed = error is not None
        entry.fetches += 1
        entry.failures += error is not None
        entry.renewals += fetch.purpose == RENEWAL
        if self._sharer is not None:
            self._sharer.fetch_ended(entry, fetch, self._now.monotonic)
        self._log(logging.DEBUG, "secret %r: fetch ends (%s), %s after %.3f s", entry.name, fetch.purpose,
                  "answered" if error is None else "failed", self._now.monotonic - fetch.began)
        if fetch.purpose == REFRESH:
            self._refresh_ended(entry, fetch, error)
        elif fetch.purpose == RENEWAL:
            if error is not None:
                self._log(logging.WARNING, "secret %r: could not renew the rejected key: %s", entry.name, error,
                          error=error)
            if error is not None or entry.key == fetch.rejected:
                self._start_cool_down(entry, fetch.began, error)
        elif error is not None:
            self._first_read_failed(entry, fetch, error)

    def _first_read_failed(self, entry: Entry, fetch: Fetch, error: Exception) -> None:
        if entry.is_stale:  # first readers get the old key, since it cannot be read again now
            entry.is_stale = False
            self._back_off(entry, error)
        elif entry.key is None:  # else a late answer brought one
            if self._can_recover and is_outage(error):
                entry.recovery = Recovery(error, fetch.began, fetch.deadline + timing.GRACE)
                self._do(Recover(entry.name, error))
            else:
                self._start_cool_down(entry, fetch.began, error)

    def _end_if_fulfilled(self, entry: Entry) -> None:
        """End a fetch if its askers can have their key from elsewhere, such as a late answer."""
        fetch = entry.fetch
        if fetch is None or fetch.purpose == REFRESH or entry.is_stale or entry.key in (None, fetch.rejected):
            return
        self._fetch_ended(entry, None)

    def _end_recovery(self, entry: Entry) -> None:
        """Stop waiting for the program's store; without a key the first read has failed."""
        recovery, entry.recovery = entry.recovery, None
        if recovery is not None and entry.key is None:
            self._start_cool_down(entry, recovery.began, recovery.failure)

    def _refresh_ended(self, entry: Entry, fetch: Fetch, error: Optional[Exception]) -> None:
        raised = None
        if error is None:
            self._end_cool_down(entry)
        elif entry.key is None:
            self._first_read_failed(entry, fetch, error)
            raised = one_of_its_own(error)
        else:
            self._back_off(entry, error, fetch.is_for_signing)
        self._answer(fetch.ticket, error is None, raised)
        self._refreshing.discard(entry.name)

    def _back_off(self, entry: Entry, error: Exception, is_for_signing: bool = False) -> None:
        """Plan the next attempt of a refresh that failed; one for signing leaves the schedule as it was."""
        if is_for_signing:
            if is_throttling(error):
                entry.signing_delay = max(entry.signing_delay, min(2 * entry.signing_delay, self._refresh_interval))
            delay = entry.signing_delay
            self._heed_signed(entry, self._now.monotonic)
        else:
            first = timing.FIRST_THROTTLED_REFRESH_DELAY if is_throttling(error) else timing.FIRST_REFRESH_DELAY
            delay = equal_jitter(min(first * 2 ** min(entry.refresh_failures, 16), timing.LONGEST_REFRESH_DELAY))
            entry.refresh_failures += 1
            entry.retry_at = self._now.monotonic + delay
        self._log(logging.WARNING, "secret %r: refresh failed, the key stays; next attempt in %.1f s: %s", entry.name,
                  delay, error, error=error)
        if not entry.is_idle:
            self._schedule(entry)

    def _store(
        self,
        entry: Entry,
        key: AccessKey,
        read: Optional[Read],
        recovered: Optional[events.Recovered] = None,
        age: Optional[float] = None,
    ) -> None:
        """Store an answer.

        Args:
            entry: the secret's entry.
            key: the answer's key.
            read: the read that brought it, None if it was none.
            recovered: the answer of the program's store, if it is that.
            age: its age in seconds, if the shared store has it from another process.
        """
        now, former = self._now, entry.key
        is_new = key != former
        if is_new:
            if read is not None and key not in entry.former:
                read.new_key = key
            entry.replace_key(key, now.monotonic)
            entry.version_time = now.time
            self._end_cool_down(entry)
        entry.note_answer(key)
        entry.read_monotonic = now.monotonic - (age or 0.0)
        entry.read_time = now.time - (age or 0.0) if recovered is None else recovered.read
        entry.spread = timing.SPREAD_AFTER_FAILURE if entry.has_failed or entry.is_recovered else timing.SPREAD
        entry.is_recovered = recovered is not None
        entry.refresh_failures = int(entry.is_recovered)
        entry.is_stale = False
        if is_new and former is not None or not is_overdue(entry, now, self._refresh_interval):
            entry.overdue_since = None
        elif entry.overdue_since is None:
            entry.overdue_since = now.monotonic
        if entry.signed_from is not None:
            entry.signing_delay = self._provider_refresh_interval
            self._heed_signed(entry, now.monotonic)
        if not entry.is_idle:
            self._do(Publish(entry.name, entry.key))
            self._schedule(entry)
        if is_new:
            self._log(
                logging.INFO, "secret %r: %s %r%s", entry.name,
                "recovered" if entry.is_recovered else "read" if former is None else "rotated to", key,
                "" if age is None else ", from the shared store", key=key)
            self._do(Tell(entry.name, key, entry.is_recovered))
        if recovered is None:
            self._do(Stored(entry.name))

    def _is_floored(self, entry: Entry) -> bool:
        self._forget_old_reads(entry)
        return len(entry.reads) >= timing.FLOOR_READS

    def _forget_old_reads(self, entry: Entry) -> None:
        since = self._now.monotonic - timing.FLOOR_PERIOD
        entry.reads = tuple(read for read in entry.reads if read.began > since)

    def _start_cool_down(self, entry: Entry, began: float, error: Optional[Exception]) -> None:
        now = self._now.monotonic
        entry.cool_delay = min(entry.cool_delay * 2, timing.LONGEST_COOL_DOWN) or timing.FIRST_COOL_DOWN
        entry.cool_until = min(
            now + equal_jitter(entry.cool_delay), max(began + timing.COOL_DOWN_END, now + timing.FIRST_COOL_DOWN / 2))
        entry.cool_error = None if error is None else one_of_its_own(error)
        self._heed(entry)
        self._log(logging.DEBUG, "secret %r: not asked for again within %.2f s", entry.name, entry.cool_until - now)

    def _end_cool_down(self, entry: Entry) -> None:
        entry.cool_delay, entry.cool_until, entry.cool_error = 0.0, 0.0, None
        self._heed(entry)

    def _heed(self, entry: Entry) -> None:
        """Say whether ``Accepted`` matters: it ends the doubling of cool-downs, and takes reads off the floor."""
        wanted = entry.key is not None and (
            bool(entry.cool_delay) or any(read.new_key is not None for read in entry.reads))
        if wanted != entry.is_heeded:
            entry.is_heeded = wanted
            self._do(Heed(entry.name, wanted))

    def _heed_signed(self, entry: Entry, since: float) -> None:
        """Say from when on ``Signed`` matters again: an interval after ``since``, or a little later."""
        entry.signed_from = since + entry.signing_delay * spread_evenly(1.0, 1.0 + timing.SPREAD)
        self._do(HeedSigned(entry.name, entry.signed_from))

    def _use(self, entry: Entry) -> None:
        """Take note that a secret is in use; a key that was not in use for long has to be read again first."""
        if entry.is_idle and entry.key is not None:
            # A recovered key is old from the start, but new clients need not each wait for an outage.
            since = self._now.monotonic - entry.read_monotonic if entry.is_recovered else age(entry, self._now)
            entry.is_stale = since >= self._refresh_interval and not is_backing_off(entry, self._now)
        entry.is_idle = False

    def _retire_all(self) -> None:
        """Stop refreshing any secret, and end preloads: nobody wants their other secrets any more."""
        for entry in self._entries.values():
            for ask in entry.asks:
                if isinstance(ask.ticket, _PreloadTicket):
                    ask.ticket.preload.names.clear()
        self._retire(list(self._entries))

    def _retire(self, names: Sequence[str]) -> None:
        """Stop refreshing secrets that no client uses; their keys stay for the next client."""
        for name in names:
            entry = self._entries.get(name)
            if entry is not None:
                entry.is_idle = True
                entry.due_monotonic = entry.signed_from = None
                self._due_refreshes.pop(name, None)
                self._do(Publish(name, None))
                self._plan(entry)

    def _schedule(self, entry: Entry) -> None:
        self._set_due_in(entry, next_refresh(entry, self._now, self._refresh_interval))

    def _set_due_in(self, entry: Entry, delay: float) -> None:
        entry.due_monotonic, entry.due_time = self._now.monotonic + delay, self._now.time + delay
        entry.is_due_for_signing = False
        self._due_refreshes.pop(entry.name, None)
        self._log(logging.DEBUG, "secret %r: the next refresh is due in %.1f s", entry.name, delay)

    def _refresh_in(self, entry: Entry, now: Now) -> Optional[float]:
        """Return the seconds until the next refresh, as ``SecretStats.next_refresh`` has them."""
        if entry.name in self._due_refreshes or entry.name in self._refreshing and not entry.is_idle:
            return 0.0
        if entry.due_monotonic is None:
            return None
        return max(min(entry.due_monotonic - now.monotonic, entry.due_time - now.time), 0.0)

    def _begin_due_refreshes(self) -> None:
        """Begin the refreshes that are due, a few at a time."""
        now = self._now.monotonic
        while self._due_refreshes and len(self._refreshing) < timing.CONCURRENT_REFRESHES:
            entry = next(iter(self._due_refreshes.values()))
            del self._due_refreshes[entry.name]
            if entry.fetch is not None:
                self._set_due_in(entry, timing.FIRST_REFRESH_DELAY)
            elif self._is_floored(entry):
                self._set_due_in(
                    entry, max(entry.reads[0].began + timing.FLOOR_PERIOD - now, timing.LEAST_REFRESH_DELAY))
            else:
                self._refreshing.add(entry.name)
                fetch = Fetch(REFRESH, None, now, now + self._renew_timeout)
                fetch.is_for_signing = entry.is_due_for_signing
                self._begin(entry, fetch)
            self._settle(entry)

    def _look_at(self, entry: Entry) -> None:
        """Do what is due for an entry."""
        now = self._now.monotonic
        if self._sharer is not None:
            self._sharer.advance(entry, now)
        self._fetcher.advance(entry, now)
        if entry.recovery is not None and now >= entry.recovery.until:
            self._end_recovery(entry)
        due_at = self._due_at(entry)
        if due_at is not None and now >= due_at:
            entry.due_monotonic = None
            self._due_refreshes[entry.name] = entry
        forget_at = self._forget_at(entry)
        if forget_at is not None and now >= forget_at:
            if entry.is_heeded:
                self._do(Heed(entry.name, False))
            del self._entries[entry.name]
            return
        self._settle(entry)

    def _put_off(self, entry: Entry) -> None:
        """Look again in a second at an entry that is due again and again: a fault must not keep a core busy."""
        self._log(logging.ERROR, "secret %r: the keeper makes no progress, which nobody expected; please report it",
                  entry.name)
        self._look_again_at(entry, self._now.monotonic + 1.0)

    def _plan(self, entry: Entry) -> None:
        """Plan the next look at an entry."""
        self._look_again_at(entry, self._next_look(entry))

    def _next_look(self, entry: Entry) -> Optional[float]:
        """Return when to look at an entry next; None for never."""
        if entry.key is not None and entry.nothing_happens():
            return self._due_at(entry)  # of 10,000 entries, nearly all
        moments = self._fetcher.moments(entry) + [ask.until for ask in entry.asks]
        if entry.recovery is not None:
            moments.append(entry.recovery.until)
        moments += [moment for moment in (self._due_at(entry), self._forget_at(entry)) if moment is not None]
        return min(moments) if moments else None

    def _look_again_at(self, entry: Entry, moment: Optional[float]) -> None:
        if moment is not None and moment != entry.moment:
            heapq.heappush(self._heap, (moment, entry))
        entry.moment = moment

    def _due_at(self, entry: Entry) -> Optional[float]:
        """Return when a refresh is due by the monotonic clock, as the wall clock stands now; None for never."""
        due = entry.due_monotonic
        if due is None:
            return None
        by_wall_clock = entry.due_time - (self._ahead or 0.0)
        return by_wall_clock if by_wall_clock < due else due

    def _forget_at(self, entry: Entry) -> Optional[float]:
        """Return when a name that could not be read is forgotten, None for never."""
        if entry.key is not None or not entry.nothing_happens() or entry.name in self._uses:
            return None
        return entry.cool_until + timing.MEMORY_OF_FAILURE * entry.cool_delay

    def _note_clocks(self, now: Now) -> None:
        """Plan all entries anew if the wall clock jumped, or if most of the heap is void."""
        ahead = now.time - now.monotonic
        has_jumped = self._ahead is None or abs(ahead - self._ahead) > timing.CLOCK_JUMP
        if has_jumped or len(self._heap) > 2 * len(self._entries) + 64:
            self._ahead = ahead = ahead if has_jumped or self._ahead is None else self._ahead
            self._heap = heap = []
            for entry in self._entries.values():  # without a call for each of maybe 10,000
                due, by_wall_clock = entry.due_monotonic, entry.due_time - ahead
                if due is None or entry.key is None or entry.asks or entry.fetch or entry.requests or entry.recovery:
                    moment = self._next_look(entry)
                else:
                    moment = by_wall_clock if by_wall_clock < due else due
                entry.moment = moment
                if moment is not None:
                    heap.append((moment, entry))
            heapq.heapify(self._heap)

    def _entry(self, name: str) -> Entry:
        entry = self._entries.get(name)
        if entry is None:
            entry = self._entries[name] = Entry(name) if self._sharer is None else Entry(name, Sharing())
        return entry

    def _log(self, level: int, message: str, name: str, *args: Any, key: Any = None, error: Any = None) -> None:
        self._do(Log(level, message, (name,) + args, log_fields(name, key, error)))

    def _answer(self, ticket: Any, value: Any = None, error: Optional[Exception] = None) -> None:
        if isinstance(ticket, _PreloadTicket):
            ticket.end(error)
            self._preloads.add(ticket.preload)
        elif ticket is not None:  # else nobody waits
            self._do(Answer(ticket, value, error))

    def _do(self, action: Any) -> None:
        self._actions.append(action)


def _key_age(entry: Entry, now: Now) -> Optional[float]:
    return None if entry.replaced_at is None else now.monotonic - entry.replaced_at


def _expires_in(entry: Entry, now: Now) -> Optional[float]:
    expires = entry.expires
    return None if expires is None else expires - now.time


class _RunningPreload:
    """A preload that goes on: its names that were not asked for yet, and those that failed and were not logged yet."""

    def __init__(self, event: events.Preload) -> None:
        self.event = event
        self.ticket = event.ticket  # None once its asker was answered
        self.names: Deque[str] = collections.deque(dict.fromkeys(event.names))
        self.running = 0
        self.failures: List[Tuple[str, Any]] = []


class _PreloadTicket(NamedTuple):
    """The ticket of one secret of a preload."""

    preload: _RunningPreload
    name: str

    def end(self, error: Optional[Exception]) -> None:
        """Take note of the answer."""
        self.preload.running -= 1
        if error is not None:
            # Of an error of the program's own only the type: its text may hold the key.
            is_known = isinstance(error, (ServerException, ClientException, ManagedCredentialsError))
            self.preload.failures.append((self.name, error if is_known else type(error).__name__))
