"""credentials_type=default: the environment, the CLI's profiles, files and services, in the library's order."""

import json
import threading
import time
import types

import pytest

from aliyun_sdk_secretsmanager_common_plugin.identities import configured_identity, renewable_identity
from aliyun_sdk_secretsmanager_common_plugin.settings import IdentitySettings, load_settings
from aliyun_sdk_secretsmanager_testing import Fault
from tests.common.fakes import everything_in
from tests.conftest import SECRET

from .conftest import actions, failure_of, needs_new_library

pytestmark = pytest.mark.filterwarnings("ignore:.*utcnow.*:DeprecationWarning")  # the library's


@needs_new_library
class TestDefault:
    @pytest.fixture
    def default(self, cloud, properties_of):
        """The identity, whose roles are assumed at the cloud's STS."""
        return lambda: configured_identity(
            load_settings(properties_of("default")).identity._replace(sts_endpoint=cloud.sts_endpoint))

    @pytest.fixture
    def failure(self):
        """Return the error of a chain that asks nothing over the network."""
        return lambda: failure_of(configured_identity(IdentitySettings("default")).signer)

    @pytest.fixture
    def setenv(self, monkeypatch):
        return lambda **values: [monkeypatch.setenv("ALIBABA_CLOUD_" + name, value) for name, value in values.items()]

    @pytest.fixture
    def key_in_environment(self, setenv):
        return lambda pair: setenv(ACCESS_KEY_ID=pair.access_key_id, ACCESS_KEY_SECRET=pair.access_key_secret,
                                   SECURITY_TOKEN=pair.security_token or "")

    @pytest.fixture
    def configure(self, tmp_path):
        """Write the configuration of the CLI: profiles by name. The first one is current."""

        def write(**profiles):
            (tmp_path / ".aliyun").mkdir(exist_ok=True)
            (tmp_path / ".aliyun" / "config.json").write_text(json.dumps({
                "current": list(profiles)[0],
                "profiles": [dict(profile, name=name) for name, profile in profiles.items()]}))

        return write

    @pytest.fixture
    def write_ini(self, tmp_path):
        def write(path=".alibabacloud/credentials.ini", **sections):
            (tmp_path / path).parent.mkdir(exist_ok=True)
            (tmp_path / path).write_text("".join(
                "[{}]\n{}".format(name, "".join("{} = {}\n".format(*item) for item in section.items()))
                for name, section in sections.items()))

        return write

    @pytest.mark.parametrize("token", [False, True])
    def test_key_in_the_environment(self, cloud, default, read, key_in_environment, token):
        pair = cloud.add_identity(token=token)
        key_in_environment(pair)
        one = default()

        assert read(one) == SECRET

        assert one.access_key_id() == pair.access_key_id

    def test_key_in_the_environment_is_read_again_when_it_was_refused(self, cloud, default, key_in_environment):
        first, second = cloud.add_identity(token=True), cloud.add_identity(token=True)
        key_in_environment(first)
        one = default()
        one.signer()
        key_in_environment(second)
        kept = one.access_key_id()

        one.renew()

        assert (kept, one.access_key_id()) == (first.access_key_id, second.access_key_id)

    def test_oidc_by_environment(self, cloud, default, read, token_file, setenv):
        setenv(ROLE_ARN=cloud.role_arn, OIDC_PROVIDER_ARN=cloud.oidc_provider_arn, OIDC_TOKEN_FILE=str(token_file))

        assert read(default()) == SECRET

        assert actions(cloud, "sts") == ["AssumeRoleWithOIDC"]

    @pytest.fixture
    def profiles(self, cloud, token_file):
        temporary = cloud.add_identity(token=True)
        key = {"access_key_id": cloud.identity.access_key_id, "access_key_secret": cloud.identity.access_key_secret}
        role = {"ram_role_arn": cloud.role_arn, "ram_session_name": "cli", "expired_seconds": 900, "sts_region": "cn-x"}
        return {
            "AK": dict(key, mode="AK"),
            "StsToken": {"mode": "StsToken", "access_key_id": temporary.access_key_id,
                         "access_key_secret": temporary.access_key_secret, "sts_token": temporary.security_token},
            "RamRoleArn": dict(key, mode="RamRoleArn", **role),
            "EcsRamRole": {"mode": "EcsRamRole"},
            "EcsRamRole with a name": {"mode": "EcsRamRole", "ram_role_name": "local-cloud"},
            "OIDC": dict(role, mode="OIDC", oidc_provider_arn=cloud.oidc_provider_arn, oidc_token_file=str(token_file)),
            "ChainableRamRoleArn": dict(role, mode="ChainableRamRoleArn", source_profile="RamRoleArn"),
            "of the instance's role": dict(role, mode="ChainableRamRoleArn", source_profile="EcsRamRole"),
        }

    @pytest.mark.parametrize(("name", "asked"), [
        ("AK", []),
        ("StsToken", []),
        ("RamRoleArn", ["AssumeRole"]),
        ("EcsRamRole", ["GetToken", "GetRole", "GetToken", "GetCredentials"]),
        ("EcsRamRole with a name", ["GetToken", "GetCredentials"]),
        ("OIDC", ["AssumeRoleWithOIDC"]),
        ("ChainableRamRoleArn", ["AssumeRole", "AssumeRole"]),
        ("of the instance's role", ["AssumeRole", "GetToken", "GetRole", "GetToken", "GetCredentials"]),
    ])
    def test_profile_of_the_cli(self, cloud, instance, default, read, profiles, configure, setenv, name, asked):
        configure(**profiles)
        setenv(PROFILE=name)

        assert read(default()) == SECRET

        assert actions(cloud, "sts") + actions(cloud, "metadata") == asked
        assert not [thread.name for thread in threading.enumerate()
                    if "APScheduler" in thread.name or "non-blocking-refresh" in thread.name]

    def test_current_profile_of_the_cli(self, cloud, default, read, profiles, configure):
        configure(**profiles)

        assert read(default()) == SECRET

    def test_unknown_profile_of_the_cli(self, failure, configure, setenv):
        configure(one={"mode": "AK"}, two={"mode": "AK"})
        setenv(PROFILE="three")

        assert "has no profile 'three'; set ALIBABA_CLOUD_PROFILE to one of: one, two" in str(failure())

    @pytest.mark.parametrize(("sources", "what"), [
        ({"one": "none"}, "the profile 'one' in {} has the source_profile 'none', which is not there"),
        ({"one": None}, "the profile 'one' in {} has the source_profile None, which is not there"),
        ({"one": "one"}, "the profile 'one' in {} has the source_profile 'one', which leads back to it"),
        ({"one": "two", "two": "three", "three": "two"},
         "the profile 'three' in {} has the source_profile 'two', which leads back to it"),
    ], ids=["unknown", "unnamed", "itself", "circle"])
    def test_profile_of_the_cli_whose_source_is_wrong(self, failure, configure, tmp_path, sources, what):
        configure(**{name: {"mode": "ChainableRamRoleArn", "ram_role_arn": "x", "source_profile": source}
                     for name, source in sources.items()})

        path = tmp_path / ".aliyun" / "config.json"
        assert what.format(path) + "; name another profile there" in str(failure())

    @pytest.mark.parametrize(("profile", "what"), [
        ({"mode": "AK", "access_key_secret": "SeCrEt"}, "the access key id is empty"),
        ({"mode": "RamRoleArn", "access_key_id": "LTAI", "access_key_secret": "SeCrEt"}, "role_arn"),
        ({"mode": "Unheard", "access_key_secret": "SeCrEt"}, "Unheard"),
    ])
    def test_profile_of_the_cli_that_lacks_something(self, failure, configure, profile, what):
        configure(mine=profile)

        error = failure()

        assert "CLI profile: the profile 'mine' in " in str(error)
        assert what in str(error)
        assert "SeCrEt" not in everything_in(error)

    @pytest.mark.parametrize("text", ["SeCrEt{", "[]", '{"profiles": "SeCrEt"}'])
    def test_configuration_of_the_cli_that_is_none(self, failure, tmp_path, configure, text):
        configure(x={})
        (tmp_path / ".aliyun" / "config.json").write_text(text)

        error = failure()

        assert "CLI profile: " in str(error)
        assert "SeCrEt" not in everything_in(error)

    def test_configuration_of_the_cli_may_be_turned_off(self, failure, configure, setenv):
        configure(mine={"mode": "AK", "access_key_id": "LTAI", "access_key_secret": "SeCrEt"})
        setenv(CLI_PROFILE_DISABLED="true")

        assert "CLI profile: turned off" in str(failure())

    def sections(self, cloud, token_file):
        key = {"access_key_id": cloud.identity.access_key_id, "access_key_secret": cloud.identity.access_key_secret}
        return {
            "access_key": dict(key, type="access_key"),
            "ram_role_arn": dict(key, type="ram_role_arn", role_arn=cloud.role_arn, role_session_name="ini"),
            "oidc_role_arn": {"type": "oidc_role_arn", "role_arn": cloud.role_arn, "oidc_token_file_path": token_file,
                              "oidc_provider_arn": cloud.oidc_provider_arn, "role_session_name": "ini"},
            "ecs_ram_role": {"type": "ecs_ram_role", "role_name": "local-cloud"},
        }

    @pytest.mark.parametrize(("name", "elsewhere"), [
        ("access_key", False), ("access_key", True), ("ram_role_arn", False), ("oidc_role_arn", False),
        ("ecs_ram_role", False)])
    def test_credentials_file(self, cloud, instance, default, read, token_file, write_ini, setenv, tmp_path, name,
                              elsewhere):
        sections = self.sections(cloud, token_file)
        if elsewhere:
            write_ini("mine.ini", **sections)
            setenv(CREDENTIALS_FILE=str(tmp_path / "mine.ini"), PROFILE=name)
        else:
            write_ini(default=sections[name])

        assert read(default()) == SECRET

        assert not [thread.name for thread in threading.enumerate() if "APScheduler" in thread.name]

    @pytest.mark.parametrize("text", ["access_key_secret = SeCrEt", "[default]\ntype = SeCrEt%x",
                                      "[other]\ntype = access_key", "[default]\ntype = access_key"])
    def test_credentials_file_that_is_none(self, failure, tmp_path, write_ini, text):
        write_ini()
        (tmp_path / ".alibabacloud" / "credentials.ini").write_text(text)

        error = failure()

        assert "credentials file: " in str(error)
        assert "SeCrEt" not in everything_in(error)

    def test_role_of_the_instance(self, cloud, instance, default, read):
        assert read(default()) == SECRET

        assert "GetCredentials" in actions(cloud, "metadata")

    def test_credentials_uri(self, cloud, default, read, setenv):
        setenv(CREDENTIALS_URI=cloud.credentials_uri)

        assert read(default()) == SECRET

    @pytest.mark.parametrize("uri", [
        "http://[::1/", "http://[::1]:80/", "http://127.0.0.1:99999/x", "http://127.0.0.1:x/", "localhost/x", "http:///x",
        "ftp://127.0.0.1/x"])
    def test_credentials_uri_that_is_none(self, failure, setenv, uri):
        setenv(CREDENTIALS_URI=uri + "?SeCrEt")

        error = failure()

        assert ("credentials URI: ALIBABA_CLOUD_CREDENTIALS_URI is no URL; write it as http://host:port/path, the host a "
                "name or IPv4" in str(error))
        assert "SeCrEt" not in everything_in(error)

    def test_sources_after_the_first_good_one_may_be_wrong(self, setenv):
        setenv(ACCESS_KEY_ID="LTAI", ACCESS_KEY_SECRET="x", CREDENTIALS_URI="http://[::1/")

        assert configured_identity(IdentitySettings("default")).access_key_id() == "LTAI"

    def test_order(self, cloud, instance, default, configure, profiles, write_ini, token_file, key_in_environment,
                   setenv, monkeypatch):
        ini = cloud.add_identity()
        setenv(CREDENTIALS_URI=cloud.credentials_uri)
        write_ini(default={"type": "access_key", "access_key_id": ini.access_key_id,
                           "access_key_secret": ini.access_key_secret})
        configure(one=profiles["StsToken"])
        setenv(ROLE_ARN=cloud.role_arn, OIDC_PROVIDER_ARN=cloud.oidc_provider_arn, OIDC_TOKEN_FILE=str(token_file))
        key_in_environment(cloud.identity)

        def first():
            return default().access_key_id()

        assert first() == cloud.identity.access_key_id
        monkeypatch.delenv("ALIBABA_CLOUD_ACCESS_KEY_ID")
        assert first() == cloud.calls("sts")[0].given
        monkeypatch.delenv("ALIBABA_CLOUD_ROLE_ARN")
        assert first() == profiles["StsToken"]["access_key_id"]
        setenv(CLI_PROFILE_DISABLED="true")
        assert first() == ini.access_key_id
        setenv(CREDENTIALS_FILE="nowhere.ini")
        assert first() == cloud.calls("metadata")[-1].given
        assert cloud.calls("credentials_uri") == []
        setenv(ECS_METADATA_DISABLED="true")
        assert first() == cloud.calls("credentials_uri")[0].given

    def test_the_first_that_gives_credentials_is_kept(self, cloud, default, key_in_environment, setenv):
        cloud.set_credentials_uri(expires_in=60)
        setenv(CREDENTIALS_URI=cloud.credentials_uri)
        one = default()
        one.signer()
        key_in_environment(cloud.identity)

        assert one.access_key_id() == cloud.calls("credentials_uri")[1].given

    def test_credentials_that_have_expired_do_not_serve_on(self, cloud, default, setenv, monkeypatch):
        cloud.set_credentials_uri(expires_in=60)
        setenv(CREDENTIALS_URI=cloud.credentials_uri)
        one = default()
        one.signer()
        cloud.inject("credentials_uri", Fault.refuse())
        monkeypatch.setattr(renewable_identity, "time", types.SimpleNamespace(
            time=lambda: time.time() + 60, monotonic=time.monotonic))

        assert "credentials URI: no answer" in str(failure_of(one.signer))

    def test_error_lists_every_source_with_its_reason(self, cloud, instance, default, setenv, token_file):
        cloud.set_metadata(role=None)
        cloud.inject("credentials_uri", Fault.status(403, "NoPermission"))
        token_file.write_text("")
        setenv(CREDENTIALS_URI=cloud.credentials_uri, ROLE_ARN=cloud.role_arn, OIDC_TOKEN_FILE=str(token_file),
               OIDC_PROVIDER_ARN=cloud.oidc_provider_arn)

        error = failure_of(default().signer)

        reasons = ("(environment variables: ALIBABA_CLOUD_ACCESS_KEY_ID or ", ", OIDC: the OIDC token file ",
                   ", CLI profile: there is no file ", ", credentials file: there is no file ",
                   ", instance role: HTTP status 404; ", ", credentials URI: HTTP status 403")
        assert [str(error).count(reason) for reason in reasons] == [1] * 6
        assert not error.retryable
        cloud.clear("credentials_uri")
        cloud.inject("credentials_uri", Fault.status(503))
        assert failure_of(default().signer).retryable
