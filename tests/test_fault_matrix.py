"""Every fault of Secrets Manager, in a first read, a scheduled refresh and a renewal, over real HTTPS.

The table in docs/faults.rst says what callers see, how long they wait, and how many requests there are.
``python -m tests.test_fault_matrix`` writes it. The local cloud's log counts the requests. Where a fault lets no request
through, the look-ups of the gateway's address are counted, since each connection makes one.
"""

import collections
import concurrent.futures
import contextlib
import itertools
import json
import logging
import pathlib
import re
import socket
import tempfile
import textwrap
import threading
import time
from typing import Any, Callable, NamedTuple
from unittest import mock

import pytest
from aliyunsdkcore.acs_exception.exceptions import ClientException, ServerException
from aliyunsdkcore.request import CommonRequest

from aliyun_sdk_secretsmanager_common_plugin import ManagedCredentials
from aliyun_sdk_secretsmanager_common_plugin.runtime import workers
from aliyun_sdk_secretsmanager_common_plugin.settings import load_settings
from aliyun_sdk_secretsmanager_sdk_core_plugin import ProxyAcsClient
from aliyun_sdk_secretsmanager_testing import Fault, LocalCloud
from tests.conftest import wait_until

PAGE = pathlib.Path(__file__).resolve().parent.parent / "docs" / "faults.rst"

FETCH_TIMEOUT = 2.0
RENEW_TIMEOUT = 1.5
REFRESH_INTERVAL = 1.0
MARGIN = 1.0  # a busy machine's
MOST_REQUESTS = 4  # of one first read over one gateway, in FETCH_TIMEOUT
MOST_A_SECOND = 3
PASSWORD = "ThePasswordOfTheMatrix42"
PATIENCE = 30
REJECTED = "InvalidAccessKeyId.NotFound"
PHASES = ("first read", "refresh", "renewal")
NO_ERROR = "no error"


class NameServer:
    """Takes the place of the system's name server. It counts look-ups by port, and for some ports it fails or hangs."""

    def __init__(self):
        self._resolve = socket.getaddrinfo
        self._looked_up = []
        self._unknown = set()
        self._silent = {}

    def getaddrinfo(self, host, port, *more, **options):
        self._looked_up.append((port, time.monotonic()))
        if port in self._unknown:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        if port in self._silent:
            self._silent[port].wait(PATIENCE)
        return self._resolve(host, port, *more, **options)

    def forget(self, port):
        """Fail for the gateway at ``port``."""
        self._unknown.add(port)

    def hush(self, port):
        """Hang for the gateway at ``port``."""
        self._silent[port] = threading.Event()

    def clear(self):
        """Answer all look-ups, also those that hang."""
        self._unknown.clear()
        silent, self._silent = self._silent, {}
        for answered in silent.values():
            answered.set()

    def moments(self, port):
        """Return when the gateway at ``port`` was looked up."""
        return [moment for at, moment in list(self._looked_up) if at == port]


class Kind(NamedTuple):
    """A row of the table.

    Attributes:
        start: starts the fault of a gateway; called with the MatrixCloud, the secret and the gateway.
        reaches: whether requests reach Secrets Manager.
    """

    start: Callable[..., Any]
    reaches: bool = True


def injected(fault, reaches=True):
    return Kind(lambda matrix, secret, gateway: matrix.cloud.inject(gateway.service, fault, gateway.name), reaches)


def make_generic(matrix, secret, gateway):
    matrix.cloud.put_secret_value(secret, '{"username": "app", "password": "none"}')
    matrix.cloud.secret(secret).secret_type = "Generic"


FAULTS = {
    "connection refused": injected(Fault.refuse(), reaches=False),
    "connection reset": injected(Fault.reset()),
    "no answer": injected(Fault.hang()),
    "answer that is late": injected(Fault.slow(0.3)),
    "answer that is too late": injected(Fault.slow(60)),
    "answer that drips": injected(Fault.drip(60)),
    "headers that drip": injected(Fault.drip_head(60)),
    "100 Continue for ever": injected(Fault.continues()),
    "answer cut short": injected(Fault.cut()),
    "throttling (429)": injected(Fault.throttling()),
    "error 500": injected(Fault.status(500, code="InternalFailure")),
    "error 503": injected(Fault.status(503)),
    "HTML page (200)": injected(Fault.html()),
    "HTML page (502)": injected(Fault.html(502)),
    "JSON of something else": injected(Fault.body(b'{"hello": "world"}')),
    "invalid JSON": injected(Fault.body(b'{"SecretData": "{')),
    "secret of another type": Kind(make_generic),
    "forbidden": injected(Fault.forbidden()),
    "expired certificate": injected(Fault.expired_certificate(), reaches=False),
    "name that does not resolve": Kind(
        lambda matrix, secret, gateway: matrix.names.forget(matrix.port(gateway)), reaches=False),
    "name server without an answer": Kind(
        lambda matrix, secret, gateway: matrix.names.hush(matrix.port(gateway)), reaches=False),
}
# One of each kind, for the default suite.
SOME = ("connection refused", "no answer", "answer that is late", "error 503", "secret of another type",
        "expired certificate", "name server without an answer")
SERVICES = ("secrets_manager", "dedicated")


class Case(NamedTuple):
    """One case of the matrix.

    Attributes:
        fault: a key of ``FAULTS``.
        phase: one of ``PHASES``.
        service: one of ``SERVICES``, the kind of the gateways.
        gateways: the number of gateways.
        faulty: how many of them have the fault.
    """

    fault: str
    phase: str
    service: str = "secrets_manager"
    gateways: int = 1
    faulty: int = 1


class Gateway(NamedTuple):
    """A gateway of the cloud, by the names that ``LocalCloud.inject`` takes."""

    service: str
    name: str


class MatrixCloud:
    """A cloud with gateways for each case, so that all cases can run at the same time.

    Args:
        directory: the directory for files.
        cases: the cases.

    Attributes:
        gateways: the gateways of each case.
    """

    def __init__(self, directory, cases):
        self.names = NameServer()
        self.failed_refreshes = FailedRefreshes()
        numbers = itertools.count(1)
        self.gateways = {case: [Gateway(case.service, "gateway-{}".format(next(numbers))) for _ in range(case.gateways)]
                         for case in cases}
        everywhere = [gateway for gateways in self.gateways.values() for gateway in gateways]
        regions, instances = ([gateway.name for gateway in everywhere if gateway.service == service]
                              for service in ("secrets_manager", "dedicated"))
        self.cloud = LocalCloud(regions=regions or ["none"], dedicated=instances)
        self._directory = pathlib.Path(str(directory))
        self._secrets = ("secret-{}".format(number) for number in itertools.count(1))

    def __enter__(self):
        with contextlib.ExitStack() as stack:
            stack.enter_context(self.cloud)
            stack.enter_context(mock.patch.object(socket, "getaddrinfo", self.names.getaddrinfo))
            # Faults of names and certificates have an effect on new connections only.
            stack.enter_context(mock.patch.object(workers, "IDLE", 0.0))
            stack.enter_context(self.failed_refreshes)
            stack.callback(self._clear)
            self._client_key = self.cloud.create_client_key(self._directory, password=PASSWORD)
            self._password = self._directory / "password"
            self._password.write_text(PASSWORD)
            self._opened = stack.pop_all()
        return self

    def __exit__(self, *exc_info):
        self._opened.close()

    def _clear(self):
        self.names.clear()
        self.cloud.clear()
        left = ("managed-credentials-fetch", "managed-credentials-refresh")
        wait_until(lambda: not [thread for thread in threading.enumerate() if thread.name in left], PATIENCE)

    def new_secret(self):
        """Make a secret, and return its name."""
        name = next(self._secrets)
        self.cloud.create_secret(name)
        return name

    def port(self, gateway):
        return int(self._endpoint(gateway).rpartition(":")[2])

    def credentials(self, case):
        """Return new credentials that are read over the gateways of ``case``."""
        # Except in a first read, the fault begins once the secret has been read, however long that takes.
        fetch_timeout = FETCH_TIMEOUT if case.phase == "first read" else PATIENCE
        # Where the requests of a renewal are counted, there must be no refresh.
        refresh_interval = 3600 if case.phase == "renewal" and case.gateways == 1 else REFRESH_INTERVAL
        fields = [{"regionId": gateway.name, "endpoint": self._endpoint(gateway), "caFilePath": self.cloud.ca_file}
                  for gateway in self.gateways[case]]
        keys = {"cache_client_region_id": json.dumps(fields)}
        if case.service == "dedicated":
            for each in fields:
                each.update(clientKeyFile=str(self._client_key.path), passwordFromFilePath=str(self._password))
            keys = dict.fromkeys(("cache_client_region_id", "credentials_type", "credentials_access_key_id",
                                  "credentials_access_secret"))
            keys["cache_client_dkms_config_info"] = json.dumps(fields)
        directory = tempfile.mkdtemp(dir=str(self._directory))
        return ManagedCredentials(load_settings(self.cloud.write_properties(
            directory,
            fetch_timeout_milliseconds=int(fetch_timeout * 1000),
            renew_timeout_milliseconds=int(RENEW_TIMEOUT * 1000),
            refresh_interval_milliseconds=int(refresh_interval * 1000),
            **keys
        )))

    def call(self, client):
        """Call the business API."""
        client.do_action_with_exception(CommonRequest(
            domain=self.cloud.api_endpoint, version="2014-05-26", action_name="DescribeRegions"))

    def _endpoint(self, gateway):
        if gateway.service == "dedicated":
            return self.cloud.dedicated_endpoint(gateway.name)
        return self.cloud.gateway_endpoint(gateway.name)


class FailedRefreshes(logging.Handler):
    """A log handler that collects the names of the secrets whose refresh failed."""

    def __init__(self):
        super().__init__(logging.WARNING)
        self._logger = logging.getLogger("aliyun_sdk_secretsmanager_common_plugin.keeper")
        self.secrets = set()

    def emit(self, record):
        if "refresh failed" in record.msg:
            self.secrets.add(record.args[0])

    def __enter__(self):
        self._logger.addHandler(self)

    def __exit__(self, *exc_info):
        self._logger.removeHandler(self)


class Seen(NamedTuple):
    """The result of one case.

    Attributes:
        outcome: what the caller sees.
        bound: how long a caller may wait, in seconds; 0 for a refresh, for which none waits.
        waited: how long the first caller waited, in seconds.
        longest: how long any later caller waited, in seconds, at most.
        requests: how many requests the first call, or the first refresh, made.
        most_a_second: the most requests within any second.
    """

    outcome: str
    bound: float
    waited: float
    longest: float
    requests: int
    most_a_second: int

    @property
    def text(self):
        """The text of the table's cell, which is the same on a busy machine."""
        if not self.bound:
            wait = "nobody waits"
        elif self.outcome == NO_ERROR:
            wait = "until it comes"
        elif self.requests == 1 and self.waited < 0.7 * self.bound:
            wait = "at once"
        else:
            wait = "within " + {FETCH_TIMEOUT: "``fetch_timeout``", RENEW_TIMEOUT: "``renew_timeout``"}[self.bound]
        return "{}; {}; {}".format(
            self.outcome, wait, "1" if self.requests == 1 else "1 to {}".format(MOST_REQUESTS))

    def is_within_bounds(self):
        return max(self.waited, self.longest) <= self.bound + MARGIN and self.most_a_second <= MOST_A_SECOND


class Cell:
    """Runs one case with a secret of its own.

    Args:
        matrix: the cloud.
        case: the case.
        seconds: how long callers go on calling, in seconds.
    """

    def __init__(self, matrix, case, seconds):
        self._matrix = matrix
        self._case = case
        self._kind = FAULTS[case.fault]
        self._seconds = seconds
        self._gateways = matrix.gateways[case]
        self._secret = matrix.new_secret()
        self._began = 0.0

    def see(self):
        """Run the case, and return its result."""
        act = {"first read": self._first_read, "refresh": self._refresh, "renewal": self._renewal}[self._case.phase]
        with self._matrix.credentials(self._case) as credentials:
            return act(credentials)

    def _first_read(self, credentials):
        def start_client():
            ProxyAcsClient(self._secret, managed_credentials=credentials).shutdown()

        self._start()
        error = error_of(start_client)
        waited, requests = time.monotonic() - self._began, len(self._moments())
        longest = self._go_on([lambda: credentials.get(self._secret)] * 2 + [start_client])
        return self._seen(name_of(error) if error else NO_ERROR, FETCH_TIMEOUT, waited, longest, requests)

    def _refresh(self, credentials):
        with ProxyAcsClient(self._secret, managed_credentials=credentials) as client:
            key = credentials.get(self._secret)
            self._start()
            failed = self._matrix.failed_refreshes.secrets
            wait_until(lambda: self._secret in failed or any(call.given for call in self._calls()), PATIENCE)
            requests = len(self._moments())
            longest = self._go_on([lambda: credentials.get(self._secret)] * 2 + [lambda: self._matrix.call(client)])
            self._matrix.call(client)
            assert credentials.get(self._secret) == key
            return self._seen("the key stays" if self._secret in failed else NO_ERROR, 0.0, 0.0, longest, requests)

    def _renewal(self, credentials):
        with ProxyAcsClient(self._secret, managed_credentials=credentials) as client:
            self._matrix.call(client)
            rejected = credentials.get(self._secret)
            self._matrix.cloud.rotate(self._secret)
            self._start()
            error = error_of(lambda: self._matrix.call(client))
            waited, requests = time.monotonic() - self._began, len(self._moments())
            longest = self._go_on([lambda: credentials.renew(self._secret, rejected)] * 2
                                  + [lambda: self._matrix.call(client)])
            assert error is None or error.get_error_code() == REJECTED
            return self._seen(name_of(error.__cause__) if error else NO_ERROR, RENEW_TIMEOUT, waited, longest, requests)

    def _start(self):
        self._began = time.monotonic()
        for gateway in self._gateways[:self._case.faulty]:
            self._kind.start(self._matrix, self._secret, gateway)

    def _seen(self, outcome, bound, waited, longest, requests):
        return Seen(outcome, bound, waited, longest, requests, most_a_second(self._moments()))

    def _calls(self):
        return self._matrix.cloud.calls(self._case.service, secret=self._secret, since=self._began)

    def _moments(self):
        """Return the times of the requests to all gateways since the fault began."""
        if self._kind.reaches:
            return [call.started for call in self._calls()]
        looked_up = [self._matrix.names.moments(self._matrix.port(gateway)) for gateway in self._gateways]
        return sorted(moment for moments in looked_up for moment in moments if moment >= self._began)

    def _go_on(self, calls):
        """Make ``calls`` again and again, each in a thread, and return the seconds of the longest one."""
        over = threading.Event()
        taken = [0.0]

        def go_on(call, pause):
            while not over.wait(pause):
                began = time.monotonic()
                error_of(call)
                taken.append(time.monotonic() - began)

        # The last one makes a client or calls a service. It pauses longer, since all cases do that on one machine.
        pauses = [0.02] * (len(calls) - 1) + [0.2]
        threads = [threading.Thread(target=go_on, args=item, daemon=True) for item in zip(calls, pauses)]
        for thread in threads:
            thread.start()
        over.wait(self._seconds)
        over.set()
        for thread in threads:
            thread.join(PATIENCE)
        return max(taken)


def error_of(call):
    """Return the error that ``call`` raises; None if it returns."""
    try:
        call()
    except Exception as error:
        return error
    return None


def name_of(error):
    """Return the class that a program catches, and the error code."""
    for caught in (ServerException, ClientException):
        if isinstance(error, caught):
            return "``{}`` ``{}``".format(caught.__name__, error.get_error_code())
    return "``{}``".format(type(error).__name__)


def most_a_second(moments):
    """Return the most moments that lie within any one second."""
    return max((sum(first <= moment < first + 1 for moment in moments) for first in moments), default=0)


def see(directory, cases, seconds):
    """Run all cases at the same time, and return the results by case."""
    with MatrixCloud(directory, cases) as matrix:
        cells = [Cell(matrix, case, seconds) for case in cases]
        with concurrent.futures.ThreadPoolExecutor(len(cells)) as pool:
            return dict(zip(cases, pool.map(Cell.see, cells)))


def seen_wrong(directory, cases, seconds, is_right=lambda case, seen: True):
    """Run all cases, and return by case the results that are over a bound or not right.

    Such a case is run up to three times, since the machine may be busy.

    Args:
        directory: the directory for files.
        cases: the cases.
        seconds: how long callers go on calling, in seconds.
        is_right: says of a case and its result whether that is right.
    """
    wrong = dict.fromkeys(cases)
    for _ in range(3):
        seen = see(tempfile.mkdtemp(dir=str(directory)), list(wrong), seconds)
        wrong = {case: it for case, it in seen.items() if not (it.is_within_bounds() and is_right(case, it))}
        if not wrong:
            break
    return wrong


def split_page():
    """Return the page in three parts: the text before its first table, the table, and the text after it."""
    return re.match(r"(.*?)(\.\. list-table::\n.*?)(^(?=\S).*)", PAGE.read_text(encoding="utf-8"), re.M | re.S).groups()


def table():
    """Return the cells of the page's table, by fault and phase."""
    rows = re.findall(r"^   \* - (.*(?:\n     .*)*)", split_page()[1], re.M)
    cells = [[" ".join(cell.split()) for cell in row.split("\n     - ")] for row in rows[1:]]
    return {(row[0], phase): cell for row in cells for phase, cell in zip(PHASES, row[1:])}


def cell_of(texts):
    """Return the table's cell for the texts of both services, the shared gateway's and the dedicated one's."""
    shared, dedicated = texts
    return shared if shared == dedicated else "{} (dedicated gateway: {})".format(shared, dedicated)


def write(directory):
    """Write the page's table. A cell is the most frequent result of five runs, since the machine may be busy."""
    cells = {(fault, phase): [] for fault in FAULTS for phase in PHASES}
    for service in SERVICES:
        for phase in PHASES:
            cases = [Case(fault, phase, service) for fault in FAULTS]
            runs = [see(tempfile.mkdtemp(dir=directory), cases, 0.1) for _ in range(5)]
            for case in cases:
                texts = collections.Counter(run[case].text for run in runs)
                cells[case.fault, phase].append(texts.most_common(1)[0][0])
    lines = [".. list-table::", "   :header-rows: 1", "   :widths: 19 29 23 29", ""]
    for row in [("Fault",) + tuple(phase.capitalize() for phase in PHASES)] + [
            (fault,) + tuple(cell_of(cells[fault, phase]) for phase in PHASES) for fault in FAULTS]:
        for at, cell in enumerate(row):
            lines += textwrap.wrap(cell, 120, initial_indent="     - " if at else "   * - ", subsequent_indent=" " * 7,
                                   break_long_words=False, break_on_hyphens=False)
    before, _, after = split_page()
    PAGE.write_text(before + "\n".join(lines) + "\n\n" + after, encoding="utf-8")


def as_on_the_page(case, seen):
    cell = table()[case.fault, case.phase]
    shared, _, dedicated = cell.partition(" (dedicated gateway: ")
    text = dedicated[:-1] if dedicated and case.service == "dedicated" else shared
    return seen.text == text and seen.requests <= MOST_REQUESTS


def test_page_has_a_row_for_each_fault():
    assert list(dict.fromkeys(fault for fault, _ in table())) == list(FAULTS)


def test_what_callers_see_is_as_the_page_says(tmp_path):
    cases = [Case(fault, phase, service) for fault, service in zip(SOME, itertools.cycle(SERVICES)) for phase in PHASES]

    assert seen_wrong(tmp_path, cases, 2.0, as_on_the_page) == {}


@pytest.mark.matrix
@pytest.mark.parametrize("phase", PHASES)
@pytest.mark.parametrize("service", SERVICES)
def test_what_callers_see_of_every_fault_is_as_the_page_says(tmp_path, service, phase):
    cases = [Case(fault, phase, service) for fault in FAULTS]

    assert seen_wrong(tmp_path, cases, 6.0, as_on_the_page) == {}


def without_error(case, seen):
    return seen.outcome == NO_ERROR


def test_of_two_gateways_the_other_answers(tmp_path):
    cases = [Case(fault, phase, gateways=2) for fault in ("no answer", "error 503") for phase in PHASES]

    assert seen_wrong(tmp_path, cases, 1.0, without_error) == {}


@pytest.mark.matrix
@pytest.mark.parametrize("phase", PHASES)
@pytest.mark.parametrize("service", SERVICES)
def test_of_two_gateways_the_other_answers_whatever_the_fault(tmp_path, service, phase):
    faults = [fault for fault in FAULTS if fault not in ("secret of another type", "forbidden")]  # after these answers no other gateway is asked
    cases = [Case(fault, phase, service, gateways=2) for fault in faults]

    assert seen_wrong(tmp_path, cases, 2.0, without_error) == {}


@pytest.mark.matrix
@pytest.mark.parametrize("service", SERVICES)
@pytest.mark.parametrize("phase", PHASES)
@pytest.mark.parametrize("gateways", [2, 4])
def test_several_gateways_that_all_fail_are_asked_no_more_often(tmp_path, gateways, phase, service):
    cases = [Case(fault, phase, service, gateways, faulty=gateways) for fault in FAULTS]

    assert seen_wrong(tmp_path, cases, 6.0) == {}


def test_three_gateways_that_all_fail_are_asked_no_more_often(tmp_path):
    faults = ("connection refused", "no answer", "error 503")
    cases = [Case(fault, phase, gateways=3, faulty=3) for fault in faults for phase in ("first read", "renewal")]

    assert seen_wrong(tmp_path, cases, 2.0) == {}


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as directory:
        write(directory)
