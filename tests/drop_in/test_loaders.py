"""A program's own loader: how its strategies are called, and what their results change."""

import json
import threading
import time

import pytest
from aliyunsdkcore.acs_exception.exceptions import ClientException, ServerException
from aliyunsdkcore.auth.credentials import (
    AccessKeyCredential,
    EcsRamRoleCredential,
    RamRoleArnCredential,
    RsaKeyPairCredential,
    StsTokenCredential,
)
from aliyunsdkcore.request import CommonRequest

from aliyun_sdk_secretsmanager_common_plugin import ConfigurationError, ManagedCredentials
from aliyun_sdk_secretsmanager_common_plugin.backoff_strategy import FullJitterBackoffStrategy
from aliyun_sdk_secretsmanager_common_plugin.compat.plugin_credentials import SecretsManagerPluginCredentials
from aliyun_sdk_secretsmanager_common_plugin.compat.provided_credentials import _settings_of
from aliyun_sdk_secretsmanager_common_plugin.credentials_provider import RegionInfo
from aliyun_sdk_secretsmanager_common_plugin.model.secretsmanager_plugin_credentials_provider import (
    SecretsManagerPluginCredentialsProvider,
)
from aliyun_sdk_secretsmanager_common_plugin.secret_info import CacheSecretInfo
from aliyun_sdk_secretsmanager_common_plugin.service.default_plugins_credentials_loader import (
    DefaultPluginCredentialsLoader,
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
from aliyun_sdk_secretsmanager_common_plugin.settings import IdentitySettings
from aliyun_sdk_secretsmanager_common_plugin.utils.credentials_utils import generate_secret_info_by_credentials
from aliyun_sdk_secretsmanager_oss_plugin.proxy_bucket import ProxyBucket
from aliyun_sdk_secretsmanager_sdk_core_plugin.proxy_acs_client import ProxyAcsClient
from aliyun_sdk_secretsmanager_testing import Fault, LocalCloud
from tests.conftest import SECRET, wait_until

from .conftest import is_idle


def reads(cloud):
    return len(cloud.calls("secrets_manager"))


@pytest.fixture
def provider(cloud):
    identity = cloud.identity
    return SecretsManagerPluginCredentialsProvider(
        AccessKeyCredential(identity.access_key_id, identity.access_key_secret),
        [RegionInfo("cn-hangzhou", endpoint=cloud.gateway_endpoint(), ca_file_path=cloud.ca_file)],
    )


@pytest.fixture
def load(provider, manager):
    """Initialize the manager with a loader whose provider has the given strategies."""

    def initialise(**strategies):
        vars(provider).update(strategies)

        class Loader(SecretsManagerPluginCredentialsLoader):
            def load(self):
                return provider

        manager.init(Loader())
        return manager

    return initialise


def describe_regions(client, cloud):
    return client.do_action_with_exception(
        CommonRequest(domain=cloud.api_endpoint, version="2014-05-26", action_name="DescribeRegions"))


class TestProvider:
    def test_says_who_asks_and_where(self, cloud, load):
        key = load().get_access_key(SECRET)

        assert key.access_key_id == cloud.secret(SECRET).current.access_key_id
        assert cloud.calls("secrets_manager")[0].access_key_id == cloud.identity.access_key_id

    def test_serves_proxies_as_well(self, cloud, load, closing):
        manager = load()
        client = closing(ProxyAcsClient(SECRET))
        bucket = closing(ProxyBucket(SECRET, cloud.oss_endpoint, "bucket"))
        cloud.rotate(SECRET)

        describe_regions(client, cloud)
        bucket.put_object("key", b"body")

        assert reads(cloud) == 2
        assert manager.get_access_key(SECRET).access_key_id == client.get_access_key()

    def test_secret_names_are_read_at_the_start(self, cloud, load):
        load(secret_names=[SECRET])

        assert reads(cloud) == 1

    def test_is_forgotten_by_shutdown(self, load):
        manager = load()
        loaded = ManagedCredentials.default()
        manager.shutdown()

        assert ManagedCredentials.default() is not loaded

    def test_default_that_the_program_set_since_outlives_shutdown(self, load):
        manager = load()
        own = ManagedCredentials.from_properties()
        ManagedCredentials.set_default(own)
        try:
            manager.shutdown()
            assert ManagedCredentials.default() is own
        finally:
            ManagedCredentials.set_default(None)
            own.close()

    def test_temporary_key_asks(self, cloud, load):
        identity = cloud.add_identity(token=True)
        load(credentials=StsTokenCredential(
            identity.access_key_id, identity.access_key_secret, identity.security_token)).get_access_key(SECRET)

        assert cloud.calls("secrets_manager")[0].access_key_id == identity.access_key_id

    def test_object_that_gives_credentials_asks(self, cloud, load):
        identity = cloud.add_identity()

        class Credentials:
            def get_credentials(self):
                return identity

        load(credentials=Credentials()).get_access_key(SECRET)

        assert cloud.calls("secrets_manager")[0].access_key_id == identity.access_key_id

    @pytest.mark.parametrize("credential, expected", [
        (RamRoleArnCredential("id", "secret", "acs:ram::1:role/r", "session"),
         IdentitySettings("ram_role", "id", "secret", role_arn="acs:ram::1:role/r", role_session_name="session")),
        (EcsRamRoleCredential("r"), IdentitySettings("ecs_ram_role", role_name="r")),
    ], ids=["RamRoleArnCredential", "EcsRamRoleCredential"])
    def test_roles_are_those_of_the_settings(self, provider, credential, expected):
        provider.credentials = credential

        assert _settings_of(provider).identity == expected

    def test_what_gives_no_credentials_is_named(self, load):
        with pytest.raises(ConfigurationError, match="cannot get credentials from a RsaKeyPairCredential"):
            load(credentials=RsaKeyPairCredential("id", "the private key"))

    def test_no_credentials_name_the_key(self, load):
        with pytest.raises(ConfigurationError, match="SecretsManagerPluginCredentialsProvider: credentials_type"):
            load(credentials=None)

    def test_no_region_names_the_key(self, load):
        with pytest.raises(ConfigurationError, match="SecretsManagerPluginCredentialsProvider: cache_client_region_id"):
            load(region_info_list=[])

    def test_default_loader_says_what_the_file_does(self, cloud, properties, tmp_path, manager):
        cloud.write_properties(tmp_path, renew_timeout_milliseconds="1500", secret_names=SECRET)

        class Loader(DefaultPluginCredentialsLoader):
            def load(self):
                provider = super().load()
                provider.secret_names = []
                return provider

        manager.init(Loader())

        assert reads(cloud) == 0
        assert ManagedCredentials.default().settings.renew_timeout == 1.5
        assert manager.get_access_key(SECRET).access_key_id == cloud.secret(SECRET).current.access_key_id

    def test_strategies_begin_and_end_with_the_manager(self, load):
        events = []

        def noting(base, *arguments):
            class Noting(base):
                def init(self):
                    events.append("init " + base.__name__)

                def close(self):
                    events.append("close " + base.__name__)

            return Noting(*arguments)

        strategies = {
            "cache_secret_store_strategy": noting(MonitorMemoryCacheSecretStoreStrategy, None, None, None),
            "refresh_secret_strategy": noting(RotateAKSecretRefreshSecretStrategy),
            "secretsmanager_plugin_cache_hook": noting(DefaultSecretsManagerPluginCacheHook, None, None),
        }
        load(**strategies).shutdown()

        names = [type(each).__mro__[1].__name__ for each in strategies.values()]
        assert sorted(events) == sorted(event + name for name in names for event in ("init ", "close "))


class TestDedicatedGateways:
    @pytest.fixture
    def cloud(self):
        with LocalCloud(dedicated=["kst-one"]) as cloud:
            cloud.create_secret(SECRET)
            yield cloud

    @pytest.fixture
    def client_key(self, cloud, tmp_path):
        return cloud.create_client_key(tmp_path, "the password").path

    def test_configuration_of_the_programs_own(self, cloud, client_key, load):
        class TheirConfig:
            def __init__(self):
                self.region_id, self.endpoint, self.client_key_file = "cn-hangzhou", cloud.dedicated_endpoint(), client_key
                self.password, self.ignore_ssl_certs, self.ca_file_path = "the password", False, cloud.ca_file

        region = RegionInfo("cn-hangzhou", endpoint=cloud.dedicated_endpoint())
        manager = load(credentials=None, region_info_list=[region], dkms_configs_dict={region: TheirConfig()})

        assert manager.get_access_key(SECRET).access_key_id == cloud.secret(SECRET).current.access_key_id
        assert len(cloud.calls("dedicated")) == 1

    def test_default_loader_takes_those_of_the_file(self, cloud, client_key, tmp_path, manager):
        (tmp_path / "password").write_text("the password")
        instance = {"regionId": "cn-hangzhou", "endpoint": cloud.dedicated_endpoint(), "clientKeyFile": client_key,
                    "passwordFromFilePath": "password", "caFilePath": cloud.ca_file}
        cloud.write_properties(tmp_path, cache_client_dkms_config_info=json.dumps([instance]))

        manager.init(DefaultPluginCredentialsLoader())

        assert manager.get_access_key(SECRET).access_key_id == cloud.secret(SECRET).current.access_key_id
        assert len(cloud.calls("dedicated")) == 1
        assert len(ManagedCredentials.default().settings.shared_gateways) == 1


class TestSecretExchange:
    class Exchange(SecretExchange):
        def __init__(self):
            self.asked = []

        def exchange_secret_name(self, user_secret_name):
            self.asked.append(user_secret_name)
            return {"mine": SECRET, "none": ""}[user_secret_name]

    def test_is_asked_at_each_read(self, cloud, load):
        exchange = self.Exchange()
        manager = load(secret_exchange=exchange)
        for _ in range(3):
            assert manager.get_secret_info("mine").secret_name == SECRET

        assert exchange.asked == ["mine"] * 3
        assert manager.get_secret_name("mine") == SECRET
        assert [call.secret for call in cloud.calls("secrets_manager")] == [SECRET]

    def test_no_name_is_a_value_error(self, load):
        with pytest.raises(ValueError, match="'none', for which Exchange returns no name in Secrets Manager"):
            load(secret_exchange=self.Exchange()).get_access_key("none")

    def test_names_of_proxies_are_exchanged(self, cloud, load, closing):
        load(secret_exchange=self.Exchange())
        client = closing(ProxyAcsClient("mine"))
        cloud.rotate(SECRET)

        describe_regions(client, cloud)

    def test_updater_is_registered_by_the_name_in_secrets_manager(self, cloud, load, updater):
        manager = load(secret_exchange=self.Exchange())
        manager.register_secretsmanager_plugin_updater(SECRET, updater)
        cloud.rotate(SECRET)
        manager.refresh_secret_info(SECRET)

        assert len(updater.told) == 1


class Recovery(SecretRecoveryStrategy):
    def __init__(self, secret_info=None):
        self.asked = []
        self.secret_info = secret_info

    def recover_get_secret(self, secret_name):
        self.asked.append(secret_name)
        return self.secret_info


class Backoff(FullJitterBackoffStrategy):
    def __init__(self, *waits):
        super().__init__()
        self.waits = waits
        self.asked = []

    def get_wait_time_exponential(self, retry_times):
        self.asked.append(retry_times)
        return self.waits[retry_times] if retry_times < len(self.waits) else -1


class TestRecoveryStrategy:
    def hook(self, recovery):
        return DefaultSecretsManagerPluginCacheHook(None, recovery)

    @pytest.mark.parametrize("fault", [Fault.status(503), Fault.throttling(), Fault.reset()], ids=repr)
    def test_its_secret_serves_when_no_region_answers(self, cloud, load, fault, caplog):
        recovery = Recovery(generate_secret_info_by_credentials(
            SecretsManagerPluginCredentials("LTAI5tRecoveredKey00", "the recovered secret", -1), SECRET))
        cloud.inject("secrets_manager", fault)
        manager = load(secretsmanager_plugin_cache_hook=self.hook(recovery), back_off_strategy=Backoff())

        key = manager.get_access_key(SECRET)

        assert (key.access_key_id, key.access_key_secret) == ("LTAI5tRecoveredKey00", "the recovered secret")
        assert recovery.asked == [SECRET]
        assert "no region answered" in caplog.text
        assert "the recovered secret" not in caplog.text

    def test_secrets_manager_is_asked_again_soon(self, cloud, load):
        recovery = Recovery(generate_secret_info_by_credentials(
            SecretsManagerPluginCredentials("LTAI5tRecoveredKey00", "the recovered secret", -1), SECRET))
        cloud.inject("secrets_manager", Fault.status(503))
        load(secretsmanager_plugin_cache_hook=self.hook(recovery), back_off_strategy=Backoff()).get_access_key(SECRET)

        assert ManagedCredentials.default().stats()[SECRET].next_refresh <= 2

    def test_without_a_secret_the_error_surfaces(self, cloud, load):
        cloud.inject("secrets_manager", Fault.status(503))
        manager = load(secretsmanager_plugin_cache_hook=self.hook(Recovery()), back_off_strategy=Backoff())

        with pytest.raises(ServerException) as caught:
            manager.get_access_key(SECRET)
        assert caught.value.get_http_status() == 503

    def test_is_not_asked_where_a_region_refuses(self, load):
        recovery = Recovery()
        manager = load(secretsmanager_plugin_cache_hook=self.hook(recovery))

        with pytest.raises(ServerException):
            manager.get_access_key("no such secret")
        assert recovery.asked == []

    def test_keeps_every_new_secret(self, cloud, load):
        class Keeping(Recovery):
            def keep_secret(self, secret_info):
                self.secret_info = secret_info

        recovery = Keeping()
        manager = load(secretsmanager_plugin_cache_hook=self.hook(recovery))
        manager.get_access_key(SECRET)
        cloud.rotate(SECRET)
        manager.refresh_secret_info(SECRET)

        assert recovery.secret_info == manager.get_secret_info(SECRET)

    def test_refresh_that_fails_keeps_the_key(self, cloud, load):
        recovery = Recovery()
        manager = load(secretsmanager_plugin_cache_hook=self.hook(recovery))
        manager.get_access_key(SECRET)
        cloud.inject("secrets_manager", Fault.status(503))
        manager.refresh_secret_info(SECRET)

        assert recovery.asked == []


class TestBackoffStrategy:
    def test_says_how_long_a_first_read_waits(self, cloud, load):
        backoff = Backoff(100, 200, 400)
        cloud.inject("secrets_manager", Fault.status(503), times=2)

        began = time.monotonic()
        load(back_off_strategy=backoff).get_access_key(SECRET)

        assert time.monotonic() - began >= 0.3
        assert reads(cloud) == 3

    def test_ends_the_attempts(self, cloud, load):
        cloud.inject("secrets_manager", Fault.status(503))
        with pytest.raises(ServerException):
            load(back_off_strategy=Backoff(0, 0)).get_access_key(SECRET)

        assert reads(cloud) == 3

    def test_waits_no_longer_than_the_deadline(self, cloud, load):
        backoff = Backoff(3600 * 1000)
        cloud.inject("secrets_manager", Fault.status(503))
        with pytest.raises(ServerException):
            load(back_off_strategy=backoff).get_access_key(SECRET)

        assert reads(cloud) == 1


class TestRefreshStrategy:
    @staticmethod
    def next_refresh():
        return ManagedCredentials.default().stats()[SECRET].next_refresh

    class Strategy(RotateAKSecretRefreshSecretStrategy):
        def __init__(self, due=None, next_due=None):
            super().__init__()
            self.due = due
            self.next_due = next_due
            self.seen = []

        def parse_next_execute_time(self, cache_secret_info):
            self.seen.append(cache_secret_info)
            return self.due

        def get_next_execute_time(self, secret_name, ttl, offset):
            self.seen.append((secret_name, ttl, offset))
            return self.next_due

    def test_says_when_a_secret_is_read_again(self, load):
        now = time.time()
        strategy = self.Strategy((now + 86400) * 1000)
        load(refresh_secret_strategy=strategy).get_access_key(SECRET)

        assert self.next_refresh() == pytest.approx(86400, abs=60)
        seen = strategy.seen[0]
        assert seen.secret_info.secret_name == SECRET
        assert seen.refresh_time_stamp == pytest.approx(now * 1000, abs=60000)

    def test_is_asked_otherwise_where_the_secret_does_not_say(self, load):
        now = time.time()
        strategy = self.Strategy(-1, (now + 7200) * 1000)
        load(refresh_secret_strategy=strategy).get_access_key(SECRET)

        assert self.next_refresh() == pytest.approx(7200, abs=60)
        assert strategy.seen[1][:2] == (SECRET, 3600000)

    def test_time_that_is_over_leaves_the_refresh_interval(self, load):
        strategy = self.Strategy(1000)
        load(refresh_secret_strategy=strategy).get_access_key(SECRET)

        assert 3000 < self.next_refresh() <= 3600

    def test_one_that_raises_leaves_the_refresh_interval(self, load, caplog):
        key = load(refresh_secret_strategy=self.Strategy("never")).get_access_key(SECRET)

        assert key.access_key_id
        assert 3000 < self.next_refresh() <= 3600
        assert "Strategy failed with TypeError" in caplog.text

    def test_default_one_reads_no_later_than_the_refresh_interval(self, load):
        load(refresh_secret_strategy=RotateAKSecretRefreshSecretStrategy()).get_access_key(SECRET)

        assert 3000 < self.next_refresh() <= 3600

    def test_failed_refresh_comes_again_soon(self, cloud, load):
        strategy = self.Strategy(1000)
        manager = load(refresh_secret_strategy=strategy)
        manager.get_access_key(SECRET)
        cloud.inject("secrets_manager", Fault.status(503))
        manager.refresh_secret_info(SECRET)

        assert self.next_refresh() <= 2


class FileStore(MonitorMemoryCacheSecretStoreStrategy):
    """Stores secrets in a dictionary, in place of a file."""

    def __init__(self, kept):
        super().__init__(None, None, None)
        self.cache_map = kept
        self.hook_of = None

    def add_refresh_hook(self, secret_cache_client):
        self.hook_of = secret_cache_client

    def close(self):
        pass


class TestStoreStrategy:
    def test_keeps_every_new_secret(self, cloud, load):
        stored = []

        class Store(FileStore):
            def store_secret(self, cache_secret_info):
                stored.append(cache_secret_info.secret_info.version_id)
                super().store_secret(cache_secret_info)

        manager = load(cache_secret_store_strategy=Store({}))
        for _ in range(3):
            manager.get_access_key(SECRET)
            cloud.rotate(SECRET)
            manager.refresh_secret_info(SECRET)

        assert len(stored) == len(set(stored)) == 4

    def test_one_that_fails_leaves_the_new_key_in_use(self, cloud, load, caplog):
        class Store(FileStore):
            def store_secret(self, cache_secret_info):
                if self.cache_map:
                    raise RuntimeError(cache_secret_info.secret_info.secret_value)
                super().store_secret(cache_secret_info)

        manager = load(cache_secret_store_strategy=Store({}))
        manager.get_access_key(SECRET)
        cloud.rotate(SECRET)
        manager.refresh_secret_info(SECRET)

        current = cloud.secret(SECRET).current
        assert manager.get_access_key(SECRET).access_key_id == current.access_key_id
        assert "a subscriber failed with RuntimeError" in caplog.text
        assert current.access_key_secret not in caplog.text

    def test_one_that_cannot_be_closed_keeps_nothing_else_from_it(self, load, updater, caplog):
        class Store(FileStore):
            def close(self):
                raise RuntimeError("the secret")

        manager = load(cache_secret_store_strategy=Store({}))
        manager.register_secretsmanager_plugin_updater(SECRET, updater)
        credentials = ManagedCredentials.default()
        manager.shutdown()

        assert updater.closed == 1
        wait_until(lambda: is_idle(credentials))
        assert "Store could not be closed: RuntimeError" in caplog.text
        assert "the secret" not in caplog.text

    def test_is_where_secrets_are_read(self, load):
        asked = []

        class Store(FileStore):
            def get_cache_secret_info(self, secret_name):
                asked.append(secret_name)
                return super().get_cache_secret_info(secret_name)

        manager = load(cache_secret_store_strategy=Store({}))
        manager.get_secret_info(SECRET)
        before = len(asked)
        manager.get_secret_info(SECRET)

        assert asked[before:] == [SECRET]

    def test_what_an_earlier_process_kept_serves_while_secrets_manager_is_down(self, cloud, load, manager, closing):
        kept = {}
        load(cache_secret_store_strategy=FileStore(kept)).get_access_key(SECRET)
        manager.shutdown()
        cloud.inject("secrets_manager", Fault.reset())

        load(cache_secret_store_strategy=FileStore(kept))

        describe_regions(closing(ProxyAcsClient(SECRET)), cloud)
        assert manager.get_access_key(SECRET).access_key_id == cloud.secret(SECRET).current.access_key_id
        assert reads(cloud) == 1

    def test_one_that_raises_at_the_start_is_logged_by_its_type_and_secrets_manager_is_read(self, cloud, load, caplog):
        class Store(FileStore):
            def get_cache_secret_info(self, secret_name):
                raise RuntimeError("the secret")

        load(cache_secret_store_strategy=Store({}), secret_names=[SECRET])

        assert reads(cloud) == 1
        assert "the store strategy failed with RuntimeError" in caplog.text
        assert "the secret" not in caplog.text

    def test_what_was_kept_too_long_is_read_again(self, cloud, load, manager):
        kept = {}
        load(cache_secret_store_strategy=FileStore(kept)).get_access_key(SECRET)
        manager.shutdown()
        kept[SECRET].refresh_time_stamp -= 30 * 86400 * 1000

        load(cache_secret_store_strategy=FileStore(kept)).get_access_key(SECRET)

        assert reads(cloud) == 2

    def test_can_have_a_secret_read_again(self, cloud, load):
        store = FileStore({})
        manager = load(cache_secret_store_strategy=store)
        manager.get_access_key(SECRET)
        cloud.rotate(SECRET)

        assert store.hook_of.refresh_now(SECRET) is True
        assert store.hook_of.get_secret_info(SECRET) is kept_of(store)
        cloud.inject("secrets_manager", Fault.status(503))
        assert store.hook_of.refresh_now(SECRET) is False


def kept_of(store):
    return store.cache_map[SECRET].secret_info


class TestCacheHook:
    def test_puts_every_new_secret_and_gets_what_was_kept(self, cloud, load):
        """This hook stores secrets in reverse."""

        class Hook(DefaultSecretsManagerPluginCacheHook):
            def put(self, secret_info):
                cached = super().put(secret_info)
                return CacheSecretInfo("backwards", cached.refresh_time_stamp, self.turned(secret_info))

            def get(self, cache_secret_info):
                assert cache_secret_info.stage == "backwards"
                return self.turned(cache_secret_info.secret_info)

            @staticmethod
            def turned(secret_info):
                return type(secret_info)(secret_info.secret_name, secret_info.version_id, secret_info.secret_value[::-1])

        store = FileStore({})
        manager = load(
            secretsmanager_plugin_cache_hook=Hook(None, SecretRecoveryStrategy()), cache_secret_store_strategy=store)

        key = manager.get_access_key(SECRET)

        assert key.access_key_secret == cloud.secret(SECRET).current.access_key_secret
        assert json.loads(kept_of(store).secret_value[::-1])

    def test_one_that_keeps_nothing_serves_what_was_read(self, cloud, load):
        class Hook(DefaultSecretsManagerPluginCacheHook):
            def put(self, secret_info):
                return None

        manager = load(secretsmanager_plugin_cache_hook=Hook(None, SecretRecoveryStrategy()))

        assert manager.get_access_key(SECRET).access_key_id == cloud.secret(SECRET).current.access_key_id


class TestOtherTypes:
    """Objects with the attributes of those of aliyun-secret-manager-client, but without this package's bases."""

    class TheirSecretInfo:
        def __init__(self, secret_value):
            self.secret_name, self.version_id, self.secret_value = SECRET, "v1", secret_value
            self.secret_type, self.next_rotation_date = "RAMCredentials", None

    class TheirRegionInfo:
        def __init__(self, region_id, vpc=False, endpoint=None):
            self.region_id, self.vpc, self.endpoint, self.kms_type = region_id, vpc, endpoint, 0

    def test_region_info(self, cloud, load, monkeypatch):
        monkeypatch.setenv("ALIBABA_CLOUD_CA_BUNDLE", cloud.ca_file)
        manager = load(region_info_list=[self.TheirRegionInfo("cn-hangzhou", endpoint=cloud.gateway_endpoint())])

        assert manager.get_access_key(SECRET).access_key_id == cloud.secret(SECRET).current.access_key_id

    def test_secret_info(self, cloud, load):
        info = self.TheirSecretInfo('{"AccessKeyId": "LTAI5tRecoveredKey00", "AccessKeySecret": "s"}')
        cloud.inject("secrets_manager", Fault.status(503))
        manager = load(
            secretsmanager_plugin_cache_hook=DefaultSecretsManagerPluginCacheHook(None, Recovery(info)),
            back_off_strategy=Backoff())

        assert manager.get_access_key(SECRET).access_key_id == "LTAI5tRecoveredKey00"


def test_threads_that_begin_at_once_have_one_manager(manager, in_threads):
    loads = []

    class Loader(DefaultPluginCredentialsLoader):
        def load(self):
            loads.append(threading.current_thread())
            return super().load()

    def begin():
        manager.init(Loader())
        return manager.get_aliyun_sdk_secretsmanager_plugin()

    assert len(set(in_threads([begin] * 8))) == 1
    assert len(loads) == 1


def test_error_of_secrets_manager_is_that_of_the_sdk(cloud, load):
    cloud.inject("secrets_manager", Fault.reset())
    with pytest.raises(ClientException):
        load(back_off_strategy=Backoff()).get_access_key(SECRET)
