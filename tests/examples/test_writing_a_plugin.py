"""The code on the page "Writing a plugin" works."""

import io
import os
import re
import subprocess
import sys
import textwrap

import pytest

from aliyun_sdk_secretsmanager_common_plugin import DefaultAKExpireHandler, ManagedCredentials, ReplayError
from tests.conftest import SECRET

from .conftest import EXAMPLES

REPOSITORY = os.path.dirname(EXAMPLES)
BLOCK = re.compile(r"^\.\. code-block:: python\n\n((?:(?:   .*)?\n)+)", re.MULTILINE)


@pytest.fixture
def blocks():
    with open(os.path.join(REPOSITORY, "docs", "writing-a-plugin.rst"), encoding="utf-8") as page:
        return [textwrap.dedent(block).strip("\n") for block in BLOCK.findall(page.read())]


def test_its_plugin_is_the_example(blocks):
    with open(os.path.join(EXAMPLES, "sls_plugin.py"), encoding="utf-8") as example:
        assert "\n\n\n".join(blocks[:3]) + "\n" == example.read()


@pytest.mark.parametrize("block, passed", [(3, b"1 passed"), (4, b" passed")], ids=["its test", "the contract"])
def test_its_plugin_passes(blocks, tmp_path, block, passed):
    pytest.importorskip("aliyun.log", reason="needs aliyun-log-python-sdk: nox -s examples")
    (tmp_path / "sls_plugin.py").write_text("\n\n\n".join(blocks[:3]))
    (tmp_path / "test_sls_plugin.py").write_text(blocks[block])

    run = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:managed_credentials",
         "-p", "aliyun_sdk_secretsmanager_testing.pytest_plugin", "test_sls_plugin.py"],
        cwd=str(tmp_path), env=dict(os.environ, PYTHONPATH=REPOSITORY), stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )

    assert run.returncode == 0 and passed in run.stdout, run.stdout.decode()


class Rejected(Exception):
    pass


class Handler(DefaultAKExpireHandler):
    DEFAULT_CODES = ("Rejected",)

    def get_error_code(self, exception):
        return type(exception).__name__


class Client:
    pass


class Once(io.BytesIO):
    def seekable(self):
        return False


class TestUpload:
    """The block about requests that can be sent only once."""

    @pytest.fixture
    def upload(self, blocks, cloud, credentials):
        namespace = {}
        exec(blocks[5], namespace)

        def upload_once(access_key, stream):
            body = stream.read()
            if access_key.access_key_id != cloud.secret(SECRET).current.access_key_id:
                raise Rejected()
            return body

        client = Client()
        client._upload_once = upload_once
        client._lease = credentials.lease(client, SECRET, Handler(), lambda client: None)
        cloud.rotate(SECRET)
        yield lambda stream: namespace["upload"](client, stream)
        client._lease.close()

    def test_open_file_is_sent_again_from_where_it_was(self, upload):
        stream = io.BytesIO(b"content")
        stream.seek(3)

        assert upload(stream) == b"tent"

    def test_what_can_be_read_once_says_why_it_was_not(self, upload):
        with pytest.raises(Rejected) as caught:
            upload(Once(b"content"))

        assert isinstance(caught.value.__cause__, ReplayError)


def test_names_it_lists_are_there():
    import aliyun_sdk_secretsmanager_common_plugin as package

    for name in ("AKExpireHandler", "AccessKey", "DefaultAKExpireHandler", "Lease", "ManagedCredentials", "ReplayError",
                 "fresh_sockets"):
        assert name in package.__all__
    for name in ("default", "from_properties", "lease", "renew"):
        assert getattr(ManagedCredentials, name).__doc__
    for name in ("replay", "access_key", "close"):
        assert getattr(package.Lease, name).__doc__
