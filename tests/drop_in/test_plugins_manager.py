"""AliyunSdkSecretsManagerPluginsManager with the properties file, alone and together with proxies."""

import gc
import json
import threading
import warnings

import pytest
from aliyunsdkcore.request import CommonRequest

from aliyun_sdk_secretsmanager_common_plugin import ManagedCredentials
from aliyun_sdk_secretsmanager_common_plugin.runtime import process
from aliyun_sdk_secretsmanager_sdk_core_plugin.proxy_acs_client import ProxyAcsClient
from aliyun_sdk_secretsmanager_testing import Fault
from tests.conftest import SECRET, wait_until

from .conftest import Updater, is_idle


def reads(cloud):
    return len(cloud.calls("secrets_manager"))


def describe_regions(cloud):
    return CommonRequest(domain=cloud.api_endpoint, version="2014-05-26", action_name="DescribeRegions")


class TestReading:
    def test_access_key_is_the_current_one(self, cloud, manager):
        manager.init()

        key = manager.get_access_key(SECRET)

        current = cloud.secret(SECRET).current
        assert (key.access_key_id, key.access_key_secret) == (current.access_key_id, current.access_key_secret)
        assert key.expire_timestamp == -1
        assert current.access_key_secret not in repr(key)

    def test_secret_is_read_once(self, cloud, manager):
        manager.init()
        for _ in range(3):
            manager.get_access_key(SECRET)
            manager.get_secret_info(SECRET)

        assert reads(cloud) == 1

    def test_halves_of_a_key_are_deprecated_for_the_whole(self, cloud, manager):
        current = cloud.secret(SECRET).current
        with pytest.warns(DeprecationWarning, match=r"use get_access_key\(\)") as caught:
            assert manager.get_access_key_id(SECRET) == current.access_key_id
            assert manager.get_access_key_secret(SECRET) == current.access_key_secret
        assert [each.filename for each in caught] == [__file__, __file__]

    def test_secret_info_has_what_secrets_manager_answered(self, cloud, manager):
        info = manager.get_secret_info(SECRET)

        assert info.secret_name == SECRET
        assert info.secret_type == "RAMCredentials"
        assert info.secret_data_type == "text"
        assert json.loads(info.extended_config)["SecretSubType"] == "RamUserAccessKey"
        assert info.rotation_interval.endswith("s")
        secret = json.loads(info.secret_value)["AccessKeySecret"]
        assert secret == cloud.secret(SECRET).current.access_key_secret
        assert secret not in repr(info)

    def test_is_initialised_by_the_first_use(self, cloud, manager):
        assert manager.get_secret_name(SECRET) == SECRET
        assert manager.get_secret_info(SECRET).secret_name == SECRET

    def test_no_name_is_a_value_error(self, manager):
        for name in (None, ""):
            with pytest.raises(ValueError):
                manager.get_access_key(name)

    def test_refresh_reads_again(self, cloud, manager):
        manager.get_access_key(SECRET)
        cloud.rotate(SECRET)

        manager.refresh_secret_info(SECRET)

        assert manager.get_access_key(SECRET).access_key_id == cloud.secret(SECRET).current.access_key_id
        assert reads(cloud) == 2

    def test_refresh_that_fails_leaves_the_key(self, cloud, manager):
        before = manager.get_access_key(SECRET).access_key_id
        cloud.inject("secrets_manager", Fault.status(503))

        manager.refresh_secret_info(SECRET)

        assert manager.get_access_key(SECRET).access_key_id == before

    def test_threads_read_once(self, cloud, manager, in_threads):
        keys = in_threads([lambda: manager.get_access_key(SECRET).access_key_id] * 20)

        assert len(set(keys)) == 1
        assert reads(cloud) == 1


class TestBesideProxies:
    def test_manager_and_proxies_share_the_secret(self, cloud, manager, closing):
        client = closing(ProxyAcsClient(SECRET))

        assert manager.get_access_key(SECRET).access_key_id == client.get_access_key()
        assert reads(cloud) == 1

    def test_updater_is_told_of_what_a_proxy_renewed(self, cloud, manager, closing, updater):
        client = closing(ProxyAcsClient(SECRET))
        manager.register_secretsmanager_plugin_updater(SECRET, updater)
        cloud.rotate(SECRET)

        client.do_action_with_exception(describe_regions(cloud))

        assert updater.told == [cloud.secret(SECRET).given().version_id]
        assert manager.get_access_key(SECRET).access_key_id == cloud.secret(SECRET).current.access_key_id

    def test_proxies_go_on_after_shutdown(self, cloud, manager, closing):
        client = closing(ProxyAcsClient(SECRET))
        manager.get_access_key(SECRET)

        manager.shutdown()
        cloud.rotate(SECRET)

        client.do_action_with_exception(describe_regions(cloud))


class TestUpdaters:
    def test_updater_is_told_of_every_new_key(self, cloud, manager, updater):
        manager.get_secret_info(SECRET)
        manager.register_secretsmanager_plugin_updater(SECRET, updater)
        for _ in range(3):
            cloud.rotate(SECRET)
            manager.refresh_secret_info(SECRET)

        assert len(updater.told) == len(set(updater.told)) == 3
        assert updater.told[-1] == manager.get_secret_info(SECRET).version_id

    def test_updater_is_not_told_of_the_key_that_was_there(self, manager, updater):
        manager.register_secretsmanager_plugin_updater(SECRET, updater)
        manager.get_secret_info(SECRET)
        manager.refresh_secret_info(SECRET)

        assert updater.told == []

    def test_updater_that_fails_keeps_no_other_from_being_told(self, cloud, manager, updater, caplog):
        class Failing(Updater):
            def update_credential(self, secret_info):
                raise RuntimeError(secret_info.secret_value)

        failing = Failing()
        manager.register_secretsmanager_plugin_updater(SECRET, failing)
        manager.register_secretsmanager_plugin_updater(SECRET, updater)
        cloud.rotate(SECRET)
        manager.refresh_secret_info(SECRET)

        assert len(updater.told) == 1
        assert "Failing failed with RuntimeError" in caplog.text
        assert cloud.secret(SECRET).current.access_key_secret not in caplog.text

    def test_updaters_of_a_client_are_closed(self, cloud, manager, updater):
        other = Updater()
        for each in (updater, other):
            manager.register_secretsmanager_plugin_updater(SECRET, each)

        manager.close_secretsmanager_plugin_updater_and_client(SECRET, updater.client)
        cloud.rotate(SECRET)
        manager.refresh_secret_info(SECRET)

        assert (updater.closed, updater.told) == (1, [])
        assert (other.closed, len(other.told)) == (0, 1)

    def test_updaters_of_a_class_are_closed(self, manager, updater):
        class Other(Updater):
            pass

        other = Other()
        for each in (updater, other):
            manager.register_secretsmanager_plugin_updater(SECRET, each)

        manager.close_secretsmanager_plugin_updater_and_client_by_updater({"Other"})

        assert (updater.closed, other.closed) == (0, 1)

    def test_closing_the_last_updater_of_a_secret_leaves_the_others(self, cloud, manager, updater):
        cloud.create_secret("other")
        other = Updater()
        manager.register_secretsmanager_plugin_updater(SECRET, updater)
        manager.register_secretsmanager_plugin_updater("other", other)

        manager.close_secretsmanager_plugin_updater_and_client(SECRET, updater.client)
        cloud.rotate("other")
        manager.refresh_secret_info("other")

        assert len(other.told) == 1

    def test_secret_stays_in_use_while_there_is_an_updater(self, manager, updater):
        client = ProxyAcsClient(SECRET)
        manager.register_secretsmanager_plugin_updater(SECRET, updater)
        client.shutdown()

        assert not is_idle(ManagedCredentials.default())

    def test_dropped_updater_does_not_keep_the_secret_in_use(self, manager):
        dropped = Updater(client=object())
        manager.register_secretsmanager_plugin_updater(SECRET, dropped)
        manager.close_secretsmanager_plugin_updater_and_client(SECRET, dropped.client)
        del dropped
        gc.collect()

        wait_until(lambda: is_idle(ManagedCredentials.default()))

    def test_closed_updater_does_not_keep_the_secret_in_use(self, manager, updater):
        """The program still has a reference to it."""
        for close in (
            lambda: manager.close_secretsmanager_plugin_updater_and_client(SECRET, updater.client),
            lambda: manager.close_secretsmanager_plugin_updater_and_client_by_updater({"Updater"}),
        ):
            manager.register_secretsmanager_plugin_updater(SECRET, updater)
            assert not is_idle(ManagedCredentials.default())
            close()
            wait_until(lambda: is_idle(ManagedCredentials.default()))

    def test_updaters_that_are_equal_and_without_hash_are_told_and_closed_each(self, cloud, manager):
        class Equal(Updater):
            def __eq__(self, other):
                return isinstance(other, Equal)

        first, second = Equal(object()), Equal(object())
        for each in (first, second):
            manager.register_secretsmanager_plugin_updater(SECRET, each)
        manager.close_secretsmanager_plugin_updater_and_client(SECRET, second.client)
        cloud.rotate(SECRET)
        manager.refresh_secret_info(SECRET)

        assert (len(first.told), first.closed) == (1, 0)
        assert (len(second.told), second.closed) == (0, 1)
        assert not is_idle(ManagedCredentials.default())

    def test_updater_with_slots_is_told(self, cloud, manager):
        told = []

        class Slots:
            __slots__ = ()

            def get_client(self):
                return None

            def update_credential(self, secret_info):
                told.append(secret_info.version_id)

            def close(self):
                pass

        manager.register_secretsmanager_plugin_updater(SECRET, Slots())
        cloud.rotate(SECRET)
        manager.refresh_secret_info(SECRET)

        assert told == [cloud.secret(SECRET).given().version_id]

    def test_last_told_is_the_newest_when_keys_come_at_once(self, cloud, manager):
        """The first update waits until the second has finished."""
        held, second = threading.Event(), threading.Event()

        class Slow(Updater):
            def update_credential(self, secret_info):
                if not held.is_set():
                    held.set()
                    assert second.wait(10)
                super().update_credential(secret_info)

        slow = Slow()
        manager.get_secret_info(SECRET)
        manager.register_secretsmanager_plugin_updater(SECRET, slow)
        cloud.rotate(SECRET)
        first = threading.Thread(target=manager.refresh_secret_info, args=(SECRET,))
        first.start()
        assert held.wait(10)
        cloud.rotate(SECRET)
        manager.refresh_secret_info(SECRET)
        second.set()
        first.join(10)

        newest = cloud.secret(SECRET).given().version_id
        wait_until(lambda: slow.told[-1:] == [newest])
        assert manager.get_secret_info(SECRET).version_id == newest


class TestLifecycle:
    def test_init_again_after_shutdown(self, cloud, manager, updater):
        manager.init()
        manager.register_secretsmanager_plugin_updater(SECRET, updater)
        manager.shutdown()
        manager.init()
        cloud.rotate(SECRET)
        manager.refresh_secret_info(SECRET)

        assert manager.get_access_key(SECRET).access_key_id == cloud.secret(SECRET).current.access_key_id
        assert (updater.closed, updater.told) == (1, [])

    def test_shutdown_is_idempotent_and_ends_the_thread(self, manager, updater, nothing_of_other_tests):
        manager.register_secretsmanager_plugin_updater(SECRET, updater)
        manager.get_access_key(SECRET)

        manager.shutdown()
        manager.shutdown()

        wait_until(lambda: process.thread() is None)

    def test_shutdown_ends_the_refreshes_of_what_was_only_read(self, manager, nothing_of_other_tests):
        manager.get_access_key(SECRET)
        manager.shutdown()

        wait_until(lambda: process.thread() is None)

    def test_updater_that_cannot_be_closed_keeps_no_other_from_it(
        self, manager, updater, caplog, nothing_of_other_tests
    ):
        class Failing(Updater):
            def close(self):
                raise RuntimeError("the secret")

        for each in (Failing(), updater):
            manager.register_secretsmanager_plugin_updater(SECRET, each)
        manager.shutdown()

        assert updater.closed == 1
        wait_until(lambda: process.thread() is None)
        assert "Failing could not be closed: RuntimeError" in caplog.text
        assert "the secret" not in caplog.text

    def test_nothing_is_kept_by_many_beginnings_and_ends(self, manager):
        for _ in range(3):
            manager.init()
            manager.shutdown()

        assert ManagedCredentials.default()._account._subscribers == []

    def test_closing_and_shutting_down_what_was_not_initialised_does_nothing(self, cloud, manager):
        manager.shutdown()
        manager.close_secretsmanager_plugin_updater_and_client(SECRET, object())
        manager.close_secretsmanager_plugin_updater_and_client_by_updater({"Updater"})

        assert reads(cloud) == 0

    def test_no_warning_where_nothing_is_deprecated(self, manager, updater):
        with warnings.catch_warnings():
            warnings.simplefilter("error", DeprecationWarning)
            manager.init()
            manager.get_access_key(SECRET)
            manager.register_secretsmanager_plugin_updater(SECRET, updater)
            manager.refresh_secret_info(SECRET)
