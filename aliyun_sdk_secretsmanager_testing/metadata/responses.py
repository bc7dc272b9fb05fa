"""The metadata service's answers.

https://www.alibabacloud.com/help/en/ecs/user-guide/view-instance-metadata
"""
import re

from ..calls import Subject
from ..clock import utc
from ..http import Answer, Request, json_answer
from ..service import Service, Shared
from ..sts.state import Roles
from .routes import action
from .state import LONGEST_TOKEN, V1, Instance


class Metadata(Service):
    """The metadata service of one instance."""

    def __init__(self, shared: Shared, roles: Roles, instance: Instance) -> None:
        super().__init__(shared)
        self._roles = roles
        self._instance = instance

    def subject(self, request: Request) -> Subject:
        asked, _ = action(request.method, request.path)
        return Subject("metadata", None, asked or "{} {}".format(request.method, request.path))

    def answer(self, request: Request) -> Answer:
        asked, role = action(request.method, request.path)
        if not asked or (asked == "GetToken" and self._instance.mode == V1):
            return _error(404, "NotFound")
        if asked == "GetToken":
            return self._token(request.headers.get("x-aliyun-ecs-metadata-token-ttl-seconds", ""))
        if not self._instance.lets_in(request.headers.get("x-aliyun-ecs-metadata-token")):
            return _error(403, "Forbidden")
        own = self._instance.role
        if own is None or role not in (None, own):
            return _error(404, "NotFound")
        return _text(own) if role is None else self._credentials(own)

    def refuse(self, request: Request, status: int, code: str) -> Answer:
        return _error(status, code)

    def _token(self, seconds: str) -> Answer:
        if not re.match(r"[0-9]{1,5}\Z", seconds) or not 1 <= int(seconds) <= LONGEST_TOKEN:
            return _error(400, "BadRequest")
        return _text(self._instance.issue_token(int(seconds)))

    def _credentials(self, role: str) -> Answer:
        credentials = self._roles.issue(self._roles.find(role), self._instance.expires_in)
        document = dict(credentials.document(), Code="Success", LastUpdated=utc(credentials.issued))
        return json_answer(200, document, given=credentials.access_key.access_key_id)


def _text(text: str) -> Answer:
    return Answer(200, text.encode("utf-8"), {"Content-Type": "text/plain"})


def _error(status: int, code: str) -> Answer:
    page = "<html><head><title>{0} - {1}</title></head><body><h1>{0} - {1}</h1></body></html>".format(status, code)
    return Answer(status, page.encode("utf-8"), {"Content-Type": "text/html"}, code=code)
