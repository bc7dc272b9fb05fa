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

from tests.conftest import SECRET  # noqa: E402

from .plugin_behaviour import PluginBehaviour  # noqa: E402
from .services import Refused, Service  # noqa: E402

REGION = "cn-hangzhou"


class Tablestore(Service):
    def unknown_key(self):
        return Refused(403, "OTSAuthFailed", "The AccessKeyID does not exist.")

    def access_key_id(self, request):
        return request.headers["x-ots-accesskeyid"]

    def signer(self, request):
        version_4 = "x-ots-signaturev4" in request.headers
        return SignV4("utf8", region=REGION) if version_4 else SignV2("utf8"), version_4

    def check(self, request, key):
        # Signed once more by the SDK's own signer.
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

    def refuse(self, refused):
        error = table_store_pb2.Error(code=refused.code, message=refused.message)
        return refused.status, {"x-ots-requestid": "1"}, error.SerializeToString()


@pytest.mark.filterwarnings("ignore:datetime.datetime.utcnow:DeprecationWarning")
class TestProxyOTSClient(PluginBehaviour):
    error = OTSServiceError

    @pytest.fixture
    def service(self, cloud):
        service = Tablestore(cloud, SECRET)
        yield service
        service.close()

    @pytest.fixture
    def make_client(self, service, properties, closing):
        from tablestore_plugin import ProxyOTSClient

        def make(secret_name, **arguments):
            return closing(ProxyOTSClient(secret_name, "http://" + service.address, "instance", **arguments))

        return make

    @staticmethod
    def call(client):
        assert list(client.list_table()) == ["app"]

    def test_version_4_of_the_signature(self, cloud, service, make_client):
        client = make_client(SECRET, region=REGION)
        self.call(client)
        cloud.rotate(SECRET)

        self.call(client)

        assert service.statuses() == [200, 403, 200]
