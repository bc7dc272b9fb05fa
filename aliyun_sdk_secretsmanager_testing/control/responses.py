"""The answers of the controls."""
import json
import math
from typing import Any, Callable, Dict, Optional

from ..calls import Call, CallLog
from ..http import Answer, Request, json_answer
from ..network import Network
from ..oss.state import Store
from ..oss.uploads import Uploads
from ..secrets_manager.state import Vault
from .routes import ROUTES
from .state import NUMBER, BadInput, fault, fields

_KEY_FIELDS = {"token": bool, "expires_in": NUMBER, "next_rotation": NUMBER}


class Control:
    """A handler whose routes do what methods of ``LocalCloud`` do.

    Args:
        log: the log of all calls.
        vault: the secrets.
        store: the buckets.
        uploads: the settings of uploads.
        network: the servers and their faults.
        endpoints: returns all addresses by name.
    """

    def __init__(self, log: CallLog, vault: Vault, store: Store, uploads: Uploads, network: Network,
                 endpoints: Callable[[], Dict[str, Any]]) -> None:
        self._log = log
        self._vault = vault
        self._store = store
        self._uploads = uploads
        self._network = network
        self._endpoints = endpoints

    def __call__(self, request: Request) -> Answer:
        method = ROUTES.get((request.method, request.path))
        if method is None:
            paths = ", ".join("{} {}".format(*route) for route in ROUTES)
            return json_answer(404, {"error": "no {} {}; there are {}".format(request.method, request.path, paths)})
        try:
            result: Dict[str, Any] = getattr(self, "_" + method)(request)
        except (ValueError, KeyError, OverflowError) as error:
            return json_answer(400, {"error": str(error.args[0])})
        return json_answer(200, result)

    def _describe(self, _request: Request) -> Dict[str, Any]:
        return self._endpoints()

    def _create_secret(self, request: Request) -> Dict[str, Any]:
        given = fields(_body(request), {"name": str}, dict(_KEY_FIELDS, secret_data=str, secret_type=str))
        secret = self._vault.create(**given)
        key = secret.given().access_key
        return {"name": secret.name, "access_key_id": key.access_key_id if key else None}

    def _rotate(self, request: Request) -> Dict[str, Any]:
        given = fields(_body(request), {"name": str},
                       dict(_KEY_FIELDS, grace=NUMBER, propagation=NUMBER, publish_delay=NUMBER))
        return {"name": given["name"], "access_key_id": self._vault.rotate(**given).access_key_id}

    def _rollback(self, request: Request) -> Dict[str, Any]:
        given = fields(_body(request), {"name": str}, {"grace": NUMBER})
        return {"name": given["name"], "access_key_id": self._vault.rollback(**given).access_key_id}

    def _disable(self, request: Request) -> Dict[str, Any]:
        given = fields(_body(request), {"name": str}, {"version_id": str})
        return {"name": given["name"], "access_key_id": self._vault.disable(**given).access_key_id}

    def _enable(self, request: Request) -> Dict[str, Any]:
        given = fields(_body(request), {"name": str}, {"version_id": str})
        return {"name": given["name"], "access_key_id": self._vault.enable(**given).access_key_id}

    def _create_bucket(self, request: Request) -> Dict[str, Any]:
        given = fields(_body(request), {"name": str}, {})
        self._store.create_bucket(**given)
        return given

    def _describe_object(self, request: Request) -> Dict[str, Any]:
        given = _query(request, ("bucket", "key"))
        sha256 = self._store.content(given.get("bucket") or "", given.get("key") or "").sha256()
        return dict(given, sha256=sha256)

    def _refuse_uploads(self, request: Request) -> Dict[str, Any]:
        given = fields(_body(request), {}, {"how": str, "recheck": bool})
        self._uploads.refuse(**given)
        return given

    def _inject(self, request: Request) -> Dict[str, Any]:
        body = _body(request)
        if not isinstance(body, dict):
            raise BadInput("send a JSON object")
        common = {name: body.pop(name) for name in ("service", "kind", "region", "times", "duration") if name in body}
        given = fields(common, {"service": str, "kind": str}, {"region": str, "times": int, "duration": NUMBER})
        made = fault(given["kind"], body)
        self._network.inject(given["service"], made, given.get("region"), given.get("times"), given.get("duration"))
        return given

    def _clear(self, request: Request) -> Dict[str, Any]:
        given = _query(request, ("service", "region"))
        self._network.clear(**given)
        return {}

    def _calls(self, request: Request) -> Dict[str, Any]:
        given: Dict[str, Any] = _query(request, ("service", "action", "region", "secret", "since"))
        if "since" in given:
            given["since"] = float(given["since"])
        return {"calls": [_call(call) for call in self._log.select(**given)]}


def _call(call: Call) -> Dict[str, Any]:
    return dict(call._asdict(), ended=None if call.ended == math.inf else call.ended)


def _query(request: Request, known: Any) -> Dict[str, Optional[str]]:
    for name, _ in request.query:
        if name not in known:
            raise BadInput("there is no parameter {!r}; there are {}".format(name, ", ".join(known)))
    return {name: value for name, value in request.query if value}


def _body(request: Request) -> Any:
    try:
        return json.loads(request.body().decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise BadInput("the body is no JSON: {}".format(error)) from None
