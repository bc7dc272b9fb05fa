"""What an error says when there are no credentials, and that neither it nor the log shows a secret."""

import json
import logging
import os
import subprocess
import sys
from urllib.parse import quote

import pytest

from aliyun_sdk_secretsmanager_common_plugin.identities.identity import IdentityError
from aliyun_sdk_secretsmanager_testing import Fault
from tests.common.fakes import everything_in
from tests.conftest import SECRET
from tests.instance import ROOT

from .conftest import failure_of, key_of

pytestmark = pytest.mark.filterwarnings("ignore:.*utcnow.*:DeprecationWarning")  # the library's


class TestErrors:
    def test_unknown_role(self, cloud, identity):
        error = failure_of(identity("ram_role", credentials_role_arn="acs:ram::1234567890123456:role/nobody").signer)

        assert str(error).startswith(
            "SDK.InvalidCredential identity (credentials_type=ram_role, {}): ".format(cloud.sts_endpoint))
        assert "EntityNotExist.Role: The specified Role not exists." in str(error)
        assert "request id " in str(error)
        assert "check the ARN of the role (credentials_role_arn)" in str(error)
        assert not error.retryable

    @pytest.mark.parametrize(("keys", "code", "remedy"), [
        ({"credentials_access_secret": "x" * 30}, "SignatureDoesNotMatch", "credentials_access_secret"),
        ({"credentials_access_key_id": "LTAIunknownunknown00"}, "InvalidAccessKeyId.NotFound",
         "credentials_access_key_id"),
        ({"credentials_role_session_name": "x"}, "InvalidParameter.RoleSessionName", "credentials_role_session_name"),
        ({"credentials_duration_seconds": 3601}, "InvalidParameter.DurationSeconds", "credentials_duration_seconds"),
        ({"credentials_policy": "[]"}, "InvalidParameter.PolicyGrammar", "credentials_policy"),
    ])
    def test_what_sts_refuses(self, identity, keys, code, remedy):
        error = failure_of(identity("ram_role", **keys).signer)

        assert code in str(error)
        assert remedy in str(error)
        assert not error.retryable

    def test_wrong_signature_says_what_to_do_first_and_shows_no_id(self, cloud, identity):
        cloud.inject("sts", Fault.body(json.dumps({
            "Code": "SignatureDoesNotMatch", "Message": "not matched, {} with string to sign is:POST&%2F&...".format(
                cloud.identity.access_key_id)}).encode("ascii"), status=400))

        text = str(failure_of(identity("ram_role").signer))

        assert cloud.identity.access_key_id not in text
        assert text.index("check credentials_access_secret") < text.index("string to sign")

    def test_role_that_may_not_be_assumed(self, cloud, identity):
        arn = cloud.create_role("partner", external_id="of-the-partner")

        error = failure_of(identity("ram_role", credentials_role_arn=arn).signer)

        assert "NoPermission: You are not authorized" in str(error)
        assert "trust policy" in str(error)

    def test_oidc_token_that_is_past_its_end(self, cloud, identity, token_file):
        token_file.write_text(cloud.oidc_token(expires_in=-1))

        error = failure_of(identity("oidc_role_arn").signer)

        assert "AuthenticationFail.OIDCToken.Expired" in str(error)
        assert "credentials_oidc_token_file_path" in str(error)

    def test_unknown_oidc_provider(self, identity):
        error = failure_of(identity("oidc_role_arn", credentials_oidc_provider_arn="acs:ram::1:oidc-provider/x").signer)

        assert "credentials_oidc_provider_arn" in str(error)

    @pytest.mark.parametrize(("change", "what"), [
        (lambda path: path.unlink(), "cannot read {}: No such file or directory"),
        (lambda path: path.write_text("\n"), "the OIDC token file {} is empty"),
    ], ids=["gone", "empty"])
    def test_oidc_token_file(self, cloud, identity, token_file, change, what):
        change(token_file)

        error = failure_of(identity("oidc_role_arn", credentials_oidc_token_file_path=token_file).signer)

        assert what.format(token_file) in str(error)
        assert cloud.calls("sts") == []

    def test_instance_without_a_role(self, cloud, instance, identity):
        cloud.set_metadata(role=None)

        error = failure_of(identity("ecs_ram_role").signer)

        assert "HTTP status 404; attach a RAM role to the instance" in str(error)
        assert not error.retryable

    def test_metadata_service_that_is_not_there(self, cloud, instance, identity):
        cloud.inject("metadata", Fault.refuse())

        error = failure_of(identity("ecs_ram_role").signer)

        assert "no answer (ConnectionRefusedError: " in str(error)
        assert "(credentials_type=ecs_ram_role, http://100.100.100.200)" in str(error)
        assert "choose another credentials_type" in str(error)
        assert error.retryable

    @pytest.mark.parametrize("body", [
        b'{"Code": "Success"}', b"[]", b"null", b'{"AccessKeyId": "LTAI", "AccessKeySecret": "SeCrEt"}',
        b'{"Code": "Success", "AccessKeyId": "LTAI", "AccessKeySecret": "SeCrEt", "SecurityToken": "x", "Expiration": 5}'])
    def test_json_without_credentials(self, cloud, identity, body):
        cloud.inject("credentials_uri", Fault.body(body))

        error = failure_of(identity("credentials_uri").signer)

        assert "no credentials in the answer; check credentials_uri" in str(error)
        assert not error.retryable
        assert "SeCrEt" not in everything_in(error)

    def test_metadata_service_that_gives_json_without_credentials(self, cloud, instance, identity):
        cloud.inject("metadata", Fault.body(b'{"AccessKeyId": "LTAI", "AccessKeySecret": "SeCrEt"}'))

        error = failure_of(identity("ecs_ram_role").signer)

        assert "no credentials in the answer; attach a RAM role" in str(error)
        assert "SeCrEt" not in everything_in(error)

    @pytest.mark.parametrize(("body", "status", "retryable"), [
        (b"<Error><Code>NoPermission</Code></Error>", 403, False),
        (b"\xff\xfe", 503, True),
        (b"\xff\xfe", 403, False),
    ])
    @pytest.mark.parametrize(("credentials_type", "service"), [
        ("ram_role", "sts"), ("credentials_uri", "credentials_uri")])
    def test_status_of_an_answer_that_is_no_json(self, cloud, identity, credentials_type, service, body, status,
                                                 retryable):
        cloud.inject(service, Fault.body(body, status=status))

        error = failure_of(identity(credentials_type).signer)

        assert "HTTP status {}; check ".format(status) in str(error)
        assert error.retryable is retryable

    def test_parts_of_a_uri_that_may_be_secret_are_not_shown(self, cloud, identity):
        uri = cloud.credentials_uri.replace("http://", "http://user:pa55word@") + "-no?token=t0ken"

        one = identity("credentials_uri", credentials_uri=uri)
        shown = everything_in(failure_of(one.signer)) + repr(one) + one.waiting_for()

        assert not any(part in shown for part in ("pa55word", "t0ken", "-no"))

    FAULTS = [
        (Fault.status(503), "HTTP status 503", True),
        (Fault.status(429), "HTTP status 429", True),
        (Fault.throttling(), "", True),
        (Fault.status(403, "NoPermission"), "", False),
        (Fault.html(), "no JSON", True),
        (Fault.body(b"[" * 9999), "no JSON", True),
        (Fault.html(502), "HTTP status 502", True),
        (Fault.reset(), "no answer (", True),
        (Fault.cut(), "", True),
        (Fault.refuse(), "no answer (ConnectionRefusedError: ", True),
    ]

    @pytest.mark.parametrize(("fault", "what", "retryable"), FAULTS, ids=[repr(fault[0])[:40] for fault in FAULTS])
    @pytest.mark.parametrize(("credentials_type", "service"), [
        ("ram_role", "sts"), ("credentials_uri", "credentials_uri")])
    def test_faults(self, cloud, identity, read, credentials_type, service, fault, what, retryable):
        one = identity(credentials_type)
        cloud.inject(service, fault)

        error = failure_of(one.signer)

        assert what in str(error)
        assert error.retryable is retryable, str(error)
        cloud.clear(service)
        assert read(one) == SECRET

    @pytest.mark.parametrize(("credentials_type", "fault"), [
        ("ram_role", Fault.untrusted_certificate()), ("ram_role", Fault.expired_certificate()),
        ("oidc_role_arn", Fault.untrusted_certificate())], ids=repr)
    def test_certificate_of_sts(self, cloud, identity, fault, credentials_type):
        cloud.inject("sts", fault)

        error = failure_of(identity(credentials_type).signer)

        assert "the certificate is not trusted" in str(error)
        assert "ALIBABA_CLOUD_CA_BUNDLE" in str(error)
        assert not error.retryable
        assert cloud.calls("sts") == []

    def test_certificate_of_an_unknown_ca(self, cloud, identity, monkeypatch):
        monkeypatch.setenv("ALIBABA_CLOUD_CA_BUNDLE", "")
        forget_trust()

        assert "the certificate is not trusted" in str(failure_of(identity("ram_role").signer))
        assert cloud.calls("sts") == []


def forget_trust():
    """Forget the CA of the cloud, as in a new process."""
    from Tea.core import TeaCore

    getattr(TeaCore, "_sessions", {}).clear()
    getattr(TeaCore.https_adapter, "ca_files", {}).clear()


class TestSecrecy:
    @pytest.mark.parametrize(("fault", "debug"), [
        (None, "sdk"), (Fault.status(403, "SignatureDoesNotMatch"), ""), (Fault.html(), ""), (Fault.reset(), ""),
        (Fault.cut(), "")], ids=repr)
    @pytest.mark.parametrize(("credentials_type", "service"), [
        ("ram_role", "sts"), ("oidc_role_arn", "sts"), ("credentials_uri", "credentials_uri"),
        ("ecs_ram_role", "metadata")])
    def test_no_secret_is_logged_or_in_an_error(self, cloud, instance, identity, token_file, monkeypatch, log,
                                                credentials_type, service, fault, debug):
        monkeypatch.setenv("DEBUG", debug)
        cloud.set_credentials_uri(expires_in=60)
        cloud.set_metadata(expires_in=60)
        one = identity(credentials_type)
        _, secret, token = key_of(one)
        one.renew()
        if fault is not None:
            cloud.inject(service, fault)

        shown = ""
        try:
            one.signer()
        except IdentityError as error:
            shown = everything_in(error)
        shown += repr(one) + log.text + "".join(repr(vars(record)) for record in log.records)

        for value in (secret, token, cloud.identity.access_key_secret, token_file.read_text()):
            assert value not in shown
            assert quote(value, safe="") not in shown

    def test_no_secret_that_an_answer_repeats(self, cloud, identity, log):
        one = identity("ram_role")
        secret = cloud.identity.access_key_secret
        cloud.inject("sts", Fault.body(json.dumps({
            "Code": "Forbidden.X", "RequestId": secret + "!", "Message": "you said {} and {}".format(secret, "t" * 400),
        }).encode(), status=403))

        error = failure_of(one.signer)

        assert "Forbidden.X: you said ****** and ******" in str(error)
        assert secret not in everything_in(error)

    def test_nothing_of_ours_is_in_the_log_of_the_library(self, cloud, identity, log):
        cloud.set_credentials_uri(expires_in=60)  # so soon that the library warns
        one = identity("credentials_uri")
        one.signer()
        cloud.inject("credentials_uri", Fault.status(403))
        one.signer()

        assert {record.name.split(".")[0] for record in log.records} <= {
            "urllib3", "aliyun_sdk_secretsmanager_common_plugin"}

    def test_what_the_program_does_with_the_library_is_logged_but_for_secrets(self, cloud, identity, log):
        identity("ram_role")
        from alibabacloud_credentials.exceptions import CredentialException

        logging.getLogger("credentials").warning("failed: %s", CredentialException('{"SecurityToken": "SeCrEt"}'))

        assert "failed: " in log.text
        assert "SeCrEt" not in log.text

    @pytest.mark.parametrize("first", ["", "import alibabacloud_credentials.client"])
    def test_in_a_new_process_where_everything_is_logged(self, cloud, properties_of, token_file, first):
        cloud.inject("sts", Fault.status(403, "NoPermission"), times=1)

        run = subprocess.run([sys.executable, "-W", "ignore", "-c", """
import logging, sys
{}
logging.basicConfig(level=logging.DEBUG, stream=sys.stdout)
mine = logging.StreamHandler()
logging.getLogger("credentials").addHandler(mine)
from aliyun_sdk_secretsmanager_common_plugin.identities import configured_identity
from aliyun_sdk_secretsmanager_common_plugin.identities.identity import IdentityError
from aliyun_sdk_secretsmanager_common_plugin.settings import load_settings
one = configured_identity(load_settings(sys.argv[1]).identity)
for _ in range(2):
    try:
        print(one.access_key_id()[:4])
    except IdentityError as error:
        print(error)
print(logging.getLogger("credentials").handlers == [mine])
""".format(first), properties_of("oidc_role_arn")], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            universal_newlines=True, timeout=60, env=dict(os.environ, PYTHONPATH=ROOT))

        assert run.stderr == ""
        assert "OIDCToken=******" in run.stdout
        assert token_file.read_text() not in run.stdout
        assert quote(token_file.read_text(), safe="") not in run.stdout
        lines = [line for line in run.stdout.splitlines() if not line.startswith(("DEBUG:", "INFO:"))]
        assert "NoPermission" in lines[0]
        assert lines[1:] == ["STS.", "True"]
