"""The functions and the small classes."""

import json

from local_cloud import error_of, show

from aliyun_sdk_secretsmanager_common_plugin.auth.secretsmanager_plugin_credentials import (
    SecretsManagerPluginCredentials,
)
from aliyun_sdk_secretsmanager_common_plugin.service.monitor_memory_cache_secret_store_strategy import (
    judge_secret_expired,
)
from aliyun_sdk_secretsmanager_common_plugin.service.rotate_ak_secret_refresh_secret_strategy import (
    RotateAKSecretRefreshSecretStrategy,
    parse_next_rotation_time,
)
from aliyun_sdk_secretsmanager_common_plugin.service.secret_exchange import SecretExchange
from aliyun_sdk_secretsmanager_common_plugin.service.secret_recovery_strategy import SecretRecoveryStrategy
from aliyun_sdk_secretsmanager_common_plugin.utils.config_loader import ConfigLoader
from aliyun_sdk_secretsmanager_common_plugin.utils.credentials_utils import (
    generate_credentials_by_secret,
    generate_secret_info_by_credentials,
)
from aliyun_sdk_secretsmanager_oss_plugin.secretsmanger_plugin_auth import SecretsMangerPluginAuth

try:
    from alibaba_cloud_secretsmanager_client.model.secret_info import CacheSecretInfo, SecretInfo
except ImportError:
    from aliyun_sdk_secretsmanager_common_plugin.secret_info import CacheSecretInfo, SecretInfo

FAR_OFF = 32503680000000
USER_KEY = '{"SecretSubType": "RamUserAccessKey"}'

show("credentials", sorted(vars(SecretsManagerPluginCredentials("id", "secret", -1)).items()))
show("credentials without an id", error_of(SecretsManagerPluginCredentials, "", "secret", -1))
show("credentials without a secret", error_of(SecretsManagerPluginCredentials, "id", None, -1))

values = {
    "least": {"AccessKeyId": "id", "AccessKeySecret": "secret"},
    "with times": {"AccessKeyId": "id", "AccessKeySecret": "secret", "ExpireTimestamp": "2026-11-21T10:00:00Z",
                   "GenerateTimestamp": "2026-11-20T10:00:00Z"},
}
for kind in sorted(values):
    credentials = generate_credentials_by_secret(json.dumps(values[kind]))
    show("credentials of a secret, " + kind, sorted(vars(credentials).items()))
show("credentials of no secret", error_of(generate_credentials_by_secret, ""))
show("credentials of another secret", error_of(generate_credentials_by_secret, '{"user": "name"}'))
show("credentials of a broken secret", error_of(generate_credentials_by_secret, '{"AccessKeyId'))

info = generate_secret_info_by_credentials(SecretsManagerPluginCredentials("id", "secret", -1), "name")
show("secret of credentials", (
    info.secret_name, json.loads(info.secret_value), info.secret_data_type, info.secret_type, info.automatic_rotation,
    info.extended_config, info.rotation_interval, len(str(info.version_id)), len(info.create_time),
    len(info.next_rotation_date)))
show("secret of no credentials", error_of(generate_secret_info_by_credentials, None, "name"))

show("expired", [judge_secret_expired("60s", timestamp) for timestamp in (0, FAR_OFF)])
show("expired, without an interval", error_of(judge_secret_expired, "", 0))

for kind, secret_info in (
    ("date", SecretInfo(next_rotation_date="2026-11-21T10:00:00Z", secret_value="{}")),
    ("value", SecretInfo(secret_value='{"scheduleRotateTimestamp": 1795255200}')),
    ("neither", SecretInfo(secret_value="{}")),
):
    show("next rotation time, " + kind, parse_next_rotation_time(secret_info))

strategy = RotateAKSecretRefreshSecretStrategy()
show("default strategy", (strategy.rotation_interval, strategy.delay_interval, 0 <= strategy.random_disturbance <= 600000))
strategy = RotateAKSecretRefreshSecretStrategy(rotation_interval=FAR_OFF, delay_interval=1000)
strategy.random_disturbance = 0
due = strategy.parse_next_execute_time(CacheSecretInfo(
    secret_info=SecretInfo(next_rotation_date="2999-11-21T10:00:00Z", secret_value="{}")))
show("due after the rotation", due)
show("next execute time", strategy.get_next_execute_time("name", 1000, FAR_OFF))
for kind, secret_info in (
    ("key of a user", SecretInfo(secret_type="RAMCredentials", extended_config=USER_KEY, rotation_interval="60s")),
    ("without an interval", SecretInfo(secret_type="RAMCredentials", extended_config=USER_KEY)),
    ("value", SecretInfo(secret_type="Generic", secret_value='{"refreshInterval": "60s"}')),
    ("unknown", SecretInfo(secret_type="Generic", secret_value="{}")),
):
    show("time to live, " + kind, strategy.parse_ttl(secret_info))

show("exchange", SecretExchange().exchange_secret_name("name"))
show("recovery", SecretRecoveryStrategy().recover_get_secret("name"))
show("name of the file", ConfigLoader.get_config_name())
ConfigLoader.set_config_name("other.properties")
show("name of another file", ConfigLoader.get_config_name())
auth = SecretsMangerPluginAuth("id", "secret")
show("auth switches", error_of(auth.switch_credentials, "other id", "other secret"))
