"""The plugin of the page "Writing a plugin", for Simple Log Service, on a service that checks every signature."""

import json
from urllib.parse import parse_qsl

import pytest

pytest.importorskip("aliyun.log", reason="needs aliyun-log-python-sdk: nox -s examples")

from aliyun.log import ListLogstoresRequest, LogException, LogItem, PutLogsRequest  # noqa: E402
from aliyun.log.auth import AuthV1, AuthV4  # noqa: E402
from aliyun.log.credentials import StaticCredentialsProvider  # noqa: E402

from aliyun_sdk_secretsmanager_testing.plugin_contract import SECRET, PluginContract  # noqa: E402
from aliyun_sdk_secretsmanager_testing.plugin_service import PluginService, Refused  # noqa: E402

REGION = "cn-hangzhou"


class SimpleLogService(PluginService):
    REJECTED = 401, "Unauthorized", "The AccessKeyId is not found."
    DENIED = 401, "Unauthorized", "denied by sts or ram, action: log:ListLogStores"

    def access_key_id(self, request):
        authorization = request.headers["Authorization"]
        if authorization.startswith("LOG "):
            return authorization[4:].split(":")[0]
        return authorization.partition("Credential=")[2].split("/")[0]

    def check(self, request, key):
        # The SDK's own signer signs it again, with the time of the request.
        claimed = request.headers["Authorization"]
        headers = {
            name: value for name, value in request.headers.items()
            if name.lower() in ("content-type", "host") or name.lower().startswith(("x-log-", "x-acs-"))
        }
        moment = headers.pop("x-log-date")
        provider = StaticCredentialsProvider(*key)
        params, body = dict(parse_qsl(request.query)), request.body or None
        if claimed.startswith("LOG "):
            headers.pop("x-acs-security-token", None)
            signer = AuthV1(provider)
            signer._getGMT = lambda: moment
            signer.sign_request(request.method, request.path, params, headers, body)
            expected = headers["Authorization"]
        else:
            expected = AuthV4(provider, REGION)._do_sign_request(
                request.method, request.path, params, headers, body, moment)
        if expected != claimed or request.headers.get("x-acs-security-token") != key.security_token:
            raise Refused(403, "SignatureNotMatch", "The signature does not match.")

    def accept(self, request, key):
        return 200, {"x-log-requestid": "1"}, json.dumps({"count": 1, "total": 1, "logstores": ["app"]}).encode()

    def answer(self, refused):
        document = {"errorCode": refused.code, "errorMessage": refused.message}
        return refused.status, {"x-log-requestid": "1"}, json.dumps(document).encode()


@pytest.mark.filterwarnings("ignore:datetime.datetime.utcnow:DeprecationWarning")
class TestProxyLogClient(PluginContract):
    error = LogException

    @pytest.fixture
    def service(self, cloud):
        with SimpleLogService(cloud, SECRET) as service:
            yield service

    def new_client(self, service, secret_name, **arguments):
        from sls_plugin import ProxyLogClient

        client = ProxyLogClient(secret_name, "http://" + service.address, **arguments)
        client._isRowIp = True  # otherwise it would look up the address of "project.127.0.0.1"
        return client

    def call(self, service, client):
        assert client.list_logstores(ListLogstoresRequest("project")).get_logstores() == ["app"]

    @pytest.mark.parametrize("signature", [{"auth_version": "v1"}, {"auth_version": "v4", "region": REGION}])
    def test_body_is_sent_again_with_either_signature(self, cloud, service, make_client, signature):
        client = make_client(**signature)
        cloud.rotate(SECRET)

        client.put_logs(PutLogsRequest("project", "app", "topic", "source", [LogItem(0, contents=[("a", "b")])]))

        assert [call.status for call in service.calls()] == [401, 200]
