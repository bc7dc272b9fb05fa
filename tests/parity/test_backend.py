"""``secrets_client=aliyun-secret-manager-client``: both proxies through rotations, deadlines, TLS, forks and logs."""

import logging
import os
import threading
import time

import pytest
from aliyunsdkcore.acs_exception.exceptions import ClientException, ServerException
from aliyunsdkcore.request import CommonRequest

from aliyun_sdk_secretsmanager_common_plugin import ManagedCredentials
from aliyun_sdk_secretsmanager_common_plugin.identities.identity import IdentityError
from aliyun_sdk_secretsmanager_common_plugin.secrets_manager.gateways import UnreadableAnswer, UntrustedGateway
from aliyun_sdk_secretsmanager_common_plugin.settings import load_settings
from aliyun_sdk_secretsmanager_oss_plugin import ProxyBucket
from aliyun_sdk_secretsmanager_sdk_core_plugin import ProxyAcsClient
from aliyun_sdk_secretsmanager_testing import Fault
from tests.common.fakes import everything_in
from tests.conftest import SECRET
from tests.drills import Load
from tests.forks import in_child

from . import witness
from .conftest import PASSWORD, VENDOR_WARNINGS

pytest.importorskip("alibaba_cloud_secretsmanager_client", reason="nox -s parity installs the official client")
pytestmark = VENDOR_WARNINGS

SERVICES = {"shared": "secrets_manager", "dedicated": "dedicated"}


@pytest.fixture(params=["shared", "dedicated"])
def where(request):
    return request.param


@pytest.fixture
def service(where):
    return SERVICES[where]


@pytest.fixture
def properties(write, where):
    """The file in the working directory, for one of the gateways."""
    return write(where, secrets_client="aliyun-secret-manager-client", renew_timeout_milliseconds=10000)


@pytest.fixture
def gateway(properties):
    return ManagedCredentials(load_settings(properties))._account._backends.gateways[0]


def calls_of(cloud, credentials, closing):
    """A call of the business API and one of OSS, with our proxies."""
    client = closing(ProxyAcsClient(SECRET, pool_size=8, managed_credentials=credentials))
    bucket = closing(ProxyBucket(SECRET, cloud.oss_endpoint, "bucket", managed_credentials=credentials))

    def call():
        client.do_action_with_exception(CommonRequest(
            domain=cloud.api_endpoint, version="2014-05-26", action_name="DescribeRegions"))

    return [call, lambda: bucket.put_object("key", b"content")]


def rotations_cost_no_call(cloud, credentials, closing):
    with Load(calls_of(cloud, credentials, closing) * 4) as load:
        for _ in range(3):
            load.more(30)
            cloud.rotate(SECRET)
        load.more(30)
    assert load.failures == []
    assert cloud.calls("api")[-1].access_key_id == cloud.secret(SECRET).current.access_key_id


class TestProxies:
    def test_rotations_cost_no_call_and_one_request_each(self, cloud, credentials, closing, service):
        rotations_cost_no_call(cloud, credentials, closing)

        calls = cloud.calls("secrets_manager") + cloud.calls("dedicated")
        assert [call.service for call in calls] == [service] * 4

    @pytest.mark.parametrize("text", ["credentials_type=nonsense", "\x00"])
    def test_no_properties_file_of_its_own_is_opened(self, properties, tmp_path, text):
        (tmp_path / "secretsmanager.properties").write_text(text)

        with ManagedCredentials.from_properties() as credentials:
            assert credentials.get(SECRET)


class TestCredentialsTypes:
    @pytest.fixture
    def read(self, cloud, write):
        def read_secret(**keys):
            path = write(secrets_client="aliyun-secret-manager-client", **keys)
            return ManagedCredentials(load_settings(path))._account._backends.gateways[0].get_secret_value(SECRET, 5)["SecretName"]

        return read_secret

    def test_token(self, cloud, read):
        assert read(credentials_type="token", credentials_access_token_id=cloud.identity.access_key_id,
                    credentials_access_token=cloud.identity.access_key_secret) == SECRET

    def test_sts_token(self, cloud, read):
        key = cloud.add_identity(token=True)

        assert read(credentials_type="sts_token", credentials_access_key_id=key.access_key_id,
                    credentials_access_secret=key.access_key_secret,
                    credentials_security_token=key.security_token) == SECRET

    def test_client_key(self, client_key, read):
        assert read(credentials_type="client_key", client_key_private_key_path=client_key.path,
                    client_key_password_from_file_path="password") == SECRET

    @pytest.fixture
    def role(self, cloud, write, monkeypatch):
        pytest.importorskip("alibabacloud_credentials", reason="the extra identities is not installed")
        monkeypatch.setenv("ALIBABA_CLOUD_CA_BUNDLE", cloud.ca_file)

        return ManagedCredentials(load_settings(write(
            secrets_client="aliyun-secret-manager-client", credentials_type="ram_role",
            credentials_role_arn=cloud.role_arn, credentials_role_session_name="app",
            credentials_sts_endpoint=cloud.sts_endpoint)))._account._backends.gateways[0]

    def test_ram_role_whose_token_is_refused_is_assumed_again(self, cloud, role):
        assert role.get_secret_value(SECRET, 5)["SecretName"] == SECRET
        cloud.revoke_temporary_credentials()

        assert role.get_secret_value(SECRET, 5)["SecretName"] == SECRET
        assert len(cloud.calls("sts")) == 2

    def test_error_of_the_identity_is_its_own(self, cloud, role):
        cloud.inject("sts", Fault.status(403, "NoPermission"))

        with pytest.raises(IdentityError, match="credentials_type=ram_role"):
            role.get_secret_value(SECRET, 5)


class TestFailures:
    @pytest.mark.parametrize("fault", [
        Fault.status(503), Fault.throttling(), Fault.hang(), Fault.reset(), Fault.cut(), Fault.html(),
    ], ids=["503", "throttling", "hang", "reset", "cut", "html"])
    def test_it_asks_once_and_in_time_and_names_secret_and_gateway(self, cloud, gateway, service, fault):
        cloud.inject(service, fault)

        started = time.monotonic()
        with pytest.raises((ClientException, ServerException)) as caught:
            gateway.get_secret_value(SECRET, 0.5)
        assert time.monotonic() - started < 5  # the timeouts of its own are 5 and 10 s
        cloud.clear()

        assert len(cloud.calls(service)) == 1
        assert [thread for thread in threading.enumerate() if thread.name.startswith("ThreadPoolExecutor")] == []
        assert SECRET in str(caught.value)
        assert gateway.endpoint in str(caught.value)

    # The official client takes a page from a dedicated gateway for a malformed message.
    @pytest.mark.parametrize("where", ["shared"], indirect=True)
    def test_page_of_a_proxy_is_unreadable(self, cloud, gateway):
        cloud.inject("secrets_manager", Fault.html(502))

        with pytest.raises(UnreadableAnswer):
            gateway.get_secret_value(SECRET, 5)

    @pytest.mark.parametrize("fault", [Fault.hang(), Fault.drip(30)], ids=["hang", "drip"])
    def test_renewal_ends_within_its_deadline(self, cloud, properties, service, fault):
        with ManagedCredentials(load_settings(properties)._replace(renew_timeout=0.3)) as credentials:
            key = credentials.get(SECRET)
            cloud.inject(service, fault)

            started = time.monotonic()
            assert credentials.renew(SECRET, key) is None
            assert time.monotonic() - started < 5  # the timeouts of its own are 5 and 10 s
            cloud.clear()


class TestTls:
    def check(self, cloud, gateway, service):
        with pytest.raises(UntrustedGateway, match="caFilePath"):
            gateway.get_secret_value(SECRET, 5)
        assert cloud.calls(service) == []

    def test_certificate_of_an_unknown_ca_is_refused(self, cloud, write, where, service):
        path = write(where, ca_file=None, secrets_client="aliyun-secret-manager-client")

        self.check(cloud, ManagedCredentials(load_settings(path))._account._backends.gateways[0], service)

    @pytest.mark.parametrize("fault", [Fault.expired_certificate(), Fault.untrusted_certificate()],
                             ids=["expired", "untrusted"])
    def test_bad_certificate_is_refused(self, cloud, gateway, service, fault):
        cloud.inject(service, fault)

        self.check(cloud, gateway, service)

    def test_its_own_way_the_shared_gateway_is_not_verified(self, cloud):
        """This is why the official client's own connection is not used."""
        cloud.inject("secrets_manager", Fault.untrusted_certificate())
        key = cloud.identity

        assert witness.shared(cloud, witness.builder().with_access_key(
            key.access_key_id, key.access_key_secret)).get_secret_value(witness.request(SECRET))


class TestSecrecy:
    @pytest.fixture
    def log(self, caplog):
        caplog.set_level(logging.DEBUG)
        for name in ("aliyunsdkcore.client", "alibabacloud-tea"):
            caplog.set_level(logging.DEBUG, logger=name)
        return caplog

    def texts_of(self, cloud, log, capsys, properties, error=None):
        shown = capsys.readouterr()
        with open(properties, encoding="utf-8") as file:
            tokens = [line.partition("=")[2].strip() for line in file if "security_token" in line]
        text = log.text + shown.out + shown.err + (everything_in(error) if error else "")
        secrets = [cloud.secret(SECRET).current.access_key_secret, cloud.identity.access_key_secret, PASSWORD] + tokens
        return text, [secret[:12] for secret in secrets]

    @pytest.mark.parametrize("fault", [
        None, Fault.cut(), Fault.refuse(), Fault.html(502), Fault.untrusted_certificate(),
    ], ids=["good", "cut", "refused", "html", "untrusted"])
    def test_nothing_secret_is_shown(self, cloud, write, where, service, log, capsys, monkeypatch, fault):
        monkeypatch.setenv("DEBUG", "sdk")  # the SDKs then log headers
        key = cloud.add_identity(token=True)
        path = write(where, secrets_client="aliyun-secret-manager-client", credentials_type="sts_token",
                     credentials_access_key_id=key.access_key_id, credentials_access_secret=key.access_key_secret,
                     credentials_security_token=key.security_token)
        gateway = ManagedCredentials(load_settings(path))._account._backends.gateways[0]
        error = None
        if fault is not None:
            cloud.inject(service, fault)

        try:
            gateway.get_secret_value(SECRET, 5)
        except (ClientException, ServerException) as raised:
            error = raised

        assert (error is None) == (fault is None)
        text, secrets = self.texts_of(cloud, log, capsys, path, error)
        assert [secret for secret in secrets if secret in text] == []
        assert "Bearer " not in text
        assert repr(gateway).startswith("Official")


class TestForks:
    @pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
    def test_child_and_parent_renew_on_sockets_of_their_own(self, cloud, credentials):
        key = credentials.get(SECRET)
        cloud.rotate(SECRET, grace=60)

        assert in_child(lambda: (sockets_of(credentials), credentials.renew(SECRET, key) is None)) == ([], False)
        assert sockets_of(credentials) != []
        assert credentials.renew(SECRET, key) is not None


def sockets_of(credentials):
    """Return the connection pools of the gateways."""
    from Tea.core import TeaCore

    sessions = list(TeaCore._sessions.values())
    sessions += [gateway._client.session for gateway in credentials._account._backends.gateways if hasattr(gateway, "_client")]
    return [pools for session in sessions for pools in [session.adapters["https://"].poolmanager.pools] if len(pools)]


class TestHandedInCacheClient:
    @pytest.fixture
    def cache_client(self, cloud, where, request):
        from alibaba_cloud_secretsmanager_client.secret_manager_cache_client_builder import (
            SecretManagerCacheClientBuilder,
        )

        key = cloud.identity
        if where == "dedicated":
            official = witness.dedicated(cloud, request.getfixturevalue("client_key"), PASSWORD)
        else:
            official = witness.shared(cloud, witness.builder().with_access_key(
                key.access_key_id, key.access_key_secret))
        builder = SecretManagerCacheClientBuilder.new_cache_client_builder(official)
        client = builder.with_logger(logging.getLogger("official")).build()
        yield client
        client.close()

    @pytest.fixture
    def credentials(self, cache_client, tmp_path):
        (tmp_path / "managed_credentials_providers.properties").write_text("secret_names=" + SECRET)
        with ManagedCredentials.from_properties(secrets_client=cache_client) as managed_credentials:
            yield managed_credentials

    def test_rotations_cost_no_call(self, cloud, credentials, closing):
        rotations_cost_no_call(cloud, credentials, closing)

    def test_its_refusal_is_passed_on(self, credentials):
        with pytest.raises(ServerException) as caught:
            credentials.get("missing")

        assert caught.value.get_error_code() == "Forbidden.ResourceNotFound"
