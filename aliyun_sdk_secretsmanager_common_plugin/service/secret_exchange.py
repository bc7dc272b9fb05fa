"""The old path of SecretExchange."""

from ..credentials_provider import SecretExchange

__all__ = ["SecretExchange"]
