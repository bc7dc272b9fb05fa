"""Fixtures of the tests of identities: a local cloud, and the identity for a credentials_type on it."""

import functools
import logging
import os
import sys
import time

import pytest

from aliyun_sdk_secretsmanager_common_plugin.identities import configured_identity
from aliyun_sdk_secretsmanager_common_plugin.identities.credentials_library import import_library
from aliyun_sdk_secretsmanager_common_plugin.identities.identity import IdentityError
from aliyun_sdk_secretsmanager_common_plugin.secrets_manager.gateways import SharedGateway
from aliyun_sdk_secretsmanager_common_plugin.settings import SharedGatewaySettings, load_settings
from aliyun_sdk_secretsmanager_testing import LocalCloud
from tests.conftest import SECRET
from tests.instance import ADDRESS

OLD = sys.version_info < (3, 7)
needs_new_library = pytest.mark.skipif(OLD, reason="alibabacloud-credentials 1.0 came with Python 3.7")
METADATA = "http://" + ADDRESS[0]
NOBODY = "http://127.0.0.1:1"  # a proxy where nobody listens


@pytest.fixture(autouse=True)
def nothing_of_the_machine(monkeypatch, tmp_path):
    """No test sees an identity of this machine, or its metadata service."""
    pytest.importorskip("alibabacloud_credentials", reason="the extra identities is not installed")
    for name in list(os.environ):
        if name.startswith(("ALIBABA_CLOUD_", "credentials_")):
            monkeypatch.delenv(name)
    import_library()  # now, because it keeps what it finds in the environment
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("ALIBABA_CLOUD_ECS_METADATA_DISABLED", "true")


@pytest.fixture(scope="class")
def one_cloud():
    """One cloud for the tests of a class, because Tea loads the system's CAs again for each new address, which is slow."""
    with LocalCloud() as local_cloud:
        local_cloud.create_secret(SECRET)
        yield local_cloud


@pytest.fixture
def cloud(one_cloud, monkeypatch):
    """The cloud without faults, and without the calls of other tests."""
    monkeypatch.setattr(one_cloud, "calls", functools.partial(one_cloud.calls, since=time.monotonic()))
    yield one_cloud
    one_cloud.clear()
    one_cloud.set_metadata()
    one_cloud.set_credentials_uri()


@pytest.fixture
def instance(cloud, monkeypatch):
    """Requests to the address of the metadata service go to the local cloud."""
    from Tea.core import TeaCore

    compose = TeaCore.compose_url
    monkeypatch.setattr(TeaCore, "compose_url", staticmethod(
        lambda request: compose(request).replace(METADATA + "/", "http://" + cloud.metadata_endpoint + "/")))
    monkeypatch.delenv("ALIBABA_CLOUD_ECS_METADATA_DISABLED")


@pytest.fixture
def token_file(cloud, tmp_path):
    path = tmp_path / "oidc-token"
    path.write_text(cloud.oidc_token())
    return path


@pytest.fixture
def properties_of(cloud, tmp_path, token_file, monkeypatch):
    """Write the properties file for a credentials_type. Further keys change it, and None removes one."""
    monkeypatch.setenv("ALIBABA_CLOUD_CA_BUNDLE", cloud.ca_file)

    def write(credentials_type, **changes):
        role = {"credentials_role_arn": cloud.role_arn, "credentials_role_session_name": "app",
                "credentials_sts_endpoint": cloud.sts_endpoint}
        keys = {
            "sts_token": sts_token_keys,
            "token": lambda: {"credentials_access_token_id": cloud.identity.access_key_id,
                              "credentials_access_token": cloud.identity.access_key_secret},
            "sts": lambda: role,
            "ram_role": lambda: role,
            "oidc_role_arn": lambda: dict(role, credentials_oidc_provider_arn=cloud.oidc_provider_arn,
                                          credentials_oidc_token_file_path=token_file.name),
            "credentials_uri": lambda: {"credentials_uri": cloud.credentials_uri},
            "client_key": client_key_keys,
        }.get(credentials_type, dict)()
        return cloud.write_properties(tmp_path, credentials_type=credentials_type, **dict(keys, **changes))

    def sts_token_keys():
        pair = cloud.add_identity(token=True)
        return {"credentials_access_key_id": pair.access_key_id, "credentials_access_secret": pair.access_key_secret,
                "credentials_security_token": pair.security_token}

    def client_key_keys():
        (tmp_path / "password").write_text("password")
        return {"client_key_private_key_path": cloud.create_client_key(tmp_path, password="password").path,
                "client_key_password_from_file_path": "password"}

    return write


@pytest.fixture
def identity(properties_of):
    """Make the identity for a credentials_type and further keys."""
    return lambda *args, **keys: configured_identity(load_settings(properties_of(*args, **keys)).identity)


@pytest.fixture
def gateway_of(cloud):
    return lambda identity: SharedGateway(
        SharedGatewaySettings("cn-hangzhou", cloud.gateway_endpoint(), cloud.ca_file), identity)


@pytest.fixture
def read(gateway_of):
    return lambda identity: gateway_of(identity).get_secret_value(SECRET, 10)["SecretName"]


@pytest.fixture
def log(caplog):
    """The log at every level."""
    caplog.set_level(logging.DEBUG)
    for name in ("credentials", "alibabacloud-tea"):
        caplog.set_level(logging.DEBUG, logger=name)
    return caplog


def failure_of(function):
    with pytest.raises(IdentityError) as caught:
        function()
    return caught.value


def key_of(identity):
    """Return the id, secret and token that an identity signs with."""
    credential = identity.signer()._credential
    return tuple(getattr(credential, name) for name in ("sts_access_key_id", "sts_access_key_secret", "sts_token"))


def wait_until(condition):
    for _ in range(1000):
        if condition():
            return
        time.sleep(0.01)
    raise AssertionError("it did not come to pass")


def actions(cloud, service):
    return [call.action for call in cloud.calls(service)]
