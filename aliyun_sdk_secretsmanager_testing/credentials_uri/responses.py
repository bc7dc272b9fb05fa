"""The answers of a credentials URI."""

from ..calls import Subject
from ..http import Answer, Request, json_answer
from ..service import Service, Shared
from ..sts.state import Roles
from .routes import PATH
from .state import Source


class CredentialsUri(Service):
    """A service, in reality the user's own, that gives credentials."""

    def __init__(self, shared: Shared, roles: Roles, source: Source) -> None:
        super().__init__(shared)
        self._roles = roles
        self._source = source

    def subject(self, request: Request) -> Subject:
        return Subject("credentials_uri", None, "GetCredentials")

    def answer(self, request: Request) -> Answer:
        if (request.method, request.path) != ("GET", PATH):
            return json_answer(404, {"Code": "NotFound", "Message": "There is only GET {}.".format(PATH)}, "NotFound")
        credentials = self._roles.issue(self._roles.find(self._source.role), self._source.expires_in)
        return json_answer(200, dict(credentials.document(), Code="Success"),
                           given=credentials.access_key.access_key_id)

    def refuse(self, request: Request, status: int, code: str) -> Answer:
        return json_answer(status, {"Code": code, "Message": "The request is refused: {}.".format(code)}, code)
