"""The answers of business APIs, which repeat the request, so that a test can see that it arrived whole."""
import base64
import json
from typing import Any, Callable, Dict

from .. import openapi
from ..access_key import masked
from ..calls import Subject
from ..http import Answer, Request
from ..keyring import MANAGED, Owner
from ..service import Shared
from .routes import DOWNLOAD, EVENTS, is_location

_UNECHOED = ("Signature", "SecurityToken")
_EVENTS = 3


class BusinessApi(openapi.OpenApi):
    """The APIs of all products, on one address.

    Args:
        shared: what all services of the cloud share.
        endpoint: returns the address that the location service answers for every product.
    """

    def __init__(self, shared: Shared, endpoint: Callable[[], str]) -> None:
        super().__init__(shared)
        self._endpoint = endpoint

    def subject(self, request: Request) -> Subject:
        asked = openapi.operation(request)
        owner = self.shared.keyring.owner(asked.access_key_id)
        service = "location" if is_location(asked.action, asked.version) else "api"
        return Subject(service, asked.region, asked.action, owner.name if owner else None, asked.access_key_id)

    def perform(self, request: Request, owner: Owner) -> Answer:
        asked = openapi.operation(request)
        if owner.kind != MANAGED:
            return openapi.error(request, 403, "Forbidden.RAM", "User not authorized to operate on the specified "
                                 "resource: this AccessKey may only call Secrets Manager.")
        if is_location(asked.action, asked.version):
            return self._describe_endpoints(request, asked.parameters)
        if asked.action == DOWNLOAD:
            return Answer(200, request.body(), {"Content-Type": "application/octet-stream"})
        document = {
            "RequestId": openapi.request_id(),
            "Action": asked.action,
            "AccessKeyId": masked(asked.access_key_id or ""),
            "Method": request.method,
            "Path": request.path,
            "Parameters": {name: value for name, value in asked.parameters.items() if name not in _UNECHOED},
            "Body": base64.b64encode(request.body()).decode("ascii"),
        }
        if asked.action == EVENTS:
            return _events(document)
        return openapi.answer(request, document, root="Response")

    def _describe_endpoints(self, request: Request, parameters: Dict[str, str]) -> Answer:
        endpoint = {
            "Endpoint": self._endpoint(),
            "Id": parameters.get("Id", ""),
            "Type": parameters.get("Type", ""),
            "Namespace": "",
            # The real service has this spelling, too.
            "SerivceCode": parameters.get("ServiceCode", ""),
            "Protocols": {"Protocols": ["HTTP", "HTTPS"]},
        }
        document = {"RequestId": openapi.request_id(), "Success": True, "Endpoints": {"Endpoint": [endpoint]}}
        return openapi.answer(request, document, root="DescribeEndpointsResponse")


def _events(document: Dict[str, Any]) -> Answer:
    """Return several server-sent events, each with the document as its data."""
    pieces = ["id: {}\nevent: echo\ndata: {}\n\n".format(number, json.dumps(document)).encode("ascii")
              for number in range(1, _EVENTS + 1)]
    headers = {"Content-Type": "text/event-stream;charset=utf-8", "Content-Length": str(sum(map(len, pieces)))}
    return Answer(200, (piece for piece in pieces), headers)
