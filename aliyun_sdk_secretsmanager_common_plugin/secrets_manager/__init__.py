"""How secrets are read from Secrets Manager: gateways, their protocols and connections."""

from typing import Any, Tuple

from .connections import Connections
from .gateways import DedicatedGateway, Gateway, SharedGateway

__all__ = ["Connections", "Gateway", "gateway_classes"]


def gateway_classes(secrets_client: str) -> Tuple[Any, Any]:
    """Return the classes of dedicated and of shared gateways for a value of the key ``secrets_client``."""
    if secrets_client == "native":
        return DedicatedGateway, SharedGateway
    from .other_clients import OfficialDedicatedGateway, OfficialSharedGateway

    return OfficialDedicatedGateway, OfficialSharedGateway
