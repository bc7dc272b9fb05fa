"""A client of the program's own that an updater gives each new key."""

from local_cloud import create_secret, error_of, rotate, show

from aliyun_sdk_secretsmanager_common_plugin.aliyun_sdk_secretsmanager_plugins_manager import (
    AliyunSdkSecretsManagerPluginsManager,
)
from aliyun_sdk_secretsmanager_common_plugin.secretsmanager_plugin_credential_updater import (
    SecretsMangerPluginCredentialUpdater,
)
from aliyun_sdk_secretsmanager_common_plugin.utils.credentials_utils import generate_credentials_by_secret


class Client(object):
    access_key_id = None


class Updater(SecretsMangerPluginCredentialUpdater):
    def __init__(self, client):
        self.client = client
        self.closed = 0

    def get_client(self):
        return self.client

    def update_credential(self, secret_info):
        self.client.access_key_id = generate_credentials_by_secret(secret_info.secret_value).access_key_id

    def close(self):
        self.closed += 1


secret, key = create_secret("updater")
show("before init", error_of(AliyunSdkSecretsManagerPluginsManager.get_access_key, secret))
AliyunSdkSecretsManagerPluginsManager.init()
AliyunSdkSecretsManagerPluginsManager.init()
info = AliyunSdkSecretsManagerPluginsManager.get_secret_info(secret)
first, second = Updater(Client()), Updater(Client())
for updater in (first, second):
    updater.client.access_key_id = generate_credentials_by_secret(info.secret_value).access_key_id
    AliyunSdkSecretsManagerPluginsManager.register_secretsmanager_plugin_updater(info.secret_name, updater)
show("key at first", first.client.access_key_id == key)
key = rotate(secret)
AliyunSdkSecretsManagerPluginsManager.refresh_secret_info(secret)
show("key after a rotation", (first.client.access_key_id == key, second.client.access_key_id == key))
AliyunSdkSecretsManagerPluginsManager.close_secretsmanager_plugin_updater_and_client(secret, first.client)
show("closed", (first.closed, second.closed))
key = rotate(secret)
AliyunSdkSecretsManagerPluginsManager.refresh_secret_info(secret)
show("key after a close and a rotation", (first.client.access_key_id == key, second.client.access_key_id == key))
AliyunSdkSecretsManagerPluginsManager.close_secretsmanager_plugin_updater_and_client_by_updater(["Updater"])
show("closed by the class", (first.closed, second.closed))
show("both halves of the key", error_of(AliyunSdkSecretsManagerPluginsManager.get_access_key_id, secret))
show("no name", error_of(AliyunSdkSecretsManagerPluginsManager.get_access_key, ""))
AliyunSdkSecretsManagerPluginsManager.shutdown()
AliyunSdkSecretsManagerPluginsManager.init()
key = rotate(secret)


def key_after_init_again():
    AliyunSdkSecretsManagerPluginsManager.refresh_secret_info(secret)
    assert AliyunSdkSecretsManagerPluginsManager.get_access_key(secret).access_key_id == key


show("after shutdown and init again", error_of(key_after_init_again))
