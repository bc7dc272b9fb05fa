"""A program's own strategies for an outage of all regions."""

import os
import queue
import time

from aliyunsdkcore.auth.credentials import AccessKeyCredential
from local_cloud import ask, create_secret, error_of, show

from aliyun_sdk_secretsmanager_common_plugin.aliyun_sdk_secretsmanager_plugins_manager import (
    AliyunSdkSecretsManagerPluginsManager,
)
from aliyun_sdk_secretsmanager_common_plugin.auth.secretsmanager_plugin_credentials import (
    SecretsManagerPluginCredentials,
)
from aliyun_sdk_secretsmanager_common_plugin.service.default_plugins_credentials_loader import (
    DefaultPluginCredentialsLoader,
)
from aliyun_sdk_secretsmanager_common_plugin.service.default_secretsmanager_plugin_cache_hook import (
    DefaultSecretsManagerPluginCacheHook,
)
from aliyun_sdk_secretsmanager_common_plugin.service.secret_recovery_strategy import SecretRecoveryStrategy
from aliyun_sdk_secretsmanager_common_plugin.utils.credentials_utils import generate_secret_info_by_credentials

try:
    from alibaba_cloud_secretsmanager_client.service.full_jitter_back_off_strategy import FullJitterBackoffStrategy
except ImportError:
    from aliyun_sdk_secretsmanager_common_plugin.backoff_strategy import FullJitterBackoffStrategy

secret, key = create_secret("recovery")
other_secret, _ = create_secret("other")
recovered, waited = [], []


class Recovery(SecretRecoveryStrategy):
    def recover_get_secret(self, secret_name):
        recovered.append(secret_name)
        if secret_name == secret:
            return generate_secret_info_by_credentials(SecretsManagerPluginCredentials("id", "secret", -1), secret_name)


class Backoff(FullJitterBackoffStrategy):
    def get_wait_time_exponential(self, retry_times):
        waited.append(retry_times)
        return super(Backoff, self).get_wait_time_exponential(retry_times)


class Loader(DefaultPluginCredentialsLoader):
    def load(self):
        provider = super(Loader, self).load()
        show("credentials of the default loader", isinstance(provider.credentials, AccessKeyCredential))
        show("regions of the default loader", [
            (each.region_id, each.endpoint == os.environ["GATEWAY"]) for each in provider.region_info_list])
        show("secret_names of the default loader", provider.secret_names)
        provider.secretsmanager_plugin_cache_hook = DefaultSecretsManagerPluginCacheHook(queue.Queue(), Recovery())
        provider.back_off_strategy = Backoff(2, 100, 1000)
        return provider


ask("POST", "/faults", {"service": "secrets_manager", "kind": "reset"})
AliyunSdkSecretsManagerPluginsManager.init(Loader())
show("key while no region answers", AliyunSdkSecretsManagerPluginsManager.get_access_key(secret).access_key_id)
show("waits", waited)
show("error where nothing is recovered", error_of(AliyunSdkSecretsManagerPluginsManager.get_access_key, other_secret))
show("recovered", [name.split("/")[1] for name in recovered])
ask("DELETE", "/faults")


def refreshed():
    AliyunSdkSecretsManagerPluginsManager.refresh_secret_info(secret)
    return AliyunSdkSecretsManagerPluginsManager.get_access_key(secret).access_key_id == key


# A refresh that started earlier may still fail, and a new one joins it.
show("key after that", any(refreshed() or time.sleep(0.1) for _ in range(100)))
