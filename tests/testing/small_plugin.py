"""Plugins for an SDK of a few lines, as a pytest file. One is right, and each of the others has one mistake."""

import hashlib
import json
import logging

import pytest
import requests

from aliyun_sdk_secretsmanager_common_plugin import DefaultAKExpireHandler, ManagedCredentials
from aliyun_sdk_secretsmanager_common_plugin.plugin_kit import SecretHolder
from aliyun_sdk_secretsmanager_common_plugin.sockets import fresh_sockets
from aliyun_sdk_secretsmanager_testing.plugin_contract import (
    SECRET,
    AsyncContract,
    BodyContract,
    CopyContract,
    ProviderContract,
)
from aliyun_sdk_secretsmanager_testing.plugin_service import PluginService, Refused

logger = logging.getLogger("small_sdk")


def signature(secret, body):
    return hashlib.sha256(secret.encode() + body).hexdigest()


class SmallService(PluginService):
    def access_key_id(self, request):
        return request.headers["X-Key"]

    def check(self, request, key):
        if request.headers["X-Signature"] != signature(key.access_key_secret, request.body):
            raise Refused(403, "SignatureDoesNotMatch")
        if request.headers["X-Token"] != key.security_token:
            raise Refused(403, "InvalidSecurityToken")

    def accept(self, request, key):
        return 200, {}, request.body

    def answer(self, refused):
        return refused.status, {}, json.dumps({"code": refused.code}).encode("ascii")


class SmallError(Exception):
    def __init__(self, code):
        super().__init__(code)
        self.code = code


class SmallClient:
    """The client of the SDK."""

    def __init__(self, endpoint):
        self.endpoint = endpoint
        self.session = requests.Session()

    def send(self, key, body):
        content = body if isinstance(body, bytes) else body.read()
        headers = {"X-Key": key.access_key_id, "X-Signature": signature(key.access_key_secret, content)}
        if key.security_token is not None:
            headers["X-Token"] = key.security_token
        answer = self.session.post(self.endpoint, content, headers=headers)
        if answer.status_code != 200:
            raise SmallError(answer.json()["code"])
        return answer.content


class SmallHandler(DefaultAKExpireHandler):
    DEFAULT_CODES = ("InvalidAccessKeyId",)

    def get_error_code(self, exception):
        return exception.code if isinstance(exception, SmallError) else None


class ProxySmallClient(SecretHolder, SmallClient):
    _HANDLER = SmallHandler
    _IN_EVENT_LOOPS = True

    def __init__(self, secret_name, endpoint, ak_expire_handler=None, managed_credentials=None):
        super().__init__(endpoint)
        self._take_secret(secret_name, ak_expire_handler, managed_credentials)

    def put(self, body):
        start = body.tell() if hasattr(body, "tell") else None
        return self._lease.replay(lambda key: self.send(key, body), lambda: start is not None and body.seek(start))

    async def put_async(self, body):
        async def send(key):
            return self.send(key, body)

        return await self._lease.replay_async(send)

    def _forget_sockets(self):
        fresh_sockets(self.session)


class TestRight(BodyContract, AsyncContract, CopyContract):
    client_class = ProxySmallClient
    error = SmallError
    bodies = ("bytes", "file", "file from where it is")
    # What it sends is bytes or an open file.
    test_body_that_cannot_be_sent_again_surfaces_the_services_error_and_why = None

    @pytest.fixture
    def service(self, cloud):
        with SmallService(cloud, SECRET) as service:
            yield service

    def new_client(self, service, secret_name, **arguments):
        return self.client_class(secret_name, "http://" + service.address, **arguments)

    def call(self, service, client):
        client.put(b"content")

    def upload(self, service, client, body):
        return client.put(body)

    async def call_async(self, service, client):
        await client.put_async(b"content")


class Provider(SecretHolder):
    _HANDLER = SmallHandler

    def __init__(self, secret_name, managed_credentials=None):
        self._take_secret(secret_name, managed_credentials=managed_credentials)


class TestProvider(ProviderContract, CopyContract):
    def new_client(self, service, secret_name, **arguments):
        return Provider(secret_name, **arguments)

    def call(self, service, client):
        return client._lease.access_key().access_key_id


class TestSignsWithTheFirstKey(TestRight):
    class client_class(ProxySmallClient):
        def put(self, body):
            self._first = self.__dict__.get("_first") or self._lease.access_key()
            return self.send(self._first, body)


class TestForgetsTheToken(TestRight):
    class client_class(ProxySmallClient):
        def send(self, key, body):
            return super().send(type(key)(key.access_key_id, key.access_key_secret), body)


class TestTakesFalseHandlersForNone(TestRight):
    class client_class(ProxySmallClient):
        def __init__(self, secret_name, endpoint, ak_expire_handler=None, managed_credentials=None):
            super().__init__(secret_name, endpoint, ak_expire_handler or None, managed_credentials)


class TestTakesDenialsForRejections(TestRight):
    class client_class(ProxySmallClient):
        _HANDLER = staticmethod(lambda: SmallHandler(["InvalidAccessKeyId", "Forbidden"]))


class TestPutsTheKeyIntoTheClient(TestRight):
    class client_class(ProxySmallClient):
        def send(self, key, body):
            self.key = key
            return super().send(key, body)


class TestKeepsTheSocketsOfItsParent(TestRight):
    class client_class(ProxySmallClient):
        def _forget_sockets(self):
            pass


class TestLogsTheToken(TestRight):
    class client_class(ProxySmallClient):
        def send(self, key, body):
            logger.debug("sends with %s", key.security_token)
            return super().send(key, body)


class TestShowsTheSecret(TestRight):
    class client_class(ProxySmallClient):
        def __repr__(self):
            return "<client with {}>".format(self._lease.access_key().access_key_secret)


class TestKeepsEveryClient(TestRight):
    made = []

    def new_client(self, service, secret_name, **arguments):
        self.made.append(super().new_client(service, secret_name, **arguments))
        return self.made[-1]


class TestNeverShutsDown(TestRight):
    class client_class(ProxySmallClient):
        def shutdown(self):
            pass


class TestUsesTheDefaultCredentials(TestRight):
    class client_class(ProxySmallClient):
        def __init__(self, secret_name, endpoint, ak_expire_handler=None, managed_credentials=None):
            super().__init__(secret_name, endpoint, ak_expire_handler, ManagedCredentials.default())


class TestDoesNotRewind(TestRight):
    class client_class(ProxySmallClient):
        def put(self, body):
            return self._lease.replay(lambda key: self.send(key, body))
