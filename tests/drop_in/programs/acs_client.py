"""ProxyAcsClient in place of AcsClient."""

from aliyunsdkcore.client import AcsClient
from local_cloud import create_secret, describe_regions, error_of, rotate, show

from aliyun_sdk_secretsmanager_common_plugin.utils.config_loader import ConfigLoader
from aliyun_sdk_secretsmanager_sdk_core_plugin.proxy_acs_client import ProxyAcsClient

ConfigLoader.set_config_name("custom.properties")
secret, key = create_secret("acs")
client = ProxyAcsClient(region_id="cn-hangzhou", secret_name=secret)
show("is an AcsClient", isinstance(client, AcsClient))
show("region", client.get_region_id())
show("first call is signed with the secret's key", describe_regions(client) == key)
for number in (1, 2):
    key = rotate(secret)
    show("call after rotation {}".format(number), describe_regions(client) == key)
second = ProxyAcsClient(secret, region_id="cn-hangzhou")
show("second client of the secret", describe_regions(second) == key)
show("a secret that is not there", error_of(ProxyAcsClient, "no/such/secret"))
other_secret, key = create_secret("other")
other = ProxyAcsClient(other_secret, timeout=5, connect_timeout=5, max_retry_time=1, user_agent="program", port=80)
show("client of another secret", describe_regions(other) == key)
for each in (client, client, second):
    each.shutdown()
rotate(other_secret)
show("other client after a shutdown and a rotation", error_of(describe_regions, other))
show("new client after a shutdown", error_of(describe_regions, ProxyAcsClient(secret, region_id="cn-hangzhou")))
