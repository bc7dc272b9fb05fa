"""Our requests, compared byte by byte with those of the official client for the same key, input and date."""

from urllib.parse import parse_qsl, urlsplit

import pytest

from aliyun_sdk_secretsmanager_common_plugin import ManagedCredentials
from aliyun_sdk_secretsmanager_common_plugin.identities.client_key import ClientKey
from aliyun_sdk_secretsmanager_common_plugin.settings import load_settings
from aliyun_sdk_secretsmanager_testing.nonces import Nonces
from tests.conftest import SECRET
from tests.instance import ADDRESS

from . import witness
from .conftest import PASSWORD, VENDOR_WARNINGS

pytest.importorskip("alibaba_cloud_secretsmanager_client", reason="nox -s parity installs the official client")
pytestmark = VENDOR_WARNINGS

OURS = ["native", "aliyun-secret-manager-client"]
# Headers about the sender and the format of the answer.
OF_THE_SENDER = ("user-agent", "accept-encoding", "connection")


@pytest.fixture
def gateway(write):
    """Make a gateway of ours: native, or with the official client as its backend."""

    def make(where, secrets_client, **keys):
        path = write(where, secrets_client=secrets_client, **keys)
        return ManagedCredentials(load_settings(path))._account._backends.gateways[0]

    return make


class TestDedicated:
    @pytest.fixture
    def signed(self, monkeypatch):
        """The strings to sign, ours and the official client's."""
        from openapi_credential.client import Client

        texts = []
        ours, theirs = ClientKey.sign, Client.get_signature
        monkeypatch.setattr(ClientKey, "sign", lambda self, text: texts.append(text) or ours(self, text))
        monkeypatch.setattr(Client, "get_signature", lambda self, text: texts.append(text) or theirs(self, text))
        return texts

    @pytest.mark.parametrize("secrets_client", OURS)
    @pytest.mark.parametrize("name", ["app/key", "a/b c+\u4f60\u597d&=%\U0001f511", "x" * 64, "y" * 200, "z" * 20000],
                             ids=["ascii", "unicode", "64", "200", "20000"])
    def test_body_string_to_sign_and_headers_are_the_same(
            self, cloud, client_key, gateway, wire, signed, one_moment, secrets_client, name):
        if name != SECRET:
            cloud.create_secret(name)
        official = witness.dedicated(cloud, client_key, PASSWORD)

        official.get_secret_value(witness.request(name))
        gateway("dedicated", secrets_client).get_secret_value(name, 5)

        theirs, ours = wire
        assert ours.body == theirs.body
        assert signed[1] == signed[0]
        assert (ours.method, ours.target) == (theirs.method, theirs.target)
        assert ours.headers["authorization"] == theirs.headers["authorization"]
        for headers in (ours.headers, theirs.headers):
            for header in OF_THE_SENDER:
                headers.pop(header, None)
        assert ours.headers == theirs.headers

    def test_key_of_its_own_reading_is_ours(self, client_key, gateway):
        from openapi_credential.client import Client
        from openapi_credential.models import Config

        official = Client(Config(type="rsa_key_pair", client_key_file=client_key.path, password=PASSWORD))

        ours = gateway("dedicated", "native")._client_key
        assert official.get_access_key_id() == ours.key_id
        assert official.get_access_key_secret() == ours.pkcs8()
        assert official.get_signature("text") == "Bearer " + ours.sign("text")


def query(received):
    return dict(parse_qsl(urlsplit(received.target).query, keep_blank_values=True))


class TestShared:
    @pytest.fixture(autouse=True)
    def nonce_of_both(self, monkeypatch):
        """Both sign with the same nonce, which a service accepts only once."""
        monkeypatch.setattr(Nonces, "use", lambda *claim: True)

    def check(self, wire, ours, official, besides=()):
        official.get_secret_value(witness.request(SECRET))
        ours.get_secret_value(SECRET, 5)

        theirs, ours = wire
        assert (ours.method, ours.body) == (theirs.method, theirs.body)
        theirs, ours = query(theirs), query(ours)
        assert sorted(ours) == sorted(theirs)
        for name in besides:
            assert ours.pop(name) != theirs.pop(name)
        assert ours == theirs

    def test_ak(self, cloud, gateway, wire, one_moment):
        key = cloud.identity
        official = witness.builder().with_access_key(key.access_key_id, key.access_key_secret)

        self.check(wire, gateway("shared", "native"), witness.shared(cloud, official))

    def test_token(self, cloud, gateway, wire, one_moment):
        key = cloud.identity
        official = witness.builder().with_token(key.access_key_id, key.access_key_secret)
        ours = gateway("shared", "native", credentials_type="token", credentials_access_token_id=key.access_key_id,
                       credentials_access_token=key.access_key_secret)

        self.check(wire, ours, witness.shared(cloud, official))

    def test_sts_token(self, cloud, gateway, wire, one_moment):
        from aliyunsdkcore.auth.credentials import StsTokenCredential

        key = cloud.add_identity(token=True)
        official = witness.builder().with_credentials(
            StsTokenCredential(key.access_key_id, key.access_key_secret, key.security_token))
        ours = gateway("shared", "native", credentials_type="sts_token", credentials_access_key_id=key.access_key_id,
                       credentials_access_secret=key.access_key_secret, credentials_security_token=key.security_token)

        self.check(wire, ours, witness.shared(cloud, official))

    def test_client_key(self, cloud, client_key, gateway, wire, one_moment):
        ours = gateway("shared", "native", credentials_type="client_key",
                       client_key_private_key_path=client_key.path, client_key_password_from_file_path="password")

        self.check(wire, ours, witness.shared(cloud, witness.with_client_key(client_key, PASSWORD)))

    # Each has its own credentials. The cloud checks the signature.
    OF_THE_CREDENTIALS = ("AccessKeyId", "SecurityToken", "Signature")

    @pytest.mark.parametrize("credentials_type", ["ram_role", "sts"])
    def test_ram_role(self, cloud, gateway, wire, one_moment, monkeypatch, credentials_type):
        pytest.importorskip("alibabacloud_credentials", reason="the extra identities is not installed")
        from aliyunsdkcore.auth.credentials import RamRoleArnCredential
        from aliyunsdkcore.profile import region_provider

        monkeypatch.setenv("ALIBABA_CLOUD_CA_BUNDLE", cloud.ca_file)
        region_provider.add_endpoint("Sts", "cn-hangzhou", cloud.sts_endpoint)
        key = cloud.identity
        official = witness.builder().with_credentials(
            RamRoleArnCredential(key.access_key_id, key.access_key_secret, cloud.role_arn, "app"))
        ours = gateway("shared", "native", credentials_type=credentials_type, credentials_role_arn=cloud.role_arn,
                       credentials_role_session_name="app", credentials_sts_endpoint=cloud.sts_endpoint)

        self.check(wire, ours, witness.shared(cloud, official), self.OF_THE_CREDENTIALS)

    def test_ecs_ram_role(self, cloud, gateway, wire, one_moment, monkeypatch):
        pytest.importorskip("alibabacloud_credentials", reason="the extra identities is not installed")
        from aliyunsdkcore.auth.credentials import EcsRamRoleCredential
        from aliyunsdkcore.auth.signers import ecs_ram_role_signer
        from Tea.core import TeaCore

        def here(url):
            return url.replace("http://{}/".format(ADDRESS[0]), "http://{}/".format(cloud.metadata_endpoint))

        compose, open_url = TeaCore.compose_url, ecs_ram_role_signer.urlopen
        monkeypatch.setattr(TeaCore, "compose_url", staticmethod(lambda request: here(compose(request))))
        monkeypatch.setattr(ecs_ram_role_signer, "urlopen", lambda url: open_url(here(url)))
        official = witness.builder().with_credentials(EcsRamRoleCredential("local-cloud"))
        ours = gateway("shared", "native", credentials_type="ecs_ram_role", credentials_role_name="local-cloud")

        self.check(wire, ours, witness.shared(cloud, official), self.OF_THE_CREDENTIALS)
