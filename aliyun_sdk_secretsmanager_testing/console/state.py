"""What the console shows: no AccessKey secret, and AccessKey ids only masked."""
from typing import Any, Dict, Optional

from ..access_key import masked
from ..calls import Call
from ..faults import Injection
from ..keyring import MANAGED
from ..network import Network
from ..secrets_manager.state import Secret, SecretVersion, Vault
from ..service import Shared

MOST_CALLS = 200
MOST_SECRETS = 100
MOST_VERSIONS = 5


class View:
    """Describes a cloud for the page. Times are seconds since 1970, by the cloud's clock.

    Args:
        shared: what all services of the cloud share.
        vault: the secrets.
        network: the servers, which tell what can have a fault.
    """

    def __init__(self, shared: Shared, vault: Vault, network: Network) -> None:
        self._shared = shared
        self._vault = vault
        self._network = network

    def since(self, cursor: int) -> Dict[str, Any]:
        """Return everything that the page shows, but of the calls only what is new.

        Args:
            cursor: the cursor of the last answer; 0 is the beginning.
        """
        secrets = self._vault.all()
        by_name = {secret.name: secret for secret in secrets}
        cursor, calls = self._shared.log.changed(cursor, MOST_CALLS)
        return {
            "cursor": cursor,
            "calls": [self._call(number, call, by_name) for number, call in calls],
            "secret_count": len(secrets),
            "secrets": [self._secret(secret) for secret in secrets[:MOST_SECRETS]],
            "places": [{"service": service, "region": region} for service, region in self._network.places()],
            "faults": [_fault(injection) for injection in self._shared.faults.active()],
        }

    def _call(self, number: int, call: Call, secrets: Dict[str, Secret]) -> Dict[str, Any]:
        clock = self._shared.clock
        return {
            "number": number,
            "at": clock.time() - clock.monotonic() + call.started,
            "service": call.service,
            "region": call.region,
            "action": call.action,
            "secret": call.secret,
            "key": _masked(call.access_key_id),
            "signer": self._signer(call, secrets),
            "status": call.status,
            "code": call.code,
            "given": _masked(call.given),
        }

    def _signer(self, call: Call, secrets: Dict[str, Secret]) -> Optional[str]:
        """Return whose key a call names; None for a key that never was."""
        owner = self._shared.keyring.owner(call.access_key_id)
        if owner is None or owner.kind != MANAGED:
            return owner.kind if owner else None
        versions = secrets[owner.name].versions if owner.name in secrets else ()
        for number, version in enumerate(versions, 1):
            if version.access_key and version.access_key.access_key_id == call.access_key_id:
                return "version {}".format(number) + ("" if owner.name == call.secret else " of {}".format(owner.name))
        return "a deleted secret"

    def _secret(self, secret: Secret) -> Dict[str, Any]:
        versions = secret.versions
        staged = {secret.previous(): "ACSPrevious", secret.given(): "ACSCurrent"}
        return {
            "name": secret.name,
            "type": secret.secret_type,
            "rotates": any(version.access_key for version in versions),
            "version_count": len(versions),
            "versions": [self._version(number, version, staged.get(version))
                         for number, version in list(enumerate(versions, 1))[:-MOST_VERSIONS - 1:-1]],
        }

    def _version(self, number: int, version: SecretVersion, stage: Optional[str]) -> Dict[str, Any]:
        key = version.access_key
        return {
            "number": number,
            "version_id": version.version_id,
            "created": version.created,
            "stage": stage,
            "key": _masked(key.access_key_id if key else None),
            "state": key and self._shared.keyring.state(key.access_key_id, self._shared.clock.monotonic()),
        }


def _fault(injection: Injection) -> Dict[str, Any]:
    return {
        "service": injection.service,
        "region": injection.region,
        "kind": injection.fault.kind,
        "settings": {name: value for name, value in injection.fault.settings.items() if not isinstance(value, bytes)},
        "times": injection.quota.left,
        "until": injection.until,
    }


def _masked(access_key_id: Optional[str]) -> Optional[str]:
    return masked(access_key_id) if access_key_id else None
