"""``managed-credentials demo``: clients call the local cloud all the time, while their key is rotated three times.

``Tally`` counts the calls, ``Lines`` and ``Panel`` show what happens, and ``run`` makes it happen.
"""
import collections
import contextlib
import logging
import os
import sys
import tempfile
import threading
import time
from typing import Any, Callable, Counter, Deque, Iterator, List, NamedTuple, Optional, TextIO, Tuple

from aliyunsdkcore.request import CommonRequest

from aliyun_sdk_secretsmanager_common_plugin import ConfigLoader
from aliyun_sdk_secretsmanager_common_plugin.settings.settings import KEYS
from aliyun_sdk_secretsmanager_oss_plugin import ProxyBucket
from aliyun_sdk_secretsmanager_sdk_core_plugin import ProxyAcsClient

from .access_key import masked
from .cloud import LocalCloud
from .faults import Fault

SECRET = "demo/key"
BUCKET = "demo"
THREADS_EACH = 4
# All times are in seconds.
PAUSE = 0.05  # between two calls of a thread, so that two cores are enough
OUTAGE = 2.0
LATE = 0.5
COOL_DOWN = 5.0  # the longest time after a failure during which the clients do not ask Secrets Manager again
RECOVERY = 7.0
TICK = 0.1
PROXY_VARIABLES = ("http_proxy", "https_proxy", "all_proxy")

Row = Tuple[str, str]


class Failure(NamedTuple):
    """A call that failed. Times are monotonic seconds."""

    started: float
    ended: float
    error: str


class Tally:
    """Counts the calls, and judges by the cloud's own log which of the failed ones could have succeeded."""

    def __init__(self, cloud: LocalCloud) -> None:
        self._cloud = cloud
        self._lock = threading.Lock()
        self._failures: Deque[Failure] = collections.deque()
        self._succeeded: Counter[str] = collections.Counter()
        self.lost: Counter[str] = collections.Counter()  # the calls that could have succeeded, by error
        self.keyless = 0

    def succeeded(self, client: str) -> None:
        """Count a call that succeeded."""
        with self._lock:
            self._succeeded[client] += 1

    def failed(self, failure: Failure) -> None:
        """Keep a call that failed until it is judged."""
        self._failures.append(failure)

    def judge(self) -> None:
        """Decide for each failed call whether it could have succeeded."""
        while self._failures:
            failure = self._failures.popleft()
            asked = self._first_refusal(failure)
            if self._cloud.could_have_succeeded(SECRET, asked, failure.ended, cool_down=COOL_DOWN):
                self.lost[failure.error] += 1
            else:
                self.keyless += 1

    def _first_refusal(self, failure: Failure) -> float:
        """Return when a service first rejected a call since this one began; before that its key may have been valid."""
        refusals = [call.ended for call in self._cloud.calls(since=failure.started)
                    if call.service in ("api", "oss") and call.status >= 400]
        return min(refusals + [failure.ended]) if refusals else failure.started

    def rows(self) -> List[Row]:
        """Return the figures to show, as label and value."""
        reads = self._cloud.calls("secrets_manager", "GetSecretValue", secret=SECRET)
        gave = sum(call.given is not None for call in reads)
        clients = ", ".join("{} {}".format(name, count) for name, count in sorted(self._succeeded.items()))
        return [
            ("calls that succeeded", "{} ({})".format(sum(self._succeeded.values()), clients or "none yet")),
            ("failed, but could have succeeded", str(sum(self.lost.values()))),
            ("failed for want of a valid key*", str(self.keyless)),
            ("renewals: calls of GetSecretValue", "{} ({} gave a key, {} failed)".format(
                max(len(reads) - 1, 0), max(gave - 1, 0), len(reads) - gave)),  # the first read is no renewal
            ("key in Secrets Manager", masked(self._cloud.secret(SECRET).current.access_key_id)),
        ]


FOOTNOTE = ("* the old key was invalid, and Secrets Manager down or not asked again yet: after a failure the clients "
            "wait before they ask again, at most {:g} s".format(COOL_DOWN))


class Lines:
    """Shows each event as a line of text."""

    def __init__(self, out: TextIO) -> None:
        self._out = out
        self._began = time.monotonic()

    def __enter__(self) -> "Lines":
        return self

    def __exit__(self, *exc_info: Any) -> None:
        pass

    def event(self, text: str) -> None:
        """Show what happens now."""
        self._write("{:5.1f} s  {}".format(time.monotonic() - self._began, text))

    def progress(self, rows: List[Row], done: float) -> None:
        """Show the current figures. ``done`` is the part of the demo that is over, from 0 to 1."""

    def summary(self, rows: List[Row], verdict: str) -> None:
        """Show the final figures and the verdict."""
        self._write("")
        for label, value in rows:
            self._write("{:<36}{}".format(label, value))
        for line in ("", FOOTNOTE, verdict):
            self._write(line)

    def _write(self, line: str) -> None:
        self._out.write(line + "\n")
        self._out.flush()


class Panel(Lines):
    """Shows the current figures and a progress bar below the events, on a terminal."""

    def __init__(self, out: TextIO) -> None:
        from rich.console import Console
        from rich.live import Live

        super().__init__(out)
        self._console = Console(file=out)
        self._live = Live(console=self._console, refresh_per_second=1 / TICK)

    def __enter__(self) -> "Panel":
        self._live.start()
        return self

    def __exit__(self, *exc_info: Any) -> None:
        self._live.stop()

    def progress(self, rows: List[Row], done: float) -> None:
        from rich.console import Group
        from rich.progress_bar import ProgressBar
        from rich.table import Table

        table = Table.grid(padding=(0, 3))
        for label, value in rows:
            table.add_row(label, value, style="bold red" if label.startswith("failed, but") and value != "0" else "")
        self._live.update(Group("", table, "", ProgressBar(total=1.0, completed=done)))

    def summary(self, rows: List[Row], verdict: str) -> None:
        self.progress(rows, 1.0)
        self._live.stop()
        for line in (FOOTNOTE, verdict):
            self._write(line)

    def _write(self, line: str) -> None:
        self._console.print(line, markup=False, highlight=False)


def run(pace: float = 1.0, out: Optional[TextIO] = None) -> int:
    """Run the demo.

    Args:
        pace: the factor by which all its times are multiplied.
        out: the file that it is shown on, a panel on a terminal and else lines; None is the standard output.

    Returns:
        0 if no call failed that could have succeeded, else 1.
    """
    out = out or sys.stdout
    on_terminal = out.isatty() and os.environ.get("TERM") not in (None, "", "dumb")
    with contextlib.ExitStack() as stack:
        cloud = stack.enter_context(LocalCloud())
        directory = stack.enter_context(tempfile.TemporaryDirectory())
        cloud.create_secret(SECRET)
        cloud.create_bucket(BUCKET)
        _configure(stack, cloud.write_properties(directory))
        tally = Tally(cloud)
        client = stack.enter_context(ProxyAcsClient(SECRET))
        bucket = stack.enter_context(ProxyBucket(SECRET, cloud.oss_endpoint, BUCKET))
        screen = stack.enter_context(Panel(out) if on_terminal else Lines(out))
        screen.event("{0} threads call an RPC API with ProxyAcsClient, {0} call OSS with ProxyBucket; the key is {1}"
                     .format(THREADS_EACH, masked(client.get_access_key())))
        with _load(cloud, client, bucket, tally):
            _Scenario(cloud, client, tally, screen, pace).play()
        tally.judge()
        lost = sum(tally.lost.values())
        verdict = "No call failed that could have succeeded."
        if lost:
            verdict = "{} calls failed that could have succeeded: {}".format(
                lost, ", ".join("{} x {}".format(count, error) for error, count in tally.lost.most_common(3)))
        screen.summary(tally.rows(), verdict)
    return 1 if lost else 0


class _Scenario:
    """The three rotations."""

    def __init__(self, cloud: LocalCloud, client: ProxyAcsClient, tally: Tally, screen: Lines, pace: float) -> None:
        self._cloud = cloud
        self._client = client
        self._tally = tally
        self._screen = screen
        self._pace = pace
        self._passed = 0.0
        self._length = 1.5 + 2.5 + 4.0 + OUTAGE + RECOVERY + 1.5

    def play(self) -> None:
        self._go_on(1.5)
        self._rotate("the key leaked: services reject the old one at once")
        self._go_on(2.5)
        self._rotate("services learn of the new key {:g} s late, but reject the old one at once".format(
            LATE * self._pace), propagation=LATE * self._pace)
        self._go_on(4.0)
        self._cloud.inject("secrets_manager", Fault.status(503))
        self._rotate("while Secrets Manager is down for {:g} s, services reject the old one at once".format(
            OUTAGE * self._pace))
        self._go_on(OUTAGE)
        self._cloud.clear("secrets_manager")
        back = time.monotonic()
        self._screen.event("Secrets Manager is back")
        self._go_on(RECOVERY / self._pace, self._recovered)
        if self._recovered():
            self._screen.event("the clients have the new key, {:.1f} s later".format(time.monotonic() - back))
        self._go_on(1.5)

    def _rotate(self, circumstances: str, propagation: float = 0.0) -> None:
        key = self._cloud.rotate(SECRET, propagation=propagation)
        self._screen.event("rotated to {}; {}".format(masked(key.access_key_id), circumstances))

    def _recovered(self) -> bool:
        return bool(self._client.get_access_key() == self._cloud.secret(SECRET).current.access_key_id)

    def _go_on(self, seconds: float, until: Callable[[], bool] = lambda: False) -> None:
        """Wait that many seconds times the pace, or until the condition holds; show the current figures meanwhile."""
        end = time.monotonic() + seconds * self._pace
        while time.monotonic() < end and not until():
            left = end - time.monotonic()
            self._tally.judge()
            done = (self._passed + seconds - left / self._pace) / self._length
            self._screen.progress(self._tally.rows(), min(done, 1.0))
            time.sleep(min(TICK, max(left, 0.0)))
        self._passed += seconds


@contextlib.contextmanager
def _load(cloud: LocalCloud, client: ProxyAcsClient, bucket: ProxyBucket, tally: Tally) -> Iterator[None]:
    """Run threads that call again and again while the context lasts."""
    stop = threading.Event()

    def work(name: str, call: Callable[[], Any]) -> None:
        while not stop.wait(PAUSE):
            started = time.monotonic()
            try:
                call()
            except Exception as error:
                tally.failed(Failure(started, time.monotonic(), _described(error)))
            else:
                tally.succeeded(name)

    calls = [("ProxyAcsClient", _describe_regions(client, cloud.api_endpoint))] * THREADS_EACH
    calls += [("ProxyBucket", _put_and_get(bucket, "object-{}".format(number))) for number in range(THREADS_EACH)]
    threads = [threading.Thread(target=work, args=call, name="demo", daemon=True) for call in calls]
    try:
        for thread in threads:
            thread.start()
        yield
    finally:
        stop.set()
        for thread in threads:
            thread.join()


def _describe_regions(client: ProxyAcsClient, endpoint: str) -> Callable[[], Any]:
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


def _configure(stack: contextlib.ExitStack, path: str) -> None:
    """Make clients read a properties file, ignore the environment and log nothing, until the stack is closed."""
    stack.callback(ConfigLoader.set_config_name, ConfigLoader._config_name)
    ConfigLoader.set_config_name(path)
    # Variables that would override the file, or lead the calls through a proxy.
    names = KEYS + PROXY_VARIABLES + tuple(name.upper() for name in PROXY_VARIABLES)
    stack.callback(os.environ.update, {name: os.environ.pop(name) for name in names if name in os.environ})
    # The SDKs log each failed call.
    stack.callback(logging.disable, logging.root.manager.disable)
    logging.disable(logging.CRITICAL)
