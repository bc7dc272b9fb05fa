"""GetSecretValue over the configured regions: order, deadline, backoff."""

import itertools
import logging
import random
import threading
from typing import Callable, Dict, Iterator, List, NamedTuple, Optional, Sequence, Tuple

from aliyunsdkcore.acs_exception import error_code
from aliyunsdkcore.acs_exception.exceptions import ClientException, ServerException

from .access_key import AccessKey, parse_secret
from .clock import Clock
from .exceptions import ConfigurationError, SecretFormatError
from .gateways import SharedGateway, UntrustedGateway

logger = logging.getLogger(__name__)

# Seconds for which it is worth asking one more region.
LEAST_SHARE = 0.05

_RETRYABLE_CODES = ("Rejected.Throttling", "ServiceUnavailableTemporary", "InternalFailure")


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
    return seconds / 2 + random.uniform(0, seconds / 2)


def no_answer(where: str, secret_name: str, seconds: float) -> ClientException:
    """Return the error for a deadline that is over."""
    return ClientException(
        error_code.SDK_HTTP_ERROR,
        "Secrets Manager in {}, secret {!r}: no answer within {:.1f} s; check the endpoint and the network".format(
            where, secret_name, max(seconds, 0)),
    )


class SecretsManager:
    """Reads secrets, region after region.

    Each request to a gateway runs in a short-lived daemon thread, at most one a secret and region: a caller's deadline
    is wall time, which no socket timeout is (a slow name server, a dripping answer).
    """

    def __init__(self, gateways: Sequence[SharedGateway], clock: Clock) -> None:
        self._gateways = list(gateways)
        self._clock = clock
        self._lock = threading.Lock()  # guards _requests, and who takes the answer of each
        self._requests: Dict[Tuple[str, SharedGateway], _Request] = {}
        self._last_good = self._gateways[0] if self._gateways else None

    def fetch(self, secret_name: str, timeout: float, retry: bool, late: LateAnswer) -> Fetched:
        """Return the current version of a secret.

        Args:
            secret_name: which secret.
            timeout: seconds of wall time for all of it.
            retry: whether to ask again, with backoff, after every region failed and time is left.
            late: called, in another thread, with an answer that came after its share of the time was over.

        Raises:
            ServerException: Secrets Manager refused, or failed.
            ClientException: no region answered in time.
            SecretFormatError: the secret is no managed RAM credential.
            ConfigurationError: there is no gateway.
        """
        if not self._gateways:
            raise ConfigurationError("the settings name no gateway of Secrets Manager; set cache_client_region_id")
        deadline = self._clock.monotonic() + timeout
        delays: Iterator[float] = itertools.chain((0.5, 1.0, 2.0), itertools.repeat(4.0)) if retry else iter(())
        while True:
            fetched, errors = self._ask_regions(secret_name, deadline, late)
            if fetched is not None:
                return fetched
            delay = equal_jitter(next(delays, 0.0))
            hopeful = _is_worth_a_region(errors[-1]) and any(_is_worth_an_attempt(error) for error in errors)
            if not hopeful or not 0 < delay < deadline - self._clock.monotonic():
                raise errors[-1]
            self._clock.sleep(delay)

    def _ask_regions(
        self, secret_name: str, deadline: float, late: LateAnswer
    ) -> Tuple[Optional[Fetched], List[Exception]]:
        errors: List[Exception] = []
        gateways = sorted(self._gateways, key=lambda gateway: gateway is not self._last_good)
        for asked, gateway in enumerate(gateways):
            share = (deadline - self._clock.monotonic()) / (len(gateways) - asked)
            if errors and share < LEAST_SHARE:
                break
            try:
                fetched = self._ask(secret_name, gateway, share, late)
            except (ServerException, ClientException, SecretFormatError) as error:
                logger.debug("secret %r: %r failed: %s", secret_name, gateway, error)
                errors.append(error)
                if not _is_worth_a_region(error):
                    break
            else:
                self._last_good = gateway
                return fetched, errors
        return None, errors

    def _ask(self, secret_name: str, gateway: SharedGateway, share: float, late: LateAnswer) -> Fetched:
        until = self._clock.monotonic() + share
        while True:
            remaining = until - self._clock.monotonic()
            if remaining <= 0:
                break
            with self._lock:
                request = self._requests.get((secret_name, gateway))
                ours = request is None
                if request is None:
                    request = _Request(self, secret_name, gateway, remaining, late)
                    self._requests[request.key] = request
            if ours:
                request.start()
            request.done.wait(remaining)
            with self._lock:
                if not request.done.is_set():
                    request.abandoned = True
                    break
            # One that was there before us may have read before the rotation that we are asked about.
            if ours:
                return request.result()
        raise no_answer("{} ({})".format(gateway.region_id, gateway.endpoint), secret_name, share)

    def forget_threads(self) -> None:
        """In a forked child, where the threads of the parent are not."""
        self._lock = threading.Lock()
        self._requests.clear()

    def finish(self, request: "_Request") -> None:
        """Called by the thread of ``request`` at its end."""
        with self._lock:
            if self._requests.get(request.key) is request:
                del self._requests[request.key]
            request.done.set()
            abandoned = request.abandoned
        if abandoned and request.fetched is not None:
            request.late(request.secret_name, request.fetched)


class _Request:
    """One request to one gateway, in a thread of its own."""

    def __init__(
        self,
        owner: SecretsManager,
        secret_name: str,
        gateway: SharedGateway,
        timeout: float,
        late: LateAnswer,
    ) -> None:
        self.key = (secret_name, gateway)
        self.secret_name = secret_name
        self.late = late
        self.done = threading.Event()
        self.abandoned = False
        self.fetched: Optional[Fetched] = None
        self._owner = owner
        self._gateway = gateway
        self._timeout = timeout
        self._error: Optional[BaseException] = None

    def start(self) -> None:
        try:
            threading.Thread(target=self._run, name="managed-credentials-fetch", daemon=True).start()
        except RuntimeError as error:  # the system gives no more threads
            self._error = ClientException(error_code.SDK_HTTP_ERROR, "cannot ask Secrets Manager: {}".format(error))
            self._owner.finish(self)

    def _run(self) -> None:
        started = next_start()
        try:
            answer = self._gateway.get_secret_value(self.secret_name, self._timeout)
            self.fetched = Fetched(started, parse_secret(self.secret_name, answer))
        except BaseException as error:
            self._error = error
        finally:
            self._owner.finish(self)

    def result(self) -> Fetched:
        if self.fetched is None:
            assert self._error is not None
            raise self._error
        return self.fetched


def _is_worth_a_region(error: Exception) -> bool:
    """Return whether another region may do better: this one did not answer, or not as Secrets Manager does."""
    if isinstance(error, ServerException):
        return (error.get_http_status() or 0) >= 500 or error.get_http_status() == 429 \
            or error.get_error_code() in _RETRYABLE_CODES
    return isinstance(error, ClientException)


def _is_worth_an_attempt(error: Exception) -> bool:
    """Return whether the same region may do better in a moment; a certificate will not."""
    return _is_worth_a_region(error) and not isinstance(error, UntrustedGateway)
