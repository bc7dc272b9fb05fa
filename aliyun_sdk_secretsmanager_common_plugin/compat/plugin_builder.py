"""The base of builders of clients."""

from typing import Any


class SecretsMangerPluginBuilder:
    """Builds a client."""

    def build(self) -> Any:
        """Return the client."""
        raise NotImplementedError("a subclass of SecretsMangerPluginBuilder defines build()")
