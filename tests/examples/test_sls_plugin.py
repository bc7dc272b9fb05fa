"""The plugin of the page "Writing a plugin", for Simple Log Service, on a service that checks every signature."""

import json
import pickle
from urllib.parse import parse_qsl

import pytest

pytest.importorskip("aliyun.log", reason="needs aliyun-log-python-sdk: nox -s examples")

from aliyun.log import ListLogstoresRequest, LogException, LogItem, PutLogsRequest  # noqa: E402
from aliyun.log.auth import AuthV1, AuthV4  # noqa: E402
from aliyun.log.credentials import StaticCredentialsProvider  # noqa: E402

from tests.conftest import SECRET  # noqa: E402

from .plugin_behaviour import PluginBehaviour  # noqa: E402
from .services import Refused, Service  # noqa: E402

REGION = "cn-hangzhou"


class SimpleLogService(Service):
    def unknown_key(self):
        return Refused(401, "Unauthorized", "The AccessKeyId is not found.")

    def access_key_id(self, request):
        authorization = request.headers["Authorization"]
        if authorization.startswith("LOG "):
            return authorization[4:].split(":")[0]
        return authorization.partition("Credential=")[2].split("/")[0]

    def check(self, request, key):
        # Signed once more by the SDK's own signer, as of the request's own time.
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

    def refuse(self, refused):
        document = {"errorCode": refused.code, "errorMessage": refused.message}
        return refused.status, {"x-log-requestid": "1"}, json.dumps(document).encode()


@pytest.mark.filterwarnings("ignore:datetime.datetime.utcnow:DeprecationWarning")
class TestProxyLogClient(PluginBehaviour):
    error = LogException

    @pytest.fixture
    def service(self, cloud):
        service = SimpleLogService(cloud, SECRET)
        yield service
        service.close()

    @pytest.fixture
    def make_client(self, service, properties, closing):
        from sls_plugin import ProxyLogClient

        def make(secret_name, **arguments):
            client = closing(ProxyLogClient(secret_name, "http://" + service.address, **arguments))
            client._isRowIp = True  # or it would ask for the address of "project.127.0.0.1"
            return client

        return make

    @staticmethod
    def call(client):
        assert client.list_logstores(ListLogstoresRequest("project")).get_logstores() == ["app"]

    @pytest.mark.parametrize("signature", [{"auth_version": "v1"}, {"auth_version": "v4", "region": REGION}])
    def test_body_is_sent_again_with_either_signature(self, cloud, service, make_client, signature):
        client = make_client(SECRET, **signature)
        cloud.rotate(SECRET)

        client.put_logs(PutLogsRequest("project", "app", "topic", "source", [LogItem(0, contents=[("a", "b")])]))

        assert service.statuses() == [401, 200]

    def test_permission_that_lacks_renews_nothing(self, cloud, service, client):
        service.refusals.append(Refused(401, "Unauthorized", "denied by sts or ram, action: log:ListLogStores"))

        with pytest.raises(LogException, match="denied by sts or ram"):
            self.call(client)

        assert len(cloud.calls("secrets_manager")) == 1

    def test_pickle_says_what_to_do(self, client):
        with pytest.raises(TypeError, match="in each process"):
            pickle.dumps(client)
