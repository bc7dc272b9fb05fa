"""Fixtures: the plugins manager on the local cloud. It is shut down after each test."""

import pytest

from aliyun_sdk_secretsmanager_common_plugin.aliyun_sdk_secretsmanager_plugins_manager import (
    AliyunSdkSecretsManagerPluginsManager,
)
from aliyun_sdk_secretsmanager_common_plugin.secretsmanager_plugin_credential_updater import (
    SecretsMangerPluginCredentialUpdater,
)
from tests.conftest import SECRET


@pytest.fixture
def manager(properties):
    yield AliyunSdkSecretsManagerPluginsManager
    AliyunSdkSecretsManagerPluginsManager.shutdown()


def is_idle(credentials):
    """Return whether the secret is not refreshed, because no client uses it."""
    return credentials.stats()[SECRET].next_refresh is None


class Updater(SecretsMangerPluginCredentialUpdater):
    """Records the secrets that it is given."""

    def __init__(self, client=None):
        self.client = client
        self.told = []
        self.closed = 0

    def get_client(self):
        return self.client

    def update_credential(self, secret_info):
        self.told.append(secret_info.version_id)

    def close(self):
        self.closed += 1


@pytest.fixture
def updater():
    return Updater(client=object())
