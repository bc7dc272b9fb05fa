"""Fixtures of the tests of settings: a properties file that is right except for what a test changes."""

import json
import logging

import pytest
import trustme

from aliyun_sdk_secretsmanager_common_plugin import ConfigurationError
from aliyun_sdk_secretsmanager_common_plugin.settings import KEYS, load_settings, loading
from tests.common.fakes import everything_in

SECRET = "TheSecretThatNobodyMaySee42"
ROLE = "acs:ram::1234567890123456:role/app"
ROLE_KEYS = {"credentials_type": "ram_role", "credentials_role_arn": ROLE, "credentials_role_session_name": "app"}
OIDC_KEYS = {"credentials_type": "oidc_role_arn", "credentials_role_arn": ROLE, "credentials_access_secret": None,
             "credentials_oidc_provider_arn": "acs:ram::1234567890123456:oidc-provider/app",
             "credentials_oidc_token_file_path": "token", "credentials_access_key_id": None}
GOOD = {
    "credentials_type": "ak",
    "credentials_access_key_id": "LTAI5tIdentity0123456789",
    "credentials_access_secret": SECRET,
    "cache_client_region_id": '[{"regionId": "cn-hangzhou"}]',
}


@pytest.fixture(autouse=True)
def no_keys_in_the_environment(monkeypatch):
    for name in KEYS + tuple(loading._VARIABLES.values()):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def write(tmp_path):
    """Write a properties file and return its path: text or bytes, or GOOD with changes. None removes a key."""

    def write_properties(content=None, name="some.properties", **changes):
        if content is None:
            values = dict(GOOD, **changes)
            content = "".join("{}={}\n".format(*item) for item in values.items() if item[1] is not None)
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode("utf-8"))
        return str(path)

    return write_properties


@pytest.fixture(scope="module")
def ca_pem():
    return trustme.CA().cert_pem.bytes()


@pytest.fixture
def ca_file(tmp_path, ca_pem):
    path = tmp_path / "ca.pem"
    path.write_bytes(ca_pem)
    return path


@pytest.fixture
def refused(caplog):
    """Load wrong settings and return the message. Neither the error nor the log may hold a secret."""

    def load(path=None):
        caplog.set_level(logging.DEBUG)
        with pytest.raises(ConfigurationError) as caught:
            load_settings(path)
        assert SECRET not in everything_in(caught.value)
        assert SECRET not in caplog.text
        return str(caught.value)

    return load


def instance(**changes):
    """Return the JSON list of one dedicated gateway. None removes a field."""
    fields = dict({"regionId": "cn-a", "endpoint": "kst-a.cryptoservice.kms.aliyuncs.com", "clientKeyFile": "key.json",
                   "passwordFromFilePath": "password"}, **changes)
    return json.dumps([{name: value for name, value in fields.items() if value is not None}])
