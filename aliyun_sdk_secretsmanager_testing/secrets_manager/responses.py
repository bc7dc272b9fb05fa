"""Secrets Manager's answers.

https://www.alibabacloud.com/help/en/kms/developer-reference/api-getsecretvalue
"""
import json
from typing import Any, Dict

from .. import openapi
from ..calls import Subject
from ..clock import utc
from ..http import Answer, Request
from ..keyring import CLIENT_KEY, IDENTITY, Owner
from ..service import Shared
from .routes import ACTIONS, VERSION
from .state import ROTATION_INTERVAL_SECONDS, Secret, SecretVersion, Vault

# The kinds of owners whose keys may read secrets.
READERS = (IDENTITY, CLIENT_KEY)


class SecretsManager(openapi.OpenApi):
    """The shared gateway of one region; all regions have the same secrets."""

    THROTTLING = (429, "Rejected.Throttling")
    FORBIDDEN = (403, "Forbidden.NoPermission")

    def __init__(self, shared: Shared, vault: Vault, region: str) -> None:
        super().__init__(shared)
        self._vault = vault
        self._region = region

    def subject(self, request: Request) -> Subject:
        asked = openapi.operation(request)
        return Subject("secrets_manager", self._region, asked.action, asked.parameters.get("SecretName"),
                       asked.access_key_id)

    def perform(self, request: Request, owner: Owner) -> Answer:
        asked = openapi.operation(request)
        method = ACTIONS.get(asked.action) if asked.version == VERSION else None
        if method is None:
            return openapi.unknown_action(request)
        if owner.kind not in READERS:
            return openapi.error(request, 403, "Forbidden.NoPermission",
                                 "This operation is forbidden by permission system.")
        answer: Answer = getattr(self, method)(request, asked.parameters)
        return answer

    def get_secret_value(self, request: Request, parameters: Dict[str, str]) -> Answer:
        """``GetSecretValue``."""
        if not parameters.get("SecretName"):
            return openapi.error(request, 400, "MissingParameter", "The parameter SecretName is missing.")
        try:
            secret = self._vault.find(parameters["SecretName"])
        except KeyError:
            return _not_found(request)
        version = secret.version(parameters.get("VersionStage", ""), parameters.get("VersionId", ""))
        if version is None:
            return _not_found(request)
        extended = parameters.get("FetchExtendedConfig", "").lower() == "true"
        key = version.access_key
        document = describe(secret, version, extended)
        document["VersionStages"] = {"VersionStage": document["VersionStages"]}
        return openapi.answer(request, document, root="GetSecretValueResponse",
                              given=key.access_key_id if key else None)


def _not_found(request: Request) -> Answer:
    return openapi.error(request, 404, "Forbidden.ResourceNotFound", "Resource not found.")


def describe(secret: Secret, version: SecretVersion, extended: bool) -> Dict[str, Any]:
    """Return the fields by which both kinds of gateways describe a version of a secret.

    Args:
        secret: the secret.
        version: one of its versions.
        extended: whether ExtendedConfig is one of the fields.
    """
    document: Dict[str, Any] = {
        "RequestId": openapi.request_id(),
        "SecretName": secret.name,
        "VersionId": version.version_id,
        "CreateTime": utc(version.created),
        "SecretData": version.data,
        "SecretDataType": "text",
        "SecretType": secret.secret_type,
        "VersionStages": secret.stages(version),
    }
    if version.next_rotation is not None:
        document.update(AutomaticRotation="Enabled", RotationInterval="{}s".format(ROTATION_INTERVAL_SECONDS),
                        NextRotationDate=utc(version.next_rotation), LastRotationDate=utc(version.created))
    if extended and secret.secret_type == "RAMCredentials":
        document["ExtendedConfig"] = json.dumps({"SecretSubType": "RamUserAccessKey", "UserName": "local-cloud"})
    return document
