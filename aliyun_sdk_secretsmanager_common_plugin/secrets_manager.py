"""GetSecretValue over the configured regions: order, hedge, deadline, backoff."""

import itertools
import logging
import math
import queue
import random
import threading
from typing import Callable, Dict, Iterable, Iterator, List, NamedTuple, Optional, Sequence, Set, Tuple

from aliyunsdkcore.acs_exception import error_code
from aliyunsdkcore.acs_exception.exceptions import ClientException, ServerException

from . import threads
from .access_key import AccessKey, parse_secret
from .clock import Clock
from .exceptions import ConfigurationError, ManagedCredentialsError
from .gateways import Gateway, UntrustedGateway, is_identity_refused
from .identities import IdentityError

logger = logging.getLogger(__name__)

# Seconds for which it is worth asking one more region.
LEAST_SHARE = 0.05
# Seconds after which a region that has not answered is overtaken: the next one is asked, too.
HEDGE = 1.0
# While no good answer comes, so many requests for a secret reach Secrets Manager within PACE seconds at most, all
# regions together.
MOST_REQUESTS = 3
PACE = 1.0
# Seconds by when a request, if it has not ended, is taken to have reached it.
ARRIVAL = 0.25

_THROTTLED = "Rejected.Throttling"
_RETRYABLE_CODES = (_THROTTLED, "ServiceUnavailableTemporary", "InternalFailure")
# What a dedicated gateway says of a client key, its own: other gateways have others.
_UNKNOWN_CLIENT_KEY = "Unauthorized"


class Fetched(NamedTuple):
    """An AccessKey as Secrets Manager gave it.

    Attributes:
        started: a number that grows with the start of each fetch in this process: newer is what started later.
        key: the key.
    """

    started: int
    key: AccessKey


LateAnswer = Callable[[str, Fetched], None]
# (secret name, seconds it may take, whether to ask again while there is time, who takes an answer that comes later)
Fetch = Callable[[str, float, bool, LateAnswer], Fetched]

_starts = itertools.count(1)


def next_start() -> int:
    """Return the number of a fetch that starts now."""
    return next(_starts)


def equal_jitter(seconds: float) -> float:
    """Return between half of ``seconds`` and all of it, so that a fleet does not ask in step."""
    return seconds / 2 + random.uniform(0, seconds / 2)  # nosec B311  # jitter


def no_answer(whence: str, secret_name: str, seconds: float) -> ClientException:
    """Return the error for a deadline that is over."""
    return ClientException(
        error_code.SDK_HTTP_ERROR,
        "secret {!r}: no answer within {:.1f} s from {}; check the endpoint and the network".format(
            secret_name, seconds, whence),
    )


def _too_soon(gateway: Gateway, secret_name: str, seconds: float) -> ClientException:
    return ClientException(
        error_code.SDK_HTTP_ERROR,
        "secret {!r}: the last {} requests to Secrets Manager failed, and {!r} may be asked in {:.1f} s only; look in "
        "the log for why they failed".format(secret_name, MOST_REQUESTS, gateway, seconds),
    )


class SecretsManager:
    """Reads secrets, region after region.

    Each request to a gateway runs in a short-lived daemon thread, at most one a secret and region: a caller's deadline
    is wall time, which no socket timeout is (a slow name server, a dripping answer).
    """

    def __init__(self, gateways: Sequence[Gateway], clock: Clock) -> None:
        self._gateways = list(gateways)
        self._clock = clock
        # Guards what is below, and who takes the answer of each request.
        self._lock = threading.Lock()
        self._requests: Dict[Tuple[str, Gateway], _Request] = {}
        self._failed: Dict[str, List[float]] = {}  # when the last requests for a secret failed, since a good answer
        self._last_good: Optional[Gateway] = None
        self._unwell: Set[Gateway] = set()  # those that failed, hung or were overtaken, and gave no good answer since
        self._seconds: Dict[Gateway, float] = {}  # that the last good answer of each took

    def fetch(self, secret_name: str, timeout: float, retry: bool, late: LateAnswer) -> Fetched:
        """Return the current version of a secret.

        Args:
            secret_name: which secret.
            timeout: seconds of wall time for all of it.
            retry: whether to ask again, with backoff, after every region failed and time is left.
            late: called, as a rule in another thread, with each good answer that came when nobody waited for it.

        Raises:
            ServerException: Secrets Manager refused, or failed.
            ClientException: no region answered in time.
            SecretFormatError: the secret is no managed RAM credential.
            ConfigurationError: there is no gateway.
        """
        if not self._gateways:
            raise ConfigurationError("the settings name no gateway of Secrets Manager; set cache_client_region_id")
        delays: Iterator[float] = itertools.chain((0.5, 1.0, 2.0), itertools.repeat(4.0)) if retry else iter(())
        inquiry = _Inquiry(self, self._clock, secret_name, timeout, late)
        refusal: Optional[BaseException] = None
        try:
            while True:
                fetched, errors = inquiry.ask_regions()
                if fetched is not None:
                    return fetched
                if not is_outage(errors[-1]):
                    refusal = errors[-1]  # in the next round its gateway may have to wait its turn
                delay = equal_jitter(next(delays, 0.0))
                pause = max(delay, self.pause(secret_name))
                hopeful = is_worth_a_region(errors[-1]) and any(_is_worth_an_attempt(error) for error in errors)
                if not hopeful or not delay or pause >= inquiry.deadline - self._clock.monotonic():
                    raise refusal or errors[-1]
                self._clock.sleep(pause)
        finally:
            self._leave(inquiry)
            errors, refusal = [], None  # no reference cycle with the traceback

    def in_order(self) -> List[Gateway]:
        """Return the gateways as they are to be asked: the last good one, healthy ones, the others; near before far.

        One that was never asked counts as healthy, and as far.
        """
        with self._lock:
            return sorted(self._gateways, key=lambda gateway: (
                gateway is not self._last_good, gateway in self._unwell, self._seconds.get(gateway, math.inf)))

    def ask(self, inquiry: "_Inquiry", gateway: Gateway, timeout: float) -> None:
        """Tell ``inquiry`` of the end of a request to ``gateway``: the one in progress, else one of its own."""
        with self._lock:
            key = (inquiry.secret_name, gateway)
            request = self._requests.get(key)
            is_new = request is None
            if request is None:
                request = self._requests[key] = _Request(self, self._clock, inquiry, gateway, timeout)
            elif inquiry not in request.inquiries:
                request.inquiries.append(inquiry)
        if is_new:
            request.start()

    def pause(self, secret_name: str, gateway: Optional[Gateway] = None) -> float:
        """Return the seconds until a request for a secret may begin; none to join the one of ``gateway``."""
        with self._lock:
            moments = self._failed.get(secret_name, []) + [
                request.began + ARRIVAL for (name, _), request in self._requests.items() if name == secret_name]
            if len(moments) < MOST_REQUESTS or (secret_name, gateway) in self._requests:
                return 0.0
            return max(0.0, sorted(moments)[-MOST_REQUESTS] + PACE - self._clock.monotonic())

    def distrust(self, gateways: Iterable[Gateway]) -> None:
        """Ask others before ``gateways``, which let us wait, until they answer well."""
        with self._lock:
            self._unwell.update(gateways)

    def finish(self, request: "_Request") -> None:
        """Called by the thread of ``request`` at its end."""
        asked_by = request.inquiries[0]
        threads.leaves(request.thread)
        with self._lock:
            if self._requests.get(request.key) is request:
                del self._requests[request.key]
            if request.fetched is None:
                failed = self._failed.get(asked_by.secret_name, [])
                # Where an identity is refused, its gateway may ask twice, and will at its next turn.
                turns = MOST_REQUESTS if is_identity_refused(request.error) else 1
                self._failed[asked_by.secret_name] = (failed + turns * [self._clock.monotonic()])[-MOST_REQUESTS:]
                self._unwell.add(request.gateway)
            else:
                self._failed.pop(asked_by.secret_name, None)
                self._unwell.discard(request.gateway)
                self._seconds[request.gateway] = request.seconds
                if not asked_by.left:
                    self._last_good = request.gateway
            for inquiry in request.inquiries:
                if not inquiry.left:
                    inquiry.ended.put(request)
            is_late = asked_by.left
        if is_late:
            asked_by.hand_over(request)

    def forget_threads(self) -> None:
        """In a forked child, where the threads of the parent are not."""
        self._lock = threading.Lock()
        self._requests.clear()

    def _leave(self, inquiry: "_Inquiry") -> None:
        with self._lock:
            inquiry.left = True
        while not inquiry.ended.empty():
            inquiry.hand_over(inquiry.ended.get())


class _Inquiry:
    """One fetch: which gateways it has asked, and what has come of it.

    Attributes:
        deadline: when it is over, by the monotonic clock.
        ended: the requests that ended and were not looked at yet.
        left: whether nobody waits for it any more.
    """

    def __init__(
        self, secrets_manager: SecretsManager, clock: Clock, secret_name: str, timeout: float, late: LateAnswer
    ) -> None:
        self.secret_name = secret_name
        self._began = clock.monotonic()
        self.deadline = self._began + timeout
        self.ended: queue.Queue[_Request] = queue.Queue()
        self.left = False
        self._secrets_manager = secrets_manager
        self._clock = clock
        self._late = late
        self._to_ask: List[Gateway] = []
        self._waiting: Dict[Gateway, float] = {}  # until when for whom
        self._latest: Optional[Gateway] = None  # who was asked last
        self._next_at = 0.0  # when it is overtaken by the next one
        self._silent: List[Gateway] = []  # those that were waited for in vain
        self._errors: List[BaseException] = []

    def ask_regions(self) -> Tuple[Optional[Fetched], List[BaseException]]:
        """Ask each gateway once, and return the first good answer; None where there is none, with the errors."""
        self._to_ask = self._secrets_manager.in_order()
        self._waiting, self._silent, self._errors = {}, [], []
        self._ask_next()
        while self._waiting:
            request = self._next_end()
            if request is None:
                self._time_is_up()
            elif request.inquiries[0] is not self:
                self._ask(request.gateway)  # that one may have read before the rotation that we are asked about
            elif request.fetched is not None:
                return request.fetched, []
            else:
                self._failed(request)
        if self._silent:
            self._errors.append(no_answer(
                " and ".join(dict.fromkeys(gateway.waiting_for() for gateway in self._silent)),
                self.secret_name,
                self._clock.monotonic() - self._began,
            ))
        errors, self._errors = self._errors, []
        errors.sort(key=lambda error: (is_worth_a_region(error), is_outage(error)), reverse=True)  # the last is raised
        return None, errors

    def hand_over(self, request: "_Request") -> None:
        """Hand over the answer of a request, if it is a good one, that nobody waited for."""
        if request.fetched is not None:
            self._late(self.secret_name, request.fetched)

    def _next_end(self) -> Optional["_Request"]:
        """Return the next request that ends, None when it is time to do without."""
        wake_at = min(self._waiting.values())
        if self._to_ask:
            wake_at = min(wake_at, self._next_at)
        try:
            return self.ended.get(timeout=max(0, wake_at - self._clock.monotonic()))
        except queue.Empty:
            return None

    def _time_is_up(self) -> None:
        now = self._clock.monotonic()
        if self._to_ask and now >= self._next_at:
            self._secrets_manager.distrust(self._waiting)
            self._ask_next()
        else:
            over = [gateway for gateway, until in self._waiting.items() if now >= until]
            self._secrets_manager.distrust(over)
            self._silent += over
            for gateway in over:
                del self._waiting[gateway]

    def _failed(self, request: "_Request") -> None:
        error, request.error = request.error, None  # no reference cycle with the traceback
        assert error is not None  # nosec B101  # for the type checker
        logger.debug("secret %r: %r failed: %s", self.secret_name, request.gateway, error)
        self._errors.append(error)
        self._waiting.pop(request.gateway, None)
        if not is_worth_a_region(error):
            self._to_ask.clear()
        elif request.gateway is self._latest:  # for another one the next was asked when it was overtaken
            self._ask_next()

    def _ask_next(self) -> None:
        remaining = self.deadline - self._clock.monotonic()
        if remaining < LEAST_SHARE and (self._waiting or self._errors):
            self._to_ask.clear()
        if self._to_ask:
            self._latest = self._to_ask.pop(0)
            self._ask(self._latest)
            now = self._clock.monotonic()  # it may have been made to wait
            self._next_at = now + min(HEDGE, (self.deadline - now) / (1 + len(self._to_ask)))

    def _ask(self, gateway: Gateway) -> None:
        """Ask ``gateway``, when it may be asked, for its share of the time that is left then."""
        pause = self._secrets_manager.pause(self.secret_name, gateway)
        if pause > 0:
            if pause >= self.deadline - self._clock.monotonic():
                self._waiting.pop(gateway, None)
                self._errors.insert(0, _too_soon(gateway, self.secret_name, pause))  # the others' errors say more
                return
            self._clock.sleep(pause)
        now = self._clock.monotonic()
        remaining = self.deadline - now
        share = max(remaining / (1 + len(self._to_ask)), min(HEDGE, remaining))
        self._waiting[gateway] = now + share
        self._secrets_manager.ask(self, gateway, max(share, LEAST_SHARE))


class _Request:
    """One request to one gateway, in a thread of its own.

    Attributes:
        inquiries: who is told of its end; its answer is for the first of them alone, who asked.
        thread: its thread.
        began: when, by the monotonic clock.
    """

    def __init__(
        self, secrets_manager: SecretsManager, clock: Clock, inquiry: _Inquiry, gateway: Gateway, timeout: float
    ) -> None:
        self.key = (inquiry.secret_name, gateway)
        self.gateway = gateway
        self.inquiries = [inquiry]
        self.began = clock.monotonic()
        self.fetched: Optional[Fetched] = None
        self.seconds = 0.0
        self.error: Optional[BaseException] = None
        self.thread = threading.Thread(target=self._run, name="managed-credentials-fetch", daemon=True)
        self._secrets_manager = secrets_manager
        self._clock = clock
        self._timeout = timeout

    def start(self) -> None:
        try:
            threads.start(self.thread)
        except RuntimeError as error:
            self.error = ClientException(error_code.SDK_HTTP_ERROR, "cannot ask Secrets Manager: {}".format(error))
            self._secrets_manager.finish(self)

    def _run(self) -> None:
        secret_name, gateway = self.key
        started = next_start()
        try:
            answer = gateway.get_secret_value(secret_name, self._timeout)
            self.seconds = self._clock.monotonic() - self.began
            self.fetched = Fetched(started, parse_secret(secret_name, answer))
        except (ServerException, ClientException, ManagedCredentialsError) as error:
            self.error = error
        except BaseException as error:  # what it says is not ours to show
            self.error = ManagedCredentialsError(
                "secret {!r}: {} was raised while {!r} was asked, which nobody expected; please report it".format(
                    secret_name, type(error).__name__, gateway))
        finally:
            self._secrets_manager.finish(self)


def is_worth_a_region(error: BaseException) -> bool:
    """Return whether another region may do better: this one did not answer, or not as Secrets Manager does."""
    if isinstance(error, ServerException):
        return (error.get_http_status() or 0) >= 500 or error.get_http_status() == 429 \
            or error.get_error_code() in _RETRYABLE_CODES + (_UNKNOWN_CLIENT_KEY,)
    return isinstance(error, ClientException)


def is_outage(error: BaseException) -> bool:
    """Return whether nobody answered, or not as Secrets Manager does, or it throttles; a refusal is an answer.

    A certificate that is not trusted is no answer: whoever could forge one could cut the line as well.
    """
    return _is_worth_an_attempt(error) or isinstance(error, UntrustedGateway)


def is_throttling(error: BaseException) -> bool:
    """Return whether Secrets Manager was asked more often than the quota allows."""
    return isinstance(error, ServerException) and (
        error.get_error_code() == _THROTTLED or error.get_http_status() == 429)


def _is_worth_an_attempt(error: BaseException) -> bool:
    """Return whether the same region may do better in a moment; a certificate will not."""
    if isinstance(error, IdentityError):
        return error.retryable
    if isinstance(error, ServerException) and error.get_error_code() == _UNKNOWN_CLIENT_KEY:
        return False
    return is_worth_a_region(error) and not isinstance(error, UntrustedGateway)
