"""The ways to call a V2.0 client. Each is a function that takes the client and returns what the API echoes."""

import base64
import io

from alibabacloud_tea_util.models import RuntimeOptions

try:
    from alibabacloud_tea_openapi.utils_models import OpenApiRequest, Params
    from darabonba.runtime import RuntimeOptions  # noqa: F811
except ImportError:
    from alibabacloud_tea_openapi.models import OpenApiRequest, Params

from alibabacloud_tea_openapi.client import Client as SdkClient

from .gateway import Gateway

HAS_EVENTS = hasattr(SdkClient, "call_sseapi")


class Body:
    """A body of a request.

    Attributes:
        fields: returns the fields of the OpenApiRequest.
        kind: the ``req_body_type``.
        sent: what arrives, or None for a form.
    """

    def __init__(self, fields, kind, sent=None):
        self.fields, self.kind, self.sent = fields, kind, sent


class OneWay:
    """A stream that can be read only once."""

    def __init__(self, content):
        self._file = io.BytesIO(content)

    def read(self, amt=-1):
        return self._file.read(amt)

    def __iter__(self):
        return iter(self._file)


class Odd(OneWay):
    """A stream whose ``seek`` and ``tell`` raise errors."""

    def seek(self, *args):
        raise OSError("it cannot seek")

    def tell(self):
        raise ValueError("it cannot tell")


class OneWayAsync:
    """A stream whose ``read`` is awaited. It can be read only once."""

    def __init__(self, content):
        self._file = io.BytesIO(content)

    async def read(self, amt=-1):
        return self._file.read(amt)


CONTENT = bytes(bytearray(range(256))) * 20


def _read_to(position, content):
    file = io.BytesIO(b"x" * position + content)
    file.seek(position)
    return file


BODIES = {
    "no body": Body(dict, "json", b""),
    "json": Body(lambda: {"body": {"Name": "a b&é", "List": [1, 2]}}, "json"),
    "form": Body(lambda: {"body": {"Name": "a b&é", "Tag": [{"Key": "k"}]}}, "formData"),
    "bytes": Body(lambda: {"body": CONTENT}, "byte", CONTENT),
}
STREAMS = {
    "bytes stream": Body(lambda: {"stream": CONTENT}, "binary", CONTENT),
    "text stream": Body(lambda: {"stream": "text é"}, "binary", "text é".encode()),
    "file": Body(lambda: {"stream": _read_to(0, CONTENT)}, "binary", CONTENT),
    "file from where it is": Body(lambda: {"stream": _read_to(7, CONTENT)}, "binary", CONTENT),
    "stream": Body(lambda: {"stream": OneWay(CONTENT)}, "binary", CONTENT),
    "odd stream": Body(lambda: {"stream": Odd(CONTENT)}, "binary", CONTENT),
}
ASYNC_STREAMS = {
    "bytes stream": STREAMS["bytes stream"],
    "text stream": STREAMS["text stream"],
    "stream": Body(lambda: {"stream": OneWayAsync(CONTENT)}, "binary", CONTENT),
}


def params(style="RPC", kind="formData", action="DoThings", body_type="json"):
    return Params(action=action, version="2014-05-26", protocol="HTTP", pathname="/" if style == "RPC" else "/things/1",
                  method="POST", auth_type="AK", style=style, req_body_type=kind, body_type=body_type)


def request_of(body=BODIES["no body"]):
    return OpenApiRequest(query={"Filter": "a b*~/&é"}, headers={"x-acs-extra": "e"}, **body.fields())


def runtime():
    return RuntimeOptions()


def arguments(style, body, **more):
    return params(style, body.kind, **more), request_of(body), runtime()


def documented(answer):
    return answer["body"]


class Form:
    """One way to call: what it needs in the client's config, and the call itself, sync and async."""

    def __init__(self, call, call_async, bodies=BODIES, async_bodies=None, **configured):
        self.call, self.call_async = call, call_async
        self.bodies, self.async_bodies = bodies, bodies if async_bodies is None else async_bodies
        self.configured = configured


def _api(style, method="call_api"):
    def call(client, body):
        return documented(getattr(client, method)(*arguments(style, body)))

    async def call_async(client, body):
        return documented(await getattr(client, method + "_async")(*arguments(style, body)))

    return call, call_async


def _older(method, kind, path):
    """Return the calls of an old method, which signs with version 1."""
    def given(body):
        return ("DoThings", "2014-05-26", "HTTP", "POST", "AK") + path + ("json", request_of(body), runtime())

    def call(client, body):
        return documented(getattr(client, method)(*given(body)))

    async def call_async(client, body):
        return documented(await getattr(client, method + "_async")(*given(body)))

    return call, call_async


def _keywords(client, body):
    given = arguments("RPC", body)
    return documented(client.do_request(request=given[1], runtime=given[2], params=given[0]))


async def _keywords_async(client, body):
    given = arguments("RPC", body)
    return documented(await client.do_request_async(request=given[1], runtime=given[2], params=given[0]))


def _execute(method):
    def call(client, body):
        client.set_gateway_client(Gateway())
        return documented(getattr(client, method)(*arguments("ROA", body)))

    async def call_async(client, body):
        client.set_gateway_client(Gateway())
        return documented(await getattr(client, method + "_async")(*arguments("ROA", body)))

    return call, call_async


WITH_STREAMS = dict(BODIES, **STREAMS)
WITH_ASYNC_STREAMS = dict(BODIES, **ASYNC_STREAMS)
# A POST without a body gets a Content-Type from the asynchronous client, after the SDK has signed it with version 1.
JSON = {"json": BODIES["json"]}
A_FORM = {"form": BODIES["form"]}

FORMS = {
    "call_api rpc": Form(*_api("RPC"), WITH_STREAMS, WITH_ASYNC_STREAMS),
    "call_api roa": Form(*_api("ROA"), WITH_STREAMS, WITH_ASYNC_STREAMS),
    "do_request": Form(*_api("RPC", "do_request"), A_FORM),
    "do_request by keywords": Form(_keywords, _keywords_async, A_FORM),
    "call_api rpc v1": Form(*_api("RPC"), A_FORM, signature_algorithm="v2"),
    "call_api roa v1": Form(*_api("ROA"), JSON, signature_algorithm="v2"),
    "call_api roa form v1": Form(*_api("ROA"), A_FORM, signature_algorithm="v2"),
    "do_rpcrequest": Form(*_older("do_rpcrequest", "form", ()), A_FORM),
    "do_roarequest": Form(*_older("do_roarequest", "json", ("/things/1",)), JSON),
    "do_roarequest_with_form": Form(*_older("do_roarequest_with_form", "form", ("/things/1",)), A_FORM),
    "call_api by a gateway": Form(*_execute("call_api"), dict(JSON, **STREAMS),
                                  dict(JSON, **ASYNC_STREAMS), signature_version="v4"),
    "execute": Form(*_execute("execute"), JSON),
}


def sync_calls():
    return sorted((form, body) for form in FORMS for body in FORMS[form].bodies)


def async_calls():
    return sorted((form, body) for form in FORMS for body in FORMS[form].async_bodies)


def arrived(document):
    """Return the body that arrived, from the document that the API echoes."""
    return base64.b64decode(document["Body"])
