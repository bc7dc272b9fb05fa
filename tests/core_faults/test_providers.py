"""A credentials provider by itself: it has the new key soon, though nobody tells it of a rejection."""

import asyncio
import time

import oss2
import pytest

from aliyun_sdk_secretsmanager_common_plugin import ManagedCredentials, ManagedCredentialsError
from aliyun_sdk_secretsmanager_common_plugin.settings import load_settings
from aliyun_sdk_secretsmanager_oss_plugin import ManagedCredentialsProvider as OssProvider
from aliyun_sdk_secretsmanager_testing import Fault

from ..conftest import SECRET, wait_until

pytestmark = [pytest.mark.filterwarnings("ignore:" + beginning) for beginning in (
    "datetime.datetime.utcnow", "There is no current event loop", "This process", "Call to deprecated function")]

INTERVAL = 0.2


class OfOss:
    """A program with oss2's own bucket.

    Args:
        cloud: where it calls.
        credentials: what its provider reads.
    """

    def __init__(self, cloud, credentials):
        self.provider = OssProvider(SECRET, credentials)
        self._bucket = oss2.Bucket(oss2.ProviderAuth(self.provider), cloud.oss_endpoint, "bucket")

    def call(self):
        self._bucket.put_object("key", b"x")


class OfOssV2(OfOss):
    def __init__(self, cloud, credentials):
        oss = pytest.importorskip("alibabacloud_oss_v2")
        from aliyun_sdk_secretsmanager_oss_v2_plugin import ManagedCredentialsProvider

        self.provider = ManagedCredentialsProvider(SECRET, credentials)
        self._request = oss.PutObjectRequest("bucket", "key", body=b"x")
        self._client = oss.Client(oss.config.Config(
            region="cn-hangzhou", endpoint=cloud.oss_endpoint, credentials_provider=self.provider,
            retry_max_attempts=1))

    def call(self):
        self._client.put_object(self._request)


class OfOpenApi(OfOss):
    def __init__(self, cloud, credentials):
        pytest.importorskip("alibabacloud_tea_openapi")
        from alibabacloud_credentials.client import Client as CredentialClient
        from alibabacloud_tea_openapi.client import Client
        from alibabacloud_tea_openapi.models import Config

        from aliyun_sdk_secretsmanager_openapi_plugin import ManagedCredentialsProvider

        from ..openapi.calls import BODIES, arguments

        self.provider = ManagedCredentialsProvider(SECRET, credentials)
        client = Client(Config(
            credential=CredentialClient(provider=self.provider), endpoint=cloud.api_endpoint, protocol="http"))
        self.call = lambda: client.call_api(*arguments("RPC", BODIES["form"]))


PROGRAMS = pytest.mark.parametrize("program", [OfOss, OfOssV2, OfOpenApi])


@pytest.fixture
def hasty(cloud, tmp_path):
    """Read again much sooner than programs do."""
    path = cloud.write_properties(
        tmp_path, fetch_timeout_milliseconds=30000, provider_refresh_interval_milliseconds=int(INTERVAL * 1000))
    with ManagedCredentials(load_settings(path)) as managed_credentials:
        yield managed_credentials


def reads(cloud):
    return len(cloud.calls("secrets_manager"))


def succeeds(call):
    """Return whether a call succeeds."""
    try:
        call()
    except Exception as error:
        assert "InvalidAccessKeyId" in str(error)
        return False
    return True


@PROGRAMS
class TestEmergencyRotation:
    def test_is_over_with_the_next_read_in_the_background(self, cloud, hasty, program):
        one = program(cloud, hasty)
        one.call()
        cloud.rotate(SECRET)

        wait_until(lambda: succeeds(one.call))
        assert reads(cloud) <= 3

    def test_is_over_when_the_program_says_that_the_key_was_rejected(self, cloud, credentials, program):
        one = program(cloud, credentials)
        one.call()
        key = one.provider.get_credentials()
        cloud.rotate(SECRET)
        assert not succeeds(one.call)

        one.provider.rejected(key)

        wait_until(lambda: succeeds(one.call))
        assert reads(cloud) == 2


class TestRejected:
    @pytest.mark.parametrize("what", [
        lambda credentials, key: credentials.get(SECRET),
        lambda credentials, key: key.access_key_id,
        lambda credentials, key: key,
    ], ids=["the key", "its id", "what the provider gave"])
    def test_takes(self, cloud, credentials, what):
        with OssProvider(SECRET, credentials) as provider:
            former = provider.get_credentials()
            cloud.rotate(SECRET)

            provider.rejected(what(credentials, former))

            wait_until(lambda: provider.get_credentials().access_key_id != former.access_key_id)

    def test_of_a_key_that_is_no_longer_current_reads_nothing(self, cloud, credentials):
        with OssProvider(SECRET, credentials) as provider:
            former = provider.get_credentials()
            cloud.rotate(SECRET)
            credentials.refresh(SECRET)

            provider.rejected(former)
            provider.rejected("LTAI5tOfSomebodyElse")
            credentials.refresh(SECRET)

            assert reads(cloud) == 3

    def test_of_a_key_that_stays_reads_once_a_cool_down(self, cloud, credentials):
        with OssProvider(SECRET, credentials) as provider:
            for _ in range(100):
                provider.rejected(provider.get_credentials())
            wait_until(lambda: credentials.stats()[SECRET].renewals == 1)
            for _ in range(100):
                provider.rejected(provider.get_credentials())

            assert reads(cloud) <= 3

    def test_does_not_wait(self, cloud, credentials):
        with OssProvider(SECRET, credentials) as provider:
            key = provider.get_credentials()
            cloud.inject("secrets_manager", Fault.hang())
            began = time.monotonic()

            provider.rejected(key)

            assert provider.get_credentials().access_key_id == key.access_key_id
            assert time.monotonic() - began < 10  # of 20
            cloud.clear()

    def test_after_shutdown_says_so(self, credentials):
        provider = OssProvider(SECRET, credentials)
        provider.shutdown()

        with pytest.raises(ManagedCredentialsError, match="shut down"):
            provider.rejected("LTAI5t")


@PROGRAMS
def test_signatures_never_wait_for_it(cloud, hasty, program):
    one = program(cloud, hasty)
    one.call()
    cloud.inject("secrets_manager", Fault.hang())
    wait_until(lambda: one.call() or reads(cloud) > 1)

    began = time.monotonic()
    one.call()
    assert time.monotonic() - began < 1.5  # of the two seconds that the read waits
    cloud.clear()


def test_other_clients_cause_no_such_reads(cloud, hasty, closing):
    pytest.importorskip("alibabacloud_tea_openapi")
    oss = pytest.importorskip("alibabacloud_oss_v2")
    from alibabacloud_tea_openapi.client import Client
    from alibabacloud_tea_openapi.models import Config

    from aliyun_sdk_secretsmanager_openapi_plugin import managed
    from aliyun_sdk_secretsmanager_oss_plugin import ProxyBucket
    from aliyun_sdk_secretsmanager_oss_v2_plugin import managed as managed_oss

    from ..openapi.calls import BODIES, arguments

    bucket = closing(ProxyBucket(SECRET, cloud.oss_endpoint, "bucket", managed_credentials=hasty))
    client = closing(managed(Client)(Config(endpoint=cloud.api_endpoint, protocol="http"), SECRET,
                                     managed_credentials=hasty))
    oss_client = closing(managed_oss(oss.Client)(
        oss.config.Config(region="cn-hangzhou", endpoint=cloud.oss_endpoint), SECRET, managed_credentials=hasty))

    until = time.monotonic() + 3 * INTERVAL
    while time.monotonic() < until:
        bucket.put_object("key", b"x")
        client.call_api(*arguments("RPC", BODIES["form"]))
        oss_client.put_object(oss.PutObjectRequest("bucket", "key", body=b"x"))

    assert reads(cloud) == 1


def test_in_an_event_loop(cloud, hasty):
    pytest.importorskip("alibabacloud_tea_openapi")
    from aliyun_sdk_secretsmanager_openapi_plugin import ManagedCredentialsProvider

    async def new_key():
        provider = ManagedCredentialsProvider(SECRET, hasty)
        former = await provider.get_credentials_async()
        cloud.rotate(SECRET)
        key = former
        while key.access_key_id == former.access_key_id:
            await asyncio.sleep(0.01)
            key = await provider.get_credentials_async()
        return key.access_key_id

    loop = asyncio.new_event_loop()
    try:
        assert loop.run_until_complete(
            asyncio.wait_for(new_key(), 20)) == cloud.secret(SECRET).current.access_key_id
    finally:
        loop.close()


def test_key_of_the_properties_file(cloud, tmp_path):
    assert load_settings(cloud.write_properties(tmp_path)).provider_refresh_interval == 60
    path = cloud.write_properties(tmp_path, provider_refresh_interval_milliseconds=1500)
    assert load_settings(path).provider_refresh_interval == 1.5
