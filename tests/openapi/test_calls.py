"""Every way to call a V2.0 client, each during a rotation."""

import asyncio
import io

import pytest
from aliyunsdkcore.acs_exception.exceptions import ServerException
from Tea.exceptions import TeaException, UnretryableException

from aliyun_sdk_secretsmanager_common_plugin import AKExpireHandler, ManagedCredentialsError, ReplayError
from aliyun_sdk_secretsmanager_testing import Fault
from tests.conftest import SECRET
from tests.tasks import drive

from .calls import (
    ASYNC_STREAMS,
    BODIES,
    CONTENT,
    FORMS,
    HAS_EVENTS,
    STREAMS,
    Body,
    arguments,
    arrived,
    async_calls,
    documented,
    params,
    request_of,
    runtime,
    sync_calls,
)

needs_events = pytest.mark.skipif(not HAS_EVENTS, reason="alibabacloud-tea-openapi 0.4 has server-sent events")
needs_retry_options = pytest.mark.skipif(not HAS_EVENTS, reason="alibabacloud-tea-openapi 0.4 has retry_options")


def statuses(cloud):
    return [call.status for call in cloud.calls("api")]


def same(document):
    """Return the parts of an echo that are the same for all attempts of a call."""
    changing = ("SignatureNonce", "Timestamp", "AccessKeyId")
    parameters = {name: value for name, value in document["Parameters"].items() if name not in changing}
    return document["Action"], document["Method"], document["Path"], parameters, document["Body"]


@pytest.fixture
def call(run):
    """Call a client in one of the ways, with a body. ``how`` is ``sync`` or ``async``."""

    def do(client, form, body, how="sync"):
        if how == "sync":
            return FORMS[form].call(client, FORMS[form].bodies[body])
        return run(FORMS[form].call_async(client, FORMS[form].async_bodies[body]))

    return do


EVERY_CALL = [("sync",) + each for each in sync_calls()] + [("async",) + each for each in async_calls()]
EVERY_FORM = [(how, form, min(FORMS[form].bodies)) for how in ("sync", "async") for form in sorted(FORMS)]


class TestRotation:
    @pytest.mark.parametrize(("how", "form", "body"), EVERY_CALL)
    def test_call_succeeds_with_its_body_whole_and_the_key_is_renewed_once(
        self, cloud, fetches, make_client, call, how, form, body
    ):
        client = make_client(**FORMS[form].configured)
        before = call(client, form, body, how)
        new = cloud.rotate(SECRET)

        after = call(client, form, body, how)

        assert same(after) == same(before)
        sent = (FORMS[form].bodies if how == "sync" else FORMS[form].async_bodies)[body].sent
        assert sent is None or arrived(after) == sent
        assert statuses(cloud) == [200, 404, 200]
        assert fetches() == 2
        assert cloud.calls("api")[-1].access_key_id == new.access_key_id

    @pytest.mark.parametrize(("how", "form", "body"), EVERY_FORM)
    def test_token_goes_with_its_key(self, cloud, make_client, call, how, form, body):
        cloud.create_secret("sts", token=True)
        client = make_client("sts", **FORMS[form].configured)
        call(client, form, body, how)
        cloud.rotate("sts")
        call(client, form, body, how)
        cloud.rotate("sts", token=False)
        call(client, form, body, how)

        assert statuses(cloud)[::2] == [200, 200, 200]

    @pytest.mark.parametrize(("how", "form", "body"), EVERY_FORM)
    def test_token_that_ended_is_renewed(self, cloud, make_client, call, how, form, body):
        cloud.create_secret("sts", token=True)
        client = make_client("sts", **FORMS[form].configured)
        cloud.rotate("sts", grace=60)
        cloud.inject("api", Fault.status(400, code="InvalidSecurityToken.Expired"), times=1)

        call(client, form, body, how)

        assert statuses(cloud) == [400, 200]

    def test_rpc_headers_of_one_call_are_sent_again(self, cloud, client):
        client.set_rpc_headers({"x-acs-once": "o"})
        cloud.rotate(SECRET)
        seen = []
        sign = client._provider.get_credentials
        client._provider.get_credentials = lambda: seen.append(client._headers) or sign()

        client.call_api(*arguments("RPC", BODIES["no body"]))

        # The SDK removes them from the client before it signs, in each attempt, so that they are gone after the call.
        assert seen == [None, None]
        assert client._headers is None

    def test_rpc_headers_arrive_with_the_second_attempt(self, cloud, client):
        client.set_rpc_headers({"accept": "application/xml"})
        cloud.rotate(SECRET)

        answer = client.call_api(*(params(body_type="string"), request_of(), runtime()))

        assert answer["body"].startswith("<?xml")

    def test_users_request_is_not_changed(self, cloud, client):
        given = request_of(STREAMS["stream"])
        stream, headers = given.stream, dict(given.headers)
        cloud.rotate(SECRET)

        client.call_api(params(kind="binary"), given, runtime())

        assert given.stream is stream
        assert (given.headers, given.query) == (headers, request_of().query)

    def test_anonymous_call_needs_no_key(self, fetches, client):
        anonymous = params()
        anonymous.auth_type = "Anonymous"

        with pytest.raises(TeaException):
            client.call_api(anonymous, request_of(), runtime())
        assert fetches() == 1

    def test_bytes_come_down_whole(self, cloud, client, run):
        given = (params("ROA", "byte", "DownloadBody", "byte"), request_of(BODIES["bytes"]), runtime())
        cloud.rotate(SECRET)
        assert client.call_api(*given)["body"] == CONTENT
        cloud.rotate(SECRET)
        assert run(client.call_api_async(*given))["body"] == CONTENT


def test_call_outside_of_asyncio_says_so_and_is_not_sent(cloud, client):
    with pytest.raises(ManagedCredentialsError, match="a task of asyncio"):
        drive(client.call_api_async(*arguments("RPC", BODIES["form"])))

    assert cloud.calls("api") == []


class TestGeneratedMethods:
    @pytest.fixture
    def ecs(self, make_client):
        client = pytest.importorskip("alibabacloud_ecs20140526.client")
        return make_client(client_class=client.Client, region_id="cn-hangzhou")

    @pytest.fixture
    def request_and_runtime(self):
        from alibabacloud_ecs20140526.models import DescribeRegionsRequest

        return DescribeRegionsRequest(), runtime()

    @pytest.mark.parametrize("options", [False, True], ids=["plain", "with_options"])
    @pytest.mark.parametrize("how", ["sync", "async"])
    def test_over_a_rotation(self, cloud, ecs, request_and_runtime, run, how, options):
        name = "describe_regions" + ("_with_options" if options else "") + ("_async" if how == "async" else "")
        given = request_and_runtime if options else request_and_runtime[:1]
        cloud.rotate(SECRET)

        answer = getattr(ecs, name)(*given)
        if how == "async":
            answer = run(answer)

        assert answer.status_code == 200
        assert answer.body.request_id
        assert statuses(cloud) == [404, 200]


@needs_events
class TestEvents:
    def given(self):
        return params(action="StreamEvents"), request_of(BODIES["json"]), runtime()

    @pytest.fixture
    def listen(self, client, run):
        """Return the ids of the events of a call."""

        async def ids():
            return [each.event.id async for each in client.call_sseapi_async(*self.given())]

        def do(how):
            if how == "sync":
                return [each.event.id for each in client.call_sseapi(*self.given())]
            return run(ids())

        return do

    @pytest.mark.parametrize("how", ["sync", "async"])
    def test_over_a_rotation(self, cloud, fetches, listen, how):
        cloud.rotate(SECRET)

        assert listen(how) == ["1", "2", "3"]
        assert statuses(cloud) == [404, 200]
        assert fetches() == 2

    @pytest.mark.parametrize("how", ["sync", "async"])
    def test_refusal_that_stays_is_the_sdks_own_error(self, cloud, listen, how):
        cloud.inject("secrets_manager", Fault.refuse())
        cloud.rotate(SECRET)

        with pytest.raises(UnretryableException) as caught:
            listen(how)

        assert caught.value.code == "InvalidAccessKeyId.NotFound"
        assert caught.value.__cause__ is not None

    def test_rotation_after_the_first_event_is_no_matter(self, cloud, client):
        events = client.call_sseapi(*self.given())
        first = next(events)
        cloud.rotate(SECRET)

        assert [each.event.id for each in [first, *events]] == ["1", "2", "3"]
        assert statuses(cloud) == [200]

    def test_nothing_is_sent_before_the_first_event_is_asked_for(self, cloud, client):
        client.call_sseapi(*self.given())

        assert statuses(cloud) == []

    def test_leaving_early_closes_the_answer(self, cloud, client, run):
        for _ in client.call_sseapi(*self.given()):
            break

        async def main():
            events = client.call_sseapi_async(*self.given())
            async for _ in events:
                break
            await events.aclose()

        run(main())
        assert statuses(cloud) == [200, 200]


class TestBodiesThatCannotBeReplayed:
    @pytest.fixture
    def small(self, cloud, tmp_path, make_client):
        cloud.write_properties(tmp_path, replay_buffer_bytes=100, replay_spool_bytes=1000)
        return make_client()

    @pytest.mark.parametrize("how", ["sync", "async"])
    def test_surface_the_services_error_and_the_next_call_has_the_new_key(self, cloud, small, run, how):
        cloud.rotate(SECRET)
        stream = (STREAMS if how == "sync" else ASYNC_STREAMS)["stream"]

        with pytest.raises(TeaException) as caught:
            if how == "sync":
                small.call_api(*arguments("ROA", stream))
            else:
                run(small.call_api_async(*arguments("ROA", stream)))

        assert caught.value.code == "InvalidAccessKeyId.NotFound"
        assert isinstance(caught.value.__cause__, ReplayError)
        assert "replay_spool_bytes" in str(caught.value.__cause__)
        assert statuses(cloud) == [404]
        small.call_api(*arguments("ROA", BODIES["json"]))
        assert statuses(cloud) == [404, 200]


class TestErrors:
    @pytest.mark.parametrize(("how", "form", "body"), EVERY_FORM)
    def test_that_stay_are_the_services_own_with_the_reason_why_the_key_was_not_renewed(
        self, cloud, make_client, call, how, form, body
    ):
        client = make_client(**FORMS[form].configured)
        cloud.inject("secrets_manager", Fault.forbidden())
        cloud.rotate(SECRET)

        with pytest.raises(TeaException) as caught:
            call(client, form, body, how)

        assert caught.value.code == "InvalidAccessKeyId.NotFound"
        assert isinstance(caught.value.__cause__, ServerException)
        assert statuses(cloud) == [404]

    @pytest.mark.parametrize("how", ["sync", "async"])
    def test_no_connection_is_the_sdks_own_and_is_not_judged(self, fetches, make_client, call, how):
        judged = []

        class Handler(AKExpireHandler):
            def judge_ak_expire(self, exception):
                judged.append(exception)
                return True

        client = make_client(ak_expire_handler=Handler(), endpoint="127.0.0.1:1")

        with pytest.raises(UnretryableException):
            call(client, "call_api rpc", "form", how)

        assert judged == []
        assert fetches() == 1

    def test_leave_nothing_to_the_garbage_collector(self, cloud, client):
        import gc
        import weakref

        cloud.disable_key(cloud.secret(SECRET).current.access_key_id)
        body = type("Body", (dict,), {})(Name="x")
        reference = weakref.ref(body)
        request = request_of()
        request.body = body
        gc.collect()
        gc.disable()
        try:
            with pytest.raises(TeaException):
                client.call_api(params(), request, runtime())
            del request, body
            assert reference() is None
        finally:
            gc.enable()


@needs_retry_options
class TestRetriesOfTheUser:
    """``retry_options`` work as with a plain client, but never retry a rejected key."""

    def options(self, *names, attempts=3):
        from darabonba.policy.retry import RetryOptions

        condition = {"maxAttempts": attempts, "exception": list(names), "errorCode": ["Busy"],
                     "backoff": {"policy": "Fixed", "period": 1}}
        return RetryOptions({"retryable": True, "retryCondition": [condition]})

    @pytest.mark.parametrize("how", ["sync", "async"])
    def test_other_errors_are_retried_as_they_say(self, cloud, make_client, call, how):
        client = make_client(retry_options=self.options())
        cloud.inject("api", Fault.status(503, code="Busy"), times=2)

        call(client, "call_api rpc", "form", how)

        assert statuses(cloud) == [503, 503, 200]

    @pytest.mark.parametrize("how", ["sync", "async"])
    def test_end_as_they_say(self, cloud, make_client, call, how):
        client = make_client(retry_options=self.options(attempts=2))
        cloud.inject("api", Fault.status(503, code="Busy"))

        with pytest.raises(TeaException) as caught:
            call(client, "call_api rpc", "form", how)

        assert caught.value.code == "Busy"
        assert statuses(cloud) == [503, 503]

    def test_end_where_the_stream_cannot_be_brought_back(self, cloud, make_client):
        class Forward(io.BytesIO):
            def seek(self, position, whence=0):
                if whence == 0 and position < self.tell():
                    raise OSError("not backward")
                return super().seek(position, whence)

        client = make_client(retry_options=self.options())
        cloud.inject("api", Fault.status(503, code="Busy"))

        with pytest.raises(TeaException) as caught:
            client.call_api(*arguments("RPC", Body(lambda: {"stream": Forward(CONTENT)}, "binary", CONTENT)))

        assert caught.value.code == "Busy"

    def test_are_the_same_as_of_a_plain_client(self, cloud, make_client, config, monkeypatch):
        from alibabacloud_tea_openapi.client import Client
        from alibabacloud_tea_openapi.utils import Utils
        from darabonba.core import DaraCore

        told = []  # the headers that tell the service about earlier attempts
        do_action = DaraCore.do_action
        monkeypatch.setattr(DaraCore, "do_action", staticmethod(lambda request, runtime: told.append(
            {name: value for name, value in request.headers.items() if "retry" in name}) or do_action(request, runtime)))
        key = cloud.secret(SECRET).current
        options = self.options("RetryError", "ServerException", attempts=3)
        plain = Client(config(access_key_id=key.access_key_id, access_key_secret=key.access_key_secret,
                              retry_options=options))
        seen = []
        for client in (plain, make_client(retry_options=options)):
            cloud.inject("api", Fault.status(500, code="InternalError"))
            with pytest.raises(TeaException) as caught:
                client.call_api(*arguments("RPC", BODIES["form"]))
            seen.append((type(caught.value), caught.value.code, statuses(cloud)[sum(len(each[2]) for each in seen):]))
            cloud.clear()
        assert seen[0] == seen[1]
        assert told[:3] == told[3:]
        tells = 2 if hasattr(Utils, "apply_retry_headers") else 0  # from alibabacloud-tea-openapi 0.4.5 on
        assert [len(each) for each in told] == [0, tells, tells] * 2

    def test_no_connection_is_retried_as_of_a_plain_client(self, make_client):
        client = make_client(retry_options=self.options("RetryError"), endpoint="127.0.0.1:1")
        slept = []
        from darabonba.core import DaraCore

        backoff = DaraCore.get_backoff_time
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(DaraCore, "get_backoff_time",
                            staticmethod(lambda *given: slept.append(1) or backoff(*given)))
            with pytest.raises(UnretryableException):
                client.call_api(*arguments("RPC", BODIES["form"]))

        assert len(slept) == 2

    @pytest.mark.parametrize("how", ["sync", "async"])
    def test_rejected_key_is_renewed_once_though_they_name_its_error(self, cloud, fetches, make_client, call, how):
        client = make_client(retry_options=self.options("ClientException"))
        cloud.rotate(SECRET)

        call(client, "call_api rpc", "form", how)

        assert statuses(cloud) == [404, 200]
        assert fetches() == 2

    @pytest.mark.parametrize("how", ["sync", "async"])
    def test_rejected_key_that_cannot_be_renewed_is_not_sent_again_though_they_name_its_error(
        self, cloud, fetches, make_client, call, how
    ):
        client = make_client(retry_options=self.options("ClientException"))
        cloud.inject("secrets_manager", Fault.forbidden())
        cloud.rotate(SECRET)

        with pytest.raises(TeaException):
            call(client, "call_api rpc", "form", how)

        assert statuses(cloud) == [404]
        assert fetches() == 2

    def test_stream_is_whole_in_each(self, cloud, make_client, call):
        client = make_client(retry_options=self.options())
        cloud.inject("api", Fault.status(503, code="Busy"), times=1)

        assert arrived(call(client, "call_api roa", "stream")) == CONTENT

    def test_events_are_retried_too(self, cloud, make_client):
        client = make_client(retry_options=self.options("RetryError", "DaraException"))
        cloud.inject("api", Fault.status(503, code="Busy"), times=1)

        events = client.call_sseapi(params(action="StreamEvents"), request_of(), runtime())

        assert [each.event.id for each in events] == ["1", "2", "3"]


def test_documents_are_those_of_the_api(client):
    assert documented(client.call_api(*arguments("RPC", BODIES["json"])))["Action"] == "DoThings"
    assert asyncio.iscoroutinefunction(client.call_api_async)
