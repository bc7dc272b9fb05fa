"""Credentials that a client or provider of the program gives."""

import pytest

from aliyun_sdk_secretsmanager_common_plugin import ManagedCredentials
from aliyun_sdk_secretsmanager_common_plugin.identities import program_identity
from aliyun_sdk_secretsmanager_testing import Fault
from tests.common.fakes import everything_in
from tests.conftest import SECRET

from .conftest import failure_of, needs_new_library

pytestmark = pytest.mark.filterwarnings("ignore:.*utcnow.*:DeprecationWarning")  # the library's


class TestCredentialsOfTheProgram:
    @pytest.fixture
    def client(self, cloud):
        """A client of the library for the credentials URI."""
        from alibabacloud_credentials.client import Client
        from alibabacloud_credentials.models import Config

        return Client(Config(type="credentials_uri", credentials_uri=cloud.credentials_uri))

    def test_client_of_the_library(self, cloud, client, tmp_path):
        path = cloud.write_properties(tmp_path, credentials_type=None)

        with ManagedCredentials.from_properties(path, identity=client) as credentials:
            assert credentials.get(SECRET).access_key_id == cloud.secret(SECRET).current.access_key_id

        assert [call.access_key_id for call in cloud.calls("secrets_manager")] == [
            cloud.calls("credentials_uri")[0].given]

    @needs_new_library
    def test_provider_of_the_library(self, cloud, read):
        from alibabacloud_credentials.provider import URLCredentialsProvider

        assert read(program_identity(URLCredentialsProvider(uri=cloud.credentials_uri))) == SECRET

    def test_errors_of_the_library_are_not_passed_on(self, cloud, client, log):
        cloud.inject("credentials_uri", Fault.body(b'{"AccessKeySecret": "SeCrEt"}', status=403))

        error = failure_of(program_identity(client).signer)

        assert "SeCrEt" not in everything_in(error)
        assert "the program's Client): CredentialException was raised" in str(error)

    def test_others_are_asked_for_when_these_were_refused(self, cloud, read):
        class Provider:
            pairs = [cloud.add_identity(token=True), cloud.add_identity(token=True)]

            def get_credentials(self):
                return self.pairs[0]

        one = program_identity(Provider())
        read(one)
        cloud.disable_key(Provider.pairs.pop(0).access_key_id)
        assert one.renew()

        assert read(one) == SECRET
