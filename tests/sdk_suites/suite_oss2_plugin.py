"""A pytest plugin for oss2's own unit tests: puts another class in the place of `oss2.Bucket`, and records what every test did.

`run.py` loads it with `-p suite_oss2_plugin` into a fresh process, once for each variant of `suite_buckets`.  A request is recorded when
it reaches `oss2.Session.do_request`, which the tests mock.  So that two runs can be compared to the byte, the date that is signed
stands still.
"""
import base64
import hashlib
import sys
from unittest import mock

import suite_buckets
import suite_recorder

FROZEN_DATE = 'Sat, 21 Nov 2026 10:00:00 GMT'


def pytest_addoption(parser):
    suite_recorder.add_options(parser, suite_buckets.VARIANTS)


def pytest_configure(config):
    sys.modules['mock'] = mock  # the tests were written for the backport
    import oss2
    census = suite_recorder.Census()
    oss2.Bucket = suite_buckets.VARIANTS[config.getoption('--suite-variant')](oss2.Bucket, census)
    oss2.utils.http_date = lambda timeval=None, real=oss2.utils.http_date: real(timeval) if timeval else FROZEN_DATE
    recorder = suite_recorder.Recorder(config.getoption('--suite-record'), census, _listening_to_mocks)
    config.pluginmanager.register(recorder, 'sdk-suite-recorder')


def _listening_to_mocks(listener):
    """While it lasts, every call of a mock with an oss2 request is described to the listener, as the request is at that moment."""
    import oss2
    real_call = mock.CallableMixin.__call__

    def call(*args, **kwargs):
        if len(args) > 1 and isinstance(args[1], oss2.http.Request):
            listener(_described(args[1], args[2:], kwargs))
        return real_call(*args, **kwargs)

    return mock.patch.object(mock.CallableMixin, '__call__', call)


def _described(request, args, kwargs):
    return {
        'method': request.method,
        'url': request.url,
        'params': {str(key): str(value) for key, value in request.params.items()},
        'headers': {key.lower(): str(value) for key, value in request.headers.items()},
        'body': _described_body(request.data),
        'arguments': repr((args, sorted(kwargs.items()))),
    }


def _described_body(data):
    """The body's digest where it is plain data, else its length: reading a stream here would take it from the test."""
    if isinstance(data, str):
        data = data.encode('utf-8')
    if isinstance(data, (bytes, bytearray)):
        return base64.b16encode(hashlib.sha256(bytes(data)).digest()).decode('ascii')
    if data is None:
        return 'none'
    try:
        return 'a stream of {} bytes'.format(len(data))
    except TypeError:
        return 'a stream'
