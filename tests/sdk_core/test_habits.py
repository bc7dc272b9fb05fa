"""What programs do with an AcsClient besides calls: with, isinstance, copies, pickles, help and an editor."""

import copy
import multiprocessing
import pickle
import pydoc

import pytest
from aliyunsdkcore.client import AcsClient
from aliyunsdkcore.request import CommonRequest

from aliyun_sdk_secretsmanager_common_plugin import ManagedCredentials
from aliyun_sdk_secretsmanager_sdk_core_plugin import ProxyAcsClient, SdkCoreAKExpireHandler
from tests.conftest import SECRET
from tests.type_checker import checked

COPIES = {
    "copy": copy.copy,
    "deepcopy": copy.deepcopy,
    "pickle": lambda client: pickle.loads(pickle.dumps(client)),
}


def call(client, request):
    return client.do_action_with_exception(request)


def describe_regions(client, endpoint):
    return call(client, CommonRequest(domain=endpoint, version="2014-05-26", action_name="DescribeRegions"))


def test_names_its_secret_and_its_handler(make_client):
    handler = SdkCoreAKExpireHandler()
    client = make_client(ak_expire_handler=handler)

    assert (client.secret_name, client.ak_expire_handler) == (SECRET, handler)
    assert isinstance(make_client().ak_expire_handler, SdkCoreAKExpireHandler)


def test_client_is_an_acs_client(client):
    assert isinstance(client, AcsClient)
    assert isinstance(copy.copy(client), AcsClient)


class TestCopies:
    @pytest.fixture(params=sorted(COPIES))
    def make_copy(self, request, closing):
        return lambda client: closing(COPIES[request.param](client))

    def test_has_the_arguments(self, make_client, make_copy):
        other = make_copy(make_client(region_id="cn-beijing", user_agent="me", timeout=4))

        assert (other.get_region_id(), other.get_user_agent(), other._read_timeout) == ("cn-beijing", "me", 4)

    def test_signs_with_the_current_key_by_its_own_signer(self, client, rpc, make_copy):
        other = make_copy(client)
        client.shutdown()
        request = rpc()
        request.trans_to_acs_request()

        assert "AccessKeyId=" + other.get_access_key() in other._signer.sign("cn-hangzhou", request)[1]

    @pytest.mark.parametrize("how", ["copy", "deepcopy"])
    def test_of_the_credentials_are_the_credentials(self, credentials, how):
        assert COPIES[how](credentials) is credentials


class TestPickle:
    def test_of_a_client_whose_credentials_are_the_default_no_longer_says_so(self, credentials, client):
        ManagedCredentials.set_default(credentials)
        try:
            made_then = ProxyAcsClient(SECRET)
        finally:
            ManagedCredentials.set_default(None)

        with made_then, pytest.raises(TypeError, match="or was the default when the client was made"):
            pickle.dumps(made_then)

    @pytest.mark.slow
    def test_client_goes_to_a_process_that_shares_nothing(self, cloud, client):
        cloud.rotate(SECRET)

        with multiprocessing.get_context("spawn").Pool(1) as pool:
            answer = pool.apply(describe_regions, (client, cloud.api_endpoint))

        assert b"DescribeRegions" in answer

    def test_default_instance_is_that_of_the_other_process(self, client):
        default = ManagedCredentials.default()

        assert pickle.loads(pickle.dumps(default)) is default


class TestHelp:
    def test_says_what_the_class_is_for_and_what_it_takes(self):
        text = pydoc.plain(pydoc.render_doc(ProxyAcsClient))

        for words in ('with ProxyAcsClient("my-secret"', "secret_name: the name of a managed RAM credential",
                      "shutdown(self)", "Release the secret", "do_action_with_exception"):
            assert words in text
        assert ":param ak:" not in text


@pytest.mark.slow
def test_checker_and_editor_know_the_methods_of_the_sdks_clients(tmp_path):
    pytest.importorskip("mypy")
    output = checked("""
        from aliyun_sdk_secretsmanager_oss_plugin import ProxyBucket
        from aliyun_sdk_secretsmanager_sdk_core_plugin import ProxyAcsClient

        with ProxyAcsClient("my-secret") as client:
            reveal_type(client.do_action_with_exception)
            client.do_nonsense
        with ProxyBucket("my-secret", "endpoint", "bucket") as bucket:
            reveal_type(bucket.put_object)
            bucket.put_nonsense
    """, tmp_path)

    assert '"def (acs_request: Any) -> Any"' in output
    assert '"ProxyAcsClient" has no attribute "do_nonsense"' in output
    assert '"def (key: Any, data: Any,' in output
    assert '"ProxyBucket" has no attribute "put_nonsense"' in output
    assert "Found 2 errors in 1 file" in output
