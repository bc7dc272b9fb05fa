"""Every operation of the SDK, by a plain and by a managed client: the same bytes are sent, with the same results.

The SDK's sdists and wheels carry no tests of their own, so that these stand for them.
"""

import datetime
import inspect
import typing

import alibabacloud_oss_v2 as oss
import pytest
from alibabacloud_oss_v2 import models
from alibabacloud_oss_v2.aio import AsyncClient
from alibabacloud_oss_v2.credentials import StaticCredentialsProvider
from alibabacloud_oss_v2.exceptions import OperationError
from alibabacloud_oss_v2.presigner import _nopHttpClient, _nopResponse
from alibabacloud_oss_v2.serde import Model
from alibabacloud_oss_v2.signer import SignerV1, SignerV4
from alibabacloud_oss_v2.types import AsyncHttpClient, HttpClient

from aliyun_sdk_secretsmanager_oss_v2_plugin import managed
from tests.tasks import run

NOW = datetime.datetime(2026, 11, 21, 10, 0, 0, tzinfo=datetime.timezone.utc)
REFUSED = b"<Error><Code>AccessDenied</Code><Message>no</Message><RequestId>R</RequestId></Error>"


class Answer(_nopResponse):
    """An answer with an empty body, or a refusal."""

    def __init__(self, request, status):
        super().__init__(request=request)
        self._status = status

    status_code = property(lambda self: self._status)
    headers = property(lambda self: {"Date": "Sat, 21 Nov 2026 10:00:00 GMT", "x-oss-request-id": "R"})
    content = property(lambda self: REFUSED if self._status == 403 else b"")

    def read(self):
        return self.content


class AsyncAnswer(Answer):
    async def read(self):
        return self.content

    async def close(self):
        pass


def noted(request):
    body = request.body
    if not isinstance(body, (bytes, str)):
        body = type(body).__name__, getattr(body, "_data", None)
    return request.method, request.url, sorted(request.headers.items()), body


class Recorder(HttpClient):
    def __init__(self, status):
        self.sent = []
        self._status = status

    def send(self, request, **more):
        self.sent.append((noted(request), sorted(more.items())))
        return Answer(request, self._status)

    open = close = _nopHttpClient.close


class AsyncRecorder(AsyncHttpClient):
    def __init__(self, status):
        self.sent = []
        self._status = status

    async def send(self, request, **more):
        self.sent.append((noted(request), sorted(more.items())))
        return AsyncAnswer(request, self._status)

    async def open(self):
        pass

    async def close(self):
        pass


def operations(client_class):
    """Return the methods that take one request."""
    return sorted(name for name, method in inspect.getmembers(client_class, inspect.isfunction)
                  if list(inspect.signature(method).parameters)[1:] == ["request", "kwargs"] and name != "presign")


def value_of(annotation):
    """Return a value for a parameter of a request, or None for a type that has no simple value."""
    if typing.get_origin(annotation) is typing.Union:
        annotation = next(each for each in typing.get_args(annotation) if each is not type(None))
    if annotation in (str, int, bool):
        return {str: "text", int: 1, bool: True}[annotation]
    if inspect.isclass(annotation) and issubclass(annotation, Model):
        return annotation()
    return None


def requests_of(client_class, name):
    """Return a request with the names of its object, and one with all other parameters as well."""
    request_class = typing.get_type_hints(getattr(client_class, name), vars(models), {"models": models})["request"]
    hints = typing.get_type_hints(request_class.__init__)
    names = {"bucket": "bucket", "key": "key", "body": b"body", "source_key": "source", "source_bucket": "bucket"}
    for simple in (False, True):
        given = {each: value_of(hint) for each, hint in hints.items() if simple}
        given.update({each: value for each, value in names.items() if each in hints})
        yield request_class(**given)


def outcome(work):
    """Return the fields of a call's result, or the text of its error."""
    try:
        result = work()
    except Exception as error:
        shown = [type(error).__name__, str(error)]
        return shown + ([type(error.unwrap()).__name__] if isinstance(error, OperationError) else [])
    return [type(result).__name__, sorted(key for key, value in vars(result).items() if value is not None)]


@pytest.fixture
def still(monkeypatch):
    """Let signers see one fixed time."""
    for signer in (SignerV1, SignerV4):
        def sign(self, context, plain=signer.sign):
            context.signing_time = NOW
            context.expiration_time = NOW + datetime.timedelta(hours=1)
            return plain(self, context)

        monkeypatch.setattr(signer, "sign", sign)


@pytest.fixture(params=[False, True], ids=["key", "key and token"])
def secret_name(request, cloud):
    cloud.create_secret("of-{}".format(request.param), token=request.param)
    return "of-{}".format(request.param)


@pytest.fixture
def pair(cloud, properties, config, closing, still, secret_name):
    """Make a plain client and a managed one, each with a recorder of what it sends."""
    key = cloud.secret(secret_name).current

    def make(client_class, recorder_class, status, version):
        recorders = recorder_class(status), recorder_class(status)
        configs = [config(http_client=each, signature_version=version, retry_max_attempts=1) for each in recorders]
        configs[0].credentials_provider = StaticCredentialsProvider(
            key.access_key_id, key.access_key_secret, key.security_token)
        return (client_class(configs[0]), closing(managed(client_class)(configs[1], secret_name))), recorders

    return make


STATUSES_AND_VERSIONS = pytest.mark.parametrize(
    ("status", "version"), [(200, "v4"), (200, "v1"), (403, "v4")], ids=["v4", "v1", "refused"])


@STATUSES_AND_VERSIONS
def test_synchronous(pair, status, version):
    names = operations(oss.Client)
    clients, recorders = pair(oss.Client, Recorder, status, version)
    for name in names:
        outcomes = [[outcome(lambda: getattr(each, name)(request)) for request in requests_of(oss.Client, name)]
                    for each in clients]
        assert outcomes[0] == outcomes[1], name
        assert recorders[0].sent == recorders[1].sent, name
    assert len(names) > 100
    assert len(recorders[0].sent) > 0.9 * len(names)


@STATUSES_AND_VERSIONS
def test_asynchronous(pair, status, version):
    names = operations(AsyncClient)
    clients, recorders = pair(AsyncClient, AsyncRecorder, status, version)

    async def call(client, name, request):
        return await getattr(client, name)(request)

    for name in names:
        outcomes = [[outcome(lambda: run(call(each, name, request))) for request in requests_of(AsyncClient, name)]
                    for each in clients]
        assert outcomes[0] == outcomes[1], name
        assert recorders[0].sent == recorders[1].sent, name
    assert len(names) > 30
    assert len(recorders[0].sent) > 0.9 * len(names)


def test_presigned(cloud, pair):
    for version in ("v1", "v4"):
        clients, _ = pair(oss.Client, Recorder, 200, version)
        request = oss.PutObjectRequest("bucket", "a/b c", content_type="text/plain", metadata={"a": "b"})
        shown = [vars(each.presign(request)) for each in clients]
        if hasattr(AsyncClient, "presign"):  # since 1.4.0
            async_clients, _ = pair(AsyncClient, AsyncRecorder, 200, version)
            shown += [vars(run(each.presign(request))) for each in async_clients]
        assert all(each == shown[0] for each in shown)
