#!/usr/bin/env python
"""Runs the SDKs' own tests with their clients, then with our proxies in their place, and fails where the two differ.

    python tests/sdk_suites/run.py [--suite oss2] [--cache DIR] [--variant proxy] [PYTEST ARGUMENT ...]

oss2        the unit tests in the sdist of the installed version, `ProxyBucket` in the place of `oss2.Bucket`
sdk-core    the one test of sdk-core's that is on PyPI (`integration/` in aliyun-python-sdk-core-v3 2.8.9; the installed sdk-core is
            tested, whatever its version), `ProxyAcsClient` in the place of `AcsClient`; needs aliyun-python-sdk-ecs

Sdists are downloaded from PyPI into a cache directory outside the repository.  No account and no other network is needed.  Exit code 0:
every test ended as with the original, having sent the same requests to the byte, and with at least one proxy in each suite.
"""
import argparse
import collections
import json
import os
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
sys.path.insert(0, HERE)

import suite_comparison  # noqa: E402
import suite_sdist  # noqa: E402

# version: None is the installed one; environment: what the tests themselves read
Suite = collections.namedtuple('Suite', 'distribution version folder plugin needs environment')
SUITES = collections.OrderedDict([
    ('oss2', Suite('oss2', None, 'unittests', 'suite_oss2_plugin', 'oss2', {})),
    ('sdk-core', Suite('aliyun-python-sdk-core-v3', '2.8.9', 'integration', 'suite_sdk_core_plugin', 'aliyun-python-sdk-ecs', {
        'ACCESS_KEY_ID': 'LTAI5tSuiteKeyOfTheTests', 'ACCESS_KEY_SECRET': 'SuiteSecretOfTheTestsOnly30chr', 'DEMO_ECS_INSTANCE_ID': 'i-demo'})),
])


def main(arguments=None):
    options, pytest_arguments = _parser().parse_known_args(arguments)
    compared, differing = 0, 0
    for name in options.suite or SUITES:
        try:
            tests = _tests_of(SUITES[name], options.cache)
        except suite_sdist.SuiteNotAvailable as error:
            print(error)
            return 2
        print('=== {}: {}'.format(name, os.path.join(tests, SUITES[name].folder)))
        original, other = [_record_of(SUITES[name], variant, tests, pytest_arguments) for variant in ('original', options.variant)]
        of_suite = _judged(options.variant, original, other)
        compared, differing = compared + len(other['tests']), differing + len(of_suite)
    print('{} passed, {} failed'.format(compared - differing, differing))
    return 1 if differing or not compared else 0


def _parser():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--suite', action='append', choices=list(SUITES), help='which suite; all of them without it')
    parser.add_argument('--cache', default=suite_sdist.default_cache_dir(), help='where sdists are kept (%(default)s)')
    parser.add_argument('--variant', default='proxy', help="what takes the client's place: proxy, or subclass (oss2) to check the comparison")
    return parser


def _tests_of(suite, cache):
    installed = suite_sdist.installed_version(suite.needs)
    return suite_sdist.unpacked_tests(suite.distribution, suite.version or installed, suite.folder, cache)


def _record_of(suite, variant, tests, pytest_arguments):
    """Runs the tests in a process and a working directory of their own."""
    print('--- {}'.format(variant))
    sys.stdout.flush()
    with tempfile.TemporaryDirectory() as workplace:
        path = os.path.join(workplace, 'record.json')
        command = [sys.executable, '-m', 'pytest', '-q', '-p', 'no:cacheprovider', '-p', suite.plugin, '--rootdir', tests,
                   '--suite-variant', variant, '--suite-record', path] + pytest_arguments + [os.path.join(tests, suite.folder)]
        subprocess.call(command, cwd=workplace, env=_environment(suite, tests))
        if not os.path.exists(path):
            raise SystemExit('pytest wrote no record for the variant {}'.format(variant))
        with open(path) as record:
            return json.load(record)


def _environment(suite, tests):
    """As ours, less every proxy and credential, with the tests, this directory and the repository to import from."""
    environment = {name: value for name, value in os.environ.items()
                   if not name.upper().startswith(('ALIBABA_CLOUD_', 'ALIYUN_', 'OSS_')) and not name.lower().endswith('_proxy')}
    environment['PYTHONPATH'] = os.pathsep.join([tests, HERE, ROOT] + [path for path in [os.environ.get('PYTHONPATH')] if path])
    environment['PYTHONDONTWRITEBYTECODE'] = '1'
    return dict(environment, **suite.environment)


def _judged(variant, original, other):
    """Prints what came of a suite, and returns the tests that differ."""
    differing = suite_comparison.differences(original, other)
    if not other['made'].get(variant):
        differing['the whole suite'] = ['no client was replaced: the comparison says nothing']
    _print_counts('original', original)
    _print_counts(variant, other)
    for name, lines in differing.items():
        for line in lines:
            print('DIFFERS {}: {}'.format(name, line))
    return differing


def _print_counts(variant, record):
    requests = sum(len(test['requests']) for test in record['tests'].values())
    made = ', '.join('{} {}'.format(number, kind) for kind, number in sorted(record['made'].items()))
    print('{}: {} of {} tests passed, {} requests; made: {}'.format(
        variant, suite_comparison.count(record, 'passed'), len(record['tests']), requests, made or 'nothing'))


if __name__ == '__main__':
    sys.exit(main())
