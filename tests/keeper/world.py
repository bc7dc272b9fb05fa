"""The world around a keeper in the tests: a clock that moves when told, gateways, askers, readers, subscribers.

A test says what each gateway answers, asks, and looks at what became of it; nothing here runs by itself.
"""

import heapq
import itertools
import logging
from typing import Any, NamedTuple

from aliyunsdkcore.acs_exception.exceptions import ClientException, ServerException

from aliyun_sdk_secretsmanager_common_plugin.identities.identity import IdentityError
from aliyun_sdk_secretsmanager_common_plugin.keeper import FIRST_READ, REFRESH, RENEWAL, Keeper, Now
from aliyun_sdk_secretsmanager_common_plugin.keeper import actions as does
from aliyun_sdk_secretsmanager_common_plugin.keeper import events as told
from aliyun_sdk_secretsmanager_common_plugin.keeper.timing import FIRST_READ_DELAYS
from aliyun_sdk_secretsmanager_common_plugin.secrets_manager.gateways import UnreadableAnswer, UntrustedGateway

from .store import Store

NAME = "app/key"
# The "answer" of a gateway that hangs. ``World.end`` may end its requests later.
NEVER = object()


def server_error(code, status):
    return ServerException(code, "of the test", status, "request-1")


def identity_error(retryable):
    return IdentityError("no credentials", retryable)


NO_CONNECTION = ClientException("SDK.HttpError", "no connection")
TIMED_OUT = ClientException("SDK.HttpError", "read timed out")
UNTRUSTED = UntrustedGateway("SDK.HttpError", "certificate")
THROTTLED = server_error("Rejected.Throttling", 400)
UNAVAILABLE = server_error("ServiceUnavailableTemporary", 403)
WORTH_ANOTHER_REGION = [
    NO_CONNECTION,
    UnreadableAnswer("SDK.UnknownServerError", "a page of a proxy"),
    UNTRUSTED,
    THROTTLED,
    UNAVAILABLE,
    server_error("InternalFailure", 400),
    server_error("Anything", 500),
    server_error("Anything", 503),
    server_error("Anything", 429),
]
FINAL = [
    server_error("Forbidden.KMS", 403),
    server_error("Forbidden.ResourceNotFound", 404),
    server_error("InvalidAccessKeyId.NotFound", 404),
    server_error("SignatureDoesNotMatch", 400),
]


class After(NamedTuple):
    """An answer that comes after some seconds, whatever the request's time limit is."""

    seconds: float
    answer: Any


def timing_out(request):
    """The answer of a gateway that hangs until the socket times out."""
    return After(request.seconds, TIMED_OUT)


class Gateway:
    """A region.

    Attributes:
        answer: what it answers from now on: a key, an error, ``NEVER``, an ``After``, or a function of the request
            that returns one of these.
        seconds: the time limits of the requests to it.
    """

    def __init__(self, region_id, answer):
        self.region_id = region_id
        self.answer = answer
        self.seconds = []

    def waiting_for(self):
        return "Secrets Manager in {0} ({0}.example.com)".format(self.region_id)

    def __repr__(self):
        return "Gateway({})".format(self.region_id)


class Asker:
    """An asker, which is also its ticket.

    Attributes:
        event: what was asked.
        began: when.
        answers: what was answered; more than one ``Answer`` is a fault.
        took: how many seconds that took.
    """

    def __init__(self, event, began):
        self.event = event
        self.began = began
        self.answers = []
        self.took = None

    def result(self):
        """Return the answer; raise it if it is an error."""
        (answer,) = self.answers
        if answer.error is not None:
            raise answer.error
        return answer.value


class World:
    """A keeper and the world around it.

    Args:
        answers: what each gateway answers at first.
        options: those of the keeper.

    Attributes:
        keys: what readers see.
        requests: every request, in order.
        under_way: those that have not ended, by number.
        begun: when each request began.
        given_up: the numbers of those that were given up.
        told: what subscribers were told, in order.
        stored: how many answers were stored, by name.
        heeded: the names for which the keeper wants ``Accepted``.
        signed_from: by name, from when on it wants ``Signed``.
        recoveries: what the program's store was asked. It answers at once for the names in ``kept``.
        kept: by name, a stored key and when it was read; None if the store has nothing.
        shared_store: the shared store, None if there is none.
        operations: what it was asked, in order.
        operations_begun: when.
        lines: the log, as it would be written.
    """

    keeper_class = Keeper

    def __init__(self, *answers, refresh_interval=3600.0, renew_timeout=2.0, can_recover=False, secret_names=(),
                 provider_refresh_interval=60.0, store_timeout=None):
        self.monotonic = 5000.0
        self.time = 1700000000.0
        self.gateways = [Gateway("r" + str(at), answer) for at, answer in enumerate(answers, 1)]
        self.keeper = self.keeper_class(self.gateways, refresh_interval, renew_timeout, can_recover, secret_names,
                                         provider_refresh_interval, store_timeout)
        self.shared_store = None if store_timeout is None else Store(lambda: self.time)
        self.operations = []
        self.operations_begun = []
        self.keys = {}
        self.requests = []
        self.under_way = {}
        self.begun = []
        self.given_up = []
        self.told = []
        self.stored = {}
        self.heeded = set()
        self.signed_from = {}
        self.recoveries = []
        self.kept = {}
        self.lines = []
        self._coming = []  # events that will come: (when, order, event)
        self._order = itertools.count()
        self._clients = itertools.count(1)

    # What a program does.

    def read(self, seconds=10.0, retry=True, name=NAME):
        """Make the first read of a secret; return the key."""
        return self.wait_for(self.ask(FIRST_READ, seconds, name, delays=FIRST_READ_DELAYS if retry else ()))

    def renew(self, rejected, seconds=2.0, name=NAME):
        """Return the ``Renewal``."""
        return self.wait_for(self.ask(RENEWAL, seconds, name, rejected=rejected))

    def refresh(self, seconds=10.0, name=NAME):
        """Refresh by hand; return whether it was read."""
        return self.wait_for(self.ask(REFRESH, seconds, name))

    def ask(self, purpose, seconds=10.0, name=NAME, **options):
        """Ask without waiting; return the asker."""
        asker = Asker(None, self.monotonic)
        asker.event = told.Asked(asker, purpose, name, self.monotonic + seconds, **options)
        self.handle(asker.event)
        return asker

    def preload(self, names, seconds=10.0, until=30.0, retry=True):
        """Read secrets ahead without waiting; return the asker."""
        asker = Asker(None, self.monotonic)
        asker.event = told.Preload(
            asker, names, self.monotonic + until, seconds, lambda: FIRST_READ_DELAYS if retry else ())
        self.handle(asker.event)
        return asker

    def lease(self, name=NAME):
        """Make a client; return its number."""
        client = next(self._clients)
        self.handle(told.Leased(client, name))
        return client

    def release(self, client):
        self.handle(told.Released(client))

    def close(self):
        self.handle(told.Closed())

    def accept(self, key, name=NAME):
        """Let a service accept a key."""
        self.handle(told.Accepted(name, key))

    def sign(self, name=NAME):
        """Sign with the key as a provider does: it tells the keeper only from ``signed_from`` on."""
        if self.monotonic >= self.signed_from.get(name, 0.0):
            self.handle(told.Signed(name))

    def fork(self):
        """Go on as the child of a fork: nothing is under way, and nobody waits."""
        self.under_way.clear()
        self._coming = []
        self.signed_from.clear()
        self.handle(told.Forked())

    def wait_for(self, asker):
        """Let time pass until an asker is answered; return or raise the answer."""
        while not asker.answers:
            moment = self._next_moment()
            assert moment is not None, "nobody will ever answer"
            self._move_to(moment)
        return asker.result()

    # What Secrets Manager does.

    def end(self, number, given, **strategy):
        """End a request now, with a key or an error."""
        del self.under_way[number]
        failed = isinstance(given, BaseException)
        self.handle(told.Ended(number, None if failed else given, given if failed else None, **strategy))

    @property
    def log(self):
        """The regions that were asked, in order."""
        return [self.gateways[request.gateway].region_id for request in self.requests]

    @property
    def pauses(self):
        """Return the seconds from the beginning of each request to that of the next."""
        return [later - earlier for earlier, later in zip(self.begun, self.begun[1:])]

    # What time does.

    @property
    def now(self):
        return Now(self.monotonic, self.time)

    def known_names(self):
        """Return the names of the secrets that the keeper knows."""
        return list(self.keeper.stats(self.now))

    def is_idle(self, name=NAME):
        """Return whether no client uses a secret."""
        entry = self.keeper._entries.get(name)
        return entry is None or entry.is_idle

    def pass_time(self, seconds):
        """Let some seconds pass, and all that happens within them happen."""
        until = self.monotonic + seconds
        moment = self._next_moment()
        while moment is not None and moment <= until:
            self._move_to(moment)
            moment = self._next_moment()
        self._set(until)

    def stop(self, seconds):
        """Let some seconds pass while the process stands still."""
        self._set(self.monotonic + seconds)

    def jump(self, seconds):
        """Set the wall clock forward, as a suspended machine does too, or back."""
        self.time += seconds

    def _next_moment(self):
        moments = [self._coming[0][0]] if self._coming else []
        wake_at = self.keeper.wake_at()
        if wake_at is not None:
            moments.append(wake_at)
        return max(min(moments), self.monotonic) if moments else None

    def _move_to(self, moment):
        self._set(moment)
        if self._coming and self._coming[0][0] <= moment:
            self._let_come()
        else:
            self.handle(told.Ticked())

    def _set(self, moment):
        self.time += moment - self.monotonic
        self.monotonic = moment

    # The keeper.

    def handle(self, event):
        """Give the keeper an event, then those that follow from it at once; return the actions of the first."""
        actions = self.keeper.handle(event, self.now)
        for action in actions:
            getattr(self, self._does[type(action)])(action)
        wake_at = self.keeper.wake_at()
        assert wake_at is None or wake_at > self.monotonic, "it wants to be woken at once, which is for ever"
        while self._coming and self._coming[0][0] <= self.monotonic:
            self._let_come()
        return actions

    def _let_come(self):
        _, _, event = heapq.heappop(self._coming)
        if isinstance(event, told.Ended):
            if event.request not in self.under_way:
                return
            del self.under_way[event.request]
        self.handle(event)

    def _come(self, seconds, event):
        heapq.heappush(self._coming, (self.monotonic + seconds, next(self._order), event))

    def _publish(self, action):
        if action.key is None:
            self.keys.pop(action.name, None)
        else:
            self.keys[action.name] = action.key

    def _request(self, action):
        gateway = self.gateways[action.gateway]
        gateway.seconds.append(action.seconds)
        self.requests.append(action)
        self.begun.append(self.monotonic)
        self.under_way[action.number] = action
        given = gateway.answer(action) if callable(gateway.answer) else gateway.answer
        seconds, given = given if isinstance(given, After) else (0.0, given)
        if given is not NEVER:
            failed = isinstance(given, BaseException)
            self._come(seconds, told.Ended(action.number, None if failed else given, given if failed else None))

    def _answer(self, action):
        asker = action.ticket
        asker.answers.append(action)
        asker.took = self.monotonic - asker.began

    def _recover(self, action):
        self.recoveries.append(action)
        if action.name in self.kept:
            self._come(0.0, told.Recovered(action.name, *(self.kept[action.name] or (None,))))

    def _stored(self, action):
        self.stored[action.name] = self.stored.get(action.name, 0) + 1

    def _heed(self, action):
        if action.wanted:
            self.heeded.add(action.name)
        else:
            self.heeded.discard(action.name)

    def _log(self, action):
        line = action.message % action.args
        assert action.level < logging.ERROR, line
        self.lines.append(line)

    def _give_up(self, action):
        self.given_up.append(action.number)

    def _operate(self, action):
        assert action.number is not None, "its end could not be told from others"
        self.operations.append(action)
        self.operations_begun.append(self.monotonic)
        if self.shared_store.mode == "fails":
            self._come(0.0, told.StoreEnded(action.number, error="of the test"))
        elif self.shared_store.mode == "works":
            self._come(0.0, self.operated(action))

    def operated(self, action):
        """Carry out an operation of the shared store; return the event."""
        kind = type(action)
        if kind is does.Take:
            return self.shared_store.take(action)
        if kind is does.Share:
            self.shared_store.share(action)
        elif kind is does.Free:
            self.shared_store.free(action)
        return told.StoreEnded(action.number)

    def _tell(self, action):
        self.told.append(action)

    def _heed_signed(self, action):
        self.signed_from[action.name] = action.moment

    _does = {
        does.Publish: "_publish",
        does.Request: "_request",
        does.GiveUp: "_give_up",
        does.Recover: "_recover",
        does.Take: "_operate",
        does.Share: "_operate",
        does.Free: "_operate",
        does.Probe: "_operate",
        does.Answer: "_answer",
        does.Tell: "_tell",
        does.Stored: "_stored",
        does.Heed: "_heed",
        does.HeedSigned: "_heed_signed",
        does.Log: "_log",
    }
