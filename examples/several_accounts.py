"""Several accounts in one program: a properties file for each, handed to the clients.

    python examples/several_accounts.py
"""

import tempfile

from ecs_describe import describe_regions

from aliyun_sdk_secretsmanager_common_plugin import ManagedCredentials
from aliyun_sdk_secretsmanager_sdk_core_plugin import ProxyAcsClient
from aliyun_sdk_secretsmanager_testing import LocalCloud


def client_of(path):
    """Return a client of the account in a properties file; both accounts have a secret of this name."""
    return ProxyAcsClient("my-secret", managed_credentials=ManagedCredentials.from_properties(path))


def main():
    with LocalCloud() as cloud_a, LocalCloud() as cloud_b, \
            tempfile.TemporaryDirectory() as directory_a, tempfile.TemporaryDirectory() as directory_b:
        for cloud in (cloud_a, cloud_b):
            cloud.create_secret("my-secret")
        with client_of(cloud_a.write_properties(directory_a)) as client_a, \
                client_of(cloud_b.write_properties(directory_b)) as client_b:
            cloud_a.rotate("my-secret")
            print("account A: signed by " + describe_regions(client_a, cloud_a.api_endpoint)["AccessKeyId"])
            print("account B: signed by " + describe_regions(client_b, cloud_b.api_endpoint)["AccessKeyId"])


if __name__ == "__main__":
    main()
