"""The plugin for Tablestore, on a service that checks every signature and signs its answers."""

import base64
import datetime
import hashlib

import pytest

pytest.importorskip("tablestore.credentials", reason="needs tablestore: nox -s examples")

from tablestore import OTSServiceError  # noqa: E402
from tablestore.auth import RequestContext, SignV2, SignV4  # noqa: E402
from tablestore.credentials import Credentials  # noqa: E402
from tablestore.protobuf import table_store_pb2  # noqa: E402

from aliyun_sdk_secretsmanager_testing.plugin_contract import SECRET, PluginContract  # noqa: E402
from aliyun_sdk_secretsmanager_testing.plugin_service import PluginService, Refused  # noqa: E402

REGION = "cn-hangzhou"


class Tablestore(PluginService):
    REJECTED = 403, "OTSAuthFailed", "The AccessKeyID does not exist."
    DENIED = 403, "OTSNoPermissionAccess", "No permission to access the requested resource."
    INVALID = 400, "OTSParameterInvalid", "Invalid table name."

    def access_key_id(self, request):
        return request.headers["x-ots-accesskeyid"]

    def signer(self, request):
        version_4 = "x-ots-signaturev4" in request.headers
        return SignV4("utf8", region=REGION) if version_4 else SignV2("utf8"), version_4

    def check(self, request, key):
        # The SDK's own signer signs it again.
        signer, version_4 = self.signer(request)
        name = "x-ots-signaturev4" if version_4 else "x-ots-signature"
        signed = {header.lower(): value for header, value in request.headers.items()
                  if header.lower().startswith("x-ots-")}
        claimed = signed.pop(name)
        signer.make_request_signature_and_add_headers(request.path, signed, RequestContext(Credentials(*key)))
        if signed[name] != claimed or request.headers.get("x-ots-ststoken") != key.security_token:
            raise Refused(403, "OTSAuthFailed", "Signature mismatch.")

    def accept(self, request, key):
        body = table_store_pb2.ListTableResponse(table_names=["app"]).SerializeToString()
        headers = {
            "x-ots-contentmd5": base64.b64encode(hashlib.md5(body).digest()).decode(),
            "x-ots-requestid": "1",
            "x-ots-date": datetime.datetime.utcnow().strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
            "x-ots-contenttype": "protocol buffer",
        }
        signer, version_4 = self.signer(request)
        context = RequestContext(Credentials(*key))
        if version_4:
            context.set_sign_date(request.headers["x-ots-signdate"])
        signature = signer.make_response_signature(request.path, headers, signer.get_signing_key(context))
        return 200, dict(headers, Authorization="OTS {}:{}".format(key.access_key_id, signature)), body

    def answer(self, refused):
        error = table_store_pb2.Error(code=refused.code, message=refused.message)
        return refused.status, {"x-ots-requestid": "1"}, error.SerializeToString()


@pytest.mark.filterwarnings("ignore:datetime.datetime.utcnow:DeprecationWarning")
class TestProxyOTSClient(PluginContract):
    error = OTSServiceError

    @pytest.fixture
    def service(self, cloud):
        with Tablestore(cloud, SECRET) as service:
            yield service

    def new_client(self, service, secret_name, **arguments):
        from tablestore_plugin import ProxyOTSClient

        return ProxyOTSClient(secret_name, "http://" + service.address, "instance", **arguments)

    def call(self, service, client):
        assert list(client.list_table()) == ["app"]

    def test_version_4_of_the_signature(self, cloud, service, make_client):
        client = make_client(region=REGION)
        self.call(service, client)
        cloud.rotate(SECRET)

        self.call(service, client)

        assert [call.status for call in service.calls()] == [200, 403, 200]
