"""The managers of the two plugins, their updaters, and the auth object whose key is replaced."""

import threading

import oss2
import pytest
from aliyunsdkcore.acs_exception.exceptions import ServerException
from aliyunsdkcore.client import AcsClient
from aliyunsdkcore.request import CommonRequest

from aliyun_sdk_secretsmanager_common_plugin import AKExpireHandler
from aliyun_sdk_secretsmanager_common_plugin.compat.sdk_plugin_manager import SdkPluginManager
from aliyun_sdk_secretsmanager_oss_plugin.proxy_bucket import ProxyBucket
from aliyun_sdk_secretsmanager_oss_plugin.secretsmanager_oss_plugin_credential_updater import (
    SecretsMangerOssPluginCredentialUpdater,
)
from aliyun_sdk_secretsmanager_oss_plugin.secretsmanager_oss_plugin_manager import SecretsManagerOssPluginManager
from aliyun_sdk_secretsmanager_oss_plugin.secretsmanger_plugin_auth import SecretsMangerPluginAuth
from aliyun_sdk_secretsmanager_sdk_core_plugin.proxy_acs_client import ProxyAcsClient
from aliyun_sdk_secretsmanager_sdk_core_plugin.secretsmanager_sdk_core_plugin_credential_updater import (
    SecretsMangerSdkCorePluginCredentialUpdater,
)
from aliyun_sdk_secretsmanager_sdk_core_plugin.secretsmanager_sdk_core_plugin_manager import (
    SecretsManagerSdkCorePluginManager,
)
from tests.conftest import SECRET

from .conftest import Updater


def describe_regions(client, cloud):
    return client.do_action_with_exception(
        CommonRequest(domain=cloud.api_endpoint, version="2014-05-26", action_name="DescribeRegions"))


class NothingIsRejected(AKExpireHandler):
    def judge_ak_expire(self, exception):
        return False


@pytest.fixture
def sdk_core(manager):
    yield SecretsManagerSdkCorePluginManager
    SecretsManagerSdkCorePluginManager.destroy()
    SecretsManagerSdkCorePluginManager.set_ak_expire_handler(None)


@pytest.fixture
def oss(manager):
    yield SecretsManagerOssPluginManager
    SecretsManagerOssPluginManager.destroy()


@pytest.mark.filterwarnings("ignore:get_acs_client:DeprecationWarning")
class TestSdkCore:
    def test_client_is_a_proxy(self, cloud, sdk_core):
        client = sdk_core.get_acs_client(SECRET, region_id="cn-shanghai")
        cloud.rotate(SECRET)
        describe_regions(client, cloud)

        assert client.get_region_id() == "cn-shanghai"
        assert isinstance(client, sdk_core.ProxyDefaultSdkCoreClient)
        assert isinstance(client, AcsClient)

    def test_is_deprecated_for_the_proxy(self, sdk_core):
        with pytest.warns(DeprecationWarning, match="write ProxyAcsClient") as caught:
            sdk_core.get_acs_client(SECRET)
        assert caught[0].filename == __file__

    def test_handler_that_was_set_judges(self, cloud, sdk_core):
        sdk_core.set_ak_expire_handler(NothingIsRejected())
        client = sdk_core.get_acs_client(SECRET)
        cloud.rotate(SECRET)

        with pytest.raises(ServerException):
            describe_regions(client, cloud)

    def test_plain_client_has_every_new_key(self, cloud, manager, sdk_core):
        plain = AcsClient("nobody", "nothing", "cn-hangzhou")
        assert sdk_core.get_acs_client(SECRET, default_client=plain) is plain
        describe_regions(plain, cloud)
        cloud.rotate(SECRET)
        manager.refresh_secret_info(SECRET)

        describe_regions(plain, cloud)

    def test_plain_client_signs_with_a_token(self, cloud, sdk_core):
        cloud.create_secret("token", token=True)
        describe_regions(sdk_core.get_acs_client("token", default_client=AcsClient("nobody", "nothing")), cloud)

    def test_plain_client_says_which_key_it_has(self, cloud, manager, sdk_core):
        plain = sdk_core.get_acs_client(SECRET, default_client=AcsClient("nobody", "nothing"))
        cloud.rotate(SECRET)
        manager.refresh_secret_info(SECRET)

        current = cloud.secret(SECRET).current
        assert (plain.get_access_key(), plain.get_access_secret()) == (
            current.access_key_id, current.access_key_secret)

    def test_plain_client_that_is_given_while_others_are_told_has_the_new_key(self, cloud, manager, sdk_core):
        """Another updater is slow."""
        amid, given = threading.Event(), threading.Event()

        class Slow(Updater):
            def update_credential(self, secret_info):
                amid.set()
                assert given.wait(10)

        manager.get_secret_info(SECRET)
        manager.register_secretsmanager_plugin_updater(SECRET, Slow())
        cloud.rotate(SECRET)
        telling = threading.Thread(target=manager.refresh_secret_info, args=(SECRET,))
        telling.start()
        try:
            assert amid.wait(10)
            plain = sdk_core.get_acs_client(SECRET, default_client=AcsClient("nobody", "nothing"))
            assert manager.get_access_key(SECRET).access_key_id == cloud.secret(SECRET).current.access_key_id
        finally:
            given.set()
            telling.join(10)

        describe_regions(plain, cloud)

    def test_updater_is_told_again_of_a_key_that_came_while_it_was_told(self, cloud, manager, updater):
        class Rotating(Updater):
            def update_credential(self, secret_info):
                super().update_credential(secret_info)
                if len(self.told) == 1:
                    cloud.rotate(SECRET)
                    manager.refresh_secret_info(SECRET)
                    self.told.append(secret_info.version_id)  # as if the old key came last

        rotating = Rotating()
        SdkPluginManager._keep_up_to_date(rotating, SECRET)

        assert rotating.told[-1] == cloud.secret(SECRET).given().version_id

    def test_closed_plain_client_has_no_new_key(self, cloud, manager, sdk_core):
        plain = sdk_core.get_acs_client(SECRET, default_client=AcsClient("nobody", "nothing"))
        sdk_core.close_client(plain, SECRET)
        cloud.rotate(SECRET)
        manager.refresh_secret_info(SECRET)

        with pytest.raises(ServerException):
            describe_regions(plain, cloud)

    def test_close_client_shuts_a_proxy_down_and_no_other(self, cloud, sdk_core):
        client, other = sdk_core.get_acs_client(SECRET), sdk_core.get_acs_client(SECRET)
        sdk_core.close_client(client, SECRET)

        with pytest.raises(Exception, match="shut down"):
            describe_regions(client, cloud)
        describe_regions(other, cloud)

    def test_destroy_shuts_all_down_that_came_from_here(self, cloud, sdk_core, closing):
        client, own = sdk_core.get_acs_client(SECRET), closing(ProxyAcsClient(SECRET))
        sdk_core.destroy()

        with pytest.raises(Exception, match="shut down"):
            describe_regions(client, cloud)
        describe_regions(own, cloud)
        describe_regions(sdk_core.get_acs_client(SECRET), cloud)

    def test_proxy_that_is_given_is_returned(self, sdk_core, closing):
        client = closing(ProxyAcsClient(SECRET))
        assert sdk_core.get_acs_client(SECRET, default_client=client) is client

    def test_updater_leaves_a_proxy_as_it_is(self, cloud, manager, closing):
        client = closing(ProxyAcsClient(SECRET))
        updater = SecretsMangerSdkCorePluginCredentialUpdater(client)
        updater.update_credential(manager.get_secret_info(SECRET))
        cloud.rotate(SECRET)

        describe_regions(client, cloud)
        assert updater.get_client() is client
        assert cloud.secret(SECRET).current.access_key_secret not in vars(client).values()


@pytest.mark.filterwarnings("ignore:get_bucket:DeprecationWarning")
class TestOss:
    def test_bucket_is_a_proxy(self, cloud, oss):
        bucket = oss.get_bucket(cloud.oss_endpoint, "bucket", SECRET)
        cloud.rotate(SECRET)
        bucket.put_object("key", b"body")

        assert cloud.object("bucket", "key") == b"body"
        assert isinstance(bucket, oss2.Bucket)

    def test_is_deprecated_for_the_proxy(self, cloud, oss):
        with pytest.warns(DeprecationWarning, match="write ProxyBucket") as caught:
            oss.get_bucket(cloud.oss_endpoint, "bucket", SECRET)
        assert caught[0].filename == __file__

    def test_plain_bucket_has_every_new_key(self, cloud, manager, oss):
        plain = oss2.Bucket(oss2.Auth("nobody", "nothing"), cloud.oss_endpoint, "bucket")
        assert oss.get_bucket(None, None, SECRET, bucket=plain) is plain
        plain.put_object("key", b"first")
        cloud.rotate(SECRET)
        manager.refresh_secret_info(SECRET)
        plain.put_object("key", b"second")

        assert cloud.object("bucket", "key") == b"second"
        assert isinstance(plain.auth, SecretsMangerPluginAuth)

    def test_plain_bucket_signs_with_a_token(self, cloud, manager, oss):
        cloud.create_secret("token", token=True)
        plain = oss2.Bucket(oss2.Auth("nobody", "nothing"), cloud.oss_endpoint, "bucket")
        oss.get_bucket(None, None, "token", bucket=plain)
        plain.put_object("key", b"first")
        cloud.rotate("token")
        manager.refresh_secret_info("token")
        plain.put_object("key", b"second")

        assert cloud.object("bucket", "key") == b"second"

    def test_closed_plain_bucket_has_no_new_key(self, cloud, manager, oss):
        plain = oss2.Bucket(oss2.Auth("nobody", "nothing"), cloud.oss_endpoint, "bucket")
        oss.get_bucket(None, None, SECRET, bucket=plain)
        oss.close_client(plain, SECRET)
        cloud.rotate(SECRET)
        manager.refresh_secret_info(SECRET)

        with pytest.raises(oss2.exceptions.ServerError):
            plain.put_object("key", b"body")

    def test_close_client_shuts_a_proxy_down_and_no_other(self, cloud, oss):
        bucket, other = (oss.get_bucket(cloud.oss_endpoint, "bucket", SECRET) for _ in range(2))
        oss.close_client(bucket, SECRET)

        with pytest.raises(Exception, match="shut down"):
            bucket.put_object("key", b"body")
        other.put_object("key", b"body")

    def test_destroy_shuts_all_down_that_came_from_here(self, cloud, oss, closing):
        bucket, own = oss.get_bucket(cloud.oss_endpoint, "bucket", SECRET), closing(
            ProxyBucket(SECRET, cloud.oss_endpoint, "bucket"))
        oss.destroy()

        with pytest.raises(Exception, match="shut down"):
            bucket.put_object("key", b"body")
        own.put_object("key", b"body")

    def test_updater_switches_an_auth_of_the_programs_own(self, cloud, manager):
        class OwnAuth(oss2.Auth):
            def switch_credentials(self, access_key_id, access_key_secret):
                self.switched = (access_key_id, access_key_secret)

        auth = OwnAuth("nobody", "nothing")
        SecretsMangerOssPluginCredentialUpdater(object(), auth).update_credential(manager.get_secret_info(SECRET))

        current = cloud.secret(SECRET).current
        assert auth.switched == (current.access_key_id, current.access_key_secret)


class TestAuth:
    def test_signs_with_the_key_that_was_given_last(self, cloud):
        current = cloud.secret(SECRET).current
        auth = SecretsMangerPluginAuth("nobody", "nothing")
        auth.switch_credentials(current.access_key_id, current.access_key_secret)
        bucket = oss2.Bucket(auth, cloud.oss_endpoint, "bucket")
        bucket.put_object("key", b"body")

        assert bucket.sign_url("GET", "key", 60).count(current.access_key_id) == 1
        assert isinstance(auth, oss2.Auth)

    def test_no_request_is_signed_with_halves_of_two_keys(self, monkeypatch):
        """Requests are signed while another thread switches between two keys; a signature belongs to its id."""
        monkeypatch.setattr(oss2.utils, "http_date", lambda *_: "Sat, 21 Nov 2026 10:00:00 GMT")
        keys = [("id-0", "secret-0"), ("id-1", "secret-1")]
        auth = SecretsMangerPluginAuth(*keys[0])
        expected = {self.signed(SecretsMangerPluginAuth(*key)) for key in keys}
        done = threading.Event()

        def switch():
            while not done.is_set():
                for key in keys:
                    auth.switch_credentials(*key)

        switching = threading.Thread(target=switch)
        switching.start()
        try:
            signatures = {self.signed(auth) for _ in range(3000)}
        finally:
            done.set()
            switching.join()
        assert signatures == expected

    @staticmethod
    def signed(auth):
        request = oss2.http.Request("GET", "http://bucket.host/key")
        auth._sign_request(request, "bucket", "key")
        return request.headers["authorization"]
