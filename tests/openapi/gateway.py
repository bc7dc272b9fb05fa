"""A gateway client (SPI), which some products have: it signs the requests of ``execute`` and reads the answers."""

import hashlib
import json

from alibabacloud_gateway_spi.client import Client as SPIClient
from Tea.exceptions import TeaException

try:
    from alibabacloud_tea_openapi.utils import Utils
except ImportError:
    from alibabacloud_openapi_util.client import Client as Utils

ALGORITHM = "ACS3-HMAC-SHA256"


class Gateway(SPIClient):
    """Signs with version 3. Like old gateway clients, it asks for id, secret and token one by one."""

    def modify_configuration(self, context, attribute_map):
        pass

    async def modify_configuration_async(self, context, attribute_map):
        pass

    def modify_request(self, context, attribute_map):
        request, body = context.request, context.request.stream
        if body is None:
            body = request.body
        self._describe(context, body.read() if hasattr(body, "read") else body)
        credential = request.credential
        self._sign(request, credential.get_access_key_id(), credential.get_access_key_secret(),
                   credential.get_security_token())

    async def modify_request_async(self, context, attribute_map):
        request, body = context.request, context.request.stream
        if body is None:
            body = request.body
        self._describe(context, await body.read() if hasattr(body, "read") else body)
        credential = request.credential
        self._sign(request, await credential.get_access_key_id_async(), await credential.get_access_key_secret_async(),
                   await credential.get_security_token_async())

    def modify_response(self, context, attribute_map):
        response = context.response
        document = json.loads(response.body)
        if response.status_code >= 400:
            raise TeaException({"code": document["Code"], "message": document["Message"],
                                "data": dict(document, statusCode=response.status_code)})
        response.deserialized_body = document

    async def modify_response_async(self, context, attribute_map):
        self.modify_response(context, attribute_map)

    def _describe(self, context, body):
        request = context.request
        if isinstance(body, dict):
            body = json.dumps(body)
        request.stream = (body.encode() if isinstance(body, str) else body) or b""
        request.headers = dict(request.headers or {}, **{
            "host": context.configuration.endpoint, "x-acs-version": request.version, "x-acs-action": request.action,
            "x-acs-date": Utils.get_timestamp(), "x-acs-signature-nonce": "a nonce", "accept": "application/json",
            "x-acs-content-sha256": hashlib.sha256(request.stream).hexdigest(),
        })

    def _sign(self, request, access_key_id, access_key_secret, security_token):
        if security_token:
            request.headers["x-acs-security-token"] = security_token
        request.headers["Authorization"] = Utils.get_authorization(
            request, ALGORITHM, request.headers["x-acs-content-sha256"], access_key_id, access_key_secret)
