"""The comparison of two runs must see every kind of difference: what it does not see, the suite does not test."""
import copy
import io
import tarfile

import pytest
import suite_buckets
import suite_comparison
import suite_recorder
import suite_sdist

REQUEST = {'method': 'GET', 'url': 'http://b.e/k', 'params': {'acl': ''}, 'headers': {'authorization': 'OSS k:s'}, 'body': 'none', 'arguments': ''}
RECORD = {'made': {'original': 1}, 'tests': {'a': {'outcome': 'passed', 'detail': '', 'requests': [REQUEST]},
                                             'b': {'outcome': 'failed', 'detail': 'as ever', 'requests': []}}}


@pytest.fixture
def other():
    return copy.deepcopy(RECORD)


def test_alike(other):
    assert not suite_comparison.differences(RECORD, other)


def test_another_outcome(other):
    other['tests']['a'].update(outcome='failed', detail='TypeError: x')
    assert suite_comparison.differences(RECORD, other) == {'a': ['passed with the original, failed with the proxy: TypeError: x']}


def test_a_test_more_or_less(other):
    del other['tests']['b']
    assert suite_comparison.differences(RECORD, other) == {'b': ['ran only with the originals']}
    assert suite_comparison.differences(other, RECORD) == {'b': ['ran only with the proxies']}


def test_a_request_more(other):
    other['tests']['a']['requests'].append(REQUEST)
    assert suite_comparison.differences(RECORD, other) == {'a': ['1 requests with the original, 2 with the proxy']}


@pytest.mark.parametrize('part, key, value', [('headers', 'authorization', 'OSS k:other'), ('headers', 'x-more', '1'), ('params', 'acl', None)])
def test_a_request_with_another_part(other, part, key, value):
    other['tests']['a']['requests'][0][part][key] = value
    assert list(suite_comparison.differences(RECORD, other)) == ['a']


@pytest.mark.parametrize('part', ['method', 'url', 'body', 'arguments'])
def test_another_request(other, part):
    other['tests']['a']['requests'][0][part] = 'other'
    assert list(suite_comparison.differences(RECORD, other)) == ['a']


def test_only_the_folder_with_the_tests_is_unpacked(tmp_path):
    sdist = str(tmp_path / 'p-1.tar.gz')
    with tarfile.open(sdist, 'w:gz') as archive:
        for name in ('p-1/setup.py', 'p-1/unittests/test_a.py', 'p-1/unittests/sub/b.py', 'p-1/p/__init__.py', 'p-1/unittests/../../evil.py'):
            archive.addfile(tarfile.TarInfo(name), io.BytesIO())
    unpacked = suite_sdist._unpack(sdist, 'unittests', str(tmp_path))
    found = sorted(str(path.relative_to(unpacked)) for path in type(tmp_path)(unpacked).rglob('*.py'))
    assert found == ['unittests/sub/b.py', 'unittests/test_a.py']
    assert not list(tmp_path.parent.glob('evil.py'))


def test_sdist_without_tests_is_told(tmp_path):
    sdist = str(tmp_path / 'p-1.tar.gz')
    with tarfile.open(sdist, 'w:gz') as archive:
        archive.addfile(tarfile.TarInfo('p-1/setup.py'), io.BytesIO())
    with pytest.raises(suite_sdist.SuiteNotAvailable):
        suite_sdist._unpack(sdist, 'unittests', str(tmp_path))


def test_package_that_is_not_installed_is_told():
    with pytest.raises(suite_sdist.SuiteNotAvailable):
        suite_sdist.installed_version('no-such-distribution-of-the-suite')


def test_buckets_are_counted_and_keep_their_class():
    oss2 = pytest.importorskip('oss2')
    census = suite_recorder.Census()
    in_place = suite_buckets.original(oss2.Bucket, census)
    bucket = in_place(oss2.Auth('k', 's'), 'http://e', 'bucket', is_path_style=True)
    assert type(bucket) is oss2.Bucket
    assert (in_place.ACL, census.as_dict()) == (oss2.Bucket.ACL, {'original': 1})
