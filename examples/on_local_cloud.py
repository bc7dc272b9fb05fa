"""The local cloud that the examples call in place of Alibaba Cloud; it has the secret ``my-secret``."""

import contextlib
import os
import tempfile

from aliyun_sdk_secretsmanager_testing import LocalCloud


@contextlib.contextmanager
def local_cloud():
    """Start a local cloud, and configure this process, and those that it starts, for it."""
    with LocalCloud() as cloud, tempfile.TemporaryDirectory() as directory:
        cloud.create_secret("my-secret")
        os.environ["MANAGED_CREDENTIALS_CONFIG"] = cloud.write_properties(directory)
        try:
            yield cloud
        finally:
            del os.environ["MANAGED_CREDENTIALS_CONFIG"]
