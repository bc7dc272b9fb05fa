"""Clients that the managers of the plugins make."""

import oss2
from aliyunsdkcore.client import AcsClient
from local_cloud import ENDPOINTS, create_bucket, create_secret, describe_regions, error_of, rotate, show

from aliyun_sdk_secretsmanager_common_plugin.ak_expire_handler import AKExpireHandler
from aliyun_sdk_secretsmanager_oss_plugin.secretsmanager_oss_plugin_manager import SecretsManagerOssPluginManager
from aliyun_sdk_secretsmanager_sdk_core_plugin.secretsmanager_sdk_core_plugin_manager import (
    SecretsManagerSdkCorePluginManager,
)


class NothingIsRejected(AKExpireHandler):
    def judge_ak_expire(self, exception):
        return False


secret, key = create_secret("managers")
client = SecretsManagerSdkCorePluginManager.get_acs_client(secret, region_id="cn-hangzhou", timeout=5)
show("client is an AcsClient", isinstance(client, AcsClient))
show("client is a proxy", isinstance(client, SecretsManagerSdkCorePluginManager.ProxyDefaultSdkCoreClient))
show("client's call", describe_regions(client) == key)
key = rotate(secret)
show("client's call after a rotation", describe_regions(client) == key)

strict_secret, _ = create_secret("strict")
strict = SecretsManagerSdkCorePluginManager.get_acs_client(strict_secret, ak_expire_handler=NothingIsRejected())
rotate(strict_secret)
show("handler that is given", error_of(describe_regions, strict))
SecretsManagerSdkCorePluginManager.set_ak_expire_handler(NothingIsRejected())
set_secret, _ = create_secret("set")
by_default = SecretsManagerSdkCorePluginManager.get_acs_client(set_secret)
rotate(set_secret)
show("handler that is set", error_of(describe_regions, by_default))
SecretsManagerSdkCorePluginManager.set_ak_expire_handler(None)

name = create_bucket()
oss_secret, _ = create_secret("oss")
bucket = SecretsManagerOssPluginManager.get_bucket(ENDPOINTS["oss_endpoint"], name, oss_secret)
show("bucket is a Bucket", isinstance(bucket, oss2.Bucket))
show("bucket's auth is an Auth", isinstance(bucket.auth, oss2.Auth))
show("bucket's put_object", bucket.put_object("key", b"body").status)
rotate(oss_secret)
show("bucket's call after a rotation", error_of(bucket.get_object, "key"))

show("close_client of a client", error_of(SecretsManagerSdkCorePluginManager.close_client, client, secret))
show("close_client of a bucket", error_of(SecretsManagerOssPluginManager.close_client, bucket, oss_secret))
show("destroy", (error_of(SecretsManagerSdkCorePluginManager.destroy), error_of(SecretsManagerOssPluginManager.destroy)))
