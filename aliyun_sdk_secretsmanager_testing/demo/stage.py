"""Plays the scenarios on a local cloud, with threads that call it all the time."""
import contextlib
import logging
import os
import tempfile
import threading
import time
from typing import Any, Callable, Generator, Iterator, List, Tuple

from aliyunsdkcore.client import AcsClient
from aliyunsdkcore.request import CommonRequest

from aliyun_sdk_secretsmanager_common_plugin import ManagedCredentials
from aliyun_sdk_secretsmanager_common_plugin.settings.settings import KEYS
from aliyun_sdk_secretsmanager_oss_plugin import ProxyBucket
from aliyun_sdk_secretsmanager_sdk_core_plugin import ProxyAcsClient

from ..cloud import LocalCloud
from ..faults import Fault
from .scenarios import RETURN_LIMIT, SCENARIOS, Result, Scenario
from .tally import Done, Tally

BUCKET = "demo"
REGION = "cn-hangzhou"
THREADS_EACH = 3
# Seconds.
PAUSE = 0.05  # between two calls of a thread, so that two cores are enough
TICK = 0.1  # between two looks at the figures
PATIENCE = 10.0  # for calls that show what a scenario is about, on a busy machine
PROXY_VARIABLES = ("http_proxy", "https_proxy", "all_proxy")

Client = Tuple[bool, Callable[[], Any]]  # whether it is a managed one, and what makes a call


def perform(pace: float = 1.0) -> Generator[Result, None, None]:
    """Play all scenarios, one after the other.

    Until the iterator ends or is closed, nothing is logged, and the environment names neither settings nor proxies.

    Args:
        pace: the factor by which the times of the scenarios are multiplied.

    Returns:
        What is known of the scenario that is played, several times a second; at its end its result, whose ``ok`` is
        not None.

    Raises:
        ImportError: the extra ``testing`` is not installed.
    """
    return _perform(LocalCloud(), pace)


def _perform(cloud: LocalCloud, pace: float) -> Generator[Result, None, None]:
    with contextlib.ExitStack() as stack:
        _quiet(stack)
        stack.enter_context(cloud)
        cloud.create_bucket(BUCKET)
        properties = cloud.write_properties(stack.enter_context(tempfile.TemporaryDirectory()))
        for scenario in SCENARIOS:
            yield from _Play(cloud, properties, scenario.at(pace)).results()


class _Play:
    """One scenario that is played, with a secret and clients of its own."""

    def __init__(self, cloud: LocalCloud, properties: str, scenario: Scenario) -> None:
        self._cloud = cloud
        self._properties = properties
        self._scenario = scenario
        self._secret = "demo/" + scenario.name
        self._tally = Tally(cloud, self._secret)

    def results(self) -> Iterator[Result]:
        scenario, back = self._scenario, None
        self._cloud.create_secret(self._secret)
        with contextlib.ExitStack() as stack:
            stack.enter_context(_load(self._clients(stack), self._tally))
            yield from self._go_on("All clients use the first key.", scenario.before, self._has_begun)
            if scenario.outage:
                self._cloud.inject("secrets_manager", Fault.status(503))
            self._cloud.rotate(self._secret, grace=scenario.grace, propagation=scenario.propagation)
            if scenario.grace:
                yield from self._go_on("The key was replaced. Services still accept the old one.", scenario.grace)
            if scenario.outage:
                yield from self._go_on("The key was replaced. Secrets Manager is down.", scenario.outage)
                self._cloud.clear("secrets_manager")
                back = time.monotonic()
                yield from self._go_on("Secrets Manager is back.", 0.0, lambda: self._is_back(back), RETURN_LIMIT)
            yield from self._go_on("Services reject the old key.", scenario.after, self._was_rejected)
        yield scenario.result(self._tally.judged(back))

    def _go_on(self, now: str, least: float, until: Callable[[], bool] = lambda: True,
               patience: float = PATIENCE) -> Iterator[Result]:
        """Wait ``least`` seconds, and then until the condition holds, but no more than ``patience`` seconds."""
        began = time.monotonic()
        while time.monotonic() < began + least or (time.monotonic() < began + least + patience and not until()):
            yield self._scenario.so_far(self._tally.figures(), now)
            time.sleep(TICK)

    def _has_begun(self) -> bool:
        figures = self._tally.figures()
        return bool(figures.calls and figures.plain_calls)

    def _is_back(self, back: float) -> bool:
        return self._tally.back_after(back) is not None

    def _was_rejected(self) -> bool:
        """Whether a service has rejected the old key of both kinds of clients."""
        figures = self._tally.figures()
        return bool(figures.plain_failed and (figures.fetches or figures.failed))

    def _clients(self, stack: contextlib.ExitStack) -> List[Client]:
        """Return the clients, each as often as there are threads that call with it."""
        credentials = stack.enter_context(ManagedCredentials.from_properties(self._properties))
        managed = stack.enter_context(ProxyAcsClient(self._secret, region_id=REGION, managed_credentials=credentials))
        bucket = stack.enter_context(
            ProxyBucket(self._secret, self._cloud.oss_endpoint, BUCKET, managed_credentials=credentials))
        key = self._cloud.secret(self._secret).current
        plain = AcsClient(key.access_key_id, key.access_key_secret, REGION)
        clients: List[Client] = []
        for number in range(THREADS_EACH):
            clients.append((True, _describe_regions(managed, self._cloud.api_endpoint)))
            clients.append((True, _put_and_get(bucket, "{}-{}".format(self._scenario.name, number))))
            clients.append((False, _describe_regions(plain, self._cloud.api_endpoint)))
        return clients


@contextlib.contextmanager
def _load(clients: List[Client], tally: Tally) -> Iterator[None]:
    """Run a thread for each client, which calls again and again while the context lasts."""
    stop = threading.Event()

    def work(managed: bool, call: Callable[[], Any]) -> None:
        while not stop.wait(PAUSE):
            started, error = time.monotonic(), ""
            try:
                call()
            except Exception as raised:
                error = _described(raised)
            tally.add(Done(managed, started, time.monotonic(), error))

    threads = [threading.Thread(target=work, args=client, name="demo", daemon=True) for client in clients]
    try:
        for thread in threads:
            thread.start()
        yield
    finally:
        stop.set()
        for thread in threads:
            thread.join()


def _describe_regions(client: AcsClient, endpoint: str) -> Callable[[], Any]:
    return lambda: client.do_action_with_exception(
        CommonRequest(domain=endpoint, version="2014-05-26", action_name="DescribeRegions"))


def _put_and_get(bucket: ProxyBucket, name: str) -> Callable[[], Any]:
    """Return a function that puts an object when it is called, gets it at the next call, and so on."""
    stored: List[bytes] = []

    def call() -> None:
        if not stored:
            body = os.urandom(1024)
            bucket.put_object(name, body)
            stored.append(body)
        elif bucket.get_object(name).read() != stored.pop():
            raise ValueError("OSS gave another object than the one that was put")

    return call


def _described(error: Exception) -> str:
    """Return the type and code of an error; its text would show AccessKey ids."""
    code = getattr(error, "error_code", None) or getattr(error, "code", None)
    return type(error).__name__ + (" " + str(code) if code else "")


def _quiet(stack: contextlib.ExitStack) -> None:
    """Until the stack is closed, ignore the variables that override settings or name a proxy, and log nothing."""
    names = KEYS + PROXY_VARIABLES + tuple(name.upper() for name in PROXY_VARIABLES)
    stack.callback(os.environ.update, {name: os.environ.pop(name) for name in names if name in os.environ})
    # The SDKs log each failed call.
    stack.callback(logging.disable, logging.root.manager.disable)
    logging.disable(logging.CRITICAL)
