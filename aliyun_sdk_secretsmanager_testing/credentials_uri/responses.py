"""The answers at a credentials URI."""
import json
from typing import Dict

from ..calls import Subject
from ..http import Answer, Request
from ..service import Service, Shared
from ..sts.state import Roles
from .routes import PATH
from .state import Source


class CredentialsUri(Service):
    """A service of the user's own that gives out credentials."""

    def __init__(self, shared: Shared, roles: Roles, source: Source) -> None:
        super().__init__(shared)
        self._roles = roles
        self._source = source

    def subject(self, request: Request) -> Subject:
        return Subject("credentials_uri", None, "GetCredentials")

    def answer(self, request: Request) -> Answer:
        if (request.method, request.path) != ("GET", PATH):
            return _json(404, {"Code": "NotFound", "Message": "There is only GET {}.".format(PATH)})
        credentials = self._roles.issue(self._roles.find(self._source.role), self._source.expires_in)
        return _json(200, dict(credentials.document(), Code="Success"), given=credentials.access_key.access_key_id)

    def refuse(self, request: Request, status: int, code: str) -> Answer:
        return _json(status, {"Code": code, "Message": "The request is refused: {}.".format(code)})


def _json(status: int, document: Dict[str, str], given: str = "") -> Answer:
    return Answer(status, json.dumps(document).encode("ascii"), {"Content-Type": "application/json"},
                  code="" if given else document["Code"], given=given or None)
