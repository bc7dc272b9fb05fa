"""STS's answers.

https://www.alibabacloud.com/help/en/ram/developer-reference/api-sts-2015-04-01-assumerole
"""
import json
import re
from typing import Any, Dict

from .. import openapi
from ..calls import Subject
from ..clock import utc
from ..http import Answer, Request
from ..keyring import IDENTITY, UNPRIVILEGED, Owner
from ..service import Shared
from .routes import ACTIONS, UNSIGNED, VERSION
from .state import CLIENT_ID, ISSUER, LONGEST_SESSION, SHORTEST_SESSION, SUBJECT, OidcProvider, Role, Roles

_DEFAULT_SESSION = 3600


class _Refusal(Exception):
    """An error that STS answers for wrong parameters."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(code)
        self.status = status
        self.code = code
        self.message = message


class Sts(openapi.OpenApi):
    """STS, for all regions."""

    FORBIDDEN = (403, "NoPermission")

    def __init__(self, shared: Shared, roles: Roles, provider: OidcProvider) -> None:
        super().__init__(shared)
        self._roles = roles
        self._provider = provider

    def subject(self, request: Request) -> Subject:
        asked = openapi.operation(request)
        return Subject("sts", None, asked.action, None, asked.access_key_id)

    def answer(self, request: Request) -> Answer:
        if openapi.operation(request).action == UNSIGNED:
            return self.perform(request, Owner(IDENTITY))
        return super().answer(request)

    def perform(self, request: Request, owner: Owner) -> Answer:
        asked = openapi.operation(request)
        method = ACTIONS.get(asked.action) if asked.version == VERSION else None
        if method is None:
            return openapi.unknown_action(request)
        if owner.kind not in (IDENTITY, UNPRIVILEGED):
            return _no_permission(request)
        try:
            answer: Answer = getattr(self, method)(request, asked.parameters)
        except _Refusal as refusal:
            return openapi.error(request, refusal.status, refusal.code, refusal.message)
        return answer

    def assume_role(self, request: Request, parameters: Dict[str, str]) -> Answer:
        """``AssumeRole``."""
        role = self._role(parameters)
        if role.external_id is not None and parameters.get("ExternalId") != role.external_id:
            return _no_permission(request)
        return self._issue(request, parameters, role, {})

    def assume_role_with_oidc(self, request: Request, parameters: Dict[str, str]) -> Answer:
        """``AssumeRoleWithOIDC``."""
        if _required(parameters, "OIDCProviderArn") != self._provider.arn:
            raise _Refusal(404, "EntityNotExist.OIDCProvider", "The OIDC Provider does not exist.")
        token = self._provider.find(_required(parameters, "OIDCToken"))
        if token is None:
            raise _Refusal(400, "AuthenticationFail.OIDCToken.Invalid", "This OIDC token is invalid.")
        if self.shared.clock.time() >= token.expires:
            raise _Refusal(400, "AuthenticationFail.OIDCToken.Expired", "This OIDC token is expired.")
        info = {"Issuer": ISSUER, "ClientIds": CLIENT_ID, "Subject": SUBJECT, "VerificationInfo": "Success",
                "IssuanceTime": utc(token.issued), "ExpirationTime": utc(token.expires)}
        return self._issue(request, parameters, self._role(parameters), {"OIDCTokenInfo": info})

    def _role(self, parameters: Dict[str, str]) -> Role:
        arn = _required(parameters, "RoleArn")
        if not re.match(r"acs:ram::\d+:role/[\w.-]+\Z", arn, re.ASCII):
            raise _Refusal(400, "InvalidParameter.RoleArn", "The parameter RoleArn is wrongly formed.")
        role = self._roles.with_arn(arn)
        if role is None:
            raise _Refusal(404, "EntityNotExist.Role", "The specified Role not exists.")
        return role

    def _issue(self, request: Request, parameters: Dict[str, str], role: Role, more: Dict[str, Any]) -> Answer:
        session = _required(parameters, "RoleSessionName")
        if not re.match(r"[\w.@-]{2,64}\Z", session, re.ASCII):
            raise _Refusal(400, "InvalidParameter.RoleSessionName", "The parameter RoleSessionName is wrongly formed.")
        _check_policy(parameters.get("Policy", ""))
        seconds = _duration(parameters.get("DurationSeconds", ""), role)
        credentials = self._roles.issue(role, seconds)
        document = {
            "RequestId": openapi.request_id(),
            "AssumedRoleUser": {"Arn": "{}/{}".format(role.arn, session),
                                "AssumedRoleId": "{}:{}".format(role.role_id, session)},
            "Credentials": credentials.document(),
        }
        return openapi.answer(request, dict(document, **more), root="{}Response".format(parameters["Action"]),
                              given=credentials.access_key.access_key_id)


def _required(parameters: Dict[str, str], name: str) -> str:
    if not parameters.get(name):
        raise _Refusal(400, "Missing" + name, "{} is mandatory for this action.".format(name))
    return parameters[name]


def _duration(text: str, role: Role) -> int:
    seconds = int(text or _DEFAULT_SESSION) if re.match(r"[0-9]{0,9}\Z", text) else 0
    if not SHORTEST_SESSION <= seconds <= min(LONGEST_SESSION, role.max_session_seconds):
        raise _Refusal(400, "InvalidParameter.DurationSeconds",
                       "The Min/Max value of DurationSeconds is 15min/{}s.".format(role.max_session_seconds))
    return seconds


def _check_policy(text: str) -> None:
    try:
        valid = not text or isinstance(json.loads(text), dict)
    except ValueError:
        valid = False
    if not valid:
        raise _Refusal(400, "InvalidParameter.PolicyGrammar", "The parameter Policy has not passed grammar check.")


def _no_permission(request: Request) -> Answer:
    return openapi.error(request, 403, "NoPermission",
                         "You are not authorized to do this action. You should be authorized by RAM.")
