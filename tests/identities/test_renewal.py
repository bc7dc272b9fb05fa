"""When credentials are retrieved again, how long callers wait for them, and what a fork changes."""

import os
import subprocess
import sys
import threading

import pytest

from aliyun_sdk_secretsmanager_common_plugin import ManagedCredentials, threads
from aliyun_sdk_secretsmanager_common_plugin.identities import renewable_identity
from aliyun_sdk_secretsmanager_common_plugin.identities.credentials_source import ASKING_THREAD
from aliyun_sdk_secretsmanager_testing import Fault
from tests.conftest import SECRET
from tests.forks import in_child
from tests.instance import ROOT

from .conftest import OLD, actions, failure_of, wait_until

pytestmark = pytest.mark.filterwarnings("ignore:.*utcnow.*:DeprecationWarning")  # the library's


class TestRenewal:
    def test_credentials_are_asked_for_once(self, cloud, identity):
        one = identity("ram_role")

        assert {one.access_key_id() for _ in range(5)} == {cloud.calls("sts")[0].given}
        assert len(cloud.calls("sts")) == 1

    @pytest.mark.parametrize(("credentials_type", "service"), [
        ("credentials_uri", "credentials_uri"), ("ecs_ram_role", "metadata")])
    def test_credentials_near_their_end_are_renewed(self, cloud, instance, identity, credentials_type, service):
        cloud.set_credentials_uri(expires_in=60)
        cloud.set_metadata(expires_in=60)
        one = identity(credentials_type)
        first = one.access_key_id()
        cloud.set_credentials_uri()
        cloud.set_metadata()

        second = one.access_key_id()

        assert second != first
        assert one.access_key_id() == second
        assert actions(cloud, service).count("GetCredentials") == 2

    @pytest.mark.parametrize("fault", [Fault.refuse(), Fault.status(503), Fault.html()], ids=["refuse", "503", "html"])
    def test_credentials_in_use_serve_on_while_there_are_no_others(self, cloud, identity, read, fault, log):
        cloud.set_credentials_uri(expires_in=60)
        one = identity("credentials_uri")
        first = one.access_key_id()
        cloud.inject("credentials_uri", fault)

        assert read(one) == SECRET

        assert one.access_key_id() == first
        assert "going on with the credentials in use" in log.text

    def test_refused_credentials_do_not_serve_on(self, cloud, identity, gateway_of):
        one = identity("ram_role")
        gateway = gateway_of(one)
        gateway.get_secret_value(SECRET, 10)
        cloud.revoke_temporary_credentials()
        cloud.inject("sts", Fault.refuse())

        error = failure_of(lambda: gateway.get_secret_value(SECRET, 10))

        assert "no answer" in str(error)
        assert len(cloud.calls("secrets_manager")) == 2

    @pytest.mark.parametrize(("credentials_type", "service", "action"), [
        ("ram_role", "sts", "AssumeRole"),
        ("oidc_role_arn", "sts", "AssumeRoleWithOIDC"),
        ("credentials_uri", "credentials_uri", "GetCredentials"),
        ("ecs_ram_role", "metadata", "GetCredentials"),
    ])
    def test_refused_credentials_are_renewed_once(self, cloud, instance, identity, read, credentials_type, service,
                                                  action):
        one = identity(credentials_type)
        read(one)
        cloud.revoke_temporary_credentials()

        assert read(one) == SECRET

        assert actions(cloud, service).count(action) == 2
        assert [call.status for call in cloud.calls("secrets_manager")] == [200, 400, 200]

    def test_credentials_refused_in_many_threads_are_renewed_once(self, cloud, identity, read, in_threads):
        one = identity("ram_role")
        read(one)
        cloud.revoke_temporary_credentials()

        assert in_threads([lambda: read(one)] * 16) == [SECRET] * 16

        assert len(cloud.calls("sts")) == 2

    def test_refused_token_of_ones_own_is_not_asked_for_again(self, cloud, identity):
        one = identity("sts_token")

        assert one.renew() is False

    def test_identity_without_permission_is_not_renewed(self, cloud, identity, read):
        arn = cloud.create_role("may-nothing", may_read_secrets=False)

        with pytest.raises(Exception, match="Forbidden"):
            read(identity("ram_role", credentials_role_arn=arn))

        assert len(cloud.calls("sts")) == 1


class TestHanging:
    def test_rotated_key_is_read_with_the_credentials_in_use(self, cloud, properties_of):
        cloud.set_credentials_uri(expires_in=100)  # so soon that new ones are retrieved each time
        with ManagedCredentials.from_properties(properties_of("credentials_uri")) as credentials:
            old = credentials.get(SECRET)
            cloud.inject("credentials_uri", Fault.hang())
            new = cloud.rotate(SECRET)

            renewed = credentials.renew(SECRET, old)  # it returns None where this takes longer than renew_timeout

        assert renewed.access_key_id == new.access_key_id
        assert len(cloud.calls("credentials_uri")) == 2

    def test_dripping_answer_is_given_up(self, cloud, identity, read, monkeypatch):
        monkeypatch.setattr(renewable_identity, "LIMIT", 1.0)
        one = identity("credentials_uri")
        cloud.inject("credentials_uri", Fault.drip(60), times=1)

        error = failure_of(one.signer)

        assert "no answer within 1 s; check credentials_uri" in str(error)
        assert error.retryable
        assert read(one) == SECRET
        cloud.clear("credentials_uri")

    def test_late_answer_is_kept(self, cloud, identity, monkeypatch):
        one = identity("ram_role")
        cloud.inject("sts", Fault.hang())
        with monkeypatch.context() as patch:
            patch.setattr(renewable_identity, "LIMIT", 0.1)
            failure_of(one.signer)
        cloud.clear("sts")

        assert one.access_key_id() == cloud.calls("sts")[0].given
        assert len(cloud.calls("sts")) == 1


class TestThreads:
    def test_many_threads_ask_once(self, cloud, identity, in_threads):
        one = identity("ram_role")
        cloud.inject("sts", Fault.slow(0.2))

        assert len(set(in_threads([one.access_key_id] * 16))) == 1

        assert len(cloud.calls("sts")) == 1

    def test_what_it_waits_for(self, cloud, identity):
        one = identity("ram_role")
        idle = one.waiting_for()
        cloud.inject("sts", Fault.hang())
        thread = threading.Thread(target=one.signer, daemon=True)
        thread.start()
        wait_until(lambda: cloud.calls("sts"))
        waiting = one.waiting_for()
        cloud.clear("sts")
        thread.join(10)

        assert (idle, one.waiting_for()) == ("", "")
        assert waiting == "the identity (credentials_type=ram_role, {})".format(cloud.sts_endpoint)

    def test_the_library_leaves_no_thread_and_nothing_on_stderr(self, cloud, properties_of, tmp_path):
        (tmp_path / ".aliyun").mkdir()
        (tmp_path / ".aliyun" / "config.json").write_text("{}")
        paths = []
        for credentials_type in ["ram_role", "oidc_role_arn", "credentials_uri"] + ["default"] * (not OLD):
            path = properties_of(credentials_type)
            paths.append("{}.{}".format(path, credentials_type))
            os.rename(path, paths[-1])
        cloud.inject("sts", Fault.status(503), times=1)

        run = subprocess.run(
            [sys.executable, "-W", "ignore", "-c", """
import logging, sys, threading
from aliyun_sdk_secretsmanager_common_plugin.identities import program_identity, configured_identity
from aliyun_sdk_secretsmanager_common_plugin.identities.identity import IdentityError
from aliyun_sdk_secretsmanager_common_plugin.settings import load_settings
for path in sys.argv[1:]:
    try:
        configured_identity(load_settings(path).identity).signer()
    except IdentityError as error:
        print("failed", error)
    else:
        print("signs")
for thread in threading.enumerate():
    if thread.name == "managed-credentials-identity":
        thread.join(10)
print([thread.name for thread in threading.enumerate()])
print([handler for name in ("credentials", "alibabacloud-tea") for handler in logging.getLogger(name).handlers
       if not isinstance(handler, logging.NullHandler)])
"""] + paths, stdout=subprocess.PIPE, stderr=subprocess.PIPE, universal_newlines=True, timeout=60,
            env=dict(os.environ, PYTHONPATH=ROOT))

        lines = run.stdout.splitlines()
        assert run.stderr == ""
        assert [line.split()[0] for line in lines[:-2]] == ["failed", "signs", "signs"] + ["failed"] * (not OLD)
        assert lines[-2:] == ["['MainThread']", "[]"]


def connections():
    """The server's and the local port of each connection that Tea keeps. Only both together identify it."""
    from Tea.core import TeaCore

    adapters = [TeaCore.http_adapter, TeaCore.https_adapter] + [
        adapter for session in getattr(TeaCore, "_sessions", {}).values() for adapter in session.adapters.values()]
    ports = set()
    for adapter in adapters:
        pools = adapter.poolmanager.pools
        for key in list(pools.keys()):
            ports.update((key.key_port, connection.sock.getsockname()[1]) for connection in pools[key].pool.queue
                         if connection is not None and connection.sock is not None)
    return ports


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*:DeprecationWarning")
class TestFork:
    @pytest.mark.parametrize("credentials_type", ["ram_role", "credentials_uri"])
    def test_child_asks_over_connections_of_its_own(self, cloud, identity, credentials_type):
        one = identity(credentials_type)
        one.signer()
        inherited = connections()

        def child():
            one.after_fork_in_child()
            one.renew()
            one.signer()
            mine = connections()
            assert mine
            return mine & inherited

        assert inherited
        assert in_child(child) == set()
        assert one.renew() and one.signer()

    @pytest.mark.skipif(not hasattr(os, "register_at_fork"), reason="only where there are hooks")
    def test_waits_for_the_thread_that_asked_to_be_gone(self, identity, monkeypatch):
        """A thread that ends may hold locks of OpenSSL, which would stay taken in the child."""
        left, awaited = [], []
        monkeypatch.setattr(renewable_identity, "leaves", lambda thread: left.append(thread) or threads.leaves(thread))
        monkeypatch.setattr(threads, "_await_exit", awaited.append)
        identity("ram_role").signer()
        wait_until(lambda: left)

        in_child(lambda: None)

        assert [thread.name for thread in left] == [ASKING_THREAD]
        assert left[0].native_id in awaited

    def test_child_of_a_process_that_is_asking(self, cloud, identity):
        one = identity("ram_role")
        cloud.inject("sts", Fault.hang(), times=1)
        thread = threading.Thread(target=one.signer, daemon=True)
        thread.start()
        wait_until(lambda: cloud.calls("sts"))

        def child():
            one.after_fork_in_child()
            return one.access_key_id()

        assert in_child(child) == cloud.calls("sts")[1].given
        cloud.clear("sts")
        thread.join(10)
