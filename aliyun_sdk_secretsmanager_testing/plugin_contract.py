"""The tests that every plugin passes, for pytest and on the local cloud.

A plugin's own test class inherits them, and says how its client is made and called::

    from aliyun_sdk_secretsmanager_testing.plugin_contract import CopyContract, PluginContract

    class TestMyClient(PluginContract, CopyContract):
        error = MyServiceError

        def new_client(self, service, secret_name, **arguments):
            return MyClient(secret_name, "http://" + service.address, **arguments)

        def call(self, service, client):
            client.do_something()

``PluginContract`` is for clients, and ``ProviderContract`` for credentials providers of an SDK's own client. The other
classes are added to one of them: ``CopyContract`` for what can be copied and pickled, ``BodyContract`` for clients that
send bodies, ``AsyncContract`` for clients whose methods are awaited, and ``HandlerContract`` for providers that take a
handler, as all clients do. A test that cannot pass for an SDK is set to None in the subclass, with the reason.
"""

import asyncio
import copy
import gc
import logging
import os
import pickle
import socket
import weakref
from typing import Any, Awaitable, Callable, Dict, Iterator, List, Tuple, Type

import pytest
from aliyunsdkcore.acs_exception.exceptions import ServerException

from aliyun_sdk_secretsmanager_common_plugin import (
    AKExpireHandler,
    ConfigurationError,
    ManagedCredentials,
    ManagedCredentialsError,
    ReplayError,
)

from .cloud import LocalCloud
from .faults import Fault
from .plugin_bodies import BODIES, OneWay
from .plugin_service import DENIED, INVALID, REJECTED, CloudService
from .running import PATIENCE, at_once, in_child, in_loop, until

SECRET = "plugin/contract"
BUCKET = "bucket"


def _forks(test: Any) -> Any:
    """Mark a test that forks."""
    test = pytest.mark.filterwarnings("ignore:.*multi-threaded.*:DeprecationWarning")(test)
    return pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")(test)


class SecretContract:
    """Tests of everything that is made with the name of a secret: clients and providers. Here both are called clients.

    Attributes:
        service_name: the service of the local cloud that is called, ``api`` or ``oss``. For another service override
            the fixture ``service``.
    """

    service_name = "api"

    def new_client(self, service: Any, secret_name: str, **arguments: Any) -> Any:
        """Return a new client.

        Args:
            service: the service that it calls; ``service.address`` is ``127.0.0.1:PORT``.
            secret_name: the name of the secret.
            arguments: ``managed_credentials``, and for clients ``ak_expire_handler``; each may be missing.
        """
        raise NotImplementedError

    def call(self, service: Any, client: Any) -> Any:
        """Make one call, with one request. For a provider, return the id of the key that it gives.

        Args:
            service: the service that is called.
            client: the client, or the provider.
        """
        raise NotImplementedError

    @pytest.fixture
    def cloud(self, local_cloud: LocalCloud, managed_credentials_config: str) -> LocalCloud:
        """The local cloud with the secret and a bucket, and a properties file with timeouts for a busy machine."""
        local_cloud.create_secret(SECRET)
        local_cloud.create_bucket(BUCKET)
        self.configure(local_cloud, managed_credentials_config)
        return local_cloud

    @staticmethod
    def configure(cloud: LocalCloud, path: str, **more: Any) -> None:
        """Write the properties file.

        Args:
            cloud: the local cloud.
            path: the path of the file.
            more: further keys.
        """
        milliseconds = PATIENCE * 1000
        cloud.write_properties(os.path.dirname(path), fetch_timeout_milliseconds=milliseconds,
                               renew_timeout_milliseconds=milliseconds, **more)

    @pytest.fixture
    def service(self, cloud: LocalCloud) -> Any:
        """The service that the clients call."""
        return CloudService(cloud, self.service_name)

    @pytest.fixture
    def closing(self) -> Iterator[Callable[[Any], Any]]:
        """A function that is called with a client, returns it, and shuts it down after the test."""
        clients: List[Any] = []

        def close_later(client: Any) -> Any:
            clients.append(client)
            return client

        yield close_later
        for client in clients:
            client.shutdown()

    @pytest.fixture
    def make_client(self, service: Any, closing: Callable[[Any], Any]) -> Callable[..., Any]:
        """A function that makes a client, which is shut down after the test."""
        return lambda **arguments: closing(self.new_client(service, SECRET, **arguments))

    @pytest.fixture
    def client(self, make_client: Callable[..., Any]) -> Any:
        """A client of the secret."""
        return make_client()

    def test_secret_that_is_missing_is_an_error_when_the_client_is_made(self, service: Any) -> None:
        with pytest.raises(ServerException, match="ResourceNotFound"):
            self.new_client(service, "no/such/secret")

    def test_two_clients_read_their_secret_once(self, cloud: LocalCloud, service: Any, make_client: Any) -> None:
        for client in (make_client(), make_client()):
            self.call(service, client)

        assert reads(cloud) == 1

    def test_credentials_that_are_given_are_used(
        self, service: Any, make_client: Any, managed_credentials_config: str
    ) -> None:
        with ManagedCredentials.from_properties(managed_credentials_config) as credentials:
            self.call(service, make_client(managed_credentials=credentials))

            assert SECRET in credentials.stats()
        assert SECRET not in ManagedCredentials.default().stats()

    def test_with_block_ends_with_the_shutdown(self, service: Any, make_client: Any) -> None:
        with make_client() as client:
            self.call(service, client)

        with pytest.raises(Exception, match="shut down"):  # the SDK may wrap the error in its own
            self.call(service, client)

    def test_shutdown_may_be_called_again_and_leaves_other_clients_going(
        self, service: Any, make_client: Any, client: Any
    ) -> None:
        other = make_client()
        other.shutdown()
        other.shutdown()

        self.call(service, client)

    def test_client_that_is_dropped_is_not_kept_alive(self, service: Any, cloud: LocalCloud) -> None:
        client = self.new_client(service, SECRET)
        self.call(service, client)
        dropped = weakref.ref(client)
        del client
        for generation in range(3):  # the youngest first, since the oldest takes long
            if dropped() is not None:
                gc.collect(generation)

        assert dropped() is None

    def test_repr_shows_no_key(self, cloud: LocalCloud, client: Any) -> None:
        key = cloud.secret(SECRET).current

        for part in (key.access_key_id, key.access_key_secret):
            assert part not in repr(client) + str(client)

    def test_logs_show_no_secret(self, cloud: LocalCloud, service: Any, make_client: Any, caplog: Any) -> None:
        caplog.set_level(logging.DEBUG)
        cloud.rotate(SECRET, token=True)
        client = make_client()
        self.call(service, client)
        cloud.rotate(SECRET)
        self.call(service, client)

        for version in cloud.secret(SECRET).versions:
            for secret in secrets_of(version.access_key):
                assert secret not in caplog.text

    def test_pickle_holds_no_secret_or_is_refused(
        self, cloud: LocalCloud, service: Any, make_client: Any, closing: Any
    ) -> None:
        cloud.rotate(SECRET, token=True)
        client = make_client()
        self.call(service, client)
        try:
            pickled = pickle.dumps(client)
        except TypeError:
            return
        for secret in secrets_of(cloud.secret(SECRET).current) + secrets_of(cloud.identity):
            assert secret.encode("ascii") not in pickled
        self.call(service, closing(pickle.loads(pickled)))


class HandlerContract(SecretContract):
    """Tests of clients and providers that take an ``ak_expire_handler``."""

    def test_what_is_no_handler_is_refused_when_the_client_is_made(self, cloud: LocalCloud, service: Any) -> None:
        for handler in ("cn-hangzhou", "", ["InvalidAccessKeyId"], [], False, 30, AKExpireHandler, dict, object(),
                        lambda exception: True):
            with pytest.raises(ConfigurationError, match="^ak_expire_handler is "):
                self.new_client(service, SECRET, ak_expire_handler=handler)

        assert reads(cloud) == 0

    def test_handler_of_any_class_is_taken(self, service: Any, make_client: Any) -> None:
        for handler in (Lenient(), Empty()):
            self.call(service, make_client(ak_expire_handler=handler))


class PluginContract(HandlerContract):
    """Tests of clients.

    Attributes:
        error: the class of the SDK's errors for a service's error answer.
    """

    error: Type[Exception]

    def test_call_over_a_rotation_is_sent_again_with_the_new_key(
        self, cloud: LocalCloud, service: Any, client: Any
    ) -> None:
        self.call(service, client)
        former = cloud.secret(SECRET).current
        new = cloud.rotate(SECRET)

        self.call(service, client)

        assert [call.access_key_id for call in service.calls()] == [former.access_key_id] * 2 + [new.access_key_id]
        assert [call.status < 300 for call in service.calls()] == [True, False, True]
        assert reads(cloud) == 2

    def test_tokens_come_and_go(self, cloud: LocalCloud, service: Any, client: Any) -> None:
        self.call(service, client)
        for token in (True, True, False):
            cloud.rotate(SECRET, token=token)
            self.call(service, client)

        assert sum(call.status < 300 for call in service.calls()) == 4

    def test_threads_that_share_a_client_renew_once(self, cloud: LocalCloud, service: Any, client: Any) -> None:
        self.call(service, client)
        cloud.rotate(SECRET)

        at_once([lambda: self.call(service, client)] * 8)

        assert sum(call.status < 300 for call in service.calls()) == 9
        assert reads(cloud) == 2

    def test_threads_with_clients_of_their_own_renew_once(
        self, cloud: LocalCloud, service: Any, make_client: Any
    ) -> None:
        clients = [make_client() for _ in range(8)]
        cloud.rotate(SECRET)

        at_once([lambda client=client: self.call(service, client) for client in clients])  # type: ignore[misc]

        assert reads(cloud) == 2

    def test_call_leaves_the_attributes_of_the_client_as_they_were(
        self, cloud: LocalCloud, service: Any, client: Any
    ) -> None:
        self.call(service, client)
        before = dict(vars(client))
        cloud.rotate(SECRET)

        self.call(service, client)

        assert vars(client) == before

    def test_new_key_that_the_service_does_not_know_yet_is_tried_again(
        self, cloud: LocalCloud, service: Any, client: Any
    ) -> None:
        self.call(service, client)
        new = cloud.rotate(SECRET, propagation=0.1)

        self.call(service, client)

        assert service.calls()[-1].access_key_id == new.access_key_id
        assert service.calls()[-1].status < 300

    @pytest.mark.parametrize("why", [INVALID, DENIED])
    def test_error_that_is_none_of_the_keys_surfaces_at_once(
        self, cloud: LocalCloud, service: Any, client: Any, why: str
    ) -> None:
        service.refuse(why)

        with pytest.raises(self.error) as caught:
            self.call(service, client)

        (call,) = service.calls()
        assert call.code in str(caught.value)
        assert reads(cloud) == 1

    def test_error_of_the_service_surfaces_where_there_is_no_newer_key(
        self, cloud: LocalCloud, service: Any, client: Any
    ) -> None:
        self.call(service, client)
        service.refuse(REJECTED)

        with pytest.raises(self.error) as caught:
            self.call(service, client)

        assert service.calls()[-1].code in str(caught.value)
        assert reads(cloud) == 2
        self.call(service, client)

    def test_error_of_the_service_surfaces_where_the_key_cannot_be_renewed(
        self, cloud: LocalCloud, service: Any, client: Any
    ) -> None:
        cloud.rotate(SECRET)
        cloud.inject("secrets_manager", Fault.forbidden())

        with pytest.raises(self.error) as caught:
            self.call(service, client)

        assert service.calls()[-1].code in str(caught.value)

    def test_error_that_surfaces_shows_no_secret(self, cloud: LocalCloud, service: Any, client: Any) -> None:
        service.refuse(INVALID)

        with pytest.raises(self.error) as caught:
            self.call(service, client)

        for one in chain_of(caught.value):
            for secret in secrets_of(cloud.secret(SECRET).current):
                assert secret not in "{} {!r} {}".format(one, one, vars(one))

    def test_handler_of_the_programs_own_decides(self, cloud: LocalCloud, service: Any, make_client: Any) -> None:
        client = make_client(ak_expire_handler=Lenient())
        cloud.rotate(SECRET)

        with pytest.raises(self.error):
            self.call(service, client)

        assert reads(cloud) == 1

    def test_handler_that_fails_counts_as_no(
        self, cloud: LocalCloud, service: Any, make_client: Any, caplog: Any
    ) -> None:
        client = make_client(ak_expire_handler=Failing())
        cloud.rotate(SECRET)

        with pytest.raises(self.error):
            self.call(service, client)

        assert "Failing failed" in caplog.text

    @_forks
    def test_forked_child_has_connections_of_its_own_and_reads_nothing_again(
        self, cloud: LocalCloud, service: Any, client: Any
    ) -> None:
        self.call(service, client)

        def child() -> None:
            connected: List[Any] = []
            connect = socket.socket.connect

            def noted(sock: Any, address: Any) -> Any:
                connected.append(address)
                return connect(sock, address)

            socket.socket.connect = noted  # type: ignore[method-assign]
            self.call(service, client)
            assert connected

        in_child(child)
        self.call(service, client)

        assert reads(cloud) == 1

    @_forks
    def test_forked_child_renews(self, cloud: LocalCloud, service: Any, client: Any) -> None:
        self.call(service, client)
        cloud.rotate(SECRET)

        in_child(lambda: self.call(service, client))
        self.call(service, client)

        assert reads(cloud) == 3


class ProviderContract(SecretContract):
    """Tests of credentials providers, which an SDK's own client asks for the key; ``call`` returns the key's id."""

    def test_gives_the_current_key(self, cloud: LocalCloud, service: Any, client: Any) -> None:
        assert self.call(service, client) == cloud.secret(SECRET).current.access_key_id

        new = cloud.rotate(SECRET)
        ManagedCredentials.default().refresh(SECRET)

        assert self.call(service, client) == new.access_key_id
        assert service.calls() == []


class Nest:
    """A program's object that refers to its client twice."""

    def __init__(self, client: Any) -> None:
        self.clients = [client, {"again": client}]


def _nested(client: Any) -> Any:
    nest = pickle.loads(pickle.dumps(copy.deepcopy(Nest(client))))
    assert nest.clients[0] is nest.clients[1]["again"]
    return nest.clients[0]


COPIES: Dict[str, Callable[[Any], Any]] = {
    "copy": copy.copy,
    "deepcopy": copy.deepcopy,
    "pickle": lambda client: pickle.loads(pickle.dumps(client)),
    "pickle of old": lambda client: pickle.loads(pickle.dumps(client, 2)),
    "nested": _nested,
}


class CopyContract(SecretContract):
    """Tests of clients and providers that can be copied and pickled."""

    @pytest.mark.parametrize("how", sorted(COPIES))
    def test_copy_outlives_the_original(
        self, cloud: LocalCloud, service: Any, client: Any, closing: Any, how: str
    ) -> None:
        self.call(service, client)
        other = closing(COPIES[how](client))
        client.shutdown()
        cloud.rotate(SECRET)

        self.call(service, other)

        assert type(other) is type(client)
        with pytest.raises(Exception, match="shut down"):
            self.call(service, client)

    def test_copy_that_is_shut_down_leaves_the_original_going(
        self, cloud: LocalCloud, service: Any, client: Any
    ) -> None:
        for copied in COPIES.values():
            copied(client).shutdown()
            cloud.rotate(SECRET)

            self.call(service, client)

    def test_copy_of_one_that_was_shut_down_is_refused(self, client: Any) -> None:
        client.shutdown()

        for copied in COPIES.values():
            with pytest.raises(ManagedCredentialsError, match="shut down"):
                copied(client)

    def test_copy_shares_the_credentials_it_was_given_but_is_not_pickled(
        self, cloud: LocalCloud, service: Any, make_client: Any, closing: Any, managed_credentials_config: str
    ) -> None:
        with ManagedCredentials.from_properties(managed_credentials_config) as credentials:
            client = make_client(managed_credentials=credentials)
            for how in ("copy", "deepcopy"):
                self.call(service, closing(COPIES[how](client)))

            assert reads(cloud) == 1
            with pytest.raises(TypeError, match="make both in each process"):
                pickle.dumps(client)

    def test_pickle_uses_the_default_credentials_of_the_process_it_gets_to(
        self, cloud: LocalCloud, service: Any, client: Any, closing: Any, managed_credentials_config: str
    ) -> None:
        pickled = pickle.dumps(client)
        self.configure(cloud, managed_credentials_config, refresh_interval_milliseconds=1800000)
        cloud.rotate(SECRET)

        self.call(service, closing(pickle.loads(pickled)))

        assert SECRET in ManagedCredentials.default().stats()
        assert reads(cloud) == 2


class BodyContract(PluginContract):
    """Tests of clients that send bodies.

    Attributes:
        bodies: the names of those ``BODIES`` that the SDK takes.
    """

    bodies: Tuple[str, ...] = tuple(BODIES)

    def upload(self, service: Any, client: Any, body: Any) -> bytes:
        """Send a body with one request, and return what the service received.

        Args:
            service: the service that is called.
            client: the client.
            body: one of ``BODIES``.
        """
        raise NotImplementedError

    def test_body_arrives_whole_over_a_rotation(self, cloud: LocalCloud, service: Any, client: Any) -> None:
        for name in self.bodies:
            content = os.urandom(20000)
            cloud.rotate(SECRET)

            assert self.upload(service, client, BODIES[name](content)) == content, name
            assert [call.status < 300 for call in service.calls()[-2:]] == [False, True], name

    def test_body_that_cannot_be_sent_again_surfaces_the_services_error_and_why(
        self, cloud: LocalCloud, service: Any, make_client: Any, managed_credentials_config: str
    ) -> None:
        self.configure(cloud, managed_credentials_config, replay_buffer_bytes=10, replay_spool_bytes=0)
        client = make_client()
        cloud.rotate(SECRET)

        with pytest.raises(self.error) as caught:
            self.upload(service, client, OneWay(b"content of more than ten bytes"))

        (call,) = service.calls()
        assert call.code in str(caught.value)
        assert any(isinstance(one, ReplayError) for one in chain_of(caught.value))
        self.upload(service, client, b"content")
        assert reads(cloud) == 2


class AsyncContract(PluginContract):
    """Tests of clients whose methods are awaited in a task of asyncio.

    If the client has no other methods, name this class before the others, since its ``call`` runs ``call_async``.
    """

    async def call_async(self, service: Any, client: Any) -> None:
        """Make one call, with one request.

        Args:
            service: the service that is called.
            client: the client.
        """
        raise NotImplementedError

    async def close_async(self, client: Any) -> None:
        """Close the client's connections in this event loop, if it has any. The client must work in the next loop."""

    def call(self, service: Any, client: Any) -> Any:
        """Make one call in an event loop of its own; see ``SecretContract.call``."""
        self.run(client, lambda: self.call_async(service, client))

    def run(self, client: Any, work: Callable[[], Awaitable[Any]]) -> None:
        """Run a coroutine that uses the client in an event loop of its own, and close the client there.

        Args:
            client: the client.
            work: makes the coroutine.
        """

        async def main() -> None:
            try:
                await work()
            finally:
                await self.close_async(client)

        in_loop(main())

    def test_task_over_a_rotation_is_sent_again_with_the_new_key(
        self, cloud: LocalCloud, service: Any, client: Any
    ) -> None:
        new = cloud.rotate(SECRET)

        self.run(client, lambda: self.call_async(service, client))

        assert [call.status < 300 for call in service.calls()] == [False, True]
        assert service.calls()[-1].access_key_id == new.access_key_id

    def test_tasks_that_share_a_client_renew_once(self, cloud: LocalCloud, service: Any, client: Any) -> None:
        cloud.rotate(SECRET)

        async def work() -> None:
            await asyncio.gather(*(self.call_async(service, client) for _ in range(20)))

        self.run(client, work)

        assert sum(call.status < 300 for call in service.calls()) == 20
        assert reads(cloud) == 2

    def test_renewal_does_not_stop_the_loop_and_outlives_the_task_that_began_it(
        self, cloud: LocalCloud, service: Any, client: Any
    ) -> None:
        cloud.rotate(SECRET)
        cloud.inject("secrets_manager", Fault.hang())

        async def work() -> None:
            first = asyncio.ensure_future(self.call_async(service, client))
            await until(lambda: reads(cloud) == 2)
            second = asyncio.ensure_future(self.call_async(service, client))
            await until(lambda: len(service.calls()) == 2)
            first.cancel()
            with pytest.raises(asyncio.CancelledError):
                await first
            cloud.clear("secrets_manager")
            await second

        self.run(client, work)

        assert reads(cloud) == 2

    def test_client_that_is_made_in_a_loop_does_not_stop_it(
        self, cloud: LocalCloud, service: Any, make_client: Any
    ) -> None:
        cloud.inject("secrets_manager", Fault.hang())

        async def work() -> None:
            client = make_client()
            call = asyncio.ensure_future(self.call_async(service, client))
            await until(lambda: reads(cloud) == 1)
            cloud.clear("secrets_manager")
            await call
            await self.close_async(client)

        in_loop(work())

    def test_call_in_a_task_after_the_shutdown_says_so(self, service: Any, client: Any) -> None:
        client.shutdown()

        with pytest.raises(Exception, match="shut down"):
            self.run(client, lambda: self.call_async(service, client))


class Lenient(AKExpireHandler):
    """A handler to which no error means a rejected key."""

    def judge_ak_expire(self, exception: Exception) -> bool:
        return False


class Failing(AKExpireHandler):
    """A handler that raises."""

    def judge_ak_expire(self, exception: Exception) -> bool:
        raise ValueError("no judgement")


class Empty(List[Any]):
    """A handler that does not inherit ``AKExpireHandler``, and whose truth value is False."""

    def judge_ak_expire(self, exception: Exception) -> bool:
        return False


def reads(cloud: LocalCloud) -> int:
    """Return how often the secret was read from Secrets Manager."""
    return len(cloud.calls("secrets_manager", secret=SECRET))


def secrets_of(key: Any) -> List[str]:
    """Return the secret parts of a key."""
    return [secret for secret in (key.access_key_secret, key.security_token) if secret]


def chain_of(error: Any) -> List[Any]:
    """Return an error and those that led to it, including those that the SDK keeps in attributes."""
    chain: List[Any] = []
    pending = [error]
    while pending:
        one = pending.pop()
        if isinstance(one, BaseException) and not any(one is other for other in chain):
            chain.append(one)
            pending += [one.__cause__, one.__context__] + list(vars(one).values())
    return chain
