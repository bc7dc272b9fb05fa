"""What the pytest plugins of both suites share: writes down how every test ended and what it sent.

The file (JSON) holds `made`, how many of which client the tests made, and `tests`: outcome, first line of the failure, requests.
"""
import collections
import json
import random
import threading

import pytest


class Census(object):
    """Counts the clients made, by what they are; a substitution that replaced nothing must not pass unseen."""

    def __init__(self):
        self._lock = threading.Lock()
        self._counts = collections.Counter()

    def add(self, kind):
        with self._lock:
            self._counts[kind] += 1

    def as_dict(self):
        return dict(self._counts)


def add_options(parser, variants):
    group = parser.getgroup('sdk suites')
    group.addoption('--suite-variant', default='original', choices=sorted(variants), help="what stands in the place of the SDK's client")
    group.addoption('--suite-record', default=None, help='the JSON file to write')


class Recorder(object):
    """A pytest plugin; `listening(listener)` gives a context in which the listener is told of each request, as a dict."""

    def __init__(self, path, census, listening):
        self._path = path
        self._census = census
        self._listening = listening
        self._tests = collections.OrderedDict()

    @pytest.hookimpl(hookwrapper=True)
    def pytest_runtest_protocol(self, item):
        requests = []
        random.seed(item.nodeid)  # the tests make their data by chance; two runs must make the same
        with self._listening(requests.append):
            yield
        self._tests[item.nodeid]['requests'] = sorted(requests, key=lambda request: json.dumps(request, sort_keys=True))

    def pytest_runtest_logreport(self, report):
        entry = self._tests.setdefault(report.nodeid, {'outcome': 'passed', 'detail': ''})
        if report.outcome != 'passed' and entry['outcome'] == 'passed':
            entry['outcome'] = report.outcome if report.when == 'call' else 'error in ' + report.when
            entry['detail'] = _first_line(report)

    def pytest_sessionfinish(self):
        if self._path:
            with open(self._path, 'w') as record:
                json.dump({'made': self._census.as_dict(), 'tests': self._tests}, record, indent=1, sort_keys=True)


def _first_line(report):
    crash = getattr(report.longrepr, 'reprcrash', None)
    return str(crash.message if crash else report.longrepr).split('\n')[0]
