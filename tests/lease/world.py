"""A lease over an account and a service that tests script."""

import pytest

from aliyun_sdk_secretsmanager_common_plugin import AKExpireHandler, DefaultAKExpireHandler
from aliyun_sdk_secretsmanager_common_plugin import lease as lease_module
from aliyun_sdk_secretsmanager_common_plugin.lease import Lease
from tests.common.fakes import Source, key

from .accounts import StubAccount

NAME = "app/key"
A, B, C, D = (key(name) for name in "ABCD")
WAITS = [0.2, 0.4, 0.8, 1.6]


class ServiceError(Exception):
    def __init__(self, code):
        super(ServiceError, self).__init__(code)
        self.code = code


class Codes(DefaultAKExpireHandler):
    """A default handler, as a plugin defines one."""

    def __init__(self, codes="InvalidAccessKeyId"):
        self.codes = codes

    def get_ak_expire_code(self):
        return self.codes

    def get_error_code(self, exception):
        return exception.code if isinstance(exception, ServiceError) else None


class Judge(AKExpireHandler):
    """A user's handler: it returns what ``verdict`` returns, and keeps the errors that it judged."""

    def __init__(self, verdict=lambda error: True):
        self.verdict = verdict
        self.judged = []

    def judge_ak_expire(self, exception):
        self.judged.append(exception)
        return self.verdict(exception)


def at_once(coroutine):
    """Return what a coroutine returns; it must never suspend, so no event loop is needed."""
    try:
        coroutine.send(None)
    except StopIteration as end:
        return end.value
    raise AssertionError("it was suspended")


class World:
    """An account in front of a scripted Secrets Manager, and a service that accepts some keys."""

    def __init__(self, clock, accepts=(A,), asynchronous=False, new_account=StubAccount):
        self.clock = clock
        self.asynchronous = asynchronous
        self.accepts = set(accepts)
        self.code = "InvalidAccessKeyId"
        self.events = []
        self.errors = []
        self.source = Source(A)
        self.account = new_account(self.source, clock)
        renew, renew_async = self.account.renew, self.account.renew_async

        def observed(name, rejected):
            self.events.append("renew")
            return renew(name, rejected)

        def observed_async(name, rejected):
            self.events.append("renew")
            return renew_async(name, rejected)

        self.account.renew, self.account.renew_async = observed, observed_async
        clock.on_sleep = lambda seconds: self.events.append(seconds)

    def lease(self, handler=None, **options):
        return Lease(NAME, self.account, self.clock, handler or Codes(), lambda: None, **options)

    def send(self, pull):
        one = pull()
        self.events.append(one)
        if one in self.accepts:
            return "answer", None
        self.errors.append(ServiceError(self.code))
        return "refusal", self.errors[-1]

    def call(self, lease=None, rewind=lambda: None, send=None):
        lease, send = lease or self.lease(), send or self.send
        if not self.asynchronous:
            return lease.call(send, rewind)
        self.account.get(NAME)  # so that nothing has to be awaited

        async def sent(pull):
            return send(pull)

        return at_once(lease.call_async(sent, rewind))

    def sent(self):
        return [event for event in self.events if not isinstance(event, (str, float))]

    def rotate(self, *keys):
        """Let the account read A, and have Secrets Manager give each of ``keys``, the last one for ever."""
        self.account.get(NAME)
        keys = list(keys)
        self.source.answer = lambda asked: keys.pop(0) if len(keys) > 1 else keys[0]


class InBothWays:
    @pytest.fixture(params=["call", "call_async"])
    def world(self, clock, request, monkeypatch):
        monkeypatch.setattr(lease_module, "require_task", lambda: None)  # nothing that is awaited needs an event loop
        return World(clock, asynchronous=request.param == "call_async")
