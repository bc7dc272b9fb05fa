"""``managed-credentials check --anonymize``: nothing that names someone is left, wherever it stood."""

import getpass
import json
import re
import socket

import pytest

from aliyun_sdk_secretsmanager_cli.anonymous import Placeholders
from aliyun_sdk_secretsmanager_testing import Fault
from tests.conftest import SECRET

from .conftest import needs_library, of_client_key, of_role

JSON = pytest.mark.parametrize("flags", [[], ["--json"]], ids=["lines", "json"])


@pytest.fixture
def anonymously(cloud, run, tmp_path):
    """Run the check, and look for all that names someone."""

    def anonymously(path, *secrets, flags=(), also=()):
        shown = run("--anonymize", "--config", path, *list(flags) + list(secrets)).output
        originals = [str(tmp_path), "127.0.0.1", cloud.role_arn, cloud.role_arn.split(":")[3], socket.gethostname(),
                     cloud.gateway_endpoint(), cloud.dedicated_endpoint()] + list(secrets) + list(also)
        keys = [cloud.identity] + [version.access_key for version in cloud.secret(SECRET).versions]
        originals += [key.access_key_id[-4:] for key in keys]
        for original in originals:
            assert original not in shown, original
        assert not re.search(r"(?<!\w){}(?!\w)".format(re.escape(getpass.getuser())), shown)
        return shown

    return anonymously


@JSON
def test_of_all_that_is_right(cloud, anonymously, tmp_path, flags):
    shown = anonymously(cloud.write_properties(tmp_path), SECRET, flags=flags)

    assert "secret-1" in shown and "path-1" in shown and "host-1" in shown and "key-1" in shown
    assert "cn-hangzhou" in shown


@JSON
@pytest.mark.parametrize("fault", [Fault.forbidden(), Fault.refuse(), Fault.html(), Fault.untrusted_certificate()])
def test_of_errors_of_gateways(cloud, anonymously, tmp_path, fault, flags):
    cloud.inject("secrets_manager", fault, region="cn-beijing")

    anonymously(cloud.write_properties(tmp_path), SECRET, "finance/\u5bc6\u94a5", "pay roll", flags=flags)


@JSON
def test_of_the_request_that_a_service_repeats(cloud, anonymously, tmp_path, flags):
    cloud.create_secret("finance/a b")
    path = cloud.write_properties(tmp_path, credentials_access_secret="x" * 30)

    shown = anonymously(path, "finance/a b", SECRET, flags=flags, also=["finance"])

    assert "server string to sign is:POST" in shown


@JSON
@needs_library
def test_of_a_role_that_is_unknown(cloud, anonymously, tmp_path, flags):
    arn = cloud.role_arn + "-of-finance"

    shown = anonymously(cloud.write_properties(tmp_path, **of_role(cloud, credentials_role_arn=arn)), SECRET,
                        flags=flags, also=["of-finance", cloud.sts_endpoint])

    assert "EntityNotExist.Role" in shown


@JSON
@pytest.mark.parametrize("keys", [
    {"credentials_type": "credentials_uri", "credentials_uri": "http://[::1"}, {"shared_store_url": "redis://[::1"}])
def test_of_a_url_that_is_none(cloud, anonymously, tmp_path, flags, keys):
    shown = anonymously(cloud.write_properties(tmp_path, **keys), flags=flags)

    assert re.search(r"(?:credentials_uri is no URL|shared_store_url has no valid host)", shown)


@JSON
def test_of_files_that_are_wrong(cloud, anonymously, client_key, tmp_path, flags):
    entry = client_key(password="wrong")

    anonymously(cloud.write_properties(tmp_path, **of_client_key(entry)), SECRET, flags=flags)
    anonymously(cloud.write_properties(tmp_path, cache_client_dkms_config_info=json.dumps([entry])), SECRET, flags=flags)
    anonymously(str(tmp_path / "nowhere" / "of alice"), SECRET, flags=flags, also=["alice"])
    anonymously(cloud.write_properties(tmp_path, credentials_access_key_id="a b", secret_name="x"), flags=flags)


class TestPlaceholders:
    def test_are_the_same_for_the_same_text_in_any_form(self):
        replace = Placeholders([("secret", "a/b"), ("secret", "other")])

        assert replace("a/b, other, SecretName%3Da%252Fb%26, a/b") == "secret-1, secret-2, SecretName%3Dsecret-1%26, secret-1"

    def test_a_short_name_is_replaced_as_a_word_only(self):
        assert Placeholders([("secret", "key")])("key of keys, 'key'") == "secret-1 of keys, 'secret-1'"

    @pytest.mark.parametrize(("text", "kind"), [
        ("/home/alice/a.properties", "path"), ("~/a", "path"), ("acs:ram::1234567890123456:role/app", "arn"),
        ("1234567890123456", "account"), ("LTAI********wxyz", "key"), ("********", "key"), ("KAAP.1-2-3", "key"),
        ("kst-hzz123.cryptoservice.kms.aliyuncs.com", "host"), ("10.0.0.7:8443", "host"), ("[fe80::1]:443", "host")])
    def test_what_has_a_known_form_needs_no_list(self, text, kind):
        assert Placeholders([])("x {}: y".format(text)) == "x {}-1: y".format(kind)

    @pytest.mark.parametrize("text", [
        "kms.cn-hangzhou.aliyuncs.com", "2026-11-21T10:00:00Z", "Forbidden.NoPermission", "no answer within 0.7 s",
        "F1E2D3C4-0000-4000-8000-0123456789AB", "key/value", "docs/configuration.rst"])
    def test_what_names_nobody_stays(self, text):
        assert Placeholders([("host", text)] if "kms" in text else [])(text) == text
