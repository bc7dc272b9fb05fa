"""A loader of the program's own, with strategies of its own."""

import json
import os
import queue

from aliyunsdkcore.auth.credentials import AccessKeyCredential
from local_cloud import create_secret, describe_regions, rotate, show

from aliyun_sdk_secretsmanager_common_plugin.aliyun_sdk_secretsmanager_plugins_manager import (
    AliyunSdkSecretsManagerPluginsManager,
)
from aliyun_sdk_secretsmanager_common_plugin.model.secretsmanager_plugin_credentials_provider import (
    SecretsManagerPluginCredentialsProvider,
)
from aliyun_sdk_secretsmanager_common_plugin.service.default_secretsmanager_plugin_cache_hook import (
    DefaultSecretsManagerPluginCacheHook,
)
from aliyun_sdk_secretsmanager_common_plugin.service.monitor_memory_cache_secret_store_strategy import (
    MonitorMemoryCacheSecretStoreStrategy,
)
from aliyun_sdk_secretsmanager_common_plugin.service.rotate_ak_secret_refresh_secret_strategy import (
    RotateAKSecretRefreshSecretStrategy,
)
from aliyun_sdk_secretsmanager_common_plugin.service.secret_exchange import SecretExchange
from aliyun_sdk_secretsmanager_common_plugin.service.secret_recovery_strategy import SecretRecoveryStrategy
from aliyun_sdk_secretsmanager_common_plugin.service.secretsmanager_plugin_credentials_loader import (
    SecretsManagerPluginCredentialsLoader,
)
from aliyun_sdk_secretsmanager_sdk_core_plugin.proxy_acs_client import ProxyAcsClient

try:
    from alibaba_cloud_secretsmanager_client.model.region_info import RegionInfo
    from alibaba_cloud_secretsmanager_client.service.full_jitter_back_off_strategy import FullJitterBackoffStrategy
except ImportError:
    from aliyun_sdk_secretsmanager_common_plugin.backoff_strategy import FullJitterBackoffStrategy
    from aliyun_sdk_secretsmanager_common_plugin.credentials_provider import RegionInfo

secret, key = create_secret("loader")
called = {}


def note(what, *arguments):
    called.setdefault(what, []).append(arguments)


class Exchange(SecretExchange):
    def exchange_secret_name(self, user_secret_name):
        note("exchange", user_secret_name)
        return secret if user_secret_name == "mine" else user_secret_name


class Store(MonitorMemoryCacheSecretStoreStrategy):
    def store_secret(self, cache_secret_info):
        note("store", cache_secret_info.secret_info.secret_name, cache_secret_info.stage)
        super(Store, self).store_secret(cache_secret_info)


class Hook(DefaultSecretsManagerPluginCacheHook):
    def put(self, secret_info):
        note("put", secret_info.secret_name, secret_info.secret_type, secret_info.rotation_interval)
        return super(Hook, self).put(secret_info)

    def get(self, cache_secret_info):
        note("get", cache_secret_info.secret_info.secret_name)
        return super(Hook, self).get(cache_secret_info)


class Refresh(RotateAKSecretRefreshSecretStrategy):
    def parse_next_execute_time(self, cache_secret_info):
        note("refresh", cache_secret_info.secret_info.secret_name)
        return super(Refresh, self).parse_next_execute_time(cache_secret_info)


class Loader(SecretsManagerPluginCredentialsLoader):
    def load(self):
        note("load")
        region = RegionInfo("cn-hangzhou", False, os.environ["GATEWAY"])
        messages = queue.Queue(100)
        return SecretsManagerPluginCredentialsProvider(
            AccessKeyCredential(*os.environ["IDENTITY"].split(":")), [region], [], Exchange(), Store(messages, None, None),
            Hook(messages, SecretRecoveryStrategy()), FullJitterBackoffStrategy(2, 100, 1000), Refresh(), {})


AliyunSdkSecretsManagerPluginsManager.init(Loader())
show("loads", len(called["load"]))
show("key by the program's name", AliyunSdkSecretsManagerPluginsManager.get_access_key("mine").access_key_id == key)
show("name in Secrets Manager", AliyunSdkSecretsManagerPluginsManager.get_secret_name("mine") == secret)
info = AliyunSdkSecretsManagerPluginsManager.get_secret_info("mine")
show("secret's name", info.secret_name == secret)
show("secret's kind", (info.secret_type, info.secret_data_type, info.automatic_rotation, info.rotation_interval))
show("secret's extended config", json.loads(info.extended_config)["SecretSubType"])
for what in ("exchange", "put", "get", "store", "refresh"):
    show("{} was called".format(what), sorted({arguments[1:] for arguments in called[what]}))
show("puts of one read", len(called["put"]))
show("stores of one read", len(called["store"]))
before = len(called["exchange"])
AliyunSdkSecretsManagerPluginsManager.get_access_key("mine")
show("exchanges of a read", len(called["exchange"]) - before)
stores = len(called["store"])
new_key = rotate(secret)
AliyunSdkSecretsManagerPluginsManager.refresh_secret_info(secret)
show("key after a refresh", AliyunSdkSecretsManagerPluginsManager.get_access_key("mine").access_key_id == new_key)
show("stores of a refresh", len(called["store"]) - stores)
client = ProxyAcsClient(secret, region_id="cn-hangzhou")
show("proxy is served by the loader", describe_regions(client) == new_key)
new_key = rotate(secret)
show("proxy after a rotation", describe_regions(client) == new_key)
show("loads at the end", len(called["load"]))
