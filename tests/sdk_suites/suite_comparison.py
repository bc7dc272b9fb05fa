"""Compares what two runs of one test suite wrote down, test by test."""
import collections


def differences(expected, actual):
    """Of each test that the second record tells otherwise than the first: its name, and lines that say where."""
    found = collections.OrderedDict()
    for name in sorted(set(expected['tests']) | set(actual['tests'])):
        lines = _of_test(expected['tests'].get(name), actual['tests'].get(name))
        if lines:
            found[name] = lines
    return found


def _of_test(expected, actual):
    if expected is None or actual is None:
        return ['ran only with the {}'.format('proxies' if expected is None else 'originals')]
    if expected['outcome'] != actual['outcome']:
        return ['{} with the original, {} with the proxy: {}'.format(expected['outcome'], actual['outcome'], actual['detail'] or expected['detail'])]
    return _of_requests(expected['requests'], actual['requests'])


def _of_requests(expected, actual):
    if len(expected) != len(actual):
        return ['{} requests with the original, {} with the proxy'.format(len(expected), len(actual))]
    return ['request {}: {}'.format(number, line)
            for number, (one, other) in enumerate(zip(expected, actual), 1) for line in _of_request(one, other)]


def _of_request(expected, actual):
    lines = []
    for part in sorted(expected):
        if expected[part] == actual[part]:
            continue
        if not isinstance(expected[part], dict):
            lines.append('{} {!r} became {!r}'.format(part, expected[part], actual[part]))
            continue
        for key in sorted(set(expected[part]) | set(actual[part])):
            if expected[part].get(key) != actual[part].get(key):
                lines.append('{} {}: {!r} became {!r}'.format(part, key, expected[part].get(key), actual[part].get(key)))
    return lines


def count(record, outcome):
    return sum(1 for test in record['tests'].values() if test['outcome'] == outcome)
