"""The local cloud with both gateways, properties files for each, and the requests that reach them."""

import collections
import gc
import json
import time

import pytest

from aliyun_sdk_secretsmanager_testing import LocalCloud
from aliyun_sdk_secretsmanager_testing.dedicated_gateway.responses import DedicatedGateway
from aliyun_sdk_secretsmanager_testing.secrets_manager.responses import SecretsManager
from aliyun_sdk_secretsmanager_testing.service import Service
from tests.conftest import SECRET

INSTANCE = "kst-hangzhou"
PASSWORD = "ThePasswordThatNobodyMaySee42"

# Warnings of Python, cryptography and urllib3 about the vendor's packages.
VENDOR_WARNINGS = [pytest.mark.filterwarnings("ignore:" + beginning) for beginning in (
    "Unverified HTTPS request", "ssl.match_hostname", "str for passphrase", "PKCS#12 support", "CRL support",
    "Unexpected end-group tag", "This process", "unclosed")]

Received = collections.namedtuple("Received", "method target headers body")


@pytest.fixture(autouse=True)
def nothing_kept():
    """Reset what the vendor's packages keep for the process: endpoints, a logger and connections."""
    yield
    from alibaba_cloud_secretsmanager_client.utils.common_logger import CommonLogger
    from aliyunsdkcore.endpoint.default_endpoint_resolver import DefaultEndpointResolver
    from Tea.core import TeaCore

    DefaultEndpointResolver.predefined_endpoint_resolver.reset()
    CommonLogger.common_logger = None
    for session in TeaCore._sessions.values():
        session.close()
    TeaCore._sessions.clear()
    gc.collect()


@pytest.fixture
def cloud():
    with LocalCloud(dedicated=(INSTANCE,)) as local_cloud:
        local_cloud.create_secret(SECRET)
        local_cloud.create_bucket("bucket")
        yield local_cloud


@pytest.fixture
def client_key(cloud, tmp_path):
    (tmp_path / "password").write_text(PASSWORD)
    return cloud.create_client_key(tmp_path, password=PASSWORD)


@pytest.fixture
def write(cloud, tmp_path, request):
    """Write the properties file for ``shared`` or ``dedicated``. Further keys change it; None removes a key."""

    def write_properties(gateway="shared", ca_file="the cloud's", **keys):
        ca_file = cloud.ca_file if ca_file == "the cloud's" else ca_file
        shared = {"regionId": "cn-hangzhou", "endpoint": cloud.gateway_endpoint(), "caFilePath": ca_file}
        keys.update(cache_client_region_id=json.dumps([shared]))
        if gateway == "dedicated":
            client_key = request.getfixturevalue("client_key")
            dedicated = {"regionId": "cn-hangzhou", "endpoint": cloud.dedicated_endpoint(),
                         "clientKeyFile": client_key.path, "passwordFromFilePath": "password", "caFilePath": ca_file}
            keys.update(cache_client_region_id=None, cache_client_dkms_config_info=json.dumps([dedicated]))
        return cloud.write_properties(tmp_path, **keys)

    return write_properties


@pytest.fixture
def wire(monkeypatch):
    """The requests that reach the gateways of Secrets Manager, newest last."""
    received = []
    handle = Service.__call__

    def record(service, request):
        if isinstance(service, (SecretsManager, DedicatedGateway)):
            received.append(Received(request.method, request.target, request.headers, request.body()))
        return handle(service, request)

    monkeypatch.setattr(Service, "__call__", record)
    return received


@pytest.fixture
def one_moment(monkeypatch):
    """Time stands still, and every nonce is the same."""
    from aliyunsdkcore.utils import parameter_helper

    now = time.time()
    date = parameter_helper.get_iso_8061_date()
    monkeypatch.setattr(time, "time", lambda: now)
    monkeypatch.setattr(parameter_helper, "get_iso_8061_date", lambda: date)
    monkeypatch.setattr(parameter_helper, "get_uuid", lambda: "nonce")
