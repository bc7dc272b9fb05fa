"""A soak test: 64 threads, 100 clients and 50 secrets, with a rotation every second and faults at random.

Run it with ``nox -s soak``, which takes ten minutes, or with ``nox -s soak -- --seconds 30``. It exits with 0 only if
no call failed that could have succeeded, judged by the local cloud's own log, and if nothing grew. The clients are in a
process of their own, which is measured from outside. This one has the cloud, its rotations and faults, and the judge.
"""

import argparse
import concurrent.futures
import contextlib
import gc
import itertools
import json
import logging
import math
import multiprocessing
import os
import random
import statistics
import sys
import tempfile
import threading
import time
from typing import Any, Callable, Counter, Dict, Iterator, List, NamedTuple, Optional, Sequence, Tuple

import oss2
import psutil
from aliyunsdkcore.request import CommonRequest

from aliyun_sdk_secretsmanager_common_plugin import ManagedCredentials
from aliyun_sdk_secretsmanager_oss_plugin import ProxyBucket
from aliyun_sdk_secretsmanager_sdk_core_plugin import ProxyAcsClient
from aliyun_sdk_secretsmanager_testing import Fault, LocalCloud

THREADS = 64
CLIENTS = 100
SECRETS = 50
# How many of the secrets no client holds for long: each of their clients makes one call.
VISITED = 5
WITH_TOKENS = 10
PAUSE = 0.3  # seconds between two calls of a thread, on average, so that two cores are enough
PASSING = 0.02  # part of the calls that make their own client; half of these are shut down, half are dropped
REPLACED = 0.005  # part of the calls that replace a client, which is dropped while other threads call with it
POOL_SIZE = 1  # connections that a client keeps
BUCKET = "soak"
REGIONS = ("cn-hangzhou", "cn-shanghai")
INSTANCE = "kst-soak"
GATEWAYS: Tuple[Tuple[str, str], ...] = (
    ("dedicated", INSTANCE), ("secrets_manager", REGIONS[0]), ("secrets_manager", REGIONS[1]))
ROTATION_ANNOUNCED = (5.0, 60.0)  # seconds until NextRotationDate; the secret is read again 1 to 30 s after it
# Seconds for which Secrets Manager is not asked again after a failure, at most, with some margin for a busy machine.
COOL_DOWN = 5.5
# Seconds that a request or an answer may take on a busy machine; a renewal may take longer than by default, too.
ON_ITS_WAY = 1.0
RENEW_TIMEOUT = 5.0
WARM_UP = 60.0
SAMPLES_EVERY = 1.0
REJECTIONS = ("InvalidAccessKeyId", "InvalidSecurityToken")

WRONG_TYPE = b'{"SecretData": "{}", "SecretType": "Generic", "VersionId": "v1", "SecretName": "soak"}'
# The faults of gateways. All gateways have the final ones together, since no other is asked after such an answer.
GATEWAY_FAULTS: Sequence[Callable[[], Fault]] = (
    lambda: Fault.status(500, "InternalFailure"), lambda: Fault.status(503), Fault.throttling, Fault.html,
    lambda: Fault.html(502), lambda: Fault.body(b"{}"), lambda: Fault.body(b"{"), Fault.reset, Fault.hang,
    lambda: Fault.slow(0.5), lambda: Fault.slow(3), lambda: Fault.drip(0.5), Fault.cut, Fault.refuse,
    Fault.expired_certificate, Fault.untrusted_certificate)
FINAL_FAULTS: Sequence[Callable[[], Fault]] = (Fault.forbidden, lambda: Fault.body(WRONG_TYPE))
SERVICE_FAULTS: Sequence[Callable[[], Fault]] = (
    lambda: Fault.status(503), Fault.throttling, Fault.forbidden, Fault.reset, Fault.hang, lambda: Fault.slow(0.5),
    lambda: Fault.drip(0.5), Fault.cut, Fault.refuse)


class Failure(NamedTuple):
    """A call that failed. Times are monotonic seconds, which are the same in all processes of a machine.

    Attributes:
        secret: the secret of its client.
        service: the service that was called; None where the client could not be made.
        started: when the call began.
        refused: when each answer with an error status came.
        ended: when the call failed.
        code: the error code, or the type of the error.
        text: the message of the error, and its cause.
    """

    secret: str
    service: Optional[str]
    started: float
    refused: Tuple[float, ...]
    ended: float
    code: str
    text: str


class News(NamedTuple):
    """What the clients' process did since its last report.

    Attributes:
        counts: how many calls succeeded and how many clients were made, by name.
        failures: the calls that failed.
        blocks: thousands of Python's memory blocks that were live after the last garbage collection.
    """

    counts: Counter[str]
    failures: List[Failure]
    blocks: float


class Figures(NamedTuple):
    """The resources of a process at a moment, in the order of ``LABELS``."""

    rss: float
    blocks: float
    threads: float
    sockets: float
    fds: float


LABELS = ("memory, MiB", "live blocks, thousands", "threads", "sockets", "file descriptors")
IMPORTED = 0.1  # the part by which modules that are imported late may increase the blocks
# By how much the figures at the end may exceed those after the warm-up: GROWTH is a part of them, SWING is added. A
# leak shows in the live blocks. The memory may grow for longer, since many threads allocate and free buffers, and the C
# library keeps some of that memory. The threads are those of fetches. The sockets are those of calls in progress, and
# of clients that were dropped since the last garbage collection.
GROWTH = Figures(0.15, 0.05, 0.0, 0.0, 0.0)
SWING = Figures(2.0, 0.0, 8.0, 30.0, 30.0)


class Load:
    """The clients, and the threads that call with them again and again.

    Args:
        properties: the path of the properties file.
        api_endpoint: the address of the RPC API.
        oss_endpoint: the address of OSS.
    """

    def __init__(self, properties: str, api_endpoint: str, oss_endpoint: str) -> None:
        self._credentials = ManagedCredentials.from_properties(properties)
        self._api_endpoint = api_endpoint
        self._oss_endpoint = oss_endpoint
        self._lock = threading.Lock()
        self._counts: Counter[str] = Counter()
        self._failures: List[Failure] = []
        self._refused = threading.local()
        self._secrets = [secret_name(number % (SECRETS - VISITED)) for number in range(CLIENTS)]
        # Every other one is a secret that no client holds for long.
        self._passing = itertools.cycle([secret_name(number if number % 2 else SECRETS - 1 - number // 2 % VISITED)
                                         for number in range(SECRETS)])
        self._clients = [self._made(secret, number % 2 == 0) for number, secret in enumerate(self._secrets)]

    def run(self, stop: threading.Event) -> None:
        """Call in all threads until told to stop; then shut all clients down."""
        with concurrent.futures.ThreadPoolExecutor(THREADS) as pool:
            threads = [pool.submit(self._work, number, stop) for number in range(THREADS)]
        for thread in threads:
            thread.result()
        gc.collect()  # the clients that were dropped
        for client in self._clients:
            client.shutdown()
        self._clients.clear()

    def news(self, blocks: float) -> News:
        """Return what was done since the last call of this method."""
        with self._lock:
            news = News(self._counts, self._failures, blocks)
            self._counts, self._failures = Counter(), []
        return news

    def _work(self, number: int, stop: threading.Event) -> None:
        objects = Objects(number)
        while not stop.wait(random.uniform(0, 2 * PAUSE)):
            at = random.randrange(CLIENTS)
            chance = random.random()
            if chance < PASSING:
                self._pass_by(objects)
                continue
            if chance < PASSING + REPLACED:
                self._replace(at)
            self._call(self._secrets[at], self._clients[at], objects)

    def _replace(self, at: int) -> None:
        client = self._try(self._secrets[at], None, lambda: self._made(self._secrets[at], at % 2 == 0))
        if client is not None:
            self._clients[at] = client

    def _pass_by(self, objects: "Objects") -> None:
        with self._lock:
            secret = next(self._passing)
        is_acs = random.random() < 0.5
        client = self._try(secret, None, lambda: self._made(secret, is_acs))
        if client is not None:
            self._call(secret, client, objects)
            if random.random() < 0.5:
                client.shutdown()

    def _made(self, secret: str, is_acs: bool) -> Any:
        if is_acs:
            client = ProxyAcsClient(secret, pool_size=POOL_SIZE, managed_credentials=self._credentials)
            client.session.hooks["response"].append(self._note_refusal)
        else:
            client = ProxyBucket(secret, self._oss_endpoint, BUCKET, managed_credentials=self._credentials)
            client.session.session.hooks["response"].append(self._note_refusal)
        with self._lock:
            self._counts["clients"] += 1
        return client

    def _call(self, secret: str, client: Any, objects: "Objects") -> None:
        if isinstance(client, ProxyAcsClient):
            self._try(secret, "api", lambda: client.do_action_with_exception(
                CommonRequest(domain=self._api_endpoint, version="2014-05-26", action_name="DescribeRegions")))
        else:
            self._try(secret, "oss", lambda: objects.put_or_get(client))

    def _try(self, secret: str, service: Optional[str], call: Callable[[], Any]) -> Any:
        self._refused.times = []
        started = time.monotonic()
        try:
            result = call()
        except Exception as error:
            failure = Failure(secret, service, started, tuple(self._refused.times), time.monotonic(), code_of(error),
                              "{}; {}".format(error, error.__cause__))
            with self._lock:
                self._failures.append(failure)
            return None
        if service is not None:
            with self._lock:
                self._counts[service] += 1
        return result

    def _note_refusal(self, response: Any, **_: Any) -> None:
        if response.status_code >= 400:
            self._refused.times.append(time.monotonic())


class Objects:
    """The object of one thread, which puts it, gets it at the next call, and so on."""

    def __init__(self, number: int) -> None:
        self._name = "object-{}".format(number)
        self._stored: Optional[bytes] = None

    def put_or_get(self, bucket: ProxyBucket) -> None:
        stored, self._stored = self._stored, None
        if stored is None:
            body = os.urandom(random.randrange(1, 2000))
            bucket.put_object(self._name, body)
            self._stored = body
        elif bucket.get_object(self._name).read() != stored:
            raise ValueError("OSS gave another object than the one that was put")


def secret_name(number: int) -> str:
    return "soak/{}".format(number)


def code_of(error: Exception) -> str:
    """Return the code of an error, or its type."""
    return str(getattr(error, "error_code", None) or getattr(error, "code", None) or type(error).__name__)


def live_blocks() -> float:
    """Return the thousands of live memory blocks after a garbage collection.

    Without it, objects in cycles, such as each AcsClient, would be measured as growth.
    """
    gc.collect()
    return sys.getallocatedblocks() / 1000.0


def run_load(pipe: Any, *load: str) -> None:
    """Be the clients' process. At the end of each stage it sends a message, and goes on when it gets one."""
    logging.disable(logging.CRITICAL)  # the SDKs log each failed call
    oss2.defaults.connection_pool_size = POOL_SIZE
    blocks = live_blocks()
    pipe.send(blocks)
    pipe.recv()
    calls, stop = Load(*load), threading.Event()
    pipe.send(None)
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        run = pool.submit(calls.run, stop)
        try:
            for collects in itertools.cycle((False,) * 9 + (True,)):
                if pipe.poll(0.5) or run.done():
                    break
                if collects:
                    blocks = live_blocks()
                pipe.send(calls.news(blocks))
        finally:
            stop.set()
        run.result()
    pipe.recv()
    news = calls.news(0.0)
    del calls, run
    deadline = time.monotonic() + 10
    while threading.active_count() > 1 and time.monotonic() < deadline:
        time.sleep(0.05)
    pipe.send(news._replace(blocks=live_blocks()))
    pipe.send(None)
    pipe.recv()


class Events:
    """Makes rotations and faults, and remembers when a renewal could fail because of them.

    Attributes:
        counts: the number of events by kind.
    """

    def __init__(self, cloud: LocalCloud, stop: threading.Event) -> None:
        self._cloud = cloud
        self._stop = stop
        self._outages: List[Tuple[float, float]] = []  # when all gateways had a fault
        self._late: Dict[str, List[Tuple[float, float]]] = {}  # by secret: when its new key was not known everywhere
        self._service_faults: Dict[str, List[Tuple[float, float]]] = {"api": [], "oss": []}
        self.counts: Counter[str] = Counter()

    def rotate(self) -> None:
        """Rotate a secret every second."""
        rotation_at = time.monotonic()
        while not self._stop.wait(max(rotation_at - time.monotonic(), 0)):
            rotation_at += 1.0
            name = secret_name(random.randrange(SECRETS))
            now = time.monotonic()
            grace = random.choice((0.0, 0.0, random.uniform(0, 5)))
            propagation, publish_delay = random.choice(((0.0, 0.0),) * 4 + ((random.uniform(0, 1), 0.0),
                                                                           (0.0, random.uniform(0, 1))))
            if propagation or publish_delay:
                self._late.setdefault(name, []).append((now, now + propagation + publish_delay))
            self._cloud.rotate(name, grace=grace, propagation=propagation, publish_delay=publish_delay,
                               next_rotation=random.uniform(*ROTATION_ANNOUNCED))
            self.counts["rotations"] += 1

    def trouble_secrets_manager(self) -> None:
        """Make one, two or all gateways have a fault, again and again."""
        while not self._stop.wait(random.uniform(0.5, 3)):
            is_final = random.random() < 0.1
            fault = random.choice(FINAL_FAULTS if is_final else GATEWAY_FAULTS)()
            gateways = GATEWAYS if is_final else random.sample(GATEWAYS, random.choice((1, 1, 2, 3)))
            began = time.monotonic()
            for gateway in gateways:
                self._cloud.inject(gateway[0], fault, gateway[1])
            self._stop.wait(random.uniform(0.2, 3) if random.random() < 0.9 else random.uniform(6, 10))
            for gateway in gateways:
                self._cloud.clear(*gateway)
            if len(gateways) == len(GATEWAYS):
                self._outages.append((began, time.monotonic()))
                self.counts["outages"] += 1
            self.counts["secrets_manager"] += 1

    def trouble_services(self) -> None:
        """Make the RPC API or OSS have a fault, now and then."""
        while not self._stop.wait(random.uniform(3, 8)):
            service, fault = random.choice(("api", "oss")), random.choice(SERVICE_FAULTS)()
            began = time.monotonic()
            self._cloud.inject(service, fault)
            self._stop.wait(random.uniform(0.2, 1))
            self._cloud.clear(service)
            self._service_faults[service].append((began, time.monotonic()))
            self.counts["services"] += 1

    def excuse(self, secret: str, started: float, ended: float) -> bool:
        """Whether there may have been a cool-down between two moments: all gateways failed, or a new key was late."""
        started -= COOL_DOWN + RENEW_TIMEOUT
        return _meets(self._outages, started, ended) or _meets(self._late.get(secret, []), started, ended)

    def renewal_failed(self, secret: str, started: float, ended: float) -> bool:
        """Whether a renewal may have failed while a new key was late; a failed renewal ends the call."""
        return _meets(self._outages, started, ended) and _meets(self._late.get(secret, []), started, ended)

    def faulty(self, service: str, started: float, ended: float) -> bool:
        """Whether a service had a fault of its own between two moments."""
        return _meets(self._service_faults[service], started, ended)


def _meets(spans: Sequence[Tuple[float, float]], started: float, ended: float) -> bool:
    return any(began <= ended and over >= started for began, over in spans)


@contextlib.contextmanager
def going_on(*functions: Callable[[], None], stop: threading.Event) -> Iterator[None]:
    """Run functions, each in a thread, until the context ends."""
    with concurrent.futures.ThreadPoolExecutor(len(functions)) as pool:
        threads = [pool.submit(function) for function in functions]
        try:
            yield
        finally:
            stop.set()
    for thread in threads:
        thread.result()


class Verdicts:
    """Judges the calls that failed.

    Attributes:
        lost: those that could have succeeded.
        counts: the number of failed calls by reason.
    """

    def __init__(self, cloud: LocalCloud, events: Events) -> None:
        self._cloud = cloud
        self._events = events
        self.lost: List[Failure] = []
        self.counts: Counter[str] = Counter()

    def judge(self, failure: Failure) -> None:
        """Decide whether a failed call could have succeeded."""
        began = failure.started
        if failure.service is not None:
            if not failure.code.startswith(REJECTIONS):
                self._count(failure, "service", not self._events.faulty(failure.service, began, failure.ended))
                return
            began = self._first_rejection(failure)
        ended = began if self._events.renewal_failed(failure.secret, began, failure.ended) else failure.ended
        # If a gateway had no fault all the time, no cool-down explains the failure.
        cool_down = COOL_DOWN if self._events.excuse(failure.secret, began, failure.ended) else 0.0
        is_lost = self._cloud.could_have_succeeded(failure.secret, began, ended, cool_down, ON_ITS_WAY)
        self._count(failure, "keyless", is_lost)

    def _count(self, failure: Failure, why: str, is_lost: bool) -> None:
        self.counts["lost" if is_lost else why] += 1
        if is_lost:
            self.lost.append(failure)

    def _first_rejection(self, failure: Failure) -> float:
        """Return when the service rejected the call's first key, which may have become invalid on the way."""
        rejections = [call.ended for call in self._cloud.calls(failure.service, secret=failure.secret,
                                                               since=failure.started)
                      if call.code.startswith(REJECTIONS)]
        for noticed in failure.refused:
            if any(moment <= noticed for moment in rejections):
                return max(moment for moment in rejections if moment <= noticed)
        return failure.started


class Watch:
    """Measures a process from outside.

    Attributes:
        samples: moments and figures.
    """

    def __init__(self, pid: int) -> None:
        self._process = psutil.Process(pid)
        self.samples: List[Tuple[float, Figures]] = []

    def now(self, blocks: float) -> Figures:
        """Return the figures of the process now; ``blocks`` is what it reported."""
        with self._process.oneshot():
            return Figures(self._process.memory_info().rss / 2 ** 20, blocks, self._process.num_threads(),
                           len(self._process.net_connections("inet")), self._process.num_fds())

    def sample(self, blocks: float) -> None:
        """Keep the figures of the process now."""
        self.samples.append((time.monotonic(), self.now(blocks)))

    def median(self, since: float, until: float) -> Figures:
        """Return the medians of the samples between two moments."""
        chosen = [figures for moment, figures in self.samples if since <= moment <= until]
        return Figures(*map(statistics.median, zip(*chosen)))


def show(what: str, *figures: Any) -> None:
    """Print a row."""
    print("{:<36}".format(what) + "".join("{:>12}".format(
        "{:.0f}".format(figure) if isinstance(figure, float) else figure) for figure in figures))


class Soak:
    """One run.

    Args:
        cloud: a started local cloud.
        seconds: how long the load lasts.
    """

    def __init__(self, cloud: LocalCloud, seconds: float) -> None:
        self._cloud = cloud
        self._seconds = seconds
        self._stop = threading.Event()
        self._events = Events(cloud, self._stop)
        self._counts: Counter[str] = Counter()
        self._failures: List[Failure] = []

    def run(self, directory: str) -> bool:
        """Run it and print the table; return whether no call was lost and nothing grew."""
        context = multiprocessing.get_context("spawn")
        pipe, its_pipe = context.Pipe()
        process = context.Process(target=run_load, args=(
            its_pipe, self._prepare(directory), self._cloud.api_endpoint, self._cloud.oss_endpoint))
        process.start()
        its_pipe.close()
        watch = Watch(process.pid)
        try:
            before = watch.now(pipe.recv())
            pipe.send(None)
            pipe.recv()
            began = time.monotonic()
            events = self._events
            with going_on(events.rotate, events.trouble_secrets_manager, events.trouble_services, stop=self._stop):
                self._look_on(pipe, watch, began + self._seconds)
            self._cloud.clear()
            pipe.send(None)
            for news in iter(pipe.recv, None):
                self._take(news)
            after = watch.now(news.blocks)
            pipe.send(None)
        finally:
            pipe.close()
            process.join()
        return self._report(began, watch, before, after)

    def _prepare(self, directory: str) -> str:
        """Make the secrets and the bucket; return the path of the properties file."""
        cloud = self._cloud
        for number in range(SECRETS):
            cloud.create_secret(secret_name(number), token=number % (SECRETS // WITH_TOKENS) == 0,
                                next_rotation=random.uniform(*ROTATION_ANNOUNCED))
        cloud.create_bucket(BUCKET)
        password = os.path.join(directory, "password")
        with open(password, "w") as file:
            file.write("soak")
        dedicated = {
            "regionId": REGIONS[0], "endpoint": cloud.dedicated_endpoint(INSTANCE), "caFilePath": cloud.ca_file,
            "clientKeyFile": cloud.create_client_key(directory, "soak").path, "passwordFromFilePath": password}
        return cloud.write_properties(directory, cache_client_dkms_config_info=json.dumps([dedicated]),
                                      renew_timeout_milliseconds=int(RENEW_TIMEOUT * 1000))

    def _look_on(self, pipe: Any, watch: Watch, until: float) -> None:
        sample_at = time.monotonic()
        while time.monotonic() < until:
            news = pipe.recv()
            self._take(news)
            if time.monotonic() >= sample_at:
                watch.sample(news.blocks)
                sample_at += SAMPLES_EVERY
                if sys.stdout.isatty():
                    figures = watch.samples[-1][1]
                    print("\r{:4.0f} s to go, {} calls, {} failed, {:.0f} MiB ".format(
                        until - time.monotonic(), self._counts["api"] + self._counts["oss"], len(self._failures),
                        figures.rss),
                        end="", flush=True)

    def _take(self, news: News) -> None:
        self._counts.update(news.counts)
        self._failures += news.failures

    def _report(self, began: float, watch: Watch, before: Figures, after: Figures) -> bool:
        """Print the table; return whether nothing was lost, and nothing grew."""
        verdicts = Verdicts(self._cloud, self._events)
        for failure in self._failures:
            verdicts.judge(failure)
        warm, window = min(WARM_UP, self._seconds / 2), max(5.0, self._seconds / 10)
        end = began + self._seconds
        first, last = watch.median(began + warm, began + warm + window), watch.median(end - window, end)
        limits = Figures(*(value * (1 + growth) + more for value, growth, more in zip(first, GROWTH, SWING)))
        grown = [name for name, value, limit in zip(LABELS, last, limits) if value > limit]
        kept = [name for name, value, limit in zip(LABELS, after, before._replace(
            rss=math.inf, blocks=before.blocks * (1 + IMPORTED))) if value > limit]

        self._show_events(verdicts)
        print()
        show("the clients' process", "before", "{:.0f} s".format(warm), "the end", "at most", "limit", "afterwards")
        most = Figures(*map(max, zip(*(figures for _, figures in watch.samples))))
        for label, *values in zip(LABELS, before, first, last, most, limits, after):
            show(label, *map(float, values))
        print()
        for failure in verdicts.lost[:10]:
            print("{:.2f} to {:.2f} s: secret {!r}, {}: {}".format(
                failure.started - began, failure.ended - began, failure.secret, failure.code, failure.text))
        for names, verdict in ((grown, "grew"), (kept, "stayed after the last client")):
            if names:
                print("{} {}".format(", ".join(names), verdict))
        if verdicts.lost or grown or kept:
            print("FAILED")
            return False
        print("No call failed that could have succeeded, and nothing grew.")
        return True

    def _show_events(self, verdicts: Verdicts) -> None:
        done, what = self._counts, self._events.counts
        reads = [call for service in ("dedicated", "secrets_manager") for call in self._cloud.calls(service)]
        if sys.stdout.isatty():
            print()
        print("{} threads, {} clients, {} secrets, {:.0f} s".format(THREADS, CLIENTS, SECRETS, self._seconds))
        show("calls that succeeded", done["api"] + done["oss"])
        show("failed, but could have succeeded", verdicts.counts["lost"])
        show("failed for want of a valid key", verdicts.counts["keyless"])
        show("failed by a fault of the service", verdicts.counts["service"])
        show("clients made", done["clients"])
        show("rotations", what["rotations"])
        show("faults of Secrets Manager", what["secrets_manager"])
        show("  of all its gateways at once", what["outages"])
        show("faults of the services", what["services"])
        show("calls of GetSecretValue", len(reads))
        show("  that gave a key", sum(call.given is not None for call in reads))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=600.0)
    seconds = parser.parse_args().seconds
    with LocalCloud(REGIONS, dedicated=(INSTANCE,)) as cloud, tempfile.TemporaryDirectory() as directory:
        return 0 if Soak(cloud, seconds).run(directory) else 1


if __name__ == "__main__":
    sys.exit(main())
