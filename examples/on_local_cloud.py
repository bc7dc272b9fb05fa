"""What the examples run against, in place of Alibaba Cloud: a local cloud with the secret ``my-secret``."""

import contextlib
import os
import tempfile

from aliyun_sdk_secretsmanager_testing import LocalCloud


@contextlib.contextmanager
def local_cloud():
    """A started local cloud, and a properties file for it, for this process and those that it starts."""
    with LocalCloud() as cloud, tempfile.TemporaryDirectory() as directory:
        cloud.create_secret("my-secret")
        os.environ["MANAGED_CREDENTIALS_CONFIG"] = cloud.write_properties(directory)
        try:
            yield cloud
        finally:
            del os.environ["MANAGED_CREDENTIALS_CONFIG"]
