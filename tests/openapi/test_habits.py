"""What programs do with a V2.0 client besides calls: its config, isinstance, help, an editor; what is imported."""

import asyncio
import copy
import logging
import pickle
import pydoc
import subprocess
import sys
import textwrap
import threading

import pytest
from alibabacloud_credentials.client import Client as CredentialClient
from alibabacloud_tea_openapi.client import Client
from alibabacloud_tea_openapi.models import Config

from aliyun_sdk_secretsmanager_openapi_plugin import (
    ManagedClient,
    ManagedCredentialsProvider,
    OpenApiAkExpireHandler,
    managed,
)
from aliyun_sdk_secretsmanager_testing import Fault
from tests.conftest import SECRET
from tests.instance import ROOT
from tests.type_checker import checked

from .calls import BODIES, HAS_EVENTS, arguments


def call(client):
    return client.call_api(*arguments("RPC", BODIES["form"]))


class TestClass:
    def test_is_a_subclass_and_the_same_each_time(self, client):
        assert issubclass(managed(Client), Client)
        assert managed(Client) is managed(Client)
        assert isinstance(client, Client)

    def test_of_the_programs_own_works_alike(self, cloud, config, properties, closing):
        class MyClient(ManagedClient, Client):
            pass

        client = closing(MyClient(config(), secret_name=SECRET))
        cloud.rotate(SECRET)

        assert call(client)["statusCode"] == 200

    def test_below_a_managed_one_replays_once(self, cloud, config, properties, closing):
        class MyClient(managed(Client)):
            def do_request(self, params, request, runtime):
                return super().do_request(params, request, runtime)

        client = closing(MyClient(config(), SECRET))
        cloud.rotate(SECRET)
        call(client)

        assert [each.status for each in cloud.calls("api")] == [404, 200]

    def test_names_its_secret_and_its_handler(self, make_client):
        handler = OpenApiAkExpireHandler("Mine")

        assert make_client(ak_expire_handler=handler).ak_expire_handler is handler
        assert make_client().secret_name == SECRET

    def test_help_says_what_it_takes(self):
        text = pydoc.plain(pydoc.render_doc(managed(Client)))

        for words in ("secret_name: the name of a managed RAM credential", "shutdown(self)", "call_api"):
            assert words in text


class TestConfig:
    def test_is_not_changed(self, config, properties, closing):
        given = config(access_key_id="LTAIgiven00000000000", access_key_secret="given-secret", security_token="t")
        before = dict(vars(given))

        closing(managed(Client)(given, SECRET))

        assert vars(given) == before

    def test_credentials_in_it_are_not_used_and_not_logged(self, cloud, make_client, caplog):
        client = make_client(access_key_id="LTAIgiven00000000000", access_key_secret="given-secret")
        call(client)

        assert cloud.calls("api")[-1].access_key_id == cloud.secret(SECRET).current.access_key_id
        assert "the other credentials of the client's config are not used" in caplog.text
        assert "given-secret" not in caplog.text

    def test_bearer_token_is_not_used(self, cloud, make_client):
        assert call(make_client(bearer_token="b"))["statusCode"] == 200

    def test_none_is_the_sdks_own_error(self, properties):
        with pytest.raises(Exception, match="config"):
            managed(Client)(None, SECRET)

    def test_reaches_the_sdk(self, make_client):
        client = make_client(region_id="cn-beijing", read_timeout=1234, user_agent="me")

        assert (client._region_id, client._read_timeout, client._user_agent) == ("cn-beijing", 1234, "me")

    def test_without_a_secret_name_it_says_so(self, properties):
        with pytest.raises(TypeError, match="secret_name"):
            managed(Client)(Config(endpoint="127.0.0.1"))


class Written(ManagedClient, Client):
    """A class that a program defines, with an attribute of its own."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.tags = ["one"]


class Locked(Client):
    """A handler of the program. It can be pickled because it defines how."""

    def __init__(self, config):
        super().__init__(config)
        self.lock = threading.Lock()

    def __getstate__(self):
        return {name: value for name, value in vars(self).items() if name != "lock"}

    def __setstate__(self, state):
        vars(self).update(state, lock=threading.Lock())


class Below(managed(Client)):
    """A subclass of a class that ``managed`` made."""


COPIES = {
    "copy": copy.copy,
    "deepcopy": copy.deepcopy,
    "pickle": lambda client: pickle.loads(pickle.dumps(client)),
}


@pytest.mark.parametrize("how", sorted(COPIES))
class TestCopies:
    def test_of_subclasses(self, cloud, config, properties, closing, how):
        for client_class in (Written, managed(Locked), Below):
            client = closing(client_class(config(), SECRET))
            other = closing(COPIES[how](client))
            client.shutdown()
            cloud.rotate(SECRET)

            assert type(other) is client_class
            assert call(other)["statusCode"] == 200
            assert {"tags", "lock"} & set(vars(other)) == {"tags", "lock"} & set(vars(client))

    def test_has_the_config_the_retries_and_the_handler(self, make_client, closing, how):
        client = make_client(ak_expire_handler=OpenApiAkExpireHandler("Mine"), region_id="cn-beijing", user_agent="me")
        client._retries = ["as the user said"]
        other = closing(COPIES[how](client))

        assert (other._region_id, other._user_agent, other._retries) == ("cn-beijing", "me", client._retries)
        assert other.ak_expire_handler.get_ak_expire_code() == "Mine"

    def test_of_a_plain_client_with_a_provider_outlives_it(self, cloud, config, properties, closing, how):
        provider = closing(ManagedCredentialsProvider(SECRET))
        client = Client(config(credential=CredentialClient(provider=provider)))
        other = COPIES[how](client)
        if how != "copy":  # a copy shares the provider
            provider.shutdown()
        cloud.rotate(SECRET, grace=60)

        assert call(other)["statusCode"] == 200

    def test_in_an_event_loop_does_not_wait_for_the_secret(self, cloud, fetches, config, properties, run, how):
        cloud.inject("secrets_manager", Fault.hang())

        async def main():
            with managed(Client)(config(), SECRET) as client, COPIES[how](client) as other:
                assert cloud.calls("api") == []
                cloud.clear("secrets_manager")
                given = arguments("RPC", BODIES["form"])
                return await asyncio.gather(*(each.call_api_async(*given) for each in (client, other)))

        assert [answer["statusCode"] for answer in run(main())] == [200, 200]
        assert fetches() == 1


class TestSecrecy:
    def test_debug_log_of_the_sdk_shows_no_token_and_no_signature(self, cloud, make_client, monkeypatch, caplog):
        monkeypatch.setenv("DEBUG", "sdk")
        cloud.create_secret("sts", token=True)
        client = make_client("sts")
        with caplog.at_level(logging.DEBUG):
            call(client)

        key = cloud.secret("sts").current
        assert "x-acs-action" in caplog.text
        for secret in (key.security_token, key.access_key_secret, "Signature="):
            assert secret not in caplog.text

    def test_client_and_credential_show_no_secret(self, cloud, client):
        call(client)
        shown = repr(client) + repr(vars(client)) + repr(client._credential) + repr(client._provider)

        assert cloud.secret(SECRET).current.access_key_secret not in shown


def in_a_process(program):
    return subprocess.check_output(
        [sys.executable, "-W", "ignore", "-c", textwrap.dedent(program)], cwd=ROOT, universal_newlines=True)


@pytest.mark.slow
def test_importing_it_leaves_stderr_to_the_program():
    imported = in_a_process("""
        import logging
        import alibabacloud_tea_openapi.client
        before = {name: len(logging.getLogger(name).handlers) for name in ("alibabacloud-tea", "darabonba-core")}
        import aliyun_sdk_secretsmanager_openapi_plugin
        print(before == {name: len(logging.getLogger(name).handlers) for name in before})
    """)

    assert imported == "True\n"


@pytest.mark.slow
@pytest.mark.skipif(not HAS_EVENTS, reason="once is enough")
def test_checker_and_editor_know_the_methods_of_the_sdks_clients(tmp_path):
    pytest.importorskip("mypy")
    output = checked("""
        from alibabacloud_tea_openapi.client import Client
        from alibabacloud_tea_openapi.models import Config

        from aliyun_sdk_secretsmanager_openapi_plugin import ManagedClient, managed

        client = managed(Client)(Config(), secret_name="my-secret", ak_expire_handler=None)
        reveal_type(client)
        client.do_nonsense
        managed(Client)(Config())

        class MyClient(ManagedClient, Client):
            pass

        with MyClient(Config(), secret_name="my-secret") as mine:
            reveal_type(mine.call_api)
            mine.do_nonsense
    """, tmp_path)

    assert 'Revealed type is "alibabacloud_tea_openapi.client.Client"' in output
    assert '"Client" has no attribute "do_nonsense"' in output
    assert "secret_name" in output
    assert 'Revealed type is "def (params: ' in output
    assert '"MyClient" has no attribute "do_nonsense"' in output
    assert "Found 3 errors in 1 file" in output
