"""The local cloud that the examples call in place of Alibaba Cloud; it has the secret ``my-secret``."""

import contextlib
import os
import re
import subprocess
import sys
import tempfile

from aliyun_sdk_secretsmanager_testing import LocalCloud

HERE = os.path.dirname(os.path.abspath(__file__))


@contextlib.contextmanager
def local_cloud():
    """Start a local cloud, and configure this process, and those that it starts, for it."""
    with LocalCloud() as cloud, tempfile.TemporaryDirectory() as directory:
        cloud.create_secret("my-secret")
        os.environ["MANAGED_CREDENTIALS_CONFIG"] = cloud.write_properties(directory)
        os.environ.update(ECS_ENDPOINT=cloud.api_endpoint, ECS_PROTOCOL="http")
        try:
            yield cloud
        finally:
            for name in ("MANAGED_CREDENTIALS_CONFIG", "ECS_ENDPOINT", "ECS_PROTOCOL"):
                del os.environ[name]


@contextlib.contextmanager
def served(directory, *command):
    """Run a Python module, which is a web server, in a directory of the examples, and yield its URL."""
    server = subprocess.Popen([sys.executable, "-m"] + list(command), cwd=os.path.join(HERE, directory),
                              stderr=subprocess.PIPE, universal_newlines=True)
    try:
        yield address(server.stderr)
    finally:
        server.terminate()
        server.communicate()


def address(log):
    """Return where the server says that it listens."""
    for line in log:
        listening = re.search(r"(?:Listening at:|running on) (http://[\d.:]+)", line)
        if listening:
            return listening.group(1)
    raise RuntimeError("the server did not start")
