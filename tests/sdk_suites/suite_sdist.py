"""Fetches the sdist of an installed package from PyPI and unpacks its own tests.

Nothing of it is kept in the repository: the files go to a cache directory, which `run.py` chooses.  Only the folder with the tests is
unpacked, so that the tests import the installed package and never the copy beside them.
"""
import glob
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile


class SuiteNotAvailable(Exception):
    """The tests of the package could not be had."""


def installed_version(distribution):
    """The version of the installed distribution, or SuiteNotAvailable."""
    try:
        try:
            from importlib import metadata
        except ImportError:  # Python 3.6 and 3.7
            import pkg_resources
            return pkg_resources.get_distribution(distribution).version
        return metadata.version(distribution)
    except Exception as error:
        raise SuiteNotAvailable('{} is not installed here ({}); pip install {}'.format(distribution, error, distribution))


def default_cache_dir():
    """A directory of this user's, outside the repository."""
    base = os.environ.get('XDG_CACHE_HOME') or os.path.join(os.path.expanduser('~'), '.cache')
    return os.path.join(base, 'aliyun-sdk-managed-credentials-providers', 'sdk_suites')


def unpacked_tests(distribution, version, folder, cache_dir):
    """The directory that holds `folder` of the sdist; downloads and unpacks it the first time."""
    target = os.path.join(os.path.abspath(cache_dir), '{}-{}'.format(distribution, version))
    if not os.path.isdir(os.path.join(target, folder)):
        os.makedirs(os.path.dirname(target), exist_ok=True)
        with tempfile.TemporaryDirectory(dir=os.path.dirname(target)) as workplace:
            sdist = _download(distribution, version, workplace)
            unpacked = _unpack(sdist, folder, workplace)
            shutil.rmtree(target, ignore_errors=True)
            os.rename(unpacked, target)
    return target


def _download(distribution, version, workplace):
    command = [sys.executable, '-m', 'pip', 'download', '--quiet', '--disable-pip-version-check', '--no-deps', '--no-binary', ':all:',
               '--dest', workplace, '{}=={}'.format(distribution, version)]
    finished = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, universal_newlines=True)
    found = glob.glob(os.path.join(workplace, '*.tar.gz'))
    if finished.returncode != 0 or not found:
        raise SuiteNotAvailable('no sdist of {} {} could be downloaded:\n{}'.format(distribution, version, finished.stdout))
    return found[0]


def _unpack(sdist, folder, workplace):
    """Unpacks the one folder below the sdist's top directory, plain files only."""
    unpacked = os.path.join(workplace, 'unpacked')
    with tarfile.open(sdist) as archive:
        for member in archive.getmembers():
            parts = member.name.split('/')[1:]
            if not member.isfile() or parts[:1] != [folder] or '..' in parts:
                continue
            path = os.path.join(unpacked, *parts)
            os.makedirs(os.path.dirname(path), exist_ok=True)
            with archive.extractfile(member) as source, open(path, 'wb') as copy:
                shutil.copyfileobj(source, copy)
    if not os.path.isdir(os.path.join(unpacked, folder)):
        raise SuiteNotAvailable('{} holds no folder {}/'.format(os.path.basename(sdist), folder))
    return unpacked
